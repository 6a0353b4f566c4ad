"""One run of `send` on lines in memory: what goes out, what the report says, and that pacing and ends are right."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.api import Stream
from bridge.api.options import RateValue
from bridge.cli.impairment import ImpairedLine, Impairment
from bridge.cli.sending import Line, Sending
from bridge.core.sender import SenderSettings, StreamSender
from bridge.wire import codec
from bridge.wire.packet import Codec, Kind

SESSION = {"raw": b"", "native": b"\0" * 7 + b"\7", "moldudp64": b"SESSION001"}
NONE = Impairment()
FAST = RateValue(bits=1e12)


class Wire:
    """An outlet of one line that keeps what it got; `most` datagrams a call, so that a full buffer is tried too."""

    max_datagram = 1472

    def __init__(self, most: int = 10_000) -> None:
        self.sent: list[bytes] = []
        self.up = True
        self._most = most

    def send(self, datagrams: Any) -> int:
        taken = min(self._most, len(datagrams)) if self.up else 0
        self.sent += datagrams[:taken]
        return taken

    def poll(self) -> None: ...

    @property
    def description(self) -> list[dict[str, Any]]:
        return [{"up": self.up, "address": "239.1.1.1:5000", "interface": "lo", "reason": None}]

    def close(self) -> None: ...


async def batches(*payloads: list[bytes]) -> AsyncIterator[list[bytes]]:
    for batch in payloads:
        yield batch


def send(
    protocol: str,
    *payloads: list[bytes],
    wires: list[Wire],
    impairment: Impairment = NONE,
    rate: RateValue = FAST,
) -> tuple[Sending, Codec]:
    wire = codec(protocol, channel=7)
    sender = StreamSender(wire, SenderSettings(end_count=2, end_interval_ns=1_000_000))
    lines = [Line("AB"[place], w, ImpairedLine(impairment, 1, place)) for place, w in enumerate(wires)]
    sending = Sending(wire, sender, lines, rate)
    stream = Stream("c", SESSION[protocol])
    asyncio.run(sending.run(batches(*payloads), stream, protocol))
    return sending, wire


def arrived(wire: Wire, by: Codec) -> dict[int, bytes]:
    """Whole messages by number, from however many pieces."""
    found: dict[int, bytes] = {}
    parts: dict[int, dict[int, bytes]] = {}
    sizes: dict[int, int] = {}
    decoded = by.decode(wire.sent)
    assert not decoded.malformed
    for packet in decoded.packets:
        if packet.kind != Kind.DATA:
            continue
        if packet.fragment is None:
            found |= {packet.sequence + at: payload for at, payload in enumerate(packet.payloads)}
        else:
            parts.setdefault(packet.sequence, {})[packet.fragment.offset] = packet.payloads[0]
            sizes[packet.sequence] = packet.fragment.size
    for number, pieces in parts.items():
        whole = b"".join(piece for _, piece in sorted(pieces.items()))
        if len(whole) == sizes[number]:
            found[number] = whole
    return found


def test_raw_sends_what_it_got() -> None:
    wire = Wire()
    sending, _ = send("raw", [b"hi"], [b"", b"ho"], wires=[wire])
    assert wire.sent == [b"hi", b"", b"ho"]
    assert sending.report()["messages"] == 3


@pytest.mark.parametrize("protocol", ["native", "moldudp64"])
def test_numbered_messages_begin_at_1_and_the_session_ends(protocol: str) -> None:
    wire = Wire()
    _, by = send(protocol, [b"one", b"two"], [b"three"], wires=[wire])
    assert arrived(wire, by) == {1: b"one", 2: b"two", 3: b"three"}
    packets = by.decode(wire.sent).packets
    assert {packet.session for packet in packets} == {SESSION[protocol]}
    assert (packets[0].kind, packets[0].sequence) == (Kind.HEARTBEAT, 1)
    assert [(p.kind, p.sequence) for p in packets[-2:]] == [(Kind.END, 4)] * 2


def test_all_lines_get_the_same_through_a_buffer_that_fills_up() -> None:
    wires = [Wire(), Wire(most=1)]
    send("native", [b"x" * 900] * 20, wires=wires)
    assert wires[0].sent == wires[1].sent
    assert len(wires[0].sent) == 1 + 20 + 2


def test_the_report_names_what_was_dropped() -> None:
    """What never came whole on a line is what the report says, of single messages, packed ones and split ones."""
    wires = [Wire(), Wire()]
    sizes = [40, 3000, 700, 41, 42, 43, 9000, 1400] * 40
    impairment = Impairment(loss=0.15, duplicate=0.1, reorder=0.1)
    sending, by = send("native", [bytes(size) for size in sizes], wires=wires, impairment=impairment)
    report = sending.report()
    numbers = set(range(1, len(sizes) + 1))
    for wire, line in zip(wires, report["lines"], strict=True):
        missing = numbers - set(arrived(wire, by))
        assert missing == spread(line["dropped"])
        assert line["sent"] == len(wire.sent) == line["datagrams"] - line["lost"] + line["duplicated"]
    both = Wire()
    both.sent = wires[0].sent + wires[1].sent
    assert spread(report["lost_on_all"]) == numbers - set(arrived(both, by)) != set()


def test_a_raw_number_is_the_place_of_the_datagram() -> None:
    wire = Wire()
    payloads = [b"%d" % number for number in range(1, 201)]
    sending, _ = send("raw", payloads[:50], payloads[50:], wires=[wire], impairment=Impairment(loss=0.1))
    lost = {int(payload) for payload in payloads} - {int(payload) for payload in wire.sent}
    report = sending.report()
    assert spread(report["lost_on_all"]) == spread(report["lines"][0]["dropped"]) == lost != set()


def test_a_line_that_is_down_is_counted_and_holds_nobody_up() -> None:
    wires = [Wire(), Wire()]
    wires[1].up = False
    sending, _ = send("raw", [b"x"] * 5, wires=wires)
    assert len(wires[0].sent) == 5
    assert [line.missed for line in sending.lines] == [0, 5]


def test_what_does_not_fit_is_reported() -> None:
    wire = Wire()
    sending, by = send("moldudp64", [b"a", bytes(2000), b"b"], wires=[wire])
    assert arrived(wire, by) == {1: b"a", 3: b"b"}
    assert [(event["first"], event["reason"]) for event in sending.report()["unsendable"]] == [(2, "size")]


def test_a_rate_in_messages_sends_one_at_a_time() -> None:
    """Messages that were there at once go out one by one, and none is packed with one that is due later."""
    wire = Wire()
    _, by = send("native", *([b"m"] for _ in range(5)), wires=[wire], rate=RateValue(messages=1000))
    data = [packet for packet in by.decode(wire.sent).packets if packet.kind == Kind.DATA]
    assert [len(packet.payloads) for packet in data] == [1] * 5


def test_stop_ends_the_session_in_order() -> None:
    async def endless() -> AsyncIterator[list[bytes]]:
        number = 0
        while True:
            number += 1
            if number == 10:
                sending.stop()
            yield [b"m"]

    wire, by = Wire(), codec("native")
    sender = StreamSender(by, SenderSettings(end_count=2, end_interval_ns=1_000_000))
    sending = Sending(by, sender, [Line("A", wire, ImpairedLine(Impairment(), 1, 0))], FAST)
    asyncio.run(sending.run(endless(), Stream("c", SESSION["native"]), "native"))
    assert 9 <= sending.messages <= 11
    assert by.decode(wire.sent).packets[-1].sequence == sending.messages + 1
    assert len(arrived(wire, by)) == sending.messages


def test_an_error_of_the_input_reaches_the_caller() -> None:
    async def broken() -> AsyncIterator[list[bytes]]:
        yield [b"m"]
        raise OSError("disk on fire")

    by = codec("raw")
    sending = Sending(by, StreamSender(by), [Line("A", Wire(), ImpairedLine(Impairment(), 1, 0))], FAST)
    with pytest.raises(OSError, match="disk on fire"):
        asyncio.run(sending.run(broken(), Stream("c", b""), "raw"))


def spread(ranges: list[list[int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}
