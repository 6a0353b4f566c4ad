"""The sending half: items in, datagrams out. No socket, no clock; pacing is `core.pacing`.

State of the session on the wire:

    state    what happened                  what goes out                                        then
    NONE     SessionStart                   heartbeat with its first number                      OPEN
    OPEN     MessageBatch                   data, fragments; a hole for numbers left out         OPEN
    OPEN     Hole                           hole packet, or empty messages, or nothing (event)   OPEN
    OPEN     idle for `heartbeat_ns`        heartbeat                                            OPEN
    OPEN     SessionStart                   heartbeat of the old session, then as in NONE        OPEN
    OPEN     SessionEnd                     end, 1st of `end_count`                              ENDING (NONE after the last)
    ENDING   idle for `end_interval_ns`     end                                                  ENDING (NONE after the last)
    ENDING   SessionStart                   the ends still due, at once, then as in NONE         OPEN

The heartbeat before a new session shows a receiver the old one's tail; ends are not strewn between the data of a new
session, since there are receivers that ignore the session field.

**Packing** depends on content only: a datagram takes the following messages of its batch while their numbers are
consecutive and they fit `max_datagram`, and ends with the batch. So the caller who wants two bridges to send the same
datagrams cuts its batches by content (by numbers or positions), not by what happened to be there.

**Numbers** are never changed. MoldUDP64 begins at 1: message 0 of another protocol is reported as unsendable, the
others keep their numbers. Raw has no numbers: holes, heartbeats and ends leave no trace on it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from typing import Final, Literal, NamedTuple

from bridge.api.items import Hole, HoleReason, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.core.numbering import emitted_session, session_from_time
from bridge.wire.packet import MAX_DATAGRAM, MAX_SEQUENCE, Codec, Fragment

MAX_EMPTY_MESSAGES: Final = 65_536
"""The longest hole that is sent as empty messages (about 100 datagrams); a longer one is reported, not sent."""


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """Settings of one `StreamSender`; times in ns, sizes in bytes of UDP payload.

    max_datagram      what fits the MTU; 1472 is Ethernet less IPv4 and UDP headers. Raw messages may be larger: IP
                      splits them, since the protocol cannot
    pack, split       several messages in a datagram; a message over several datagrams (where the wire can)
    heartbeat_ns      a heartbeat after so long without a datagram; None: never
    end_count         how often the end of a session is sent, `end_interval_ns` apart
    holes             "packet": announced where the wire has a packet for it, else only reported;
                      "empty": as zero-length messages where the wire has no such packet
    """

    max_datagram: int = 1472
    pack: bool = True
    split: bool = True
    heartbeat_ns: int | None = 1_000_000_000
    end_count: int = 5
    end_interval_ns: int = 1_000_000_000
    holes: Literal["packet", "empty"] = "packet"


class Unsendable(NamedTuple):
    """Numbers that did not go out as they should have.

    `size`         a message too large for this wire (announced as a hole where that is possible)
    `sequence`     a message with a number that this wire does not have
    `unannounced`  a hole that the wire could not be told: receivers see a gap until they give up
    """

    stream: Stream
    first: int
    last: int
    reason: Literal["size", "sequence", "unannounced"]
    detail: str


class _State(Enum):
    NONE = auto()
    OPEN = auto()
    ENDING = auto()


class StreamSender:
    """Makes the datagrams of one channel. Raises ValueError for settings that cannot be and items out of order."""

    def __init__(self, codec: Codec, settings: SenderSettings | None = None) -> None:
        settings = settings or SenderSettings()
        self._codec = codec
        self._settings = settings
        size = settings.max_datagram if codec.numbered else MAX_DATAGRAM
        self._room = size - codec.header_bytes()
        self._piece = size - codec.fragment_bytes()
        self._splits = codec.fragments and settings.split
        self._most = codec.max_messages() if settings.pack else 1
        if size > MAX_DATAGRAM or min(self._room - codec.message_bytes(), self._piece) < 1:
            least = max(codec.header_bytes() + codec.message_bytes(), codec.fragment_bytes()) + 1
            raise ValueError(f"max_datagram {size} is outside {least}..{MAX_DATAGRAM}, which {codec.name} needs")
        if settings.end_count < 1:
            raise ValueError(f"end_count {settings.end_count} is below 1")
        if settings.holes == "empty" and not codec.numbered:
            raise ValueError(f"{codec.name} has no numbers, so empty messages cannot announce holes")
        self._items: deque[tuple[Item, bytes]] = deque()  # each with the session of its stream on this wire
        self._current: Iterator[tuple[bytes, int]] | None = None
        self._events: list[Unsendable] = []
        self._state = _State.NONE
        self._stream: Stream | None = None
        self._session = b""
        self._next = 0  # what the wire was told comes next
        self._ends_left = 0
        self._sent_ns = 0  # monotonic, of the last datagram
        self._due_ns = 0  # when the oldest waiting item was added
        self._time_ns = 0
        self._added: tuple[Stream, bytes, int] | None = None  # stream, its session, next number; as of the last `add`

    @property
    def max_message(self) -> int:
        """Bytes of the largest message that this sender can put on the wire."""
        whole = self._room - self._codec.message_bytes()
        return self._codec.max_message if self._splits else min(self._codec.max_message, whole)

    @property
    def pending(self) -> bool:
        """Something that was added has not been returned by `datagrams` yet."""
        return bool(self._items) or self._current is not None

    @property
    def finished(self) -> bool:
        """Nothing waits and no session is open: all ends of the last one were returned."""
        return not self.pending and self._state is _State.NONE

    def add(self, item: Item, now_ns: int, time_ns: int) -> None:
        """Take an item. A stream without a session (b"") gets one made from `time_ns`, the wall clock.

        A `SessionStart` of the same stream sets the next number anew, also lower: what was sent may be repeated.
        """
        if not self.pending:
            self._due_ns = now_ns
        stream = item.stream
        if isinstance(item, SessionStart):
            session = emitted_session(stream, item.protocol, self._codec)
            if not stream.session:
                known = self._added is not None and self._added[0] == stream
                session = self._added[1] if known and self._added else session_from_time(time_ns, self._codec)
            following = item.first
        else:
            if self._added is None or self._added[0] != stream:
                raise ValueError(f"{item!r:.200} does not belong to a stream that was started")
            _, session, expected = self._added
            first, following = _range(item)
            if first < expected:
                raise ValueError(f"number {first} of {stream} was passed already, {expected} is next")
        if following > MAX_SEQUENCE + 1:
            raise ValueError(f"number {following - 1} of {stream} is above {MAX_SEQUENCE}")
        self._added = None if isinstance(item, SessionEnd) else (stream, session, following)
        self._items.append((item, session))

    def datagrams(self, now_ns: int, time_ns: int, limit: int | None = None) -> list[tuple[bytes, int]]:
        """What may be sent now, in order: (datagram, messages that it completes). `time_ns` becomes the send time.

        At most `limit` datagrams: a message of 64 MiB makes 47,000, and encoding them takes long. Call again while
        `pending`.
        """
        self._time_ns = time_ns
        found: list[tuple[bytes, int]] = []
        while limit is None or len(found) < limit:
            if self._current is None:
                if not self._items:
                    break
                self._current = self._encode(*self._items.popleft())
            found += islice(self._current, None if limit is None else limit - len(found))
            if limit is None or len(found) < limit:
                self._current = None
        if not found and not self.pending:
            found = self._idle(now_ns)
        if found:
            self._sent_ns = self._due_ns = now_ns
        return found

    def next_timer(self) -> int | None:
        """When to call `datagrams` at the latest: monotonic ns; a time that has passed means now."""
        if self.pending:
            return self._due_ns
        if self._state is _State.ENDING:
            return self._sent_ns + self._settings.end_interval_ns
        if self._beats and self._settings.heartbeat_ns is not None:
            return self._sent_ns + self._settings.heartbeat_ns
        return None

    def events(self) -> list[Unsendable]:
        """What could not be sent since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def _beats(self) -> bool:
        return self._state is _State.OPEN and self._codec.heartbeats

    def _idle(self, now_ns: int) -> list[tuple[bytes, int]]:
        due = self.next_timer()
        if due is None or now_ns < due:
            return []
        return [self._end() if self._state is _State.ENDING else self._heartbeat()]

    def _encode(self, item: Item, session: bytes) -> Iterator[tuple[bytes, int]]:
        if isinstance(item, SessionStart):
            yield from self._start(item, session)
        elif isinstance(item, MessageBatch):
            for first, start, stop in _runs(item):
                yield from self._leave_out(first)
                yield from self._messages(first, item.payloads[start:stop])
        elif isinstance(item, Hole):
            yield from self._leave_out(item.first)
            yield from self._hole(item.first, item.last, item.reason)
        else:
            yield from self._leave_out(item.next)
            self._state = _State.ENDING if self._codec.heartbeats else _State.NONE
            self._ends_left = self._settings.end_count
            if self._codec.heartbeats:
                yield self._end()

    def _start(self, item: SessionStart, session: bytes) -> Iterator[tuple[bytes, int]]:
        if self._beats and self._stream == item.stream:
            if item.first > self._next:
                yield from self._leave_out(item.first)
            self._next = item.first
            return
        while self._state is _State.ENDING:
            yield self._end()
        if self._beats:
            yield self._heartbeat()
        self._state = _State.OPEN
        self._stream, self._session, self._next = item.stream, session, item.first
        if self._beats:
            yield self._heartbeat()

    def _messages(self, first: int, payloads: list[bytes]) -> Iterator[tuple[bytes, int]]:
        """Payloads with consecutive numbers from `first`."""
        codec, room, most = self._codec, self._room, self._most
        if first < codec.first_sequence:
            below = min(len(payloads), codec.first_sequence - first)
            self._report(first, first + below - 1, "sequence", f"{codec.name} begins at {codec.first_sequence}")
            self._next = first + below
            first, payloads = first + below, payloads[below:]
        extra, largest = codec.message_bytes(), self.max_message
        at, count = 0, len(payloads)
        while at < count:
            size = len(payloads[at])
            if size > largest:
                detail = f"message of {size} bytes, {codec.name} carries {largest} here"
                self._report(first + at, first + at, "size", detail)
                yield from self._hole(first + at, first + at, "rejected", reported=True)
                at += 1
                continue
            free = room - extra - size
            if free < 0:
                yield from self._split(first + at, payloads[at])
                at += 1
                continue
            end, stop = at + 1, min(count, at + most)
            while end < stop:
                size = len(payloads[end])
                free -= extra + size
                if free < 0 or size > largest:
                    break
                end += 1
            self._next = first + end
            yield codec.encode_data(self._session, first + at, payloads[at:end], self._time_ns), end - at
            at = end

    def _split(self, number: int, payload: bytes) -> Iterator[tuple[bytes, int]]:
        size, step = len(payload), self._piece
        for offset in range(0, size, step):
            piece = payload[offset : offset + step]
            last = offset + step >= size
            if last:
                self._next = number + 1
            fragment = Fragment(offset, size)
            yield self._codec.encode_fragment(self._session, number, fragment, piece, self._time_ns), int(last)

    def _leave_out(self, following: int) -> Iterator[tuple[bytes, int]]:
        """Numbers that an item passes over were taken out by the engine: receivers must not wait for them."""
        if following > self._next:
            yield from self._hole(self._next, following - 1, "announced")

    def _hole(self, first: int, last: int, reason: HoleReason, reported: bool = False) -> Iterator[tuple[bytes, int]]:
        codec = self._codec
        first = max(first, codec.first_sequence)
        if first <= last:
            if codec.holes:
                self._next = last + 1
                yield codec.encode_hole(self._session, first, last, self._time_ns, reason), 0
            elif self._settings.holes == "empty" and last - first < MAX_EMPTY_MESSAGES:
                yield from self._messages(first, [b""] * (last - first + 1))
            elif codec.numbered and not reported:
                self._report(first, last, "unannounced", f"{codec.name} has no packet that announces holes")
        self._next = last + 1

    def _heartbeat(self) -> tuple[bytes, int]:
        following = max(self._next, self._codec.first_sequence)
        return self._codec.encode_heartbeat(self._session, following, self._time_ns), 0

    def _end(self) -> tuple[bytes, int]:
        self._ends_left -= 1
        if not self._ends_left:
            self._state = _State.NONE
        following = max(self._next, self._codec.first_sequence)
        return self._codec.encode_end(self._session, following, self._time_ns), 0

    def _report(self, first: int, last: int, reason: Literal["size", "sequence", "unannounced"], detail: str) -> None:
        assert self._stream is not None
        if self._events:
            before = self._events[-1]
            if before.last + 1 == first and before.reason == reason and before.stream == self._stream:
                self._events[-1] = before._replace(last=last)
                return
        self._events.append(Unsendable(self._stream, first, last, reason, detail))


def _range(item: MessageBatch | Hole | SessionEnd) -> tuple[int, int]:
    """The first number of an item and the one after its last."""
    if isinstance(item, SessionEnd):
        return item.next, item.next
    if isinstance(item, Hole):
        return item.first, item.last + 1
    first = item.numbers[0] if item.numbers else item.first
    return first, item.last + 1


def _runs(batch: MessageBatch) -> Iterator[tuple[int, int, int]]:
    """Runs of consecutive numbers: (first number, start and stop in the payloads)."""
    numbers = batch.numbers
    if numbers is None:
        if batch.payloads:
            yield batch.first, 0, len(batch.payloads)
        return
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield numbers[start], start, place
            start = place
