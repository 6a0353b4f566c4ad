"""In which line of a TOML document each key and each array element stands, since `tomllib` does not say.

A scanner for documents that `tomllib` has accepted: it follows the grammar (TOML 1.0) far enough to know where keys,
strings, arrays and tables begin and end, and takes no interest in values. Paths are tuples of names and indices as they
lead through the parsed data: `("source", "itch", "lines", 1)`.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Sequence

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\r\n]*")
_STRINGS = (
    re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL),
    re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}"),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


class Positions:
    """The index of one document."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        _Scanner(text, self._lines).document()

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line, from 1, where `path` is written; else that of the nearest table around it; None for none."""
        for end in range(len(path), 0, -1):
            found = self._lines.get(tuple(path[:end]))
            if found is not None:
                return found
        return None

    def __contains__(self, path: Path) -> bool:
        return path in self._lines

    def items(self) -> list[tuple[Path, int]]:
        """All paths with their lines, in the order of the document."""
        return list(self._lines.items())


class _Scanner:
    def __init__(self, text: str, lines: dict[Path, int]) -> None:
        self._text = text
        self._at = 0
        self._lines = lines
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._arrays: dict[Path, int] = {}  # arrays of tables: how many tables they have so far

    def document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_SPACE)
            if self._at >= len(self._text):
                return
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        line = self._line()
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        parts = self._key()
        self._at += 2 if array else 1
        path: Path = ()
        for part in parts[:-1]:
            path = self._into((*path, part), line)
        path = (*path, parts[-1])
        if array:
            self._note(path, line)
            self._arrays[path] = self._arrays.get(path, 0) + 1
        return self._into(path, line)

    def _into(self, path: Path, line: int) -> Path:
        """The table that a header's name leads to: of an array of tables, the newest one."""
        self._note(path, line)
        if path in self._arrays:
            path = (*path, self._arrays[path] - 1)
            self._note(path, line)
        return path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_BLANK)
            quote = self._text[self._at]
            if quote in "\"'":
                start = self._at
                self._string()
                parts.append(str(tomllib.loads(f"k = {self._text[start : self._at]}")["k"]))
            else:
                match = _BARE.match(self._text, self._at)
                assert match is not None
                parts.append(match[0])
                self._at = match.end()
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        first = self._text[self._at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while not self._closes("]"):
            self._note((*path, index), self._line())
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while not self._closes("}"):
            self._pair(path)

    def _closes(self, bracket: str) -> bool:
        """Pass white space and one comma; True if the closing bracket came, which is then passed too."""
        self._skip(_SPACE)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_SPACE)
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _string(self) -> None:
        for pattern in _STRINGS:
            match = pattern.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
                return
        raise AssertionError("tomllib accepted a string that this scanner does not know")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at - 1) + 1

    def _note(self, path: Path, line: int) -> None:
        self._lines.setdefault(path, line)
