"""Generated payloads, against docs/specs/payload.md."""

import math
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.payload import LARGEST, MAX_NUMBER, MAX_SEED, Sizes, number_of, payload
from tests.support.tools import find

VECTORS = [
    (1, 1, 20, b"0000000001  f2c9c3f5"),
    (1, 1, 24, b"0000000001 Aqk/ 50bf4bc7"),
    (7, 42, 64, b"0000000042 Dj1y5hnBNkDi0DTv+0Qycnp78d261QaSmMPf2nQOnoJ9 c8983adb"),
]


@pytest.mark.parametrize(("seed", "number", "size", "literal"), VECTORS)
def test_the_vectors_of_the_specification(seed: int, number: int, size: int, literal: bytes) -> None:
    assert payload(seed, number, size) == literal
    assert number_of(literal) == number


def test_the_sizes_of_the_specification() -> None:
    assert [Sizes(20, 20_000).of(1, n) for n in range(1, 9)] == [719, 890, 94, 65, 110, 21, 45, 86]
    assert [Sizes(20, 20_000).of(7, n) for n in range(1, 5)] == [16202, 21, 51, 1187]


def test_another_program_makes_the_same() -> None:
    """openssl and gzip know nothing of us."""
    script = r"""
    body=$(printf '\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\52' | openssl dgst -shake128 -xoflen 33 -binary | base64 -w0)
    head="0000000042 $body "
    printf '%s%s' "$head" "$(printf '%s' "$head" | gzip -c | tail -c 8 | od -An -N4 -tx4 --endian=little | tr -d ' ')"
    """
    find("openssl")
    made = subprocess.run([find("bash"), "-c", script], capture_output=True, check=True).stdout
    assert made == VECTORS[2][3]


@given(st.integers(0, MAX_SEED), st.integers(0, MAX_NUMBER), st.integers(20, 5000))
def test_a_payload_has_its_size_and_its_number_and_no_newline(seed: int, number: int, size: int) -> None:
    made = payload(seed, number, size)
    assert len(made) == size
    assert number_of(made) == number
    assert all(32 <= byte < 127 for byte in made)


@given(st.integers(0, 99), st.integers(1, 10**6), st.integers(20, 300), st.data())
def test_any_changed_byte_is_seen(seed: int, number: int, size: int, data: st.DataObject) -> None:
    made = bytearray(payload(seed, number, size))
    place = data.draw(st.integers(0, size - 1))
    made[place] ^= data.draw(st.integers(1, 255))
    assert number_of(bytes(made)) is None


@given(st.binary(max_size=100))
def test_other_messages_are_no_payloads(message: bytes) -> None:
    assert number_of(message) is None


@pytest.mark.parametrize("size", [0, 19, LARGEST + 1])
def test_sizes_that_cannot_be(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        payload(1, 1, size)


def test_numbers_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="number 10000000000"):
        payload(1, MAX_NUMBER + 1, 20)
    with pytest.raises(ValueError, match="seed -1"):
        payload(-1, 1, 20)


def test_sizes_spread_evenly_on_a_logarithmic_scale() -> None:
    sizes = Sizes(20, 20_000)
    drawn = [sizes.of(1, number) for number in range(1, 9001)]
    assert min(drawn) == 20
    assert 19_900 < max(drawn) <= 20_000
    decades = [sum(low <= size < 10 * low for size in drawn) for low in (20, 200, 2000)]
    for share in decades:  # 3,000 each; six standard deviations are 270
        assert abs(share - 3000) < 270
    assert abs(sum(map(math.log, drawn)) / 9000 - math.log(20 * 20_000) / 2) < 0.15


@given(st.integers(20, 3000), st.integers(0, 3000), st.integers(0, 99), st.integers(1, 99))
def test_a_size_is_within_its_range(least: int, more: int, seed: int, number: int) -> None:
    assert least <= Sizes(least, least + more).of(seed, number) <= least + more
