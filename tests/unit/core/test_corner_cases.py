"""Cases that receivers of other projects got wrong, or had to be told, each once."""

import pytest

from bridge.api import Stream
from bridge.core.events import Conflict, GapFilled, LateMessages, StreamStarted
from bridge.wire import codec
from tests.support.channel import HOLD, MS, SECOND, A, B, Channel, session

MOLD = b"0000000001"


def started(lines: int = 1, **settings: object) -> Channel:
    """Numbers 1 to 9 came out, on all lines."""
    channel = Channel(lines, **settings)
    for line in range(lines):
        channel.run(line, 1, 10)
    channel.settle()
    assert channel.out == ["start 1", *range(1, 10)]
    return channel


def mold() -> Channel:
    channel = Channel(1, codec("moldudp64"))
    channel.session = MOLD
    return channel


def test_a_packet_straddles_what_is_expected() -> None:
    channel = started()
    channel.data(A, 8, b"8", b"9", b"10", b"11")
    channel.end_pass()
    assert channel.out[-2:] == [10, 11]
    assert channel.receiver.lines[A].ledger.duplicate_same_line == 2


def test_a_packet_straddles_a_gap() -> None:
    channel = started()
    channel.data(A, 12)
    channel.data(A, 9, b"9", b"10", b"11", b"12", b"13")
    channel.end_pass()
    assert channel.payloads[-4:] == [b"10", b"11", b"12", b"13"]


def test_the_other_line_cuts_the_packets_differently() -> None:
    channel = started(2)
    channel.data(A, 10, b"10", b"11", b"12")
    channel.data(B, 10, b"10", b"11")
    channel.data(B, 12, b"12", b"13", b"14")
    channel.data(A, 13, b"13", b"14", b"15")
    channel.end_pass()
    assert channel.out[-6:] == [10, 11, 12, 13, 14, 15]
    assert [line.ledger.accepted for line in channel.receiver.lines] == [9 + 4, 2]


def test_a_heartbeat_overtakes_data() -> None:
    channel = started()
    channel.heartbeat(A, 12)
    channel.after(HOLD // 2)
    channel.data(A, 10, b"10", b"11")
    channel.after(HOLD)
    assert channel.out[-2:] == [10, 11]


def test_only_heartbeats_tell_of_the_tail() -> None:
    channel = started()
    channel.heartbeat(A, 12)
    channel.settle()
    assert channel.out[-1] == "10..11 wire"


def test_the_session_ends_with_an_open_gap() -> None:
    channel = started()
    channel.data(A, 11)
    channel.end(A, 12)
    channel.end(A, 12)
    channel.end_pass()
    assert channel.out[-1] == 9, "the gap is not decided yet"
    channel.settle()
    assert channel.out[-3:] == ["10..10 wire", 11, "end 12"]


def test_an_end_that_is_said_once_and_one_that_is_repeated() -> None:
    channel = started()
    channel.end(A, 10)
    channel.settle()
    assert channel.out[-1] == 9
    for _ in range(5):
        channel.end(A, 10)
        channel.after(100 * MS)
    assert channel.out.count("end 10") == 1
    assert channel.out[-1] == "end 10"


def test_one_forged_end_ends_nothing() -> None:
    channel = started()
    channel.end(A, 10)
    channel.run(A, 10, 20)
    channel.settle()
    assert channel.out[-10:] == list(range(10, 20))


def test_messages_of_length_zero() -> None:
    channel = started()
    channel.data(A, 11, b"", b"")
    channel.data(A, 10, b"")
    channel.end_pass()
    assert channel.payloads[-3:] == [b"", b"", b""]


def test_count_0xffff_is_an_end_and_no_number_of_messages() -> None:
    channel = mold()
    channel.data(A, 1)
    channel.settle()
    for _ in range(2):
        channel.word(A, MOLD + (2).to_bytes(8, "big") + b"\xff\xff")
    channel.end_pass()
    assert channel.out == ["start 1", 1, "end 2"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"\0\2" + b"\0\1x", "short", id="count says more than the datagram holds"),
        pytest.param(b"\0\1" + b"\0\1x" + b"rest", "trailing", id="trailing bytes"),
        pytest.param(b"\0\1" + b"\0\7x", "short", id="a length beyond the end"),
    ],
)
def test_a_count_that_does_not_fit(body: bytes, reason: str) -> None:
    channel = mold()
    channel.data(A, 1)
    channel.word(A, MOLD + (2).to_bytes(8, "big") + body)
    channel.settle()
    assert channel.out == ["start 1", 1]
    assert channel.receiver.lines[A].ledger.malformed == {reason: 1}


def test_the_same_number_with_other_bytes_on_the_other_line() -> None:
    channel = started(2)
    channel.data(A, 10, b"first")
    channel.data(B, 10, b"other")
    channel.end_pass()
    assert channel.payloads[-1] == b"first"
    assert [(conflict.line, conflict.number) for conflict in channel.said(Conflict)] == [("B", 10)]


def test_one_line_is_ahead_by_more_than_the_hold() -> None:
    channel = started(2, hold_packets=8)
    channel.run(A, 10, 200)
    channel.after(10 * HOLD)
    channel.run(B, 10, 200)
    channel.after(HOLD)
    assert channel.out == ["start 1", *range(1, 200)]
    assert len(channel.receiver.streams) == 1, "the line that lags does not begin anything again"


def test_one_line_dies_and_returns() -> None:
    channel = started(2, silent_after_ns=SECOND)
    channel.run(A, 10, 20)
    channel.after(2 * SECOND)
    channel.run(A, 20, 5000)
    channel.after(SECOND)
    channel.run(A, 5000, 5010)
    channel.run(B, 5000, 5010)
    channel.after(HOLD)
    assert channel.out == ["start 1", *range(1, 5010)]
    channel.close()
    assert channel.receiver.lines[B].lost == 4990


def test_a_gap_larger_than_the_hold() -> None:
    channel = started(hold_packets=8)
    channel.data(A, 5000)
    channel.end_pass()
    assert channel.receiver.lines[A].ledger.waiting == 1, "one packet alone does not leap"
    channel.data(A, 5001)
    channel.settle()
    assert channel.out[-3:] == ["10..4999 wire", 5000, 5001]


def test_the_other_line_fills_part_of_an_open_gap() -> None:
    channel = started(2, deadline_ns=SECOND)
    channel.data(A, 20)
    channel.settle()
    channel.data(B, 12, b"12", b"13")
    channel.end_pass()
    assert [(filled.first, filled.last) for filled in channel.said(GapFilled)] == [(12, 13)]
    channel.after(SECOND)
    assert channel.out[-5:] == ["10..11 wire", 12, 13, "14..19 wire", 20]


def test_what_comes_after_its_gap_was_given_up_is_late() -> None:
    channel = started()
    channel.data(A, 12)
    channel.settle()
    channel.data(A, 10, b"10", b"11")
    channel.end_pass()
    assert channel.out[-2:] == ["10..11 wire", 12]
    assert channel.receiver.lines[A].ledger.late == 2
    assert channel.current.ledger.missing == {"wire": 2}, "late never lowers missing"
    assert [(late.first, late.last) for late in channel.said(LateMessages)] == [(10, 11)]


def test_the_highest_number_there_is() -> None:
    last = 2**53 - 2
    channel = Channel(1)
    channel.run(A, last - 2, last + 1)
    channel.end(A, last + 1)
    channel.end(A, last + 1)
    channel.settle()
    assert channel.out == [f"start {last - 2}", last - 2, last - 1, last, f"end {last + 1}"]


def test_the_same_session_begins_again_at_one() -> None:
    channel = started(hold_packets=4)
    channel.run(A, 10, 100)
    channel.end_pass()
    channel.data(A, 1, b"again")
    channel.data(A, 2, b"and again")
    channel.after(HOLD)
    channel.after(HOLD)
    assert channel.streams == [Stream("c", session(1), 0), Stream("c", session(1), 1)]
    assert channel.out[-4:] == ["end 100", "start 1", 1, 2]
    assert channel.payloads[-2:] == [b"again", b"and again"]
    assert [event.cause for event in channel.said(StreamStarted)] == ["first", "restart"]


def test_stragglers_of_an_old_session() -> None:
    channel = started(2)
    channel.data(A, 11)
    for line in (A, B):
        channel.data(line, 1, session=session(2))
        channel.data(line, 2, session=session(2))
    channel.data(B, 10)
    channel.after(HOLD)
    assert channel.out[9:] == [9, 10, 11, "end 12", "start 1", 1, 2], "a straggler within the grace fills its gap"
    channel.data(B, 12)
    channel.end_pass()
    assert channel.receiver.lines[B].ledger.refused == {"old_session": 1}


def test_a_copy_of_a_fragment() -> None:
    channel = started(2)
    channel.piece(A, 10, 0, 4, b"ab")
    channel.piece(A, 10, 0, 4, b"ab")
    channel.piece(B, 10, 0, 4, b"ab")
    channel.piece(B, 10, 2, 4, b"cd")
    channel.piece(A, 10, 2, 4, b"cd")
    channel.end_pass()
    assert channel.payloads[-1] == b"abcd"
    one, other = (line.ledger for line in channel.receiver.lines)
    assert (one.duplicate_same_line, one.duplicate_other_line) == (1, 1)
    assert (other.duplicate_same_line, other.duplicate_other_line) == (0, 9 + 1)


@pytest.mark.parametrize(
    ("offset", "size", "piece"),
    [(0, 4, b"XY"), (0, 5, b"ab"), (1, 4, b"b")],
    ids=["other bytes", "other total size", "offsets overlap"],
)
def test_a_fragment_that_contradicts(offset: int, size: int, piece: bytes) -> None:
    channel = started()
    channel.piece(A, 10, 0, 4, b"ab")
    channel.piece(A, 10, offset, size, piece)
    channel.piece(A, 10, 2, 4, b"cd")
    channel.end_pass()
    assert channel.payloads[-1] == b"abcd"
    assert channel.receiver.lines[A].ledger.refused == {"conflict": 1}
    assert channel.said(Conflict)


def test_the_first_fragment_is_missing() -> None:
    channel = started()
    channel.piece(A, 10, 2, 4, b"cd")
    channel.data(A, 11)
    channel.after(HOLD)
    channel.after(HOLD)
    assert channel.out[-2:] == ["10..10 reassembly", 11]
    assert (channel.current.ledger.evicted, channel.current.ledger.assembling) == (1, 0)


def test_a_message_that_is_never_completed_ages_out() -> None:
    channel = started()
    for second in range(33):
        for part in range(60):
            channel.now += SECOND // 60
            channel.piece(A, 10, second * 60 + part, 10_000, b"x")
            channel.end_pass()
    assert "10..10 reassembly" in channel.out


def test_two_senders_under_one_session() -> None:
    channel = started(hold_packets=4)
    channel.run(A, 10, 30)
    channel.end_pass()
    for number in range(30, 60):
        channel.data(A, number)
        channel.data(A, number - 25, b"of the other sender")
        channel.end_pass()
    channel.settle()
    assert channel.out == ["start 1", *range(1, 60)], "single words of the other one begin nothing"
    assert b"of the other sender" not in channel.payloads


def test_the_bridge_starts_again_in_the_middle_of_a_gap() -> None:
    channel = started(deadline_ns=SECOND)
    channel.data(A, 11)
    channel.settle()
    other = channel.reborn()
    other.data(A, 12)
    other.data(A, 10)
    other.settle()
    assert other.out == ["start 1", *range(1, 13)]


def test_the_largest_datagram_there_is() -> None:
    channel = Channel(1, codec("raw"))
    payload = bytes(65_507)
    channel.word(A, payload)
    channel.end_pass()
    assert channel.payloads == [payload]
