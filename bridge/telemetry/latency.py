"""The time from receive to acknowledgement, as a Prometheus histogram."""

from bisect import bisect_left

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds in seconds, inclusive."""

_NAMES = tuple(f"{bound:g}" for bound in BOUNDS)


class Latency:
    """One sink's and channel's histogram. `observe` once a batch, with the number of its messages."""

    __slots__ = ("_buckets", "_count", "_sum")

    def __init__(self) -> None:
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0
        self._count = 0

    def observe(self, seconds: float, messages: int = 1) -> None:
        """`messages` took `seconds` each. A clock that was set back gives 0."""
        seconds = max(seconds, 0.0)
        self._buckets[bisect_left(BOUNDS, seconds)] += messages
        self._sum += seconds * messages
        self._count += messages

    def row(self) -> dict[str, float]:
        """As in `SinkRow.publish_latency`: upper bound -> cumulative count, `sum` and `count`."""
        row: dict[str, float] = {}
        total = 0
        for name, count in zip(_NAMES, self._buckets, strict=False):
            total += count
            row[name] = total
        row["+Inf"] = self._count
        row["sum"] = self._sum
        row["count"] = self._count
        return row
