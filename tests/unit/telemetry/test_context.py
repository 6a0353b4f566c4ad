import asyncio
import threading
from pathlib import Path

import pytest

from bridge.api import Context
from bridge.telemetry.context import BlockingCalls, EngineContext
from bridge.telemetry.counters import MAX_SERIES, Counters
from bridge.telemetry.events import Events


@pytest.fixture
def events() -> Events:
    return Events(lambda *line: None)


@pytest.fixture
def calls():
    calls = BlockingCalls(2)
    yield calls
    calls.close()


@pytest.fixture
def context(events: Events, calls: BlockingCalls, tmp_path: Path) -> EngineContext:
    return EngineContext("archive", tmp_path, events, Counters(), calls)


def test_it_is_a_context(context: EngineContext) -> None:
    checked: Context = context
    assert checked.name == "archive"


def test_events_name_their_table(calls: BlockingCalls, tmp_path: Path) -> None:
    lines: list[tuple[object, ...]] = []
    context = EngineContext("archive", tmp_path, Events(lambda *line: lines.append(line)), Counters(), calls)
    context.emit("sink_up", "info", "open", channel="c")
    assert lines == [("info", "sink_up", "open", {"table": "archive", "channel": "c"})]


async def test_blocking_calls_run_in_another_thread_and_raise_what_they_raise(context: EngineContext) -> None:
    assert await context.blocking(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await context.blocking(lambda: 1 // 0)


async def test_a_cancelled_caller_does_not_stop_a_call_that_was_begun(context: EngineContext) -> None:
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    go, done = threading.Event(), threading.Event()

    def call() -> None:
        loop.call_soon_threadsafe(begun.set)
        go.wait(10)
        done.set()

    task = asyncio.create_task(context.blocking(call))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert done.wait(10)


async def test_shared_is_made_once_and_closed_last_first(context: EngineContext, events: Events) -> None:
    closed: list[str] = []

    class Plain:
        def close(self) -> None:
            closed.append("plain")

    class Async:
        async def close(self) -> None:
            closed.append("async")

    class Failing:
        def close(self) -> None:
            raise OSError("no")

    first = context.shared("plain", Plain)
    assert context.shared("plain", lambda: pytest.fail("made twice")) is first
    context.shared("failing", Failing)
    context.shared("async", Async)
    context.shared("nothing to close", object)
    await context.close()
    await context.close()
    assert closed == ["async", "plain"]
    assert events.counts == {"internal_error": 1}


def test_counters_are_the_same_for_the_same_labels() -> None:
    counters = Counters()
    counters.counter("a", "commits", {"kind": "x"}).add(2)
    counters.counter("a", "commits", {"kind": "x"}).add()
    counters.counter("b", "commits", {}).add(5)
    assert counters.rows() == {
        "commits": [{"labels": {"table": "a", "kind": "x"}, "value": 3}, {"labels": {"table": "b"}, "value": 5}]
    }


def test_a_counter_only_rises() -> None:
    with pytest.raises(ValueError, match="only rises"):
        Counters().counter("a", "commits", {}).add(-1)


@pytest.mark.parametrize("name", ["Upper", "with-dash", "", "published_messages", "1x", "x" * 65])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Counters().counter("a", name, {})


@pytest.mark.parametrize("label", ["session", "address", "table", "Upper", "le"])
def test_labels_that_cannot_be(label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        Counters().counter("a", "commits", {label: "x"})


def test_series_are_capped_and_nothing_is_lost() -> None:
    counters = Counters()
    for number in range(MAX_SERIES + 10):
        counters.counter("a", "commits", {"key": str(number)}).add()
    rows = counters.rows()["commits"]
    assert len(rows) == MAX_SERIES + 1
    assert sum(row["value"] for row in rows) == MAX_SERIES + 10
