"""The source beyond the conformance suite: what it makes of filtered and trimmed numbers, where quiet channels begin."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.api import ConfigurationError, Hole, Item, MessageBatch, SessionEnd, SessionStart, Start, Unavailable
from bridge.testing.doubles import FakeContext
from connectors.journal.options import SourceOptions
from connectors.journal.source import JournalSource, parse_position
from connectors.journal.starts import Starts
from tests.unit.connectors.journal.helpers import A2, SECOND, A, B, batch, begin, hole, row, start, storage, write

Taken = list[tuple[Item, str]]


def source(path: Path, context: FakeContext | None = None, **options: Any) -> JournalSource:
    given = {"path": str(path), "follow": False, **options}
    return JournalSource(SourceOptions.model_validate(given), context or FakeContext("s", path.parent / "state"))


async def everything(
    path: Path, at: Start, context: FakeContext | None = None, limit: int = 100, **options: Any
) -> Taken:
    reading = source(path, context, **options)
    await reading.open(at)
    taken: Taken = []
    while found := await reading.read(limit):
        taken += found
    await reading.close()
    return taken


async def test_filtered_numbers_are_holes_announced_by_the_journal(tmp_path: Path) -> None:
    sparse = batch(3, [b"3", b"4", b"9"], numbers=[3, 4, 9])
    await write(tmp_path / "j", [start(), batch(0, [b"0"]), sparse, hole(12, 13), SessionEnd(A, 20)])
    assert await everything(tmp_path / "j", Start("earliest")) == [
        (SessionStart(A, "native", 0), "1--1"),
        (batch(0, [b"0"]), "1-0"),
        (Hole(A, 1, 2, "announced"), "1-2"),
        (batch(3, [b"3", b"4"]), "1-4"),
        (Hole(A, 5, 8, "announced"), "1-8"),
        (batch(9, [b"9"]), "1-9"),
        (Hole(A, 10, 11, "announced"), "1-11"),
        (Hole(A, 12, 13, "wire"), "1-13"),
        (Hole(A, 14, 19, "announced"), "1-19"),
        (SessionEnd(A, 20), "1-19"),
    ]


async def test_what_retention_took_before_the_reader_is_a_hole(tmp_path: Path) -> None:
    journal = storage(tmp_path / "j", max_messages=16)
    a = begin(journal)
    for first in range(40):
        journal.append([row(a, first, [b"m"])])
    trimmed = journal.streams("a")[0].trimmed
    journal.close()
    assert trimmed is not None
    resumed = await everything(tmp_path / "j", Start("latest", resume={"a": "1-9"}))
    assert resumed[:2] == [
        (SessionStart(A, "native", 10), "1-9"),
        (Hole(A, 10, trimmed, "before_window"), f"1-{trimmed}"),
    ]
    assert [item.last for item, _ in resumed[2:] if isinstance(item, MessageBatch)] == list(range(trimmed + 1, 40))
    earliest = await everything(tmp_path / "j", Start("earliest"))
    assert earliest[0][0] == SessionStart(A, "native", trimmed + 1)
    assert not any(isinstance(item, Hole) for item, _ in earliest)


async def test_retention_overtakes_a_reader_that_is_open(tmp_path: Path) -> None:
    journal = storage(tmp_path / "j", max_messages=16)
    a = begin(journal)
    for first in range(10):
        journal.append([row(a, first, [b"m"])])
    reading = source(tmp_path / "j")
    await reading.open(Start("earliest"))
    taken = list(await reading.read(2))
    for first in range(10, 60):
        journal.append([row(a, first, [b"m"])])
    while found := await reading.read(2):
        taken += found
    await reading.close()
    journal.close()
    numbers: list[int] = []
    for item, _ in taken[1:]:
        assert isinstance(item, MessageBatch | Hole)
        assert isinstance(item, MessageBatch) or item.reason == "before_window"
        numbers += range(item.first, item.last + 1)
    assert numbers == list(range(60))
    assert sum(isinstance(item, Hole) for item, _ in taken) == 1


async def test_channels_by_pattern(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(), batch(0, [b"a"])])
    await write(tmp_path / "j", [start(B), batch(0, [b"b"], B)], "b")
    found = await everything(tmp_path / "j", Start("earliest"), channels=["b*", "x"])
    assert [item for item, _ in found] == [SessionStart(B, "native", 0), batch(0, [b"b"], B)]


async def test_latest_is_for_channels_that_were_there(tmp_path: Path) -> None:
    journal, context = tmp_path / "j", FakeContext("s", tmp_path / "state")
    await write(journal, [start(), batch(0, [b"old", b"old"])])
    assert await everything(journal, Start("latest"), context) == [(SessionStart(A, "native", 2), "1-1")]
    # Nothing was acknowledged; meanwhile the quiet channel went on and another one came.
    await write(journal, [start(), batch(2, [b"new"])])
    await write(journal, [start(B), batch(0, [b"b"], B)], "b")
    found = await everything(journal, Start("latest"), context)
    assert [item for item, _ in found] == [
        SessionStart(A, "native", 2),
        batch(2, [b"new"]),
        SessionStart(B, "native", 0),
        batch(0, [b"b"], B),
    ]
    found = await everything(journal, Start("latest", resume={"b": "1-0"}), context)
    assert [item for item, _ in found] == [
        SessionStart(A, "native", 2),
        batch(2, [b"new"]),
        SessionStart(B, "native", 1),
    ]


async def test_a_channel_that_comes_while_it_follows_is_read_from_its_beginning(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    await write(journal, [start(), batch(0, [b"old"])])
    reading = source(journal, follow=True)
    await reading.open(Start("latest"))
    assert [item for item, _ in await reading.read(10)] == [SessionStart(A, "native", 1)]
    waiting = asyncio.ensure_future(reading.read(10))
    await write(journal, [start(B, 4), batch(4, [b"b"], B)], "b")
    assert [item for item, _ in await waiting] == [SessionStart(B, "native", 4), batch(4, [b"b"], B)]
    await reading.close()


async def test_positions_that_the_journal_does_not_reach_are_said_and_read_again(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(), batch(0, [b"x", b"y"])])
    for position in ("1-500", "7-0"):
        context = FakeContext("s", tmp_path / "state")
        found = await everything(tmp_path / "j", Start("earliest", resume={"a": position}), context)
        assert [item for item, _ in found] == [SessionStart(A, "native", 0), batch(0, [b"x", b"y"])]
        assert [event.code for event in context.events] == ["position_unknown"]
        assert position in context.events[0].text


async def test_streams_without_an_end_follow_each_other(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(A), batch(0, [b"x"]), start(A2, 3), batch(3, [b"y"], A2)])
    found = [item for item, _ in await everything(tmp_path / "j", Start("earliest"))]
    assert found == [
        SessionStart(A, "native", 0),
        batch(0, [b"x"]),
        SessionStart(A2, "native", 3),
        batch(3, [b"y"], A2),
    ]


async def test_a_time_is_looked_for_in_all_streams(tmp_path: Path) -> None:
    times = [batch(0, [b"x"], time=1 * SECOND), batch(1, [b"y"], time=2 * SECOND)]
    later = batch(0, [b"z"], A2, time=3 * SECOND)
    await write(tmp_path / "j", [start(A), *times, start(A2), later])
    expected: list[tuple[int, Callable[[], list[Item]]]] = [
        (2 * SECOND, lambda: [SessionStart(A, "native", 1), times[1], SessionStart(A2, "native", 0), later]),
        (3 * SECOND, lambda: [SessionStart(A2, "native", 0), later]),
        (4 * SECOND, lambda: [SessionStart(A2, "native", 1)]),
    ]
    for time_ns, items in expected:
        assert [item for item, _ in await everything(tmp_path / "j", Start("time", time_ns))] == items()


async def test_wrong_starts_are_configuration_errors(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(), batch(0, [b"x"])])
    for at in (Start("position", "x"), Start("position", "9-0"), Start("sequence", "many")):
        reading = source(tmp_path / "j")
        with pytest.raises(ConfigurationError):
            await reading.open(at)
        await reading.close()


async def test_a_journal_that_is_not_there_yet(tmp_path: Path) -> None:
    reading = source(tmp_path / "j")
    with pytest.raises(Unavailable, match="there is no journal"):
        await reading.open(Start("earliest"))
    await reading.close()


@pytest.mark.parametrize(("text", "parsed"), [("1-0", (1, 0)), ("12-99", (12, 99)), ("1--1", (1, -1))])
def test_positions(text: str, parsed: tuple[int, int]) -> None:
    assert parse_position(text) == parsed


def test_starts_are_of_one_journal(tmp_path: Path) -> None:
    starts = Starts(tmp_path / "state", tmp_path / "j")
    assert starts.load() is None
    starts.save({"a": "1-5"})
    assert starts.load() == {"a": "1-5"}
    assert Starts(tmp_path / "state", tmp_path / "other").load() is None
    (tmp_path / "state" / "journal-starts.json").write_text("{torn")
    assert starts.load() is None


def test_a_state_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(Unavailable, match=r"cannot keep .*journal-starts\.json"):
        Starts(tmp_path / "state", tmp_path / "j").save({})
