"""One line of a channel: its ledger row, its place in a stream, and the evidence that tells line loss from a gap.

A line brings the numbers of a stream in about rising order. `LinePosition.next` is one past the highest that it brought,
`missing` what it has not brought below that. A number that is new on the line but known to the stream is a duplicate of
another line; one that is not even new on the line is a duplicate of this line, which is a fault of the network. A number that
stays missing on the line is line loss if another line had it; if it comes after all, the count falls again.

Losses count from the start of the stream for a line that was there then: it had spoken before in this run, or its first word
is within the hold of the stream's start. A line that joins later counts from its first word.
"""

from collections import deque

from bridge.core import limits
from bridge.core.ledger import LineLedger
from bridge.core.ranges import RangeSet


class LineState:
    """Counters and evidence of one line. `position` is its place in the stream that the channel receives now."""

    __slots__ = (
        "echoed",
        "ever",
        "first_arrivals",
        "last_ns",
        "ledger",
        "lost",
        "name",
        "position",
        "samples",
        "sender",
        "silent",
        "skew_ns",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.ledger = LineLedger()
        self.first_arrivals = 0
        self.echoed = 0
        self.lost = 0
        self.skew_ns: float | None = None
        self.samples: deque[tuple[int, int]] = deque(maxlen=limits.SKEW_SAMPLES)
        self.sender: tuple[str, int] | None = None
        self.last_ns = 0  # monotonic time of the last datagram
        self.ever = False
        self.silent = False
        self.position = LinePosition(self, RangeSet())

    @property
    def sole(self) -> int:
        """Pieces that only this line brought so far."""
        return self.first_arrivals - self.echoed

    def sample(self, number: int, kernel_ns: int) -> None:
        self.samples.append((number, kernel_ns))

    def time_of(self, number: int) -> float | None:
        """When this line brought `number`, interpolated between two samples; None if no two enclose it."""
        after: tuple[int, int] | None = None
        for point in reversed(self.samples):
            if point[0] <= number:
                if point[0] == number:
                    return float(point[1])
                if after is None:
                    return None
                share = (number - point[0]) / (after[0] - point[0])
                return point[1] + share * (after[1] - point[1])
            after = point
        return None


class LinePosition:
    """The place of one line in one stream. `abandoned` are the stream's numbers that no line brought."""

    __slots__ = ("_abandoned", "_from_start", "_line", "_partial", "_pieces", "missing", "next", "restored", "settled")

    def __init__(self, line: LineState, abandoned: RangeSet) -> None:
        self.next: int | None = None
        self.restored: int | None = None  # the highest number that it is known to have brought to an earlier process
        self.missing = RangeSet(limits.LINE_RANGES)
        self.settled = 0  # below it, what is missing was counted as lost
        self._line = line
        self._abandoned = abandoned
        self._from_start = line.ever
        self._partial: dict[
            int, dict[int, int]
        ] = {}  # number -> offset and length of the pieces that this line brought
        self._pieces = 0

    def begin(self, first: int, start: int, reach: int) -> None:
        """The line speaks in this stream for the first time, of number `first`; the stream began at `start`."""
        self.next = first
        if self._from_start or first - start <= reach:
            self._from_start = True
            if first > start:
                self.missing.add(start, first)
        else:
            self.settled = first

    def start_falls(self, first: int, start: int) -> None:
        """The stream turns out to begin at `first`, not at `start`."""
        if self.next is not None and self._from_start:
            self.missing.add(first, min(start, self.next))

    def brought(self, number: int) -> bool:
        """This line has brought the whole of `number`."""
        return self.next is not None and number < self.next and number not in self.missing

    def bring(self, first: int, stop: int) -> int:
        """The line brought first..stop-1; returns how many of them it had not brought before."""
        position = self.next
        assert position is not None
        if first < self.settled:
            self._recover(first, min(stop, self.settled))
        if first == position:
            self.next = stop
            return stop - first
        if first > position:
            self._lack(position, first)
            self.next = stop
            return stop - first
        new = self.missing.remove(first, min(stop, position)) if self.missing else 0
        if stop > position:
            new += stop - position
            self.next = stop
        return new

    def bring_piece(self, number: int, offset: int, size: int, length: int) -> bool:
        """The line brought `length` bytes of a fragmented message; True if it had not brought this piece before."""
        position = self.next
        assert position is not None
        if number < position and number not in self.missing:
            return False
        pieces = self._partial.get(number)
        if pieces is None:
            pieces = self._partial[number] = {-1: 0}  # the sum of the lengths is kept under -1
        if offset in pieces:
            return False
        pieces[offset] = length
        pieces[-1] += length
        self._pieces += 1
        if number >= position:
            # The line has passed what is below, and lacks this one until its last piece is here.
            self._lack(position, number + 1)
            self.next = number + 1
        if pieces[-1] >= size:
            self._forget(number)
            if number < self.settled:
                self._recover(number, number + 1)
            self.missing.remove(number, number + 1)
        while len(self._partial) > limits.PARTIAL_MESSAGES or self._pieces > limits.PARTIAL_PIECES:
            self._forget(next(iter(self._partial)))
        return True

    def settle(self, start: int, below: int) -> None:
        """Count what is missing on this line below `below` as lost, unless it is missing on all lines."""
        low = max(self.settled, start)
        if below <= low or (self.next is None and not self._from_start):
            return
        lost = sum(self._received(a, b) for a, b in self.missing.overlap(low, below))
        passed = low if self.next is None else max(low, self.next)
        if passed < below:
            lost += self._received(passed, below)
        self._line.lost += lost
        self.settled = below

    def _received(self, first: int, stop: int) -> int:
        """How many of these numbers some line brought."""
        return (stop - first) - self._abandoned.count(first, stop)

    def _recover(self, first: int, stop: int) -> None:
        """Numbers that were counted as lost come now."""
        assert self.next is not None
        found = sum(self._received(a, b) for a, b in self.missing.overlap(first, stop))
        if stop > (passed := max(first, self.next)):
            found += self._received(passed, stop)
        self._line.lost -= found

    def _lack(self, first: int, stop: int) -> None:
        if len(self.missing) >= limits.LINE_RANGES:
            self.settle(0, self.missing.lowest_stop)  # what falls out of the set could not be counted later
        self.missing.add(first, stop)

    def _forget(self, number: int) -> None:
        self._pieces -= len(self._partial.pop(number)) - 1
