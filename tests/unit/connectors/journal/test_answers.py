"""Rows as answers, against an oracle that knows one number at a time."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.api import Data, Never, NotYet, Stream, Trimmed
from connectors.journal.answers import answers
from connectors.journal.layout import pack_lengths, pack_numbers
from connectors.journal.reader import Chunk, Stored

STREAM = Stream("a", b"session1")
START = 5


def stored(numbers: list[int]) -> Stored:
    """A batch of these numbers; a payload is its number as text, so that cutting in the wrong place shows."""
    payloads = [str(n).encode() for n in numbers]
    gaps = numbers[-1] - numbers[0] >= len(numbers)
    packed = pack_numbers(numbers) if gaps else None
    return Stored(numbers[0], numbers[-1], len(numbers), 7, None, pack_lengths(payloads), packed, b"".join(payloads))


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[Stored], dict[int, object]]:
    """Rows from START on, with numbers left out between and in them, and what the oracle says of each number in a row."""
    at, found, known = START, list[Stored](), dict[int, object]()
    for kind, skip, size in draw(
        st.lists(st.tuples(st.sampled_from("dsh"), st.integers(0, 3), st.integers(1, 8)), max_size=6)
    ):
        at += skip
        if kind == "h":
            found.append(Stored(at, at + size - 1, 0, 7, "wire", None, None, None))
            known |= dict.fromkeys(range(at, at + size), "wire")
            at += size
            continue
        numbers = [at]
        for _ in range(size - 1):
            numbers.append(numbers[-1] + (draw(st.integers(1, 3)) if kind == "s" else 1))
        found.append(stored(numbers))
        known |= dict.fromkeys(range(numbers[0], numbers[-1] + 1), "filtered")
        known |= {n: str(n).encode() for n in numbers}
        at = numbers[-1] + 1
    return found, known


@given(rows(), st.integers(0, 60), st.integers(0, 60), st.integers(0, 4), st.integers(1, 5), st.data())
def test_every_number_is_answered_once(
    given_rows: tuple[list[Stored], dict[int, object]],
    first: int,
    length: int,
    beyond: int,
    limit: int,
    data: st.DataObject,
) -> None:
    kept, known = given_rows
    last = first + length
    end = kept[-1].last if kept else START - 1
    through = None if end + beyond < START else end + beyond
    # Retention has removed some of the rows, the oldest.
    removed = data.draw(st.integers(0, len(kept)))
    trimmed = kept[removed - 1].last if removed else -1
    fetched = [row for row in kept[removed:] if row.last >= first and row.first <= last]
    chunk = Chunk(fetched, last, 3, START, through, trimmed)

    told: dict[int, object] = {}
    at = first
    pieces = list(answers(chunk, STREAM, first, last, limit))
    for piece in pieces:
        low = piece.batch.first if isinstance(piece, Data) else piece.first
        assert low == at
        if isinstance(piece, Data):
            assert 1 <= len(piece.batch.payloads) <= limit
            assert piece.position == f"3-{low}"
            assert (piece.batch.time_ns, piece.batch.stream, piece.batch.numbers) == (7, STREAM, None)
            told |= dict(enumerate(piece.batch.payloads, low))
            at = piece.batch.last + 1
        else:
            if isinstance(piece, Trimmed):
                assert piece.first_left == trimmed + 1
            if isinstance(piece, NotYet):
                assert piece.tail == through
            answer = piece.reason if isinstance(piece, Never) else type(piece).__name__
            told |= dict.fromkeys(range(piece.first, piece.last + 1), answer)
            at = piece.last + 1
    assert at == last + 1

    for number in range(first, last + 1):
        if number < START:
            expected: object = "before_start"
        elif number <= trimmed:
            expected = "Trimmed"
        elif number <= end:
            expected = known.get(number, "filtered")
        else:
            expected = "filtered" if through is not None and number <= through else "NotYet"
        assert told[number] == expected, number
    for before, after in pairwise(pieces):
        same = isinstance(before, Never) and isinstance(after, Never) and before.reason == after.reason
        assert not same, "one hole in two answers"


def test_a_row_that_came_after_the_bound_was_read_decides_what_is_before_it() -> None:
    chunk = Chunk([stored([20, 21])], 30, 1, START, 9, -1)
    found = list(answers(chunk, STREAM, 8, 30, 10))
    assert [type(piece) for piece in found] == [Never, Data, NotYet]
    assert found[0] == Never(8, 19, "filtered")
    assert found[2] == NotYet(22, 30, 9)


def test_what_was_trimmed_meanwhile_is_trimmed_though_the_bound_did_not_know_it() -> None:
    assert list(answers(Chunk([], 30, 1, START, 9, 12), STREAM, 5, 20, 10)) == [Trimmed(5, 12, 13), NotYet(13, 20, 9)]
