"""`listen --verify`: generated payloads, in order, each once, every byte. Specification: docs/specs/payload.md."""

from collections.abc import Sequence
from typing import Final

from bridge.cli.lines import counted
from bridge.core.payload import number_of
from bridge.core.ranges import RangeSet

MAX_EXAMPLES: Final = 5
MAX_RANGES: Final = 65_536
"""Of numbers that were seen; a network that loses more separate numbers has failed long before."""


class Verification:
    """Takes payloads in the order in which they came out, and counts what is wrong with them.

    Numbers that the sender announced as holes are not missing. What was sent before the first number is unknown.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.damaged = 0
        self.renumbered = 0  # the wire gave another number than the payload carries
        self.repeated = 0
        self.out_of_order = 0
        self.examples: list[str] = []
        self._seen = RangeSet(MAX_RANGES)
        self._announced = RangeSet(MAX_RANGES)
        self._first: int | None = None
        self._next: int | None = None

    def take(self, payloads: Sequence[bytes], first: int | None) -> None:
        """Consecutive messages; `first` is the number of the first one on the wire, None where the wire has none."""
        for at, payload in enumerate(payloads):
            self.messages += 1
            number = number_of(payload)
            if number is None:
                self.damaged += 1
                shown = payload[:40]
                self._example(f"message {self.messages} is no generated payload or was changed: {shown!r}")
                continue
            if first is not None and number != first + at:
                self.renumbered += 1
                self._example(f"number {first + at} on the wire carries payload {number}")
            if number == self._next:
                self._next = number + 1
                self._seen.add(number, number + 1)
                continue
            self._step(number)

    def announced(self, first: int, last: int) -> None:
        """The sender said that these numbers will never come."""
        self._announced.add(first, last + 1)

    @property
    def missing(self) -> list[tuple[int, int]]:
        """Ranges between the first and the highest number that never came and were not announced, both ends included."""
        found: list[tuple[int, int]] = []
        if self._first is not None and self._next is not None:
            for first, stop in self._seen.missing(self._first, self._next):
                found += [(a, b - 1) for a, b in self._announced.missing(first, stop)]
        return found

    @property
    def failed(self) -> bool:
        """Also when there was nothing to verify."""
        wrong = self.damaged + self.renumbered + self.repeated + self.out_of_order
        return not self.messages or bool(wrong or self.missing)

    def lines(self) -> list[str]:
        """The result in words, examples of what is wrong first."""
        missing = self.missing
        absent = sum(last - first + 1 for first, last in missing)
        ranges = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in missing[:MAX_EXAMPLES])
        more = ", …" if len(missing) > MAX_EXAMPLES else ""
        found = list(self.examples)
        if missing:
            found.append(f"never came: {ranges}{more}")
        counts = (
            f"{absent} missing, {self.repeated} repeated, {self.out_of_order} out of order, "
            f"{self.damaged} damaged, {self.renumbered} renumbered"
        )
        span = "" if self._first is None or self._next is None else f", numbers {self._first} to {self._next - 1}"
        result = "failed" if self.failed else "holds"
        return [*found, f"verification {result}: {counted(self.messages, 'message')}{span}: {counts}"]

    def _step(self, number: int) -> None:
        """Any number but the next one."""
        if number in self._seen:
            self.repeated += 1
            self._example(f"number {number} came again")
            return
        self._seen.add(number, number + 1)
        if self._first is None or self._next is None:
            self._first = number
            self._next = number + 1
        elif number < self._next:
            self.out_of_order += 1
            self._first = min(self._first, number)
            self._example(f"number {number} came after {self._next - 1}")
        else:
            self._next = number + 1

    def _example(self, text: str) -> None:
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(text)
