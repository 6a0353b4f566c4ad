"""Raw: numbers by arrival, lines matched by content. The oracle counts copies and knows nothing of debts."""

from collections import Counter
from random import Random

import pytest

from bridge.api import SessionStart
from bridge.core import limits
from bridge.testing.network import Impairment, SimulatedNetwork
from bridge.wire import codec
from tests.support.channel import MS, SECOND, A, B, C, Channel


def raw(lines: int = 2, **settings: object) -> Channel:
    return Channel(lines, codec("raw"), **settings)


def test_numbers_by_arrival_from_the_first() -> None:
    channel = raw(1, raw_session=b"thisruns", raw_next=42)
    channel.words(A, [b"a", b"b", b"a"])
    channel.end_pass()
    channel.word(A, b"c")
    channel.end_pass()
    start = channel.items[0]
    assert isinstance(start, SessionStart)
    assert (start.stream.session, start.protocol) == (b"thisruns", "raw")
    assert channel.out == ["start 42", 42, 43, 44, 45]
    assert channel.payloads == [b"a", b"b", b"a", b"c"]


def test_the_kth_copy_on_one_line_is_the_kth_on_the_other() -> None:
    channel = raw()
    channel.words(A, [b"x", b"x", b"y"])
    channel.words(B, [b"x", b"y", b"x", b"x"])
    channel.word(A, b"x")
    channel.end_pass()
    assert channel.payloads == [b"x", b"x", b"y", b"x"]
    one, other = channel.receiver.lines
    assert (one.ledger.accepted, one.ledger.duplicate_other_line) == (3, 1)
    assert (other.ledger.accepted, other.ledger.duplicate_other_line) == (1, 3)
    assert (one.sole, other.sole) == (0, 0)


def test_the_same_bytes_again_after_a_while_are_a_message() -> None:
    channel = raw()
    channel.word(A, b"x")
    channel.word(B, b"x")
    channel.now += 10 * SECOND
    channel.word(B, b"x")
    channel.word(A, b"x")
    channel.end_pass()
    assert channel.payloads == [b"x", b"x"]
    assert [line.lost for line in channel.receiver.lines] == [0, 0]


def test_what_the_other_line_does_not_bring_in_time_was_lost_there() -> None:
    channel = raw()
    channel.word(B, b"first")
    channel.words(A, [b"first", b"x", b"y"])
    channel.word(B, b"y")
    channel.now += limits.RAW_COPIES_AGE_NS
    channel.word(B, b"x")
    assert channel.receiver.lines[B].lost == 1
    channel.close()
    assert channel.payloads == [b"first", b"x", b"y", b"x"], "so late it is a new message"


def test_a_line_that_returns_from_silence_brings_no_message_twice() -> None:
    channel = raw(silent_after_ns=SECOND)
    channel.word(A, b"0")
    channel.word(B, b"0")
    for number in range(1, 6):
        channel.after(SECOND)
        channel.word(A, b"%d" % number)
    assert channel.receiver.lines[B].silent
    channel.word(B, b"5")
    channel.close()
    assert channel.payloads == [b"%d" % number for number in range(6)]
    assert channel.receiver.lines[B].lost == 4


def test_a_line_that_never_spoke_loses_nothing_and_costs_no_more_than_the_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RAW_COPIES", 10)
    channel = raw(3)
    for number in range(100):
        channel.word(A, b"%d" % number)
    stream = channel.receiver.streams[0]
    assert len(stream._debts) == 10  # type: ignore[union-attr]  # a raw stream
    assert [channel.receiver.lines[line].lost for line in (B, C)] == [0, 0]


def test_copies_that_were_paid_do_not_count_against_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RAW_COPIES", 10)
    channel = raw()
    channel.word(B, b"late")
    for number in range(100):
        channel.word(A, b"%d" % number)
        channel.word(B, b"%d" % number)
    channel.close()
    assert channel.receiver.lines[A].lost == 1
    assert channel.receiver.lines[B].lost == 0


def test_what_a_disk_window_kept_is_numbered_the_same() -> None:
    channel = raw()
    channel.words(A, [b"x", b"y"])
    channel.words(B, [b"y", b"z", b"x", b"x"])
    channel.close()
    other = channel.reborn()
    other.close()
    assert (other.payloads, other.out) == (channel.payloads, channel.out)
    assert other.receiver.streams[0].ledger.restored == len(channel.payloads)
    assert other.receiver.lines[A].ledger.datagrams == 0


@pytest.mark.parametrize("seed", range(60))
def test_each_message_once_over_lines_that_lose_repeat_and_die(seed: int) -> None:
    random = Random(seed)
    count = random.choice([1, 2, 2, 3])
    lines = []
    for _ in range(count):
        start = random.randrange(1, 400) * MS
        dead = [(start, start + random.randrange(100) * MS)] if random.random() < 0.5 else []
        lines.append(
            Impairment(random.choice([0, 0.1]), 0, random.choice([0, 0.3]), random.randrange(3 * MS), 5 * MS, dead)
        )
    network = SimulatedNetwork(seed, lines)
    for at in range(500):
        network.send(random.choice([b"tick", b"%d" % at, b"%d" % (at % 7)]), at * MS)
    channel = raw(count)
    seen: list[Counter[bytes]] = [Counter() for _ in lines]
    expected, out = [], Counter[bytes]()
    for arrival in network.arrivals():
        channel.now = arrival.at_ns
        channel.word(arrival.line, arrival.datagram)
        channel.end_pass()
        seen[arrival.line][arrival.datagram] += 1
        if seen[arrival.line][arrival.datagram] > out[arrival.datagram]:
            out[arrival.datagram] += 1
            expected.append(arrival.datagram)
    channel.close()
    assert channel.payloads == expected
    assert [line.lost for line in channel.receiver.lines] == [
        sum((out - of_line).values()) if of_line else 0 for of_line in seen
    ]
    if count == 2:
        one, other = seen
        assert [line.sole for line in channel.receiver.lines] == [
            sum((one - other).values()),
            sum((other - one).values()),
        ]
