"""The order of one stream: what waits for a lower number, what may go out, and what went out not long ago.

    held     complete messages above `expected`, by number
    holes    decided ranges above `expected`
    ready    runs of messages and holes below `expected`, in order
    out      the run of messages that is still growing: numbers expected - len(out) .. expected - 1

`expected` moves through held messages and holes as far as they reach. The hot path of `receiver.py` appends to `out` itself.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from bridge.api.items import Hole, HoleReason, Item, MessageBatch, Stream
from bridge.core import limits


class _Run(NamedTuple):
    first: int
    payloads: list[bytes]
    bytes: int


class _Passed(NamedTuple):
    first: int
    last: int
    reason: HoleReason


class Order:
    """Messages and holes of one stream, from their arrival until they are taken."""

    __slots__ = (
        "_counted",
        "_held",
        "_holes",
        "_out_bytes",
        "_ready",
        "_ready_bytes",
        "_recent",
        "_recent_bytes",
        "expected",
        "held_bytes",
        "out",
    )

    def __init__(self, first: int) -> None:
        self.expected = first
        self.out: list[bytes] = []
        self.held_bytes = 0
        self._held: dict[int, bytes] = {}
        self._holes: dict[int, tuple[int, HoleReason]] = {}  # first -> (stop, reason)
        self._ready: list[_Run | _Passed] = []
        self._recent: deque[_Run] = deque()
        self._recent_bytes = 0
        self._ready_bytes = 0
        self._out_bytes = 0  # of out[:_counted]
        self._counted = 0

    @property
    def waits(self) -> bool:
        """Something may go out, now or when `advance` has moved on."""
        return bool(self.out or self._held or self._holes or self._ready)

    @property
    def held(self) -> int:
        """Messages that wait for a lower number."""
        return len(self._held)

    @property
    def bytes_ready(self) -> int:
        """Bytes of what may go out. Costs what came since it was last asked for."""
        out = self.out
        if self._counted < len(out):
            self._out_bytes += sum(map(len, out[self._counted :]))
            self._counted = len(out)
        return self._ready_bytes + self._out_bytes

    def hold(self, first: int, payloads: Sequence[bytes]) -> None:
        """Complete messages first…, none of which is here."""
        held = self._held
        for number, payload in enumerate(payloads, first):
            held[number] = payload
        self.held_bytes += sum(map(len, payloads))

    def pass_over(self, first: int, stop: int, reason: HoleReason) -> None:
        """Numbers first..stop-1 will not come."""
        self._holes[first] = (stop, reason)

    def advance(self) -> None:
        """Move `expected` through what is held and decided."""
        held, holes = self._held, self._holes
        while True:
            number = self.expected
            if number in held:
                out, start = self.out, len(self.out)
                while (payload := held.pop(number, None)) is not None:
                    out.append(payload)
                    number += 1
                self.expected = number
                self.held_bytes -= sum(map(len, out[start:]))
            elif number in holes:
                self._close_run()
                stop, reason = holes.pop(number)
                self._ready.append(_Passed(number, stop - 1, reason))
                self.expected = stop
            else:
                return

    def take(self, stream: Stream, time_ns: int) -> list[Item]:
        """Everything below `expected`, as items."""
        self.advance()
        self._close_run()
        items: list[Item] = []
        for part in self._ready:
            if isinstance(part, _Run):
                items.append(MessageBatch(stream, part.first, part.payloads, time_ns))
                self._remember(part)
            else:
                items.append(Hole(stream, part.first, part.last, part.reason))
        self._ready, self._ready_bytes = [], 0
        return items

    def known(self, number: int) -> bytes | None:
        """The payload of a number that was received not long ago, if it is still remembered."""
        if (payload := self._held.get(number)) is not None:
            return payload
        first = self.expected - len(self.out)
        if first <= number < self.expected:
            return self.out[number - first]
        for runs in (self._ready, self._recent):
            for run in reversed(runs):
                if isinstance(run, _Run) and run.first <= number < run.first + len(run.payloads):
                    return run.payloads[number - run.first]
        return None

    def _close_run(self) -> None:
        if self.out:
            size = self._out_bytes + sum(map(len, self.out[self._counted :] if self._counted else self.out))
            self._ready.append(_Run(self.expected - len(self.out), self.out, size))
            self._ready_bytes += size
            self.out, self._out_bytes, self._counted = [], 0, 0

    def _remember(self, run: _Run) -> None:
        recent = self._recent
        recent.append(run)
        self._recent_bytes += run.bytes
        while len(recent) > limits.RECENT_BATCHES or (self._recent_bytes > limits.RECENT_BYTES and len(recent) > 1):
            self._recent_bytes -= recent.popleft().bytes
