"""The life of a gap.

A number is missing when a higher one, a heartbeat or an end shows that it was sent. At first it may just be reordered, or
wait in another socket; that is what the hold is for. A gap is a range of such numbers with one age.

Rules. A gap opens by time (`hold_ns` since it was first seen) only in a pass in which every socket of the channel was drained
empty, or `CONSTANT_LOAD_NS` later; by count (`hold_packets` packets of every live line since) only when every live line has
itself passed it, also in such a pass. Otherwise draining line A before line B would invent gaps. A fragment that arrives for a
missing number starts the hold of that number again. Numbers may be filled in any state. Nothing that waits behind a gap is
ever thrown away: at a cap it is the oldest gap that is decided.

The table below is the whole machine; `tests` walk it and the documentation is generated from it.
"""

from bisect import bisect_left, bisect_right
from enum import StrEnum
from heapq import heapify, heappop, heappush

from bridge.core import limits


class GapState(StrEnum):
    SUSPECTED = "suspected"
    OPEN = "open"
    REQUESTED = "requested"
    FILLED = "filled"
    ABANDONED = "abandoned"


TRANSITIONS: tuple[tuple[str, str, str], ...] = (
    ("suspected", "hold over (time, or count on every live line), sockets drained", "open"),
    ("suspected", "the numbers arrive", "filled"),
    ("suspected", "a cap is reached, the publisher announces a hole, the run ends", "abandoned"),
    ("open", "recovery sources are configured", "requested"),
    ("open", "the numbers arrive", "filled"),
    ("open", "deadline over and then = skip or stop; a cap; a hole is announced; the session is left", "abandoned"),
    ("requested", "the numbers arrive, by line or by recovery", "filled"),
    (
        "requested",
        "deadline over and then = skip or stop; a cap; a hole is announced; the session is left",
        "abandoned",
    ),
)
"""(state, when, next state). `open` and `requested` with then = wait stay until one of the other rows applies."""


class Gap:
    """Numbers first..stop-1, missing on all lines since `since_ns`."""

    __slots__ = ("first", "listed", "opened_ns", "packets", "since_ns", "state", "stop")

    def __init__(self, first: int, stop: int, since_ns: int, packets: int) -> None:
        self.first = first
        self.stop = stop
        self.since_ns = since_ns
        self.packets = packets  # the stream's packet count when it was first seen
        self.state = GapState.SUSPECTED
        self.opened_ns = 0
        self.listed = True  # still in the list

    def __repr__(self) -> str:
        return f"Gap({self.first}..{self.stop - 1} {self.state})"

    def part(self, first: int, stop: int) -> "Gap":
        """The same gap for some of its numbers."""
        other = Gap(first, stop, self.since_ns, self.packets)
        other.state, other.opened_ns = self.state, self.opened_ns
        return other


class GapCounts:
    """Numbers of a stream's gaps by how they ended; `filled` counts only gaps that had opened."""

    __slots__ = ("abandoned", "filled_by_line", "filled_by_recovery")

    def __init__(self) -> None:
        self.filled_by_line = 0
        self.filled_by_recovery = 0
        self.abandoned = 0


class GapList:
    """The gaps of one stream that are neither filled nor abandoned: by number, and by how long they wait.

    The two heaps hold (time, turn, gap); an entry whose gap left the list, or waits since another time, is skipped when it
    comes up. So the next gap that time moves on is at hand however many there are.
    """

    __slots__ = ("_firsts", "_opened", "_suspected", "_turn", "gaps", "numbers")

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self.numbers = 0
        self._firsts: list[int] = []
        self._suspected: list[tuple[int, int, Gap]] = []
        self._opened: list[tuple[int, int, Gap]] = []
        self._turn = 0

    def __bool__(self) -> bool:
        return bool(self.gaps)

    def __contains__(self, number: int) -> bool:
        return self.at(number) is not None

    def at(self, number: int) -> Gap | None:
        place = bisect_right(self._firsts, number) - 1
        return self.gaps[place] if place >= 0 and number < self.gaps[place].stop else None

    def within(self, first: int, stop: int) -> list[Gap]:
        """The gaps that have numbers of [first, stop), rising."""
        if first >= stop:
            return []
        low = bisect_right(self._firsts, first) - 1
        if low < 0 or self.gaps[low].stop <= first:
            low += 1
        return self.gaps[low : bisect_left(self._firsts, stop)]

    def open(self, first: int, stop: int, now_ns: int, packets: int) -> None:
        """Numbers first..stop-1 turn out to be missing. They must not be in the list."""
        self._insert(Gap(first, stop, now_ns, packets))

    def take(self, first: int, stop: int) -> list[Gap]:
        """Take the numbers of [first, stop) out; returns the parts that were in, with their age and state."""
        taken: list[Gap] = []
        place = max(0, bisect_right(self._firsts, first) - 1)
        while place < len(self.gaps) and self.gaps[place].first < stop:
            gap = self.gaps[place]
            low, high = max(gap.first, first), min(gap.stop, stop)
            if low >= high:
                place += 1
                continue
            taken.append(gap.part(low, high))
            self.numbers -= high - low
            if gap.first < low:
                rest = gap.part(high, gap.stop) if high < gap.stop else None
                gap.stop = low
                if rest is not None:
                    self.numbers -= rest.stop - rest.first
                    self._insert(rest)
                place += 1
            elif high < gap.stop:
                gap.first = self._firsts[place] = high
            else:
                gap.listed = False
                del self.gaps[place], self._firsts[place]
        return taken

    def renew(self, number: int, now_ns: int, packets: int) -> None:
        """A piece of `number` came: its hold starts again, that of its neighbours does not."""
        gap = self.at(number)
        if gap is None or gap.state is not GapState.SUSPECTED:
            return
        if gap.stop - gap.first > 1:
            self.take(number, number + 1)
            self._insert(Gap(number, number + 1, now_ns, packets))
        else:
            gap.since_ns, gap.packets = now_ns, packets
            self._enqueue(gap)

    def opens(self, gap: Gap, now_ns: int, state: GapState) -> None:
        """The hold of this gap is over."""
        gap.opened_ns, gap.state = now_ns, state
        self._enqueue(gap)

    def restart(self, now_ns: int, packets: int) -> None:
        """Holds and deadlines of all gaps begin again."""
        self._suspected, self._opened = [], []
        for gap in self.gaps:
            gap.since_ns, gap.packets, gap.opened_ns = now_ns, packets, now_ns
            self._enqueue(gap)

    def suspected(self) -> Gap | None:
        """The gap that has been suspected longest."""
        heap = self._suspected
        while heap:
            since_ns, _, gap = heap[0]
            if gap.listed and gap.state is GapState.SUSPECTED and gap.since_ns == since_ns:
                return gap
            heappop(heap)
        return None

    def opened(self) -> Gap | None:
        """The gap that has been open longest, requested or not."""
        heap = self._opened
        while heap:
            opened_ns, _, gap = heap[0]
            if gap.listed and gap.opened_ns == opened_ns:
                return gap
            heappop(heap)
        return None

    @property
    def crowded(self) -> bool:
        return len(self.gaps) > limits.MAX_GAPS

    def _insert(self, gap: Gap) -> None:
        place = bisect_right(self._firsts, gap.first)
        self.gaps.insert(place, gap)
        self._firsts.insert(place, gap.first)
        self.numbers += gap.stop - gap.first
        self._enqueue(gap)

    def _enqueue(self, gap: Gap) -> None:
        if gap.state is GapState.SUSPECTED:
            since_ns, heap = gap.since_ns, self._suspected
        else:
            since_ns, heap = gap.opened_ns, self._opened
        self._turn += 1
        heappush(heap, (since_ns, self._turn, gap))
        if len(heap) > 2 * len(self.gaps) + 64:
            of_heap = gap.state is GapState.SUSPECTED
            live = [other for other in self.gaps if (other.state is GapState.SUSPECTED) is of_heap]
            heap[:] = [
                (other.since_ns if of_heap else other.opened_ns, place, other) for place, other in enumerate(live)
            ]
            heapify(heap)
