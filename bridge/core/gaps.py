"""The life of a gap.

A number is missing when a higher one, a heartbeat or an end shows that it was sent. At first it may just be reordered, or
wait in another socket; that is what the hold is for. A gap is a range of such numbers with one age.

Rules. A gap opens by time (`hold_ns` since it was first seen) only in a pass in which every socket of the channel was drained
empty, or `CONSTANT_LOAD_NS` later; by count (`hold_packets` packets since) only when every live line has itself passed it,
also in such a pass. Otherwise draining line A before line B would invent gaps. A fragment that arrives for a missing number
starts the hold of that number again. Numbers may be filled in any state. Nothing that waits behind a gap is ever thrown
away: at a cap it is the oldest gap that is decided.

The table below is the whole machine; `tests` walk it and the documentation is generated from it.
"""

from bisect import bisect_right
from enum import StrEnum

from bridge.core import limits
from bridge.core.settings import ReceiverSettings


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

    __slots__ = ("first", "opened_ns", "packets", "since_ns", "state", "stop")

    def __init__(self, first: int, stop: int, since_ns: int, packets: int) -> None:
        self.first = first
        self.stop = stop
        self.since_ns = since_ns
        self.packets = packets  # the stream's packet count when it was first seen
        self.state = GapState.SUSPECTED
        self.opened_ns = 0

    def part(self, first: int, stop: int) -> "Gap":
        """The same gap for some of its numbers."""
        other = Gap(first, stop, self.since_ns, self.packets)
        other.state, other.opened_ns = self.state, self.opened_ns
        return other

    def due(self, settings: ReceiverSettings) -> int | None:
        """When time alone moves this gap on; None if nothing but an arrival does."""
        if self.state is GapState.SUSPECTED:
            return self.since_ns + settings.hold_ns
        return None if settings.then == "wait" else self.opened_ns + settings.deadline_ns


class GapList:
    """The gaps of one stream that are neither filled nor abandoned, by number."""

    __slots__ = ("_firsts", "gaps", "numbers")

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self._firsts: list[int] = []
        self.numbers = 0

    def __bool__(self) -> bool:
        return bool(self.gaps)

    def __contains__(self, number: int) -> bool:
        return self.at(number) is not None

    def at(self, number: int) -> Gap | None:
        place = bisect_right(self._firsts, number) - 1
        return self.gaps[place] if place >= 0 and number < self.gaps[place].stop else None

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
            rest = [gap.part(a, b) for a, b in ((gap.first, low), (high, gap.stop)) if a < b]
            taken.append(gap.part(low, high))
            self.gaps[place : place + 1] = rest
            self._firsts[place : place + 1] = [part.first for part in rest]
            place += len(rest)
            self.numbers -= high - low
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

    @property
    def crowded(self) -> bool:
        return len(self.gaps) > limits.MAX_GAPS

    def _insert(self, gap: Gap) -> None:
        place = bisect_right(self._firsts, gap.first)
        self.gaps.insert(place, gap)
        self._firsts.insert(place, gap.first)
        self.numbers += gap.stop - gap.first
