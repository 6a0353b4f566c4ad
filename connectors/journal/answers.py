"""Rows of a journal as answers: which numbers are data, which were trimmed, which never come, which are not there yet.

number                                    answer
below the stream's first                  never, "before_start"
in a batch                                data
in a hole, or between the numbers of a    never, with the hole's reason, or "filtered": the engine took it out
  sparse batch                              before the sink (`only`), or it was never given to it
in no row, up to `trimmed`                trimmed
in no row, above `trimmed`, to `through`  never, "filtered"
above `through`                           not yet
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from bridge.api import Data, MessageBatch, Never, NotYet, Piece, Stream, Trimmed
from connectors.journal.layout import unpack_lengths, unpack_numbers
from connectors.journal.reader import Chunk, Stored

BEFORE_START: Final = "before_start"
FILTERED: Final = "filtered"


def answers(chunk: Chunk, stream: Stream, first: int, last: int, limit: int) -> Iterator[Piece]:
    """Answers that cover `first` to the smaller of `last` and `chunk.covered`, each number once, in order."""
    stop = min(last, chunk.covered)
    at = first
    pending: Never | None = None
    for piece in _pieces(chunk, stream, at, stop, limit):
        if isinstance(piece, Never):
            if pending is not None and pending.reason == piece.reason:
                pending = Never(pending.first, piece.last, piece.reason)
                continue
            if pending is not None:
                yield pending
            pending = piece
            continue
        if pending is not None:
            yield pending
            pending = None
        yield piece
    if pending is not None:
        yield pending


def _pieces(chunk: Chunk, stream: Stream, at: int, stop: int, limit: int) -> Iterator[Piece]:
    for row in chunk.rows:
        if at > stop:
            return
        if row.first > at:
            # The row may have come after `through` was read: what lies before it is decided.
            yield from _between(chunk, at, min(row.first - 1, stop), row.first - 1)
            at = row.first
        if at > stop or row.last < at:
            continue
        end = min(row.last, stop)
        if row.reason is not None:
            yield Never(at, end, row.reason)
        else:
            yield from _batch(row, stream, chunk.epoch, at, end, limit)
        at = end + 1
    if at <= stop:
        yield from _between(chunk, at, stop, -1)


def _between(chunk: Chunk, first: int, last: int, decided: int) -> Iterator[Piece]:
    """Answers for numbers that no row holds; `decided` and what was trimmed is, whatever `through` said."""
    through = max(chunk.start - 1 if chunk.through is None else chunk.through, decided, chunk.trimmed)
    for end, answer in ((chunk.start - 1, BEFORE_START), (chunk.trimmed, None), (through, FILTERED)):
        if first <= min(end, last):
            stop = min(end, last)
            if answer is not None:
                yield Never(first, stop, answer)
            else:
                yield Trimmed(first, stop, chunk.trimmed + 1)
            first = stop + 1
    if first <= last:
        yield NotYet(first, last, chunk.through)


def _batch(row: Stored, stream: Stream, epoch: int, first: int, last: int, limit: int) -> Iterator[Piece]:
    """The part `first`..`last` of a batch: runs of consecutive numbers as data, what lies between as never."""
    assert row.lengths is not None
    assert row.data is not None
    ends = list(accumulate(unpack_lengths(row.lengths), initial=0))
    numbers = range(row.first, row.last + 1) if row.numbers is None else unpack_numbers(row.numbers)
    at = first
    for start, stop in _runs(row, first, last):
        low, high = numbers[start], numbers[stop - 1]
        if low > at:
            yield Never(at, low - 1, FILTERED)
        for begin in range(start, stop, limit):
            end = min(begin + limit, stop)
            data = row.data
            payloads = [data[a:b] for a, b in zip(ends[begin:end], ends[begin + 1 : end + 1], strict=True)]
            number = numbers[begin]
            yield Data(MessageBatch(stream, number, payloads, row.time), f"{epoch}-{number}")
        at = high + 1
    if at <= last:
        yield Never(at, last, FILTERED)


def _runs(row: Stored, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Places in the row, from and up to, of each run of consecutive numbers within first..last."""
    if row.numbers is None:
        yield first - row.first, last - row.first + 1
        return
    start, before = None, -1
    place = -1
    for place, number in enumerate(unpack_numbers(row.numbers)):
        if number < first or number > last:
            if start is not None:
                yield start, place
            start = None
            continue
        if start is not None and number != before + 1:
            yield start, place
            start = place
        start = place if start is None else start
        before = number
    if start is not None:
        yield start, place + 1
