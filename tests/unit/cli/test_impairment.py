"""What `--impair` does to a line: by its seed, and in the shares that were asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.impairment import REORDER_NS, REORDER_SPAN, ImpairedLine, Impairment

BAD = Impairment(loss=0.02, duplicate=0.01, reorder=0.03)


def offered(line: ImpairedLine, count: int, step_ns: int = 1000) -> tuple[list[int], list[int]]:
    """(places lost, what went on the wire) for datagrams 0..count-1 that follow each other by `step_ns`."""
    lost: list[int] = []
    sent: list[int] = []
    for place in range(count):
        now = place * step_ns
        lost += [place for _ in line.offer([place.to_bytes(4, "big")], now)]
        sent += [int.from_bytes(datagram, "big") for datagram in line.take(now)]
    while (due := line.next_time()) is not None:
        sent += [int.from_bytes(datagram, "big") for datagram in line.take(due)]
    return lost, sent


def test_parse() -> None:
    assert Impairment.parse("loss=1%,duplicate=0.5%, reorder=2% ,delay=5ms") == Impairment(0.01, 0.005, 0.02, 5_000_000)
    assert Impairment.parse("loss=100%") == Impairment(loss=1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss", "'loss' is no impairment"),
        ("loose=1%", "'loose=1%' is no impairment"),
        ("loss=1", "'1' is no share"),
        ("loss=101%", "'101%' is no share"),
        ("loss=x%", "'x%' is no share"),
        ("loss=nan%", "'nan%' is no share"),
        ("loss=1%,loss=2%", "loss is given twice"),
        ("delay=5", "'5' has no unit"),
        ("", "'' is no impairment"),
    ],
)
def test_what_cannot_be_parsed_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Impairment.parse(text)


def test_a_plain_line_changes_nothing() -> None:
    line = ImpairedLine(Impairment(), 1, 0)
    assert offered(line, 500) == ([], list(range(500)))
    assert (line.offered, line.lost, line.duplicated, line.reordered) == (500, 0, 0, 0)


def test_the_shares_are_those_that_were_asked_for() -> None:
    line = ImpairedLine(BAD, 1, 0)
    lost, sent = offered(line, 20_000)
    assert len(lost) == line.lost
    for found, share in ((line.lost, 400), (line.duplicated, 196), (line.reordered, 588)):
        assert abs(found - share) < 6 * share**0.5
    assert len(sent) == 20_000 - line.lost + line.duplicated
    assert set(sent) == set(range(20_000)) - set(lost)


def test_a_reordered_datagram_is_overtaken_and_not_by_many() -> None:
    line = ImpairedLine(Impairment(reorder=0.05), 3, 0)
    _, sent = offered(line, 5000)
    overtaken = [sum(later < datagram for later in sent[place:]) for place, datagram in enumerate(sent)]
    late = [place for place, datagram in enumerate(sent) if any(d > datagram for d in sent[max(0, place - 16) : place])]
    assert 0.9 * line.reordered <= len(late) <= line.reordered
    assert max(overtaken) <= 8  # of several that are held back at a time
    assert max(abs(place - datagram) for place, datagram in enumerate(sent)) <= 2 * REORDER_SPAN


def test_a_held_datagram_goes_out_when_nothing_follows() -> None:
    line = ImpairedLine(Impairment(reorder=1.0), 1, 0)
    line.offer([b"only"], 1000)
    assert line.take(1000 + REORDER_NS - 1) == []
    assert line.next_time() == 1000 + REORDER_NS
    assert line.take(1000 + REORDER_NS) == [b"only"]
    assert line.next_time() is None


def test_a_delay_holds_for_every_datagram() -> None:
    line = ImpairedLine(Impairment(delay_ns=5_000_000), 1, 0)
    line.offer([b"a", b"b"], 0)
    line.offer([b"c"], 1_000_000)
    assert line.take(4_999_999) == []
    assert line.take(5_000_000) == [b"a", b"b"]
    assert line.next_time() == 6_000_000
    assert line.take(6_000_000) == [b"c"]


def test_lines_are_independent_of_each_other() -> None:
    lost = [set(offered(ImpairedLine(Impairment(loss=0.1), 1, line), 10_000)[0]) for line in (0, 1)]
    both = lost[0] & lost[1]
    assert lost[0] != lost[1]
    assert abs(len(both) - 100) < 60


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(1, 20), max_size=30), st.integers(1, 10**9))
def test_what_is_lost_depends_on_the_seed_only(seed: int, cuts: list[int], step_ns: int) -> None:
    """Neither on how the datagrams are cut into lists nor on the time."""
    count = sum(cuts)
    expected, _ = offered(ImpairedLine(BAD, seed, 1), count)
    line, place, lost = ImpairedLine(BAD, seed, 1), 0, []
    for turn, cut in enumerate(cuts):
        lost += [place + at for at in line.offer([b""] * cut, turn * step_ns)]
        place += cut
    assert lost == expected


def test_one_share_does_not_shift_the_draws_of_another() -> None:
    plain, _ = offered(ImpairedLine(Impairment(loss=0.1), 1, 0), 1000)
    mixed, _ = offered(ImpairedLine(Impairment(loss=0.1, duplicate=0.5, reorder=0.5), 1, 0), 1000)
    assert plain == mixed
