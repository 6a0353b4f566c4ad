"""The token bucket under a manual clock."""

import pytest

from bridge.api.options import RateValue
from bridge.core.pacing import TokenBucket

SECOND = 1_000_000_000


def sizes(*datagrams: int) -> list[tuple[bytes, int]]:
    return [(bytes(size), 1) for size in datagrams]


def test_burst_then_rate_in_bits() -> None:
    bucket = TokenBucket(RateValue(bits=8000), burst=8000)  # 1000 bytes a second, 1000 at once
    batch = sizes(*[100] * 15)
    assert bucket.take(batch, 0, 0) == (10, SECOND // 10)
    assert bucket.take(batch, 10, SECOND // 10 - 1) == (10, 1)
    assert bucket.take(batch, 10, SECOND // 10) == (11, SECOND // 10)
    assert bucket.take(batch, 11, SECOND) == (15, 0)


def test_messages_are_counted_not_bytes() -> None:
    bucket = TokenBucket(RateValue(messages=10), burst=5)
    batch = [(b"", 3), (bytes(9000), 2), (b"heartbeat", 0), (b"", 1)]
    assert bucket.take(batch, 0, 7) == (3, SECOND // 10)
    assert bucket.take(batch, 3, 7 + SECOND // 10) == (4, 0)


def test_more_than_the_burst_passes_and_leaves_debt() -> None:
    bucket = TokenBucket(RateValue(messages=10), burst=2)
    batch = [(b"", 12), (b"", 1)]
    assert bucket.take(batch, 0, 0) == (1, SECOND + SECOND // 10)  # 10 in debt, then 1
    assert bucket.take(batch, 1, SECOND + SECOND // 10) == (2, 0)


def test_it_never_holds_more_than_the_burst() -> None:
    bucket = TokenBucket(RateValue(messages=10), burst=2)
    bucket.take([(b"", 2)], 0, 0)
    end, _ = bucket.take([(b"", 1)] * 9, 0, 3600 * SECOND)
    assert end == 2


def test_a_clock_that_stands_or_falls_back_gives_nothing() -> None:
    bucket = TokenBucket(RateValue(messages=10), burst=1)
    assert bucket.take([(b"", 1)], 0, SECOND)[0] == 1
    assert bucket.take([(b"", 1)], 0, SECOND) == (0, SECOND // 10)
    assert bucket.take([(b"", 1)], 0, 0) == (0, SECOND // 10)
    assert bucket.take([(b"", 1)], 0, SECOND + SECOND // 10)[0] == 1


def test_next_time() -> None:
    bucket = TokenBucket(RateValue(messages=10), burst=5)
    assert bucket.next_time(5, 100) == 100
    bucket.take([(b"", 5)], 0, 100)
    assert bucket.next_time(1, 100) == 100 + SECOND // 10
    assert bucket.next_time(1000, 100) == 100 + SECOND // 2, "more than the burst waits for a full bucket"


@pytest.mark.parametrize("rate", [0.5, 3, 7.77, 1e6 / 3])
def test_the_rate_holds_in_the_long_run(rate: float) -> None:
    bucket = TokenBucket(RateValue(messages=rate), burst=1)
    now, sent = 0, 0
    while sent < 2000:
        end, wait = bucket.take([(b"", 1)], 0, now)
        sent += end
        now += wait
        assert end or wait
    assert (sent - 1) / (now / SECOND) == pytest.approx(rate, rel=1e-3)


def test_waiting_as_told_is_always_enough() -> None:
    bucket = TokenBucket(RateValue(bits=200e6))
    batch, start, now = sizes(*[1472] * 5000), 0, 0
    while start < len(batch):
        end, wait = bucket.take(batch, start, now)
        assert end > start
        start, now = end, now + wait
    assert 8 * 1472 * 5000 / 200e6 - 0.006 < now / SECOND <= 8 * 1472 * 5000 / 200e6


@pytest.mark.parametrize(
    ("rate", "burst"), [(RateValue(), None), (RateValue(bits=0), None), (RateValue(messages=1), 0)]
)
def test_settings_that_cannot_be(rate: RateValue, burst: float | None) -> None:
    with pytest.raises(ValueError, match="not above zero"):
        TokenBucket(rate, burst)
