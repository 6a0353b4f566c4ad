"""The forms of messages, and that `listen` and `read` write the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli import render as cli
from bridge.wire import codec
from connectors.stdout.render import hexdump, iso_time, jsonl, session_text, text

TIME = 1_700_000_000_123_456_789


def test_jsonl_by_the_letter() -> None:
    line = jsonl(
        "c", "s", 7, iso_time(TIME), 'é"\n\x7f'.encode(), {"kind": "P", "stock": b"AAPL", "none": None, "time": "x"}
    )
    expected = '{"channel":"c","session":"s","sequence":7,"time":"2023-11-14T22:13:20.123456789Z",'
    expected += '"payload":"é\\"\\n\\u007f","kind":"P","stock":"AAPL"}\n'
    assert line.decode() == expected
    assert jsonl("c", "s", 0, "t", b"\xff\x00", {}).endswith(b'"payload_hex":"ff00"}\n')


def test_text_by_the_letter() -> None:
    assert text(b"a\x1b[2J\xff\n", terminal=False) == b"a\x1b[2J\xff\n\n"
    assert text(b"a\t\x1b[2J\xff\n", terminal=True) == b"a\t\\x1b[2J\\xff\\n\n"


def test_hex_by_the_letter() -> None:
    dump = hexdump("c", "s", 7, iso_time(TIME), bytes(range(60, 77)) + b"\x00")
    assert dump.decode().splitlines() == [
        "2023-11-14T22:13:20.123456789Z c s 7 length 18",
        "\t0x0000:  3c3d 3e3f 4041 4243 4445 4647 4849 4a4b  <=>?@ABCDEFGHIJK",
        "\t0x0010:  4c00                                     L.",
    ]


@given(st.binary(max_size=60), st.integers(0, 2**62), st.integers(0, 2**53))
def test_the_command_line_writes_the_same(payload: bytes, time_ns: int, sequence: int) -> None:
    when = iso_time(time_ns)
    assert (
        jsonl("c", "s", sequence, when, payload, {}).decode() == cli.jsonl("c", "s", sequence, time_ns, payload) + "\n"
    )
    assert text(payload, terminal=True) == cli.text(payload, terminal=True)
    head, dump = cli.hex_head("c", "s", sequence, time_ns, payload), cli.hexdump(payload)
    assert hexdump("c", "s", sequence, when, payload).decode() == "".join(f"{line}\n" for line in [head, *dump])


@pytest.mark.parametrize(
    ("protocol", "session"),
    [
        ("native", b"\x00\x01printa"),
        ("raw", b"12345678"),
        ("moldudp64", b"2025  0701"),
        ("moldudp64", b"a\\b\x00\xff     "),
    ],
)
def test_sessions_as_their_protocols_write_them(protocol: str, session: bytes) -> None:
    assert session_text(session) == codec(protocol).session_text(session)
