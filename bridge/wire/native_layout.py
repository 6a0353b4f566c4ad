"""The layout of the native protocol, version 1, as data. Specification: docs/specs/wire-native.md.

    header 40 | origin 8 (flag) | body | MAC 16 (flag) | CRC-32 4

All integers are big-endian, but the CRC, which is little-endian: so the CRC-32 of a whole datagram, its own four
bytes included, is the constant `RESIDUE`, and checking it needs no slice (the same arithmetic as the Ethernet FCS).
"""

import struct
import zlib
from hashlib import sha256
from typing import Final

from bridge.api.items import HoleReason

MAGIC: Final = b"MCBR"
VERSION: Final = 1

HEADER: Final = struct.Struct(">4sBBHIHH8sQQ")
"""magic, version, kind, flags, channel, count, reserved, session, sequence, send time."""
ORIGIN: Final = struct.Struct(">Q")
FRAGMENT: Final = struct.Struct(">II")
"""Size of the whole message, offset of the piece that follows."""
HOLE: Final = struct.Struct(">QB")
"""Last missing number, reason code."""
CRC: Final = struct.Struct("<I")

HEADER_BYTES: Final = HEADER.size
MAC_BYTES: Final = 16
CRC_BYTES: Final = CRC.size
SESSION_BYTES: Final = 8
SMALLEST: Final = HEADER_BYTES + CRC_BYTES
RESIDUE: Final = 0x2144DF1C

FLAG_FRAGMENT: Final = 0x0001
FLAG_MAC: Final = 0x0002
FLAG_ORIGIN: Final = 0x0004
KNOWN_FLAGS: Final = FLAG_FRAGMENT | FLAG_MAC | FLAG_ORIGIN

REQUEST_KINDS: Final = {
    16: "request",
    17: "answer data",
    18: "answer miss",
    19: "answer not yet",
    20: "answer never",
    21: "answer throttled",
    22: "cookie",
}
"""Reserved for recovery: they travel by unicast and have no business on a data line."""

HOLE_CODES: Final[dict[HoleReason, int]] = {
    "announced": 0,
    "wire": 1,
    "reassembly": 2,
    "hold_cap": 3,
    "session_end": 4,
    "rejected": 5,
    "before_window": 6,
    "overload": 7,
    "shutdown": 8,
    "broker_lost": 9,
    "stale": 10,
}
"""For the people who read a capture; a receiver treats all codes alike, also those that it does not know."""


def channel_number(name: str) -> int:
    """The number of a channel that has none of its own: CRC-32 (IEEE) of its name in UTF-8."""
    return zlib.crc32(name.encode())


def origin_number(name: str) -> int:
    """The origin mark of a bridge (or of the `pair` that it belongs to): the first 64 bits of SHA-256 of the name."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")
