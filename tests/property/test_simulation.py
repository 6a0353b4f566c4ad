"""Thousands of runs of the receiving core over bad networks. A failure prints the command that replays it."""

import pytest

from tests.property import simulation


def _runs(seeds: range) -> None:
    for seed in seeds:
        try:
            simulation.run(simulation.make(seed))
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error}\n  python -m tests.property.simulation --seed {seed}")


def test_what_comes_out_is_what_was_sent() -> None:
    _runs(range(300))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("half", [0, 1])
def test_what_comes_out_is_what_was_sent_ten_thousand_times(half: int, scale: int) -> None:
    each = 5_000 * scale
    _runs(range(1_000_000 + half * each, 1_000_000 + (half + 1) * each))
