"""The format on disk, by literal bytes, and what is refused of it."""

import sqlite3
from pathlib import Path

import pytest

from bridge.api import Refused, Unavailable
from bridge.testing.doubles import FakeContext, RecordingListener
from connectors.journal.layout import (
    open_readable,
    pack_lengths,
    pack_numbers,
    segment_of,
    unpack_lengths,
    unpack_numbers,
)
from connectors.journal.options import SinkOptions
from connectors.journal.sink import JournalSink
from connectors.journal.store import JournalStore
from tests.unit.connectors.journal.helpers import A, batch, hole, opened_store, start, told, write


def test_lengths_are_little_endian_u32() -> None:
    packed = pack_lengths([b"", b"x", b"y" * 0x0102])
    assert packed == b"\x00\x00\x00\x00\x01\x00\x00\x00\x02\x01\x00\x00"
    assert list(unpack_lengths(packed)) == [0, 1, 0x0102]


def test_numbers_are_little_endian_u64() -> None:
    packed = pack_numbers([1, 2**53 - 2])
    assert packed == b"\x01\0\0\0\0\0\0\0" + b"\xfe\xff\xff\xff\xff\xff\x1f\x00"
    assert list(unpack_numbers(packed)) == [1, 2**53 - 2]


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("00000001.sqlite", 1),
        ("00000012.sqlite-wal", 12),
        ("00000012.sqlite-shm", 12),
        ("123456789.sqlite", 123456789),
        ("registry.sqlite", None),
        ("lock", None),
        ("00000001.txt", None),
        ("00000001", None),
        ("²1.sqlite", None),
    ],
)
def test_segment_of(name: str, segment: int | None) -> None:
    assert segment_of(name) == segment


async def test_rows_are_as_the_format_says(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    sparse = batch(12, [b"f", b"gg"], numbers=[12, 15], time=9)
    await write(journal, [start(first=7), batch(7, [b"ab", b"", b"cde"], time=5), hole(10, 11), sparse])
    with sqlite3.connect(journal / "registry.sqlite") as registry:
        assert registry.execute("PRAGMA user_version").fetchone() == (1,)
        streams = registry.execute("SELECT channel, epoch, session, restart, protocol, first, end FROM streams")
        assert streams.fetchall() == [("a", 1, b"session1", 0, "native", 7, None)]
    with sqlite3.connect(journal / "00000001.sqlite") as segment:
        assert segment.execute("PRAGMA user_version").fetchone() == (1,)
        rows = segment.execute("SELECT first, last, count, time, reason, lengths, numbers, data FROM items").fetchall()
    assert rows == [
        (7, 9, 3, 5, None, b"\x02\0\0\0\0\0\0\0\x03\0\0\0", None, b"abcde"),
        (10, 11, 0, 5, "wire", None, None, None),
        (12, 15, 2, 9, None, b"\x01\0\0\0\x02\0\0\0", b"\x0c" + bytes(7) + b"\x0f" + bytes(7), b"fgg"),
    ]


@pytest.mark.parametrize("file", ["registry.sqlite", "00000001.sqlite"])
async def test_a_newer_format_is_refused_naming_both(tmp_path: Path, file: str) -> None:
    journal = tmp_path / "journal"
    await write(journal, [start(), batch(0, [b"x"])])
    with sqlite3.connect(journal / file) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    options = SinkOptions(path=journal)
    with pytest.raises(Refused, match=rf"{file} has format 2, this version reads format 1") as caught:
        await JournalSink(options, FakeContext()).open("a", RecordingListener())
    assert "version" in caught.value.hint
    store = JournalStore(options, FakeContext())
    reading = store.open() if file.startswith("registry") else store.streams("a")
    with pytest.raises(Refused, match="format 2"):
        await reading
    await store.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    (journal / "registry.sqlite").write_bytes(b"something else entirely" * 100)
    with pytest.raises(Refused, match=r"journal .* is damaged"):
        await JournalSink(SinkOptions(path=journal), FakeContext()).open("a", RecordingListener())


async def test_no_journal_yet_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no journal at"):
        await opened_store(tmp_path / "journal")


def test_a_database_without_its_tables_is_not_there_yet(tmp_path: Path) -> None:
    file = tmp_path / "00000001.sqlite"
    sqlite3.connect(file).close()
    assert open_readable(file) is None


async def test_a_store_needs_no_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "journal"
    await write(journal, [start(), batch(0, [b"x", b"y"])])
    monkeypatch.setattr("os.access", lambda *_: False)  # as root, nothing else makes a directory read-only
    before = sorted(journal.iterdir())
    store = await opened_store(journal)
    assert await told(store, A, 0, 2) == {0: b"x", 1: b"y", 2: "not yet"}
    assert sorted(journal.iterdir()) == before
    await store.close()
