"""The life of a gap: its table walked through a channel, and the list against a model."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import limits
from bridge.core.events import GapAbandoned, GapFilled, GapOpened
from bridge.core.gaps import TRANSITIONS, Gap, GapList, GapState
from tests.support.channel import HOLD, MS, A, B, Channel

Step = Callable[[Channel], None]


def _suspected(**settings: object) -> Channel:
    channel = Channel(1, **settings)
    channel.data(A, 1)
    channel.settle()
    channel.data(A, 3)
    channel.end_pass()
    assert [gap.state for gap in channel.current.gaps.gaps] == [GapState.SUSPECTED]
    return channel


def _open(**settings: object) -> Channel:
    channel = _suspected(deadline_ns=100 * MS, **settings)
    channel.after(HOLD)
    assert [gap.state for gap in channel.current.gaps.gaps] == [
        GapState.REQUESTED if settings.get("recovery") else GapState.OPEN
    ]
    return channel


def _arrives(channel: Channel) -> None:
    channel.data(A, 2)
    channel.end_pass()


def _deadline(channel: Channel) -> None:
    channel.after(100 * MS)


def _announced(channel: Channel) -> None:
    channel.hole(A, 2, 2)
    channel.after(HOLD)


def _left(channel: Channel) -> None:
    other = bytes(8)
    channel.data(A, 1, session=other)
    channel.data(A, 2, session=other)
    channel.after(channel.settings.session_grace_ns)


def _full(channel: Channel) -> None:
    channel.data(A, 4, bytes(channel.settings.gap_bytes + 1))
    channel.end_pass()


def _ends(channel: Channel) -> None:
    channel.close()


WALKS: dict[tuple[str, str], list[tuple[Callable[[], Channel], Step]]] = {
    ("suspected", "open"): [(_suspected, lambda channel: None)],
    ("suspected", "filled"): [(_suspected, _arrives)],
    ("suspected", "abandoned"): [
        (lambda: _suspected(gap_bytes=1000), _full),
        (_suspected, _announced),
        (_suspected, _ends),
    ],
    ("open", "requested"): [(lambda: _open(recovery=True), lambda channel: None)],
    ("open", "filled"): [(_open, _arrives)],
    ("open", "abandoned"): [
        (_open, _deadline),
        (lambda: _open(gap_bytes=1000), _full),
        (_open, _announced),
        (_open, _left),
    ],
    ("requested", "filled"): [(lambda: _open(recovery=True), _arrives)],
    ("requested", "abandoned"): [
        (lambda: _open(recovery=True), _deadline),
        (lambda: _open(recovery=True, gap_bytes=1000), _full),
        (lambda: _open(recovery=True), _announced),
        (lambda: _open(recovery=True), _left),
    ],
}


def test_every_row_of_the_table_is_walked() -> None:
    assert {(before, after) for before, _, after in TRANSITIONS} == set(WALKS)


@pytest.mark.parametrize(
    ("before", "after", "make", "step"),
    [
        pytest.param(*row, make, step, id=f"{row[0]}-{row[1]}-{place}")
        for row, walks in WALKS.items()
        for place, (make, step) in enumerate(walks)
    ],
)
def test_the_table(before: str, after: str, make: Callable[[], Channel], step: Step) -> None:
    channel = make()
    opened = channel.said(GapOpened)
    step(channel)
    stream = channel.receiver.streams[0]
    if after == "filled":
        assert not stream.gaps  # type: ignore[union-attr]  # a numbered stream
        assert channel.payloads == [b"1", b"2", b"3"]
        assert len(channel.said(GapFilled)) == (before != "suspected")
        assert not channel.said(GapAbandoned)
    elif after == "abandoned":
        assert not stream.gaps  # type: ignore[union-attr]  # a numbered stream
        assert channel.said(GapAbandoned)[0][1:3] == (2, 2)
        assert any(str(item).startswith("2..2 ") for item in channel.out)
    else:
        assert len(opened) == (after == "requested")
        assert [(r.first, r.last) for r in channel.receiver.requests()] == ([(2, 2)] if after == "requested" else [])


def test_the_hold_by_time_wants_drained_sockets() -> None:
    channel = _suspected()
    channel.after(HOLD, drained=False)
    assert not channel.said(GapOpened)
    channel.end_pass(drained=True)
    assert channel.out[-2:] == ["2..2 wire", 3]


def test_under_constant_load_the_hold_ends_later() -> None:
    channel = _suspected()
    channel.after(HOLD + limits.CONSTANT_LOAD_NS - 1, drained=False)
    assert not channel.said(GapOpened)
    channel.after(1, drained=False)
    assert channel.said(GapOpened)


def test_the_hold_by_count_wants_every_live_line_to_have_passed() -> None:
    channel = Channel(2, hold_packets=4)
    for line in (A, B):
        channel.data(line, 1)
    channel.settle()
    channel.run(A, 3, 30)
    channel.end_pass()
    assert not channel.said(GapOpened), "line B has said nothing of 2 yet"
    channel.data(B, 3)
    channel.end_pass(drained=False)
    assert not channel.said(GapOpened), "line B may still have it in its socket"
    channel.end_pass(drained=True)
    assert [opened.first for opened in channel.said(GapOpened)] == [2]


def test_a_line_that_is_silent_does_not_delay_the_count() -> None:
    channel = Channel(2, hold_packets=4, hold_ns=10**15, silent_after_ns=100 * MS)
    for line in (A, B):
        channel.data(line, 1)
    channel.current.settling_until = None
    channel.after(100 * MS)
    channel.run(A, 3, 30)
    channel.end_pass()
    assert [opened.first for opened in channel.said(GapOpened)] == [2]


def test_a_fragment_starts_the_hold_of_its_number_again() -> None:
    channel = Channel(1)
    channel.data(A, 1)
    channel.settle()
    channel.data(A, 5)
    channel.end_pass()
    channel.now += HOLD // 2
    channel.piece(A, 3, 0, 4, b"ab")
    channel.after(HOLD // 2)
    assert [opened.first for opened in channel.said(GapOpened)] == [2, 4]
    channel.piece(A, 3, 2, 4, b"cd")
    channel.end_pass()
    assert channel.payloads[-2:] == [b"abcd", b"5"]


def test_wait_waits_and_an_operator_releases_it() -> None:
    channel = _open(then="wait")
    channel.after(3600 * 1000 * MS)
    assert channel.out == ["start 1", 1]
    due = channel.receiver.next_timer()
    assert due is None or due > channel.now, "nothing of the gap asks for time"
    channel.items += channel.receiver.abandon_now(channel.now)
    assert channel.out == ["start 1", 1, "2..2 wire", 3]
    channel.check()


def test_stop_takes_in_no_more() -> None:
    channel = _open(then="stop")
    channel.after(100 * MS)
    assert channel.receiver.stopped
    assert channel.receiver.next_timer() is None or channel.receiver.next_timer() > channel.now  # type: ignore[operator]
    channel.run(A, 2, 50)
    channel.end_pass()
    assert channel.receiver.lines[A].ledger.refused == {"cap": 48}
    assert channel.close() == []
    assert channel.out == ["start 1", 1]
    ledger = channel.current.ledger
    assert (ledger.missing_open, ledger.held) == (1, 1)


def test_stop_waits_for_the_lowest_gap() -> None:
    channel = _suspected(then="stop", deadline_ns=100 * MS)
    channel.data(A, 7)
    channel.now += HOLD // 2
    channel.piece(A, 2, 0, 4, b"ab")
    channel.after(HOLD // 2 + 100 * MS)
    channel.data(A, 2, b"2")
    channel.end_pass()
    channel.after(100 * MS)
    assert channel.receiver.stopped
    assert channel.out == ["start 1", 1, 2, 3]


def test_at_the_cap_only_the_oldest_gap_is_decided() -> None:
    channel = Channel(1, gap_bytes=1000, hold_ns=10**12)
    channel.data(A, 1)
    channel.current.settling_until = None
    channel.data(A, 3, bytes(600))
    channel.data(A, 5, bytes(600))
    channel.end_pass()
    assert channel.out == ["start 1", 1, "2..2 hold_cap", 3]
    assert [gap.first for gap in channel.current.gaps.gaps] == [4]


def test_too_many_gaps() -> None:
    channel = Channel(1, hold_ns=10**12, hold_packets=10**9)
    channel.data(A, 1)
    channel.current.settling_until = None
    for number in range(3, 2 * limits.MAX_GAPS + 5, 2):
        channel.data(A, number)
    channel.end_pass()
    assert len(channel.current.gaps.gaps) == limits.MAX_GAPS
    assert channel.out == ["start 1", 1, "2..2 hold_cap", 3]


@pytest.mark.parametrize("then", ["skip", "wait", "stop"])
def test_no_timer_asks_twice(then: str) -> None:
    channel = Channel(2, then=then, deadline_ns=50 * MS)
    channel.data(A, 1)
    channel.settle()
    channel.run(A, 4, 9)
    channel.piece(B, 2, 0, 9, b"abc")
    channel.heartbeat(A, 20)
    for _ in range(40):
        due = channel.receiver.next_timer()
        if due is None:
            break
        assert due > channel.now
        channel.now = due
        channel.items += channel.receiver.handle_timer(channel.now)
        channel.check()
    assert channel.now < 60_000 * MS


# The list

STEPS = st.lists(
    st.tuples(st.sampled_from(["open", "take", "renew", "due"]), st.integers(0, 40), st.integers(0, 6)), max_size=60
)


@given(STEPS)
def test_the_list_is_a_map_from_number_to_age(steps: list[tuple[str, int, int]]) -> None:
    gaps, model = GapList(), dict[int, tuple[int, str]]()  # number -> since or opened, state
    for now, (what, number, count) in enumerate(steps):
        numbers = range(number, number + count)
        if what == "open" and count and not any(n in model for n in numbers):
            gaps.open(number, number + count, now, now)
            model |= dict.fromkeys(numbers, (now, "suspected"))
        elif what == "take":
            taken = {n for part in gaps.take(number, number + count) for n in range(part.first, part.stop)}
            assert taken == {n for n in numbers if n in model}
            for n in taken:
                del model[n]
        elif what == "renew":
            gaps.renew(number, now, now)
            if model.get(number, (0, ""))[1] == "suspected":
                model[number] = (now, "suspected")
        elif what == "due" and (gap := gaps.suspected()) is not None:
            assert model[gap.first] == min(entry for entry in model.values() if entry[1] == "suspected")
            gaps.opens(gap, now, GapState.OPEN)
            model |= dict.fromkeys(range(gap.first, gap.stop), (now, "open"))
        _same(gaps, model)


def _same(gaps: GapList, model: dict[int, tuple[int, str]]) -> None:
    def age(gap: Gap) -> int:
        return gap.since_ns if gap.state is GapState.SUSPECTED else gap.opened_ns

    assert {n: (age(gap), str(gap.state)) for gap in gaps.gaps for n in range(gap.first, gap.stop)} == model
    assert gaps.numbers == len(model)
    firsts = [gap.first for gap in gaps.gaps]
    assert firsts == sorted(firsts) == gaps._firsts
    assert [n for n in range(50) if n in gaps] == sorted(model)
    assert {gap.first for gap in gaps.within(10, 20)} == {
        gap.first for gap in gaps.gaps if gap.first < 20 and gap.stop > 10
    }
    opened = gaps.opened()
    assert (opened is not None and (opened.opened_ns, "open")) == min(
        (entry for entry in model.values() if entry[1] == "open"), default=False
    )


def test_a_long_gap_that_fills_number_by_number_leaves_nothing_behind() -> None:
    gaps = GapList()
    gaps.open(0, 10_000, 0, 0)
    for number in [*range(0, 10_000, 2), *range(1, 10_000, 2)]:
        gaps.take(number, number + 1)
        assert len(gaps._suspected) <= 2 * len(gaps.gaps) + 5_100
    assert not gaps
    assert gaps.suspected() is None
    assert gaps._suspected == []
