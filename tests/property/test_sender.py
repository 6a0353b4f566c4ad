"""Whatever is given to the sender arrives once, whole, in order and within the MTU; the rest is announced or reported."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.api import Hole, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.core.sender import SenderSettings, StreamSender
from bridge.wire import codec
from bridge.wire.packet import Kind

S = Stream("c", b"SESS000001")
PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("messages"), st.lists(st.binary(max_size=400), max_size=40)),
        st.tuples(st.just("hole"), st.integers(1, 50)),
        st.tuples(st.just("left out"), st.integers(1, 5)),
    ),
    max_size=12,
)


def make(plan: list[tuple[str, object]], first: int) -> tuple[list[Item], dict[int, bytes], int]:
    """The items of a plan, the messages in it by number, and the next number."""
    items: list[Item] = [SessionStart(S, "moldudp64", first)]
    messages: dict[int, bytes] = {}
    number = first
    for what, value in plan:
        if what == "messages":
            assert isinstance(value, list)
            items.append(MessageBatch(S, number, value, 0))
            messages.update(enumerate(value, number))
            number += len(value)
        else:
            assert isinstance(value, int)
            if what == "hole":
                items.append(Hole(S, number, number + value - 1, "wire"))
            number += value
    items.append(SessionEnd(S, number))
    return items, messages, number


@given(
    PIECES,
    st.sampled_from(["native", "moldudp64"]),
    st.integers(60, 500),
    st.booleans(),
    st.booleans(),
    st.integers(1, 5),
    st.integers(1, 7) | st.none(),
)
def test_every_number_is_sent_announced_or_reported(
    plan: list[tuple[str, object]], name: str, mtu: int, pack: bool, split: bool, first: int, limit: int | None
) -> None:
    wire = codec(name)
    holes = "packet" if wire.holes else "empty"
    sender = StreamSender(wire, SenderSettings(max_datagram=mtu, pack=pack, split=split, end_count=1, holes=holes))
    items, messages, following = make(plan, first)
    datagrams: list[tuple[bytes, int]] = []
    for item in items:
        sender.add(item, 0, 0)
        while sender.pending:
            found = sender.datagrams(0, 0, limit)
            assert limit is None or len(found) <= limit
            datagrams += found
    assert sender.finished
    assert all(len(datagram) <= mtu for datagram, _ in datagrams)

    packets, malformed = wire.decode([datagram for datagram, _ in datagrams])
    assert malformed == []
    assert (packets[0].kind, packets[0].sequence) == (Kind.HEARTBEAT, first)
    assert (packets[-1].kind, packets[-1].sequence) == (Kind.END, following)
    number, part, got, announced = first, b"", dict[int, bytes](), set[int]()
    for packet in packets[1:-1]:
        assert packet.sequence == number, "numbers follow each other on the wire, with nothing twice"
        if packet.kind == Kind.HOLE:
            announced.update(range(packet.sequence, packet.last + 1))
            number = packet.last + 1
        elif packet.fragment is None:
            assert part == b""
            got.update(enumerate(packet.payloads, number))
            number += len(packet.payloads)
        else:
            assert packet.fragment.offset == len(part)
            part += packet.payloads[0]
            if len(part) == packet.fragment.size:
                got[number], part, number = part, b"", number + 1
    assert number == following
    too_large = {n for event in sender.events() for n in range(event.first, event.last + 1) if event.reason == "size"}
    assert too_large == {n for n, payload in messages.items() if len(payload) > sender.max_message}
    expected = {n: payload for n, payload in messages.items() if n not in too_large}
    if wire.holes:
        assert got == expected
        assert announced == set(range(first, following)) - set(expected)
    else:
        assert got == dict.fromkeys(range(first, following), b"") | expected
    assert sum(count for _, count in datagrams) == len(got)


@given(PIECES, st.integers(60, 500))
def test_the_same_items_make_the_same_datagrams(plan: list[tuple[str, object]], mtu: int) -> None:
    items, _, _ = make(plan, 1)
    twins = []
    for _ in range(2):
        sender = StreamSender(codec("native", channel=3), SenderSettings(max_datagram=mtu))
        for item in items:
            sender.add(item, 0, 0)
        twins.append(sender.datagrams(0, 0))
    assert twins[0] == twins[1]
