"""A disk window is read back into a fresh receiver: what waits for a second word, restarts, holds, and who counts it."""

from bridge.core.events import GapOpened
from tests.support.channel import HOLD, MS, SECOND, A, B, Channel, session

NEW = session(2)


def started(lines: int = 2, **settings: object) -> Channel:
    channel = Channel(lines, **settings)
    for line in range(lines):
        channel.run(line, 1, 10)
    channel.settle()
    return channel


def test_the_same_items_come_out_and_no_line_counts_them() -> None:
    channel = started()
    channel.data(B, 12)
    channel.data(A, 11)
    channel.piece(B, 13, 2, 4, b"cd")
    channel.piece(A, 13, 0, 4, b"ab")
    channel.settle()
    other = channel.reborn()
    other.close()
    assert other.out == channel.out == ["start 1", *range(1, 10), "10..10 wire", 11, 12, 13]
    assert other.payloads == channel.payloads
    assert [line.ledger.datagrams + line.ledger.pieces + line.lost for line in other.receiver.lines] == [0, 0]
    assert not any(line.ever for line in other.receiver.lines)
    assert other.current.ledger.restored == 9 + 2 + 2
    assert other.current.ledger.accepted == 0


def test_only_what_brought_something_is_kept() -> None:
    channel = started()
    channel.heartbeat(A, 10)
    channel.data(A, 3)
    channel.data(B, 9)
    assert sum(len(datagrams) for _, datagrams, _ in channel.kept) == 9
    channel.heartbeat(A, 11)
    assert len(channel.kept) == 2, "it told of number 10"


def test_what_waits_for_a_second_word_is_kept() -> None:
    channel = started()
    channel.data(A, 1, session=NEW)
    other = channel.reborn()
    other.data(B, 2, session=NEW)
    other.after(other.settings.session_grace_ns)
    assert other.out[-3:] == ["start 1", 1, 2]
    assert [line.ledger.waiting for line in other.receiver.lines] == [0, 0]
    assert [row.ledger.restored for row in other.receiver.streams] == [9, 1]
    assert other.receiver.streams[-1].ledger.accepted == 1


def test_a_word_that_waited_and_is_never_confirmed_is_no_line_s() -> None:
    channel = started()
    channel.data(A, 1, session=NEW)
    other = channel.reborn()
    other.close()
    assert [line.ledger.refused for line in other.receiver.lines] == [{}, {}]


def test_a_restart_is_found_again() -> None:
    channel = started(1, hold_packets=4)
    channel.run(A, 10, 100)
    channel.end_pass()
    for number in (1, 2, 3):
        channel.data(A, number, b"again %d" % number)
    channel.after(SECOND)
    other = channel.reborn()
    other.close()
    assert other.streams == channel.streams
    assert other.payloads == channel.payloads
    assert len(other.streams) == 2


def test_a_publisher_that_began_again_meanwhile_is_noticed() -> None:
    channel = started(1, hold_packets=4)
    channel.run(A, 10, 100)
    channel.end_pass()
    other = channel.reborn()
    for number in (1, 2, 3):
        other.data(A, number, b"again %d" % number)
    other.settle()
    other.settle()
    assert other.payloads[-3:] == [b"again 1", b"again 2", b"again 3"]
    assert len(other.streams) == 2


def test_it_is_noticed_beside_a_line_that_has_not_begun_again_yet() -> None:
    channel = started(hold_packets=4)
    channel.run(B, 10, 100)
    channel.end_pass()
    other = channel.reborn()
    other.heartbeat(A, 100)
    for number in (1, 2, 3):
        other.data(B, number, b"again %d" % number)
    assert [row.stream.restart for row in other.receiver.streams] == [0, 1]
    assert other.current.ledger.received == 3


def test_a_gap_has_its_whole_hold_again() -> None:
    channel = started()
    channel.data(A, 11)
    channel.end_pass()
    channel.now += HOLD - 1
    other = channel.reborn()
    assert other.out == []
    other.end_pass()
    other.after(HOLD // 2)
    other.data(A, 10)
    other.after(HOLD // 2)
    assert other.out == ["start 1", *range(1, 12)]
    assert not other.said(GapOpened)


def test_holds_end_when_they_ended() -> None:
    """A gap that was given up long before other words came is not filled by a run that began again later."""
    channel = started(1, hold_packets=4)
    channel.data(A, 30)
    channel.data(A, 31)
    channel.settle()
    channel.now += SECOND
    channel.data(A, 12, b"again 12")
    channel.data(A, 13, b"again 13")
    channel.after(SECOND)
    other = channel.reborn()
    other.close()
    assert other.payloads == channel.payloads
    assert [row.stream.restart for row in other.receiver.streams] == [0, 1]


def test_losses_of_a_line_count_from_the_restart() -> None:
    channel = started()
    other = channel.reborn()
    other.run(A, 10, 20)
    other.run(B, 11, 20)
    other.after(100 * MS)
    other.close()
    assert [line.lost for line in other.receiver.lines] == [0, 1]


def test_several_drains_between_two_passes() -> None:
    channel = started(1)
    for number in range(10, 60):
        channel.data(A, number)
        channel.after(5 * MS)
    other = Channel(1)
    other.now = channel.now
    for line, datagrams, time_ns in channel.kept:
        other.receiver.receive(line, datagrams, other.now, time_ns, restoring=True)
        other.check()
    other.end_pass()
    other.close()
    assert other.out == channel.out == ["start 1", *range(1, 60)]
