"""What the core reports beside its items. Plain records: the engine gives them words, a severity and a counter."""

from typing import Literal, NamedTuple

from bridge.api.items import HoleReason, Stream
from bridge.core import limits


class GapOpened(NamedTuple):
    """Numbers first..last are missing on all lines after the hold."""

    stream: Stream
    first: int
    last: int


class GapFilled(NamedTuple):
    """Numbers of an open gap came after all."""

    stream: Stream
    first: int
    last: int
    by: Literal["line", "recovery"]
    after_ns: int


class GapAbandoned(NamedTuple):
    """Numbers that are given up; a `Hole` with this reason follows in the items."""

    stream: Stream
    first: int
    last: int
    reason: HoleReason


class StreamStarted(NamedTuple):
    """A stream begins. `cause` tells how: the first of the run, a new session, or the same session again."""

    stream: Stream
    first: int
    cause: Literal["first", "session", "restart"]


class StreamEnded(NamedTuple):
    """A stream is complete, by its publisher's word or because the channel left it."""

    stream: Stream
    next: int
    announced: bool


class SessionRefused(NamedTuple):
    """A session was not believed. `pieces` were thrown away with it."""

    channel: str
    line: str
    session: bytes
    reason: str
    pieces: int


class JumpConfirmed(NamedTuple):
    """The sender really went forward by more than reordering explains, or by more than `max_jump`."""

    stream: Stream
    first: int
    last: int


class Conflict(NamedTuple):
    """The same number came with other bytes (two publishers, or a broken one); the first copy was kept."""

    stream: Stream
    line: str
    number: int


class FragmentsEvicted(NamedTuple):
    """A message was given up with some of its fragments here."""

    stream: Stream
    number: int
    fragments: int
    bytes: int


class LateMessages(NamedTuple):
    """Numbers that came after they had been given up."""

    stream: Stream
    line: str
    first: int
    last: int


class LineSilent(NamedTuple):
    channel: str
    line: str


class LineBack(NamedTuple):
    channel: str
    line: str


class SecondSender(NamedTuple):
    """Two senders take turns on one line."""

    channel: str
    line: str
    senders: tuple[tuple[str, int], tuple[str, int]]


class MalformedDatagrams(NamedTuple):
    """Datagrams of one pass and line that were none of this protocol. `sample` is one of them, if quarantine is on."""

    channel: str
    line: str
    reason: str
    detail: str
    datagrams: int
    sample: bytes | None


class ChannelStopped(NamedTuple):
    """The gap policy `stop` took effect: the channel takes in no more."""

    stream: Stream
    first: int
    last: int


class EventsDropped(NamedTuple):
    """So many events of one pass were not kept."""

    channel: str
    events: int


Event = (
    GapOpened
    | GapFilled
    | GapAbandoned
    | StreamStarted
    | StreamEnded
    | SessionRefused
    | JumpConfirmed
    | Conflict
    | FragmentsEvicted
    | LateMessages
    | LineSilent
    | LineBack
    | SecondSender
    | MalformedDatagrams
    | ChannelStopped
    | EventsDropped
)


class Request(NamedTuple):
    """Numbers that the gap machine wants from the recovery sources."""

    stream: Stream
    first: int
    last: int


_ALWAYS_KEPT = (GapAbandoned, StreamStarted, StreamEnded, ChannelStopped, JumpConfirmed)


class EventLog:
    """What waits for the engine. At `limits.EVENTS` only what says that numbers are lost, or that the channel changed, is
    still taken: one record a gap or a stream, and those have caps of their own. The rest is counted."""

    __slots__ = ("_channel", "_dropped", "_records")

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._records: list[Event] = []
        self._dropped = 0

    def __bool__(self) -> bool:
        return bool(self._records)

    def append(self, record: Event) -> None:
        if len(self._records) < limits.EVENTS or isinstance(record, _ALWAYS_KEPT):
            self._records.append(record)
        else:
            self._dropped += 1

    def take(self) -> list[Event]:
        """What happened since the last call."""
        records = self._records
        if self._dropped:
            records.append(EventsDropped(self._channel, self._dropped))
        self._records, self._dropped = [], 0
        return records
