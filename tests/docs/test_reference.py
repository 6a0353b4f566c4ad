"""The generated reference is what the code says; every configuration in the documentation is one that `check` accepts."""

from pathlib import Path

import pytest

from bridge.cli.reference import pages, stale
from bridge.config.load import loads
from tests.docs.blocks import Block, configurations

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"HOME": "/home/user", "HOSTNAME": "bridge-1"}


def test_the_reference_is_not_stale() -> None:
    remedy = "run `python -m bridge.cli.reference` and commit what it writes"
    assert stale(ROOT / "docs" / "reference") == [], remedy


@pytest.mark.parametrize("name", ["cli.md", "config.md", "connectors.md", "events.md", "metrics.md"])
def test_no_row_of_the_reference_lacks_its_sentence(name: str) -> None:
    rows = [line for line in pages()[name].splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if not row.rstrip("| ").rpartition("|")[2].strip()] == []


@pytest.mark.parametrize("block", configurations(ROOT), ids=str)
def test_configurations_in_the_documentation_are_right(block: Block) -> None:
    loads(block.text, str(block), {**ENVIRONMENT, **block.settings})
