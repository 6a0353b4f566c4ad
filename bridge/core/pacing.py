"""Pacing: a token bucket with the clock as an argument and integers inside, so that no rounding adds up."""

from collections.abc import Sequence
from typing import Final

from bridge.api.options import RateValue

BURST_SECONDS: Final = 0.005
"""Default burst: a few turns of a 1 ms timer, 125 kB at 200 Mbit/s, which fits the port buffers of common switches."""

_LEAST_BITS: Final = 12_000  # one full Ethernet frame
_TOKEN: Final = 10**12  # a token in billionths (ns) of thousandths (of the rate)


class TokenBucket:
    """Lets datagrams pass at `rate`: messages or bits (of UDP payload) a second, up to `burst` of the same at once.

    It starts full. A datagram larger than the burst passes a full bucket and leaves it in debt, so the rate holds in
    the long run and nothing waits for ever. `now_ns` is monotonic.
    """

    def __init__(self, rate: RateValue, burst: float | None = None) -> None:
        limit, least = (rate.bits, _LEAST_BITS) if rate.bits is not None else (rate.messages, 1)
        if limit is None or limit <= 0:
            raise ValueError(f"rate {limit} is not above zero")
        if burst is None:
            burst = max(least, limit * BURST_SECONDS)
        if burst <= 0:
            raise ValueError(f"burst {burst} is not above zero")
        self._bits = rate.bits is not None
        self._rate = max(1, round(limit * 1000))
        self._burst = self._level = max(1, round(burst * _TOKEN))
        self._now: int | None = None

    def take(self, datagrams: Sequence[tuple[bytes, int]], start: int, now_ns: int) -> tuple[int, int]:
        """How far `datagrams` (bytes, messages in it) may be sent from `start` on: the end, and ns until the next may.

        The wait is 0 when the end is the end of the list.
        """
        self._fill(now_ns)
        bits, burst, level = self._bits, self._burst, self._level
        for end in range(start, len(datagrams)):
            datagram, messages = datagrams[end]
            cost = (8 * len(datagram) if bits else messages) * _TOKEN
            needed = min(cost, burst)
            if level < needed:
                self._level = level
                return end, -((level - needed) // self._rate)
            level -= cost
        self._level = level
        return len(datagrams), 0

    def next_time(self, amount: int, now_ns: int) -> int:
        """When `amount` (messages or bits) may pass, if nothing else is taken before: monotonic ns, at least `now_ns`."""
        self._fill(now_ns)
        return now_ns + max(0, -((self._level - min(amount * _TOKEN, self._burst)) // self._rate))

    def _fill(self, now_ns: int) -> None:
        if self._now is not None and now_ns > self._now:
            self._level = min(self._burst, self._level + (now_ns - self._now) * self._rate)
        if self._now is None or now_ns > self._now:
            self._now = now_ns
