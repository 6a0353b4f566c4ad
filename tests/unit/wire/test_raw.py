"""raw: one datagram is one message."""

import pytest

from bridge.wire.packet import MAX_DATAGRAM, Fragment, Kind
from bridge.wire.raw import RawCodec


def test_a_datagram_is_a_message() -> None:
    packets, malformed = RawCodec().decode([b"a", b"", bytes(MAX_DATAGRAM)])
    assert malformed == []
    assert [list(p.payloads) for p in packets] == [[b"a"], [b""], [bytes(MAX_DATAGRAM)]]
    assert [(p.kind, p.session, p.sequence, p.at) for p in packets] == [(Kind.DATA, b"", 0, i) for i in range(3)]


def test_oversize_is_the_only_reason() -> None:
    packets, malformed = RawCodec(max_message=2).decode([b"abc", b"ab", b"abcd"])
    assert [p.at for p in packets] == [1]
    assert [(m.at, m.reason) for m in malformed] == [(0, "oversize"), (2, "oversize")]


def test_encode() -> None:
    codec = RawCodec()
    assert codec.encode_data(b"", 7, [b"hi"], 0) == b"hi"
    bad = [
        lambda: codec.encode_data(b"", 1, [b"a", b"b"], 0),
        lambda: codec.encode_data(b"", 1, [bytes(MAX_DATAGRAM + 1)], 0),
        lambda: codec.encode_heartbeat(b"", 1, 0),
        lambda: codec.encode_end(b"", 1, 0),
        lambda: codec.encode_hole(b"", 1, 2, 0),
        lambda: codec.encode_fragment(b"", 1, Fragment(0, 1), b"a", 0),
        lambda: RawCodec(max_message=0),
    ]
    for call in bad:
        with pytest.raises(ValueError):
            call()


def test_session_texts() -> None:
    assert RawCodec().session_text(b"\x01\xff") == "01ff"
    assert RawCodec().parse_session("01ff") == b"\x01\xff"
    with pytest.raises(ValueError, match="hexadecimal"):
        RawCodec().parse_session("xyz")
