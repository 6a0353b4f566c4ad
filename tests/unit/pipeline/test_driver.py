"""The sink driver against sinks that work, fail, are full, refuse, forget, and break their contract. No time passes."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from bridge.api import (
    Capabilities,
    Hole,
    Item,
    Listener,
    MessageBatch,
    MessageLimits,
    Opened,
    Refused,
    SessionEnd,
    SessionStart,
    Stream,
    Unavailable,
)
from bridge.core.ledger import SinkLedger
from bridge.pipeline.backoff import Backoff
from bridge.pipeline.driver import SinkDriver
from bridge.pipeline.naming import Naming
from bridge.testing.clock import ManualClock
from bridge.testing.doubles.context import FakeContext
from bridge.testing.doubles.memory import Memory
from bridge.testing.doubles.sinks import MemorySink
from bridge.window.spool import RouteSpool
from bridge.window.window import Window, WindowSettings

S = Stream("c", b"session8")
T = Stream("c", b"session9")


class Rig:
    """A window, a driver, a system, and everything that was said. `sleeps` are wakened one by one."""

    def __init__(self, memory: Memory | None = None, make: Callable[[], Any] | None = None, **options: Any) -> None:
        self.memory = memory or Memory()
        self.clock = ManualClock()
        self.made: list[Any] = []
        self.events: list[str] = []
        self.losses: list[tuple[Stream, int, int, str]] = []
        self.sleeps: list[tuple[float, asyncio.Future[None]]] = []
        self.window = Window(
            "route",
            "c",
            WindowSettings(),
            ["sink"],
            spool=RouteSpool(0),
            blocking=FakeContext(inline=True).blocking,
            clock_ns=self.clock.monotonic_ns,
            emit=self.emit,
            run=1,
        )
        self.options = options
        self.driver = SinkDriver(
            "sink",
            "memory",
            "c",
            self.window.cursors["sink"],
            make or self.make,
            Naming("c", 1, self.emit),
            lambda stream, first, last, reason, sink: self.losses.append((stream, first, last, reason)),
            self.emit,
            Backoff(lambda: 0.0, first=0.2, cap=1.0),
            lookup=self.lookup,
            sleep=self.sleep,
            monotonic_ns=self.clock.monotonic_ns,
            time_ns=self.clock.time_ns,
        )
        self.task: asyncio.Task[None] | None = None

    def make(self) -> MemorySink:
        self.made.append(MemorySink(MemorySink.Options(memory=self.memory, **self.options)))
        made: MemorySink = self.made[-1]
        return made

    async def lookup(self, stream: Stream, number: int) -> bytes | None:
        return next((row.payload for row in self.memory.rows(stream) if row.number == number), None)

    def emit(self, code: str, severity: str, text: str, **fields: Any) -> None:
        self.events.append(code)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleeps.append((seconds, future))
        await future

    async def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.driver.run())
        await turns()

    async def wake(self) -> float:
        """End the oldest sleep; returns how long it would have been."""
        seconds, future = self.sleeps.pop(0)
        if not future.done():
            future.set_result(None)
        await turns()
        return seconds

    async def publish(self, *items: Item) -> None:
        self.window.append(items)
        self.driver.notify()
        await turns()

    def ledger(self, stream: Stream = S) -> SinkLedger:
        ledger = self.driver.ledgers[stream]
        assert ledger.problems() == []
        return ledger

    def stored(self, stream: Stream = S) -> list[int]:
        return [row.number for row in self.memory.rows(stream)]


async def turns(count: int = 60) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def batch(
    first: int, count: int, *, size: int = 5, stream: Stream = S, time_ns: int = 0, mark: bytes = b"x"
) -> MessageBatch:
    return MessageBatch(stream, first, [mark * size for _ in range(count)], time_ns)


def start(first: int = 1, stream: Stream = S) -> SessionStart:
    return SessionStart(stream, "native", first)


async def test_what_is_offered_is_stored_and_counted() -> None:
    rig = Rig()
    await rig.start()
    wall = rig.clock.time_ns()
    rig.clock.advance(0.003)
    await rig.publish(
        start(5), batch(5, 3, time_ns=wall), Hole(S, 8, 9, "wire"), batch(10, 1, time_ns=wall), SessionEnd(S, 11)
    )
    assert rig.stored() == [5, 6, 7, 10]
    assert rig.memory.holes(S) == [Hole(S, 8, 9, "wire")]
    ledger = rig.ledger()
    assert (ledger.base, ledger.end, ledger.published, ledger.missing, ledger.pending) == (5, 11, 4, 2, 0)
    assert rig.memory.streams("c")[0].end == 11
    row = rig.driver.status()
    assert row.up
    assert row.pending_messages == {"memory": 0, "disk": 0, "in_flight": 0}
    assert row.publish_latency["count"] == 4
    assert row.publish_latency["0.005"] == 4
    assert row.publish_latency["0.0025"] == 0
    assert rig.losses == []


async def test_an_absent_sink_is_said_once_and_tried_with_back_off() -> None:
    rig = Rig()
    rig.memory.stop(Unavailable("connection refused"))
    await rig.start()
    await rig.publish(start(), batch(1, 3))
    assert [await rig.wake() for _ in range(4)] == [0.1, 0.2, 0.4, 0.5]
    assert rig.events == ["sink_unavailable"]
    assert rig.driver.status().error == "connection refused"
    assert rig.ledger().pending == 3
    rig.memory.start()
    await rig.wake()
    assert rig.stored() == [1, 2, 3]
    assert rig.events == ["sink_unavailable", "sink_up"]
    assert rig.driver.status().error is None


async def test_a_refusing_sink_is_tried_each_30_seconds() -> None:
    rig = Rig()
    rig.memory.stop(Refused("no permission", hint="grant it"))
    await rig.start()
    assert [await rig.wake() for _ in range(3)] == [30.0, 30.0, 30.0]
    assert rig.events == ["sink_refused"]


async def test_only_an_acknowledgement_ends_the_rise_of_the_back_off() -> None:
    rig = Rig(failing=1.0)
    await rig.start()
    await rig.publish(start(), batch(1, 1))
    waits = [await rig.wake() for _ in range(4)]
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]


async def test_at_most_two_sink_batches_are_unacknowledged() -> None:
    rig = Rig(manual=True)
    await rig.start()
    for first in range(1, 6):
        await rig.publish(batch(first, 1, time_ns=first * 10**9))
    sink = rig.made[0]
    taken = [item for item in sink.submitted if isinstance(item, MessageBatch)]
    assert [item.first for item in taken] == [1, 2]
    sink.commit()
    await turns()
    taken = [item for item in sink.submitted if isinstance(item, MessageBatch)]
    assert [item.first for item in taken] == [1, 2, 3, 4, 5], "what waited meanwhile is one sink batch"
    assert rig.ledger().published == 2


async def test_a_full_sink_gets_the_rest_after_the_next_acknowledgement() -> None:
    rig = Rig(manual=True, capacity=1)
    await rig.start()
    await rig.publish(start(), batch(1, 2), Hole(S, 3, 3, "wire"), batch(4, 1))
    sink = rig.made[0]
    assert len(sink.submitted) == 2
    for expected in ([1, 2], [1, 2], [1, 2, 4]):
        sink.commit()
        await turns()
        assert rig.stored() == expected
    assert rig.ledger().published == 3


async def test_after_a_failure_it_goes_on_at_the_tail() -> None:
    rig = Rig(manual=True)
    await rig.start()
    await rig.publish(start(), batch(1, 2), Hole(S, 3, 3, "wire"), batch(4, 2))
    rig.memory.fail_next(stored=3)
    rig.made[0].commit()
    await turns()
    assert rig.stored() == [1, 2]
    assert rig.ledger().pending == 5
    await rig.wake()
    resent = [item for item in rig.made[1].submitted if isinstance(item, MessageBatch | Hole)]
    assert resent == [batch(4, 2)]
    rig.made[1].commit()
    await turns()
    ledger = rig.ledger()
    assert (ledger.published, ledger.missing, ledger.present) == (4, 1, 0)
    assert rig.events.count("tail_moved") == 0


async def test_what_a_peer_wrote_meanwhile_is_present() -> None:
    rig = Rig()
    await rig.start()
    await rig.publish(start(), batch(1, 2))
    rig.made[0].fail()
    rig.memory.write("c", [batch(3, 2)])
    await rig.publish(batch(3, 4))
    await rig.wake()
    assert rig.stored() == [1, 2, 3, 4, 5, 6]
    ledger = rig.ledger()
    assert (ledger.published, ledger.present) == (4, 2)
    assert "tail_moved" in rig.events


async def test_the_gap_up_to_the_window_is_a_hole_and_a_loss() -> None:
    memory = Memory()
    memory.write("c", [start(), batch(1, 10)])
    rig = Rig(memory)
    await rig.publish(start(15), batch(15, 2))
    await rig.start()
    assert rig.memory.holes(S) == [Hole(S, 11, 14, "before_window")]
    assert rig.losses == [(S, 11, 14, "before_window")]
    ledger = rig.ledger()
    assert (ledger.base, ledger.end, ledger.published, ledger.dropped["before_window"]) == (11, 17, 2, 4)


async def test_a_start_without_messages_opens_the_gap_too() -> None:
    memory = Memory()
    memory.write("c", [start(), batch(1, 10)])
    rig = Rig(memory)
    await rig.start()
    await rig.publish(start(15))
    assert rig.losses == [(S, 11, 14, "before_window")]
    assert rig.ledger().dropped["before_window"] == 4


async def test_what_the_sink_has_is_below_its_base() -> None:
    memory = Memory()
    memory.write("c", [start(), batch(1, 10)])
    rig = Rig(memory)
    await rig.start()
    await rig.publish(start(6), batch(6, 9))
    assert rig.stored() == list(range(1, 15))
    ledger = rig.ledger()
    assert (ledger.base, ledger.end, ledger.published, ledger.below_base) == (11, 15, 4, 5)
    assert rig.losses == []


async def test_the_same_session_with_other_bytes_is_a_restart() -> None:
    memory = Memory()
    memory.write("c", [start(), batch(1, 10)])
    rig = Rig(memory)
    await rig.start()
    await rig.publish(start(6), batch(6, 2, mark=b"other"), SessionEnd(S, 8))
    again = S._replace(restart=1)
    assert rig.stored(again) == [6, 7]
    assert rig.stored() == list(range(1, 11))
    assert rig.memory.streams("c")[1].end == 8
    assert "stream_restarted" in rig.events
    assert rig.ledger(again).published == 2


async def test_messages_above_the_limit_become_holes() -> None:
    rig = Rig(max_message=10)
    await rig.start()
    mixed = MessageBatch(S, 1, [b"a", b"b" * 11, b"c" * 99, b"d", b"e" * 11], 0)
    await rig.publish(start(), mixed)
    assert rig.stored() == [1, 4]
    assert rig.memory.holes(S) == [Hole(S, 2, 3, "rejected"), Hole(S, 5, 5, "rejected")]
    assert rig.losses == [(S, 2, 3, "rejected"), (S, 5, 5, "rejected")]
    assert rig.ledger().rejected["size"] == 3


async def test_numbers_that_the_engine_took_out_are_filtered() -> None:
    rig = Rig()
    await rig.start()
    await rig.publish(start(), MessageBatch(S, 1, [b"a", b"b", b"c"], 0, [3, 4, 9]))
    assert rig.stored() == [3, 4, 9]
    ledger = rig.ledger()
    assert (ledger.published, ledger.filtered["only"], ledger.end) == (3, 6, 10)
    assert rig.losses == []


async def test_a_tail_that_fell_is_written_again_from_the_window() -> None:
    rig = Rig()
    await rig.start()
    await rig.publish(start(), batch(1, 3))
    await rig.publish(batch(4, 3))
    del rig.memory.log["c"][-1]
    rig.made[0].fail()
    await turns()
    await rig.wake()
    assert rig.stored() == [1, 2, 3, 4, 5, 6]
    assert rig.ledger().published == 6
    assert rig.losses == []
    assert "tail_moved" in rig.events


async def test_what_is_in_no_window_any_more_is_lost_by_the_broker() -> None:
    rig = Rig()
    await rig.start()
    await rig.publish(start(), batch(1, 3), Hole(S, 4, 4, "wire"))
    rig.clock.advance(6.0)
    await rig.publish(batch(5, 2))
    rig.memory.log["c"][1:] = []
    rig.made[0].fail()
    await turns()
    await rig.wake()
    assert rig.stored() == [5, 6]
    assert rig.losses == [(S, 1, 3, "broker_lost")]
    ledger = rig.ledger()
    assert (ledger.published, ledger.missing, ledger.dropped["broker_lost"]) == (2, 1, 3)
    assert [(h.first, h.last) for h in rig.memory.holes(S)] == [(1, 4)]


async def test_a_base_follows_a_tail_that_fell_below_it() -> None:
    memory = Memory()
    memory.write("c", [start(), batch(1, 5), batch(6, 5)])
    rig = Rig(memory)
    await rig.start()
    await rig.publish(start(11), batch(11, 2))
    del memory.log["c"][2:]
    rig.made[0].fail()
    await turns()
    await rig.wake()
    ledger = rig.ledger()
    assert (ledger.base, ledger.end, ledger.published, ledger.dropped["broker_lost"]) == (6, 13, 2, 5)
    assert rig.losses == [(S, 6, 10, "broker_lost")]
    assert rig.stored() == [*range(1, 6), 11, 12]


async def test_a_system_that_was_emptied_gets_its_streams_again() -> None:
    rig = Rig()
    await rig.start()
    await rig.publish(start(), batch(1, 2), SessionEnd(S, 3), start(1, T), batch(1, 2, stream=T))
    rig.memory.log.clear()
    rig.made[0].fail()
    await turns()
    await rig.wake()
    assert [info.stream for info in rig.memory.streams("c")] == [S, T]
    assert (rig.stored(S), rig.stored(T)) == ([1, 2], [1, 2])
    assert rig.losses == []


async def test_nobody_appends_to_a_stream_once_a_newer_one_has_begun() -> None:
    memory = Memory()
    rig = Rig(memory)
    await rig.publish(start(), batch(1, 2), SessionEnd(S, 3), start(1, T), batch(1, 2, stream=T))
    memory.write("c", [start(1, T), batch(1, 1, stream=T)])  # a peer went on
    await rig.start()
    assert rig.stored(S) == []
    assert rig.stored(T) == [1, 2]
    assert rig.losses == [(S, 1, 2, "session_end")]
    assert rig.ledger(S).missing == 2


async def test_a_stranger_s_stream_is_named() -> None:
    rig = Rig()
    await rig.start()
    await rig.publish(start(), batch(1, 2))
    rig.memory.write("c", [start(1, T), batch(1, 1, stream=T)])
    rig.made[0].fail()
    await turns()
    await rig.wake()
    assert "tail_moved" in rig.events
    assert rig.ledger().published == 2


class Eager:
    """A sink that acknowledges within submit, and can be told to break its contract."""

    capabilities: ClassVar[Capabilities] = Capabilities()
    columns: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, broken: Exception | None = None) -> None:
        self.broken = broken
        self.taken = 0
        self.closed: list[bool] = []
        self.listener: Listener | None = None

    async def open(self, channel: str, listener: Listener) -> Opened | None:
        self.listener = listener
        return None

    def limits(self) -> MessageLimits:
        return MessageLimits(100)

    def submit(self, item: Item) -> bool:
        if self.broken is not None:
            raise self.broken
        if isinstance(item, MessageBatch):
            assert self.listener is not None
            self.taken += 1
            self.listener.on_acknowledged(item.stream, item.last)
        return True

    async def close(self, drain: bool) -> None:
        self.closed.append(drain)


async def test_an_eager_sink_does_not_hold_the_loop() -> None:
    sink = Eager()
    rig = Rig(make=lambda: sink)
    await rig.start()
    rig.window.append([batch(first, 1, time_ns=first * 10**9) for first in range(1, 100_000, 4096)])
    rig.window.append([batch(200_000, 4096, size=1), batch(204_096, 4096, size=1)] * 5)
    before = sink.taken
    rig.driver.notify()
    assert 0 < sink.taken - before < 40, "the rest is left to later turns"
    await turns(200)
    assert rig.window.cursors["sink"].idle


async def test_a_connector_that_breaks_is_closed_and_tried_again() -> None:
    sinks = [Eager(ValueError("its own mistake")), Eager()]
    left = iter(sinks)
    rig = Rig(make=lambda: next(left))
    await rig.start()
    await rig.publish(start(), batch(1, 2))
    assert rig.events[-1] == "sink_failed"
    assert sinks[0].closed == [False]
    await rig.wake()
    assert rig.ledger().published == 2


async def test_a_connector_that_cannot_be_made_is_tried_again() -> None:
    def make() -> Eager:
        raise RuntimeError("no")

    rig = Rig(make=make)
    await rig.start()
    await rig.wake()
    assert rig.events == ["sink_failed"]


async def test_drain_waits_for_the_last_acknowledgement() -> None:
    rig = Rig(manual=True)
    await rig.start()
    await rig.publish(start(), batch(1, 2), SessionEnd(S, 3))
    draining = asyncio.get_running_loop().create_task(rig.driver.drain(10.0))
    await turns()
    assert not draining.done()
    rig.made[0].commit()
    await turns()
    assert draining.done()
    await rig.driver.close()
    assert rig.made[0].closed
    assert rig.task is not None
    assert rig.task.done()


async def test_drain_ends_with_its_time_and_the_rest_stays_in_the_window() -> None:
    rig = Rig(manual=True)
    await rig.start()
    await rig.publish(start(), batch(1, 2))
    draining = asyncio.get_running_loop().create_task(rig.driver.drain(10.0))
    await turns()
    assert await rig.wake() == 10.0
    await draining
    await rig.driver.close()
    assert rig.ledger().pending == 2
    assert rig.window.cursors["sink"].backlog.memory_messages == 2
    await rig.window.park(1.0)
    assert rig.losses == [(S, 1, 2, "shutdown")]
    assert rig.ledger().dropped["shutdown"] == 2


async def test_it_can_be_closed_while_it_opens() -> None:
    rig = Rig()
    rig.memory.opening = asyncio.Event()
    await rig.start()
    await rig.publish(start(), batch(1, 2))
    await rig.driver.close()
    assert rig.made[0].closed
    assert rig.ledger().pending == 2
    await rig.driver.close()


async def test_a_drain_without_anything_to_do_returns_at_once() -> None:
    rig = Rig()
    rig.memory.stop()
    await rig.start()
    await rig.driver.drain(10.0)
    await rig.driver.close()


async def test_an_overload_while_the_sink_was_never_open_is_named_when_its_tail_is_known() -> None:
    memory = Memory()
    memory.write("c", [start(), batch(1, 20)])
    rig = Rig(memory)
    cursor = rig.window.cursors["sink"]
    await rig.publish(start(11), batch(11, 30))
    stream = rig.window.streams[0]
    cursor.lose([cursor.backlog.memory[-1]], "overload")
    assert rig.ledger().dropped["overload"] == 30
    assert rig.losses == []
    await rig.publish(batch(41, 2))
    await rig.start()
    assert rig.losses == [(S, 21, 40, "overload")], "11 to 20 are in the sink"
    ledger = rig.ledger()
    assert (ledger.base, ledger.published, ledger.dropped["overload"], ledger.below_base) == (21, 2, 20, 10)
    assert cursor.pending(stream) == 0


@pytest.mark.parametrize("count", [100])
async def test_rows_of_old_streams_are_summed(count: int) -> None:
    rig = Rig()
    await rig.start()
    for restart in range(count):
        stream = S._replace(restart=restart)
        await rig.publish(start(1, stream), batch(1, 2, stream=stream), SessionEnd(stream, 3))
    rows = rig.driver.status().streams
    assert len(rows) <= 66
    assert rows[0].session == "older"
    assert sum(row.published for row in rows) == 2 * count
    assert all((row.end or 0) - (row.base or 0) == row.published for row in rows)
