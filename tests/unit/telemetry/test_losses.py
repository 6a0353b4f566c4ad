import asyncio
import errno
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.telemetry import losses as module
from bridge.telemetry.events import Events
from bridge.telemetry.losses import KEPT, Losses, append
from bridge.telemetry.status import Loss


def loss(first: int, last: int, **changes: object) -> Loss:
    values: dict[str, object] = {"channel": "c", "session": "17", "restart": 0, "reason": "wire"}
    return Loss.model_validate(values | {"first": first, "last": last} | changes)


async def inline(call: Callable[[], None]) -> None:
    call()


@pytest.fixture
def events() -> Events:
    return Events(lambda *line: None)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)


def make(tmp_path: Path | None, events: Events, blocking: module.Blocking = inline) -> Losses:
    return Losses(tmp_path, blocking, events, now=lambda: 1795407950.337)


def written(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (path / "losses.jsonl").read_text().splitlines()]


async def test_a_range_is_kept_and_written(tmp_path: Path, events: Events) -> None:
    losses = make(tmp_path, events)
    losses.record(loss(5, 7, sink="cloud", reason="overload"))
    await losses.close()
    assert written(tmp_path) == [
        {
            "time": "2026-11-23T04:25:50.337Z",
            "channel": "c",
            "session": "17",
            "restart": 0,
            "first": 5,
            "last": 7,
            "reason": "overload",
            "sink": "cloud",
        }
    ]
    assert [(row.first, row.last) for row in losses.kept] == [(5, 7)]


async def test_ranges_that_continue_become_one(tmp_path: Path, events: Events) -> None:
    losses = make(tmp_path, events)
    for first, last, reason in ((1, 1, "wire"), (2, 4, "wire"), (5, 5, "reassembly"), (7, 7, "reassembly")):
        losses.record(loss(first, last, reason=reason))
    await losses.close()
    expected = [(1, 4, "wire"), (5, 5, "reassembly"), (7, 7, "reassembly")]
    assert [(row.first, row.last, row.reason) for row in losses.kept] == expected
    assert [(row["first"], row["last"], row["reason"]) for row in written(tmp_path)] == expected


async def test_memory_is_bounded_and_says_what_it_left_out(events: Events) -> None:
    losses = make(None, events)
    for number in range(KEPT + 5):
        losses.record(loss(number * 2, number * 2))
    await losses.close()
    assert (len(losses.kept), losses.left_out, losses.kept[0].first) == (KEPT, 5, 10)


async def test_what_the_disk_refuses_waits_and_is_written_once(tmp_path: Path, events: Events) -> None:
    refuse = [True]

    async def disk(call: Callable[[], None]) -> None:
        if refuse[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        call()

    losses = make(tmp_path, events, disk)
    losses.record(loss(1, 1))
    for _ in range(5):
        await asyncio.sleep(0)
    losses.record(loss(3, 3))
    assert events.counts == {"losses_not_written": 1}
    refuse[0] = False
    await losses.close()
    assert [row["first"] for row in written(tmp_path)] == [1, 3]


async def test_closing_while_a_write_runs_neither_loses_nor_repeats(tmp_path: Path, events: Events) -> None:
    go = asyncio.Event()

    async def slow(call: Callable[[], None]) -> None:
        await go.wait()
        call()

    losses = make(tmp_path, events, slow)
    losses.record(loss(1, 1))
    await asyncio.sleep(0)
    losses.record(loss(3, 3))
    closing = asyncio.create_task(losses.close())
    await asyncio.sleep(0)
    go.set()
    await closing
    assert [row["first"] for row in written(tmp_path)] == [1, 3]


def test_the_file_turns_over(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    for number in range(4):
        append(path, deque([(0.0, loss(number, number))]), 10)
    assert [row["first"] for row in written(tmp_path)] == [3]
    assert json.loads((tmp_path / "losses.jsonl.1").read_text())["first"] == 2


def test_a_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    path.write_bytes(b'{"time": "2026-')
    append(path, deque([(0.0, loss(1, 1))]), 10_000)
    torn, whole = path.read_text().splitlines()
    assert torn == '{"time": "2026-'
    assert json.loads(whole)["first"] == 1
