"""Where streams begin and end: starts, sessions, restarts, leaps, and who may not cause them."""

import pytest

from bridge.core import limits
from bridge.core.events import Conflict, JumpConfirmed, SessionRefused, StreamEnded
from bridge.wire import codec
from tests.support.channel import HOLD, MS, SECOND, A, B, Channel, authenticated, session

NEW = session(2)
NEWER = session(3)


def started(lines: int = 1, **settings: object) -> Channel:
    channel = Channel(lines, **settings)
    for line in range(lines):
        channel.run(line, 1, 10)
    channel.settle()
    return channel


@pytest.mark.parametrize("first", [0, 1, 2, 123_456_789])
def test_a_stream_begins_where_it_is_first_seen(first: int) -> None:
    channel = Channel(1)
    channel.run(A, first, first + 3)
    channel.settle()
    assert channel.out == [f"start {first}", first, first + 1, first + 2]


def test_the_first_pair_is_swapped() -> None:
    channel = Channel(1)
    channel.data(A, 2)
    channel.after(HOLD // 2)
    channel.data(A, 1)
    channel.after(HOLD // 2)
    assert channel.out == ["start 1", 1, 2]


def test_nothing_comes_out_before_the_first_hold() -> None:
    channel = Channel(1)
    channel.run(A, 5, 9)
    channel.after(HOLD - 1)
    assert channel.out == []
    channel.after(1)
    assert channel.out[0] == "start 5"
    channel.data(A, 4)
    channel.end_pass()
    assert channel.receiver.lines[A].ledger.late == 1


def test_one_word_far_below_does_not_move_the_start() -> None:
    channel = Channel(2)
    channel.data(A, 10_000_000)
    channel.data(B, 1)
    channel.settle()
    assert channel.out == ["start 10000000", 10_000_000]
    assert channel.current.ledger.expected == 1


def test_a_new_session_takes_two_words() -> None:
    channel = started()
    channel.data(A, 1, session=NEW)
    channel.end_pass()
    assert channel.receiver.lines[A].ledger.waiting == 1
    channel.data(A, 2, session=NEW)
    channel.after(HOLD)
    assert channel.out[9:] == [9, "end 10", "start 1", 1, 2]
    assert channel.receiver.lines[A].ledger.waiting == 0


@pytest.mark.parametrize("line", [A, B])
def test_the_second_word_may_come_from_either_line_and_in_either_order(line: int) -> None:
    channel = started(2)
    channel.data(A, 2, session=NEW)
    channel.data(line, 1, session=NEW)
    channel.after(channel.settings.session_grace_ns)
    assert channel.out[9:] == [9, "end 10", "start 1", 1, 2]


def test_a_heartbeat_that_is_repeated_begins_a_session_and_its_copy_does_not() -> None:
    channel = started()
    channel.heartbeat(A, 1, session=NEW)
    channel.heartbeat(A, 1, session=NEW)
    channel.end_pass()
    assert len(channel.receiver.streams) == 1
    channel.now += SECOND
    channel.heartbeat(A, 1, session=NEW)
    channel.end_pass()
    assert [row.stream.session for row in channel.receiver.streams] == [session(1), NEW]


def test_a_session_of_one_word_is_refused_when_it_is_old() -> None:
    channel = started()
    channel.data(A, 1, b"a", b"b", session=NEW)
    for _ in range(7):
        channel.after(SECOND)
    assert channel.receiver.lines[A].ledger.refused == {"unconfirmed": 2}
    assert [(event.reason, event.pieces) for event in channel.said(SessionRefused)] == [("unconfirmed", 2)]


def test_words_of_a_wide_packet_confirm_each_other() -> None:
    channel = started()
    many = [b"x"] * 5000
    channel.data(A, 1, *many, session=NEW)
    channel.data(A, 5001, *many, session=NEW)
    channel.after(HOLD)
    assert channel.out[-1] == 10_000


def test_noise_under_the_name_of_the_next_session_does_not_shut_it_out() -> None:
    channel = started()
    for place in range(3 * limits.CANDIDATE_PACKETS):
        channel.data(A, 10_000_000 * (place + 1), session=NEW)
    channel.run(A, 1, 4, session=NEW)
    channel.after(HOLD)
    assert channel.out[-4:] == ["start 1", 1, 2, 3]


def test_the_session_before_keeps_the_next_one_back_until_its_gaps_are_decided() -> None:
    channel = started(deadline_ns=SECOND)
    channel.data(A, 11)
    channel.run(A, 1, 4, session=NEW)
    channel.after(HOLD)
    assert channel.out[-1] == 9
    channel.after(SECOND)
    assert channel.out[10:] == ["10..10 wire", 11, "end 12", "start 1", 1, 2, 3]


def test_the_grace_ends_a_session_that_waits() -> None:
    channel = started(then="wait", session_grace_ns=300 * MS)
    channel.data(A, 11)
    channel.run(A, 1, 4, session=NEW)
    channel.after(300 * MS - 1)
    assert channel.out[-1] == 9
    channel.after(1)
    assert channel.out[10:] == ["10..10 session_end", 11, "end 12", "start 1", 1, 2, 3]


def test_what_waits_for_the_grace_is_bounded() -> None:
    channel = started(then="wait", gap_bytes=1000)
    channel.data(A, 11)
    channel.data(A, 1, bytes(600), session=NEW)
    channel.data(A, 2, bytes(600), session=NEW)
    channel.end_pass()
    assert channel.out[10:] == ["10..10 hold_cap", 11, "end 12", "start 1", 1, 2]


def test_a_session_that_was_left_is_refused() -> None:
    channel = started()
    channel.run(A, 1, 4, session=NEW)
    channel.after(HOLD)
    channel.run(A, 10, 20)
    channel.end_pass()
    assert channel.receiver.lines[A].ledger.refused == {"old_session": 10}


def test_several_sessions_within_one_grace_lose_nothing() -> None:
    channel = started(2, then="wait")
    channel.data(A, 11)
    for number in range(2, 6):
        channel.data(A, 1, b"%d/1" % number, session=session(number))
        channel.data(A, 2, b"%d/2" % number, session=session(number))
        channel.data(A, 4, b"%d/4" % number, session=session(number))
    channel.end_pass()
    channel.after(channel.settings.session_grace_ns)
    channel.close()
    each = ["start 1", 1, 2, "3..3 session_end", 4, "end 5"]
    last = ["start 1", 1, 2, "3..3 wire", 4]
    assert channel.out[10:] == ["10..10 session_end", 11, "end 12", *each, *each, *each, *last]


def test_old_rows_are_added_up() -> None:
    channel = started()
    for number in range(2, limits.STREAMS + 4):
        channel.run(A, 1, 4, session=session(number))
        channel.after(HOLD)
    assert len(channel.receiver.streams) == limits.STREAMS
    older = channel.receiver.older
    assert (older.expected, older.released) == (9 + 3 + 3, 9 + 3 + 3)
    assert older.problems() == []


def test_words_that_waited_do_not_leak_into_the_next_session() -> None:
    channel = started(2, hold_packets=4)
    for line in (A, B):
        channel.run(line, 10, 200)
    channel.end_pass()
    channel.data(B, 3, b"of the old session")
    channel.data(A, 1, session=NEW)
    channel.data(A, 5, session=NEW)
    channel.data(B, 5, session=NEW)
    channel.settle()
    channel.settle()
    channel.after(channel.settings.session_grace_ns)
    channel.close()
    assert b"of the old session" not in channel.payloads


def test_other_bytes_under_known_numbers_are_a_restart_when_two_say_so() -> None:
    channel = started()
    channel.data(A, 5, b"other")
    assert len(channel.receiver.streams) == 1
    channel.data(A, 6, b"bytes")
    channel.after(HOLD)
    assert [row.stream.restart for row in channel.receiver.streams] == [0, 1]
    assert channel.payloads[-2:] == [b"other", b"bytes"]


def test_one_word_with_other_bytes_is_a_conflict() -> None:
    channel = started()
    channel.data(A, 5, b"other")
    channel.data(A, 10)
    channel.end_pass()
    assert channel.out[-1] == 10
    assert channel.receiver.lines[A].ledger.refused == {"conflict": 1}
    assert channel.said(Conflict)


def test_a_restart_that_both_lines_see() -> None:
    channel = started(2, hold_packets=4)
    for line in (A, B):
        channel.run(line, 10, 100)
    channel.end_pass()
    for number in range(1, 6):
        for line in (A, B):
            channel.data(line, number, b"again %d" % number)
    channel.settle()
    channel.settle()
    assert channel.out[-7:] == ["end 100", "start 1", 1, 2, 3, 4, 5]
    assert [line.ledger.accepted + line.ledger.duplicate_other_line for line in channel.receiver.lines] == [104, 104]


def test_a_lagging_line_goes_on_in_the_run_that_ended() -> None:
    channel = started(2, hold_packets=4)
    channel.run(A, 10, 1000)
    channel.run(B, 10, 500)
    channel.end_pass()
    for number in (1, 2, 3):
        channel.data(A, number, b"again")
    channel.run(B, 500, 600)
    channel.settle()
    channel.settle()
    assert [row.stream.restart for row in channel.receiver.streams] == [0, 1]
    assert channel.receiver.streams[1].ledger.next == 4, "the words of line B belong to the run before"


def test_a_restart_after_the_announced_end() -> None:
    channel = started()
    for _ in range(2):
        channel.end(A, 10)
    channel.end_pass()
    channel.data(A, 10, b"goes on")
    channel.data(A, 11, b"all the same")
    channel.after(HOLD)
    channel.after(HOLD)
    assert channel.out[10:] == ["end 10", "start 10", 10, 11]


def test_a_leap_that_a_second_word_confirms() -> None:
    channel = started()
    channel.data(A, 5_000_000)
    channel.data(A, 5_000_001)
    channel.settle()
    assert channel.out[10:] == ["10..4999999 wire", 5_000_000, 5_000_001]
    assert [(jump.first, jump.last) for jump in channel.said(JumpConfirmed)] == [(10, 4_999_999)]


def test_a_leap_of_one_word_is_refused_when_the_line_goes_on() -> None:
    channel = started()
    channel.data(A, 5_000_000)
    channel.data(A, 10)
    channel.end_pass()
    assert channel.out[-1] == 10
    assert channel.receiver.lines[A].ledger.refused == {"far_ahead": 1}


def test_a_wide_packet_does_not_widen_the_reach_for_ever() -> None:
    channel = started(hold_packets=4)
    channel.data(A, 10, *[b"x"] * 500)
    assert channel.current.back_limit == 2000
    channel.end_pass()
    for _ in range(3):
        channel.after(SECOND)
        channel.data(A, channel.current.next)
    assert channel.current.back_limit == 4
    channel.data(A, 100, b"again")
    channel.data(A, 101, b"again")
    assert [row.stream.restart for row in channel.receiver.streams] == [0, 1]


def test_words_of_another_channel_and_our_own() -> None:
    channel = started(own_origin=99)
    other = codec("native", channel=8)
    own = codec("native", channel=7, origin=99)
    foreign = codec("native", channel=7, origin=98)
    channel.word(A, other.encode_data(channel.session, 10, [b"other"], 0))
    channel.word(A, own.encode_data(channel.session, 10, [b"own"], 0))
    channel.word(A, foreign.encode_data(channel.session, 10, [b"foreign"], 0))
    channel.end_pass()
    assert channel.payloads[-1] == b"foreign"
    assert channel.receiver.lines[A].ledger.refused == {"other_channel": 1, "origin": 1}


# Authentication: what was recorded and is sent again begins nothing


def signed() -> Channel:
    channel = Channel(1, authenticated(), channel_number=7, authenticated=True, hold_packets=4)
    for number in range(1, 200):
        channel.data(A, number, sent_ns=1000 + number)
    channel.settle()
    return channel


def test_a_recorded_session_is_refused() -> None:
    channel = signed()
    for number in (1, 2, 3):
        channel.data(A, number, session=NEW, sent_ns=1199)
    assert channel.receiver.lines[A].ledger.refused == {"old_session": 3}
    for number in (1, 2, 3):
        channel.data(A, number, session=NEWER, sent_ns=1200 + number)
    assert [row.stream.session for row in channel.receiver.streams] == [session(1), NEWER]


def test_a_recorded_part_of_this_session_is_a_duplicate() -> None:
    channel = signed()
    for number in range(1, 20):
        channel.data(A, number, sent_ns=1000 + number)
    channel.end_pass()
    assert len(channel.receiver.streams) == 1
    assert channel.receiver.lines[A].ledger.duplicate_same_line == 19
    channel.data(A, 1, b"really again", sent_ns=5000)
    channel.data(A, 2, b"really again", sent_ns=5001)
    assert [row.stream.restart for row in channel.receiver.streams] == [0, 1]


# The end of the run


def test_close_decides_everything() -> None:
    channel = started(deadline_ns=SECOND)
    channel.data(A, 11)
    channel.piece(A, 13, 0, 4, b"ab")
    channel.data(A, 1, session=NEW)
    channel.data(A, 5_000_000)
    channel.close()
    assert channel.out[10:] == ["10..10 wire", 11, "12..12 wire", "13..13 reassembly"]
    assert channel.receiver.lines[A].ledger.waiting == 0
    assert channel.receiver.lines[A].ledger.refused == {"unconfirmed": 1, "far_ahead": 1}
    assert not channel.said(StreamEnded)


def test_close_before_anything_came() -> None:
    channel = Channel(1)
    assert channel.close() == []
    channel.data(A, 1)
    assert channel.close() != []


def test_announced_holes_are_believed_after_the_hold() -> None:
    channel = started()
    channel.hole(A, 10, 12)
    channel.data(A, 11, b"it came all the same")
    channel.settle()
    assert channel.out[10:] == ["10..10 announced", 11, "12..12 announced"]
    assert channel.current.ledger.missing == {"announced": 2}
