"""What is wrong with a configuration: all of it at once, each with its key, its line and a remedy.

A problem's text is lower-case, states the fact, and never holds a value that came from the environment or a file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.api import BridgeError

Code = Literal[
    "unreadable",  # the file cannot be read
    "syntax",  # it is no TOML
    "unknown_key",
    "not_yet",  # a key of the documented surface that this version does not have
    "missing_key",
    "bad_value",
    "bad_reference",  # ${NAME} or file:PATH that gives nothing
    "literal_secret",
    "unknown_name",  # a route, type or protocol names what is not there
    "unused",
    "collision",  # two tables claim the same channel, number, path or stream
    "overlap",  # two lines receive the same datagrams
    "cycle",
    "contradiction",  # keys that exclude each other
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `key` is the dotted place (`sink.cloud.topic`), `line` counts from 1, `suggestion` is the name that
    was probably meant. A warning does not keep the bridge from running."""

    code: Code
    text: str
    key: str = ""
    line: int | None = None
    hint: str = ""
    suggestion: str = ""
    level: Literal["error", "warning"] = "error"

    @property
    def remedy(self) -> str:
        """The sentence behind `hint:`, may be empty."""
        parts = [f"did you mean `{self.suggestion}`?"] if self.suggestion else []
        return " ".join([*parts, self.hint] if self.hint else parts)


class ConfigurationErrors(BridgeError):  # noqa: N818 - plural on purpose: it carries all of them
    """The configuration cannot be used. `problems` holds everything that was found, warnings included."""

    def __init__(self, problems: Sequence[Problem], path: str = "") -> None:
        errors = [problem for problem in problems if problem.level == "error"]
        first = errors[0].text if errors else ""
        super().__init__(f"{len(errors)} error{'s' * (len(errors) != 1)} in {path or 'the configuration'}: {first}")
        self.problems = list(problems)
        self.path = path

    def lines(self) -> list[str]:
        """What the user reads."""
        return render(self.problems, self.path)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Errors before warnings, each by line; of several at one place the first that was found."""
    seen: dict[tuple[str, int | None, str], Problem] = {}
    for problem in problems:
        seen.setdefault((problem.key, problem.line, "" if problem.key else problem.text), problem)
    return sorted(seen.values(), key=lambda p: (p.level != "error", p.line or 0))


def render(problems: Iterable[Problem], path: str = "") -> list[str]:
    """`error: FILE:LINE: KEY: TEXT` and, where there is a remedy, `hint: REMEDY` below it."""
    lines = []
    for problem in problems:
        place = (
            f"{path}:{problem.line}" if path and problem.line else path or (f"line {problem.line}" * bool(problem.line))
        )
        parts = [problem.level, place, problem.key, problem.text]
        lines.append(": ".join(part for part in parts if part))
        if problem.remedy:
            lines.append(f"hint: {problem.remedy}")
    return lines
