"""Messages that arrive in fragments: pieces in any order, from any line, until their bytes are whole.

A piece is (offset, bytes) of a message of a stated size. A piece that is here already is a duplicate; one that overlaps
another, or states another size, contradicts and is refused: the first word counts, so a forged piece can spoil one message
but nothing else. Sizes from the wire reserve nothing: memory grows with the bytes that came.
"""

from bisect import bisect_right, insort
from typing import Literal

from bridge.core import limits

Verdict = Literal["new", "duplicate", "conflict", "cap"]


class Partial:
    """One message on its way."""

    __slots__ = ("arrived", "first_ns", "offsets", "pieces", "size")

    def __init__(self, size: int, now_ns: int) -> None:
        self.size = size
        self.pieces: dict[int, bytes] = {}
        self.offsets: list[int] = []
        self.arrived = 0
        self.first_ns = now_ns

    def add(self, offset: int, piece: bytes) -> Verdict:
        place = bisect_right(self.offsets, offset)
        if place:
            before = self.offsets[place - 1]
            if before == offset:
                return "duplicate" if self.pieces[offset] == piece else "conflict"
            if before + len(self.pieces[before]) > offset:
                return "conflict"
        if place < len(self.offsets) and offset + len(piece) > self.offsets[place]:
            return "conflict"
        if len(self.offsets) >= limits.PARTIAL_PIECES:
            return "cap"
        insort(self.offsets, offset)
        self.pieces[offset] = piece
        self.arrived += len(piece)
        return "new"

    @property
    def whole(self) -> bool:
        return self.arrived == self.size

    def join(self) -> bytes:
        return b"".join([self.pieces[offset] for offset in self.offsets])


class Reassembly:
    """The messages of one stream that are on their way, by number. `cost` is the memory that they take, in bytes."""

    __slots__ = ("cost", "partials")

    def __init__(self) -> None:
        self.partials: dict[int, Partial] = {}
        self.cost = 0

    def __len__(self) -> int:
        return len(self.partials)

    def within(self, first: int, stop: int) -> list[int]:
        """The numbers of [first, stop) that are on their way, rising. Costs the smaller of the two, sorted."""
        partials = self.partials
        if not partials:
            return []
        if stop - first <= len(partials):
            return [number for number in range(first, stop) if number in partials]
        return sorted(number for number in partials if first <= number < stop)

    def add(self, number: int, offset: int, size: int, piece: bytes, now_ns: int) -> tuple[Verdict, bytes | None, int]:
        """Take a piece in: the verdict, the whole message if this was its last piece, and of how many pieces."""
        partial = self.partials.get(number)
        if partial is None:
            partial = self.partials[number] = Partial(size, now_ns)
        elif partial.size != size:
            return "conflict", None, 0
        verdict = partial.add(offset, piece)
        if verdict != "new":
            return verdict, None, 0
        self.cost += len(piece) + limits.PIECE_COST
        if not partial.whole:
            return verdict, None, 0
        self.drop(number)
        return verdict, partial.join(), len(partial.offsets)

    def drop(self, number: int) -> Partial | None:
        """Forget a message; returns what was here of it."""
        partial = self.partials.pop(number, None)
        if partial is not None:
            self.cost -= partial.arrived + limits.PIECE_COST * len(partial.offsets)
        return partial
