"""Append-only segment files: what a window spills, and the log of arrivals.

A file, all integers little-endian:

    offset  bytes  field
    0       8      magic "MBSEGMNT"
    8       2      format version, 1; a newer one is refused, never guessed at
    10      2      zero
    12      4      length of the meta bytes, M
    16      4      CRC-32 of the meta bytes
    20      M      meta bytes, whatever the owner wants to find again
    20 + M  …      records: length (4), CRC-32 of the body (4), body

A process appends only to segments that it began itself, so the torn record that a kill leaves is always the last one of
its file, and reading ends there. Space is given back by whole segments.

Everything here blocks on the disk and belongs in a thread, one call at a time (`disk.DiskQueue`). OSError is passed on.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bridge.api import BridgeError

FORMAT = 1
SUFFIX = ".segment"
_MAGIC = b"MBSEGMNT"
_HEADER = struct.Struct("<8sHHII")
_RECORD = struct.Struct("<II")
_VECTOR = 512  # buffers in one system call; Linux takes at most 1,024


class SegmentFormatError(BridgeError):
    """A file is not a segment that this version can read."""


class DamagedRecord(BridgeError):  # noqa: N818 - it states a condition
    """A record's bytes are not those that were written. `cut_short`: it ends early, as a kill leaves the last one."""

    def __init__(self, message: str, *, cut_short: bool = False) -> None:
        super().__init__(message)
        self.cut_short = cut_short


class Position(NamedTuple):
    """Where a record begins: its segment's number and the offset in the file."""

    segment: int
    offset: int


@dataclass(slots=True)
class _Segment:
    number: int
    meta: bytes
    start: int  # offset of the first record
    size: int


class Segments:
    """The segments of one directory, oldest first."""

    def __init__(self, directory: Path, segment_bytes: int) -> None:
        self.directory = directory
        self._segment_bytes = segment_bytes
        self._segments: dict[int, _Segment] = {}
        self._next = 1
        self._fd: int | None = None
        self._reader: tuple[int, int] | None = None  # segment, descriptor
        self.damaged = 0  # records that `records` found whole in length and wrong in content
        self._sound = True  # False: bytes of a failed append may be left at the end of the active segment

    def open(self) -> None:
        """Find what an earlier run left. Raises `SegmentFormatError` for a newer format; makes no directory."""
        for path in sorted(self.directory.glob("*" + SUFFIX)):
            number = int(path.name.removesuffix(SUFFIX))
            self._next = max(self._next, number + 1)
            segment = self._examine(path, number)
            if segment is None:
                path.unlink()  # killed before its header was whole: nothing was ever in it
            else:
                self._segments[number] = segment

    @property
    def total_bytes(self) -> int:
        """What the files take on the disk."""
        return sum(segment.size for segment in self._segments.values())

    @property
    def numbers(self) -> list[int]:
        """The numbers of the segments that exist, oldest first."""
        return list(self._segments)

    @property
    def active(self) -> int | None:
        """The segment that appends go to; None before the first append and after `roll`."""
        return self._next - 1 if self._fd is not None else None

    def meta(self, segment: int) -> bytes:
        return self._segments[segment].meta

    def append(self, parts: Sequence[bytes], meta: bytes = b"") -> Position:
        """Write one record, the concatenation of `parts`. `meta` goes into the header if this begins a segment.

        When it raises, nothing of the record stays: the file is cut back, or not written to again.
        """
        length = sum(map(len, parts))
        if self._fd is None or not self._sound or self._segments[self._next - 1].size >= self._segment_bytes:
            self._begin(meta)
        assert self._fd is not None
        segment = self._segments[self._next - 1]
        crc = 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        try:
            _write_all(self._fd, [_RECORD.pack(length, crc), *parts])
        except OSError:
            self._sound = False
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, segment.size)
                os.lseek(self._fd, segment.size, os.SEEK_SET)
                self._sound = True
            raise
        position = Position(segment.number, segment.size)
        segment.size += _RECORD.size + length
        return position

    def read(self, position: Position) -> bytes:
        """The record at `position`. Raises `DamagedRecord` when its CRC does not match or it is cut short."""
        fd = self._descriptor(position.segment)
        header = os.pread(fd, _RECORD.size, position.offset)
        name = f"record {position.offset} of {self._path(position.segment)}"
        if len(header) < _RECORD.size:
            raise DamagedRecord(f"{name} is cut short", cut_short=True)
        length, crc = _RECORD.unpack(header)
        body = b""
        if position.offset + _RECORD.size + length <= os.fstat(fd).st_size:
            body = os.pread(fd, length, position.offset + _RECORD.size)
        if len(body) < length:
            raise DamagedRecord(f"{name} is cut short", cut_short=True)
        if zlib.crc32(body) != crc:
            raise DamagedRecord(f"{name} is damaged")
        return body

    def heads(self, length: int) -> Iterator[tuple[Position, int, bytes]]:
        """Every whole record's position, size and first `length` bytes, oldest first; the CRC is not checked."""
        for segment in list(self._segments.values()):
            offset, fd = segment.start, self._descriptor(segment.number)
            while len(found := os.pread(fd, _RECORD.size + length, offset)) >= _RECORD.size:
                size, _ = _RECORD.unpack_from(found)
                if offset + _RECORD.size + size > segment.size:
                    break
                yield Position(segment.number, offset), size, found[_RECORD.size : _RECORD.size + min(size, length)]
                offset += _RECORD.size + size

    def records(self, first: int = 0) -> Iterator[tuple[Position, bytes]]:
        """Every sound record from segment `first` on, oldest first. A segment ends at its first torn or damaged one."""
        for segment in list(self._segments.values()):
            if segment.number < first:
                continue
            offset = segment.start
            while offset < segment.size:
                position = Position(segment.number, offset)
                try:
                    body = self.read(position)
                except DamagedRecord as error:
                    self.damaged += not error.cut_short
                    break
                yield position, body
                offset += _RECORD.size + len(body)

    def roll(self) -> None:
        """End the active segment; the next append begins another."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def unlink(self, segment: int) -> None:
        """Remove one segment. The active one is ended first."""
        if self._fd is not None and segment == self._next - 1:
            self.roll()
        if self._reader is not None and self._reader[0] == segment:
            os.close(self._reader[1])
            self._reader = None
        if self._segments.pop(segment, None) is not None:
            self._path(segment).unlink(missing_ok=True)

    def close(self) -> None:
        """Idempotent; the files stay."""
        self.roll()
        if self._reader is not None:
            os.close(self._reader[1])
            self._reader = None

    def _begin(self, meta: bytes) -> None:
        self.roll()
        self.directory.mkdir(parents=True, exist_ok=True)
        number, header = self._next, _HEADER.pack(_MAGIC, FORMAT, 0, len(meta), zlib.crc32(meta)) + meta
        path = self._path(number)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, [header])
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self._fd, self._sound = fd, True
        self._next = number + 1
        self._segments[number] = _Segment(number, meta, len(header), len(header))

    def _examine(self, path: Path, number: int) -> _Segment | None:
        size = path.stat().st_size
        with path.open("rb") as file:
            fixed = file.read(_HEADER.size)
            if len(fixed) < _HEADER.size:
                return None
            magic, version, _, meta_length, crc = _HEADER.unpack(fixed)
            if magic != _MAGIC:
                raise SegmentFormatError(f"{path} is no segment file", hint="move it away")
            if version != FORMAT:
                raise SegmentFormatError(
                    f"{path} has format {version}, this version reads {FORMAT}",
                    hint="run the bridge version that wrote it until it has drained, or move the file away",
                )
            meta = file.read(meta_length)
        if len(meta) < meta_length:
            return None
        if zlib.crc32(meta) != crc:
            raise SegmentFormatError(f"{path} has a damaged header", hint="move it away; what is in it is lost")
        return _Segment(number, meta, _HEADER.size + meta_length, size)

    def _descriptor(self, segment: int) -> int:
        if self._reader is not None and self._reader[0] == segment:
            return self._reader[1]
        fd = os.open(self._path(segment), os.O_RDONLY | os.O_CLOEXEC)
        if self._reader is not None:
            os.close(self._reader[1])
        self._reader = segment, fd
        return fd

    def _path(self, segment: int) -> Path:
        return self.directory / f"{segment:016d}{SUFFIX}"


def _write_all(fd: int, parts: Sequence[bytes]) -> None:
    for place in range(0, len(parts), _VECTOR):
        group: list[bytes | memoryview] = list(parts[place : place + _VECTOR])
        while group:
            written = os.writev(fd, group)
            while group and written >= len(group[0]):
                written -= len(group.pop(0))
            if group and written:
                group[0] = memoryview(group[0])[written:]
