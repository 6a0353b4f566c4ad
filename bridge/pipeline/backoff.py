"""How long to wait before the next try: exponential, jittered, capped. Time and chance are the caller's."""

from collections.abc import Callable


class Backoff:
    """`random()` gives 0 ≤ x < 1. The n-th failure in a row waits for half to all of first · 2^(n-1), at most `cap`."""

    def __init__(self, random: Callable[[], float], first: float = 0.1, cap: float = 10.0) -> None:
        if not 0 < first <= cap:
            raise ValueError(f"a back-off needs 0 < first <= cap, not {first} and {cap}")
        self._random = random
        self._first = first
        self._cap = cap
        self._failures = 0
        self._last_ns: int | None = None

    def failed(self, now_ns: int) -> float:
        """Seconds to wait after a failure now. A failure long after the one before counts as the first."""
        if self._last_ns is not None and now_ns - self._last_ns > 3 * self._cap * 1e9:
            self._failures = 0
        self._last_ns = now_ns
        ceiling = min(self._cap, self._first * 2.0 ** min(self._failures, 64))
        self._failures += 1
        return ceiling * (0.5 + 0.5 * self._random())

    def succeeded(self) -> None:
        """Something was acknowledged: the next failure is a first one. Opening alone is no success."""
        self._failures = 0
