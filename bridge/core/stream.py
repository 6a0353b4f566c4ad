"""One numbered stream: order, hold, gaps and fragments, between its start and its end.

    start ≤ expected ≤ next.   Below `expected` everything is decided: released, or passed as a hole.
    From `expected` to `next` every number is exactly one of: held (complete, waits for a lower one), in a gap (missing, perhaps
    with some fragments here), or a decided hole whose turn has not come.

`next` rises by data, heartbeats, announced holes and ends. Nothing is released while the stream settles (the first `hold`, in
which `start` may still fall) or while the stream before it is not closed.

An announced hole and an end are only words of one datagram: they move `next` like a heartbeat, and the hole's reason is used
once the hold is over and the numbers did not come. An end needs to be said twice.
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal

from bridge.api.items import Hole, HoleReason, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.core import events, limits
from bridge.core.gaps import Gap, GapList, GapState
from bridge.core.ledger import StreamLedger
from bridge.core.lines import LineState
from bridge.core.ranges import RangeSet
from bridge.core.reassembly import Reassembly, Verdict
from bridge.core.settings import ReceiverSettings


class GapCounts:
    """Numbers of a stream's gaps by how they ended; `filled` counts only gaps that had opened."""

    __slots__ = ("abandoned", "filled_by_line", "filled_by_recovery")

    def __init__(self) -> None:
        self.filled_by_line = 0
        self.filled_by_recovery = 0
        self.abandoned = 0


class StreamState:
    """A stream that is being received. `receiver.ChannelReceiver` decides which packets belong to it."""

    def __init__(
        self,
        stream: Stream,
        protocol: str,
        first: int,
        now_ns: int,
        settings: ReceiverSettings,
        log: list[events.Event],
    ) -> None:
        self.stream = stream
        self.protocol = protocol
        self.ledger = StreamLedger(start=first, next=first)
        self.gap_counts = GapCounts()
        self.gaps = GapList()
        self.abandoned = RangeSet(limits.ABANDONED_RANGES)
        self.start = first
        self.expected = first
        self.next = first
        self.out: list[bytes] = []  # in order, numbers expected - len(out) .. expected - 1
        self.settling_until: int | None = now_ns + settings.hold_ns
        self.blocked = False  # the stream before this one is not closed yet
        self.predecessors: list[StreamState] = []  # streams whose items must come out before this one's
        self.packets = 0
        self.widest = 1  # most messages in one packet so far
        self.end: int | None = None
        self.ended = False
        self.stopped = False
        self.restoring = False
        self._settings = settings
        self._log = log
        self._held: dict[int, bytes] = {}
        self._held_bytes = 0
        self._holes: dict[int, tuple[int, HoleReason]] = {}  # first -> (stop, reason)
        self._announced = RangeSet(limits.ABANDONED_RANGES)
        self._reassembly = Reassembly()
        self._recent: deque[tuple[int, list[bytes]]] = deque()
        self._recent_bytes = 0
        self._end_claims: dict[int, int] = {}
        self._started = False
        self._due: int | None = None

    @property
    def in_order(self) -> bool:
        """Nothing is missing and nothing is held: the next number in order can go straight out."""
        return self.expected == self.next and self.settling_until is None and self.end is None

    @property
    def has_pending(self) -> bool:
        """Something may be released although nothing is missing: held messages, decided holes, an end."""
        return bool(self._held or self._holes or self.predecessors) or (self.end is not None and not self.ended)

    @property
    def back_limit(self) -> int:
        """Numbers that a packet may lie behind its line's position and still be a reordered one."""
        return self._settings.hold_packets * min(self.widest, limits.WIDEST)

    # What a packet brings

    def messages(self, first: int, payloads: Sequence[bytes], now_ns: int) -> tuple[int, int]:
        """Whole messages first…; returns (accepted, late); the rest are duplicates."""
        stop = first + len(payloads)
        if len(payloads) > self.widest:
            self.widest = len(payloads)
        if self.settling_until is not None and first < self.start:
            self._lower_start(first, now_ns)
        accepted = 0
        if stop > self.next:
            if first > self.next:
                self._miss(self.next, first, now_ns)
            new = max(first, self.next)
            self.next = self.ledger.next = stop
            self._hold(new, payloads[new - first :])
            accepted = stop - new
        if first < self.next - accepted or accepted == 0:
            for part in self.gaps.take(first, stop):
                self._fill(part, payloads[part.first - first : part.stop - first], now_ns)
                accepted += part.stop - part.first
        late = self._late(first, stop) if accepted < len(payloads) else 0
        self._count(accepted)
        self.ledger.whole += accepted
        self.ledger.held += accepted
        self.ledger.missing_open = self.gaps.numbers
        return accepted, late

    def piece(
        self, number: int, offset: int, size: int, piece: bytes, now_ns: int
    ) -> Verdict | Literal["late", "completed"]:
        """One fragment of message `number`."""
        if self.settling_until is not None and number < self.start:
            self._lower_start(number, now_ns)
        if number >= self.next:
            self._miss(self.next, number + 1, now_ns)
            self.next = self.ledger.next = number + 1
        elif number not in self.gaps:
            return "late" if self._late(number, number + 1) else "duplicate"
        over = len(self._reassembly.partials) >= limits.PARTIAL_MESSAGES and number not in self._reassembly.partials
        if over and number < min(self._reassembly.partials):
            return "cap"
        verdict, message, pieces = self._reassembly.add(number, offset, size, piece, now_ns)
        if verdict == "new":
            self._count(1)
            self.ledger.fragments += 1
            self.ledger.assembling += 1
            if message is None:
                self.gaps.renew(number, now_ns, self.packets)
                self._due = None
            else:
                self.ledger.assembling -= pieces
                self.ledger.joined += pieces
                self.ledger.completed += 1
                self.ledger.held += 1
                for part in self.gaps.take(number, number + 1):
                    self._note_filled(part, now_ns)
                self._hold(number, [message])
        self.ledger.missing_open = self.gaps.numbers
        if over:
            self._decide_lowest_partial()
        return "completed" if message is not None else verdict

    def heartbeat(self, next_number: int, now_ns: int) -> None:
        """The sender's next number: what lies below it was sent."""
        if next_number > self.next:
            self._miss(self.next, next_number, now_ns)
            self.next = self.ledger.next = next_number
            self.ledger.missing_open = self.gaps.numbers

    def announced_hole(self, first: int, last: int, now_ns: int) -> None:
        self._announced.add(max(first, self.expected), last + 1)
        self.heartbeat(last + 1, now_ns)
        self._due = None

    def announced_end(self, next_number: int, now_ns: int) -> None:
        """The first word only reveals the tail, the second one ends the stream."""
        self.heartbeat(next_number, now_ns)
        claims = self._end_claims
        claims[next_number] = claims.get(next_number, 0) + 1
        if len(claims) > limits.CANDIDATES:
            del claims[next(iter(claims))]
        if claims.get(next_number, 0) >= 2 and next_number >= self.next:
            self.end = next_number

    # What time brings

    def evaluate(self, now_ns: int, drained: bool, live: Sequence[LineState]) -> None:
        """Move settling and gaps on."""
        settings = self._settings
        if self.settling_until is not None:
            late = now_ns - self.settling_until
            if late >= 0 and (drained or late >= limits.CONSTANT_LOAD_NS):
                self.settling_until = None
        while self.gaps and (self._over_cap or self.gaps.crowded):
            self.abandon(self.gaps.gaps[0].first, self.gaps.gaps[0].stop, "hold_cap")
            self._collect()
        if not self.gaps:
            return
        counted = self.packets - self.gaps.gaps[0].packets >= settings.hold_packets
        if self._due is not None and now_ns < self._due and not (counted and drained):
            return
        for gap in list(self.gaps.gaps):
            if gap.state is GapState.SUSPECTED and self._hold_over(gap, now_ns, drained, live):
                self._open(gap, now_ns)
            if gap.state is not GapState.SUSPECTED and gap.state is not GapState.ABANDONED:
                self._deadline(gap, now_ns)
        self._due = min((due for gap in self.gaps.gaps if (due := gap.due(settings)) is not None), default=None)

    def next_timer(self) -> int | None:
        if self.settling_until is not None:
            return self.settling_until
        if not self.gaps:
            return None
        if self._due is None:
            gaps = self.gaps.gaps
            self._due = min((due for gap in gaps if (due := gap.due(self._settings)) is not None), default=None)
        return self._due

    def age_partials(self, now_ns: int) -> None:
        """Give up messages whose fragments have been coming for too long."""
        for number, partial in list(self._reassembly.partials.items()):
            if now_ns - partial.first_ns > limits.PARTIAL_AGE_NS:
                self.abandon(number, number + 1, "reassembly")

    def abandon(self, first: int, stop: int, reason: HoleReason) -> None:
        """Decide the missing numbers of [first, stop): they become holes."""
        for part in self.gaps.take(first, stop):
            part.state = GapState.ABANDONED
            for low, high, why in self._by_reason(part.first, part.stop, reason):
                self.ledger.missing[why] += high - low
                self.gap_counts.abandoned += high - low
                self.abandoned.add(low, high)
                self._holes[low] = (high, why)
                self._log.append(events.GapAbandoned(self.stream, low, high - 1, why))
        self.ledger.missing_open = self.gaps.numbers

    def finish(self, reason: HoleReason) -> None:
        """The stream is left or the run ends: decide every gap, settle what has not settled."""
        self.settling_until = None
        self.abandon(self.expected, self.next, reason)

    # What goes out

    def release(self, time_ns: int) -> list[Item]:
        """The items whose turn has come."""
        if self.settling_until is not None or self.blocked:
            return []
        items: list[Item] = []
        if not self._started:
            if not (self.out or self._held or self._holes or self.end is not None or self.stopped):
                return items
            self._started = True
            items.append(SessionStart(self.stream, self.protocol, self.start))
        self._collect()
        while self._flush(items, time_ns) and not self.stopped:
            stop, reason = self._holes.pop(self.expected)
            items.append(Hole(self.stream, self.expected, stop - 1, reason))
            self.expected = stop
            self._collect()
        if self.end is not None and self.expected >= self.end and not self.ended:
            self.ended = True
            items.append(SessionEnd(self.stream, self.end))
            self._log.append(events.StreamEnded(self.stream, self.end, True))
        return items

    def leave(self, items: list[Item]) -> None:
        """The channel goes on to another stream: end this one here."""
        if not self.ended and self._started:
            self.ended = True
            items.append(SessionEnd(self.stream, self.expected))
            self._log.append(events.StreamEnded(self.stream, self.expected, False))

    def known_bytes(self, number: int) -> bytes | None:
        """The payload of a number that was received not long ago, if it is still remembered."""
        if (payload := self._held.get(number)) is not None:
            return payload
        first = self.expected - len(self.out)
        if first <= number < self.expected:
            return self.out[number - first]
        for first, payloads in reversed(self._recent):
            if first <= number < first + len(payloads):
                return payloads[number - first]
        return None

    # Inside

    @property
    def _over_cap(self) -> bool:
        waiting = self._held_bytes + self._reassembly.bytes
        return waiting > self._settings.gap_bytes or len(self._held) > limits.HELD_MESSAGES

    def _count(self, pieces: int) -> None:
        if self.restoring:
            self.ledger.restored += pieces
        else:
            self.ledger.accepted += pieces

    def _lower_start(self, first: int, now_ns: int) -> None:
        """A number below the first one seen, before anything was released: the stream begins here."""
        self._miss(first, self.start, now_ns)
        self.start = self.expected = self.ledger.start = first

    def _miss(self, first: int, stop: int, now_ns: int) -> None:
        if first < stop:
            self.gaps.open(first, stop, now_ns, self.packets)
            self._due = None

    def _late(self, first: int, stop: int) -> int:
        """How many of these numbers, all below `next` and in no gap, were given up or lie before the start."""
        before = max(0, min(stop, self.start) - first)
        return before + (self.abandoned.count(max(first, self.start), stop) if self.abandoned else 0)

    def _hold(self, first: int, payloads: Sequence[bytes]) -> None:
        held = self._held
        for number, payload in enumerate(payloads, first):
            held[number] = payload
        self._held_bytes += sum(map(len, payloads))

    def _fill(self, part: Gap, payloads: Sequence[bytes], now_ns: int) -> None:
        if self._reassembly.partials:
            for number in [n for n in self._reassembly.partials if part.first <= n < part.stop]:
                self._evict(number)
        self._hold(part.first, payloads)
        self._note_filled(part, now_ns)

    def _note_filled(self, part: Gap, now_ns: int) -> None:
        if part.state is GapState.SUSPECTED:
            return
        self.gap_counts.filled_by_line += part.stop - part.first
        after = now_ns - part.opened_ns
        self._log.append(events.GapFilled(self.stream, part.first, part.stop - 1, "line", after))

    def _hold_over(self, gap: Gap, now_ns: int, drained: bool, live: Sequence[LineState]) -> bool:
        age = now_ns - gap.since_ns
        if age >= self._settings.hold_ns and (drained or age >= self._settings.hold_ns + limits.CONSTANT_LOAD_NS):
            return True
        if not drained or self.packets - gap.packets < self._settings.hold_packets * len(live):
            return False
        return all(line.next is not None and line.next >= gap.stop for line in live)

    def _open(self, gap: Gap, now_ns: int) -> None:
        if self._announced:
            for first, stop in self._announced.overlap(gap.first, gap.stop):
                self.abandon(first, stop, "announced")
        for part in [g for g in self.gaps.gaps if gap.first <= g.first < gap.stop]:
            part.opened_ns = now_ns
            part.state = GapState.REQUESTED if self._settings.recovery else GapState.OPEN
            self._log.append(events.GapOpened(self.stream, part.first, part.stop - 1))
            if part is not gap:
                self._deadline(part, now_ns)

    def _deadline(self, gap: Gap, now_ns: int) -> None:
        if self.gaps.at(gap.first) is not gap:
            return  # taken out while its announced part was decided
        if self._announced and self._announced.count(gap.first, gap.stop):
            for first, stop in self._announced.overlap(gap.first, gap.stop):
                self.abandon(first, stop, "announced")
            return
        if self._settings.then == "wait" or now_ns - gap.opened_ns < self._settings.deadline_ns:
            return
        if self._settings.then == "stop" and gap.first == self._first_open():
            self.stopped = True
            self._log.append(events.ChannelStopped(self.stream, gap.first, gap.stop - 1))
        elif self._settings.then == "skip":
            self.abandon(gap.first, gap.stop, "wire")

    def _first_open(self) -> int:
        return self.gaps.gaps[0].first

    def _by_reason(self, first: int, stop: int, reason: HoleReason) -> list[tuple[int, int, HoleReason]]:
        """Split a range that is given up: numbers of which fragments came are missing by reassembly."""
        partial = sorted(n for n in self._reassembly.partials if first <= n < stop)
        parts: list[tuple[int, int, HoleReason]] = []
        at = first
        for number in partial:
            self._evict(number)
            if reason != "wire":
                continue
            if at < number:
                parts.append((at, number, reason))
            parts.append((number, number + 1, "reassembly"))
            at = number + 1
        if at < stop:
            parts.append((at, stop, reason))
        return parts

    def _evict(self, number: int) -> None:
        partial = self._reassembly.drop(number)
        if partial is not None:
            pieces = len(partial.offsets)
            self.ledger.assembling -= pieces
            self.ledger.evicted += pieces
            self._log.append(events.FragmentsEvicted(self.stream, number, pieces, partial.arrived))

    def _decide_lowest_partial(self) -> None:
        number = min(self._reassembly.partials)
        self.abandon(number, number + 1, "hold_cap")

    def _collect(self) -> None:
        """Move the run of held messages that begins at `expected` to the outgoing list."""
        held, out, number = self._held, self.out, self.expected
        if number not in held:
            return
        start = len(out)
        while (payload := held.pop(number, None)) is not None:
            out.append(payload)
            number += 1
        self.expected = number
        self._held_bytes -= sum(map(len, out[start:]))

    def _flush(self, items: list[Item], time_ns: int) -> bool:
        """Emit the outgoing list; True if a decided hole is next."""
        out = self.out
        if out:
            first = self.expected - len(out)
            items.append(MessageBatch(self.stream, first, out, time_ns))
            self.ledger.held -= len(out)
            self.ledger.released += len(out)
            self._remember(first, out)
            self.out = []
        return self.expected in self._holes

    def _remember(self, first: int, payloads: list[bytes]) -> None:
        recent = self._recent
        recent.append((first, payloads))
        self._recent_bytes += sum(map(len, payloads))
        while len(recent) > limits.RECENT_BATCHES or (self._recent_bytes > limits.RECENT_BYTES and len(recent) > 1):
            self._recent_bytes -= sum(map(len, recent.popleft()[1]))
