"""A system in memory: what the doubles of sink, source and store share, and the faults that a test puts into it.

It keeps one log of items per channel, exactly as they were written, and derives all else from it. Nothing here is
fast; everything is easy to see through, since the conformance suites are proven against it.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from bridge.api import (
    ConnectorError,
    Hole,
    Item,
    MessageBatch,
    SessionEnd,
    SessionStart,
    Stream,
    StreamInfo,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One stored message."""

    number: int
    payload: bytes
    time_ns: int


def last_number(item: Item) -> int | None:
    """The highest number that an item decides, None for a start or an end."""
    return item.last if isinstance(item, MessageBatch | Hole) else None


def cut(item: Item, first: int) -> Item | None:
    """What is left of an item with numbers of at least `first`; None when nothing is. Starts and ends pass."""
    if isinstance(item, MessageBatch):
        return item.from_number(first) if item.last >= first else None
    if isinstance(item, Hole):
        return replace(item, first=max(item.first, first)) if item.last >= first else None
    return item


class Memory:
    """The system itself. `Memory.named("x")` is the same object for everybody, so that a configuration can name it."""

    _named: ClassVar[dict[str, "Memory"]] = {}

    def __init__(self) -> None:
        self.log: dict[str, list[Item]] = {}
        self.down: ConnectorError | None = None  # set by `stop`: opening and writing fail with it
        self.opening: asyncio.Event | None = None  # if set, `open` of a sink waits for it
        self._fail_next: list[tuple[ConnectorError, int]] = []
        self._trimmed: dict[Stream, int] = {}
        self._writers: dict[str, object] = {}
        self._waiters: list[asyncio.Future[None]] = []

    @classmethod
    def named(cls, name: str) -> "Memory":
        """The memory of this name, made at its first use."""
        return cls._named.setdefault(name, cls())

    # Faults.

    def stop(self, error: ConnectorError | None = None) -> None:
        """The system goes away: every `open` and every write fails until `start`."""
        self.down = error or Unavailable("the memory is stopped")

    def start(self) -> None:
        """The system is back, with all that was stored."""
        self.down = None

    def fail_next(self, error: ConnectorError | None = None, *, stored: int = 0) -> None:
        """The next write fails after the first `stored` of its items were stored: the writer cannot know how many."""
        self._fail_next.append((error or Unavailable("the memory failed as the test asked"), stored))

    def trim(self, stream: Stream, first_left: int) -> None:
        """Retention removes everything of the stream below `first_left`."""
        self._trimmed[stream] = max(first_left, self._trimmed.get(stream, first_left))

    # Writing.

    def claim(self, channel: str, writer: object) -> None:
        """From now on only this writer may write to the channel."""
        self._writers[channel] = writer

    def owner(self, channel: str) -> object | None:
        return self._writers.get(channel)

    def write(self, channel: str, items: Sequence[Item]) -> None:
        """Store the items, without what is stored already. Raises a ConnectorError, with a part stored or none."""
        if self.down is not None:
            raise self.down
        failure, stored = self._fail_next.pop(0) if self._fail_next else (None, len(items))
        for item in items[:stored]:
            self._append(channel, item)
        self._wake()
        if failure is not None:
            raise failure

    def _append(self, channel: str, item: Item) -> None:
        log = self.log.setdefault(channel, [])
        if isinstance(item, SessionStart | SessionEnd):
            if not any(type(known) is type(item) and known.stream == item.stream for known in log):
                log.append(item)
            return
        decided = self.through(item.stream)
        left = item if decided is None else cut(item, decided + 1)
        if left is not None:
            log.append(left)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def change(self) -> None:
        """Wait until something is written."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    # Reading.

    def items(self, stream: Stream) -> list[Item]:
        """What was stored of a stream, in order, trimmed or not."""
        return [item for item in self.log.get(stream.channel, []) if item.stream == stream]

    def rows(self, stream: Stream) -> list[Row]:
        """The messages of a stream that retention left, in the order in which they were stored."""
        left = self.first_left(stream)
        return [
            Row(item.number(i), payload, item.time_ns)
            for item in self.items(stream)
            if isinstance(item, MessageBatch)
            for i, payload in enumerate(item.payloads)
            if item.number(i) >= left
        ]

    def messages(self, channel: str) -> list[tuple[Stream, int, bytes]]:
        """All messages of a channel that retention left, in the order in which they were stored."""
        streams = [item.stream for item in self.log.get(channel, []) if isinstance(item, SessionStart)]
        return [(stream, row.number, row.payload) for stream in streams for row in self.rows(stream)]

    def holes(self, stream: Stream) -> list[Hole]:
        return [item for item in self.items(stream) if isinstance(item, Hole)]

    def tail(self, stream: Stream) -> int | None:
        """The last number at which a message was stored, whether or not it was trimmed."""
        return max((i.last for i in self.items(stream) if isinstance(i, MessageBatch)), default=None)

    def through(self, stream: Stream) -> int | None:
        """The last number that is decided: a message or a hole."""
        return max((n for n in map(last_number, self.items(stream)) if n is not None), default=None)

    def first_left(self, stream: Stream) -> int:
        return self._trimmed.get(stream, 0)

    def streams(self, channel: str) -> list[StreamInfo]:
        """The registry of a channel, oldest first."""
        found = []
        starts = [item for item in self.log.get(channel, []) if isinstance(item, SessionStart)]
        for epoch, start in enumerate(starts, 1):
            rows = self.rows(start.stream)
            ends = (item.next for item in self.items(start.stream) if isinstance(item, SessionEnd))
            found.append(
                StreamInfo(
                    epoch=epoch,
                    stream=start.stream,
                    protocol=start.protocol,
                    first=start.first,
                    first_left=rows[0].number if rows else None,
                    tail=self.tail(start.stream),
                    through=self.through(start.stream),
                    end=next(ends, None),
                )
            )
        return found


def _memory(value: Any) -> Any:
    return Memory.named(value) if isinstance(value, str) else value


MemoryOption = Annotated[Memory, BeforeValidator(_memory)]
"""An option that takes a `Memory`, or the name of one."""


def seeded(seed: int) -> random.Random:
    """The one place where a double gets its randomness from."""
    return random.Random(seed)
