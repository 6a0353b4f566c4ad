"""References in strings: `${NAME}`, `${NAME:-default}`, `${NAME:?text}`, `$${` for a plain `${`, and `file:PATH`.

They are expanded after the document was parsed and inside strings only, so that a value can never become syntax. As in
a shell, `:-` and `:?` also apply to a variable that is set but empty. What was read is marked `Referenced`, so that a
`Secret` takes it; `References` remembers where each came from, so that errors can name the variable and not its value.
"""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from bridge.api.options import Referenced
from bridge.config.positions import Path
from bridge.config.problems import Problem

MAX_FILE = 64 * 1024
"""Bytes of a `file:` reference: certificates with their chain fit; a device or a log named by mistake does not."""

_PATTERN = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([-?])([^{}]*))?\}|\$\{[^}]*\}?")
_SECRET_NAME = re.compile(r"pass(word|wd|phrase)?|secret|token|credential|private|(^|_)keys?($|_)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reference:
    """One string that held references: `raw` as written, `value` as expanded, `parts` (what was written, what came)."""

    raw: str
    value: str
    parts: tuple[tuple[str, str], ...]

    @property
    def confidential(self) -> bool:
        """It must not be shown even where it went into a field that is no Secret."""
        names = (written.strip("${}").partition(":")[0] for written, _ in self.parts)
        return self.raw.startswith("file:") or any(_SECRET_NAME.search(name) for name in names)


class References:
    """All references of a document by path; masks their values in texts."""

    def __init__(self, found: Mapping[Path, Reference]) -> None:
        self.found = dict(found)

    def below(self, path: Path) -> Iterator[Reference]:
        """References at `path`, in what it contains, and in the string that it is a part of."""
        for place, reference in self.found.items():
            shorter = min(len(place), len(path))
            if place[:shorter] == path[:shorter]:
                yield reference

    def mask(self, text: str, path: Path) -> str:
        """`text`, an error about `path`, with every value that came from outside replaced by what is written there."""
        for reference in self.below(path):
            pairs = [(reference.value, reference.raw), *((value, written) for written, value in reference.parts)]
            for value, written in pairs:
                for shown in {repr(value)[1:-1], value}:
                    if shown:
                        text = _replace(text, shown, written)
        return text

    def secrets(self) -> list[str]:
        """The confidential values, for the redactor of logs and errors."""
        return [value for reference in self.found.values() if reference.confidential for _, value in reference.parts]


def _replace(text: str, value: str, written: str) -> str:
    # Short values ("1") would also stand inside other words, so they are replaced only where they stand alone.
    if len(value) >= 4:
        return text.replace(value, written)
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", lambda _: written, text)


class Expander:
    """Expands a parsed document. `problems` and `references` hold what was found after `expand`."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._found: dict[Path, Reference] = {}
        self.problems: list[tuple[Path, Problem]] = []

    @property
    def references(self) -> References:
        return References(self._found)

    def expand(self, value: Any, path: Path = ()) -> Any:
        """A copy of `value` with all strings expanded. A string that cannot be expanded stays as it is written."""
        if isinstance(value, dict):
            return {key: self.expand(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item, (*path, index)) for index, item in enumerate(value)]
        return self._string(value, path) if isinstance(value, str) else value

    def default(self, written: str, path: Path) -> str:
        """A default that is written with references, `${HOSTNAME}`."""
        return str(self._string(written, path))

    def _string(self, raw: str, path: Path) -> str:
        parts: list[tuple[str, str]] = []
        before = len(self.problems)

        def one(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            value = self._variable(match, path)
            if value:
                parts.append((match[0], value))
            return value

        text = _PATTERN.sub(one, raw)
        if len(self.problems) > before:
            return raw
        if raw.startswith("file:"):
            content = self._file(text.removeprefix("file:"), raw, path)
            if content is None:
                return raw
            parts.append((raw, content))
            text = content
        if not parts:
            return text
        self._found[path] = Reference(raw, text, tuple(parts))
        return Referenced(text)

    def _variable(self, match: re.Match[str], path: Path) -> str:
        name, operator, rest = match[1], match[2], match[3]
        if name is None:
            self._problem(path, f"{match[0]} is no reference", 'write "${NAME}", or "$${" for a plain "${"')
            return ""
        value = self._environment.get(name)
        if value is None and name == "HOSTNAME":
            value = socket.gethostname()
        if operator == "-":
            return value or str(rest)
        if operator == "?" and not value:
            self._problem(
                path, f"the environment variable {name} is not set: {rest or 'it is required'}", f"set {name}"
            )
            return ""
        if value is None:
            hint = f'set {name}, or write "${{{name}:-DEFAULT}}"'
            self._problem(path, f"the environment variable {name} is not set", hint)
            return ""
        return value

    def _file(self, name: str, raw: str, path: Path) -> str | None:
        try:
            with FilePath(name).expanduser().open("rb") as file:
                content = file.read(MAX_FILE + 1)
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such place"
            self._problem(path, f"{raw} cannot be read: {reason}", "the bridge's user must be able to read the file")
            return None
        if len(content) > MAX_FILE:
            self._problem(
                path, f"{raw} is larger than {MAX_FILE // 1024} KiB", "name the file that holds only the value"
            )
            return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            self._problem(path, f"{raw} is no UTF-8 text", "write the value as text")
            return None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            self._problem(path, f"{raw} is empty", "write the value into the file")
            return None
        return text

    def _problem(self, path: Path, text: str, hint: str) -> None:
        self.problems.append((path, Problem("bad_reference", text, hint=hint)))
