"""What a packet is to its stream, and what it says of its line: the ledger of the lines and their evidence are written here."""

from collections.abc import Sequence

from bridge.core import events
from bridge.core.candidates import end_of, pieces_of
from bridge.core.ledger import RefusedReason
from bridge.core.lines import LineState
from bridge.core.stream import StreamState
from bridge.wire.packet import Kind, Packet


class Delivery:
    """Gives packets to streams. While `restoring` the packets come from a disk window, and no line counts them."""

    def __init__(self, lines: Sequence[LineState], log: events.EventLog) -> None:
        self.restoring = False
        self._lines = lines
        self._log = log

    def apply(self, line: int, packet: Packet, stream: StreamState, now_ns: int) -> bool:
        """Give the packet to its stream; True if it brought something or changed the state of the stream."""
        kind = packet.kind
        stream.restoring = self.restoring
        stream.packets += 1
        if kind == Kind.DATA:
            if packet.fragment is not None:
                return self._piece(line, packet, stream, now_ns)
            return self._messages(line, packet, stream, now_ns)
        known = stream.next, stream.end, stream.gaps.numbers
        if kind == Kind.HEARTBEAT:
            stream.heartbeat(packet.sequence, now_ns)
        elif kind == Kind.END:
            stream.announced_end(packet.sequence, now_ns)
        else:
            stream.announced_hole(packet.sequence, packet.last, now_ns)
        self._speak(line, end_of(packet), stream)
        return kind != Kind.HEARTBEAT or known != (stream.next, stream.end, stream.gaps.numbers)

    def refuse(self, line: int, packet: Packet, reason: RefusedReason) -> None:
        if not self.restoring:
            self._lines[line].ledger.refused[reason] += pieces_of(packet)

    def echo(self, line: int, number: int, pieces: int, stream: StreamState) -> None:
        """`line` brought copies of what another line had brought: if that was a single one, it is not alone any more."""
        others = [place for place in range(len(self._lines)) if place != line]
        if len(others) > 1:
            others = [place for place in others if stream.positions[place].brought(number)]
        if len(others) == 1:
            self._lines[others[0]].echoed += pieces

    def compare(self, line: int, stream: StreamState, packet: Packet) -> None:
        """A copy by another line: its bytes must be the same. The first copy counts, the publisher is told on."""
        if bytes_differ(stream, packet):
            self._log.append(events.Conflict(stream.stream, self._lines[line].name, packet.sequence))

    def sample(self, line: int, packet: Packet, kernel_ns: int) -> None:
        """A sampled kernel time: how much later this line is than the first one of the channel."""
        state, reference = self._lines[line], self._lines[0]
        state.sample(packet.sequence, kernel_ns)
        if state is reference:
            state.skew_ns = 0.0
        elif (at := reference.time_of(packet.sequence)) is not None:
            skew = kernel_ns - at
            state.skew_ns = skew if state.skew_ns is None else state.skew_ns + (skew - state.skew_ns) / 16

    def _speak(self, line: int, number: int, stream: StreamState) -> None:
        position = stream.positions[line]
        if self.restoring:
            position.restored = max(number, position.restored or 0)
        elif position.next is None:
            position.begin(number, max(stream.start, stream.restored_to), stream.back_limit)

    def _messages(self, line: int, packet: Packet, stream: StreamState, now_ns: int) -> bool:
        state, total = self._lines[line], len(packet.payloads)
        accepted, late = stream.messages(packet.sequence, packet.payloads, now_ns)
        self._speak(line, packet.sequence, stream)
        if self.restoring:
            return accepted > 0
        fresh = stream.positions[line].bring(packet.sequence, packet.sequence + total)
        row, rest = state.ledger, total - accepted - late
        same = min(total - fresh, rest)
        row.accepted += accepted
        row.late += late
        row.duplicate_same_line += same
        row.duplicate_other_line += rest - same
        state.first_arrivals += accepted
        if rest - same:
            self.echo(line, packet.sequence, rest - same, stream)
        if rest and not accepted:
            self.compare(line, stream, packet)
        if late:
            last = packet.sequence + total - 1
            self._log.append(events.LateMessages(stream.stream, state.name, packet.sequence, last))
        return accepted > 0

    def _piece(self, line: int, packet: Packet, stream: StreamState, now_ns: int) -> bool:
        state, fragment = self._lines[line], packet.fragment
        assert fragment is not None
        number, piece = packet.sequence, packet.payloads[0]
        verdict = stream.piece(number, fragment.offset, fragment.size, piece, now_ns)
        brought = verdict in ("new", "completed")
        self._speak(line, number, stream)
        if self.restoring:
            return brought
        row = state.ledger
        fresh = stream.positions[line].bring_piece(number, fragment.offset, fragment.size, len(piece))
        if brought:
            row.accepted += 1
            state.first_arrivals += 1
        elif verdict == "duplicate" and fresh:
            row.duplicate_other_line += 1
            self.echo(line, number, 1, stream)
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
        return brought


def bytes_differ(stream: StreamState, packet: Packet) -> bool:
    """The packet's first message is remembered, with other bytes."""
    known = _known(stream, packet)
    return known is not None and known != packet.payloads[0]


def bytes_equal(stream: StreamState, packet: Packet) -> bool:
    """The packet's first message is remembered, with the same bytes."""
    known = _known(stream, packet)
    return known is not None and known == packet.payloads[0]


def _known(stream: StreamState, packet: Packet) -> bytes | None:
    if packet.kind != Kind.DATA or packet.fragment is not None or not packet.payloads:
        return None
    return stream.order.known(packet.sequence)
