"""Format 1 of a journal on disk: its files, their tables, their versions, and how SQLite is opened on them.

    <path>/lock               flock of the one writing process, its pid inside
    <path>/registry.sqlite    streams (outlive retention), segments, and which numbers each closed segment holds
    <path>/NNNNNNNN.sqlite    segments, numbered from 1 and never reused: one row per batch or hole; the highest is written

`items.lengths` are the payloads' lengths as little-endian u32, `items.numbers` (only where messages were taken out of the
batch) their sequence numbers as little-endian u64, `items.data` the payloads end to end. A hole has a reason and no data.
`time` is Unix epoch in ns. Both files carry the format in SQLite's `user_version`; it rises when a reader of the format
before would misread. All files are in WAL mode. Segments use synchronous=NORMAL: a commit survives the death of the
process; after a power cut the file is whole but the last commits may be gone. The registry uses synchronous=FULL, so that
a row of a segment never outlives the claim of its stream.
"""

import os
import sqlite3
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from bridge.api import Refused

FORMAT: Final = 1
MAX_NUMBER: Final = 2**63 - 1  # SQLite's integers are signed
MAX_MESSAGE: Final = 256 * 2**20  # bytes; SQLite holds 10^9 in one value, and a batch is copied once
WAL_BYTES: Final = 8 * 2**20  # the log is written back into its file when it is this large
PAGE: Final = 4096  # measured: larger pages cost small commits three times as much and gain large ones nothing

REGISTRY_SCHEMA: Final = (
    """CREATE TABLE streams (
        id INTEGER PRIMARY KEY,
        channel TEXT NOT NULL, epoch INTEGER NOT NULL,
        session BLOB NOT NULL, restart INTEGER NOT NULL,
        protocol TEXT NOT NULL, first INTEGER NOT NULL, writer TEXT NOT NULL,
        end INTEGER,      -- the number after the last one, once the session ended
        tail INTEGER,     -- last stored message, as of the last closed segment
        through INTEGER,  -- everything up to here is decided, as of the last closed segment
        trimmed INTEGER,  -- retention removed everything up to here
        UNIQUE (channel, epoch), UNIQUE (channel, session, restart)
    ) STRICT""",
    """CREATE TABLE segments (
        id INTEGER PRIMARY KEY,
        open INTEGER NOT NULL, bytes INTEGER NOT NULL, messages INTEGER NOT NULL, newest INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE extents (
        stream INTEGER NOT NULL, segment INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, newest INTEGER NOT NULL,
        PRIMARY KEY (stream, segment)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX by_segment ON extents (segment)",
)
SEGMENT_SCHEMA: Final = (
    """CREATE TABLE items (
        row INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
        time INTEGER NOT NULL, reason TEXT, lengths BLOB, numbers BLOB, data BLOB
    ) STRICT""",
    "CREATE UNIQUE INDEX by_number ON items (stream, first)",
)


def registry_path(path: Path) -> Path:
    return path / "registry.sqlite"


def segment_path(path: Path, segment: int) -> Path:
    return path / f"{segment:08d}.sqlite"


def segment_of(name: str) -> int | None:
    """The segment that a file name (also of its -wal or -shm) belongs to; None for every other file."""
    number, dot, suffix = name.partition(".")
    return int(number) if dot and number.isascii() and number.isdigit() and suffix.startswith("sqlite") else None


def open_writable(file: Path, schema: Sequence[str], synchronous: str) -> sqlite3.Connection:
    """Open `file` for the one writer, made with `schema` where it is new or was never finished.

    Raises sqlite3.Error, and `Refused` for a file of a newer format.
    """
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        if _version(connection, file) == 0:
            connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES // PAGE}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        if _version(connection, file) == 0:
            connection.execute("BEGIN IMMEDIATE")
            for statement in schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def open_readable(file: Path) -> sqlite3.Connection | None:
    """Open `file` for reading; None where it is not there or not yet finished by its writer.

    Raises sqlite3.Error, and `Refused` for a file of a newer format.
    """
    if not file.exists():
        return None
    if os.access(file.parent, os.W_OK) and os.access(file, os.W_OK):
        mode = "mode=rw"  # a writer that was killed may have left what SQLite has to roll back before anybody can read
    elif file.with_name(file.name + "-wal").exists():
        mode = "mode=ro"
    else:
        mode = "immutable=1"  # a read-only medium: SQLite could not make the log's index, and nobody writes
    uri = f"file:{quote(str(file.absolute()))}?{mode}"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    except sqlite3.OperationalError:
        if file.exists():
            raise
        return None  # retention removed it in between
    try:
        connection.execute("PRAGMA query_only = ON")
        if _version(connection, file) == 0:
            connection.close()
            return None
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, file: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > FORMAT:
        raise Refused(
            f"journal file {file} has format {version}, this version reads format {FORMAT}",
            hint="use the version of multicast-bridge that wrote it, or another path",
        )
    return version


def pack_lengths(payloads: Sequence[bytes]) -> bytes:
    """Lengths as little-endian u32."""
    return _little(array("I", map(len, payloads))).tobytes()


def unpack_lengths(data: bytes) -> "array[int]":
    """The reverse of `pack_lengths`."""
    return _little(array("I", data))


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Sequence numbers as little-endian u64."""
    return _little(array("Q", numbers)).tobytes()


def unpack_numbers(data: bytes) -> "array[int]":
    """The reverse of `pack_numbers`."""
    return _little(array("Q", data))


def _little(values: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        values.byteswap()
    return values
