"""Strangers and noise beside a real stream: nothing raises, nothing grows past its cap, the real stream comes out whole.

A stranger's words here are single ones: what two of them that fit each other may do is design (a new session, a restart and a
leap take effect then), and on a wire without checksums a forged number within the reordering reach cannot be told from a real
one. What is bounded by caps is asked of any words, in the second part.
"""

from collections.abc import Iterator
from random import Random

import pytest

from bridge.api import Item, MessageBatch
from bridge.core import limits
from bridge.core.raw import RawStream
from bridge.core.receiver import ChannelReceiver
from bridge.core.settings import ReceiverSettings
from bridge.core.stream import StreamState
from bridge.wire import codec
from bridge.wire.packet import MAX_SEQUENCE, Codec, Fragment

MS = 1_000_000
HOSTILE = 100_000
ROUNDS = 2_000
GAP_BYTES = 2**20
SESSIONS = {"native": b"\0" * 7 + b"\1", "moldudp64": b"0000000001"}


def _receiver(wire: Codec, **settings: object) -> ChannelReceiver:
    settings = {"hold_ns": 20 * MS, "gap_bytes": GAP_BYTES, "session_grace_ns": 200 * MS} | settings
    settings |= {"channel_number": 7} if wire.name == "native" else {}
    return ChannelReceiver("c", wire, ["A", "B"], ReceiverSettings(**settings))  # type: ignore[arg-type]  # a test's choice


def assert_bounded(receiver: ChannelReceiver) -> None:
    """Every table that a peer can grow, against `limits.py`. Called between passes."""
    arbitration = receiver._arbitration
    candidates = list(arbitration.candidates)
    assert len(candidates) <= limits.CANDIDATES
    assert all(len(candidate.packets) <= limits.CANDIDATE_PACKETS for candidate in candidates)
    assert arbitration.candidates.of_lines == sum(candidate.kind != "session" for candidate in candidates)
    assert len(arbitration.succession.left) <= limits.LEFT_SESSIONS
    assert not arbitration.succession._closed
    assert len(receiver.streams) <= limits.STREAMS
    for stream in receiver.streams:
        if isinstance(stream, RawStream):
            assert len(stream._debts) <= limits.RAW_COPIES
            assert stream._debt_bytes <= limits.RAW_COPIES_BYTES
            continue
        _assert_stream_bounded(stream)
    assert len(receiver._log._records) <= limits.EVENTS + limits.MAX_GAPS


def _assert_stream_bounded(stream: StreamState) -> None:
    gaps, order, assembly = stream.gaps, stream.order, stream._reassembly
    assert len(gaps.gaps) <= limits.MAX_GAPS
    assert len(gaps._suspected) <= 2 * limits.MAX_GAPS + 65
    assert len(gaps._opened) <= 2 * limits.MAX_GAPS + 65
    assert len(stream.abandoned) <= limits.ABANDONED_RANGES
    assert len(stream._announced) <= limits.ABANDONED_RANGES
    assert len(stream._end_claims) <= limits.CANDIDATES
    assert len(assembly) <= limits.PARTIAL_MESSAGES
    assert order.held_bytes + assembly.cost <= GAP_BYTES
    assert order.held <= limits.HELD_MESSAGES
    assert order.held_bytes == sum(map(len, order._held.values()))
    assert len(order._recent) <= limits.RECENT_BATCHES
    for position in stream.positions:
        assert len(position.missing) <= limits.LINE_RANGES
        assert len(position._partial) <= limits.PARTIAL_MESSAGES
        assert (
            position._pieces == sum(len(pieces) - 1 for pieces in position._partial.values()) <= limits.PARTIAL_PIECES
        )


def _noise(wire: Codec, random: Random, real: bytes, next_number: int) -> bytes:
    """One datagram that may do nothing, however often it comes."""
    session = SESSIONS[wire.name]
    other = random.randbytes(wire.session_bytes)
    far = random.randrange(next_number + 10_000_000, MAX_SEQUENCE - 5000)
    near = random.randrange(1, next_number + 50)
    roll = random.randrange(10)
    if roll == 0:
        return random.randbytes(random.randrange(120))
    if roll == 1:
        return real[: random.randrange(len(real))]
    if roll == 2:
        return real + random.randbytes(random.randrange(1, 9))
    if roll == 3 and wire.name == "native":
        place = random.randrange(len(real))
        return real[:place] + bytes([real[place] ^ 1 << random.randrange(8)]) + real[place + 1 :]
    if roll == 3:  # MoldUDP64 has no checksum: spoil the count, so that the lengths do not fit
        return real[:18] + random.randrange(5, 0xFFFF).to_bytes(2, "big") + real[20:]
    if roll == 4:
        return wire.encode_data(other, near, [b"forged"] * random.randrange(1, 40), 0)
    if roll == 5:
        return wire.encode_heartbeat(session, far, 0)
    if roll == 6:
        return wire.encode_end(random.choice([session, other]), far, 0)
    if roll == 7:
        return wire.encode_data(session, far, [b"forged"] * random.randrange(1, 40), 0)
    if roll == 8 and wire.name == "native":
        strange = codec("native", channel=8)
        return strange.encode_data(session, near, [b"of another channel"], 0)
    if roll == 9 and wire.name == "native":
        piece = random.randbytes(random.randrange(1, 50))
        return wire.encode_fragment(random.choice([session, other]), far, Fragment(5, 10_000), piece, 0)
    return real  # once more


def _once_in_a_hold(wire: Codec, random: Random, next_number: int) -> bytes:
    """One word that is no noise: it may do nothing as long as no second one fits it."""
    session = SESSIONS[wire.name]
    back = random.randrange(1, next_number)
    return random.choice(
        [
            wire.encode_data(session, back, [b"forged"], 0),
            wire.encode_end(session, back, 0),
            wire.encode_heartbeat(session, back, 0),
        ]
    )


def _real(wire: Codec, random: Random) -> Iterator[tuple[int, list[bytes], list[bytes]]]:
    """(first number, its messages, the datagrams that carry them)"""
    number, session = 1, SESSIONS[wire.name]
    for place in range(ROUNDS):
        if wire.fragments and place % 7 == 3:
            message = random.randbytes(random.randrange(300, 900))
            cuts = list(range(0, len(message), 200))
            random.shuffle(cuts)
            pieces = [
                wire.encode_fragment(session, number, Fragment(cut, len(message)), message[cut : cut + 200], place)
                for cut in cuts
            ]
            yield number, [message], pieces
            number += 1
        else:
            messages = [b"%d/" % number + random.randbytes(random.randrange(30)) for _ in range(random.randrange(1, 5))]
            yield number, messages, [wire.encode_data(session, number, messages, place)]
            number += len(messages)


@pytest.mark.parametrize("protocol", ["native", "moldudp64"])
def test_single_words_of_strangers_do_nothing(protocol: str) -> None:
    random, wire = Random(protocol), codec(protocol, channel=7)
    receiver = _receiver(wire)
    items: list[Item] = []
    sent: list[bytes] = []
    now = 0
    for place, (number, messages, datagrams) in enumerate(_real(wire, random)):
        now += 5 * MS
        sent += messages
        for line in (0, 1):
            batch = list(datagrams)
            if place:
                for _ in range(HOSTILE // ROUNDS // 2):
                    bad = _noise(wire, random, random.choice(datagrams), number)
                    batch.insert(random.randrange(len(batch) + 1), bad)
                if place % 10 == 5 * line:
                    batch.insert(random.randrange(len(batch) + 1), _once_in_a_hold(wire, random, number))
            receiver.receive(line, batch, now, now)
            assert receiver.problems() == []
        items += receiver.end_pass(now, True)
        assert receiver.problems() == []
        receiver.events()
        assert_bounded(receiver)
    items += receiver.handle_timer(now + 100 * MS)
    items += receiver.close(now + 100 * MS)
    assert receiver.problems() == []
    assert sum(line.ledger.datagrams for line in receiver.lines) >= HOSTILE * 0.99
    assert [stream.stream.session for stream in receiver.streams] == [SESSIONS[protocol]]
    assert [payload for item in items if isinstance(item, MessageBatch) for payload in item.payloads] == sent
    assert all(line.ledger.waiting == 0 for line in receiver.lines)


def test_any_bytes_are_raw_messages() -> None:
    random = Random("raw")
    receiver = _receiver(codec("raw"))
    items: list[Item] = []
    sent = 0
    for now in range(0, 2_000 * MS, MS):
        for line in (0, 1):
            batch = [random.randbytes(random.randrange(60)) for _ in range(HOSTILE // 4_000)]
            sent += len(batch)
            receiver.receive(line, batch, now, now)
            assert receiver.problems() == []
        items += receiver.end_pass(now, True)
        assert_bounded(receiver)
    assert sent == HOSTILE
    released = sum(len(item.payloads) for item in items if isinstance(item, MessageBatch))
    assert released == receiver.streams[0].ledger.released == receiver.streams[0].ledger.received
    assert sum(line.ledger.accepted + line.ledger.duplicate_other_line for line in receiver.lines) == HOSTILE


# Words that the core has to believe: only the caps hold them.


def _flood(receiver: ChannelReceiver, datagrams: Iterator[bytes], each: int = 256) -> None:
    now, batch = 0, []
    for datagram in datagrams:
        batch.append(datagram)
        if len(batch) == each:
            now += MS
            receiver.receive(0, batch, now, now)
            assert receiver.problems() == []
            receiver.end_pass(now, True)
            assert receiver.problems() == []
            receiver.events()
            assert_bounded(receiver)
            batch = []
    receiver.close(now)
    assert receiver.problems() == []


WIRE = codec("native", channel=7)
SESSION = SESSIONS["native"]


def test_every_other_number_missing_fills_no_list() -> None:
    receiver = _receiver(WIRE, hold_ns=10**12, hold_packets=10**9)
    _flood(receiver, (WIRE.encode_data(SESSION, n, [b"x" * 20], 0) for n in range(1, 60_000, 2)))


def test_large_messages_behind_a_gap_that_waits_for_ever() -> None:
    receiver = _receiver(WIRE, hold_ns=10**12, hold_packets=10**9)
    numbers = [1, *range(3, 6_000)]
    _flood(receiver, (WIRE.encode_data(SESSION, n, [b"x" * 1200], 0) for n in numbers))


def test_open_gaps_that_wait_are_decided_at_the_cap() -> None:
    receiver = _receiver(WIRE, then="wait", recovery=True)
    _flood(receiver, (WIRE.encode_data(SESSION, n, [b"x" * 20], 0) for n in range(1, 60_000, 2)))


def test_pieces_of_one_byte_are_paid_for() -> None:
    receiver = _receiver(WIRE)
    random = Random(1)
    _flood(
        receiver,
        (
            WIRE.encode_fragment(SESSION, n // 20 + 1, Fragment(random.randrange(60_000), 60_000), b"x", 0)
            for n in range(40_000)
        ),
    )


def test_more_unfinished_messages_than_there_may_be() -> None:
    receiver = _receiver(WIRE, gap_bytes=2**30)
    _flood(receiver, (WIRE.encode_fragment(SESSION, n, Fragment(0, 9), b"x", 0) for n in range(1, 20_000)))


def test_sessions_that_follow_each_other() -> None:
    receiver = _receiver(WIRE)
    _flood(
        receiver,
        (WIRE.encode_data(n.to_bytes(8, "big"), m, [b"x"], 0) for n in range(5_000) for m in (1, 2, 4)),
    )


def test_sessions_that_say_one_word() -> None:
    receiver = _receiver(WIRE)
    _flood(receiver, (WIRE.encode_data(n.to_bytes(8, "big"), 1, [b"x"], 0) for n in range(20_000)))


def test_one_session_that_never_fits_itself() -> None:
    receiver = _receiver(WIRE)
    words = (WIRE.encode_data(b"otherone", 1 + n * 10**6, [b"x"], 0) for n in range(5_000))
    first = iter([WIRE.encode_data(SESSION, 1, [b"x"], 0)])
    _flood(receiver, (word for words in (first, words) for word in words))


def test_announced_holes_and_ends_of_all_kinds() -> None:
    receiver = _receiver(WIRE)
    random = Random(2)
    _flood(
        receiver,
        (
            random.choice(
                [
                    WIRE.encode_hole(SESSION, n, n + random.randrange(3), 0),
                    WIRE.encode_end(SESSION, random.randrange(1, n + 50), 0),
                    WIRE.encode_data(SESSION, n, [b"x"], 0),
                ]
            )
            for n in range(1, 40_000, 2)
        ),
    )
