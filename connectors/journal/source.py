"""The journal's message source: what the files hold, in the order of each stream, then what is written at their tail.

Every channel has a cursor: a stream and the next number. A position is the identity `<epoch>-<sequence>` of the last
number that is done, so a restart repeats an item rather than skip one. Streams of a channel follow each other by epoch;
the next one is begun when the one before is read to its end.

Numbers that the journal cannot give any more are holes: with the reason that was stored, where one was; `before_window`
where retention overtook the reader; `announced` where the sink was never given them (`only`), since here the journal is
the publisher and says that they will not come.

`start = "latest"` is for channels that are there at the first start: where each of them stood is kept in the table's
state (`starts.py`), so that a channel of which nothing was acknowledged goes on there, and one that came later is read
from its beginning.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import ClassVar, Final, TypeVar, cast, get_args

from bridge.api import (
    ConfigurationError,
    Context,
    Data,
    Hole,
    HoleReason,
    Item,
    MessageBatch,
    Never,
    NotYet,
    SessionEnd,
    SessionStart,
    Start,
)
from connectors.journal.answers import answers
from connectors.journal.faults import connector_error
from connectors.journal.layout import MAX_NUMBER
from connectors.journal.options import SourceOptions
from connectors.journal.reader import Chunk, JournalReader
from connectors.journal.segment import StreamRow
from connectors.journal.starts import Starts

T = TypeVar("T")
SHORTEST_WAIT: Final = 0.001  # seconds between looks at the tail, doubled while nothing comes
LONGEST_WAIT: Final = 0.05
MOST_MESSAGES: Final = 4_096  # of one read
STEP: Final = 256  # items between two turns of the event loop; a sparse batch comes as an item a message
_REASONS: Final = frozenset(get_args(HoleReason))


@dataclass(slots=True)
class _Cursor:
    channel: str
    row: StreamRow | None = None  # None: the channel's first stream, whichever it will be
    next: int = 0
    begun: bool = False  # its SessionStart was given out
    ended: bool = False  # its SessionEnd was given out


class JournalSource:
    """See the module's text and `bridge.api.MessageSource`."""

    Options: ClassVar[type[SourceOptions]] = SourceOptions

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._reader = JournalReader(options.path)
        self._starts = Starts(context.state, options.path)
        self._cursors: dict[str, _Cursor] = {}
        self._dirty: deque[str] = deque()  # channels that may have more, the longest unread first
        self._version: tuple[int, int, int] | None = None
        self._row = 0  # of the written segment, up to which channels were marked

    async def open(self, start: Start) -> None:
        """Raises `Unavailable` where there is no journal yet, `Refused` for a newer one, `ConfigurationError`."""
        await self._blocking(self._reader.open)
        wanted = [channel for channel in await self._blocking(self._reader.channels) if self._wanted(channel)]
        kept = await self._blocking(self._starts.load) if start.at == "latest" else None
        for channel in wanted:
            position = (start.resume or {}).get(channel) or (kept or {}).get(channel)
            self._cursors[channel] = await self._place(channel, start, position, later=kept is not None)
        self._dirty.extend(wanted)
        if start.at == "latest" and kept is None and not start.resume:
            cursors = self._cursors.values()
            first = {c.channel: _position(c.row, c.next - 1) for c in cursors if c.row is not None}
            await self._blocking(lambda: self._starts.save(first))

    def _wanted(self, channel: str) -> bool:
        return any(fnmatchcase(channel, pattern) for pattern in self._options.channels)

    async def _place(self, channel: str, start: Start, position: str | None, later: bool) -> _Cursor:
        """Where a channel begins; `later`: this is not the first start at `latest`."""
        streams = await self._blocking(partial(self._reader.streams, channel))
        if position is not None:
            cursor = self._resumed(channel, position, [row for row, _ in streams])
            if cursor is not None:
                return cursor
        elif streams:
            newest = streams[-1][0]
            if start.at == "latest" and not later:
                return _Cursor(channel, newest, _after(newest))
            if start.at == "sequence":
                return _Cursor(channel, newest, _number(start.value))
            if start.at == "position":
                return await self._at_position(channel, [row for row, _ in streams], str(start.value))
            if start.at == "time":
                return await self._at_time(channel, [row for row, _ in streams], _number(start.value))
        for row, first_left in streams:
            if first_left is not None:
                return _Cursor(channel, row, first_left)
        return _Cursor(channel, streams[-1][0], _after(streams[-1][0])) if streams else _Cursor(channel)

    def _resumed(self, channel: str, position: str, rows: Sequence[StreamRow]) -> _Cursor | None:
        epoch, number = parse_position(position)
        for row in rows:
            if row.epoch == epoch and number < _after(row):
                return _Cursor(channel, row, number + 1)
        self._context.emit(
            "position_unknown",
            "warning",
            f"journal {self._options.path} does not reach position {position} of channel {channel!r}; it was replaced or "
            "fell back, and is read from its beginning",
            channel=channel,
            position=position,
        )
        return None

    async def _at_position(self, channel: str, rows: Sequence[StreamRow], position: str) -> _Cursor:
        epoch, number = parse_position(position)
        row = next((row for row in rows if row.epoch == epoch), None)
        if row is None:
            raise ConfigurationError(f"channel {channel!r} of journal {self._options.path} has no epoch {epoch}")
        # The item of that position may have begun before its last number.
        chunk = await self._blocking(partial(self._reader.fetch, row.stream, max(0, number), max(0, number), 1))
        return _Cursor(channel, row, chunk.rows[0].first if chunk is not None and chunk.rows else max(0, number))

    async def _at_time(self, channel: str, rows: Sequence[StreamRow], time_ns: int) -> _Cursor:
        for row in rows:
            number = await self._blocking(partial(self._reader.time_search, row.stream, time_ns))
            if number is not None and row.tail is not None and number <= row.tail:
                return _Cursor(channel, row, number)
        return _Cursor(channel, rows[-1], _after(rows[-1]))

    async def read(self, limit: int) -> Sequence[tuple[Item, str]]:
        wait = SHORTEST_WAIT
        while True:
            while self._dirty:
                cursor = self._cursors[self._dirty[0]]
                items = await self._advance(cursor, max(1, min(limit, MOST_MESSAGES)))
                self._dirty.rotate(-1)
                if items:
                    return items
                self._dirty.pop()
            if await self._changed():
                continue
            if not self._options.follow:
                return []
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def _changed(self) -> bool:
        """Mark the channels that got something since the last look; whether there are any."""
        version = await self._blocking(self._reader.version)
        before = self._version
        if version == before:
            return False
        if before is not None and version[:2] == before[:2]:
            touched, self._row = await self._blocking(partial(self._reader.touched, version[1], self._row))
            marked = [channel for channel in self._cursors if channel in touched]
        else:  # a claim, an end, a new segment: rare enough to look at all of them
            _, self._row = await self._blocking(partial(self._reader.touched, version[1], 0))
            for channel in await self._blocking(self._reader.channels):
                if channel not in self._cursors and self._wanted(channel):
                    self._cursors[channel] = _Cursor(channel)
            marked = list(self._cursors)
        self._version = version  # only now: a call that was cancelled before must look again
        self._dirty.extend(marked)
        return bool(marked)

    async def _advance(self, cursor: _Cursor, limit: int) -> list[tuple[Item, str]]:
        """The next items of a channel; empty where it has none now."""
        while True:
            rows, chunk = await self._blocking(partial(self._look, cursor, limit))
            if cursor.row is None:
                if not rows:
                    return []
                cursor.row, cursor.next = rows[0], rows[0].first
                continue
            row = cursor.row
            items: list[tuple[Item, str]] = []
            if not cursor.begun:
                items.append((SessionStart(row.stream, row.protocol, cursor.next), _position(row, cursor.next - 1)))
            following, at_tail = cursor.next, chunk is None
            for item in _items(chunk, row, cursor.next, limit) if chunk is not None else ():
                if item is None:
                    at_tail = True
                    break
                items.append((item, _position(row, item.last)))
                following = item.last + 1
                if not len(items) % STEP:
                    await asyncio.sleep(0)
            # From here on nothing waits: a read that is cancelled before has moved nothing.
            cursor.begun, cursor.next = True, following
            if at_tail and self._finish(cursor, row, rows, items) and not items:
                continue
            return items

    def _finish(
        self, cursor: _Cursor, row: StreamRow, rows: Sequence[StreamRow], items: list[tuple[Item, str]]
    ) -> bool:
        """At the tail of a stream: add its end, go on to the next one; whether there is one. `rows` was read before the
        tail was, so that what they say came after the last row of this stream."""
        now = next((known for known in rows if known.epoch == row.epoch), row)
        if now.end is not None and not cursor.ended:
            if cursor.next < now.end:
                items.append((Hole(row.stream, cursor.next, now.end - 1, "announced"), _position(row, now.end - 1)))
            items.append((SessionEnd(row.stream, now.end), _position(row, now.end - 1)))
            cursor.ended, cursor.next = True, max(cursor.next, now.end)
        following = next((known for known in rows if known.epoch > row.epoch), None)
        if following is not None:
            cursor.row, cursor.next, cursor.begun, cursor.ended = following, following.first, False, False
        return following is not None

    def _look(self, cursor: _Cursor, limit: int) -> tuple[list[StreamRow], Chunk | None]:
        rows = self._reader.lineage(cursor.channel)
        if cursor.row is None:
            return rows, None
        return rows, self._reader.fetch(cursor.row.stream, cursor.next, MAX_NUMBER, limit)

    def acknowledge(self, channel: str, position: str) -> None:
        """The journal keeps nothing about its readers; the engine saves the position."""

    async def close(self) -> None:
        await self._context.blocking(self._reader.close)

    async def _blocking(self, call: Callable[[], T]) -> T:
        try:
            return await self._context.blocking(call)
        except Exception as error:
            raise connector_error(error, self._options.path) from error


def _items(chunk: Chunk, row: StreamRow, first: int, limit: int) -> Iterator[MessageBatch | Hole | None]:
    """The chunk's answers as batches and holes; None at the tail."""
    for piece in answers(chunk, row.stream, first, MAX_NUMBER, limit):
        if isinstance(piece, Data):
            yield piece.batch
        elif isinstance(piece, NotYet):
            yield None
        elif isinstance(piece, Never):
            reason = cast("HoleReason", piece.reason) if piece.reason in _REASONS else "announced"
            yield Hole(row.stream, piece.first, piece.last, reason)
        else:
            yield Hole(row.stream, piece.first, piece.last, "before_window")


def _after(row: StreamRow) -> int:
    return row.first if row.through is None else row.through + 1


def _position(row: StreamRow, number: int) -> str:
    return f"{row.epoch}-{number}"


def parse_position(text: str) -> tuple[int, int]:
    """`<epoch>-<sequence>`; the sequence is -1 where nothing of a stream that begins at 0 is done."""
    epoch, dash, number = text.partition("-")
    try:
        if dash:
            return int(epoch), int(number)
    except ValueError:
        pass
    raise ConfigurationError(f"{text!r} is no position of a journal", hint='write EPOCH-SEQUENCE, for example "1-5000"')


def _number(value: int | str | None) -> int:
    try:
        return int(value or 0)
    except ValueError:
        raise ConfigurationError(f"{value!r} is no number to start at") from None
