"""`python -m bridge.cli.reference [DIRECTORY]`: writes the reference pages from the code that they describe."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from bridge.cli.exits import MEANINGS
from bridge.cli.main import VERBS, app
from bridge.config.reference import HEADER, config_reference, connectors_reference

DIRECTORY = Path("docs") / "reference"


def pages() -> dict[str, str]:
    """The pages by file name."""
    makers: Mapping[str, Callable[[], str]] = {
        "cli.md": cli_reference,
        "config.md": config_reference,
        "connectors.md": connectors_reference,
        "events.md": events_reference,
        "metrics.md": metrics_reference,
    }
    return {name: make().rstrip("\n") + "\n" for name, make in makers.items()}


def stale(directory: Path = DIRECTORY) -> list[str]:
    """The names of the pages in `directory` that are not what the code says now."""
    made = pages()
    return [
        n for n, text in made.items() if not (directory / n).is_file() or (directory / n).read_text("utf-8") != text
    ]


def cli_reference() -> str:
    """`cli.md`: every verb, its arguments and options, and the exit statuses."""
    group: Any = typer.main.get_command(app)
    parts = [HEADER, _CLI_HEAD]
    for name in VERBS:
        verb = group.get_command(None, name)
        shown = [p for p in verb.params if p.name != "help"]
        arguments = [p for p in shown if p.param_type_name == "argument"]
        usage = " ".join(
            ["bridge", name, *(["[OPTIONS]"] if len(shown) > len(arguments) else []), *map(_metavar, arguments)]
        )
        parts.append(f"## {name}\n\n    {usage}\n\n{verb.help}\n")
        if shown:
            parts.append(
                "\n".join(["| argument | default | what it is |", "|---|---|---|", *map(_parameter, shown)]) + "\n"
            )
    parts.append("## Exit status\n\n| status | meaning |\n|---|---|")
    parts.append("\n".join(f"| {int(status)} | {meaning} |" for status, meaning in MEANINGS.items()) + "\n")
    return "\n".join(parts)


def events_reference() -> str:
    """`events.md`: every event code."""
    from bridge.telemetry.codes import CODES

    rows = [_row(f"`{code}`", e.severity, e.lost, e.meaning, e.remedy) for code, e in sorted(CODES.items())]
    head = ["| code | severity | messages lost | what it means | what to do |", "|---|---|---|---|---|"]
    return "\n".join([HEADER, _EVENTS_HEAD, *head, *rows])


def metrics_reference() -> str:
    """`metrics.md`: every metric."""
    from bridge.telemetry.metrics import ENGINE_METRICS

    rows = [
        _row(f"`{name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels.split()), metric.help)
        for name, metric in ENGINE_METRICS.items()
    ]
    return "\n".join([HEADER, _METRICS_HEAD, "| metric | type | labels | what it says |", "|---|---|---|---|", *rows])


def _metavar(parameter: Any) -> str:
    shown = str(parameter.metavar or parameter.name.upper())
    return shown if parameter.required or shown.startswith("[") else f"[{shown}]"


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = _metavar(parameter)
    else:
        name = ", ".join([*parameter.opts, *parameter.secondary_opts])
        name += "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    default = getattr(parameter.default, "value", parameter.default)
    shown = "" if default is None or default is False or parameter.required or callable(default) else f"`{default}`"
    return _row(f"`{name}`", shown, parameter.help or "")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


_CLI_HEAD = """\
# Command line

The program is installed as `multicast-bridge` and as `bridge`. Data goes to standard output, everything else to standard
error; errors are `error:` and `hint:` lines. `NO_COLOR` is respected. `bridge --install-completion` sets up the shell's
completion, `bridge --version` prints the version. Spans of time are seconds, or carry a unit (`250ms`).
"""

_EVENTS_HEAD = """\
# Events

Everything that happens is logged and counted under a code; alert on the code, not on the words. `status` shows how often
each code was emitted. At most ten lines of a code are logged in ten seconds; all are counted.
"""

_METRICS_HEAD = """\
# Metrics

`/metrics` of the `admin` address, in the Prometheus text format. Counters begin at 0 with the process.
"""


def main(arguments: list[str]) -> int:
    directory = Path(arguments[0]) if arguments else DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{directory / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
