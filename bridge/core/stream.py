"""One numbered stream: hold, gaps and fragments, between its start and its end. What goes out is in `order.py`.

    start ≤ expected ≤ next.   Below `expected` everything is decided: released, or passed as a hole.
    From `expected` to `next` every number is exactly one of: held (complete, waits for a lower one), in a gap (missing, perhaps
    with some fragments here), or a decided hole whose turn has not come.

`next` rises by data, heartbeats, announced holes and ends. Nothing is released while the stream settles (the first `hold`, in
which `start` may still fall) or while the stream before it is not closed.

An announced hole and an end are only words of one datagram: they move `next` like a heartbeat, and the hole's reason is used
once the hold is over and the numbers did not come. An end needs to be said twice.
"""

from collections.abc import Sequence
from typing import Literal

from bridge.api.items import HoleReason, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.core import events, limits
from bridge.core.gaps import Gap, GapCounts, GapList, GapState
from bridge.core.ledger import StreamLedger
from bridge.core.lines import LinePosition, LineState
from bridge.core.order import Order
from bridge.core.ranges import RangeSet
from bridge.core.reassembly import Reassembly, Verdict
from bridge.core.settings import ReceiverSettings


class StreamState:
    """A stream that is being received. `arbitration.py` decides which packets belong to it."""

    def __init__(
        self,
        stream: Stream,
        protocol: str,
        first: int,
        now_ns: int,
        settings: ReceiverSettings,
        log: events.EventLog,
        lines: Sequence[LineState] = (),
    ) -> None:
        self.stream = stream
        self.protocol = protocol
        self.ledger = StreamLedger(start=first, next=first)
        self.gap_counts = GapCounts()
        self.gaps = GapList()
        self.abandoned = RangeSet(limits.ABANDONED_RANGES)
        self.positions = [LinePosition(line, self.abandoned) for line in lines]
        self.start = first
        self.next = first
        self.order = Order(first)
        self.settling_until: int | None = now_ns + settings.hold_ns
        self.blocked = False  # the stream before this one is not closed yet
        self.packets = 0
        self.widest = 1  # most messages in one packet, lately
        self.restored_to = 0  # one past the highest number that came from a disk window
        self.end: int | None = None
        self.ended = False
        self.stopped = False
        self._unfinished: int | None = None  # the highest number, while nothing shows that its sender is past it
        self.restoring = False
        self._settings = settings
        self._log = log
        self._announced = RangeSet(limits.ABANDONED_RANGES)
        self._reassembly = Reassembly()
        self._end_claims: dict[int, int] = {}
        self._started = False
        self._widest_before = 1

    @property
    def expected(self) -> int:
        """The lowest number that is not decided."""
        return self.order.expected

    @property
    def in_order(self) -> bool:
        """Nothing is missing and nothing is held: the next number in order can go straight out."""
        return self.order.expected == self.next and self.settling_until is None and self.end is None

    @property
    def has_pending(self) -> bool:
        """Something may be released although nothing is missing: messages, decided holes, an end."""
        return self.order.waits or (self.end is not None and not self.ended)

    @property
    def back_limit(self) -> int:
        """Numbers that a packet may lie behind its line's position and still be a reordered one."""
        return self._settings.hold_packets * min(max(self.widest, self._widest_before), limits.WIDEST)

    @property
    def over_cap(self) -> bool:
        """What waits takes more memory than it may."""
        order = self.order
        kept_back = self.blocked or self.settling_until is not None
        waiting = order.held_bytes + self._reassembly.cost + (order.bytes_ready if kept_back else 0)
        messages = self.ledger.held if kept_back else order.held
        return waiting > self._settings.gap_bytes or messages > limits.HELD_MESSAGES

    def lacks(self, first: int, stop: int) -> bool:
        """Some of these numbers are not here and not decided."""
        return stop > self.next or bool(self.gaps.within(first, stop))

    # What a packet brings

    def messages(self, first: int, payloads: Sequence[bytes], now_ns: int) -> tuple[int, int]:
        """Whole messages first…; returns (accepted, late); the rest are duplicates."""
        stop = first + len(payloads)
        if len(payloads) > self.widest:
            self.widest = len(payloads)
        if first < self.start:
            self._lower_start(first, now_ns)
        accepted = 0
        if stop > self.next:
            self._went_on(now_ns)
            if first > self.next:
                self._miss(self.next, first, now_ns)
            new = max(first, self.next)
            self.next = self.ledger.next = stop
            self.order.hold(new, payloads[new - first :])
            accepted = stop - new
        if first < self.next - accepted or accepted == 0:
            for part in self.gaps.take(first, stop):
                for number in self._reassembly.within(part.first, part.stop):
                    self._evict(number)
                self.order.hold(part.first, payloads[part.first - first : part.stop - first])
                self._note_filled(part, now_ns)
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
        if number < self.start:
            self._lower_start(number, now_ns)
        if number >= self.next:
            self._went_on(now_ns)
            self._miss(self.next, number + 1, now_ns)
            self.next = self.ledger.next = number + 1
            self._unfinished = number
        elif number not in self.gaps:
            return "late" if self._late(number, number + 1) else "duplicate"
        assembly = self._reassembly
        full = len(assembly) >= limits.PARTIAL_MESSAGES and number not in assembly.partials
        if full and number < min(assembly.partials):
            return "cap"
        verdict, message, pieces = assembly.add(number, offset, size, piece, now_ns)
        if verdict == "new":
            self._count(1)
            self.ledger.fragments += 1
            self.ledger.assembling += 1
            if message is None:
                patience = limits.PARTIAL_AGE_NS if number == self._unfinished else 0
                self.gaps.renew(number, now_ns + patience, self.packets)
            else:
                self.ledger.assembling -= pieces
                self.ledger.joined += pieces
                self.ledger.completed += 1
                self.ledger.held += 1
                for part in self.gaps.take(number, number + 1):
                    self._note_filled(part, now_ns)
                self.order.hold(number, [message])
        self.ledger.missing_open = self.gaps.numbers
        if len(assembly) > limits.PARTIAL_MESSAGES:
            lowest = min(assembly.partials)
            self.abandon(lowest, lowest + 1, "hold_cap")
        return "completed" if message is not None else verdict

    def heartbeat(self, next_number: int, now_ns: int) -> None:
        """The sender's next number: what lies below it was sent."""
        if next_number >= self.next:
            self._went_on(now_ns)
        if next_number > self.next:
            self._miss(self.next, next_number, now_ns)
            self.next = self.ledger.next = next_number
            self.ledger.missing_open = self.gaps.numbers

    def announced_hole(self, first: int, last: int, now_ns: int) -> None:
        """Numbers that will never come, by the sender's word. Where a gap is open, the hold is over: the word counts now."""
        self._announced.add(max(first, self.expected), last + 1)
        self.heartbeat(last + 1, now_ns)
        for gap in self.gaps.within(first, last + 1):
            if gap.state is not GapState.SUSPECTED:
                self.abandon(max(gap.first, first), min(gap.stop, last + 1), "announced")

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

    def evaluate(self, now_ns: int, drained: bool, live: Sequence[int]) -> None:
        """Move settling and gaps on. `live`: the places of the lines that live."""
        settings, gaps = self._settings, self.gaps
        if self.settling_until is not None:
            late = now_ns - self.settling_until
            if late >= 0 and (drained or late >= limits.CONSTANT_LOAD_NS):
                self.settling_until = None
        if self.over_cap:
            self.settling_until = None  # the start can fall no more once something is decided
        while gaps and (self.over_cap or gaps.crowded):
            self.abandon(gaps.gaps[0].first, gaps.gaps[0].stop, "hold_cap")
            self.order.advance()
        while (gap := gaps.suspected()) is not None and self._hold_over(gap, now_ns, drained, live):
            self._open(gap, now_ns)
        if settings.then == "skip":
            while (gap := gaps.opened()) is not None and now_ns - gap.opened_ns >= settings.deadline_ns:
                self.abandon(gap.first, gap.stop, "wire")
        elif settings.then == "stop" and gaps and not self.stopped:
            gap = gaps.gaps[0]
            if gap.state is not GapState.SUSPECTED and now_ns - gap.opened_ns >= settings.deadline_ns:
                self.stopped = True
                self._log.append(events.ChannelStopped(self.stream, gap.first, gap.stop - 1))

    def next_timer(self) -> int | None:
        """When time moves this stream on; None if nothing but an arrival does."""
        if self.settling_until is not None:
            return self.settling_until
        if not self.gaps or self.stopped:
            return None
        settings, due = self._settings, None
        if (gap := self.gaps.suspected()) is not None:
            due = gap.since_ns + settings.hold_ns
        if settings.then == "wait":
            return due
        lowest = self.gaps.gaps[0]
        gap = self.gaps.opened() if settings.then == "skip" else lowest
        if gap is None or gap.state is GapState.SUSPECTED:
            return due
        deadline = gap.opened_ns + settings.deadline_ns
        return deadline if due is None else min(due, deadline)

    def housekeeping(self, now_ns: int, settle_to: int) -> None:
        """Once a second: line loss below `settle_to`, messages whose fragments have been coming for too long."""
        for position in self.positions:
            position.settle(self.start, settle_to)
        self._widest_before, self.widest = self.widest, 1
        for number, partial in list(self._reassembly.partials.items()):
            if now_ns - partial.first_ns <= limits.PARTIAL_AGE_NS:
                continue
            if self._settings.then == "skip":
                self.abandon(number, number + 1, "reassembly")
            else:
                self._evict(number)

    def resume(self, now_ns: int) -> None:
        """Everything that waits has its whole time again from now on: it stood still while the bridge did."""
        if self.settling_until is not None:
            self.settling_until = now_ns + self._settings.hold_ns
        self.gaps.restart(now_ns, self.packets)
        for partial in self._reassembly.partials.values():
            partial.first_ns = now_ns

    @property
    def assembling(self) -> bool:
        return len(self._reassembly) > 0

    def abandon(self, first: int, stop: int, reason: HoleReason) -> None:
        """Decide the missing numbers of [first, stop): they become holes."""
        for part in self.gaps.take(first, stop):
            part.state = GapState.ABANDONED
            for low, high, why in self._by_reason(part.first, part.stop, reason):
                self.ledger.missing[why] += high - low
                self.gap_counts.abandoned += high - low
                self.abandoned.add(low, high)
                self.order.pass_over(low, high, why)
                self._log.append(events.GapAbandoned(self.stream, low, high - 1, why))
        self.ledger.missing_open = self.gaps.numbers

    def finish(self, reason: HoleReason) -> None:
        """The stream is left or the run ends: decide every gap, settle what has not settled."""
        self.settling_until = None
        self.blocked = False
        self.abandon(self.expected, self.next, reason)
        for position in self.positions:
            position.settle(self.start, self.next)

    # What goes out

    def release(self, time_ns: int) -> list[Item]:
        """The items whose turn has come."""
        if self.settling_until is not None or self.blocked:
            return []
        items: list[Item] = []
        if not self._started:
            if not (self.order.waits or self.end is not None):
                return items
            self._started = True
            items.append(SessionStart(self.stream, self.protocol, self.start))
        parts = self.order.take(self.stream, time_ns)
        items += parts
        count = sum(len(part.payloads) for part in parts if isinstance(part, MessageBatch))
        self.ledger.held -= count
        self.ledger.released += count
        if self.end is not None and self.expected >= self.end and not self.ended:
            self.ended = True
            items.append(SessionEnd(self.stream, self.end))
            self._log.append(events.StreamEnded(self.stream, self.end, True))
        return items

    def leave(self) -> list[Item]:
        """The channel goes on to another stream: end this one here."""
        if self.ended or not self._started:
            return []
        self.ended = True
        self._log.append(events.StreamEnded(self.stream, self.expected, False))
        return [SessionEnd(self.stream, self.expected)]

    # Inside

    def _count(self, pieces: int) -> None:
        if self.restoring:
            self.ledger.restored += pieces
            self.restored_to = self.next
        else:
            self.ledger.accepted += pieces

    def _lower_start(self, first: int, now_ns: int) -> None:
        """A number below the first one seen: before anything is decided, it shows where the stream begins."""
        if self.settling_until is None or self.start - first > limits.START_MAY_FALL:
            return
        for position in self.positions:
            position.start_falls(first, self.start)
        self._miss(first, self.start, now_ns)
        self.start = self.order.expected = self.ledger.start = first

    def _went_on(self, now_ns: int) -> None:
        """The sender says that it is past the message that it was sending: what is missing of that may be lost now."""
        if self._unfinished is not None:
            self.gaps.renew(self._unfinished, now_ns, self.packets)
            self._unfinished = None

    def _miss(self, first: int, stop: int, now_ns: int) -> None:
        if first < stop:
            self.gaps.open(first, stop, now_ns, self.packets)

    def _late(self, first: int, stop: int) -> int:
        """How many of these numbers, all below `next` and in no gap, were given up or lie before the start."""
        before = max(0, min(stop, self.start) - first)
        return before + (self.abandoned.count(max(first, self.start), stop) if self.abandoned else 0)

    def _note_filled(self, part: Gap, now_ns: int) -> None:
        if part.state is GapState.SUSPECTED:
            return
        self.gap_counts.filled_by_line += part.stop - part.first
        after = now_ns - part.opened_ns
        self._log.append(events.GapFilled(self.stream, part.first, part.stop - 1, "line", after))

    def _hold_over(self, gap: Gap, now_ns: int, drained: bool, live: Sequence[int]) -> bool:
        age = now_ns - gap.since_ns
        if age >= self._settings.hold_ns and (drained or age >= self._settings.hold_ns + limits.CONSTANT_LOAD_NS):
            return True
        if not drained or not live or self.packets - gap.packets < self._settings.hold_packets * len(live):
            return False
        reached = [self.positions[place].next for place in live]
        return all(number is not None and number >= gap.stop for number in reached)

    def _open(self, gap: Gap, now_ns: int) -> None:
        first, stop = gap.first, gap.stop
        if self._announced:
            for low, high in self._announced.overlap(first, stop):
                self.abandon(low, high, "announced")
        state = GapState.REQUESTED if self._settings.recovery else GapState.OPEN
        for part in self.gaps.within(first, stop):
            self.gaps.opens(part, now_ns, state)
            self._log.append(events.GapOpened(self.stream, part.first, part.stop - 1))

    def _by_reason(self, first: int, stop: int, reason: HoleReason) -> list[tuple[int, int, HoleReason]]:
        """Split a range that is given up: numbers of which fragments came are missing by reassembly."""
        parts: list[tuple[int, int, HoleReason]] = []
        at = first
        for number in self._reassembly.within(first, stop):
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
