"""The message source and the message store over a `Memory`."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from pydantic import Field

from bridge import api
from bridge.api import (
    Context,
    Data,
    Hole,
    Item,
    MessageBatch,
    Never,
    NotYet,
    Piece,
    SessionEnd,
    SessionStart,
    Start,
    Stream,
    StreamInfo,
    Trimmed,
    Unavailable,
)
from bridge.testing.doubles.context import FakeContext
from bridge.testing.doubles.memory import Memory, MemoryOption, cut, last_number


class MemorySource:
    """Reads the log of a `Memory`; the position of an item is its place in its channel's log.

    `follow`: wait for more at the end; without it the end of the log is the end of the input.
    """

    class Options(api.Options):
        memory: MemoryOption = Field(default_factory=Memory)
        channels: list[str] | None = None
        follow: bool = False

    def __init__(self, options: "MemorySource.Options", context: Context | None = None) -> None:
        self.options = options
        self.memory = options.memory
        self.context = context or FakeContext()
        self.acknowledged: list[tuple[str, str]] = []  # for a test to look at
        self.closed = False
        self._start = Start()
        self._next: dict[str, int] = {}
        self._lowest: dict[str, int] = {}  # start at a sequence: numbers below it are cut off
        self._begun: dict[str, Stream] = {}

    async def open(self, start: Start) -> None:
        if self.memory.down is not None:
            raise self.memory.down
        self._start = start
        self._next = {channel: self._place(channel) for channel in self._channels()}

    def _channels(self) -> list[str]:
        wanted = self.options.channels
        return [channel for channel in self.memory.log if wanted is None or channel in wanted]

    def _place(self, channel: str) -> int:
        """Where to begin in a channel's log."""
        log, start = self.memory.log[channel], self._start
        if start.resume is not None and channel in start.resume:
            return int(start.resume[channel]) + 1
        value = int(start.value or 0)
        match start.at:
            case "earliest":
                return 0
            case "latest":
                return len(log)
            case "position":
                return value
            case "time":
                late = (i for i, item in enumerate(log) if isinstance(item, MessageBatch) and item.time_ns >= value)
                return next(late, len(log))
            case "sequence":
                self._lowest[channel] = value
                newest = log[-1].stream
                reached = (i for i, x in enumerate(log) if x.stream == newest and (last_number(x) or 0) >= value)
                return next(reached, len(log))

    async def read(self, limit: int) -> Sequence[tuple[Item, str]]:
        while not self.closed:
            if self.memory.down is not None:
                raise self.memory.down
            found: list[tuple[Item, str]] = []
            messages = 0
            for channel in self._channels():
                log = self.memory.log[channel]
                at = self._next.setdefault(channel, 0)  # a channel that came after `open` is read from its beginning
                while at < len(log) and messages < limit:
                    left = self._left(log[at])
                    if left is not None:
                        found += self._with_start(left, at)
                        messages += len(left.payloads) if isinstance(left, MessageBatch) else 1
                    at += 1
                self._next[channel] = at
            if found or not self.options.follow:
                return found
            await self.memory.change()
        raise Unavailable("the source is closed")

    def _left(self, item: Item) -> Item | None:
        """The part of an item that is wanted and that retention left; in the midst of a stream what it took is a Hole."""
        if not isinstance(item, MessageBatch | Hole):
            return item
        begun = self._begun.get(item.stream.channel) == item.stream
        first_left = self.memory.first_left(item.stream)
        if begun and item.last < first_left:
            return Hole(item.stream, item.first, item.last, "before_window")
        return cut(item, max(first_left, self._lowest.get(item.stream.channel, 0)))

    def _with_start(self, item: Item, at: int) -> list[tuple[Item, str]]:
        """The item, after its stream's SessionStart where the reader has not seen that."""
        channel, position = item.stream.channel, str(at)
        if isinstance(item, SessionStart):
            self._lowest.pop(channel, None)
        elif self._begun.get(channel) != item.stream:
            protocol = next(i.protocol for i in self.memory.streams(channel) if i.stream == item.stream)
            first = item.next if isinstance(item, SessionEnd) else item.first
            self._begun[channel] = item.stream
            return [(SessionStart(item.stream, protocol, first), str(at - 1)), (item, position)]
        self._begun[channel] = item.stream
        return [(item, position)]

    def acknowledge(self, channel: str, position: str) -> None:
        self.acknowledged.append((channel, position))

    async def close(self) -> None:
        self.closed = True


class MemoryStore:
    """Reads a `Memory` by stream and sequence; looks at it anew for every answer, so that it may change meanwhile."""

    class Options(api.Options):
        memory: MemoryOption = Field(default_factory=Memory)

    def __init__(self, options: "MemoryStore.Options", context: Context | None = None) -> None:
        self.options = options
        self.memory = options.memory
        self.context = context or FakeContext()

    async def open(self) -> None:
        if self.memory.down is not None:
            raise self.memory.down

    async def channels(self) -> list[str]:
        return sorted(self.memory.log)

    async def streams(self, channel: str) -> list[StreamInfo]:
        return self.memory.streams(channel)

    async def read(self, stream: Stream, first: int, last: int, *, limit: int = 4096) -> AsyncIterator[Piece]:
        while first <= last:
            piece = self._piece(stream, first, last, limit)
            yield piece
            first = (piece.batch.last if isinstance(piece, Data) else piece.last) + 1
            await asyncio.sleep(0)

    def _piece(self, stream: Stream, first: int, last: int, limit: int) -> Piece:
        """The first answer for first..last."""
        memory = self.memory
        through, left = memory.through(stream), memory.first_left(stream)
        if through is None or first > through:
            return NotYet(first, last, through)
        if self._began(stream) <= first < left:
            return Trimmed(first, min(last, left - 1), left)
        last = min(last, through)
        rows = [row for row in memory.rows(stream) if first <= row.number <= last][:limit]
        if rows and rows[0].number == first:
            run = [row for i, row in enumerate(rows) if row.number == first + i and row.time_ns == rows[0].time_ns]
            return Data(MessageBatch(stream, first, [row.payload for row in run], run[0].time_ns))
        before_data = rows[0].number - 1 if rows else last
        hole = next((hole for hole in memory.holes(stream) if hole.last >= first), None)
        if hole is None or hole.first > before_data:
            return Never(first, before_data, "")
        if hole.first > first:
            return Never(first, hole.first - 1, "")
        return Never(first, min(hole.last, before_data), hole.reason)

    def _began(self, stream: Stream) -> int:
        return next(item.first for item in self.memory.items(stream) if isinstance(item, SessionStart))

    async def number_at(self, stream: Stream, time_ns: int) -> int:
        rows = self.memory.rows(stream)
        after = next((row.number for row in rows if row.time_ns >= time_ns), None)
        tail = self.memory.tail(stream)
        return after if after is not None else 0 if tail is None else tail + 1

    async def close(self) -> None:
        pass
