"""Fenced blocks of the documentation: README.md, .github/ and docs/.

    ```toml SIDE=1 NIC=eth0     holds a `[route.` table: a whole configuration, which `check` has to accept; environment
                                variables that it needs stand behind the word
    ```toml part WHY            a part of one, or one that is to be wrong: only its syntax is checked
    ```toml other WHAT          the file of another program
    ```console …                commands and what they print: `sessions.py`
    ```sh                       commands that a reader adapts; they are not run, but their options have to exist

A line "`NAME`:" above a block names the file that the block is.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(
    r"(?:^`(?P<name>[\w.-]+)`:\n\n)?^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_SETTING = re.compile(r"(\w+)=(\S+)")


@dataclass(frozen=True)
class Block:
    """One fenced block: the page and line that it is on, what stands behind the fence, its text, the file that it is."""

    file: str
    line: int
    words: tuple[str, ...]
    text: str
    settings: dict[str, str] = field(default_factory=dict)
    name: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def pages(root: Path) -> list[Path]:
    """Every page of the documentation, relative to `root`."""
    found = [root / "README.md", *(root / ".github").rglob("*.md"), *(root / "docs").rglob("*.md")]
    return sorted(page.relative_to(root) for page in found if page.is_file())


def blocks(root: Path) -> list[Block]:
    """All fenced blocks, in the order of pages and lines."""
    return [block for page in pages(root) for block in of_text((root / page).read_text("utf-8"), str(page))]


def of_text(text: str, file: str) -> list[Block]:
    """The fenced blocks of one page."""
    found = []
    for match in _FENCE.finditer(text):
        words = match["info"].split()
        settings = {setting[1]: setting[2] for word in words if (setting := _SETTING.fullmatch(word))}
        inner = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        line = text[: match.start("text")].count("\n") + 1
        plain = tuple(word for word in words if not _SETTING.fullmatch(word))
        found.append(Block(file, line, plain, inner, settings, match["name"] or ""))
    return found


def configurations(root: Path) -> list[Block]:
    """The blocks that are whole configurations."""
    return [block for block in blocks(root) if block.words == ("toml",) and "[route." in block.text]
