"""The pages say what is: commands print what they show, links lead somewhere, files parse, and the index is complete."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from bridge.cli.reference import pages as reference
from tests.docs.blocks import Block, blocks, pages
from tests.docs.sessions import Session

ROOT = Path(__file__).parents[2]
BLOCKS = blocks(ROOT)
PAGES = pages(ROOT)
WITH_COMMANDS = sorted(
    {block.file for block in BLOCKS if block.words[:1] == ("console",) and "elsewhere" not in block.words}
)
LANGUAGES = {"console", "json", "lua", "python", "rust", "sh", "text", "toml", "yaml"}
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its fenced blocks and code."""
    text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda code: code[0] if "](" not in code[0] else "", text)


def anchors(page: Path) -> set[str]:
    """The names that links to the headings of a page use."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(prose(page))
    }


@pytest.mark.network
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_commands_print_what_the_page_shows(page: str, tmp_path: Path) -> None:
    mine = [block for block in BLOCKS if block.file == page]
    session = Session(tmp_path, mine)
    try:
        for block in mine:
            session.run(block)
    finally:
        session.close()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists():
            dead.append(link)
        elif anchor and anchor not in anchors(target.resolve().relative_to(ROOT)):
            dead.append(f"{link}: no such heading")
    assert dead == []


def test_the_index_lists_every_page() -> None:
    docs = ROOT / "docs"
    index = {(docs / link.partition("#")[0]).resolve() for link in _LINK.findall(prose(Path("docs/index.md")))}
    missing = [str(page) for page in PAGES if page.parts[0] == "docs" and page.name != "index.md"]
    assert [page for page in missing if (ROOT / page) not in index] == []


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_blocks_say_what_they_are(block: Block) -> None:
    assert block.words, "a block without a language: write ```text"
    language, *rest = block.words
    assert language in LANGUAGES
    if "elsewhere" in rest:
        assert rest.index("elsewhere") < len(rest) - 1, "say why it is not run"
    if language == "toml":
        tomllib.loads(block.text)
        whole = "[route." in block.text or block.name == "pyproject.toml"
        assert whole if not rest else rest[0] in ("part", "other") and len(rest) > 1, "a whole file, or `part WHY`"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.words[:1] in (("sh",), ("console",))], ids=str)
def test_options_of_commands_exist(block: Block) -> None:
    """In shell blocks too, which nobody runs."""
    verbs = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", reference()["cli.md"], re.MULTILINE | re.DOTALL))
    for line in block.text.replace("\\\n", " ").splitlines():
        for match in re.finditer(r"(?:^|[|&;$] *)(?:multicast-)?bridge (\w+)([^|&;<>\n]*)", line):
            assert match[1] in verbs, f"{block}: there is no `bridge {match[1]}`"
            words = shlex.split(match[2].replace("'", "").replace('"', ""))
            unknown = [
                word for word in words if word.startswith("--") and f"`{word.partition('=')[0]}" not in verbs[match[1]]
            ]
            assert unknown == [], f"{block}: bridge {match[1]}"


def test_contributing_is_at_most_two_pages() -> None:
    assert len((ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8").splitlines()) <= 110
