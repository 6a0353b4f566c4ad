"""Reads a journal's files, also while another process writes and trims them. Synchronous; any thread, one call at a time.

`fetch` gives the next retained rows of a stream from a number on, and the bounds that make an exact answer of them. The
order matters: the upper bound before the rows, since what is written in between must not look like a hole; the lower
bound after them, since what retention removed in between must not either. It takes one look at the registry and at most
two index searches in one segment, however long the journal is.
"""

import contextlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from bridge.api import Stream, Unavailable
from connectors.journal.layout import open_readable, registry_path, segment_path
from connectors.journal.segment import StreamRow
from connectors.journal.storage import STREAM_COLUMNS, stream_row

FETCH_BYTES: Final = 4 * 1024 * 1024
FETCH_ROWS: Final = 512
OPEN_SEGMENTS: Final = 3  # connections that are kept; each may hold the space of a file that retention unlinked


class Stored(NamedTuple):
    """One row of a segment: a batch, or a hole with its reason."""

    first: int
    last: int
    messages: int
    time: int
    reason: str | None
    lengths: bytes | None
    numbers: bytes | None
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """`rows` are all retained rows between the asked first number and `covered`; nothing above `through` is decided.

    `trimmed`: retention removed everything up to here, -1 for nothing. `start`: the stream's first number.
    """

    rows: list[Stored]
    covered: int
    epoch: int
    start: int
    through: int | None
    trimmed: int


class _View(NamedTuple):
    """A stream as one look at the registry shows it; closed segments that hold some of it, oldest first."""

    row: StreamRow
    extents: list[tuple[int, int, int, int]]  # segment, first, last, newest
    written: int  # the segment that is written


class JournalReader:
    """Methods raise sqlite3.Error, OSError, `Unavailable` where there is no journal (yet), `Refused` for a newer one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # a cancelled reader's call may still run in its thread
        self._registry: sqlite3.Connection | None = None
        self._segments: OrderedDict[int, sqlite3.Connection] = OrderedDict()
        self._closed = False

    def open(self) -> None:
        with self._lock:
            self._closed = False
            self._opened()

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable(f"the reader of journal {self._path} is closed")
        if self._registry is None:
            self._registry = open_readable(registry_path(self._path))
        if self._registry is None:
            raise Unavailable(f"there is no journal at {self._path} yet", hint="a journal sink makes it when it starts")
        return self._registry

    def channels(self) -> list[str]:
        """All channels that ever had a stream, by name."""
        with self._lock:
            return [name for (name,) in self._opened().execute("SELECT DISTINCT channel FROM streams ORDER BY channel")]

    def lineage(self, channel: str) -> list[StreamRow]:
        """The streams of a channel, oldest first, with tails as of the last closed segment."""
        with self._lock:
            select = f"SELECT {STREAM_COLUMNS} FROM streams WHERE channel = ? ORDER BY epoch"  # noqa: S608 - a constant
            return [stream_row(row) for row in self._opened().execute(select, (channel,))]

    def streams(self, channel: str) -> list[tuple[StreamRow, int | None]]:
        """The streams of a channel, oldest first, with present tails and the first number that is left of each."""
        rows = self.lineage(channel)
        with self._lock:
            return [self._bounds(row.stream) for row in rows]

    def _bounds(self, stream: Stream) -> tuple[StreamRow, int | None]:
        view = self._view(stream)
        assert view is not None
        self._advance(view)
        for segment in (*(extent[0] for extent in view.extents), view.written):
            select = "SELECT first FROM items WHERE stream = ? ORDER BY first LIMIT 1"
            found = self._select(segment, select, (view.row.id,))
            if found:
                return view.row, int(found[0][0])
        return view.row, None

    def fetch(self, stream: Stream, first: int, last: int, limit: int) -> Chunk | None:
        """The next rows of `first`..`last`, about `limit` messages; None where the journal does not know the stream."""
        with self._lock:
            view = self._view(stream)
            if view is None:
                return None
            row = view.row
            self._advance(view)
            rows: list[Stored] = []
            covered = last
            places = [segment for segment, _, end, _ in view.extents if end >= first]
            for segment in (*places, view.written):
                rows, complete = self._rows(segment, row.id or 0, first, last, limit)
                if rows:
                    # The rest may be in the next segment; the next fetch looks there.
                    covered = last if segment == view.written and complete else min(last, rows[-1].last)
                    break
            return Chunk(rows, covered, row.epoch, row.first, row.through, self._trimmed(stream))

    def _view(self, stream: Stream) -> _View | None:
        registry = self._opened()
        registry.execute("BEGIN")
        try:
            select = f"SELECT {STREAM_COLUMNS} FROM streams WHERE channel = ? AND session = ? AND restart = ?"  # noqa: S608 - a constant
            found = registry.execute(select, stream).fetchone()
            if found is None:
                return None
            row = stream_row(found)
            extents = registry.execute(
                "SELECT segment, first, last, newest FROM extents WHERE stream = ? ORDER BY segment", (row.id,)
            ).fetchall()
            written = registry.execute("SELECT MAX(id) FROM segments").fetchone()[0]
            return _View(row, extents, written or 0)
        finally:
            registry.execute("COMMIT")

    def _advance(self, view: _View) -> None:
        """Set the row's tail and through to what the written segment has of the stream now."""
        row = view.row
        last = "SELECT last FROM items WHERE stream = ? ORDER BY first DESC LIMIT 1"
        found = self._select(view.written, last, (row.id,))
        if found:
            row.through = found[0][0]
            tail = "SELECT last FROM items WHERE stream = ? AND reason IS NULL ORDER BY first DESC LIMIT 1"
            found = self._select(view.written, tail, (row.id,))
            row.tail = found[0][0] if found else row.tail

    def _trimmed(self, stream: Stream) -> int:
        view = self._view(stream)
        if view is None:
            return -1
        trimmed = -1 if view.row.trimmed is None else view.row.trimmed
        for segment, _, last, _ in view.extents:
            if segment_path(self._path, segment).exists():
                break
            trimmed = max(trimmed, last)
        return trimmed

    def _rows(self, segment: int, stream: int, first: int, last: int, limit: int) -> tuple[list[Stored], bool]:
        """Rows of one segment that touch first..last, about `limit` messages of them, and whether those are all."""
        connection = self._segment(segment)
        if connection is None:
            return [], True
        # Rows do not overlap, so the one that holds `first` is the last that does not begin after it.
        select = (
            "SELECT first, last, count, time, reason, lengths, numbers, data FROM items WHERE stream = ?1 AND first <= ?3"
            " AND first >= COALESCE((SELECT MAX(first) FROM items WHERE stream = ?1 AND first <= ?2), ?2) AND last >= ?2"
            " ORDER BY first"
        )
        rows: list[Stored] = []
        messages = size = 0
        try:
            with contextlib.closing(connection.execute(select, (stream, first, last))) as cursor:
                for found in cursor:
                    row = Stored(*found)
                    rows.append(row)
                    messages += row.messages
                    size += len(row.data or b"")
                    if messages >= limit or size >= FETCH_BYTES or len(rows) >= FETCH_ROWS:
                        return rows, False
        except sqlite3.Error:
            self._gone_or_raise(segment)
            return [], True
        return rows, True

    def time_search(self, stream: Stream, time_ns: int) -> int | None:
        """The first retained number whose row was received at `time_ns` or later; one past the tail where none was;
        None where the journal does not know the stream. Receive times are taken to rise, as far as the clock did."""
        with self._lock:
            view = self._view(stream)
            if view is None:
                return None
            self._advance(view)
            for segment in (*(e[0] for e in view.extents if e[3] >= time_ns), view.written):
                found = self._time_in(segment, view.row.id or 0, time_ns)
                if found is not None:
                    return found
            return view.row.first if view.row.tail is None else view.row.tail + 1

    def _time_in(self, segment: int, stream: int, time_ns: int) -> int | None:
        ends = self._select(segment, "SELECT MIN(first), MAX(first) FROM items WHERE stream = ?", (stream,))
        if not ends or ends[0][0] is None:
            return None
        low, high = ends[0]
        following = "SELECT first, time FROM items WHERE stream = ? AND first >= ? ORDER BY first LIMIT 1"
        while low < high:  # binary search over numbers, each step one search in the index
            middle = (low + high) // 2
            row = self._select(segment, following, (stream, middle))
            if not row:
                return None
            if row[0][1] >= time_ns:
                high = middle
            else:
                low = row[0][0] + 1
        late = "SELECT first FROM items WHERE stream = ? AND first >= ? AND time >= ? AND reason IS NULL ORDER BY first LIMIT 1"
        found = self._select(segment, late, (stream, low, time_ns))
        return int(found[0][0]) if found else None

    def version(self) -> tuple[int, int, int]:
        """Changes whenever anything was committed: registry, number of the written segment, that segment."""
        with self._lock:
            registry = int(self._opened().execute("PRAGMA data_version").fetchone()[0])
            written = int(self._opened().execute("SELECT COALESCE(MAX(id), 0) FROM segments").fetchone()[0])
            found = self._select(written, "PRAGMA data_version", ())
            return registry, written, int(found[0][0]) if found else 0

    def touched(self, segment: int, after: int) -> tuple[set[str], int]:
        """Channels with rows of a segment beyond row `after`, and its last row."""
        with self._lock:
            select = "SELECT stream, MAX(row) FROM items WHERE row > ? GROUP BY stream"
            found = self._select(segment, select, (after,))
            names = set[str]()
            for stream, _ in found:
                names.update(
                    self._opened().execute("SELECT channel FROM streams WHERE id = ?", (stream,)).fetchone() or ()
                )
            return names, max([after, *(row for _, row in found)])

    def _select(self, segment: int, statement: str, values: Sequence[object]) -> list[tuple[int, ...]]:
        connection = self._segment(segment)
        if connection is None:
            return []
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.Error:
            self._gone_or_raise(segment)
            return []

    def _segment(self, segment: int) -> sqlite3.Connection | None:
        """A connection to a segment; None where retention removed it, or where its writer is about to make it."""
        file = segment_path(self._path, segment)
        connection = self._segments.pop(segment, None)
        if not file.exists():
            if connection is not None:
                connection.close()
            return None
        if connection is None:
            try:
                connection = open_readable(file)
            except sqlite3.Error:
                self._gone_or_raise(segment)
                return None
        if connection is not None:
            self._segments[segment] = connection
            while len(self._segments) > OPEN_SEGMENTS:
                self._segments.popitem(last=False)[1].close()
        return connection

    def _gone_or_raise(self, segment: int) -> None:
        """Inside an except block: raise on, unless retention removed the segment meanwhile."""
        if segment_path(self._path, segment).exists():
            raise
        connection = self._segments.pop(segment, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Idempotent; a call that runs in another thread is waited for."""
        with self._lock:
            self._closed = True
            for connection in (*self._segments.values(), *([self._registry] if self._registry else [])):
                connection.close()
            self._segments.clear()
            self._registry = None
