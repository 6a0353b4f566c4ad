"""The one writer of a journal: transactions, segments, retention, and what a kill leaves between any two steps."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.api import Refused
from connectors.journal.layout import registry_path
from connectors.journal.storage import Storage
from tests.unit.connectors.journal.helpers import A2, SECOND, A, B, Clock, begin, opened_store, row, storage, told


def files(path: Path) -> list[str]:
    return sorted(p.name for p in path.glob("[0-9]*.sqlite"))


def abandon(journal: Storage) -> None:
    """What `kill -9` does: descriptors go, nothing is tidied up. SQLite's files stay as they are."""
    assert journal._lock is not None
    os.close(journal._lock)
    journal._lock = None


def test_tails_come_back(tmp_path: Path) -> None:
    journal = storage(tmp_path)
    a, b = begin(journal), begin(journal, B)
    journal.append([row(a, 0, [b"x", b"y"]), row(b, 5, [b"z"])])
    journal.close()
    again = storage(tmp_path)
    assert [(s.stream, s.epoch, s.tail, s.through) for s in again.streams("a")] == [(A, 1, 1, 1)]
    assert [(s.stream, s.tail) for s in again.streams("b")] == [(B, 5)]
    assert again.streams("c") == []
    again.close()


def test_a_hole_moves_through_and_not_the_tail(tmp_path: Path) -> None:
    journal = storage(tmp_path)
    a = begin(journal)
    hole = row(a, 2, [b""])._replace(last=9, messages=0, reason="wire", lengths=None, data=None)
    journal.append([row(a, 0, [b"x", b"y"]), hole])
    assert [(s.tail, s.through) for s in journal.streams("a")] == [(1, 9)]
    journal.close()


def test_a_number_twice_is_refused_and_nothing_of_its_rows_kept(tmp_path: Path) -> None:
    journal = storage(tmp_path)
    a = begin(journal)
    journal.append([row(a, 0, [b"x"])])
    with pytest.raises(sqlite3.IntegrityError):
        journal.append([row(a, 1, [b"y"]), row(a, 0, [b"x"])])
    assert journal.streams("a")[0].tail == 0
    journal.append([row(a, 1, [b"y"])])
    assert journal.streams("a")[0].tail == 1
    journal.close()


def test_no_file_is_larger_than_a_segment(tmp_path: Path) -> None:
    journal = storage(tmp_path, segment_bytes=256 * 1024)
    a, number = begin(journal), 0
    for size in [10, 700, 1500, 4000, 5000, 60_000] * 40:
        journal.append([row(a, number, [b"x" * size] * 3)])
        number += 3
    journal.close()
    sizes = [(tmp_path / name).stat().st_size for name in files(tmp_path)]
    assert len(sizes) > 10
    assert max(sizes) <= 256 * 1024
    assert sum(sizes) / len(sizes) > 128 * 1024


def test_a_row_larger_than_a_segment_has_one_of_its_own(tmp_path: Path) -> None:
    journal = storage(tmp_path, segment_bytes=64 * 1024)
    a = begin(journal)
    journal.append([row(a, 0, [b"x"]), row(a, 1, [b"y" * 500_000]), row(a, 2, [b"z"])])
    journal.close()
    assert len(files(tmp_path)) == 3


async def test_retention_by_count_keeps_most_of_the_limit(tmp_path: Path) -> None:
    journal = storage(tmp_path, max_messages=80)
    a, removed = begin(journal), 0
    for first in range(0, 300, 5):
        removed += journal.append([row(a, first, [b"m"] * 5)])
        left = first + 5 - removed
        assert min(first + 5, 70) <= left <= 80
    journal.close()
    store = await opened_store(tmp_path)
    found = await told(store, A, 0, 299)
    assert [n for n, answer in found.items() if answer == "trimmed"] == list(range(removed))
    assert [n for n, answer in found.items() if answer == b"m"] == list(range(removed, 300))
    await store.close()


def test_retention_by_bytes_counts_files(tmp_path: Path) -> None:
    journal = storage(tmp_path, max_bytes=2**20)
    a = begin(journal)
    for first in range(300):
        journal.append([row(a, first, [b"x" * 10_000])])
        assert sum((tmp_path / name).stat().st_size for name in files(tmp_path)) <= 2**20
    assert len(files(tmp_path)) >= 6
    journal.close()


def test_retention_by_age_also_when_nothing_comes(tmp_path: Path) -> None:
    clock = Clock()
    journal = storage(tmp_path, clock, max_age_ns=80 * SECOND)
    a = begin(journal)
    for first in range(40):
        journal.append([row(a, first, [b"x"], time=clock.now)])
        clock.now += 4 * SECOND
    oldest = journal.streams("a")
    assert oldest[0].trimmed is not None
    assert 40 - 80 // 4 - 4 <= oldest[0].trimmed <= 40 - 80 // 4
    clock.now += 200 * SECOND
    assert journal.retain() > 0
    assert journal.retain() == 0
    assert [(s.trimmed, s.tail, s.through) for s in journal.streams("a")] == [(39, 39, 39)]
    assert len(files(tmp_path)) == 1
    journal.close()


def test_the_registry_outlives_retention(tmp_path: Path) -> None:
    journal = storage(tmp_path, max_messages=8)
    a, b = begin(journal, first=3), begin(journal, B)
    journal.append([row(a, 3, [b"x"] * 3)])
    journal.end(a, 6)
    for first in range(12):
        journal.append([row(b, first, [b"y"])])
    journal.close()
    again = storage(tmp_path, max_messages=8)
    [found] = again.streams("a")
    assert (found.first, found.tail, found.through, found.end, found.trimmed) == (3, 5, 5, 6, 5)
    claimed = begin(again, A2, epoch=found.epoch + 1)
    assert [s.epoch for s in again.streams("a")] == [1, 2]
    assert claimed.id not in (None, found.id)
    again.close()


def test_a_second_writer_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    journal = storage(tmp_path)
    with pytest.raises(Refused, match=rf"written already, by process {os.getpid()}"):
        storage(tmp_path)
    journal.close()
    journal.close()
    storage(tmp_path).close()


Kill = Callable[[Storage, pytest.MonkeyPatch], None]


class Killed(BaseException):
    """Stands for SIGKILL at a place."""


def dies(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    "step",
    [
        "connectors.journal.storage.WrittenSegment",  # registry knows the new segment, its file is not there
        "connectors.journal.segment.WrittenSegment.seal",  # the old one is still in WAL mode
        "connectors.journal.storage.unlink",  # nothing is removed yet
        "connectors.journal.storage.Storage._forget",  # files are gone, the registry does not know
    ],
)
async def test_a_kill_between_two_steps_leaves_a_journal_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    journal = storage(tmp_path, max_messages=80)
    a, acknowledged = begin(journal), -1
    with monkeypatch.context() as patched:
        for first in range(0, 100, 5):
            if first == 75:
                patched.setattr(step, dies)
            try:
                journal.append([row(a, first, [b"m"] * 5)])
            except Killed:
                break
            acknowledged = first + 4
        else:
            pytest.fail("the step was not reached")
    abandon(journal)
    store = await opened_store(tmp_path)
    before = await told(store, A, 0, acknowledged)
    again = storage(tmp_path, max_messages=80)
    [found] = again.streams("a")
    assert found.tail is not None
    assert found.tail >= acknowledged
    again.append([row(found, found.tail + 1, [b"n"])])
    after = await told(store, A, 0, found.tail + 1)
    assert after[found.tail + 1] == b"n"
    for number in range(acknowledged + 1):
        assert before[number] in (b"m", "trimmed")
        assert after[number] == before[number] or after[number] == "trimmed"
    assert sum(answer == b"m" for answer in after.values()) >= 65
    again.close()
    await store.close()


def test_orphans_are_removed_when_it_opens(tmp_path: Path) -> None:
    journal = storage(tmp_path, max_messages=16)
    a = begin(journal)
    for first in range(60):
        journal.append([row(a, first, [b"x"])])
    journal.close()
    (tmp_path / "00000001.sqlite").touch()
    (tmp_path / "00000001.sqlite-wal").touch()
    storage(tmp_path, max_messages=16).close()
    assert not list(tmp_path.glob("00000001*"))


def test_files_that_a_full_disk_left_in_the_registry_are_forgotten_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = storage(tmp_path, max_messages=16)
    a = begin(journal)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "_forget", full)
        for first in range(40):
            journal.append([row(a, first, [b"x"])])
    with sqlite3.connect(registry_path(tmp_path)) as registry:
        listed = registry.execute("SELECT COUNT(*) FROM segments").fetchone()[0]
    assert listed > len(files(tmp_path))
    journal.append([row(a, 40, [b"x"] * 2)])
    with sqlite3.connect(registry_path(tmp_path)) as registry:
        assert registry.execute("SELECT COUNT(*) FROM segments").fetchone()[0] == len(files(tmp_path))
    registry.close()
    journal.close()


def test_closed_segments_need_no_log(tmp_path: Path) -> None:
    journal = storage(tmp_path, segment_bytes=64 * 1024)
    a = begin(journal)
    for first in range(30):
        journal.append([row(a, first, [b"x" * 10_000])])
    names = {p.name for p in tmp_path.iterdir()}
    written = max(files(tmp_path))
    assert {name for name in names if name.endswith("-wal")} == {f"{written}-wal", "registry.sqlite-wal"}
    journal.close()
