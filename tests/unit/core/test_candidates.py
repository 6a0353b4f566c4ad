from bridge.core import limits
from bridge.core.candidates import Candidate, Candidates, HeldPacket, end_of, pieces_of
from bridge.wire.packet import Fragment, Kind, Packet

A, B = 0, 1


def data(number: int, count: int = 1) -> Packet:
    return Packet(Kind.DATA, b"s", number, [b"x"] * count, 0)


def piece(number: int, offset: int, size: int = 9) -> Packet:
    return Packet(Kind.DATA, b"s", number, [b"x"], 0, Fragment(offset, size))


def held(packet: Packet, line: int = A) -> Candidate:
    candidate = Candidate("session", 0)
    candidate.hold(HeldPacket(line, packet, False))
    return candidate


def test_what_belongs_together() -> None:
    assert held(data(10)).confirmed_by(A, data(11), 0, 5)
    assert held(data(10)).confirmed_by(A, data(9), 0, 5), "the pair is swapped"
    assert held(data(10, 3)).confirmed_by(A, data(18), 0, 5), "five are lost between them"
    assert not held(data(10, 3)).confirmed_by(A, data(19), 0, 5)
    assert not held(data(10, 3)).confirmed_by(A, data(12), 0, 5), "they overlap"


def test_a_copy_confirms_on_another_line_or_later() -> None:
    heartbeat = Packet(Kind.HEARTBEAT, b"s", 10, [], 0)
    for word in (data(10), heartbeat):
        assert not held(word).confirmed_by(A, word, 0, 5)
        assert held(word).confirmed_by(B, word, 0, 5)
        assert held(word).confirmed_by(A, word, limits.CANDIDATE_REPEAT_NS, 5)


def test_pieces_of_one_message_confirm_each_other() -> None:
    assert held(piece(10, 0)).confirmed_by(A, piece(10, 1), 0, 5)
    assert not held(piece(10, 0)).confirmed_by(A, piece(10, 0), 0, 5)
    assert not held(piece(10, 0)).confirmed_by(A, piece(10, 1, size=8), 0, 5)


def test_strangers_are_taken_out_by_distance_and_not_by_width() -> None:
    candidate = held(data(1, 5000))
    candidate.hold(HeldPacket(A, data(10**9), False))
    assert [word.packet.sequence for word in candidate.take_strangers(data(5001), 5)] == [10**9]
    assert [word.packet.sequence for word in candidate.packets] == [1]


def test_the_oldest_word_makes_room() -> None:
    candidate = Candidate("session", 0)
    gone = [candidate.hold(HeldPacket(A, data(number), False)) for number in range(limits.CANDIDATE_PACKETS + 2)]
    assert [word.packet.sequence for word in gone if word is not None] == [0, 1]
    assert len(candidate.packets) == limits.CANDIDATE_PACKETS


def test_the_oldest_candidate_makes_room() -> None:
    candidates = Candidates()
    for number in range(limits.CANDIDATES):
        assert candidates.make("session", b"%d" % number, number)[1] is None
    candidate, oldest = candidates.make("jump", A, 99)
    assert oldest is not None
    assert oldest.since_ns == 0
    assert candidates.get("jump", A) is candidate
    assert (len(list(candidates)), candidates.of_lines) == (limits.CANDIDATES, 1)
    assert candidates.take_aged(limits.CANDIDATE_AGE_NS + 3) != []
    assert candidates.take_of_lines() == [candidate]
    assert candidates.of_lines == 0
    assert len(candidates.take_all()) == limits.CANDIDATES - 1 - 3
    assert not candidates


def test_what_a_packet_speaks_of() -> None:
    hole = Packet(Kind.HOLE, b"s", 5, [], 0, last=9)
    end = Packet(Kind.END, b"s", 5, [], 0)
    assert [end_of(word) for word in (data(5, 3), hole, end)] == [8, 10, 5]
    assert [pieces_of(word) for word in (data(5, 3), piece(5, 0), hole, end)] == [3, 1, 0, 0]
