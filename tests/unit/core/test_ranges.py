from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.ranges import RangeSet

NUMBER = st.integers(0, 60)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove"]), NUMBER, NUMBER), max_size=40)


@given(STEPS, NUMBER, NUMBER)
def test_it_is_a_set_of_numbers(steps: list[tuple[str, int, int]], first: int, stop: int) -> None:
    ranges, model = RangeSet(), set[int]()
    for what, low, high in steps:
        numbers = set(range(low, high))
        if what == "add":
            assert ranges.add(low, high) == 0
            model |= numbers
        else:
            assert ranges.remove(low, high) == len(model & numbers)
            model -= numbers
        assert ranges.size == len(model)
        assert bool(ranges) == bool(model)
        kept = list(ranges)
        assert all(a < b for a, b in kept)
        assert all(before[1] < after[0] for before, after in pairwise(kept)), "disjoint, not touching"
        assert len(ranges) == len(kept)
        assert {number for a, b in kept for number in range(a, b)} == model
    asked = set(range(first, stop))
    assert {number for number in range(61) if number in ranges} == model
    assert ranges.count(first, stop) == len(model & asked)
    assert {n for a, b in ranges.overlap(first, stop) for n in range(a, b)} == model & asked
    assert {n for a, b in ranges.missing(first, stop) for n in range(a, b)} == asked - model
    assert ranges.lowest == min(model, default=None)
    assert ranges.stop == max(model, default=-1) + 1
    assert ranges.lowest_stop == (next(iter(ranges))[1] if model else 0)


def test_the_lowest_range_falls_out_at_the_limit() -> None:
    ranges = RangeSet(limit=2)
    assert ranges.add(1, 4) == 0
    assert ranges.add(10, 11) == 0
    assert ranges.add(20, 21) == 3
    assert list(ranges) == [(10, 11), (20, 21)]
    assert ranges.size == 2
    assert ranges.add(11, 20) == 0, "ranges that touch become one"
    assert list(ranges) == [(10, 21)]
