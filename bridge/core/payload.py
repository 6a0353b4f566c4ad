"""Generated payloads: made from a seed, a number and a size, and checked without knowing the sender.

    0000000001 <body> 3d6a4b1c        number, body (base64 of SHAKE-128), CRC-32 of everything before it

Specification and vectors: docs/specs/payload.md.
"""

import math
from binascii import b2a_base64
from hashlib import shake_128
from typing import Final, NamedTuple
from zlib import crc32

SMALLEST: Final = 20
"""Bytes of a payload with an empty body."""
LARGEST: Final = 64 * 2**20
MAX_NUMBER: Final = 10**10 - 1
MAX_SEED: Final = 2**64 - 1

_DIGITS: Final = 10
_CRC: Final = 8


class Sizes(NamedTuple):
    """Sizes from `least` to `most` bytes, both included, spread evenly on a logarithmic scale."""

    least: int
    most: int

    def of(self, seed: int, number: int) -> int:
        """The size of message `number`; every size has a share as large as its step on the logarithmic scale."""
        least, most = self
        if least == most:
            return least
        drawn = int.from_bytes(shake_128(b"size" + _key(seed, number)).digest(8), "big") >> 11
        return min(most, int(least * math.exp(drawn / 2**53 * math.log((most + 1) / least))))


def payload(seed: int, number: int, size: int) -> bytes:
    """The payload of message `number`, `size` bytes. Raises ValueError for values outside the specification."""
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size {size} is outside {SMALLEST}..{LARGEST} bytes")
    if not 0 <= number <= MAX_NUMBER or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"number {number} or seed {seed} is outside 0..{MAX_NUMBER}, 0..{MAX_SEED}")
    length = size - SMALLEST
    body = b2a_base64(shake_128(_key(seed, number)).digest((3 * length + 3) // 4), newline=False)[:length]
    head = b"%010d %b " % (number, body)
    return head + b"%08x" % crc32(head)


def number_of(generated: bytes) -> int | None:
    """The number that a payload carries; None if it is no generated payload or was changed on its way."""
    if len(generated) < SMALLEST or generated[_DIGITS] != ord(" "):
        return None
    if generated[-_CRC:] != b"%08x" % crc32(generated[:-_CRC]):
        return None
    digits = generated[:_DIGITS]
    return int(digits) if digits.isdigit() else None


def _key(seed: int, number: int) -> bytes:
    return seed.to_bytes(8, "big") + number.to_bytes(8, "big")
