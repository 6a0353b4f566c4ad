"""Windows and cursors: order, merging, independence, overload, disk, what falls back, parking."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bridge.api import Hole, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.testing.clock import ManualClock
from bridge.testing.doubles.context import FakeContext
from bridge.window.cursor import Cursor
from bridge.window.entry import MESSAGE_OVERHEAD
from bridge.window.segments import SegmentFormatError
from bridge.window.spool import RouteSpool
from bridge.window.window import STREAMS, Window, WindowSettings

S = Stream("c", b"session8")
MS = 1_000_000


class Rig:
    """A window with what it needs, and what it said."""

    def __init__(self, sinks: list[str], *, spool: int = 0, run: int = 1, **settings: Any) -> None:
        self.clock = ManualClock()
        self.context = FakeContext(inline=True)
        self.events: list[str] = []
        self.lost: dict[str, list[tuple[int, int, str]]] = {sink: [] for sink in sinks}
        self.window = Window(
            "route",
            "c",
            WindowSettings(**settings),
            sinks,
            spool=RouteSpool(spool),
            blocking=self.context.blocking,
            clock_ns=self.clock.monotonic_ns,
            emit=lambda code, severity, text: self.events.append(code),
            run=run,
        )
        for sink, cursor in self.window.cursors.items():
            cursor.on_lost = self._note(sink)

    def _note(self, sink: str) -> Callable[[Any, int, int, str], None]:
        return lambda stream, first, last, reason: self.lost[sink].append((first, last, reason))

    def cursor(self, sink: str = "a") -> Cursor:
        return self.window.cursors[sink]


def batch(first: int, count: int, *, size: int = 10, time_ns: int = 0, stream: Stream = S) -> MessageBatch:
    return MessageBatch(stream, first, [b"x" * size] * count, time_ns)


def numbers(items: list[Item]) -> list[int]:
    return [n for item in items if isinstance(item, MessageBatch | Hole) for n in range(item.first, item.last + 1)]


def files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.segment"))


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_batches_that_waited_are_merged_and_those_offered_are_not_changed() -> None:
    rig = Rig(["a", "b"])
    first, second = batch(1, 2), batch(3, 2, time_ns=99 * MS)
    rig.window.append([SessionStart(S, "native", 1), first, second, Hole(S, 5, 6, "wire"), batch(7, 1)])
    items = rig.cursor("a").next()
    assert [type(item).__name__ for item in items] == ["SessionStart", "MessageBatch", "Hole", "MessageBatch"]
    assert numbers(items) == [1, 2, 3, 4, 5, 6, 7]
    assert (len(first.payloads), len(second.payloads)) == (2, 2)
    assert numbers(rig.cursor("b").next()) == [1, 2, 3, 4, 5, 6, 7]


def test_a_lone_batch_is_handed_on_as_it_is() -> None:
    rig = Rig(["a"])
    one = batch(1, 3)
    rig.window.append([one])
    assert rig.cursor().next() == [one]
    assert rig.cursor().next() == []


def test_batches_far_apart_in_time_stay_apart() -> None:
    rig = Rig(["a"])
    rig.window.append([batch(1, 1), batch(2, 1, time_ns=101 * MS)])
    assert [item.time_ns for item in rig.cursor().next() if isinstance(item, MessageBatch)] == [0, 101 * MS]


def test_limits_hold_and_a_batch_above_them_comes_in_pieces() -> None:
    rig = Rig(["a"])
    rig.window.append([batch(1, 10_000, size=1), batch(10_001, 3, size=600_000)])
    cursor = rig.cursor()
    taken = [numbers(cursor.next()) for _ in range(6)]
    assert [len(n) for n in taken] == [4096, 4096, 1809, 1, 1, 0]
    assert [n for part in taken for n in part] == list(range(1, 10_004))
    assert numbers(cursor.next()) == []


def test_one_take_is_of_one_stream() -> None:
    rig = Rig(["a"])
    other = S._replace(restart=1)
    rig.window.append([batch(1, 2), SessionEnd(S, 3), SessionStart(other, "native", 1), batch(1, 1, stream=other)])
    cursor = rig.cursor()
    assert {item.stream for item in cursor.next()} == {S}
    assert cursor.stream is not None
    assert cursor.stream.stream == S
    assert {item.stream for item in cursor.next()} == {other}


def test_what_failed_comes_back_from_the_acknowledged_prefix() -> None:
    rig = Rig(["a"])
    rig.window.append([batch(1, 4), batch(5, 4, time_ns=10**9)])
    cursor = rig.cursor()
    cursor.next()
    cursor.acknowledge(S, 6)
    assert cursor.flight_messages == 4
    assert cursor.pending(rig.window.streams[0]) == 2
    cursor.rewind()
    assert numbers(cursor.next()) == [7, 8]


def test_what_was_passed_is_kept_for_a_tail_that_falls() -> None:
    rig = Rig(["a"], keep=5.0)
    cursor = rig.cursor()
    for first in (1, 3, 5):
        rig.window.append([batch(first, 2)])
        cursor.next()
        cursor.acknowledge(S, first + 1)
        rig.clock.advance(3.0)
    stream = rig.window.streams[0]
    assert cursor.rewind({stream: 2}) == {stream: [(3, 4), (5, 6)]}, "1 and 2 are older than 5 s by now"
    assert cursor.pending(stream) == 4
    assert numbers(cursor.next()) == [3, 4, 5, 6]


def test_an_end_without_numbers_is_said_again_after_a_failure() -> None:
    rig = Rig(["a"])
    rig.window.append([batch(1, 2), SessionEnd(S, 3)])
    cursor = rig.cursor()
    cursor.next()
    cursor.acknowledge(S, 2)
    assert cursor.idle
    cursor.rewind()
    assert cursor.next() == [SessionEnd(S, 3)]


def test_what_the_sink_has_is_not_offered() -> None:
    rig = Rig(["a"])
    rig.window.append([batch(1, 4), batch(5, 4, time_ns=10**9)])
    cursor, stream = rig.cursor(), rig.window.streams[0]
    assert cursor.skip(stream, 7) == 6
    assert cursor.pending(stream) == cursor.count(stream) == 2
    assert numbers(cursor.next()) == [7, 8]


def test_a_slow_sink_loses_its_oldest_and_no_other_sink_anything() -> None:
    rig = Rig(["slow", "quick"], memory=20_000)
    for first in range(1, 1001, 10):
        rig.window.append([batch(first, 10)])
        rig.cursor("quick").next()
        rig.cursor("quick").acknowledge(S, first + 9)
    lost = rig.lost["slow"]
    assert rig.lost["quick"] == []
    assert [reason for _, _, reason in lost] == ["overload"] * len(lost)
    assert lost[0][0] == 1
    assert all(last + 1 == first for (_, last, _), (first, _, _) in pairwise(lost))
    left = numbers(rig.cursor("slow").next())
    assert left == list(range(lost[-1][1] + 1, 1001))
    assert len(left) * (10 + MESSAGE_OVERHEAD) <= 10_000
    assert rig.events == ["overload"]


def test_drop_newest_keeps_the_beginning() -> None:
    rig = Rig(["a"], memory=10 * (10 + MESSAGE_OVERHEAD), overload="drop-newest")
    rig.window.append([batch(1, 8), batch(9, 8), Hole(S, 17, 18, "wire"), batch(19, 1)])
    assert rig.lost["a"] == [(9, 16, "overload")]
    assert numbers(rig.cursor().next()) == [*range(1, 9), 17, 18, 19]


def test_stop_takes_in_no_more_and_says_so() -> None:
    rig = Rig(["a"], memory=10 * (10 + MESSAGE_OVERHEAD), overload="stop")
    said: list[bool] = []
    rig.window.on_stop = lambda: said.append(rig.window.stopped)
    rig.window.append([batch(1, 8), batch(9, 8), batch(17, 1)])
    assert said == [True]
    assert rig.lost["a"] == [(9, 16, "overload"), (17, 17, "overload")]
    assert numbers(rig.cursor().next()) == list(range(1, 9))


def test_a_source_that_can_wait_loses_nothing() -> None:
    rig = Rig(["a"], memory=10 * (10 + MESSAGE_OVERHEAD), overload="wait")
    rig.window.append([batch(1, 8), batch(9, 8)])
    assert rig.window.full
    assert rig.lost["a"] == []
    assert numbers(rig.cursor().next()) == list(range(1, 17))
    assert not rig.window.full


async def test_memory_then_disk_then_in_order_again(tmp_path: Path) -> None:
    rig = Rig(["a"], spool=10**7, memory=20_000, directory=tmp_path)
    cursor = rig.cursor()
    for first in range(1, 2001, 10):
        rig.window.append([batch(first, 10, size=50)])
        await turns(4)
    backlog = cursor.backlog
    assert backlog.disk_messages > 1500
    assert backlog.memory_bytes <= 20_000
    assert backlog.disk_messages + backlog.memory_messages == 2000
    assert files(tmp_path)
    seen: list[int] = []
    ready: list[bool] = []
    cursor.on_ready = lambda: ready.append(True)
    while len(seen) < 2000:
        items = cursor.next()
        seen += numbers(items)
        if items:
            cursor.acknowledge(S, seen[-1])
        await turns(2)
    assert seen == list(range(1, 2001))
    assert ready
    assert rig.lost["a"] == []
    await turns()
    assert backlog.spooled == 0
    assert files(tmp_path) == [], "an emptied spool takes no space"
    await rig.window.close()


async def test_a_full_spool_gives_its_oldest(tmp_path: Path) -> None:
    rig = Rig(["a"], spool=40_000, memory=20_000, directory=tmp_path)
    for first in range(1, 2001, 10):
        rig.window.append([batch(first, 10, size=50)])
        await turns(4)
    lost = rig.lost["a"]
    assert lost[0][0] == 1
    assert {reason for _, _, reason in lost} == {"overload"}
    assert all(last + 1 == first for (_, last, _), (first, _, _) in pairwise(lost))
    assert rig.cursor().backlog.spooled <= 40_000
    stream = rig.window.streams[0]
    assert rig.cursor().pending(stream) == rig.cursor().count(stream) == 2000 - lost[-1][1]
    await rig.window.close()


async def test_a_disk_that_fails_is_said_once_and_memory_carries_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(["a"], spool=10**7, memory=20_000, directory=tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.writev", full)
    for first in range(1, 101, 10):
        rig.window.append([batch(first, 10, size=50)])
        await turns(4)
    assert rig.events == ["spool_failed"]
    assert rig.lost["a"] == []
    monkeypatch.undo()
    rig.clock.advance(11.0)
    rig.window.append([batch(101, 10, size=50)])
    await turns()
    assert rig.events == ["spool_failed", "spool_recovered"]
    assert rig.cursor().backlog.disk_messages > 0
    await rig.window.close()


async def test_a_damaged_chunk_is_named_and_what_follows_is_read(tmp_path: Path) -> None:
    rig = Rig(["a"], spool=10**7, memory=8_000, directory=tmp_path)
    for first in range(1, 201, 10):
        rig.window.append([batch(first, 10, size=50)])
        await turns(4)
    path = files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    cursor = rig.cursor()
    seen: list[int] = []
    for _ in range(200):
        items = cursor.next()
        seen += numbers(items)
        if items:
            cursor.acknowledge(S, seen[-1])
        await turns(3)
    assert rig.events == ["spool_damaged"]
    gone = [n for first, last, _ in rig.lost["a"] for n in range(first, last + 1)]
    assert gone
    assert gone + seen == list(range(1, 201))
    assert {reason for _, _, reason in rig.lost["a"]} == {"before_window"}
    await rig.window.close()


async def test_what_is_parked_is_offered_again_before_what_is_new(tmp_path: Path) -> None:
    rig = Rig(["a", "b"], spool=10**7, memory=8_000, directory=tmp_path)
    rig.window.append([SessionStart(S, "native", 1)])
    for first in range(1, 201, 10):
        rig.window.append([batch(first, 10, size=50)])
        await turns(4)
    for sink in ("a", "b"):
        cursor = rig.cursor(sink)
        while numbers(cursor.next())[-1:] == []:
            await turns(2)
    rig.cursor("a").acknowledge(S, 7)
    for _ in range(100):
        items = rig.cursor("b").next()
        await turns(2)
    del items
    rig.cursor("b").acknowledge(S, 200)
    await rig.window.park(1.0)
    assert rig.lost == {"a": [], "b": []}

    again = Rig(["a", "b"], spool=10**7, memory=8_000, directory=tmp_path, run=2)
    await again.window.restore()
    again.window.append([SessionStart(S, "native", 205), batch(205, 2)])
    seen: list[int] = []
    for _ in range(200):
        seen += numbers(again.cursor("a").next())
        await turns(3)
    assert seen == [*range(8, 201), 205, 206]
    assert numbers(again.cursor("b").next()) == [205, 206]
    assert [(s.run, s.order) for s in again.window.streams] == [(1, 0), (2, 1)]
    await again.window.close()


async def test_without_a_disk_the_end_of_the_run_names_what_waited() -> None:
    rig = Rig(["a"])
    rig.window.append([batch(1, 4), Hole(S, 5, 5, "wire"), batch(6, 1)])
    rig.cursor().next()
    rig.cursor().acknowledge(S, 2)
    await rig.window.park(1.0)
    assert rig.lost["a"] == [(3, 4, "shutdown"), (5, 5, "wire"), (6, 6, "shutdown")]


async def test_a_window_beside_an_arrival_log_parks_nothing(tmp_path: Path) -> None:
    rig = Rig(["a"], spool=10**6, directory=tmp_path, persistent=True)
    rig.window.append([batch(1, 4)])
    await rig.window.park(1.0)
    assert rig.lost["a"] == []
    assert not files(tmp_path)


async def test_parked_files_of_a_newer_format_are_refused(tmp_path: Path) -> None:
    rig = Rig(["a"], spool=10**6, directory=tmp_path)
    rig.window.append([batch(1, 4)])
    await rig.window.park(1.0)
    path = files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[8] = 9
    path.write_bytes(data)
    again = Rig(["a"], spool=10**6, directory=tmp_path, run=2)
    with pytest.raises(SegmentFormatError, match="has format 9"):
        await again.window.restore()


async def test_a_sink_that_is_gone_leaves_a_named_directory(tmp_path: Path) -> None:
    rig = Rig(["a"], spool=10**6, directory=tmp_path)
    rig.window.append([batch(1, 4)])
    await rig.window.park(1.0)
    again = Rig(["b"], spool=10**6, directory=tmp_path, run=2)
    await again.window.restore()
    assert again.events == ["spool_orphaned"]


def test_old_streams_are_forgotten_when_nothing_of_them_waits() -> None:
    rig = Rig(["a"])
    for restart in range(3 * STREAMS):
        stream = S._replace(restart=restart)
        rig.window.append([SessionStart(stream, "native", 1), batch(1, 1, stream=stream), SessionEnd(stream, 2)])
        rig.cursor().next()
        rig.cursor().acknowledge(stream, 1)
    assert len(rig.window.streams) <= STREAMS + 2
    assert rig.window.passed(S) is None, "passed long ago"
    assert rig.window.passed(S._replace(restart=9999)) == 0, "never seen"
    assert rig.window.passed(S._replace(restart=3 * STREAMS - 1)) == 2
