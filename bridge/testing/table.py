"""`python -m bridge.testing.table FILE…`: the table "what holds where" as Markdown, from recorded outcomes.

A file is what the conformance suites wrote while `BRIDGE_CONFORMANCE_RECORD` named it. Rows are the behaviours, in the
order of the suites; columns the connectors that were tried. A behaviour that was tried more than once holds where it
held each time.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from bridge.testing.conformance import behaviours
from bridge.testing.conformance.behaviour import Outcome

_CELLS: dict[Outcome, str] = {"holds": "yes", "fails": "**NO**", "not claimed": "—", "not tried": "not tried"}
_WORST: tuple[Outcome, ...] = ("fails", "not tried", "not claimed", "holds")


def read(paths: Iterable[Path]) -> dict[tuple[str, str, str], Outcome]:
    """Outcome by role, behaviour and connector; of several, the worst. Raises ValueError for a line that is no record."""
    found: dict[tuple[str, str, str], Outcome] = {}
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                key, outcome = (row["role"], row["behaviour"], row["connector"]), row["outcome"]
                found[key] = min(outcome, found.get(key, outcome), key=_WORST.index)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number} is no recorded outcome: {line[:80]!r}") from error
    return found


def markdown(outcomes: dict[tuple[str, str, str], Outcome]) -> str:
    """One table a role that something was recorded for."""
    parts = []
    for role in dict.fromkeys(behaviour.role for behaviour in behaviours()):
        connectors = sorted({connector for of, _, connector in outcomes if of == role})
        if not connectors:
            continue
        lines = [f"## {role.capitalize()}s", "", f"| Behaviour | {' | '.join(connectors)} |"]
        lines.append("|---|" + "---|" * len(connectors))
        for behaviour in (b for b in behaviours() if b.role == role):
            cells = [outcomes.get((role, behaviour.name, c), "not tried") for c in connectors]
            text = f"**{behaviour.name.replace('_', ' ')}**: {behaviour.sentence}".replace("|", "\\|")
            lines.append(f"| {text} | {' | '.join(_CELLS[cell] for cell in cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n" if parts else ""


def main(arguments: list[str]) -> int:
    """Write the table to standard output. Exit status 64 without a file, 1 for one that cannot be used."""
    if not arguments:
        sys.stderr.write("error: no file of recorded outcomes\nhint: python -m bridge.testing.table FILE…\n")
        return 64
    try:
        sys.stdout.write(markdown(read(map(Path, arguments))))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
