"""What the native codec refuses and why, its limits, keys and texts. Layouts: test_vectors.py."""

import struct
from zlib import crc32

import pytest

from bridge.wire.native import MAX_KEYS, NativeCodec
from bridge.wire.native_layout import channel_number, origin_number
from bridge.wire.packet import MAX_DATAGRAM, MAX_SEQUENCE, Fragment, Kind

S = bytes(range(1, 9))
NOW = 1_700_000_000_000_000_000
KEY, OTHER = b"k" * 32, b"o" * 32


def seal(body: bytes) -> bytes:
    return body + struct.pack("<I", crc32(body))


def header(kind: int = 0, flags: int = 0, count: int = 1, sequence: int = 1, version: int = 1) -> bytes:
    return b"MCBR" + struct.pack(">BBHIHH8sQQ", version, kind, flags, 7, count, 0, S, sequence, NOW)


GOOD = seal(header() + b"\0\2hi")


def reason(datagram: bytes, codec: NativeCodec | None = None) -> str:
    packets, malformed = (codec or NativeCodec()).decode([GOOD, datagram, GOOD] if codec is None else [datagram])
    if codec is None:
        assert [packet.at for packet in packets] == [0, 2]
    (found,) = malformed
    assert found.at == (1 if codec is None else 0)
    assert found.detail
    return found.reason


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"", "short"),
        (b"MC", "short"),
        (b"MCBR", "short"),
        (b"MCBR\1", "short"),
        (GOOD[:43], "short"),
        (b"X", "magic"),
        (b"LC02" + GOOD[4:], "magic"),
        (b"MCBR\2", "version"),
        (seal(header(version=0) + b"\0\2hi"), "version"),
        (seal(header(version=2)), "version"),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "checksum"),
        (GOOD[:41] + b"\3" + GOOD[42:], "checksum"),
        (GOOD + b"\0", "checksum"),
        (seal(header(kind=4)), "kind"),
        (seal(header(kind=255)), "kind"),
        *((seal(header(kind=kind)), "kind") for kind in range(16, 23)),
        (seal(header(flags=0x0008) + b"\0\2hi"), "version"),
        (seal(header(flags=0x8000) + b"\0\2hi"), "version"),
        (seal(header(flags=0x0004, kind=1)), "short"),
        (seal(header(flags=0x0004, kind=1) + bytes(7)), "short"),
        (seal(header(flags=0x0002, kind=1) + bytes(15)), "short"),
        (seal(header(flags=0x0006, kind=1) + bytes(20)), "short"),
        (seal(header(count=0)), "kind"),
        (seal(header()), "short"),
        (seal(header() + b"\0\3hi"), "short"),
        (seal(header() + b"\xff\xffhi"), "short"),
        (seal(header() + b"\0\1hi"), "trailing"),
        (seal(header(count=2) + b"\0\1\0\2hi"), "short"),
        (seal(header(count=2) + b"\0\1\0\0hi"), "trailing"),
        (seal(header(count=65535) + b"\0\2hi"), "short"),
        (seal(header(flags=1) + struct.pack(">II", 9, 4)), "fragment"),
        (seal(header(flags=1) + struct.pack(">II", 9, 4)[:7]), "short"),
        (seal(header(flags=1) + struct.pack(">II", 9, 8) + b"hi"), "fragment"),
        (seal(header(flags=1) + struct.pack(">II", 2**32 - 1, 2**32 - 2) + b"hi"), "fragment"),
        (seal(header(flags=1) + struct.pack(">II", 0, 0) + b"h"), "fragment"),
        (seal(header(flags=1, count=2) + struct.pack(">II", 9, 4) + b"hi"), "fragment"),
        (seal(header(flags=1, kind=1) + struct.pack(">II", 9, 4) + b"hi"), "fragment"),
        (seal(header(kind=1) + b"\0"), "trailing"),
        (seal(header(kind=3) + b"\0"), "trailing"),
        (seal(header(kind=2)), "short"),
        (seal(header(kind=2) + bytes(8)), "short"),
        (seal(header(kind=2) + struct.pack(">QB", 5, 0) + b"\0"), "trailing"),
        (seal(header(kind=2, sequence=6) + struct.pack(">QB", 5, 0)), "sequence"),
        (seal(header(kind=2) + struct.pack(">QB", MAX_SEQUENCE + 1, 0)), "sequence"),
        (seal(header(sequence=MAX_SEQUENCE + 1) + b"\0\2hi"), "sequence"),
        (seal(header(sequence=2**63) + b"\0\2hi"), "sequence"),
        (seal(header(sequence=2**64 - 1) + b"\0\2hi"), "sequence"),
        (seal(header(sequence=MAX_SEQUENCE, count=2) + b"\0\1\0\1hi"), "sequence"),
        (seal(header(kind=1, sequence=MAX_SEQUENCE + 2)), "sequence"),
        (seal(header(kind=3, sequence=2**64 - 1)), "sequence"),
    ],
)
def test_reasons(datagram: bytes, expected: str) -> None:
    assert reason(datagram) == expected


@pytest.mark.parametrize(
    "datagram",
    [
        seal(header(kind=1, sequence=MAX_SEQUENCE + 1)),
        seal(header(kind=1, sequence=0, count=9)),
        seal(header(sequence=MAX_SEQUENCE) + b"\0\2hi"),
        seal(header(sequence=MAX_SEQUENCE - 1, count=2) + b"\0\1\0\1hi"),
        seal(header(kind=2, sequence=0) + struct.pack(">QB", 0, 99)),
        seal(header(flags=1) + struct.pack(">II", 2, 0) + b"hi"),
        seal(header(flags=1) + struct.pack(">II", 64 * 2**20, 64 * 2**20 - 2) + b"hi"),
        seal(header(flags=1, sequence=0) + struct.pack(">II", 9, 7) + b"hi"),
    ],
)
def test_limits_are_inside(datagram: bytes) -> None:
    packets, malformed = NativeCodec().decode([datagram])
    assert malformed == []
    assert len(packets) == 1


def test_a_size_from_the_wire_is_not_believed() -> None:
    found = NativeCodec(max_message=1000).decode([seal(header(flags=1) + struct.pack(">II", 1001, 0) + b"hi")])
    assert [m.reason for m in found.malformed] == ["fragment"]


def test_whole_messages_above_the_limit() -> None:
    codec = NativeCodec(max_message=2)
    one, two = seal(header() + b"\0\3abc"), seal(header(count=2) + b"\0\1\0\3dabc")
    assert [m.reason for m in codec.decode([one, two]).malformed] == ["oversize", "oversize"]
    assert len(codec.decode([GOOD, seal(header(count=2) + b"\0\2\0\2abcd")]).packets) == 2


@pytest.mark.parametrize("count", [255, 256, 257, 300])
def test_many_messages_in_one_datagram(count: int) -> None:
    codec = NativeCodec(origin=5)
    payloads = [b"%d" % i for i in range(count)]
    (packet,) = codec.decode([codec.encode_data(S, 9, payloads, NOW)]).packets
    assert packet.payloads == payloads
    assert packet.origin == 5


def test_the_most_messages_in_one_datagram() -> None:
    most = [b""] * NativeCodec().max_messages()
    (packet,) = NativeCodec().decode([NativeCodec().encode_data(S, 0, most, NOW)]).packets
    assert packet.payloads == most


def test_the_largest_datagram_and_one_byte_more() -> None:
    codec = NativeCodec()
    largest = MAX_DATAGRAM - codec.header_bytes() - codec.message_bytes()
    datagram = codec.encode_data(S, 1, [bytes(largest)], NOW)
    assert len(datagram) == MAX_DATAGRAM
    assert codec.decode([datagram]).packets[0].payloads == [bytes(largest)]
    for size in (largest + 1, 70_000):
        with pytest.raises(ValueError):
            codec.encode_data(S, 1, [bytes(size)], NOW)


@pytest.mark.parametrize("origin", [None, 2**64 - 1])
@pytest.mark.parametrize("keys", [(), (KEY,)])
def test_the_bytes_that_a_sender_counts_on(keys: tuple[bytes, ...], origin: int | None) -> None:
    codec = NativeCodec(keys=keys, origin=origin)
    data = codec.encode_data(S, 1, [b"abc", b"d"], NOW)
    assert len(data) == codec.header_bytes() + 2 * codec.message_bytes() + 4
    piece = codec.encode_fragment(S, 1, Fragment(0, 10), b"abcd", NOW)
    assert len(piece) == codec.fragment_bytes() + 4
    assert len(codec.decode([data, piece]).packets) == 2


def test_keys() -> None:
    signed = NativeCodec(keys=[KEY], origin=1)
    datagrams = [
        signed.encode_data(S, 1, [b"a", b"b"], NOW),
        signed.encode_fragment(S, 3, Fragment(0, 9), b"c", NOW),
        signed.encode_heartbeat(S, 4, NOW),
        signed.encode_hole(S, 4, 5, NOW),
        signed.encode_end(S, 6, NOW),
    ]
    assert len(signed.decode(datagrams).packets) == 5
    assert len(NativeCodec(keys=[OTHER, KEY]).decode(datagrams).packets) == 5, "an old key is still accepted"
    assert len(NativeCodec().decode(datagrams).packets) == 5, "without keys the MAC is not looked at"
    for codec in (NativeCodec(keys=[OTHER]), NativeCodec(keys=[OTHER, KEY[:-1]])):
        assert [m.reason for m in codec.decode(datagrams).malformed] == ["authentication"] * 5
    assert reason(GOOD, signed) == "authentication"
    assert reason(seal(header(kind=1, flags=2) + bytes(15)), signed) == "authentication"


@pytest.mark.parametrize("place", [5, 8, 12, 16, 24, 32, 40, 50])
def test_every_field_is_under_the_mac(place: int) -> None:
    codec = NativeCodec(keys=[KEY], origin=1)
    body = bytearray(codec.encode_data(S, 1, [b"hi"], NOW)[:-4])
    body[place] ^= 1
    assert reason(seal(bytes(body)), codec) == "authentication"


def test_misuse_raises() -> None:
    codec = NativeCodec()
    bad = [
        lambda: codec.encode_data(S, 1, [], NOW),
        lambda: codec.encode_data(S, MAX_SEQUENCE, [b"", b""], NOW),
        lambda: codec.encode_data(S, -1, [b""], NOW),
        lambda: codec.encode_data(S[:7], 1, [b""], NOW),
        lambda: codec.encode_data(S, 1, [b""], -1),
        lambda: NativeCodec(max_message=2).encode_data(S, 1, [b"abc"], NOW),
        lambda: codec.encode_fragment(S, 1, Fragment(0, 2), b"abc", NOW),
        lambda: codec.encode_fragment(S, 1, Fragment(0, 2), b"", NOW),
        lambda: codec.encode_fragment(S, 1, Fragment(0, 65 * 2**20), b"a", NOW),
        lambda: codec.encode_hole(S, 5, 4, NOW),
        lambda: codec.encode_heartbeat(S, MAX_SEQUENCE + 2, NOW),
        lambda: codec.encode_end(b"", 1, NOW),
        lambda: NativeCodec(2**32),
        lambda: NativeCodec(origin=-1),
        lambda: NativeCodec(max_message=0),
        lambda: NativeCodec(keys=[b""]),
        lambda: NativeCodec(keys=[KEY] * (MAX_KEYS + 1)),
    ]
    for call in bad:
        with pytest.raises(ValueError):
            call()


def test_session_texts() -> None:
    codec = NativeCodec()
    assert codec.session_text(S) == "0102030405060708"
    assert codec.parse_session("0102030405060708") == S
    for text in ("", "1", "0102030405060708ff", "01 02 03 04 05 06 07 08", "zzzzzzzzzzzzzzzz"):
        with pytest.raises(ValueError, match="16 hexadecimal digits"):
            codec.parse_session(text)


def test_numbers_of_names() -> None:
    assert channel_number("orders") == 0xE52FFDEE  # CRC-32 bit by bit
    assert origin_number("plant7") == 0xBFB1AFACD93C4BE8  # printf plant7 | sha256sum


def test_kinds_on_the_wire() -> None:
    assert [int(kind) for kind in (Kind.DATA, Kind.HEARTBEAT, Kind.HOLE, Kind.END)] == [0, 1, 2, 3]
