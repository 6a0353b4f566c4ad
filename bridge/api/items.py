"""Items: the one ordered sequence that flows between the core (or a message source) and the sinks.

Per stream the order is: `SessionStart`, then `MessageBatch` and `Hole` with rising numbers that neither overlap nor leave
a number out, then at most one `SessionEnd`. Where the engine took messages out of a batch (`only`), the batch carries
`numbers`; the numbers between them are accounted for by the engine and are not holes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

HoleReason = Literal[
    "wire",  # missing on all lines after the hold and the recovery
    "reassembly",  # some fragments came, not all
    "hold_cap",  # decided early because what waited behind it reached its cap
    "session_end",  # still open when its session was left
    "announced",  # the publisher said that these numbers will never come
    "rejected",  # a sink's limits or a missing field refused the message
    "before_window",  # no longer in the window when the sink came (back)
    "overload",  # dropped by the declared overload policy
    "shutdown",  # neither published nor on disk when the run ended
    "broker_lost",  # the broker's tail fell back behind what it had acknowledged
    "stale",  # older than `stale_after`, not multicast
]


class Stream(NamedTuple):
    """One sequence space: a channel, one session of its publisher, and how often that session began again.

    `session` is the wire's own bytes (native: 8, MoldUDP64: 10, raw: 8). `restart` is 0 first and rises when the same
    session begins again at a lower number.
    """

    channel: str
    session: bytes
    restart: int = 0


@dataclass(slots=True)
class SessionStart:
    """A stream begins. `first` is the first number offered; `protocol` names the wire that the session's bytes are of."""

    stream: Stream
    protocol: str
    first: int


@dataclass(slots=True)
class MessageBatch:
    """Consecutive messages of one stream. Payload i has number first + i, or numbers[i] (rising) where given.

    `time_ns` is the receive time of the batch (Unix epoch, ns). `columns` holds per-message lists of what a sink
    declared that it needs (key, name, fields, source_time, position, headers), each as long as `payloads`.
    A receiver of a batch must not change it: several sinks share one.
    """

    stream: Stream
    first: int
    payloads: list[bytes]
    time_ns: int
    numbers: list[int] | None = None
    columns: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The highest number in the batch."""
        return self.numbers[-1] if self.numbers else self.first + len(self.payloads) - 1

    def number(self, index: int) -> int:
        """The sequence number of payload `index`."""
        return self.numbers[index] if self.numbers else self.first + index

    def from_number(self, first: int) -> "MessageBatch":
        """The part of this batch with numbers of at least `first`; itself where that is all of it."""
        if first <= self.first:
            return self
        if self.numbers is None:
            cut, numbers = first - self.first, None
        else:
            cut = next((i for i, n in enumerate(self.numbers) if n >= first), len(self.numbers))
            numbers = self.numbers[cut:]
        columns = {name: values[cut:] for name, values in self.columns.items()}
        return MessageBatch(self.stream, first, self.payloads[cut:], self.time_ns, numbers, columns)


@dataclass(slots=True)
class Hole:
    """Numbers first..last (both included) will never come, and why. Always a range, never a list."""

    stream: Stream
    first: int
    last: int
    reason: HoleReason


@dataclass(slots=True)
class SessionEnd:
    """The stream is complete: its last number is `next` - 1."""

    stream: Stream
    next: int


Item = SessionStart | MessageBatch | Hole | SessionEnd


def payload_bytes(payloads: Sequence[bytes]) -> int:
    """The sum of the payloads' lengths in bytes."""
    return sum(map(len, payloads))
