"""A set of sequence numbers, kept as disjoint ranges in rising order."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class RangeSet:
    """Numbers as half-open ranges [first, stop). With `limit`, the lowest range falls out when there are more."""

    __slots__ = ("_firsts", "_stops", "limit", "size")

    def __init__(self, limit: int | None = None) -> None:
        self._firsts: list[int] = []
        self._stops: list[int] = []
        self.limit = limit
        self.size = 0  # how many numbers

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __len__(self) -> int:
        """How many ranges."""
        return len(self._firsts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._firsts, self._stops, strict=True)))

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number < self._stops[place]

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    @property
    def lowest(self) -> int | None:
        return self._firsts[0] if self._firsts else None

    @property
    def lowest_stop(self) -> int:
        """One past the last number of the lowest range; 0 when empty."""
        return self._stops[0] if self._stops else 0

    @property
    def stop(self) -> int:
        """One past the highest number; 0 when empty."""
        return self._stops[-1] if self._stops else 0

    def add(self, first: int, stop: int) -> int:
        """Put [first, stop) in; returns how many numbers fell out at the low end because of `limit`."""
        if first >= stop:
            return 0
        low = bisect_left(self._stops, first)  # ranges that touch are merged
        high = bisect_right(self._firsts, stop)
        if low < high:
            first = min(first, self._firsts[low])
            stop = max(stop, self._stops[high - 1])
            self.size -= sum(self._stops[i] - self._firsts[i] for i in range(low, high))
        self._firsts[low:high] = [first]
        self._stops[low:high] = [stop]
        self.size += stop - first
        fallen = 0
        while self.limit is not None and len(self._firsts) > self.limit:
            fallen += self._stops[0] - self._firsts[0]
            del self._firsts[0], self._stops[0]
        self.size -= fallen
        return fallen

    def remove(self, first: int, stop: int) -> int:
        """Take [first, stop) out; returns how many of them were in."""
        removed = 0
        if first >= stop:
            return removed
        place = bisect_right(self._stops, first)
        while place < len(self._firsts) and self._firsts[place] < stop:
            low, high = self._firsts[place], self._stops[place]
            cut_low, cut_high = max(low, first), min(high, stop)
            removed += cut_high - cut_low
            rest = [(a, b) for a, b in ((low, cut_low), (cut_high, high)) if a < b]
            self._firsts[place : place + 1] = [a for a, _ in rest]
            self._stops[place : place + 1] = [b for _, b in rest]
            place += len(rest)
        self.size -= removed
        return removed

    def count(self, first: int, stop: int) -> int:
        """How many numbers of [first, stop) are in."""
        return sum(b - a for a, b in self.overlap(first, stop))

    def overlap(self, first: int, stop: int) -> list[tuple[int, int]]:
        """The parts of [first, stop) that are in, rising."""
        found: list[tuple[int, int]] = []
        if first >= stop:
            return found
        place = bisect_right(self._stops, first)
        while place < len(self._firsts) and self._firsts[place] < stop:
            found.append((max(first, self._firsts[place]), min(stop, self._stops[place])))
            place += 1
        return found

    def missing(self, first: int, stop: int) -> list[tuple[int, int]]:
        """The parts of [first, stop) that are not in, rising."""
        found, at = [], first
        for low, high in self.overlap(first, stop):
            if at < low:
                found.append((at, low))
            at = high
        if at < stop:
            found.append((at, stop))
        return found
