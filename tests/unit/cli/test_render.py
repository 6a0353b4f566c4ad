"""Messages as users see them, typed by hand."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.render import hex_head, hexdump, iso_time, jsonl, text

TIME = 1_751_376_600_123_456_789  # 2025-07-01T13:30:00.123456789Z


def test_jsonl_is_one_object_with_the_documented_names() -> None:
    line = jsonl("itch1", "0011", 7, TIME, "h\u00e9".encode(), line="A", source="10.0.0.1", identity=None)
    assert line == (
        '{"channel":"itch1","session":"0011","sequence":7,"time":"2025-07-01T13:30:00.123456789Z",'
        '"payload":"h\u00e9","line":"A","source":"10.0.0.1"}'
    )


def test_a_payload_that_is_no_text_is_hexadecimal() -> None:
    assert json.loads(jsonl("c", "s", 1, 0, b"\xff\x00"))["payload_hex"] == "ff00"
    assert "payload" not in json.loads(jsonl("c", "s", 1, 0, b"\xff\x00"))


@given(st.binary(max_size=60))
def test_jsonl_keeps_every_payload_on_one_line_without_control_characters(payload: bytes) -> None:
    line = jsonl("c", "s", 1, TIME, payload)
    assert len(line.splitlines()) == 1
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line)
    row = json.loads(line)
    assert (row["payload"].encode() if "payload" in row else bytes.fromhex(row["payload_hex"])) == payload


def test_times_keep_nanoseconds() -> None:
    assert iso_time(TIME) == "2025-07-01T13:30:00.123456789Z"
    assert iso_time(5) == "1970-01-01T00:00:00.000000005Z"


def test_text_is_bytes_as_they_are_but_escaped_on_a_terminal() -> None:
    assert text(b"a\x1b[2J\xff", terminal=False) == b"a\x1b[2J\xff\n"
    assert (
        text(b"a\x1b[2J\tb\xff\r\n\x7f\xc2\x9b", terminal=True) == rb"a\x1b[2J" + b"\t" + rb"b\xff\r\n\x7f\x9b" + b"\n"
    )
    assert text("h\u00e9llo".encode(), terminal=True) == "h\u00e9llo\n".encode()


def test_hex_is_laid_out_as_tcpdump_does() -> None:
    assert hexdump(b"hello, multicast bridge\n\x00") == [
        "\t0x0000:  6865 6c6c 6f2c 206d 756c 7469 6361 7374  hello,.multicast".replace(",.m", ", m"),
        "\t0x0010:  2062 7269 6467 650a 00                    bridge..",
    ]
    assert hexdump(b"") == []
    assert hex_head("c", "s", 3, 5, b"abc") == "1970-01-01T00:00:00.000000005Z c s 3 length 3"
