"""What is encoded comes back as it was, on every wire, with every option, for any content."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.api.items import HoleReason
from bridge.wire import codec
from bridge.wire.native_layout import HOLE_CODES
from bridge.wire.packet import MAX_SEQUENCE, Codec, Fragment, Kind, Packet

natives = st.builds(
    lambda channel, keys, origin: codec("native", channel=channel, keys=keys, origin=origin),
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(min_size=1, max_size=64), max_size=2),
    st.none() | st.integers(0, 2**64 - 1),
)
wires = natives | st.just(codec("moldudp64"))
numbers = st.integers(0, MAX_SEQUENCE) | st.integers(MAX_SEQUENCE - 3, MAX_SEQUENCE)
times = st.integers(0, 2**64 - 1)
payloads = st.lists(st.binary(max_size=200), min_size=1, max_size=300)


def sessions(wire: Codec) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=wire.session_bytes, max_size=wire.session_bytes)


def back(wire: Codec, datagram: bytes, session: bytes, sent: int) -> Packet:
    """The one packet of a datagram; what every packet must hold is checked here."""
    packets, malformed = wire.decode([datagram])
    assert malformed == []
    (packet,) = packets
    assert packet.session == session
    assert wire.parse_session(wire.session_text(session)) == session
    if wire.name == "native":
        assert packet.sent_ns == sent
    return packet


@given(st.data(), wires, numbers, payloads, times)
def test_data(data: st.DataObject, wire: Codec, number: int, messages: list[bytes], sent: int) -> None:
    session = data.draw(sessions(wire))
    number = min(number, MAX_SEQUENCE - len(messages) + 1)
    packet = back(wire, wire.encode_data(session, number, messages, sent), session, sent)
    assert (packet.kind, packet.sequence, packet.fragment) == (Kind.DATA, number, None)
    assert packet.payloads == messages


@given(st.data(), natives, numbers, st.binary(min_size=1, max_size=2000), times)
def test_fragments(data: st.DataObject, wire: Codec, number: int, piece: bytes, sent: int) -> None:
    session = data.draw(sessions(wire))
    offset = data.draw(st.integers(0, wire.max_message - len(piece)))
    size = data.draw(st.integers(offset + len(piece), wire.max_message))
    datagram = wire.encode_fragment(session, number, Fragment(offset, size), piece, sent)
    packet = back(wire, datagram, session, sent)
    assert (packet.kind, packet.sequence, packet.fragment) == (Kind.DATA, number, Fragment(offset, size))
    assert packet.payloads == [piece]


@given(st.data(), wires, st.integers(0, MAX_SEQUENCE + 1), times)
def test_heartbeat_and_end(data: st.DataObject, wire: Codec, number: int, sent: int) -> None:
    session = data.draw(sessions(wire))
    beat = back(wire, wire.encode_heartbeat(session, number, sent), session, sent)
    end = back(wire, wire.encode_end(session, number, sent), session, sent)
    assert (beat.kind, beat.sequence, list(beat.payloads)) == (Kind.HEARTBEAT, number, [])
    assert (end.kind, end.sequence, list(end.payloads)) == (Kind.END, number, [])


@given(st.data(), natives, numbers, numbers, times, st.sampled_from(list(HOLE_CODES)))
def test_holes(data: st.DataObject, wire: Codec, one: int, other: int, sent: int, reason: HoleReason) -> None:
    session = data.draw(sessions(wire))
    first, last = min(one, other), max(one, other)
    packet = back(wire, wire.encode_hole(session, first, last, sent, reason), session, sent)
    assert (packet.kind, packet.sequence, packet.last) == (Kind.HOLE, first, last)
