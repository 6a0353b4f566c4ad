"""The segment that is written: rows go in, one transaction a call; it knows its size and what it holds of each stream."""

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bridge.api import Stream
from connectors.journal.layout import PAGE, SEGMENT_SCHEMA, open_writable, segment_path
from connectors.journal.retention import Limits, Segment


@dataclass(slots=True)
class StreamRow:
    """A stream as the registry has it. `id` is None until the claim is committed; only the writer's thread reads it."""

    stream: Stream
    epoch: int
    protocol: str
    first: int
    id: int | None = None
    end: int | None = None
    tail: int | None = None
    through: int | None = None
    trimmed: int | None = None


class Row(NamedTuple):
    """A batch, or a hole (`reason`), as it is stored."""

    stream: StreamRow
    first: int
    last: int
    messages: int
    time: int
    reason: str | None
    lengths: bytes | None
    numbers: bytes | None
    data: bytes | None

    @property
    def cost(self) -> int:
        """At most so many bytes of file: a value beyond a page takes pages of its own."""
        size = len(self.data or b"") + len(self.lengths or b"") + len(self.numbers or b"")
        return size * 5 // 4 + 128 if size < 1024 else (size // (PAGE - 4) + 2) * PAGE


@dataclass(slots=True)
class Extent:
    """What one segment holds of one stream."""

    first: int
    last: int
    tail: int | None
    newest: int


class WrittenSegment:
    """The open end of the journal. All calls come from the writer's thread."""

    def __init__(self, path: Path, segment: int) -> None:
        """Open it, or make it. Raises sqlite3.Error and `Refused`."""
        self.id = segment
        self.extents: dict[int, Extent] = {}
        self.messages = 0
        self.oldest: int | None = None
        self.newest = 0
        self._connection = open_writable(segment_path(path, segment), SEGMENT_SCHEMA, "NORMAL")
        try:
            self._load()
        except BaseException:
            self._connection.close()
            raise

    def _load(self) -> None:
        rows = self._connection.execute(
            "SELECT stream, MIN(first), MAX(last), MAX(CASE WHEN reason IS NULL THEN last END), MAX(time), MIN(time),"
            " SUM(count) FROM items GROUP BY stream"
        )
        for stream, first, last, tail, newest, oldest, messages in rows:
            self.extents[stream] = Extent(first, last, tail, newest)
            self._count(messages, oldest, newest)
        self._measure()

    def _measure(self) -> None:
        self.bytes = int(self._connection.execute("PRAGMA page_count").fetchone()[0]) * PAGE

    def _count(self, messages: int, oldest: int, newest: int) -> None:
        self.messages += messages
        self.oldest = oldest if self.oldest is None else min(self.oldest, oldest)
        self.newest = max(self.newest, newest)

    def summary(self) -> Segment:
        return Segment(self.id, self.bytes, self.messages, self.newest)

    def due(self, limits: Limits, now_ns: int) -> bool:
        """It holds its share of the age limit and is to be closed, also when nothing more comes."""
        age = limits.share_age_ns
        return age is not None and self.oldest is not None and now_ns - self.oldest > age

    def room(self, rows: Sequence[Row], limits: Limits) -> int:
        """How many of `rows`, from the first, still belong into this segment; an empty one takes at least one."""
        size, messages, most = self.bytes, self.messages, limits.share_messages
        for taken, row in enumerate(rows):
            size += row.cost
            messages += row.messages
            if size > limits.share_bytes or (most is not None and messages > most):
                return taken if taken or self.extents else 1
        return len(rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Commit `rows`, all or none. Raises sqlite3.Error."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "INSERT INTO items (stream, first, last, count, time, reason, lengths, numbers, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(row.stream.id, *row[1:]) for row in rows],
            )
            self._measure()  # inside the transaction, where it takes no lock of its own
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        for row in rows:
            assert row.stream.id is not None
            tail = row.last if row.reason is None else None
            extent = self.extents.get(row.stream.id)
            if extent is None:
                self.extents[row.stream.id] = Extent(row.first, row.last, tail, row.time)
            else:
                extent.last = row.last
                extent.tail = extent.tail if tail is None else tail
                extent.newest = max(extent.newest, row.time)
            self._count(row.messages, row.time, row.time)

    def seal(self) -> None:
        """Write the log back and leave WAL mode, so that readers of the closed file need no log. Never raises: a reader
        that holds it open keeps it in WAL mode, which only costs it two small files more."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        self.close()

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
