"""Hundreds of runs of one route through outages, kills and tails that fall. A failure prints the command that replays it."""

import pytest

from tests.property import window_simulation


def test_every_number_is_in_a_sink_or_in_one_named_range() -> None:
    for seed in range(200):
        window_simulation.run(seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_number_is_in_a_sink_or_in_one_named_range_three_thousand_times(scale: int) -> None:
    for seed in range(1_000_000, 1_000_000 + 3_000 * scale):
        window_simulation.run(seed)
