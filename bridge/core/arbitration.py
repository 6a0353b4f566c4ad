"""Which stream, and which line was first: the decisions of a channel about one packet at a time.

`receiver.py` handles the ordinary run of packets; everything that is not ordinary comes here. The current stream and the one
before it, the candidates, the sessions that were left, and the evidence of the lines live here.
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal

from bridge.api.items import Item, Stream
from bridge.core import events, limits
from bridge.core.candidates import Candidate, Candidates, HeldPacket, end_of, pieces_of
from bridge.core.ledger import StreamLedger
from bridge.core.lines import LineState
from bridge.core.settings import ReceiverSettings
from bridge.core.stream import StreamState
from bridge.wire.packet import Kind, Packet

KINDS_OF_A_LINE: tuple[Literal["restart", "jump"], ...] = ("restart", "jump")


class Arbitration:
    """Decides for one numbered channel. The lines and the log belong to the receiver."""

    def __init__(
        self,
        channel: str,
        protocol: str,
        lines: Sequence[LineState],
        settings: ReceiverSettings,
        log: list[events.Event],
    ) -> None:
        self.current: StreamState | None = None
        self.before: StreamState | None = None
        self.candidates = Candidates()
        self.rows: deque[StreamState] = deque()
        self.older = StreamLedger(start=0, next=0)
        self.restoring = False
        self._channel = channel
        self._protocol = protocol
        self._lines = lines
        self._settings = settings
        self._log = log
        self._left: dict[bytes, None] = {}
        self._before_due = self._before_since = 0
        self._current_sent_ns = 0
        self._asked_ns = 0
        self._settle_to = 0  # numbers below it were known a housekeeping ago

    @property
    def stopped(self) -> bool:
        return self.current is not None and self.current.stopped

    @property
    def quiet(self) -> bool:
        """Nothing waits for time."""
        return not self.candidates and self.before is None and self._settle_to == self._settle_goal

    @property
    def _settle_goal(self) -> int:
        return 0 if self.current is None else self.current.expected

    # One packet

    def packet(self, line: int, packet: Packet, now_ns: int) -> bool:
        """Decide one packet; True if it brought something or changed the state of its stream."""
        if not self.restoring:
            self._lines[line].ledger.pieces += pieces_of(packet)
        settings = self._settings
        if settings.own_origin is not None and packet.origin == settings.own_origin:
            return self._refuse(line, packet, "origin")
        if settings.channel_number is not None and packet.channel not in (None, settings.channel_number):
            return self._refuse(line, packet, "other_channel")
        current, before = self.current, self.before
        if current is None:
            return self._begin(line, packet, 0, "first", now_ns)
        if packet.session == current.stream.session:
            return self._same_session(line, packet, now_ns)
        if before is not None and packet.session == before.stream.session:
            if end_of(packet) > before.next + before.back_limit:
                return self._refuse(line, packet, "far_ahead")
            return self._apply(line, packet, before, now_ns, track=False)
        if packet.session in self._left:
            return self._refuse(line, packet, "old_session")
        if settings.authenticated and packet.sent_ns is not None and packet.sent_ns <= self._current_sent_ns:
            return self._refuse(line, packet, "old_session")
        candidate = self._wait_for_second("session", packet.session, line, packet, now_ns)
        if candidate is None:
            return False
        self._begin(candidate.packets[0].line, candidate.packets[0].packet, 0, "session", now_ns, waiting=True)
        return self._replay(candidate, line, packet, now_ns, start=1)

    def _same_session(self, line: int, packet: Packet, now_ns: int) -> bool:
        current, state, before = self.current, self._lines[line], self.before
        assert current is not None
        first, stop = packet.sequence, end_of(packet)
        if current.stream.restart and first > current.next + current.back_limit:
            previous = self._row_before(current)
            if previous is not None and abs(first - previous.next) <= previous.back_limit:
                # A straggler of the run before: the same session, at the numbers where that one stood.
                if previous is before:
                    return self._apply(line, packet, previous, now_ns, track=False)
                return self._refuse(line, packet, "old_session")
        strange: Literal["restart", "jump"] | None = None
        if state.next is not None and first < state.next - current.back_limit and stop <= state.next:
            strange = None if self._repeats(current, packet) else "restart"
        elif current.end is not None and stop > current.end:
            strange = "restart"
        elif stop - len(packet.payloads) - current.next > self._far(current):
            strange = "jump"
        elif self._contradicts(state, current, packet):
            strange = "restart"
        if strange is None:
            self._went_on(line, stop > current.next, now_ns)
            return self._apply(line, packet, current, now_ns)
        candidate = self._wait_for_second(strange, line, line, packet, now_ns)
        if candidate is None:
            return False
        if strange == "restart":
            head = candidate.packets[0]
            self._begin(head.line, head.packet, current.stream.restart + 1, "restart", now_ns, waiting=True)
            return self._replay(candidate, line, packet, now_ns, start=1)
        low = min(packet.sequence, *(held.packet.sequence for held in candidate.packets))
        self._log.append(events.JumpConfirmed(current.stream, current.next, low - 1))
        return self._replay(candidate, line, packet, now_ns, start=0)

    def _far(self, stream: StreamState) -> int:
        """Numbers that one packet alone may leap: what reordering within the hold explains, `max_jump` at most."""
        return min(self._settings.max_jump, stream.back_limit)

    def _apply(
        self, line: int, packet: Packet, stream: StreamState, now_ns: int, *, track: bool = True, waiting: bool = False
    ) -> bool:
        """Give the packet to its stream and write down what it was. `track`: it moves the line's position."""
        stream.restoring = self.restoring
        state, kind = self._lines[line], packet.kind
        stream.packets += 1
        if packet.sent_ns is not None and packet.sent_ns > self._current_sent_ns and stream is self.current:
            self._current_sent_ns = packet.sent_ns
        if waiting and not self.restoring:
            state.ledger.waiting -= pieces_of(packet)
        if kind == Kind.DATA:
            if packet.fragment is not None:
                return self._apply_piece(line, packet, stream, now_ns, track)
            return self._apply_messages(line, packet, stream, now_ns, track)
        known = stream.next, stream.end, stream.gaps.numbers
        if kind == Kind.HEARTBEAT:
            stream.heartbeat(packet.sequence, now_ns)
        elif kind == Kind.END:
            stream.announced_end(packet.sequence, now_ns)
        else:
            stream.announced_hole(packet.sequence, packet.last, now_ns)
        if track and state.next is None:
            state.next = packet.sequence if kind != Kind.HOLE else packet.last + 1
        return kind != Kind.HEARTBEAT or known != (stream.next, stream.end, stream.gaps.numbers)

    def _apply_messages(self, line: int, packet: Packet, stream: StreamState, now_ns: int, track: bool) -> bool:
        state, total = self._lines[line], len(packet.payloads)
        accepted, late = stream.messages(packet.sequence, packet.payloads, now_ns)
        if self.restoring:
            return accepted > 0
        fresh = state.bring(packet.sequence, packet.sequence + total) if track and total else total
        row, rest = state.ledger, total - accepted - late
        same = min(total - fresh, rest)
        row.accepted += accepted
        row.late += late
        row.duplicate_same_line += same
        row.duplicate_other_line += rest - same
        state.first_arrivals += accepted
        if rest - same:
            self.echo(line, packet.sequence, rest - same)
        if late:
            last = packet.sequence + total - 1
            self._log.append(events.LateMessages(stream.stream, state.name, packet.sequence, last))
        return accepted > 0

    def _apply_piece(self, line: int, packet: Packet, stream: StreamState, now_ns: int, track: bool) -> bool:
        state, fragment = self._lines[line], packet.fragment
        assert fragment is not None
        number, piece = packet.sequence, packet.payloads[0]
        verdict = stream.piece(number, fragment.offset, fragment.size, piece, now_ns)
        if self.restoring:
            return verdict in ("new", "completed")
        row = state.ledger
        fresh = not track or state.bring_piece(number, fragment.offset, fragment.size, len(piece))
        if verdict in ("new", "completed"):
            row.accepted += 1
            state.first_arrivals += 1
        elif verdict == "duplicate" and fresh:
            row.duplicate_other_line += 1
            self.echo(line, number, 1)
        elif verdict == "duplicate":
            row.duplicate_same_line += 1
        elif verdict == "late":
            row.late += 1
            self._log.append(events.LateMessages(stream.stream, state.name, number, number))
        elif verdict == "conflict":
            row.refused["conflict"] += 1
            self._log.append(events.Conflict(stream.stream, state.name, number))
        else:
            row.refused["cap"] += 1
        return verdict in ("new", "completed")

    # Evidence

    def echo(self, line: int, number: int, pieces: int) -> None:
        """`line` brought copies of what another line had brought: if that was a single one, it is not alone any more."""
        if self.restoring:
            return
        others = [state for place, state in enumerate(self._lines) if place != line]
        if len(others) > 1:
            others = [state for state in others if state.brought(number)]
        if len(others) == 1:
            others[0].echoed += pieces

    def compare(self, line: int, stream: StreamState, packet: Packet) -> None:
        """A copy by another line: its bytes must be the same. The first copy counts, the publisher is told on."""
        known = stream.known_bytes(packet.sequence)
        if known is not None and packet.payloads and known != packet.payloads[0]:
            self._log.append(events.Conflict(stream.stream, self._lines[line].name, packet.sequence))

    def sample(self, state: LineState, packet: Packet, kernel_ns: int) -> None:
        """A sampled kernel time: how much later this line is than the first one of the channel."""
        if self.current is None or packet.session != self.current.stream.session:
            return
        state.sample(packet.sequence, kernel_ns)
        reference = self._lines[0]
        if state is reference:
            state.skew_ns = 0.0
        elif (at := reference.time_of(packet.sequence)) is not None:
            skew = kernel_ns - at
            state.skew_ns = skew if state.skew_ns is None else state.skew_ns + (skew - state.skew_ns) / 16

    # Time

    def end_pass(self, now_ns: int, drained: bool, time_ns: int) -> list[Item]:
        self._asked_ns = now_ns
        current, before = self.current, self.before
        if current is None:
            return []
        live: list[LineState] | None = None
        items: list[Item] = []
        if before is not None:
            live = self._live(now_ns)
            before.evaluate(now_ns, drained, live)
            items += before.release(time_ns)
            moved = all(state.next is not None for state in live)
            settled = now_ns >= self._before_since + self._settings.hold_ns and moved and not before.gaps and drained
            if settled or before.ended or now_ns >= self._before_due:
                self._close_before(items, time_ns)
        if current.gaps or current.settling_until is not None:
            current.evaluate(now_ns, drained, self._live(now_ns) if live is None else live)
        if current.out or current.gaps or current.has_pending:
            items += current.release(time_ns)
        return items

    def next_timer(self) -> int | None:
        due = None if self.current is None else self.current.next_timer()
        if self.before is not None:
            other = self.before.next_timer()
            close = self._before_since + self._settings.hold_ns
            close = close if close > self._asked_ns else self._before_due
            other = close if other is None else min(other, close)
            due = other if due is None else min(due, other)
        return due

    def housekeeping(self, now_ns: int) -> None:
        for candidate in self.candidates.take_aged(now_ns):
            self._drop(candidate, now_ns)
        if self.current is not None:
            for state in self._lines:
                if state.ever:
                    state.settle(self._settle_to, self.current.abandoned)
            self._settle_to = self._settle_goal
            self.current.age_partials(now_ns)

    def close(self, now_ns: int, time_ns: int) -> list[Item]:
        items: list[Item] = []
        for candidate in self.candidates.take_all():
            self._drop(candidate, now_ns)
        if self.current is None:
            return items
        if self.before is not None:
            self._close_before(items, time_ns)
        self.current.finish("wire")
        items += self.current.release(time_ns)
        for state in self._lines:
            if state.ever:
                state.settle(self.current.next, self.current.abandoned)
        return items

    def requests(self) -> list[events.Request]:
        found = []
        for stream in (self.before, self.current):
            if stream is not None:
                requested = [gap for gap in stream.gaps.gaps if gap.state == "requested"]
                found += [events.Request(stream.stream, gap.first, gap.stop - 1) for gap in requested]
        return found

    # Streams

    def _begin(
        self,
        line: int,
        packet: Packet,
        restart: int,
        cause: Literal["first", "session", "restart"],
        now_ns: int,
        waiting: bool = False,
    ) -> bool:
        first = packet.sequence
        stream = Stream(self._channel, packet.session, restart)
        state = StreamState(stream, self._protocol, first, now_ns, self._settings, self._log)
        if self.current is not None:
            if self.before is not None:
                self._before_due = now_ns  # the one before the one before has had its time
                self._merge_before()
            self.before, self._before_since = self.current, now_ns
            self._before_due = now_ns + self._settings.session_grace_ns
            state.blocked = True
            self._settle_lines()
        self.current = state
        self._settle_to = first
        self.rows.append(state)
        if len(self.rows) > limits.STREAMS:
            self._fold(self.rows.popleft())
        for each in self._lines:
            each.begin_stream()
        self._log.append(events.StreamStarted(stream, first, cause))
        return self._apply(line, packet, state, now_ns, waiting=waiting)

    def _settle_lines(self) -> None:
        assert self.current is not None
        for state in self._lines:
            if state.ever and not state.silent:
                state.settle(self.current.expected, self.current.abandoned)

    def _merge_before(self) -> None:
        """Two changes within one grace: the oldest stream's items must still come out first."""
        assert self.before is not None
        assert self.current is not None
        self.current.predecessors.append(self.before)
        self._leave_session(self.before)

    def _close_before(self, items: list[Item], time_ns: int) -> None:
        before, current = self.before, self.current
        assert before is not None
        assert current is not None
        for stream in (*before.predecessors, before):
            stream.blocked = False
            stream.finish("session_end")
            items += stream.release(time_ns)
            stream.leave(items)
        before.predecessors.clear()
        self._leave_session(before)
        self.before = None
        current.blocked = False

    def _leave_session(self, stream: StreamState) -> None:
        if self.current is not None and stream.stream.session != self.current.stream.session:
            self._left[stream.stream.session] = None
            if len(self._left) > limits.LEFT_SESSIONS:
                del self._left[next(iter(self._left))]

    def _row_before(self, stream: StreamState) -> StreamState | None:
        rows = list(self.rows)
        place = rows.index(stream)
        return rows[place - 1] if place else None

    def _fold(self, state: StreamState) -> None:
        """Keep the sums of a stream that gets no row of its own any more."""
        row, older = state.ledger, self.older
        for name in ("accepted", "restored", "read", "whole", "fragments", "joined", "evicted", "assembling"):
            setattr(older, name, getattr(older, name) + getattr(row, name))
        for name in ("completed", "missing_open", "released", "held"):
            setattr(older, name, getattr(older, name) + getattr(row, name))
        older.missing.update(row.missing)
        assert older.next is not None
        older.next += row.expected

    # Candidates

    def _wait_for_second(
        self, kind: Literal["session", "restart", "jump"], key: bytes | int, line: int, packet: Packet, now_ns: int
    ) -> Candidate | None:
        """The candidate, if this packet confirms it; else None, and the packet waits in it."""
        candidate = self.candidates.get(kind, key)
        reach = self._settings.hold_packets if self.current is None else self._far(self.current)
        if candidate is not None and candidate.confirmed_by(line, packet, now_ns, reach):
            self.candidates.take(kind, key)
            self._refuse_packets(candidate.kind, candidate.take_strangers(packet, reach))
            return candidate
        if candidate is None:
            candidate, oldest = self.candidates.make(kind, key, now_ns)
            if oldest is not None:
                self._drop(oldest, now_ns)
        if not candidate.hold(line, packet):
            self._refuse(line, packet, "unconfirmed")
        elif not self.restoring:
            self._lines[line].ledger.waiting += pieces_of(packet)
        return None

    def _replay(self, candidate: Candidate, line: int, packet: Packet, now_ns: int, start: int) -> bool:
        """A candidate was confirmed by `packet`: process what waited, then the packet itself."""
        assert self.current is not None
        for held in candidate.packets[start:]:
            self._apply(held.line, held.packet, self.current, now_ns, waiting=True)
        self._apply(line, packet, self.current, now_ns)
        return True

    def _went_on(self, line: int, advances: bool, now_ns: int) -> None:
        """The line goes on at its old position: what looked like a restart or a leap of it was not one. A packet that
        brings nothing new may be a straggler of the run that ended, so it only counts once the hold is over."""
        if not self.candidates:
            return
        for kind in KINDS_OF_A_LINE:
            candidate = self.candidates.get(kind, line)
            if candidate is not None and (advances or now_ns - candidate.since_ns >= self._settings.hold_ns):
                self.candidates.take(kind, line)
                self._drop(candidate, now_ns)

    def _drop(self, candidate: Candidate, now_ns: int) -> None:
        """A candidate that was never confirmed. Old numbers are what they are: duplicates or late; the rest is refused."""
        current = self.current
        if candidate.kind != "restart" or current is None:
            self._refuse_held(candidate)
            return
        for line, packet in candidate.packets:
            if end_of(packet) > current.next or self._bytes_differ(current, packet):
                self._lines[line].ledger.waiting -= pieces_of(packet)
                self._refuse(line, packet, "conflict")
                self._log.append(events.Conflict(current.stream, self._lines[line].name, packet.sequence))
            else:
                self._apply(line, packet, current, now_ns, waiting=True)
        candidate.packets.clear()

    def _refuse_held(self, candidate: Candidate) -> None:
        self._refuse_packets(candidate.kind, candidate.packets)
        candidate.packets.clear()

    def _refuse_packets(self, kind: str, packets: Sequence[HeldPacket]) -> None:
        reason = "far_ahead" if kind == "jump" else "unconfirmed"
        for line, packet in packets:
            if not self.restoring:
                self._lines[line].ledger.waiting -= pieces_of(packet)
            self._refuse(line, packet, reason)
        if packets:
            line, packet = packets[0]
            pieces = sum(pieces_of(held.packet) for held in packets)
            name = self._lines[line].name
            self._log.append(events.SessionRefused(self._channel, name, packet.session, reason, pieces))

    def _refuse(self, line: int, packet: Packet, reason: str) -> bool:
        if not self.restoring:
            self._lines[line].ledger.refused[reason] += pieces_of(packet)
        return False

    def _repeats(self, stream: StreamState, packet: Packet) -> bool:
        """The packet's first message is remembered and has the same bytes: a late copy, no restart."""
        if packet.kind != Kind.DATA or packet.fragment is not None or not packet.payloads:
            return False
        known = stream.known_bytes(packet.sequence)
        return known is not None and known == packet.payloads[0]

    def _bytes_differ(self, stream: StreamState, packet: Packet) -> bool:
        if packet.kind != Kind.DATA or packet.fragment is not None or not packet.payloads:
            return False
        known = stream.known_bytes(packet.sequence)
        return known is not None and known != packet.payloads[0]

    def _contradicts(self, state: LineState, stream: StreamState, packet: Packet) -> bool:
        """The line brings a number that it brought before, with other bytes."""
        return state.brought(packet.sequence) and self._bytes_differ(stream, packet)

    def _live(self, now_ns: int) -> list[LineState]:
        silent_after = self._settings.silent_after_ns
        return [state for state in self._lines if state.ever and now_ns - state.last_ns < silent_after]
