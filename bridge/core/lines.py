"""One line of a channel: its ledger row, and the evidence that tells line loss from a gap.

A line brings the numbers of a stream in about rising order. `next` is one past the highest that it brought, `missing` what
it has not brought below that. A number that is new on the line but known to the stream is a duplicate of another line; one
that is not even new on the line is a duplicate of this line, which is a fault of the network. A number that stays missing
on the line is line loss if another line had it.
"""

from collections import deque

from bridge.core import limits
from bridge.core.ledger import LineLedger
from bridge.core.ranges import RangeSet


class LineState:
    """Counters and evidence of one line; positions are of the stream that the channel receives now."""

    __slots__ = (
        "echoed",
        "ever",
        "first_arrivals",
        "last_ns",
        "ledger",
        "lost",
        "missing",
        "name",
        "next",
        "partial",
        "samples",
        "sender",
        "settled",
        "silent",
        "skew_ns",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.ledger = LineLedger()
        self.next: int | None = None
        self.missing = RangeSet(limits.LINE_RANGES)
        self.partial: dict[int, dict[int, int]] = {}  # number -> offset and length of the pieces that this line brought
        self.settled = 0  # below it, what is missing was counted as lost
        self.first_arrivals = 0
        self.echoed = 0
        self.lost = 0
        self.skew_ns: float | None = None
        self.samples: deque[tuple[int, int]] = deque(maxlen=limits.SKEW_SAMPLES)
        self.sender: tuple[str, int] | None = None
        self.last_ns = 0  # monotonic time of the last datagram
        self.ever = False
        self.silent = False

    @property
    def sole(self) -> int:
        """Pieces that only this line brought so far."""
        return self.first_arrivals - self.echoed

    def begin_stream(self) -> None:
        """The channel begins another stream: positions start anew, counters go on."""
        self.next = None
        self.missing = RangeSet(limits.LINE_RANGES)
        self.partial.clear()
        self.samples.clear()
        self.settled = 0

    def brought(self, number: int) -> bool:
        """This line has brought the whole of `number`."""
        return self.next is not None and number < self.next and number not in self.missing

    def bring(self, first: int, stop: int) -> int:
        """The line brought first..stop-1; returns how many of them it had not brought before."""
        position = self.next
        if position is None or first == position:
            self.next = stop
            return stop - first
        if first > position:
            self.missing.add(position, first)
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
        if position is not None and number < position and number not in self.missing:
            return False
        offsets = self.partial.setdefault(number, {})
        if offset in offsets:
            return False
        offsets[offset] = length
        if position is None or number >= position:
            # The line has passed what is below, and lacks this one until its last piece is here.
            self.missing.add(number if position is None else position, number + 1)
            self.next = number + 1
        if sum(offsets.values()) >= size:
            self.missing.remove(number, number + 1)
            del self.partial[number]
        elif len(self.partial) > limits.PARTIAL_MESSAGES:
            del self.partial[next(iter(self.partial))]
        return True

    def settle(self, below: int, abandoned: RangeSet) -> None:
        """Count what is missing on this line below `below` as lost, unless it is missing on all lines."""
        if below <= self.settled:
            return
        for first, stop in self.missing.overlap(self.settled, below):
            self.lost += (stop - first) - abandoned.count(first, stop)
        if self.next is not None and self.next < below:
            first = max(self.next, self.settled)
            self.lost += (below - first) - abandoned.count(first, below)
        self.settled = below

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
