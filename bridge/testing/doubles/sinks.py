"""Message sinks over a `Memory`: one that works, and variants that are slow, full or failing by a seed.

Time is counted in turns of the event loop, never in seconds, so that a test with them takes no time and repeats exactly.
"""

import asyncio
from collections import deque
from typing import ClassVar

from pydantic import Field

from bridge import api
from bridge.api import (
    Capabilities,
    ConnectorError,
    Item,
    Listener,
    MessageLimits,
    Opened,
    Refused,
    SessionEnd,
    SessionStart,
    Stream,
    Unavailable,
)
from bridge.testing.doubles.context import FakeContext
from bridge.testing.doubles.memory import Memory, MemoryOption, last_number, seeded


class MemorySink:
    """A message sink that keeps the whole contract. Everything submitted in one turn of the loop is one write.

    `capacity`: batches and holes in flight before it says Full. `turns`: turns of the loop until a write. `manual`: nothing is
    written before the test calls `commit()`. `failing`: the probability that a write fails, with a random part of it
    stored, drawn from `seed`.
    """

    class Options(api.Options):
        memory: MemoryOption = Field(default_factory=Memory)
        capacity: int = 64
        turns: int = 1
        manual: bool = False
        failing: float = 0.0
        seed: int = 0
        max_message: int = 64 * 2**20

    capabilities: ClassVar[Capabilities] = Capabilities(readable_tail=True, dedupes=True, fences=True, store=True)
    columns: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, options: "MemorySink.Options", context: api.Context | None = None) -> None:
        self.options = options
        self.memory = options.memory
        self.context = context or FakeContext()
        self.channel = ""
        self.submitted: list[Item] = []  # every item that was taken, for a test to look at
        self.closed = False
        self.failed = False
        self._listener: Listener | None = None
        self._pending: deque[Item] = deque()
        self._stream: Stream | None = None
        self._last = -1
        self._turns_left = 0
        self._random = seeded(options.seed)
        self._settled: asyncio.Event | None = None

    async def open(self, channel: str, listener: Listener) -> Opened | None:
        if self.memory.opening is not None:
            await self.memory.opening.wait()
        if self.memory.down is not None:
            raise self.memory.down
        if self.closed:
            raise Unavailable("closed while it was opened")
        self.channel, self._listener, self._settled = channel, listener, asyncio.Event()
        self.memory.claim(channel, self)
        streams = self.memory.streams(channel)
        if not streams:
            return None
        newest = streams[-1]
        return Opened(newest.stream, newest.tail, newest.through)

    def limits(self) -> MessageLimits:
        return MessageLimits(self.options.max_message)

    def submit(self, item: Item) -> bool:
        if self._listener is None or self.closed:
            raise ValueError(f"submit to a sink that is {'closed' if self.closed else 'not open'}")
        if self.failed:
            return False
        self._check(item)
        number = last_number(item)
        # Only numbers are acknowledged, so only they may make it full: else nothing would end that.
        if number is not None and sum(last_number(i) is not None for i in self._pending) >= self.options.capacity:
            return False
        if isinstance(item, SessionStart):
            self._stream, self._last = item.stream, -1
        self._last = self._last if number is None else number
        self._pending.append(item)
        self.submitted.append(item)
        if not self.options.manual and not self._turns_left:
            self._turns_left = self.options.turns
            asyncio.get_running_loop().call_soon(self._turn)
        return True

    def _check(self, item: Item) -> None:
        if isinstance(item, SessionStart):
            known = [info.stream for info in self.memory.streams(self.channel)]
            if item.stream in known[:-1] or (self._stream is not None and item.stream == self._stream):
                raise ValueError(f"{item.stream} was left or is begun already")
            return
        if item.stream != self._stream:
            raise ValueError(f"{item.stream} has not begun, the sink is at {self._stream}")
        if not isinstance(item, SessionEnd) and item.first <= self._last:
            raise ValueError(f"number {item.first} after {self._last} goes backwards")

    def _turn(self) -> None:
        self._turns_left -= 1
        if self._turns_left > 0:
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self.commit()

    def commit(self, count: int | None = None) -> None:
        """Write the first `count` of the items that wait (all of them by default) and acknowledge or fail."""
        if self.failed or self.closed:
            return
        items = [self._pending.popleft() for _ in range(len(self._pending) if count is None else count)]
        if not items:
            return
        if self._random.random() < self.options.failing:
            self.memory.fail_next(stored=self._random.randrange(len(items) + 1))
        try:
            if self.memory.owner(self.channel) is not self:
                raise Refused(f"another writer has taken channel {self.channel}")
            self._write(items)
        except ConnectorError as error:
            self.fail(error)
            return
        self._acknowledge(items)
        self._settle()

    def _write(self, items: list[Item]) -> None:
        self.memory.write(self.channel, items)

    def _acknowledge(self, items: list[Item]) -> None:
        listener, reached = self._listener, dict[Stream, int]()
        assert listener is not None
        for item in items:
            number = last_number(item)
            if number is not None:
                reached[item.stream] = number
        for stream, through in reached.items():
            listener.on_acknowledged(stream, through)

    def fail(self, error: ConnectorError | None = None) -> None:
        """The connection is lost: what waits is gone, the listener is told."""
        if self.failed or self.closed or self._listener is None:
            return
        self.failed = True
        self._pending.clear()
        self._listener.on_failed(error or Unavailable("the memory failed as the test asked"))
        self._settle()

    def _settle(self) -> None:
        if self._settled is not None and not self._pending:
            self._settled.set()

    async def close(self, drain: bool) -> None:
        while drain and self._pending and not self.closed and self._settled is not None:
            self._settled.clear()
            await self._settled.wait()
        self.closed = True
        self._pending.clear()
        self._settle()


class SlowSink(MemorySink):
    """Takes many turns of the loop for each write."""

    class Options(MemorySink.Options):
        turns: int = 50


class FullSink(MemorySink):
    """Takes one batch or hole at a time."""

    class Options(MemorySink.Options):
        capacity: int = 1


class FailingSink(MemorySink):
    """One write in four fails, with a random part of it stored."""

    class Options(MemorySink.Options):
        failing: float = 0.25
