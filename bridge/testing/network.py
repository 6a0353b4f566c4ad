"""A network that loses, repeats, reorders, delays and cuts lines, all from a seed: no sockets and no waiting.

    network = SimulatedNetwork(seed=7, lines=[Impairment(loss=0.02), Impairment(loss=0.02, reorder=0.03)])
    network.send(b"...", at_ns=0)
    for arrival in network.arrivals(): ...

The same seed and the same calls give the same arrivals on every machine and Python version.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Impairment:
    """What one line does to a datagram. Shares are 0..1, times in ns.

    `reorder` is the share of datagrams that are delayed by up to `reorder_ns` more than the rest; `dead` are spans (from, to)
    in which the line delivers nothing.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ns: int = 0
    reorder_ns: int = 5_000_000
    dead: Sequence[tuple[int, int]] = field(default=())


class Arrival(NamedTuple):
    """A datagram that arrives: when, on which line, and the number of the `send` that it came from."""

    at_ns: int
    line: int
    datagram: bytes
    sent: int


class SimulatedNetwork:
    """Several lines, each with its own impairment and its own part of the seed."""

    def __init__(self, seed: int, lines: Sequence[Impairment]) -> None:
        self.lines = list(lines)
        self.delivered: list[set[int]] = [set() for _ in lines]  # by line, the sends that arrive at least once
        self._random = [Random(f"{seed}/{place}") for place in range(len(lines))]
        self._arrivals: list[Arrival] = []
        self._sent = 0

    def send(self, datagram: bytes, at_ns: int) -> int:
        """Send on every line; returns the number of this send, 0 first."""
        sent = self._sent
        self._sent += 1
        for line, impairment in enumerate(self.lines):
            self._send_on(line, impairment, datagram, at_ns, sent)
        return sent

    def send_on(self, line: int, datagram: bytes, at_ns: int) -> None:
        """Put a datagram on one line only, unimpaired: what a stranger or a broken switch does."""
        self._arrivals.append(Arrival(at_ns, line, datagram, -1))

    def arrivals(self) -> Iterator[Arrival]:
        """Everything that arrives, in order of time."""
        return iter(sorted(self._arrivals, key=lambda arrival: (arrival.at_ns, arrival.line)))

    def _send_on(self, line: int, impairment: Impairment, datagram: bytes, at_ns: int, sent: int) -> None:
        random = self._random[line]
        lost, copies = random.random() < impairment.loss, 1 + (random.random() < impairment.duplicate)
        delays = [self._delay(random, impairment) for _ in range(copies)]
        if lost or any(start <= at_ns < stop for start, stop in impairment.dead):
            return
        self.delivered[line].add(sent)
        self._arrivals += [Arrival(at_ns + delay, line, datagram, sent) for delay in delays]

    def _delay(self, random: Random, impairment: Impairment) -> int:
        late = random.random() < impairment.reorder
        return impairment.delay_ns + (random.randrange(impairment.reorder_ns + 1) if late else 0)
