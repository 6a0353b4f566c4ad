"""The log of arrivals: one append a pass, read back in order, bounded, trimmed by what the sinks passed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bridge.api import Stream
from bridge.window.arrivals import ArrivalLog, RawPoint

T = TypeVar("T")
S = Stream("c", b"session8")


class Rig:
    """A log, and the core that it asks."""

    def __init__(self, directory: Path, *, limit: int = 10**8, gate: asyncio.Event | None = None) -> None:
        self.next = 0
        self.raw: RawPoint | None = None
        self.events: list[str] = []
        self.calls = 0
        self.now = 0.0
        self._gate = gate
        self.log = ArrivalLog(
            directory,
            limit=limit,
            blocking=self.blocking,
            emit=lambda code, severity, text: self.events.append(code),
            marks=lambda: [(S, self.next)],
            raw_point=lambda: self.raw,
            clock=lambda: self.now,
        )

    def blocking(self, call: Callable[[], T]) -> Awaitable[T]:
        async def run() -> T:
            self.calls += 1
            await asyncio.sleep(0)
            if self._gate is not None:
                await self._gate.wait()
            return call()

        return run()

    def receive(self, line: int, *datagrams: bytes, time_ns: int = 5) -> None:
        self.next += len(datagrams)
        if self.raw is not None:
            self.raw = self.raw._replace(next=self.raw.next + len(datagrams))
        self.log.accepted(line, datagrams, time_ns)

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def replayed(log: ArrivalLog) -> list[tuple[int, list[bytes], int]]:
    return [entry async for entry in log.replay()]


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.segment"))


def replaced(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


async def test_what_was_accepted_is_read_back_in_order(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    await rig.log.open()
    rig.log.replayed()
    rig.receive(1, b"b1", b"", time_ns=7)
    rig.receive(0, b"a1", time_ns=8)
    rig.log.end_pass()
    await rig.settle()
    rig.receive(0, b"a2", time_ns=9)
    rig.log.end_pass()
    await rig.log.close()
    again = Rig(tmp_path)
    assert await again.log.open() is None
    assert await replayed(again.log) == [(1, [b"b1", b""], 7), (0, [b"a1"], 8), (0, [b"a2"], 9)]


async def test_a_pass_is_one_write_and_passes_gather_while_one_is_under_way(tmp_path: Path) -> None:
    gate = asyncio.Event()
    rig = Rig(tmp_path, gate=gate)
    rig.log.replayed()
    for number in range(50):
        rig.receive(0, b"%d" % number)
        rig.receive(1, b"-%d" % number)
        rig.log.end_pass()
        await asyncio.sleep(0)
    assert rig.calls == 1
    rig.now = 0.25
    assert rig.log.lag == 0.25
    gate.set()
    await rig.settle()
    assert rig.calls == 2
    assert rig.log.lag == 0.0
    await rig.log.close()


async def test_an_idle_pass_writes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.log.end_pass()
    await rig.settle()
    assert rig.calls == 0


async def test_a_replay_comes_in_slices(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.log.replayed()
    sent = [b"%d" % n for n in range(1000)]
    rig.receive(0, *sent)
    rig.log.end_pass()
    await rig.log.close()
    again = Rig(tmp_path)
    await again.log.open()
    parts = await replayed(again.log)
    assert max(len(datagrams) for _, datagrams, _ in parts) <= 256
    assert [d for _, datagrams, _ in parts for d in datagrams] == sent


async def test_a_raw_session_goes_on_at_its_number(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limit=2**19)
    rig.raw = RawPoint(b"rawrawra", 1)
    await rig.log.open()
    rig.log.replayed()
    for _ in range(40):
        rig.receive(0, bytes(2000), bytes(2000))
        rig.log.end_pass()
        await rig.settle()
    await rig.log.close()
    numbers = []
    while files(tmp_path):
        again = Rig(tmp_path)
        point = await again.log.open()
        assert point is not None
        assert point.session == b"rawrawra"
        left = sum(len(datagrams) for _, datagrams, _ in await replayed(again.log))
        numbers.append((point.next, left))
        await again.log.close()
        files(tmp_path)[0].unlink()
    assert len(numbers) >= 2
    assert all(first + left == 81 for first, left in numbers), "each segment knows the number that it begins with"


async def test_a_segment_goes_when_every_sink_passed_what_was_known_at_its_end(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limit=2**19)
    await rig.log.open()
    rig.log.replayed()
    ends: list[int] = []
    while len(files(tmp_path)) < 3:
        count = len(files(tmp_path))
        rig.receive(0, bytes(5000))
        rig.log.end_pass()
        await rig.settle()
        if len(files(tmp_path)) > count >= 1:
            ends.append(rig.next)
    passed: dict[Stream, int | None] = {S: ends[0] - 1}
    rig.log.trim(lambda stream: passed[stream])
    await rig.settle()
    assert len(files(tmp_path)) == 3
    passed[S] = ends[0]
    rig.log.trim(lambda stream: passed[stream])
    await rig.settle()
    assert len(files(tmp_path)) == 2
    passed[S] = 10**9
    rig.log.trim(lambda stream: passed[stream])
    await rig.settle()
    assert len(files(tmp_path)) == 1, "the segment that is written stays"
    await rig.log.close()


async def test_what_was_read_back_goes_when_the_sinks_passed_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.log.replayed()
    rig.receive(0, b"x")
    rig.log.end_pass()
    await rig.log.close()
    again = Rig(tmp_path)
    await again.log.open()
    await replayed(again.log)
    again.log.trim(lambda _: 10**9)
    await again.settle()
    assert len(files(tmp_path)) == 1, "not before the core has said what it made of it"
    again.next = 1
    again.log.replayed()
    again.log.trim(lambda _: 0)
    await again.settle()
    assert len(files(tmp_path)) == 1
    again.log.trim(lambda _: 1)
    await again.settle()
    assert files(tmp_path) == []
    await again.log.close()


async def test_above_its_bound_the_oldest_goes_with_an_event(tmp_path: Path) -> None:
    rig = Rig(tmp_path, limit=2**19)
    rig.log.replayed()
    for _ in range(200):
        rig.receive(0, bytes(10_000))
        rig.log.end_pass()
        await rig.settle()
    assert "arrivals_trimmed" in rig.events
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 2**19 + 2 * 2**17
    await rig.log.close()


async def test_a_disk_that_fails_is_said_once_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path)
    rig.log.replayed()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.writev", full)
    for _ in range(3):
        rig.receive(0, b"a", b"b")
        rig.log.end_pass()
        await rig.settle()
    monkeypatch.undo()
    assert rig.events == ["arrivals_failed"]
    assert rig.log.lost_datagrams == 6
    rig.receive(0, b"c")
    rig.log.end_pass()
    await rig.log.close()
    assert rig.events == ["arrivals_failed", "arrivals_recovered"]
    again = Rig(tmp_path)
    await again.log.open()
    assert await replayed(again.log) == [(0, [b"c"], 5)]


async def test_damage_is_said(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.log.replayed()
    for payload in (b"first", b"second", b"third"):
        rig.receive(0, payload)
        rig.log.end_pass()
        await rig.settle()
    await rig.log.close()
    replaced(files(tmp_path)[0], b"second", b"sec0nd")
    again = Rig(tmp_path)
    await again.log.open()
    assert await replayed(again.log) == [(0, [b"first"], 5)]
    assert again.events == ["arrivals_damaged"]
