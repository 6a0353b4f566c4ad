"""Random and mutated datagrams: one answer each, never an exception, and no memory that the bytes did not bring."""

import sys
import tracemalloc
from random import Random
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.wire import codec
from bridge.wire.native_layout import CRC
from bridge.wire.packet import MAX_SEQUENCE, Codec, Decoded, Fragment, Kind
from tests.support.vectors import vectors

AUTHENTICATED = codec("native", channel=7, keys=[b"key"], max_message=5000)
WIRES = [
    pytest.param(codec("raw"), id="raw"),
    pytest.param(codec("native", channel=7), id="native"),
    pytest.param(AUTHENTICATED, id="native-authenticated"),
    pytest.param(codec("moldudp64"), id="moldudp64"),
]
SEEDS = [vector["datagram"] for wire in ("native", "moldudp64") for vector in vectors(wire)]
SEEDS.append(codec("native").encode_data(bytes(8), 5, [b"x" * n for n in range(40)], 0))
SEEDS.append(codec("native").encode_fragment(bytes(8), 5, Fragment(0, 2**20), bytes(100), 0))
SEEDS.append(codec("moldudp64").encode_data(bytes(10), 5, [b"x" * n for n in range(40)], 0))


def sealed(body: bytes) -> bytes:
    """`body` with the CRC that the native protocol wants, so that the checks behind it are reached."""
    return body + CRC.pack(crc32(body))


def mutate(random: Random, datagram: bytes) -> bytes:
    data = bytearray(datagram)
    for _ in range(random.randrange(1, 4)):
        kind = random.randrange(6)
        at = random.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1 and data:
            data[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = random.randbytes(random.randrange(20))
        elif kind == 4:
            data[at : at + 8] = random.choice([b"\0" * 8, b"\xff" * 8, (MAX_SEQUENCE + 1).to_bytes(8, "big")])
        else:
            other = random.choice(SEEDS)
            data[at:] = other[min(at, len(other)) :]
    return sealed(bytes(data[:-4])) if random.random() < 0.7 else bytes(data)


def check(wire: Codec, datagrams: list[bytes], found: Decoded) -> None:
    packets, malformed = found
    assert sorted([p.at for p in packets] + [m.at for m in malformed]) == list(range(len(datagrams)))
    assert [p.at for p in packets] == sorted(p.at for p in packets)
    assert [m.at for m in malformed] == sorted(m.at for m in malformed)
    for packet in packets:
        datagram = datagrams[packet.at]
        assert len(packet.session) == wire.session_bytes
        assert sum(map(len, packet.payloads)) + wire.header_bytes() <= len(datagram)
        assert all(len(payload) <= wire.max_message for payload in packet.payloads)
        highest = packet.sequence + len(packet.payloads) - 1
        assert 0 <= highest + 1 <= MAX_SEQUENCE + 1
        if packet.kind == Kind.DATA:
            assert packet.payloads
            assert all(payload in datagram for payload in packet.payloads)
        else:
            assert not packet.payloads
        if packet.kind == Kind.HOLE:
            assert packet.sequence <= packet.last <= MAX_SEQUENCE
        if packet.fragment is not None:
            (piece,) = packet.payloads
            assert 0 <= packet.fragment.offset < packet.fragment.offset + len(piece) <= packet.fragment.size
            assert packet.fragment.size <= wire.max_message
    for m in malformed:
        assert m.detail
        assert len(m.detail) < 200, "a peer cannot fill the log"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("seed", range(4))
def test_mutated_datagrams(wire: Codec, seed: int) -> None:
    random = Random(seed)
    seen = 0
    for _ in range(40):
        datagrams = [mutate(random, random.choice(SEEDS)) for _ in range(64)]
        found = wire.decode(datagrams)
        check(wire, datagrams, found)
        seen += len(found.packets)
    if wire is AUTHENTICATED:
        assert seen == 0, "nobody else has the key"
    elif wire.numbered:
        assert 0 < seen < 40 * 64, "some are still good, some are not: else nothing is tried"


@pytest.mark.parametrize("wire", WIRES)
@given(
    datagrams=st.lists(
        st.binary(max_size=300) | st.binary(max_size=100).map(lambda b: sealed(b"MCBR\1" + b)), max_size=8
    )
)
@settings(max_examples=150, deadline=None)
def test_random_datagrams(wire: Codec, datagrams: list[bytes]) -> None:
    check(wire, datagrams, wire.decode(datagrams))


@pytest.mark.parametrize("wire", WIRES)
def test_sizes_from_the_wire_allocate_nothing(wire: Codec) -> None:
    """Every field at its largest: what decoding holds at its peak stays near the size of the datagrams."""
    forged = [
        sealed(seed[:at] + b"\xff" * min(8, len(seed) - 4 - at) + seed[at + 8 : -4])
        for seed in SEEDS
        for at in range(len(seed) - 4)
    ]
    wire.decode(forged)
    tracemalloc.start()
    try:
        found = wire.decode(forged)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    check(wire, forged, found)
    assert peak < sum(map(sys.getsizeof, forged)) + len(forged) * 4096
