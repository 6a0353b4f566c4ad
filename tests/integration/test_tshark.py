"""tshark reads what our encoders make, field by field: native through docs/specs/native.lua, MoldUDP64 by its own dissector."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from bridge.wire import codec
from bridge.wire.native_layout import HOLE_CODES
from bridge.wire.packet import MAX_SEQUENCE, Fragment
from tests.support import capture
from tests.support.tools import find

pytestmark = pytest.mark.slow

LUA = Path(__file__).parents[2] / "docs" / "specs" / "native.lua"
Fields = list[tuple[str, str]]


def native(path: Path, datagrams: Sequence[bytes]) -> list[Fields]:
    """The dissector's fields, frame by frame, found by its heuristic: no port is named."""
    capture.write(path / "native.pcap", datagrams)
    frames = capture.dissect(find("tshark"), path / "native.pcap", "-X", f"lua_script:{LUA}")
    return [own(frame, "multicast_bridge.") for frame in frames]


def moldudp64(path: Path, datagrams: Sequence[bytes]) -> list[Fields]:
    capture.write(path / "mold.pcap", datagrams)
    frames = capture.dissect(find("tshark"), path / "mold.pcap", "-d", f"udp.port=={capture.PORT},moldudp64")
    return [own(frame, "moldudp64.") for frame in frames]


def own(frame: Fields, prefix: str) -> Fields:
    """The fields below `prefix`, without it, and the complaints."""
    assert ("udp.checksum.status", "1") in frame, "the capture itself is good"
    complaint = "_ws.expert.message"
    return [(name.removeprefix(prefix), value) for name, value in frame if name.startswith(prefix) or name == complaint]


def colons(data: bytes) -> str:
    return data.hex(":")


def expected_header(
    kind: int, session: bytes, sequence: int, sent: int, *, count: int = 0, flags: int = 0, channel: int = 7
) -> Fields:
    return [
        ("magic", "MCBR"),
        ("version", "1"),
        ("kind", str(kind)),
        ("flags", f"0x{flags:04x}"),
        ("flags.fragment", str(flags & 1)),
        ("flags.mac", str(flags >> 1 & 1)),
        ("flags.origin", str(flags >> 2 & 1)),
        ("channel", str(channel)),
        ("count", str(count)),
        ("reserved", "0x0000"),
        ("session", colons(session)),
        ("sequence", str(sequence)),
        ("send_time_ns", str(sent)),
    ]


def expected_messages(sequence: int, payloads: Sequence[bytes]) -> Fields:
    fields: Fields = []
    for number, payload in enumerate(payloads, sequence):
        fields += [("message.sequence", str(number)), ("message.length", str(len(payload)))]
        fields.append(("message.payload", colons(payload)))
    return fields


def body(found: Fields) -> Fields:
    """Without the readable time (the exact one stays) and without the CRC's value (its check stays)."""
    return [(name, value) for name, value in found if name not in ("send_time", "crc")]


GOOD = [("crc.good", "1")]


@pytest.mark.parametrize("origin", [None, 0, 0xA1A2A3A4A5A6A7A8])
@pytest.mark.parametrize("keys", [(), (b"key",)], ids=["plain", "mac"])
def test_native(tmp_path: Path, keys: tuple[bytes, ...], origin: int | None) -> None:
    random = Random(1)
    wire = codec("native", channel=2**32 - 1, keys=keys, origin=origin)
    flags = (2 if keys else 0) | (0 if origin is None else 4)
    datagrams: list[bytes] = []
    expected: list[Fields] = []
    mark = [] if origin is None else [("origin", f"0x{origin:016x}")]

    def put(datagram: bytes, head: Fields, fields: Fields) -> None:
        mac = [("mac", colons(datagram[-20:-4]))] if keys else []
        datagrams.append(datagram)
        expected.append(head + mark + fields + mac + GOOD)

    for sequence in (0, 1, 2**32, MAX_SEQUENCE - 40, *(random.randrange(MAX_SEQUENCE - 40) for _ in range(20))):
        session, sent = random.randbytes(8), random.choice([0, 1, 1_700_000_000_123_456_789, 2**63, 2**64 - 1])

        def header(
            kind: int, count: int = 0, flag: int = 0, s: bytes = session, n: int = sequence, t: int = sent
        ) -> Fields:
            return expected_header(kind, s, n, t, count=count, flags=flags | flag, channel=2**32 - 1)

        payloads = [random.randbytes(random.choice([0, 1, 2, 30])) for _ in range(random.randrange(1, 40))]
        datagram = wire.encode_data(session, sequence, payloads, sent)
        put(datagram, header(0, len(payloads)), expected_messages(sequence, payloads))

        piece, offset = random.randbytes(random.randrange(1, 1400)), random.randrange(2**20)
        size = random.randrange(offset + len(piece), 2**22)
        datagram = wire.encode_fragment(session, sequence, Fragment(offset, size), piece, sent)
        fields = [("fragment.size", str(size)), ("fragment.offset", str(offset)), ("fragment.piece", colons(piece))]
        put(datagram, header(0, 1, 1), fields)

        put(wire.encode_heartbeat(session, sequence, sent), header(1), [])
        put(wire.encode_end(session, sequence, sent), header(3), [])
        reason, last = random.choice(list(HOLE_CODES)), sequence + random.randrange(40)
        datagram = wire.encode_hole(session, sequence, last, sent, reason)
        put(datagram, header(2), [("hole.last", str(last)), ("hole.reason", str(HOLE_CODES[reason]))])

    for found, wanted in zip(native(tmp_path, datagrams), expected, strict=True):
        assert body(found) == wanted


def test_native_reads_the_largest_datagram(tmp_path: Path) -> None:
    wire = codec("native")
    payload = bytes(range(256)) * 255
    found = native(tmp_path, [wire.encode_data(bytes(8), 1, [payload], 0)])
    assert ("message.payload", colons(payload)) in found[0]
    assert found[0][-1] == ("crc.good", "1")


def test_native_complains_about_what_is_wrong(tmp_path: Path) -> None:
    good = codec("native").encode_data(bytes(8), 1, [b"hello", b"bye"], 0)
    flipped = bytearray(good)
    flipped[50] ^= 4
    long = bytearray(good)
    long[41] += 1
    found = native(tmp_path, [bytes(flipped), bytes(long), good[:30], b"MCBR\x02" + good[5:], b"", good[:-1], good])
    complaints = [[value for name, value in frame if name == "_ws.expert.message"] for frame in found]
    assert complaints[0] == ["CRC-32 does not match"]
    assert complaints[1] == ["CRC-32 does not match", "Malformed: message 1 does not fit"]
    assert complaints[2] == ["Shorter than its header"]
    assert found[3][1:] == [("version", "2")]
    assert found[4] == []
    assert "CRC-32 does not match" in complaints[5]
    assert complaints[6] == []


def test_the_dissector_survives_anything(tmp_path: Path) -> None:
    random = Random(2)
    wire = codec("native", origin=1)
    datagrams = []
    for _ in range(300):
        data = bytearray(wire.encode_data(random.randbytes(8), 5, [b"a" * random.randrange(50)] * 3, 2**64 - 1))
        for _ in range(random.randrange(1, 6)):
            data[random.randrange(5, len(data))] = random.choice([0, 1, 2, 3, 5, 7, 255])
        datagrams.append(bytes(data[: random.randrange(len(data)) + 1]))
    capture.write(tmp_path / "any.pcap", datagrams)
    frames = capture.dissect(find("tshark"), tmp_path / "any.pcap", "-X", f"lua_script:{LUA}")
    assert not [value for frame in frames for name, value in frame if "lua.error" in name or "Lua Error" in value]


def test_moldudp64(tmp_path: Path) -> None:
    random = Random(3)
    wire = codec("moldudp64")
    datagrams: list[bytes] = []
    expected: list[Fields] = []
    for sequence in (1, 2**32, MAX_SEQUENCE - 40, *(random.randrange(MAX_SEQUENCE - 40) for _ in range(20))):
        session = random.choice([b"SESS000001", b"ABC       "])
        header = [("session", session.decode()), ("sequence", str(sequence))]
        payloads = [random.randbytes(random.choice([0, 1, 2, 30])) for _ in range(random.randrange(1, 40))]
        datagrams.append(wire.encode_data(session, sequence, payloads, 0))
        fields = [*header, ("count", str(len(payloads)))]
        for number, payload in enumerate(payloads, sequence):
            fields += [("msgseq", str(number)), ("msglen", str(len(payload))), ("msgdata", colons(payload))]
        expected.append(fields)
        datagrams.append(wire.encode_heartbeat(session, sequence, 0))
        expected.append([*header, ("count", "0")])
        datagrams.append(wire.encode_end(session, sequence, 0))
        # tshark cannot tell an end from a request of 65,535 messages and says so
        expected.append(
            [*header, ("count", "65535"), ("request", ""), ("_ws.expert.message", "Number of Requested Messages")]
        )
    for found, wanted in zip(moldudp64(tmp_path, datagrams), expected, strict=True):
        assert found == wanted
