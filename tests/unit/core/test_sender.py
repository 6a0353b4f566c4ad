"""The sending half, state by state. Round trips under hypothesis: tests/property/test_sender.py."""

import pytest

from bridge.api import Hole, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.core.sender import MAX_EMPTY_MESSAGES, SenderSettings, StreamSender, Unsendable
from bridge.wire import codec
from bridge.wire.packet import MAX_DATAGRAM, MAX_SEQUENCE, Codec, Kind, Packet

S = Stream("c", bytes(range(1, 9)))
T = Stream("c", bytes(range(2, 10)))
M = Stream("c", b"SESS000001")
MS = 1_000_000


class Bench:
    """A sender and the packets that its datagrams decode to."""

    def __init__(self, wire: Codec | None = None, **settings: object) -> None:
        self.wire = wire or codec("native")
        self.sender = StreamSender(self.wire, SenderSettings(**settings))
        self.now = 0
        self.datagrams: list[tuple[bytes, int]] = []

    def add(self, *items: Item) -> list[Packet]:
        for item in items:
            self.sender.add(item, self.now, 10**18 + self.now)
        return self.take()

    def take(self, limit: int | None = None) -> list[Packet]:
        self.datagrams = self.sender.datagrams(self.now, 10**18 + self.now, limit)
        packets, malformed = self.wire.decode([datagram for datagram, _ in self.datagrams])
        assert malformed == []
        return packets

    def wait(self) -> list[Packet]:
        """Go to the next timer; one ns before it nothing happens."""
        due = self.sender.next_timer()
        assert due is not None
        if due > self.now:
            self.now = due - 1
            assert self.take() == []
            self.now = due
        return self.take()


def said(packets: list[Packet]) -> list[tuple[str, int, object]]:
    """(kind, sequence, payloads or last)."""
    found: list[tuple[str, int, object]] = []
    for p in packets:
        what: object = list(p.payloads) if p.kind == Kind.DATA else p.last if p.kind == Kind.HOLE else None
        found.append((Kind(p.kind).name, p.sequence, what))
    return found


def start(stream: Stream = S, first: int = 1, protocol: str = "native") -> SessionStart:
    return SessionStart(stream, protocol, first)


def batch(first: int, *payloads: bytes, stream: Stream = S, numbers: list[int] | None = None) -> MessageBatch:
    return MessageBatch(stream, first, list(payloads), 0, numbers)


def test_nothing_goes_out_before_a_session() -> None:
    bench = Bench()
    assert bench.take() == []
    assert bench.sender.next_timer() is None
    assert bench.sender.finished


def test_a_session_starts_with_a_heartbeat() -> None:
    bench = Bench()
    packets = bench.add(start(first=5))
    assert said(packets) == [("HEARTBEAT", 5, None)]
    assert packets[0].session == S.session
    assert not bench.sender.finished


def test_small_messages_share_a_datagram_in_order() -> None:
    bench = Bench()
    bench.add(start())
    assert said(bench.add(batch(1, b"a", b"", b"c"))) == [("DATA", 1, [b"a", b"", b"c"])]
    assert bench.datagrams[0][1] == 3


def test_datagrams_end_with_their_batch() -> None:
    bench = Bench()
    bench.add(start())
    assert said(bench.add(batch(1, b"a"), batch(2, b"b"))) == [("DATA", 1, [b"a"]), ("DATA", 2, [b"b"])]


def test_packing_fills_the_datagram_to_the_byte() -> None:
    bench = Bench(max_datagram=44 + 2 * (2 + 10))
    bench.add(start())
    packets = bench.add(batch(1, *[bytes(10)] * 5))
    assert [(p.sequence, len(p.payloads)) for p in packets] == [(1, 2), (3, 2), (5, 1)]
    assert [len(d) for d, _ in bench.datagrams] == [68, 68, 56]


def test_packing_can_be_switched_off() -> None:
    bench = Bench(pack=False)
    bench.add(start())
    assert said(bench.add(batch(1, b"a", b"b"))) == [("DATA", 1, [b"a"]), ("DATA", 2, [b"b"])]


def test_packing_does_not_depend_on_time_or_limit() -> None:
    payloads = [bytes(i % 300) for i in range(200)]
    whole, slow = Bench(), Bench()
    whole.add(start()), slow.add(start())
    expected = said(whole.add(batch(1, *payloads)))
    slow.sender.add(batch(1, *payloads), 0, 0)
    found: list[Packet] = []
    while slow.sender.pending:
        packets = slow.take(limit=1)
        assert len(packets) <= 1
        slow.now += MS
        found += packets
    assert said(found) == expected


def test_a_large_message_is_split() -> None:
    bench = Bench(max_datagram=52 + 10)
    bench.add(start())
    packets = bench.add(batch(1, b"x", bytes(range(25)), b"y"))
    assert [(p.sequence, p.fragment) for p in packets] == [
        (1, None),
        (2, (0, 25)),
        (2, (10, 25)),
        (2, (20, 25)),
        (3, None),
    ]
    assert b"".join(p.payloads[0] for p in packets[1:4]) == bytes(range(25))
    assert [messages for _, messages in bench.datagrams] == [1, 0, 0, 1, 1]
    assert max(len(d) for d, _ in bench.datagrams) == 62


def test_a_message_of_whole_pieces_is_complete_with_the_last() -> None:
    bench = Bench(max_datagram=52 + 10)
    bench.add(start())
    assert [p.fragment for p in bench.add(batch(1, bytes(30)))] == [(0, 30), (10, 30), (20, 30)]
    assert [messages for _, messages in bench.datagrams] == [0, 0, 1]
    assert said(bench.wait()) == [("HEARTBEAT", 2, None)]


def test_the_largest_whole_message_is_not_split() -> None:
    bench = Bench(max_datagram=100)
    bench.add(start())
    assert [p.fragment for p in bench.add(batch(1, bytes(54)))] == [None]
    assert [p.fragment for p in bench.add(batch(2, bytes(55)))] == [(0, 55), (48, 55)]


def test_a_limit_cuts_inside_a_message_and_goes_on() -> None:
    bench = Bench(max_datagram=53)
    bench.add(start())
    bench.sender.add(batch(1, b"abcde" * 3), 0, 0)
    pieces: list[Packet] = []
    while bench.sender.pending:
        packets = bench.take(limit=2)
        assert len(packets) <= 2
        pieces += packets
    assert [p.fragment.offset for p in pieces if p.fragment] == list(range(15))
    assert not bench.sender.pending


def test_send_time_is_the_time_of_sending() -> None:
    bench = Bench(pack=False)
    bench.add(start())
    bench.sender.add(batch(1, b"a", b"b"), 0, 0)
    (first,) = bench.take(limit=1)
    bench.now += 5
    (second,) = bench.take(limit=1)
    assert (first.sent_ns, second.sent_ns) == (10**18, 10**18 + 5)


def test_numbers_taken_out_are_announced() -> None:
    bench = Bench()
    bench.add(start())
    items = batch(1, b"a", b"d", b"e", b"g", numbers=[1, 4, 5, 7]), batch(9, b"i")
    expected = [
        ("DATA", 1, [b"a"]),
        ("HOLE", 2, 3),
        ("DATA", 4, [b"d", b"e"]),
        ("HOLE", 6, 6),
        ("DATA", 7, [b"g"]),
        ("HOLE", 8, 8),
        ("DATA", 9, [b"i"]),
    ]
    assert said(bench.add(*items)) == expected


def test_a_batch_that_lost_all_its_messages() -> None:
    bench = Bench()
    bench.add(start())
    assert bench.add(MessageBatch(S, 5, [], 0, [])) == []
    assert said(bench.add(batch(5, b"e"))) == [("HOLE", 1, 4), ("DATA", 5, [b"e"])]


def test_holes() -> None:
    bench = Bench()
    bench.add(start())
    assert said(bench.add(Hole(S, 1, 2**40, "wire"))) == [("HOLE", 1, 2**40)]
    assert said(bench.add(Hole(S, 2**40 + 3, 2**40 + 3, "stale"))) == [
        ("HOLE", 2**40 + 1, 2**40 + 2),
        ("HOLE", 2**40 + 3, 2**40 + 3),
    ]


def test_heartbeats_when_idle_only() -> None:
    bench = Bench(heartbeat_ns=100 * MS)
    bench.add(start())
    bench.now = 60 * MS
    bench.add(batch(1, b"a", b"b"))
    assert bench.sender.next_timer() == 160 * MS
    assert said(bench.wait()) == [("HEARTBEAT", 3, None)]
    assert said(bench.wait()) == [("HEARTBEAT", 3, None)]
    assert bench.now == 260 * MS


def test_no_heartbeat_while_something_waits() -> None:
    bench = Bench(pack=False, heartbeat_ns=100 * MS)
    bench.add(start())
    bench.now = 50 * MS
    bench.sender.add(batch(1, b"a", b"b"), bench.now, 0)
    assert bench.sender.next_timer() == 50 * MS, "what waits is due at once"
    bench.now = 500 * MS
    assert bench.take(limit=0) == []
    assert said(bench.take(limit=1)) == [("DATA", 1, [b"a"])]
    assert said(bench.take(limit=1)) == [("DATA", 2, [b"b"])]


def test_heartbeats_can_be_switched_off() -> None:
    bench = Bench(heartbeat_ns=None)
    bench.add(start())
    assert bench.sender.next_timer() is None
    bench.now = 10**15
    assert bench.take() == []


def test_the_end_is_repeated() -> None:
    bench = Bench(end_count=3, end_interval_ns=10 * MS)
    bench.add(start())
    assert said(bench.add(batch(1, b"a"), SessionEnd(S, 2))) == [("DATA", 1, [b"a"]), ("END", 2, None)]
    for now in (10 * MS, 20 * MS):
        assert not bench.sender.finished
        assert said(bench.wait()) == [("END", 2, None)]
        assert bench.now == now
    assert bench.sender.finished
    assert bench.sender.next_timer() is None


def test_an_end_beyond_the_last_message_announces_what_is_between() -> None:
    bench = Bench()
    bench.add(start())
    assert said(bench.add(SessionEnd(S, 4))) == [("HOLE", 1, 3), ("END", 4, None)]


def test_a_new_session_sends_the_ends_still_due_first() -> None:
    bench = Bench(end_count=3)
    bench.add(start(), SessionEnd(S, 1))
    packets = bench.add(start(T, 7))
    assert said(packets) == [("END", 1, None), ("END", 1, None), ("HEARTBEAT", 7, None)]
    assert [p.session for p in packets] == [S.session, S.session, T.session]


def test_a_new_session_shows_the_tail_of_one_that_did_not_end() -> None:
    bench = Bench()
    bench.add(start(), batch(1, b"a"))
    packets = bench.add(start(T, 7))
    assert said(packets) == [("HEARTBEAT", 2, None), ("HEARTBEAT", 7, None)]
    assert [p.session for p in packets] == [S.session, T.session]


def test_a_restart_is_another_session_on_the_wire() -> None:
    bench = Bench()
    (first,) = bench.add(start())
    *_, again = bench.add(start(S._replace(restart=1)))
    assert len(again.session) == 8
    assert again.session != first.session


def test_the_same_stream_may_begin_lower_to_repeat() -> None:
    bench = Bench()
    bench.add(start(), batch(1, b"a", b"b"))
    assert said(bench.add(start(first=2), batch(2, b"b"))) == [("DATA", 2, [b"b"])]
    assert said(bench.add(start(first=9))) == [("HOLE", 3, 8)]


def test_a_session_without_a_name_is_made_from_the_clock() -> None:
    bench = Bench()
    nameless = Stream("c", b"")
    bench.now = 77
    packets = bench.add(start(nameless), batch(1, b"a", stream=nameless))
    bench.now = 99
    packets += bench.add(start(nameless, 1), batch(1, b"a", stream=nameless))
    assert {p.session for p in packets} == {(10**18 + 77).to_bytes(8, "big")}


# MoldUDP64: no fragments, no holes, numbers from 1


def mold(**settings: object) -> Bench:
    bench = Bench(codec("moldudp64"), **settings)
    assert said(bench.add(start(M, 1, "moldudp64"))) == [("HEARTBEAT", 1, None)]
    return bench


def test_moldudp64_reports_what_is_too_large() -> None:
    bench = mold(max_datagram=100)
    assert bench.sender.max_message == 78
    packets = bench.add(batch(1, b"a", bytes(79), bytes(80), bytes(78), stream=M))
    assert [(p.sequence, len(p.payloads)) for p in packets] == [(1, 1), (4, 1)]
    (event,) = bench.sender.events()
    assert event[:4] == (M, 2, 3, "size")
    assert "79 bytes" in event.detail
    assert bench.sender.events() == []


def test_moldudp64_holes_as_empty_messages() -> None:
    bench = mold(holes="empty")
    assert said(bench.add(Hole(M, 1, 3, "wire"), batch(4, b"d", stream=M))) == [
        ("DATA", 1, [b"", b"", b""]),
        ("DATA", 4, [b"d"]),
    ]
    assert said(bench.add(batch(6, bytes(5000), b"g", stream=M))) == [
        ("DATA", 5, [b""]),
        ("DATA", 6, [b""]),
        ("DATA", 7, [b"g"]),
    ]
    assert [e[1:4] for e in bench.sender.events()] == [(6, 6, "size")]


def test_moldudp64_holes_without_a_way_to_say_so_are_reported() -> None:
    bench = mold()
    assert said(bench.add(Hole(M, 1, 3, "wire"), batch(4, b"d", stream=M))) == [("DATA", 4, [b"d"])]
    assert [e[:4] for e in bench.sender.events()] == [(M, 1, 3, "unannounced")]


def test_a_huge_hole_makes_no_flood_of_empty_messages() -> None:
    bench = mold(holes="empty")
    assert bench.add(Hole(M, 1, 2**50, "wire")) == []
    assert [e[1:4] for e in bench.sender.events()] == [(1, 2**50, "unannounced")]
    assert said(bench.wait()) == [("HEARTBEAT", 2**50 + 1, None)]
    packets = bench.add(Hole(M, 2**50 + 1, 2**50 + MAX_EMPTY_MESSAGES, "wire"))
    assert sum(len(p.payloads) for p in packets) == MAX_EMPTY_MESSAGES
    assert len(packets) < 100
    after = 2**50 + MAX_EMPTY_MESSAGES + 1
    assert bench.add(Hole(M, after, after + MAX_EMPTY_MESSAGES, "wire")) == []


def test_moldudp64_has_no_number_zero() -> None:
    bench = Bench(codec("moldudp64"), holes="empty")
    packets = bench.add(start(S, 0), batch(0, b"zero", b"one"))
    assert said(packets) == [("HEARTBEAT", 1, None), ("DATA", 1, [b"one"])]
    assert [e[:4] for e in bench.sender.events()] == [(S, 0, 0, "sequence")]


def test_moldudp64_end() -> None:
    bench = mold(end_count=1)
    assert said(bench.add(SessionEnd(M, 1))) == [("END", 1, None)]
    assert bench.sender.finished


# raw: no numbers at all


def test_raw_sends_messages_and_nothing_else() -> None:
    bench = Bench(codec("raw"))
    large = bytes(MAX_DATAGRAM)
    items = start(), batch(1, b"a", b"", large), Hole(S, 4, 9, "wire"), batch(12, b"b"), SessionEnd(S, 20), start(T)
    assert [p.payloads[0] for p in bench.add(*items)] == [b"a", b"", large, b"b"]
    assert bench.sender.events() == []
    assert bench.sender.next_timer() is None


def test_raw_reports_what_no_datagram_holds() -> None:
    bench = Bench(codec("raw"))
    bench.add(start())
    assert [p.payloads[0] for p in bench.add(batch(1, bytes(MAX_DATAGRAM + 1), b"b"))] == [b"b"]
    assert bench.sender.events()[0][:4] == (S, 1, 1, "size")


# native, limits


def test_native_announces_what_is_above_its_limit() -> None:
    bench = Bench(codec("native", max_message=10))
    bench.add(start())
    assert said(bench.add(batch(1, b"a", bytes(11), b"c"))) == [
        ("DATA", 1, [b"a"]),
        ("HOLE", 2, 2),
        ("DATA", 3, [b"c"]),
    ]
    assert bench.sender.events() == [
        Unsendable(S, 2, 2, "size", "message of 11 bytes, native carries 10 here"),
    ]


def test_without_splitting_a_datagram_is_the_limit() -> None:
    bench = Bench(split=False, max_datagram=100)
    assert bench.sender.max_message == 54
    bench.add(start())
    assert said(bench.add(batch(1, bytes(55)))) == [("HOLE", 1, 1)]
    assert bench.sender.events()[0].reason == "size"


def test_the_largest_message_that_is_promised_goes_out() -> None:
    for wire, kind in (
        (codec("native", max_message=70_000), "native"),
        (codec("moldudp64"), "moldudp64"),
        (codec("raw"), "raw"),
    ):
        bench = Bench(wire)
        bench.add(start(M, 1, kind))
        bench.add(batch(1, bytes(bench.sender.max_message), stream=M))
        assert bench.sender.events() == []
        bench.add(batch(2, bytes(bench.sender.max_message + 1), stream=M))
        assert [e.reason for e in bench.sender.events()] == ["size"]


@pytest.mark.parametrize(
    "items",
    [
        [batch(1, b"a")],
        [start(), batch(1, b"a", stream=T)],
        [start(), batch(1, b"a"), batch(1, b"a")],
        [start(), Hole(S, 1, 5, "wire"), batch(5, b"a")],
        [start(), batch(3, b"a"), SessionEnd(S, 3)],
        [start(), SessionEnd(S, 1), batch(1, b"a")],
        [start(), batch(MAX_SEQUENCE + 1, b"a")],
        [start(first=9), batch(8, b"a")],
    ],
)
def test_items_out_of_order_are_our_own_mistake(items: list[Item]) -> None:
    bench = Bench()
    with pytest.raises(ValueError):
        bench.add(*items)


def test_the_highest_number() -> None:
    bench = Bench()
    items = start(first=MAX_SEQUENCE), batch(MAX_SEQUENCE, b"a"), SessionEnd(S, MAX_SEQUENCE + 1)
    assert said(bench.add(*items))[1:] == [("DATA", MAX_SEQUENCE, [b"a"]), ("END", MAX_SEQUENCE + 1, None)]


@pytest.mark.parametrize(
    ("wire", "settings"),
    [
        ("native", {"max_datagram": 52}),
        ("native", {"max_datagram": MAX_DATAGRAM + 1}),
        ("moldudp64", {"max_datagram": 22}),
        ("native", {"end_count": 0}),
        ("raw", {"holes": "empty"}),
    ],
)
def test_settings_that_cannot_be(wire: str, settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        StreamSender(codec(wire), SenderSettings(**settings))
