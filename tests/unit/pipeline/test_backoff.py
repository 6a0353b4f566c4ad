"""Back-off: rises, is jittered, is capped, begins anew after success and after a long time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pipeline.backoff import Backoff

SECOND = 10**9


def test_it_doubles_up_to_its_cap() -> None:
    backoff = Backoff(lambda: 0.999999, first=0.1, cap=1.0)
    waits = [backoff.failed(n * SECOND) for n in range(6)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0], rel=1e-4)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=2000))
def test_jitter_stays_within_half_and_whole(chances: list[float]) -> None:
    left = iter(chances)
    backoff = Backoff(lambda: next(left), first=0.1, cap=10.0)
    for count in range(len(chances)):
        ceiling = min(10.0, 0.1 * 2.0 ** min(count, 60))
        assert ceiling / 2 <= backoff.failed(count) <= ceiling


def test_success_and_a_long_time_begin_anew() -> None:
    backoff = Backoff(lambda: 0.0, first=0.1, cap=1.0)
    assert [backoff.failed(0), backoff.failed(0)] == [0.05, 0.1]
    backoff.succeeded()
    assert backoff.failed(0) == 0.05
    assert backoff.failed(3 * SECOND + 1) == 0.05


@pytest.mark.parametrize(("first", "cap"), [(0.0, 1.0), (2.0, 1.0)])
def test_nonsense_is_refused(first: float, cap: float) -> None:
    with pytest.raises(ValueError, match="0 < first <= cap"):
        Backoff(lambda: 0.0, first, cap)
