"""Where verbs write: data to standard output, everything else to standard error, `error:` and `hint:` on lines of their own."""

import os
import sys
from collections.abc import Iterable, Sequence

_COLOURS = {"error:": "31", "warning:": "33", "hint:": "36"}


def out(lines: str | Iterable[str]) -> None:
    """Data: one line, or several."""
    text = lines if isinstance(lines, str) else "\n".join(lines)
    if text or isinstance(lines, str):
        sys.stdout.write(text + "\n")


def note(lines: str | Iterable[str]) -> None:
    """What is no data: to standard error, at once. Its leading word is coloured on a terminal, unless NO_COLOR is set."""
    text = [lines] if isinstance(lines, str) else list(lines)
    if _coloured():
        text = [_colour(line) for line in text]
    sys.stdout.flush()
    sys.stderr.write("".join(f"{line}\n" for line in text))
    sys.stderr.flush()


def error(text: str, hint: str = "") -> None:
    """An error of the user's, and its remedy."""
    note([f"error: {text}", *([f"hint: {hint}"] if hint else [])])


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _colour(line: str) -> str:
    word, _, rest = line.partition(" ")
    return f"\x1b[1;{_COLOURS[word]}m{word}\x1b[0m {rest}" if word in _COLOURS else line


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as text in aligned columns, two spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
