"""What the MoldUDP64 codec refuses and why; texts of sessions. Layouts: test_vectors.py."""

import struct

import pytest

from bridge.wire.moldudp64 import MoldUDP64Codec
from bridge.wire.packet import MAX_DATAGRAM, MAX_SEQUENCE, Fragment, Kind

S = b"SESS000001"


def packet(sequence: int, count: int, body: bytes = b"") -> bytes:
    return S + struct.pack(">QH", sequence, count) + body


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"", "short"),
        (packet(1, 0)[:19], "short"),
        (packet(1, 1), "short"),
        (packet(1, 1, b"\0"), "short"),
        (packet(1, 1, b"\0\3hi"), "short"),
        (packet(1, 2, b"\0\2hi"), "short"),
        (packet(1, 2, b"\0\2hi\0"), "short"),
        (packet(1, 65534, b"\0\0" * 100), "short"),
        (packet(1, 1, b"\0\1hi"), "trailing"),
        (packet(1, 0, b"\0"), "trailing"),
        (packet(1, 0xFFFF, b"\0\2hi"), "trailing"),
        (packet(MAX_SEQUENCE + 1, 1, b"\0\0"), "sequence"),
        (packet(MAX_SEQUENCE, 2, b"\0\0\0\0"), "sequence"),
        (packet(MAX_SEQUENCE + 2, 0), "sequence"),
        (packet(2**64 - 1, 0xFFFF), "sequence"),
        (packet(1, 2, b"\0\1a\0\4abcd"), "oversize"),
    ],
)
def test_reasons(datagram: bytes, expected: str) -> None:
    good = packet(1, 1, b"\0\2hi")
    packets, malformed = MoldUDP64Codec(max_message=3).decode([good, datagram, good])
    assert [p.at for p in packets] == [0, 2]
    (found,) = malformed
    assert (found.at, found.reason) == (1, expected)
    assert found.detail


def test_limits_are_inside() -> None:
    datagrams = [
        packet(0, 1, b"\0\0"),
        packet(MAX_SEQUENCE, 1, b"\0\0"),
        packet(MAX_SEQUENCE + 1, 0),
        packet(MAX_SEQUENCE + 1, 0xFFFF),
        packet(0, 0),
    ]
    packets, malformed = MoldUDP64Codec().decode(datagrams)
    assert malformed == []
    assert [p.kind for p in packets] == [Kind.DATA, Kind.DATA, Kind.HEARTBEAT, Kind.END, Kind.HEARTBEAT]


def test_end_of_session_is_not_65535_messages() -> None:
    (found,) = MoldUDP64Codec().decode([packet(7, 0xFFFF)]).packets
    assert (found.kind, found.sequence, list(found.payloads)) == (Kind.END, 7, [])


@pytest.mark.parametrize(
    ("session", "text"),
    [
        (b"ABC       ", "ABC"),
        (b"       ABC", "       ABC"),
        (b"          ", ""),
        (b"A\\B\x00\xff     ", "A\\x5cB\\x00\\xff"),
    ],
)
def test_session_texts_are_reversible(session: bytes, text: str) -> None:
    codec = MoldUDP64Codec()
    assert codec.session_text(session) == text
    assert codec.parse_session(text) == session


@pytest.mark.parametrize("text", ["ELEVENCHARS", "Ω"])
def test_a_session_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match="at most 10 ASCII characters"):
        MoldUDP64Codec().parse_session(text)


def test_misuse_raises() -> None:
    codec = MoldUDP64Codec()
    bad = [
        lambda: codec.encode_data(S, 1, [], 0),
        lambda: codec.encode_data(S, MAX_SEQUENCE + 1, [b""], 0),
        lambda: codec.encode_data(S, -1, [b""], 0),
        lambda: codec.encode_data(S, 1, [b""] * (codec.max_messages() + 1), 0),
        lambda: codec.encode_data(S, 1, [b""] * 70_000, 0),
        lambda: codec.encode_data(S, 1, [bytes(70_000)], 0),
        lambda: codec.encode_data(S, 1, [bytes(MAX_DATAGRAM - 21)], 0),
        lambda: MoldUDP64Codec(max_message=1).encode_data(S, 1, [b"ab"], 0),
        lambda: codec.encode_data(b"SHORT", 1, [b""], 0),
        lambda: codec.encode_heartbeat(S, MAX_SEQUENCE + 2, 0),
        lambda: codec.encode_hole(S, 1, 2, 0),
        lambda: codec.encode_fragment(S, 1, Fragment(0, 1), b"a", 0),
        lambda: MoldUDP64Codec(max_message=0),
    ]
    for call in bad:
        with pytest.raises(ValueError):
            call()


def test_the_bytes_that_a_sender_counts_on() -> None:
    codec = MoldUDP64Codec()
    assert len(codec.encode_data(S, 1, [b"abc", b""], 0)) == codec.header_bytes() + 2 * codec.message_bytes() + 3
    largest = bytes(MAX_DATAGRAM - 22)
    assert codec.decode([codec.encode_data(S, 1, [largest], 0)]).packets[0].payloads == [largest]
    most = [b""] * codec.max_messages()
    assert codec.decode([codec.encode_data(S, 1, most, 0)]).packets[0].payloads == most
