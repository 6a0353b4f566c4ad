"""The journal's message sink: one channel of a journal, written through the writer that the table's channels share.

A batch becomes one row. Acknowledged means committed. What the channel has up to `through` is skipped and acknowledged.
Two batches in flight are Full, where what fits one commit counts as one: a lossy line gives short batches, and with two
of those a commit it would be held up by the commit's interval.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Final

from bridge.api import (
    Capabilities,
    ConnectorError,
    Context,
    Hole,
    Item,
    Listener,
    MessageBatch,
    MessageLimits,
    Opened,
    SessionEnd,
    SessionStart,
    Stream,
    Unavailable,
)
from connectors.journal.client import COMMIT_BYTES, COMMIT_MESSAGES, Claim, End, JournalWriter, Write
from connectors.journal.layout import MAX_MESSAGE, MAX_NUMBER, pack_lengths, pack_numbers
from connectors.journal.options import SinkOptions
from connectors.journal.segment import Row, StreamRow

MAX_MESSAGES: Final = 2 * COMMIT_MESSAGES  # in flight, where they are in more than one batch
MAX_BYTES: Final = 2 * COMMIT_BYTES  # likewise
MAX_WRITES: Final = 512  # in flight, whatever they hold
MAX_BATCH: Final = 900_000_000  # bytes; SQLite's largest value is 10^9


class JournalSink:
    """See the module's text and `bridge.api.MessageSink`."""

    Options: ClassVar[type[SinkOptions]] = SinkOptions
    capabilities: ClassVar[Capabilities] = Capabilities(readable_tail=True, dedupes=True, fences=True, store=True)
    columns: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, options: SinkOptions, context: Context) -> None:
        self._writer = context.shared("journal", lambda: JournalWriter(options, context))
        self._channel = ""
        self._listener: Listener | None = None
        self._known: dict[Stream, StreamRow] = {}
        self._newest: StreamRow | None = None
        self._current: StreamRow | None = None  # begun in this life
        self._stored = -1  # of the current stream: decided when this life began
        self._last = -1  # of the current stream: taken in this life
        self._time = 0  # receive time of the last batch, for holes, which have none
        self._flight: deque[Write] = deque()
        self._rows = 0  # in flight
        self._messages = 0
        self._bytes = 0
        self._settled = asyncio.Event()
        self._dead = False
        self._closed = False

    async def open(self, channel: str, listener: Listener) -> Opened | None:
        streams = await self._writer.attach(channel, self)
        if self._closed:
            await self._writer.detach(channel, self)
            raise Unavailable("closed while it was opened")
        self._channel, self._listener = channel, listener
        self._known = {row.stream: row for row in streams}
        if not streams:
            return None
        self._newest = newest = streams[-1]
        return Opened(newest.stream, newest.tail, newest.through)

    def limits(self) -> MessageLimits:
        return MessageLimits(MAX_MESSAGE)

    def submit(self, item: Item) -> bool:
        if self._closed or self._listener is None:
            raise ValueError(f"submit to a sink that is {'closed' if self._closed else 'not open'}")
        if self._dead:
            return False
        if isinstance(item, SessionStart):
            return self._start(item)
        row = self._current
        if row is None or item.stream != row.stream:
            raise ValueError(f"{item.stream} was not begun; the sink is at {row.stream if row else 'no stream'}")
        if isinstance(item, SessionEnd):
            self._put(End(row, item.next))
            return True
        return self._store(row, item)

    def _start(self, item: SessionStart) -> bool:
        row = self._known.get(item.stream)
        if row is None:
            epoch = self._newest.epoch + 1 if self._newest is not None else 1
            row = StreamRow(item.stream, epoch, item.protocol, item.first)
            self._put(Claim(row))
            self._known[item.stream] = self._newest = row
        elif row is not self._newest:
            assert self._newest is not None
            raise ValueError(f"{item.stream} is epoch {row.epoch}, the channel is at {self._newest.epoch}")
        elif row is self._current:
            raise ValueError(f"{item.stream} is begun already")
        self._current = row
        self._stored = -1 if row.through is None else row.through
        self._last = -1
        return True

    def _store(self, row: StreamRow, item: MessageBatch | Hole) -> bool:
        if isinstance(item, MessageBatch) and not item.payloads:
            return True
        first = item.first if isinstance(item, Hole) else item.number(0)
        last = item.last
        if not self._last < first <= last <= MAX_NUMBER:
            raise ValueError(f"numbers {first} to {last} after {self._last}: they must rise and fit 63 bits")
        if last <= self._stored:
            self._last = last
            asyncio.get_running_loop().call_soon(self._skipped, row.stream, last)
            return True
        if self._full():
            return False
        write = self._hole(row, item) if isinstance(item, Hole) else self._batch(row, item)
        self._last = last
        self._put(write)
        return True

    def _full(self) -> bool:
        """Whether two batches are in flight: one commit's worth that is written, and one that waits."""
        much = self._messages >= MAX_MESSAGES or self._bytes >= MAX_BYTES
        return len(self._flight) >= MAX_WRITES or (much and self._rows > 1)

    def _hole(self, row: StreamRow, item: Hole) -> Row:
        return Row(row, max(item.first, self._stored + 1), item.last, 0, self._time, item.reason, None, None, None)

    def _batch(self, row: StreamRow, item: MessageBatch) -> Row:
        item = item.from_number(self._stored + 1)
        self._time = item.time_ns
        data = b"".join(item.payloads)
        if len(data) > MAX_BATCH:
            raise ValueError(f"a batch of {len(data)} bytes, {MAX_BATCH} fit one row")
        first, last, count = item.number(0), item.last, len(item.payloads)
        numbers = pack_numbers(item.numbers) if item.numbers and last - first >= count else None
        return Row(row, first, last, count, item.time_ns, None, pack_lengths(item.payloads), numbers, data)

    def _put(self, write: Write) -> None:
        self._flight.append(write)
        if isinstance(write, Row):
            self._rows += 1
            self._messages += write.messages
            self._bytes += len(write.data or b"")
        self._writer.append(self, write)

    def _skipped(self, stream: Stream, through: int) -> None:
        if self._listener is not None and not (self._dead or self._closed):
            self._listener.on_acknowledged(stream, through)

    def on_committed(self, writes: Sequence[Write]) -> None:
        """The writer committed these, the oldest in flight."""
        if self._dead or self._closed:
            return
        for write in writes:
            assert self._flight[0] is write
            self._flight.popleft()
            if isinstance(write, Row):
                self._rows -= 1
                self._messages -= write.messages
                self._bytes -= len(write.data or b"")
        if self._listener is not None:
            # Streams follow each other; the last row of each acknowledges the rest.
            reached = {write.stream.stream: write.last for write in writes if isinstance(write, Row)}
            for stream, through in reached.items():
                self._listener.on_acknowledged(stream, through)
        if not self._flight:
            self._settled.set()

    def on_lost(self, error: ConnectorError) -> None:
        """The writer failed, or another object took the channel: what is in flight is unknown."""
        self._dead = True
        self._flight.clear()
        self._settled.set()
        if self._listener is not None and not self._closed:
            self._listener.on_failed(error)

    async def close(self, drain: bool) -> None:
        while drain and self._flight and not (self._dead or self._closed):
            self._settled.clear()
            self._writer.flush()
            await self._settled.wait()
        self._closed = True
        self._flight.clear()
        self._settled.set()
        await self._writer.detach(self._channel, self)
