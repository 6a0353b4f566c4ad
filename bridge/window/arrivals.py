"""The log of arrivals, for `window = "disk"`: what the core accepted, in order of arrival, so that a killed bridge can
rebuild order, hold and window from it.

A pass appends once. While a write is under way the next passes gather, and go together; so the loop never waits, and
`lag` says how far the disk is behind. A record of a segment is one such write:

    entries:  line (1), time in ns (8), count (4), lengths (4 each), datagrams       little-endian, one after the other

The meta bytes of a segment are JSON: the channel's raw session (hex) and the number that its next message has, as it was when
the segment began, so that a feed without
numbers of its own is numbered again as it was.

A whole segment goes when every sink of the route has passed all that was known when the segment ended (`Mark`).
"""

import json
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.api import Severity, Stream
from bridge.window.disk import Blocking, DiskQueue
from bridge.window.segments import Position, SegmentFormatError, Segments

SEGMENT_BYTES: Final = 16 * 2**20
REPLAY_SLICE: Final = 256
"""Datagrams that a replay hands over at once: about 2 ms of the loop."""

_ENTRY = struct.Struct("<BqI")


class RawPoint(NamedTuple):
    """Where a raw session stood: its bytes and the number of its next message."""

    session: bytes
    next: int


Marks = Callable[[], Sequence[tuple[Stream, int]]]
"""For each open stream of the channel, one past the highest number known (`StreamLedger.next`)."""

Emit = Callable[[str, Severity, str], None]


@dataclass(slots=True)
class _Kept:
    """A segment, and from when on it can go: every stream passed up to here. None while it is still written or replayed."""

    number: int
    marks: list[tuple[Stream, int]] | None = field(default=None)


class ArrivalLog:
    """One channel of one route. `limit` bounds its bytes: above it the oldest segment goes, with an event."""

    def __init__(
        self,
        directory: Path,
        *,
        limit: int,
        blocking: Blocking,
        emit: Emit,
        marks: Marks,
        raw_point: Callable[[], RawPoint | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._segments = Segments(directory, min(SEGMENT_BYTES, max(limit // 8, 2**16)))
        self._directory = directory
        self._limit = limit
        self._disk = DiskQueue(blocking)
        self._emit = emit
        self._marks = marks
        self._raw_point = raw_point
        self._clock = clock
        self._gathered: list[bytes] = []
        self._since: float | None = None  # when the oldest datagrams that are not on disk were accepted
        self._writing = False
        self._writing_since: float | None = None
        self._failed = False
        self._kept: list[_Kept] = []
        self._closed = False
        self._gathered_datagrams = 0
        self._point: RawPoint | None = None  # before the first datagram that is gathered
        self.lost_datagrams = 0  # accepted and not written, because the disk failed

    # Writing

    def accepted(self, line: int, datagrams: Sequence[bytes], time_ns: int) -> None:
        """The core accepted these: the hook `ChannelReceiver.accepted_datagrams`."""
        count = len(datagrams)
        self._gathered.append(_ENTRY.pack(line, time_ns, count) + struct.pack(f"<{count}I", *map(len, datagrams)))
        self._gathered += datagrams
        self._gathered_datagrams += count
        if self._since is None:
            self._since = self._clock()

    def end_pass(self) -> None:
        """The pass is over: one append for all that it brought."""
        if self._gathered and not self._writing and not self._closed:
            self._write()

    @property
    def lag(self) -> float:
        """Seconds that the disk is behind: the age of what was accepted and is not written."""
        oldest = self._writing_since if self._writing_since is not None else self._since
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest)

    def trim(self, passed: Callable[[Stream], int | None]) -> None:
        """Let go of the oldest segments that no sink needs: `Window.passed`. About once a second."""
        while self._kept:
            kept = self._kept[0]
            if kept.marks is None or any((at := passed(s)) is not None and at < end for s, end in kept.marks):
                return
            self._drop(kept)

    async def close(self) -> None:
        """Write what is gathered and close. Idempotent."""
        while self._gathered or self._writing:
            if not self._writing:
                self._write()
            await self._disk.idle()
        self._closed = True
        await self._disk.run(self._segments.close)

    # Reading back

    async def open(self) -> RawPoint | None:
        """Find what an earlier run left. Returns where its raw session stood at the oldest datagram that is left.

        Raises OSError, `SegmentFormatError`.
        """
        await self._disk.run(self._segments.open)
        self._kept = [_Kept(number) for number in self._segments.numbers]
        return _raw_point(self._segments.meta(self._kept[0].number)) if self._kept else None

    async def replay(self) -> AsyncIterator[tuple[int, list[bytes], int]]:
        """(line, datagrams, time_ns) in the order of arrival, in slices that do not hold the loop. Before `accepted`."""
        records = self._segments.records()
        while (found := await self._disk.run(partial(next, records, None))) is not None:
            for line, datagrams, time_ns in _entries(found[1]):
                for place in range(0, len(datagrams), REPLAY_SLICE):
                    yield line, datagrams[place : place + REPLAY_SLICE], time_ns
        if self._segments.damaged:
            text = f"{self._directory}: {self._segments.damaged} records are damaged; what followed them is lost"
            self._emit("arrivals_damaged", "error", text)

    def replayed(self) -> None:
        """The core has all that was read back; what it accepts from here on is written. Call once, before `accepted`."""
        self._point = self._raw_point()
        marks = list(self._marks())
        for kept in self._kept:
            kept.marks = marks

    # Inside

    def _write(self) -> None:
        parts, self._gathered = self._gathered, []
        count, self._gathered_datagrams = self._gathered_datagrams, 0
        self._writing, self._writing_since, self._since = True, self._since, None
        point, self._point = self._point, self._raw_point()
        meta = b"" if point is None else json.dumps({"session": point.session.hex(), "next": point.next}).encode()
        # The marks are taken now: a segment that this append ends holds nothing newer.
        marks = list(self._marks())
        self._disk.put(partial(self._segments.append, parts, meta), partial(self._written, marks, count))

    def _written(self, marks: list[tuple[Stream, int]], count: int, result: Position | Exception) -> None:
        self._writing, self._writing_since = False, None
        if isinstance(result, Exception):
            self.lost_datagrams += count
            if not self._failed:
                self._failed = True
                text = f"what arrives is not written to {self._directory}: {result}; a kill now would lose it"
                self._emit("arrivals_failed", "error", text)
        else:
            if self._failed:
                self._failed = False
                self._emit("arrivals_recovered", "info", f"what arrives is written to {self._directory} again")
            self._ended(result.segment, marks)
        if self._gathered:
            self._write()

    def _ended(self, segment: int, marks: list[tuple[Stream, int]]) -> None:
        """A record went to `segment`: the one before it, if this is its first, has ended."""
        if self._kept and self._kept[-1].number == segment:
            return
        if self._kept and self._kept[-1].marks is None:
            self._kept[-1].marks = marks
        self._kept.append(_Kept(segment))
        if self._segments.total_bytes > self._limit and len(self._kept) > 1:
            self._drop(self._kept[0])
            text = f"{self._directory} is full: the oldest arrivals go; after a kill now they could not be rebuilt"
            self._emit("arrivals_trimmed", "warning", text)

    def _drop(self, kept: _Kept) -> None:
        self._kept.remove(kept)
        self._disk.put(partial(self._segments.unlink, kept.number), _ignore)


def _entries(record: bytes) -> Iterator[tuple[int, list[bytes], int]]:
    at = 0
    while at < len(record):
        line, time_ns, count = _ENTRY.unpack_from(record, at)
        at += _ENTRY.size
        lengths = struct.unpack_from(f"<{count}I", record, at)
        at += 4 * count
        datagrams: list[bytes] = []
        for length in lengths:
            datagrams.append(record[at : at + length])
            at += length
        yield line, datagrams, time_ns


def _raw_point(meta: bytes) -> RawPoint | None:
    if not meta:
        return None
    try:
        found: dict[str, Any] = json.loads(meta)
        return RawPoint(bytes.fromhex(found["session"]), int(found["next"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SegmentFormatError(
            f"a segment's header names no raw session: {error}", hint="move the file away"
        ) from None


def _ignore(_: object) -> None:
    """An unlink that failed leaves a file that the next run drops."""
