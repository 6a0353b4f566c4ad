"""`listen --verify`: what it takes for right and what it finds wrong."""

import pytest

from bridge.cli.verification import Verification
from bridge.core.payload import payload


def made(*numbers: int) -> list[bytes]:
    return [payload(1, number, 40) for number in numbers]


def test_in_order_each_once() -> None:
    verification = Verification()
    verification.take(made(1, 2, 3), 1)
    verification.take(made(4), 4)
    assert not verification.failed
    assert verification.lines() == [
        "verification holds: 4 messages, numbers 1 to 4: 0 missing, 0 repeated, 0 out of order, 0 damaged, 0 renumbered"
    ]


def test_nothing_at_all_is_a_failure() -> None:
    assert Verification().failed


def test_who_joins_late_misses_nothing() -> None:
    verification = Verification()
    verification.take(made(900, 901), None)
    assert not verification.failed


@pytest.mark.parametrize(
    ("numbers", "counter"),
    [([1, 2, 2, 3], "repeated"), ([1, 3, 2, 4], "out_of_order"), ([3, 1, 2, 4], "out_of_order")],
)
def test_what_is_out_of_order_or_comes_twice(numbers: list[int], counter: str) -> None:
    verification = Verification()
    verification.take(made(*numbers), None)
    assert verification.failed
    assert getattr(verification, counter) == (2 if numbers[0] == 3 else 1)
    assert verification.missing == []


def test_what_never_came_is_named() -> None:
    verification = Verification()
    verification.take(made(1, 2, 5, 7), None)
    assert verification.missing == [(3, 4), (6, 6)]
    assert verification.failed
    assert "never came: 3 to 4, 6" in verification.lines()


def test_what_the_sender_announced_is_not_missing() -> None:
    verification = Verification()
    verification.take(made(1, 2), 1)
    verification.announced(3, 4)
    verification.take(made(5), 5)
    assert not verification.failed


def test_a_changed_byte() -> None:
    verification = Verification()
    first, second = made(1, 2)
    verification.take([first, second[:-1] + b"x"], None)
    assert verification.damaged == 1
    assert verification.failed


def test_another_number_than_the_wire_says() -> None:
    verification = Verification()
    verification.take(made(1, 2), 2)
    assert verification.renumbered == 2
    assert verification.failed


def test_examples_are_few() -> None:
    verification = Verification()
    verification.take([b"junk"] * 1000, None)
    assert verification.damaged == 1000
    assert len(verification.lines()) == 6
