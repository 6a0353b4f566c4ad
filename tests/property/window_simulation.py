"""A seeded simulation of one route and channel: a publisher, a bridge that is parked and killed, and sinks that fail.

    python -m tests.property.window_simulation --seed 4711    # replay one run, with its story
    python -m tests.property.window_simulation --runs 3000    # many; a failure prints the line above

After every step: L5 holds for every stream of every sink, and what is counted as pending is what is there. At the end: what
a sink holds is in order, each number once, never of an earlier life of the publisher than before; and every number from the
base on is held, or a hole of the publisher's, or in one reported range. Time is a manual clock, the disk is real, nothing
sleeps.
"""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from bridge.api import (
    ConnectorError,
    Hole,
    Item,
    MessageBatch,
    Refused,
    SessionEnd,
    SessionStart,
    Stream,
    StreamInfo,
    Unavailable,
)
from bridge.pipeline.backoff import Backoff
from bridge.pipeline.driver import SinkDriver
from bridge.pipeline.naming import Naming
from bridge.testing.clock import ManualClock
from bridge.testing.doubles.context import FakeContext
from bridge.testing.doubles.memory import Memory
from bridge.testing.doubles.sinks import MemorySink
from bridge.window.spool import RouteSpool
from bridge.window.window import Window, WindowSettings

CHANNEL = "c"
MAX_MESSAGE = 200


class InvariantError(AssertionError):
    """The invariant does not hold."""


class SimulatedTime:
    """A clock, and sleepers that wake when it is moved."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.clock.now_ns + round(seconds * 1e9), future))
        await future

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        waiting, self._sleepers = self._sleepers, []
        for due, future in waiting:
            if due > self.clock.now_ns:
                self._sleepers.append((due, future))
            elif not future.done():
                future.set_result(None)


@dataclass
class Publisher:
    """Sends one session after the other; a session may begin again. What was sent is known by life."""

    random: Random
    session: bytes = b"session1"
    life: int = 0
    next: int = 1
    restart: int = 0  # as the core of the present run counts it
    begun: bool = False
    sessions: int = 1
    payloads: dict[tuple[int, int], bytes] = field(default_factory=dict)
    holes: set[tuple[int, int]] = field(default_factory=set)

    @property
    def stream(self) -> Stream:
        return Stream(CHANNEL, self.session, self.restart)

    def items(self, time_ns: int) -> list[Item]:
        found: list[Item] = []
        for _ in range(self.random.randrange(1, 5)):
            if not self.begun:
                self.begun = True
                found.append(SessionStart(self.stream, "native", self.next))
            if self.random.random() < 0.2:
                last = self.next + self.random.randrange(5)
                self.holes.update((self.life, n) for n in range(self.next, last + 1))
                found.append(Hole(self.stream, self.next, last, "wire"))
            else:
                last = self.next + self.random.randrange(12)
                found.append(
                    MessageBatch(
                        self.stream, self.next, [self._payload(n) for n in range(self.next, last + 1)], time_ns
                    )
                )
            self.next = last + 1
        return found

    def _payload(self, number: int) -> bytes:
        size = MAX_MESSAGE + 1 if self.random.random() < 0.01 else self.random.randrange(60)
        self.payloads[self.life, number] = payload = f"{self.life}:{number}:".encode().ljust(size, b".")
        return payload

    def end(self) -> list[Item]:
        """The session ends, another begins."""
        items: list[Item] = [SessionEnd(self.stream, self.next)] if self.begun else []
        self.sessions += 1
        self.session, self.restart = f"session{self.sessions}".encode().ljust(8, b"."), 0
        self._again()
        return items

    def begin_again(self, *, seen: bool) -> None:
        """The same session begins again at a lower number; `seen`: while the bridge runs."""
        if self.next > 1:
            self.restart = self.restart + 1 if seen else 0
            self._again()

    def _again(self) -> None:
        self.life += 1
        self.next, self.begun = 1, False

    def bridge_started(self) -> None:
        """A new core: it counts restarts from 0 and has not seen the stream begin."""
        self.restart, self.begun = 0, False


@dataclass
class SimulatedSink:
    """One sink of the route: its system, which outlives the bridge, and what was reported lost in the present run."""

    name: str
    memory: Memory
    options: dict[str, Any]
    driver: SinkDriver | None = None
    lost: Counter[tuple[Stream, int]] = field(default_factory=Counter)
    earlier: set[tuple[Stream, int]] = field(default_factory=set)  # reported in earlier runs

    def make(self, random: Random) -> MemorySink:
        return MemorySink(MemorySink.Options(memory=self.memory, seed=random.randrange(2**31), **self.options))

    async def lookup(self, stream: Stream, number: int) -> bytes | None:
        if self.memory.down is not None:
            raise self.memory.down
        return next((row.payload for row in self.memory.rows(stream) if row.number == number), None)

    async def registry(self) -> list[StreamInfo]:
        if self.memory.down is not None:
            raise self.memory.down
        return self.memory.streams(CHANNEL)


class Simulation:
    """What one seed means. `run()` raises `InvariantError`."""

    def __init__(self, seed: int, directory: Path, story: bool = False) -> None:
        self.random = Random(seed)
        self.time = SimulatedTime()
        self.context = FakeContext(inline=True)
        self.publisher = Publisher(self.random)
        self.story = story
        self.killed = False
        random = self.random
        self.spool_bytes = random.choice([0, 30_000, 300_000])
        self.settings = WindowSettings(
            memory=random.choice([3_000, 20_000, 10**7]),
            keep=random.choice([0.0, 5.0]),
            overload=random.choice(["drop-oldest", "drop-oldest", "drop-newest", "stop"]),
            directory=directory if self.spool_bytes else None,
        )
        self.sinks = [
            SimulatedSink(
                f"sink{place}",
                Memory(),
                {
                    "capacity": random.choice([1, 4, 64]),
                    "turns": random.choice([1, 1, 20]),
                    "failing": random.choice([0.0, 0.05, 0.3]),
                    "max_message": MAX_MESSAGE,
                },
            )
            for place in range(random.choice([1, 1, 2, 3]))
        ]
        self.window: Window
        self.tasks: list[asyncio.Task[None]] = []
        self.runs = 0

    def say(self, text: str) -> None:
        if self.story:
            print(text)

    async def run(self) -> None:
        await self.start()
        for step in range(self.random.randrange(10, 60)):
            action = self.random.choices(
                [
                    self.publish,
                    self.turn,
                    self.wait,
                    self.outage,
                    self.fall,
                    self.end,
                    self.again,
                    self.restart,
                    self.kill,
                ],
                [20, 10, 6, 4, 1, 1, 1, 1, 1],
            )[0]
            self.say(f"step {step}: {action.__name__}")
            await action()
            self.check()
        await self.finish()

    # Steps

    async def start(self) -> None:
        self.runs += 1
        time = self.time
        self.window = Window(
            "route",
            CHANNEL,
            self.settings,
            [sink.name for sink in self.sinks],
            spool=RouteSpool(self.spool_bytes),
            blocking=self.context.blocking,
            clock_ns=time.clock.monotonic_ns,
            emit=self.emit,
            run=self.runs,
        )
        naming = Naming(CHANNEL, self.runs, self.emit)
        await self.window.restore()
        for sink in self.sinks:
            sink.earlier |= sink.lost.keys()
            sink.lost.clear()
            sink.driver = SinkDriver(
                sink.name,
                "memory",
                CHANNEL,
                self.window.cursors[sink.name],
                partial(sink.make, self.random),
                naming,
                partial(self.lose, sink),
                self.emit,
                Backoff(self.random.random),
                lookup=sink.lookup,
                registry=sink.registry,
                sleep=time.sleep,
                monotonic_ns=time.clock.monotonic_ns,
                time_ns=time.clock.time_ns,
            )
        self.tasks = [asyncio.create_task(sink.driver.run()) for sink in self.sinks if sink.driver is not None]

    async def publish(self) -> None:
        items = self.publisher.items(self.time.clock.time_ns())
        for item in items:
            last = item.last if isinstance(item, MessageBatch | Hole) else ""
            self.say(f"  {type(item).__name__} {item.stream.session!r} {item.stream.restart} {last}")
        self.append(items)

    def append(self, items: list[Item]) -> None:
        self.window.append(items)
        for sink in self.sinks:
            assert sink.driver is not None
            sink.driver.notify()

    async def turn(self) -> None:
        for _ in range(self.random.choice([1, 3, 30])):
            await asyncio.sleep(0)
            self.check()

    async def wait(self) -> None:
        self.time.advance(self.random.choice([0.01, 1.0, 10.0, 40.0]))
        await self.turn()

    async def outage(self) -> None:
        memory = self.random.choice(self.sinks).memory
        if memory.down is not None:
            memory.start()
        else:
            error: ConnectorError = self.random.choice([Unavailable("gone"), Refused("not for you")])
            memory.stop(error)

    async def fall(self) -> None:
        """A sink's system forgets the end of what it had acknowledged."""
        sink = self.random.choice(self.sinks)
        log = sink.memory.log.get(CHANNEL, [])
        for _ in range(min(len(log), self.random.choice([1, 3, 1000]))):
            log.pop()
        writer = sink.memory.owner(CHANNEL)
        if isinstance(writer, MemorySink):
            writer.fail()  # such a system was restarted, which cuts the connection
        self.say(f"  {sink.name} falls to {sink.memory.streams(CHANNEL)[-1:]}")

    async def end(self) -> None:
        self.append(self.publisher.end())

    async def again(self) -> None:
        self.publisher.begin_again(seen=True)

    async def restart(self) -> None:
        for sink in self.sinks:
            assert sink.driver is not None
            if self.random.random() < 0.5:
                drained = asyncio.create_task(sink.driver.drain(1.0))
                await self.turn()
                while not drained.done():
                    await asyncio.sleep(0)
                    self.time.advance(0.1)
            await sink.driver.close()
            self.check()
        await self.window.park(1000.0)
        self.check()
        await self.next_run()

    async def kill(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        await self.window.close()
        self.killed = True
        await self.next_run()

    async def next_run(self) -> None:
        if self.random.random() < 0.3:
            self.publisher.begin_again(seen=False)
        elif self.random.random() < 0.5:
            self.publisher.items(0)  # sent while nobody listened
        self.publisher.bridge_started()
        await self.start()

    async def finish(self) -> None:
        """Everything works at last: all is delivered, and the books are compared with the stores."""
        for sink in self.sinks:
            sink.memory.start()
            sink.options["failing"] = 0.0
        await self.publish()
        for _ in range(400):
            self.time.advance(40.0)
            for _ in range(40):
                await asyncio.sleep(0)
            self.check()
            if not self.window.pending and all(sink.driver is not None and sink.driver.up for sink in self.sinks):
                break
        for sink in self.sinks:
            assert sink.driver is not None
            await sink.driver.close()
            self.check()
            self.check_store(sink)
            self.check_cover(sink)
        await self.window.close()

    # Checks

    def emit(self, code: str, severity: str, text: str, **fields: Any) -> None:
        self.say(f"  event {code}: {text}")

    def lose(self, sink: SimulatedSink, stream: Stream, first: int, last: int, reason: str, name: str) -> None:
        self.say(f"  lost {name} {stream.session!r} {stream.restart} {first}..{last} {reason}")
        self.require(name == sink.name and first <= last, f"a loss of {name} {first}..{last} for {sink.name}")
        sink.lost.update((stream, number) for number in range(first, last + 1))

    def require(self, condition: bool, what: str) -> None:
        if not condition:
            raise InvariantError(what)

    def check(self) -> None:
        for sink in self.sinks:
            assert sink.driver is not None
            cursor = self.window.cursors[sink.name]
            for stream, ledger in sink.driver.ledgers.items():
                problems = ledger.problems()
                self.require(not problems, f"{sink.name} {stream}: {problems}")
            for stream in cursor.streams:
                self.require(
                    cursor.pending(stream) == cursor.count(stream),
                    f"{sink.name} {stream}: pending {cursor.pending(stream)}, there {cursor.count(stream)}",
                )
            self.check_tiers(sink)
            if self.unnamed(sink):
                continue
            twice = [key for key, count in sink.lost.items() if count > 1]
            self.require(not twice, f"{sink.name}: reported twice: {twice[:5]}")

    def unnamed(self, sink: SimulatedSink) -> bool:
        """The sink was not asked about some stream yet, so that its losses may go by an earlier life's name."""
        assert sink.driver is not None
        return any(account.name is None for account in sink.driver._streams.ordered())

    def check_tiers(self, sink: SimulatedSink) -> None:
        cursor = self.window.cursors[sink.name]
        backlog = cursor.backlog
        queued = [*backlog.loaded, *backlog.writing, *backlog.memory]
        memory = [e for e in queued if e.chunk is None or not e.chunk.live]
        disk = [e for e in queued if e.chunk is not None and e.chunk.live]
        chunks = list(backlog.store.chunks) if backlog.store is not None else []
        self.require(backlog.memory_messages == sum(e.messages for e in memory), f"{sink.name}: messages in memory")
        self.require(backlog.memory_bytes == sum(e.size for e in memory), f"{sink.name}: bytes in memory")
        on_disk = sum(e.messages for e in disk) + sum(c.messages for c in chunks)
        self.require(
            backlog.disk_messages == on_disk, f"{sink.name}: messages on disk {backlog.disk_messages} {on_disk}"
        )

    def check_store(self, sink: SimulatedSink) -> None:
        lives: dict[Stream, int] = {}
        before: dict[Stream, int] = {}
        for stream, number, payload in sink.memory.messages(CHANNEL):
            life, sent = (int(part) for part in payload.split(b":")[:2])
            self.require(sent == number, f"{sink.name} {stream}: {number} holds {payload!r}")
            self.require(number > before.get(stream, 0), f"{sink.name} {stream}: {number} after {before.get(stream)}")
            # A life whose beginning no sink saw and whose numbers go on above the tail cannot be told from the one before.
            self.require(life >= lives.get(stream, 0), f"{sink.name} {stream}: life {life} after {lives.get(stream)}")
            before[stream], lives[stream] = number, life

    def check_cover(self, sink: SimulatedSink) -> None:
        assert sink.driver is not None
        for stream, ledger in sink.driver.ledgers.items():
            self.require(ledger.pending == 0, f"{sink.name} {stream}: {ledger.pending} still pending")
            assert ledger.base is not None
            assert ledger.end is not None
            stored = {row.number for row in sink.memory.rows(stream)}
            gone = {n for s, n in sink.lost if s == stream}
            self.require(
                self.unnamed(sink) or not stored & gone,
                f"{sink.name} {stream}: stored and lost: {sorted(stored & gone)[:5]}",
            )
            decided = stored | gone | {n for s, n in sink.earlier if s == stream}
            holes = {n for hole in sink.memory.holes(stream) for n in range(hole.first, hole.last + 1)}
            holes |= {n for _, n in self.publisher.holes}
            nowhere = set(range(ledger.base, ledger.end)) - decided - holes
            self.require(not nowhere, f"{sink.name} {stream}: nowhere: {sorted(nowhere)[:5]} of {ledger}")


def run(seed: int, story: bool = False) -> None:
    """One seed. Raises `InvariantError` with the line that replays it."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            asyncio.run(Simulation(seed, Path(directory), story).run())
        except Exception as error:
            line = f"python -m tests.property.window_simulation --seed {seed}"
            raise InvariantError(f"{type(error).__name__}: {error}\nreplay: {line}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--runs", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        run(arguments.seed, story=True)
        return
    for seed in range(arguments.runs):
        try:
            run(seed)
        except InvariantError as error:
            sys.exit(str(error))
    print(f"{arguments.runs} runs hold")


if __name__ == "__main__":
    main()
