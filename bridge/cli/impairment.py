"""`--impair`: what each line of `send` does to its datagrams, decided from a seed before anything is sent.

For each datagram in turn, and independently on each line: lost; else it goes out once, or twice (`duplicate`), `delay`
later, and possibly `reorder`ed: held back behind the next 1 to `REORDER_SPAN` datagrams of its line, for at most
`REORDER_NS` when no more follow. The decisions depend on seed, line and place of the datagram only, never on time.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from bridge.api.options import parse_duration

REORDER_SPAN: Final = 8
REORDER_NS: Final = 5_000_000
"""Well below the 20 ms that a receiver holds by default."""

_KEYS = ("loss", "duplicate", "reorder", "delay")


@dataclass(frozen=True, slots=True)
class Impairment:
    """Shares are 0..1, the delay is ns."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ns: int = 0

    @classmethod
    def parse(cls, text: str) -> "Impairment":
        """`loss=1%,duplicate=1%,reorder=2%,delay=5ms`. Raises ValueError with the value and the fix in its text."""
        found: dict[str, float] = {}
        for part in text.split(","):
            key, equals, value = (word.strip() for word in part.partition("="))
            if key not in _KEYS or not equals:
                raise ValueError(f"{part.strip()!r} is no impairment; write for example loss=1%,reorder=2%,delay=5ms")
            if key in found:
                raise ValueError(f"{key} is given twice in {text!r}")
            found[key] = parse_duration(value) if key == "delay" else _share(value)
        delay = found.pop("delay", 0.0)
        return cls(**found, delay_ns=round(delay * 1e9))


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not text.endswith("%") or not 0 <= share <= 1:
        raise ValueError(f"{text!r} is no share; write a percentage from 0% to 100%, for example 1%")
    return share


class ImpairedLine:
    """Takes datagrams in, gives out which go on the wire now. No clock: `now_ns` is monotonic and the caller's."""

    def __init__(self, impairment: Impairment, seed: int, line: int) -> None:
        self.offered = 0
        self.lost = 0
        self.duplicated = 0
        self.reordered = 0
        self._impairment = impairment
        self._plain = impairment == Impairment()
        self._random = Random(f"{seed}/{line}")  # noqa: S311 - to be repeated, not to be secret
        self._waiting: list[tuple[int, int, bytes]] = []  # heap: due, order, datagram; delayed, then on the wire
        self._held: list[tuple[int, int, bytes]] = []  # heap: behind which place, until when, datagram
        self._place = 0
        self._order = 0

    def offer(self, datagrams: Sequence[bytes], now_ns: int) -> list[int]:
        """Take datagrams in; which of them (places in the list) are lost on this line."""
        self.offered += len(datagrams)
        if self._plain:
            for datagram in datagrams:
                self._queue(datagram, now_ns)
            return []
        lost: list[int] = []
        chance, impairment = self._random.random, self._impairment
        for at, datagram in enumerate(datagrams):
            self._place += 1
            is_lost, twice, late = (
                chance() < impairment.loss,
                chance() < impairment.duplicate,
                chance() < impairment.reorder,
            )
            behind = 1 + int(chance() * REORDER_SPAN)  # drawn always, so that one share does not shift another's draws
            if is_lost:
                self.lost += 1
                lost.append(at)
            elif late:
                self.reordered += 1
                held = (self._place + behind, now_ns + REORDER_NS, datagram)
                heapq.heappush(self._held, held)
                if twice:
                    heapq.heappush(self._held, held)
            else:
                self._queue(datagram, now_ns)
                if twice:
                    self._queue(datagram, now_ns)
            self.duplicated += twice and not is_lost
            while self._held and self._held[0][0] <= self._place:
                self._queue(heapq.heappop(self._held)[2], now_ns)
        return lost

    def take(self, now_ns: int) -> list[bytes]:
        """What goes on the wire now, in order."""
        while self._held and min(until for _, until, _ in self._held) <= now_ns:
            self._queue(heapq.heappop(self._held)[2], now_ns)
        found = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            found.append(heapq.heappop(self._waiting)[2])
        return found

    def next_time(self) -> int | None:
        """When `take` has more, monotonic ns; None while nothing waits."""
        times = [until for _, until, _ in self._held]
        if self._waiting:
            times.append(self._waiting[0][0])
        return min(times, default=None)

    def _queue(self, datagram: bytes, now_ns: int) -> None:
        self._order += 1
        heapq.heappush(self._waiting, (now_ns + self._impairment.delay_ns, self._order, datagram))
