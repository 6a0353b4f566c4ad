from hypothesis import given
from hypothesis import strategies as st

from bridge.telemetry.latency import BOUNDS, Latency


@given(st.lists(st.tuples(st.floats(-1, 100), st.integers(1, 5000))))
def test_buckets_are_cumulative_and_inclusive(observed: list[tuple[float, int]]) -> None:
    latency = Latency()
    for seconds, messages in observed:
        latency.observe(seconds, messages)
    row = latency.row()
    for bound in BOUNDS:
        assert row[f"{bound:g}"] == sum(messages for seconds, messages in observed if seconds <= bound)
    assert row["+Inf"] == row["count"] == sum(messages for _, messages in observed)
    assert row["sum"] >= 0


def test_a_bound_belongs_to_its_bucket() -> None:
    latency = Latency()
    latency.observe(0.005)
    assert (latency.row()["0.0025"], latency.row()["0.005"]) == (0, 1)
