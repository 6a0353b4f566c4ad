"""The page on what can happen to a message knows every reason that the code knows, and the gap's table."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from bridge.api.items import HoleReason
from bridge.core.gaps import TRANSITIONS
from bridge.core.ledger import MissingReason, RefusedReason
from bridge.telemetry.codes import CODES
from bridge.wire.packet import MalformedReason

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "life-of-a-message.md").read_text("utf-8")


@pytest.mark.parametrize("reasons", [MalformedReason, RefusedReason, MissingReason, HoleReason])
def test_it_names_every_reason(reasons: Any) -> None:
    assert [reason for reason in get_args(reasons) if f"`{reason}`" not in PAGE] == []


def test_every_reason_that_it_counts_under_exists() -> None:
    known = {reason for reasons in (MissingReason, HoleReason, RefusedReason) for reason in get_args(reasons)}
    known |= {"reason", "same_line", "other_line", "size"}
    assert set(re.findall(r"`\w+\{(\w+)\}`", PAGE)) <= known


def test_every_event_that_it_names_exists() -> None:
    named = set(re.findall(r"event `(\w+)`", PAGE))
    assert named
    assert named <= CODES.keys()


def test_the_table_of_the_gap_is_the_machine() -> None:
    rows = PAGE.partition("| state | when | next |\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert rows == [f"| {state} | {when} | {then} |" for state, when, then in TRANSITIONS]
