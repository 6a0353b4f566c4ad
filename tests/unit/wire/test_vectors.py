"""Our codecs against the literal datagrams of the specifications, both ways."""

import re
from pathlib import Path
from typing import Any

import pytest

from bridge.wire import codec
from bridge.wire.packet import Codec, Fragment, Kind
from tests.support.vectors import vectors

SPECS = Path(__file__).parents[3] / "docs" / "specs"
SENT = 1_700_000_000_000_000_000


def cases(wire: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in vectors(wire)]


def native(vector: dict[str, Any]) -> tuple[Codec, bytes]:
    origin = int(vector["origin"], 16) if "origin" in vector else None
    keys = [vector["key"].encode()] if "key" in vector else []
    wire = codec("native", channel=vector.get("channel", 7), keys=keys, origin=origin)
    return wire, bytes.fromhex(vector.get("session", "0102030405060708"))


def encode(wire: Codec, session: bytes, vector: dict[str, Any]) -> bytes:
    payloads = [payload.encode() for payload in vector.get("payloads", [])]
    number = vector["sequence"]
    if vector["kind"] == "heartbeat":
        return wire.encode_heartbeat(session, number, SENT)
    if vector["kind"] == "end":
        return wire.encode_end(session, number, SENT)
    if vector["kind"] == "hole":
        return wire.encode_hole(session, number, vector["last"], SENT, vector["reason"])
    if "fragment" in vector:
        return wire.encode_fragment(session, number, Fragment(**vector["fragment"]), payloads[0], SENT)
    return wire.encode_data(session, number, payloads, SENT)


@pytest.mark.parametrize("vector", cases("native"))
def test_native_encodes_the_vector(vector: dict[str, Any]) -> None:
    wire, session = native(vector)
    assert encode(wire, session, vector).hex() == vector["datagram"].hex()


@pytest.mark.parametrize("with_keys", [True, False])
@pytest.mark.parametrize("vector", cases("native"))
def test_native_decodes_the_vector(vector: dict[str, Any], with_keys: bool) -> None:
    wire, session = native(vector)
    if not with_keys:
        wire = codec("native")
    packets, malformed = wire.decode([vector["datagram"]])
    assert malformed == []
    (packet,) = packets
    assert packet.kind == Kind[vector["kind"].upper()]
    assert packet.session == session
    assert packet.sequence == vector["sequence"]
    assert [bytes(p) for p in packet.payloads] == [p.encode() for p in vector.get("payloads", [])]
    assert packet.fragment == (Fragment(**vector["fragment"]) if "fragment" in vector else None)
    assert packet.last == vector.get("last", 0)
    assert packet.channel == vector.get("channel", 7)
    assert packet.sent_ns == SENT
    assert packet.origin == (int(vector["origin"], 16) if "origin" in vector else None)


@pytest.mark.parametrize("vector", cases("moldudp64"))
def test_moldudp64_both_ways(vector: dict[str, Any]) -> None:
    wire = codec("moldudp64")
    session = wire.parse_session(vector["session"])
    assert encode(wire, session, vector).hex() == vector["datagram"].hex()
    packets, malformed = wire.decode([vector["datagram"]])
    assert malformed == []
    (packet,) = packets
    assert packet.kind == Kind[vector["kind"].upper()]
    assert wire.session_text(packet.session) == vector["session"]
    assert packet.sequence == vector["sequence"]
    assert list(packet.payloads) == [p.encode() for p in vector.get("payloads", [])]
    assert (packet.fragment, packet.channel, packet.sent_ns, packet.origin) == (None, None, None, None)


@pytest.mark.parametrize("wire", ["native", "moldudp64"])
def test_the_specification_shows_the_same_vectors(wire: str) -> None:
    text = (SPECS / f"wire-{wire}.md").read_text().split("## Test vectors")[1]
    shown = re.findall(r"`([0-9a-f]{8}[0-9a-f ]+)`", text)
    assert shown == [vector["hex"] for vector in vectors(wire)]
