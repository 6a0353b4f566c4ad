"""Segment files: what is written is read back, a kill costs at most the last record, and a newer format is refused."""

import os
import struct
import zlib
from pathlib import Path

import pytest

from bridge.window.segments import DamagedRecord, SegmentFormatError, Segments


def written(directory: Path, *records: bytes, segment_bytes: int = 10**6) -> Segments:
    segments = Segments(directory, segment_bytes)
    segments.open()
    for record in records:
        segments.append([record])
    return segments


def reopened(directory: Path) -> Segments:
    segments = Segments(directory, 10**6)
    segments.open()
    return segments


def file_of(directory: Path) -> Path:
    return min(directory.glob("*.segment"))


def test_a_file_is_laid_out_as_documented(tmp_path: Path) -> None:
    segments = Segments(tmp_path, 10**6)
    segments.append([b"ab", b"c"], meta=b"{}")
    assert file_of(tmp_path).read_bytes() == (
        b"MBSEGMNT"
        + bytes.fromhex("0100 0000 02000000")
        + struct.pack("<I", zlib.crc32(b"{}"))
        + b"{}"
        + bytes.fromhex("03000000")
        + bytes.fromhex("c2412435")  # CRC-32 of "abc" is 0x352441c2
        + b"abc"
    )


def test_records_come_back_in_order_over_several_segments(tmp_path: Path) -> None:
    records = [bytes([n]) * 300 for n in range(10)]
    segments = written(tmp_path, *records, segment_bytes=1000)
    assert len(segments.numbers) > 2
    again = reopened(tmp_path)
    assert [body for _, body in again.records()] == records
    assert [head for _, _, head in again.heads(5)] == [record[:5] for record in records]


def test_reading_begins_at_a_position(tmp_path: Path) -> None:
    segments = Segments(tmp_path, 10**6)
    segments.append([b"one"])
    two = segments.append([b"tw", b"o"])
    assert segments.read(two) == b"two"


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_tail_ends_the_reading_and_is_no_damage(tmp_path: Path, cut: int) -> None:
    written(tmp_path, b"first", b"last").close()
    path = file_of(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    again = reopened(tmp_path)
    assert [body for _, body in again.records()] == [b"first"]
    assert [head for _, _, head in again.heads(9)] == [b"first"]
    assert again.damaged == 0


def test_a_changed_byte_is_damage(tmp_path: Path) -> None:
    segments = written(tmp_path, b"first", b"second")
    position = segments.append([b"third"])
    segments.close()
    path = file_of(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"second", b"sec0nd").replace(b"third", b"thirD"))
    again = reopened(tmp_path)
    assert [body for _, body in again.records()] == [b"first"]
    assert again.damaged == 1
    with pytest.raises(DamagedRecord):
        again.read(position)


def test_after_a_restart_appends_go_to_a_new_segment(tmp_path: Path) -> None:
    written(tmp_path, b"old").close()
    again = reopened(tmp_path)
    again.append([b"new"])
    assert len(again.numbers) == 2
    assert [body for _, body in reopened(tmp_path).records()] == [b"old", b"new"]


def test_unlinking_gives_whole_segments_back(tmp_path: Path) -> None:
    segments = written(tmp_path, *[bytes(600)] * 6, segment_bytes=1000)
    before = segments.total_bytes
    segments.unlink(segments.numbers[0])
    assert segments.total_bytes < before
    assert segments.total_bytes == sum(path.stat().st_size for path in tmp_path.glob("*.segment"))
    active = segments.active
    assert active is not None
    segments.unlink(active)
    segments.append([b"after"])
    assert segments.active == active + 1


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    written(tmp_path, b"x").close()
    path = file_of(tmp_path)
    data = bytearray(path.read_bytes())
    data[8:10] = struct.pack("<H", 2)
    path.write_bytes(data)
    with pytest.raises(SegmentFormatError, match=r"has format 2, this version reads 1") as error:
        reopened(tmp_path)
    assert error.value.hint


@pytest.mark.parametrize("data", [b"", b"MBSEG", b"MBSEGMNT" + bytes.fromhex("0100 0000 05000000 00000000") + b"{}"])
def test_a_header_that_a_kill_tore_is_an_empty_segment(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "0000000000000001.segment").write_bytes(data)
    segments = reopened(tmp_path)
    assert segments.numbers == []
    assert list(tmp_path.glob("*.segment")) == []


def test_a_stranger_s_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0000000000000001.segment").write_bytes(b"x" * 100)
    with pytest.raises(SegmentFormatError, match="is no segment file"):
        reopened(tmp_path)


def test_a_full_disk_leaves_nothing_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = written(tmp_path, b"first")
    real = os.writev

    def full(fd: int, parts: list[bytes]) -> int:
        real(fd, [b"half a rec"])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(OSError, match="No space"):
        segments.append([b"second"])
    monkeypatch.undo()
    segments.append([b"third"])
    assert [body for _, body in reopened(tmp_path).records()] == [b"first", b"third"]


def test_a_partial_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = written(tmp_path, b"first")
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, parts: real(fd, [bytes(parts[0])[:3]]))
    position = segments.append([b"a long record", b"", b"in parts"])
    monkeypatch.undo()
    assert segments.read(position) == b"a long recordin parts"
