"""A journal open for writing: lock, registry, the segment that is written, retention. Synchronous, one thread at a time.

The steps are ordered so that a kill between any two leaves a journal that opens:

- a claim is committed in the registry before the first row that uses it;
- a segment is entered in the registry before its file is made; an entry without a file is an empty or a removed segment;
- retention unlinks files first and then forgets them in the registry; readers take a missing file as removed.
"""

import contextlib
import fcntl
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.api import Refused, Stream
from connectors.journal.layout import REGISTRY_SCHEMA, open_writable, registry_path, segment_path
from connectors.journal.retention import Limits, Segment, expired, unlink, unlink_orphans
from connectors.journal.segment import Row, StreamRow, WrittenSegment

STREAM_COLUMNS = "id, channel, session, restart, epoch, protocol, first, end, tail, through, trimmed"


def stream_row(row: Sequence[object]) -> StreamRow:
    """A `StreamRow` of a row with STREAM_COLUMNS."""
    key, channel, session, restart, epoch, protocol, first, end, tail, through, trimmed = row
    stream = Stream(channel, session, restart)  # type: ignore[arg-type]  # STRICT tables hold what they declare
    return StreamRow(stream, epoch, protocol, first, key, end, tail, through, trimmed)  # type: ignore[arg-type]  # as above


class Storage:
    """The one writer of a journal. Methods raise sqlite3.Error, OSError and `Refused`; after one, call `close`."""

    def __init__(self, path: Path, limits: Limits, clock: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock
        self._writer = f"{socket.gethostname()}/{os.getpid()}"
        self._lock: int | None = None
        self._open: tuple[sqlite3.Connection, WrittenSegment] | None = None
        self._closed: list[Segment] = []  # oldest first
        self._unlinked: list[Segment] = []  # files removed, the registry does not know it yet

    def open(self) -> None:
        """Take the lock, finish what a kill left, remove what expired. Does nothing where it is open already."""
        if self._open is not None:
            return
        self._path.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        registry = open_writable(registry_path(self._path), REGISTRY_SCHEMA, "FULL")
        try:
            rows = registry.execute("SELECT id, bytes, messages, newest FROM segments WHERE NOT open ORDER BY id")
            closed = [Segment(*row) for row in rows]
            self._closed = [s for s in closed if segment_path(self._path, s.id).exists()]
            self._unlinked = [s for s in closed if not segment_path(self._path, s.id).exists()]
            newest = registry.execute("SELECT MAX(id) FROM segments").fetchone()[0]
            # Before anything is written: on a full disk this is what makes room.
            unlink_orphans(self._path, [s.id for s in self._closed], newest or 0)
            self._retain(registry)
            if newest is None:
                newest = 1
                registry.execute("INSERT INTO segments VALUES (1, 1, 0, 0, 0)")
            self._open = registry, WrittenSegment(self._path, newest)
        except BaseException:
            registry.close()
            raise

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise Refused(
                f"journal {self._path} is written already, by process {holder}",
                hint="one sink of one bridge writes a journal; give this one a path of its own",
            ) from None
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        with contextlib.suppress(OSError):  # the lock holds; the pid is for people
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

    def streams(self, channel: str) -> list[StreamRow]:
        """All streams of a channel, oldest first, with their present tails."""
        registry, written = self._opened()
        rows = registry.execute(f"SELECT {STREAM_COLUMNS} FROM streams WHERE channel = ? ORDER BY epoch", (channel,))  # noqa: S608 - a constant
        streams = [stream_row(row) for row in rows]
        for stream in streams:
            extent = written.extents.get(stream.id or 0)
            if extent is not None:
                stream.through = extent.last
                stream.tail = stream.tail if extent.tail is None else extent.tail
        return streams

    def claim(self, row: StreamRow) -> None:
        """Enter a new stream; sets its id."""
        registry, _ = self._opened()
        channel, session, restart = row.stream
        cursor = registry.execute(
            "INSERT INTO streams (channel, epoch, session, restart, protocol, first, writer) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (channel, row.epoch, session, restart, row.protocol, row.first, self._writer),
        )
        row.id = cursor.lastrowid

    def end(self, row: StreamRow, following: int) -> None:
        """The session ended; `following` is one past its last number."""
        registry, _ = self._opened()
        registry.execute("UPDATE streams SET end = ? WHERE id = ?", (following, row.id))

    def append(self, rows: Sequence[Row]) -> int:
        """Commit rows in order; returns how many messages retention removed for it. Each transaction is all or none."""
        removed = 0
        rest = rows
        while rest:
            _, written = self._opened()
            taken = 0 if written.due(self._limits, self._clock()) else written.room(rest, self._limits)
            if taken:
                written.append(rest[:taken])
                rest = rest[taken:]
            else:
                removed += self._roll()
        return removed

    def retain(self) -> int:
        """Remove what expired, closing the written segment where it is due; returns the number of messages removed."""
        registry, written = self._opened()
        if written.due(self._limits, self._clock()):
            return self._roll()
        return self._retain(registry)

    def _roll(self) -> int:
        """Close the written segment and begin the next one."""
        registry, written = self._opened()
        extents = written.extents
        with _transaction(registry):
            registry.execute(
                "UPDATE segments SET open = 0, bytes = ?, messages = ?, newest = ? WHERE id = ?",
                (written.bytes, written.messages, written.newest, written.id),
            )
            registry.executemany(
                "INSERT INTO extents VALUES (?, ?, ?, ?, ?)",
                [(stream, written.id, e.first, e.last, e.newest) for stream, e in extents.items()],
            )
            registry.executemany(
                "UPDATE streams SET through = ?, tail = COALESCE(?, tail) WHERE id = ?",
                [(e.last, e.tail, stream) for stream, e in extents.items()],
            )
            registry.execute("INSERT INTO segments VALUES (?, 1, 0, 0, 0)", (written.id + 1,))
        written.seal()
        self._closed.append(written.summary())
        self._open = registry, WrittenSegment(self._path, written.id + 1)
        return self._retain(registry)

    def _retain(self, registry: sqlite3.Connection) -> int:
        count = expired(self._closed, self._limits, self._clock())
        leaving, self._closed = self._closed[:count], self._closed[count:]
        for segment in leaving:
            unlink(self._path, segment.id)
        self._unlinked += leaving
        if self._unlinked:
            # A full disk may refuse it: the files are gone all the same, and the next call comes back to it.
            with contextlib.suppress(sqlite3.OperationalError):
                self._forget(registry)
        return sum(s.messages for s in leaving)

    def _forget(self, registry: sqlite3.Connection) -> None:
        ids = [(segment.id,) for segment in self._unlinked]
        with _transaction(registry):
            registry.executemany(
                "UPDATE streams SET trimmed = e.last FROM extents e WHERE e.stream = streams.id AND e.segment = ?", ids
            )
            registry.executemany("DELETE FROM extents WHERE segment = ?", ids)
            registry.executemany("DELETE FROM segments WHERE id = ?", ids)
        self._unlinked = []

    def _opened(self) -> tuple[sqlite3.Connection, WrittenSegment]:
        if self._open is None:
            raise ValueError(f"journal {self._path} is not open")
        return self._open

    def close(self) -> None:
        """Close everything and give up the lock. Idempotent, never raises."""
        if self._open is not None:
            registry, written = self._open
            self._open = None
            written.close()
            with contextlib.suppress(sqlite3.Error):
                registry.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _transaction:  # noqa: N801 - reads as a statement
    """BEGIN and COMMIT, or ROLLBACK where the body or the COMMIT raises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error:
            if kind is None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
