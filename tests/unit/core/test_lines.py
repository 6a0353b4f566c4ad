"""The place of one line in one stream, against a model that remembers every number."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.api import Sample
from bridge.core import limits
from bridge.core.events import SecondSender
from bridge.core.lines import LinePosition, LineState
from bridge.core.ranges import RangeSet
from bridge.wire import codec
from tests.support.channel import MS, SECOND, A, B, C, Channel

BROUGHT = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), min_size=1, max_size=30)


@given(BROUGHT, st.lists(st.integers(0, 60), max_size=5))
def test_what_a_line_lacks(words: list[tuple[int, int]], settles: list[int]) -> None:
    """Whenever line loss is counted in between, at the end it is what the line did not bring."""
    line = LineState("A")
    line.ever = True
    abandoned = RangeSet()
    abandoned.add(20, 25)
    position = LinePosition(line, abandoned)
    model: set[int] = set()
    settles = list(settles)
    for first, count in words:
        if position.next is None:
            position.begin(first, 0, 0)
        new = position.bring(first, first + count)
        assert new == len(set(range(first, first + count)) - model)
        model |= set(range(first, first + count))
        assert [n for n in range(60) if position.brought(n)] == sorted(model)
        if settles:
            position.settle(0, settles.pop())
    position.settle(0, 60)
    assert line.lost == len(set(range(60)) - model - (set(range(20, 25)) - model))


def test_a_line_that_joins_later_counts_from_its_first_word() -> None:
    line = LineState("B")
    position = LinePosition(line, RangeSet())
    position.settle(1, 500)
    assert line.lost == 0, "it has not spoken in this run"
    position.begin(1000, 1, 256)
    position.bring(1000, 1001)
    position.bring(1002, 1003)
    position.settle(1, 1003)
    assert line.lost == 1


def test_a_line_whose_first_word_is_near_counts_from_the_start() -> None:
    line = LineState("B")
    position = LinePosition(line, RangeSet())
    position.begin(3, 1, 256)
    position.bring(3, 4)
    position.settle(1, 4)
    assert line.lost == 2


def test_a_line_that_spoke_before_and_says_nothing_of_this_stream_lost_it_all() -> None:
    line = LineState("B")
    line.ever = True
    position = LinePosition(line, RangeSet())
    position.settle(1, 101)
    assert line.lost == 100
    position.begin(51, 1, 0)
    position.bring(51, 60)
    assert line.lost == 91, "it lagged"


def test_what_falls_out_of_the_table_is_counted(monkeypatch: object) -> None:
    line = LineState("A")
    position = LinePosition(line, RangeSet())
    position.begin(0, 0, 0)
    stop = 4 * limits.LINE_RANGES
    for number in range(0, stop, 2):
        position.bring(number, number + 1)
    assert len(position.missing) <= limits.LINE_RANGES
    position.settle(0, stop)
    assert line.lost == stop // 2


@given(st.permutations([(number, cut) for number in range(4) for cut in range(3)]), st.integers(0, 12))
def test_a_fragmented_message_is_brought_with_its_last_piece(words: list[tuple[int, int]], count: int) -> None:
    line = LineState("A")
    position = LinePosition(line, RangeSet())
    seen: set[tuple[int, int]] = set()
    for number, cut in words[:count]:
        if position.next is None:
            position.begin(number, 0, 10)
        assert position.bring_piece(number, cut * 5, 15, 5) is True
        assert position.bring_piece(number, cut * 5, 15, 5) is False, "the same line twice"
        seen.add((number, cut))
        for each in range(4):
            assert position.brought(each) == all((each, part) in seen for part in range(3))


def test_first_arrivals_sole_and_loss() -> None:
    channel = Channel(2)
    for number in range(1, 11):
        if number != 4:
            channel.data(A, number)
        if number != 7:
            channel.data(B, number)
        channel.end_pass()
    channel.close()
    one, other = channel.receiver.lines
    assert channel.payloads == [b"%d" % number for number in range(1, 11)]
    assert (one.lost, other.lost) == (1, 1)
    assert (one.first_arrivals, other.first_arrivals) == (9, 1)
    assert (one.sole, other.sole) == (1, 1)
    assert one.ledger.duplicate_same_line == other.ledger.duplicate_same_line == 0
    assert other.ledger.duplicate_other_line == 8


def test_a_copy_on_the_same_line_is_a_fault_of_the_network() -> None:
    channel = Channel(2)
    channel.data(A, 1)
    channel.data(A, 1)
    channel.data(B, 1)
    channel.data(B, 1)
    one, other = channel.receiver.lines
    assert (one.ledger.duplicate_same_line, one.ledger.duplicate_other_line) == (1, 0)
    assert (other.ledger.duplicate_same_line, other.ledger.duplicate_other_line) == (1, 1)


def test_sole_with_three_lines() -> None:
    channel = Channel(3)
    for line, number in [(A, 1), (B, 1), (C, 1), (A, 2), (B, 2), (A, 3)]:
        channel.data(line, number)
    assert channel.receiver.lines[A].sole == 1


def test_what_both_lines_lost_is_a_gap_and_no_line_loss() -> None:
    channel = Channel(2)
    for line in (A, B):
        channel.data(line, 1)
    channel.settle()
    for line in (A, B):
        channel.data(line, 3)
    channel.settle()
    channel.close()
    assert channel.out == ["start 1", 1, "2..2 wire", 3]
    assert [line.lost for line in channel.receiver.lines] == [0, 0]


def test_line_loss_at_the_tail_and_across_a_change_of_session() -> None:
    channel = Channel(2)
    channel.run(A, 1, 11)
    channel.run(B, 1, 10)
    channel.settle()
    other = bytes(8)
    for line in (A, B):
        channel.run(line, 1, 4, session=other)
    channel.after(SECOND)
    assert [line.lost for line in channel.receiver.lines] == [0, 1]
    channel.run(A, 4, 6, session=other)
    channel.end_pass()
    channel.close()
    assert [line.lost for line in channel.receiver.lines] == [0, 3]


def test_loss_that_was_counted_and_comes_late_is_none() -> None:
    channel = Channel(2)
    for line in (A, B):
        channel.data(line, 1)
    channel.settle()
    channel.run(A, 2, 100)
    for _ in range(4):
        channel.data(A, channel.current.next)
        channel.after(SECOND)
    assert channel.receiver.lines[B].lost > 90
    channel.run(B, 2, channel.current.next)
    channel.close()
    assert channel.receiver.lines[B].lost == 0


def test_silence_is_said_once_and_so_is_the_return() -> None:
    channel = Channel(2, silent_after_ns=2 * SECOND)
    channel.data(A, 1)
    channel.data(B, 1)
    for number in range(2, 8):
        channel.now += SECOND
        channel.data(A, number)
        channel.end_pass()
    assert [type(event).__name__ for event in channel.events if "Line" in type(event).__name__] == ["LineSilent"]
    assert channel.receiver.lines[B].silent
    channel.data(B, 5)
    assert not channel.receiver.lines[B].silent
    assert [event.line for event in channel.events if "Line" in type(event).__name__] == ["B", "B"]


def test_an_idle_channel_wants_no_timer_for_ever() -> None:
    channel = Channel(2)
    channel.data(A, 1)
    for _ in range(30):
        due = channel.receiver.next_timer()
        if due is None:
            break
        assert due > channel.now
        channel.now = due
        channel.items += channel.receiver.handle_timer(due)
    assert channel.receiver.next_timer() is None
    assert channel.now < 20 * SECOND


def test_skew_is_interpolated_between_samples() -> None:
    channel = Channel(2)
    channel.data(A, 0)
    sender = ("10.0.0.1", 5000)
    wire = codec("native", channel=7)
    for number, at in [(1, 1000), (11, 2000)]:
        channel.word(A, wire.encode_data(channel.session, number, [b"x"], 0), Sample(0, at * MS, sender))
    channel.word(B, wire.encode_data(channel.session, 6, [b"x"], 0), Sample(0, 1530 * MS, sender))
    assert channel.receiver.lines[A].skew_ns == 0.0
    assert channel.receiver.lines[B].skew_ns == 30 * MS


def test_a_second_sender_on_a_line_is_told() -> None:
    channel = Channel(1)
    wire = codec("native", channel=7)
    for number, address in enumerate(["10.0.0.1", "10.0.0.1", "10.0.0.2"], 1):
        sample = Sample(0, number, (address, 5000))
        channel.word(A, wire.encode_data(channel.session, number, [b"x"], 0), sample)
    assert [event.senders for event in channel.said(SecondSender)] == [(("10.0.0.1", 5000), ("10.0.0.2", 5000))]
