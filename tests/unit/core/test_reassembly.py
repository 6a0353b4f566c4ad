import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import limits
from bridge.core.reassembly import Partial, Reassembly


@given(st.binary(min_size=1, max_size=60), st.integers(1, 9), st.randoms(use_true_random=False))
def test_pieces_in_any_order_make_the_message(message: bytes, length: int, random: object) -> None:
    cuts = list(range(0, len(message), length))
    random.shuffle(cuts)  # type: ignore[attr-defined]  # a Random
    assembly = Reassembly()
    for place, cut in enumerate(cuts, 1):
        verdict, whole, pieces = assembly.add(7, cut, len(message), message[cut : cut + length], 0)
        assert verdict == "new"
        if place < len(cuts):
            assert whole is None
            assert assembly.add(7, cut, len(message), message[cut : cut + length], 0) == ("duplicate", None, 0)
            assert assembly.cost == sum(len(message[c : c + length]) + limits.PIECE_COST for c in cuts[:place])
        else:
            assert (whole, pieces) == (message, len(cuts))
    assert (len(assembly), assembly.cost) == (0, 0)


@pytest.mark.parametrize(
    ("offset", "size", "piece"),
    [
        pytest.param(0, 99, b"abcd", id="other size"),
        pytest.param(0, 100, b"abcX", id="same offset, other bytes"),
        pytest.param(0, 100, b"abc", id="same offset, shorter"),
        pytest.param(2, 100, b"x", id="inside another"),
        pytest.param(9, 100, b"xy", id="overlaps the next"),
    ],
)
def test_what_contradicts_is_refused_and_changes_nothing(offset: int, size: int, piece: bytes) -> None:
    assembly = Reassembly()
    assembly.add(7, 0, 100, b"abcd", 0)
    assembly.add(7, 10, 100, b"klmn", 0)
    cost = assembly.cost
    assert assembly.add(7, offset, size, piece, 0) == ("conflict", None, 0)
    assert assembly.cost == cost
    assert assembly.add(7, 4, 100, b"efghij", 0) == ("new", None, 0)


def test_a_message_of_too_many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PARTIAL_PIECES", 2)
    partial = Partial(100, 0)
    assert [partial.add(offset, b"x") for offset in (0, 1, 2)] == ["new", "new", "cap"]
    assert partial.arrived == 2


def test_a_dropped_message_gives_back_what_it_cost() -> None:
    assembly = Reassembly()
    assembly.add(7, 0, 100, b"abcd", 0)
    assembly.add(8, 0, 2**31, b"x", 0)
    assert assembly.cost == 5 + 2 * limits.PIECE_COST, "the stated size reserves nothing"
    dropped = assembly.drop(8)
    assert dropped is not None
    assert dropped.arrived == 1
    assert assembly.drop(8) is None
    assert assembly.cost == 4 + limits.PIECE_COST


@pytest.mark.parametrize(("first", "stop"), [(0, 3), (0, 10**9), (5, 5), (6, 8)])
def test_the_numbers_within_a_range(first: int, stop: int) -> None:
    assembly = Reassembly()
    for number in (7, 2, 10**6, 5):
        assembly.add(number, 0, 9, b"x", 0)
    assert assembly.within(first, stop) == [number for number in (2, 5, 7, 10**6) if first <= number < stop]
