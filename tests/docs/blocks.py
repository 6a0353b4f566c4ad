"""Fenced blocks of the documentation.

A block that opens with ```` ```toml ```` and holds a `[route.` table is a whole configuration and is checked as one;
environment variables that it needs stand behind the word: ```` ```toml SIDE=1 NIC=eth0 ````. A block that is to be wrong, or
that is a part only, opens with another word behind: ```` ```toml part ````.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its file and line, what stands behind the fence, its text."""

    file: str
    line: int
    words: tuple[str, ...]
    text: str
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def blocks(root: Path) -> list[Block]:
    """All fenced blocks of README.md and docs/, in the order of files and lines."""
    files = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [
        block
        for file in files
        if file.is_file()
        for block in of_text(file.read_text("utf-8"), str(file.relative_to(root)))
    ]


def of_text(text: str, file: str) -> list[Block]:
    """The fenced blocks of one page."""
    found = []
    for match in _FENCE.finditer(text):
        words = match["info"].split()
        environment = dict(word.split("=", 1) for word in words if "=" in word)
        inner = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        line = text[: match.start()].count("\n") + 2
        found.append(Block(file, line, tuple(word for word in words if "=" not in word), inner, environment))
    return found


def configurations(root: Path) -> list[Block]:
    """The blocks that are whole configurations."""
    return [block for block in blocks(root) if block.words == ("toml",) and "[route." in block.text]
