"""Which stream a packet belongs to: the decisions of a channel about one packet at a time.

`receiver.py` handles the ordinary run of packets; everything that is not ordinary comes here.

    a packet of            goes
    nobody yet             begins the first stream
    the current session    to the current stream, unless it is strange: then it waits for a second one (`candidates.py`)
                             restart   behind its line's position by more than reordering explains, beyond the announced end, or
                                       other bytes under a number that this line had brought
                             jump      ahead by more than reordering explains
    the session before     to the stream before, while it is open (`succession.py`)
    a session that was left, or with authentication one that was sent earlier: refused
    any other session      waits for a second one

Packets that a disk window kept (`restoring`) brought something when they came. They come without those that brought nothing,
so no line has a position: one that brings nothing now is measured against the stream instead.
"""

from collections.abc import Sequence
from typing import Literal

from bridge.api.items import Item
from bridge.core import events
from bridge.core.candidates import Candidate, CandidateKind, Candidates, HeldPacket, end_of, pieces_of
from bridge.core.delivery import Delivery, bytes_differ, bytes_equal
from bridge.core.ledger import RefusedReason
from bridge.core.lines import LineState
from bridge.core.settings import ReceiverSettings
from bridge.core.stream import StreamState
from bridge.core.succession import Succession
from bridge.wire.packet import Packet

_OF_A_LINE: tuple[Literal["restart", "jump"], ...] = ("restart", "jump")


class Arbitration:
    """Decides for one numbered channel. The lines and the log belong to the receiver."""

    def __init__(
        self,
        channel: str,
        protocol: str,
        lines: Sequence[LineState],
        settings: ReceiverSettings,
        log: events.EventLog,
    ) -> None:
        self.candidates = Candidates()
        self.delivery = Delivery(lines, log)
        self.succession = Succession(channel, protocol, lines, settings, log)
        self._channel = channel
        self._lines = lines
        self._settings = settings
        self._log = log
        self._sent_ns = 0  # the latest send time of the current session

    # One packet

    def packet(self, line: int, packet: Packet, now_ns: int) -> bool:
        """Decide one packet; True if it brought something, changed the state of its stream, or waits."""
        settings, succession = self._settings, self.succession
        if not self.delivery.restoring:
            self._lines[line].ledger.pieces += pieces_of(packet)
        if settings.own_origin is not None and packet.origin == settings.own_origin:
            return self._refuse(line, packet, "origin")
        if settings.channel_number is not None and packet.channel not in (None, settings.channel_number):
            return self._refuse(line, packet, "other_channel")
        current, before = succession.current, succession.before
        if current is None:
            stream = succession.begin(packet, 0, "first", now_ns)
            self._apply(line, packet, stream, now_ns)
            return True
        if succession.stopped:
            return self._refuse(line, packet, "cap")  # nothing more is held behind the gap
        if packet.session == current.stream.session:
            return self._same_session(line, packet, current, now_ns)
        if before is not None and packet.session == before.stream.session:
            if end_of(packet) > before.next + before.back_limit:
                return self._refuse(line, packet, "far_ahead")
            return self._apply(line, packet, before, now_ns)
        if packet.session in succession.left or self._replayed(packet):
            return self._refuse(line, packet, "old_session")
        candidate = self._wait_for_second("session", packet.session, line, packet, now_ns)
        if candidate is not None:
            for other in self.candidates.take_of_lines():
                self._drop(other, now_ns)  # they speak of the session that ends
            self._sent_ns = 0
            self._begin(candidate, 0, "session", line, packet, now_ns)
        return True

    def sent(self, packet: Packet) -> None:
        """Note the send time of a packet of the current session."""
        if packet.sent_ns is not None and packet.sent_ns > self._sent_ns:
            self._sent_ns = packet.sent_ns

    def _same_session(self, line: int, packet: Packet, current: StreamState, now_ns: int) -> bool:
        if current.stream.restart and packet.sequence > current.next + current.back_limit:
            previous = self._straggles(line, packet, now_ns)
            if previous is not None:
                if previous is self.succession.before:
                    return self._apply(line, packet, previous, now_ns)
                return self._refuse(line, packet, "old_session")
        strange = self._strange(line, packet, current, now_ns)
        if strange is None:
            self._went_on(line, end_of(packet) > current.next, now_ns)
            return self._apply(line, packet, current, now_ns)
        candidate = self._wait_for_second(strange, line, line, packet, now_ns)
        if candidate is None:
            return True
        if strange == "jump":
            low = min(packet.sequence, *(held.packet.sequence for held in candidate.packets))
            self._log.append(events.JumpConfirmed(current.stream, current.next, low - 1))
            for held in candidate.packets:
                self._apply_held(held, current, now_ns)
            self._apply(line, packet, current, now_ns)
            return True
        others = self.candidates.take_of_lines()
        for other in others:
            if other.kind == "jump":
                self._drop(other, now_ns)
        stream = self._begin(candidate, current.stream.restart + 1, "restart", line, packet, now_ns)
        for other in others:
            if other.kind == "restart":  # another line may have begun again too
                for held in other.packets:
                    self._settle_held(held, stream, stream.next + stream.back_limit, now_ns)
        return True

    def _strange(
        self, line: int, packet: Packet, current: StreamState, now_ns: int
    ) -> Literal["restart", "jump"] | None:
        first, stop = packet.sequence, end_of(packet)
        place, restoring = current.positions[line], self.delivery.restoring
        position = place.next
        if position is None:
            if not current.lacks(first, stop) and (restoring or self._alone(line, current, now_ns)):
                position = current.next
            elif not restoring:
                position = place.restored
        if position is not None and first < position - current.back_limit and stop <= position:
            known = bytes_equal(current, packet) or self._replayed(packet)
            return None if known else "restart"
        if current.end is not None and stop > current.end:
            return "restart"
        if stop - len(packet.payloads) - current.next > self._reach(current):
            return "jump"
        brought = restoring or place.brought(first)
        if brought and bytes_differ(current, packet) and not self._replayed(packet):
            return "restart"
        return None

    def _straggles(self, line: int, packet: Packet, now_ns: int) -> StreamState | None:
        """The run before, if the packet is a word of it: the same session, at the numbers where that one or its line was."""
        previous = self.succession.row_before()
        if previous is None or not self.succession.in_grace(now_ns):
            return None
        if self.delivery.restoring:
            return previous if previous.gaps.within(packet.sequence, end_of(packet)) else None
        places = (previous.next, previous.positions[line].next)
        near = any(at is not None and abs(packet.sequence - at) <= previous.back_limit for at in places)
        return previous if near else None

    def _alone(self, line: int, current: StreamState, now_ns: int) -> bool:
        """No other line that lives has said where the stream is."""
        return all(current.positions[place].next is None for place in self.succession.live(now_ns) if place != line)

    def _replayed(self, packet: Packet) -> bool:
        """With authentication: sent before what the current session sent last, so it begins nothing."""
        return self._settings.authenticated and packet.sent_ns is not None and packet.sent_ns <= self._sent_ns

    def _reach(self, stream: StreamState) -> int:
        """Numbers that one packet alone may leap: what reordering within the hold explains, `max_jump` at most."""
        return min(self._settings.max_jump, stream.back_limit)

    def _apply(self, line: int, packet: Packet, stream: StreamState, now_ns: int) -> bool:
        if stream is self.succession.current:
            self.sent(packet)
        return self.delivery.apply(line, packet, stream, now_ns)

    def _refuse(self, line: int, packet: Packet, reason: RefusedReason) -> bool:
        self.delivery.refuse(line, packet, reason)
        return False

    # Time

    def end_pass(self, now_ns: int, drained: bool, time_ns: int) -> list[Item]:
        return self.succession.end_pass(now_ns, drained, time_ns)

    def housekeeping(self, now_ns: int) -> None:
        for candidate in self.candidates.take_aged(now_ns):
            self._drop(candidate, now_ns)
        self.succession.housekeeping(now_ns)

    @property
    def quiet(self) -> bool:
        """Nothing waits for housekeeping."""
        return not self.candidates and self.succession.quiet

    def close(self, now_ns: int, time_ns: int) -> list[Item]:
        for candidate in self.candidates.take_all():
            self._drop(candidate, now_ns)
        return self.succession.close(time_ns)

    def requests(self) -> list[events.Request]:
        found = []
        for stream in (self.succession.before, self.succession.current):
            if stream is not None:
                requested = [gap for gap in stream.gaps.gaps if gap.state == "requested"]
                found += [events.Request(stream.stream, gap.first, gap.stop - 1) for gap in requested]
        return found

    # Candidates

    def _wait_for_second(
        self, kind: CandidateKind, key: bytes | int, line: int, packet: Packet, now_ns: int
    ) -> Candidate | None:
        """The candidate, if this packet confirms it; else None, and the packet waits in it."""
        candidate = self.candidates.get(kind, key)
        assert self.succession.current is not None
        reach = self._reach(self.succession.current)
        if candidate is not None and candidate.confirmed_by(line, packet, now_ns, reach):
            self.candidates.take(kind, key)
            self._refuse_held(kind, candidate.take_strangers(packet, reach))
            return candidate
        if candidate is None:
            candidate, oldest = self.candidates.make(kind, key, now_ns)
            if oldest is not None:
                self._drop(oldest, now_ns)
        restoring = self.delivery.restoring
        if not restoring:
            self._lines[line].ledger.waiting += pieces_of(packet)
        gone = candidate.hold(HeldPacket(line, packet, restoring))
        if gone is not None:
            self._refuse_held(kind, [gone])
        return None

    def _begin(
        self,
        candidate: Candidate,
        restart: int,
        cause: Literal["session", "restart"],
        line: int,
        packet: Packet,
        now_ns: int,
    ) -> StreamState:
        """A candidate was confirmed by `packet`: a stream begins with what waited, then the packet itself."""
        stream = self.succession.begin(candidate.packets[0].packet, restart, cause, now_ns)
        for held in candidate.packets:
            self._apply_held(held, stream, now_ns)
        self._apply(line, packet, stream, now_ns)
        return stream

    def _went_on(self, line: int, advances: bool, now_ns: int) -> None:
        """The line goes on at its old position: what looked like a restart or a leap of it was not one. A packet that
        brings nothing new may be a straggler of the run that ended, so it only counts once the hold is over."""
        if not self.candidates.of_lines:
            return
        for kind in _OF_A_LINE:
            candidate = self.candidates.get(kind, line)
            if candidate is not None and (advances or now_ns - candidate.since_ns >= self._settings.hold_ns):
                self.candidates.take(kind, line)
                self._drop(candidate, now_ns)

    def _drop(self, candidate: Candidate, now_ns: int) -> None:
        """A candidate that was never confirmed. Old numbers are what they are: duplicates or late; the rest is refused."""
        current = self.succession.current
        if candidate.kind != "restart" or current is None:
            self._refuse_held(candidate.kind, candidate.packets)
            return
        for held in candidate.packets:
            self._settle_held(held, current, current.next, now_ns)

    def _settle_held(self, held: HeldPacket, stream: StreamState, up_to: int, now_ns: int) -> None:
        """Give what waited to this stream, if it fits there."""
        packet = held.packet
        if end_of(packet) <= up_to and not bytes_differ(stream, packet):
            self._apply_held(held, stream, now_ns)
            return
        self._let_go(held, "conflict")
        self._log.append(events.Conflict(stream.stream, self._lines[held.line].name, packet.sequence))

    def _apply_held(self, held: HeldPacket, stream: StreamState, now_ns: int) -> None:
        if not held.restored:
            self._lines[held.line].ledger.waiting -= pieces_of(held.packet)
        restoring, self.delivery.restoring = self.delivery.restoring, held.restored
        self._apply(held.line, held.packet, stream, now_ns)
        self.delivery.restoring = restoring

    def _refuse_held(self, kind: CandidateKind, packets: Sequence[HeldPacket]) -> None:
        reason: RefusedReason = "far_ahead" if kind == "jump" else "unconfirmed"
        for held in packets:
            self._let_go(held, reason)
        if packets:
            line, packet, _ = packets[0]
            pieces = sum(pieces_of(held.packet) for held in packets)
            name = self._lines[line].name
            self._log.append(events.SessionRefused(self._channel, name, packet.session, reason, pieces))

    def _let_go(self, held: HeldPacket, reason: RefusedReason) -> None:
        if not held.restored:
            row, pieces = self._lines[held.line].ledger, pieces_of(held.packet)
            row.waiting -= pieces
            row.refused[reason] += pieces
