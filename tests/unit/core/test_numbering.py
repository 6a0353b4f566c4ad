"""Which session goes out. The hashes are sha256sum's and base32's, of the bytes that docs/specs state."""

import pytest

from bridge.api import Stream
from bridge.core.numbering import emitted_session, session_from_time
from bridge.wire import codec

NATIVE, MOLD, RAW = codec("native"), codec("moldudp64"), codec("raw")
EIGHT, TEN = bytes(range(1, 9)), b"SESS000001"


@pytest.mark.parametrize(
    ("session", "restart", "protocol", "wire", "expected"),
    [
        (EIGHT, 0, "native", NATIVE, EIGHT),
        (EIGHT, 0, "raw", NATIVE, EIGHT),
        (TEN, 0, "moldudp64", MOLD, TEN),
        (bytes(10), 0, "moldudp64", MOLD, bytes(10)),
        (TEN, 0, "kafka", MOLD, TEN),
        (EIGHT, 0, "native", MOLD, b"W5FNJI23L2"),
        (TEN, 1, "moldudp64", NATIVE, bytes.fromhex("67b4fe68e13c351d")),
        (TEN, 1, "moldudp64", MOLD, b"M62P42HBHQ"),
        (EIGHT, 0, "native", RAW, b""),
        (EIGHT, 3, "native", RAW, b""),
    ],
)
def test_emitted_session(session: bytes, restart: int, protocol: str, wire: object, expected: bytes) -> None:
    assert emitted_session(Stream("c", session, restart), protocol, wire) == expected


def test_ten_bytes_that_moldudp64_does_not_allow_are_made_into_characters() -> None:
    made = emitted_session(Stream("c", bytes(10)), "kafka", MOLD)
    assert len(made) == 10
    assert made.isalnum()


def test_a_restart_is_another_session() -> None:
    for wire in (NATIVE, MOLD):
        made = {emitted_session(Stream("c", TEN, restart), "moldudp64", wire) for restart in range(50)}
        assert len(made) == 50


def test_session_from_time() -> None:
    at = 0x17979CFE362A0000
    assert session_from_time(at, NATIVE) == bytes.fromhex("17979cfe362a0000")
    assert session_from_time(at, MOLD) == b"M4O6TNDP3L"
    assert session_from_time(at, RAW) == b""
