"""What one datagram may not decide: packets that speak of another session, a restart or a leap wait for a second one.

A candidate is made by one packet and confirmed by another that belongs to it: their numbers are near each other and do not
overlap, in either order, since the first pair may be swapped. It is dropped when it is too old, when there are too many, or,
for restarts and leaps, when its line goes on at its old position: then the packet was a straggler or a forgery. While it
waits, its pieces are `waiting` in the ledger of their line.

    (none) --strange packet--> waiting --a packet that continues it--> confirmed: its packets are processed in order
                               waiting --line goes on as before, age, cap--> refused, or classified as what they are
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from bridge.core import limits
from bridge.wire.packet import Kind, Packet

CandidateKind = Literal["session", "restart", "jump"]


class HeldPacket(NamedTuple):
    line: int
    packet: Packet
    restored: bool  # it came from a disk window: no line counts it


class Candidate:
    """Packets of one line of thought. `key` is the session's bytes, or the line's place for restart and jump."""

    __slots__ = ("kind", "packets", "since_ns")

    def __init__(self, kind: CandidateKind, now_ns: int) -> None:
        self.kind = kind
        self.since_ns = now_ns
        self.packets: list[HeldPacket] = []

    @property
    def pieces(self) -> int:
        return sum(pieces_of(held.packet) for held in self.packets)

    def confirmed_by(self, line: int, packet: Packet, now_ns: int, reach: int) -> bool:
        """`packet` and one that is held belong together: they are at most `reach` numbers apart, and no mere copies."""
        for held in self.packets:
            other = held.packet
            if packet.fragment is not None and other.fragment is not None and packet.sequence == other.sequence:
                fits = packet.fragment.size == other.fragment.size and packet.fragment.offset != other.fragment.offset
            elif packet.kind == other.kind and packet.sequence == other.sequence:
                fits = line != held.line or now_ns - self.since_ns >= limits.CANDIDATE_REPEAT_NS
            else:
                fits = 0 <= _distance(packet, other) <= reach
            if fits:
                return True
        return False

    def take_strangers(self, packet: Packet, reach: int) -> list[HeldPacket]:
        """Once confirmed by `packet`: take out what lies farther from it, the words of somebody else."""
        near = [abs(_distance(packet, held.packet)) <= 2 * reach for held in self.packets]
        strangers = [held for held, is_near in zip(self.packets, near, strict=True) if not is_near]
        self.packets = [held for held, is_near in zip(self.packets, near, strict=True) if is_near]
        return strangers

    def hold(self, held: HeldPacket) -> HeldPacket | None:
        """Keep a packet; returns the oldest one if that has to go for it."""
        self.packets.append(held)
        return self.packets.pop(0) if len(self.packets) > limits.CANDIDATE_PACKETS else None


class Candidates:
    """All candidates of a channel. `of_lines` says how many speak of a restart or a leap of one line."""

    __slots__ = ("_by_key", "of_lines")

    def __init__(self) -> None:
        self._by_key: dict[tuple[CandidateKind, bytes | int], Candidate] = {}
        self.of_lines = 0

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(list(self._by_key.values()))

    def get(self, kind: CandidateKind, key: bytes | int) -> Candidate | None:
        return self._by_key.get((kind, key))

    def make(self, kind: CandidateKind, key: bytes | int, now_ns: int) -> tuple[Candidate, Candidate | None]:
        """A new candidate, and the oldest one if that has to go for it."""
        oldest = self.take(*next(iter(self._by_key))) if len(self._by_key) >= limits.CANDIDATES else None
        candidate = self._by_key[kind, key] = Candidate(kind, now_ns)
        self.of_lines += kind != "session"
        return candidate, oldest

    def take(self, kind: CandidateKind, key: bytes | int) -> Candidate | None:
        candidate = self._by_key.pop((kind, key), None)
        if candidate is not None:
            self.of_lines -= kind != "session"
        return candidate

    def take_aged(self, now_ns: int) -> list[Candidate]:
        return self._take_where(lambda candidate: now_ns - candidate.since_ns >= limits.CANDIDATE_AGE_NS)

    def take_of_lines(self) -> list[Candidate]:
        return self._take_where(lambda candidate: candidate.kind != "session")

    def take_all(self) -> list[Candidate]:
        return self._take_where(lambda _: True)

    def _take_where(self, chosen: Callable[[Candidate], bool]) -> list[Candidate]:
        keys = [key for key, candidate in self._by_key.items() if chosen(candidate)]
        return [candidate for key in keys if (candidate := self.take(*key)) is not None]


def _distance(one: Packet, other: Packet) -> int:
    """Numbers between two packets; negative where they overlap."""
    low, high = (one, other) if one.sequence <= other.sequence else (other, one)
    return high.sequence - end_of(low)


def end_of(packet: Packet) -> int:
    """One past the highest number that the packet speaks of."""
    if packet.kind == Kind.DATA:
        return packet.sequence + len(packet.payloads)
    return packet.last + 1 if packet.kind == Kind.HOLE else packet.sequence


def pieces_of(packet: Packet) -> int:
    """Whole messages or fragments in the packet."""
    return len(packet.payloads) if packet.kind == Kind.DATA else 0
