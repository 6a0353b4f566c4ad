"""The native protocol, version 1, for users who have none of their own. Specification: docs/specs/wire-native.md.

`decode` has a fast way for whole messages without authentication, which is what a line carries nearly always, and
`_examine` for everything else: it alone decides what is malformed and why, so the fast way never has to.
"""

import struct
from collections.abc import Sequence
from hmac import compare_digest, digest
from itertools import accumulate, pairwise
from typing import Final
from zlib import crc32

from bridge.api.items import HoleReason
from bridge.wire.native_layout import (
    CRC,
    CRC_BYTES,
    FLAG_FRAGMENT,
    FLAG_MAC,
    FLAG_ORIGIN,
    FRAGMENT,
    HEADER,
    HEADER_BYTES,
    HOLE,
    HOLE_CODES,
    KNOWN_FLAGS,
    MAC_BYTES,
    MAGIC,
    ORIGIN,
    REQUEST_KINDS,
    RESIDUE,
    SESSION_BYTES,
    SMALLEST,
    VERSION,
)
from bridge.wire.packet import (
    MAX_DATAGRAM,
    MAX_SEQUENCE,
    Decoded,
    Fragment,
    Kind,
    Malformed,
    MalformedReason,
    Packet,
)

DEFAULT_MAX_MESSAGE = 64 * 2**20
MAX_KEYS = 4
"""Keys that a receiver tries: enough to change a key without a stop, few enough that a forger costs little."""

_DATA, _HEARTBEAT, _HOLE, _END = (int(kind) for kind in Kind)

_FAST: Final = struct.Struct(">QIHxx8sQQH")
"""The header, its first eight bytes as one integer, and the first length behind it."""
_FAST_ORIGIN: Final = struct.Struct(">QH")
_HEAD: Final = (int.from_bytes(MAGIC, "big") << 32) | (VERSION << 24) | (_DATA << 16)
_PLAIN: Final = _HEAD
_MARKED: Final = _HEAD | FLAG_ORIGIN
_ONE: Final = HEADER_BYTES + 2 + CRC_BYTES  # the datagram of one empty message
_ONE_MARKED: Final = _ONE + ORIGIN.size

_LENGTHS: Final = [struct.Struct(f">{count}H") for count in range(257)]
"""Tables of lengths; a larger count, which needs messages below five bytes on Ethernet, makes its own."""


class NativeCodec:
    """Codec of one channel. `keys`: the first one signs, any one verifies; without keys a MAC is not looked at.

    `channel` (0..2^32-1) is written, never compared: a packet names the channel it came with. `origin` marks every
    datagram sent. `max_message` bounds what is accepted and sent, in bytes. Raises ValueError for values outside.
    """

    name = "native"
    numbered = True
    fragments = True
    heartbeats = True
    holes = True
    session_bytes = SESSION_BYTES
    first_sequence = 0

    def __init__(
        self,
        channel: int = 0,
        *,
        keys: Sequence[bytes] = (),
        max_message: int = DEFAULT_MAX_MESSAGE,
        origin: int | None = None,
    ) -> None:
        if not 0 <= channel < 2**32:
            raise ValueError(f"channel number {channel} is outside 0..{2**32 - 1}")
        if origin is not None and not 0 <= origin < 2**64:
            raise ValueError(f"origin {origin} is outside 0..{2**64 - 1}")
        if not 0 < max_message < 2**32:
            raise ValueError(f"max_message {max_message} is outside 1..{2**32 - 1}")
        if len(keys) > MAX_KEYS:
            raise ValueError(f"{len(keys)} keys, at most {MAX_KEYS} are allowed")
        if not all(keys):
            raise ValueError("a key is empty")
        self.channel = channel
        self.max_message = max_message
        self._keys = tuple(keys)
        self._origin = b"" if origin is None else ORIGIN.pack(origin)
        self._flags = (FLAG_MAC if keys else 0) | (0 if origin is None else FLAG_ORIGIN)
        self._overhead = SMALLEST + len(self._origin) + (MAC_BYTES if keys else 0)

    # what a sender must know

    def header_bytes(self) -> int:
        return self._overhead

    def message_bytes(self) -> int:
        return 2

    def fragment_bytes(self) -> int:
        return self._overhead + FRAGMENT.size

    def max_messages(self) -> int:
        return (MAX_DATAGRAM - self._overhead) // 2

    def session_text(self, session: bytes) -> str:
        """Sixteen hexadecimal digits."""
        return session.hex()

    def parse_session(self, text: str) -> bytes:
        try:
            session = bytes.fromhex(text)
        except ValueError:
            session = b""
        if len(session) != SESSION_BYTES or len(text) != 2 * SESSION_BYTES:
            raise ValueError(f"{text!r} is no native session: write its 16 hexadecimal digits")
        return session

    # in

    def decode(self, datagrams: Sequence[bytes]) -> Decoded:
        packets: list[Packet] = []
        malformed: list[Malformed] = []
        append = packets.append
        header, new, packet, checksum = _FAST.unpack_from, tuple.__new__, Packet, crc32
        slow, largest = bool(self._keys), self.max_message
        for at, datagram in enumerate(datagrams):
            size = len(datagram)
            if size >= _ONE and not slow:
                head, channel, count, session, sequence, sent, length = header(datagram)
                origin: int | None = None
                start = HEADER_BYTES
                if head == _MARKED and size >= _ONE_MARKED:
                    start += ORIGIN.size
                    origin, length = _FAST_ORIGIN.unpack_from(datagram, HEADER_BYTES)
                    head = _PLAIN
                if head == _PLAIN and checksum(datagram) == RESIDUE and sequence + count <= MAX_SEQUENCE + 1:
                    start += 2
                    if count == 1:
                        if length == size - start - CRC_BYTES and length <= largest:
                            payloads = [datagram[start:-CRC_BYTES]]
                            append(new(packet, (0, session, sequence, payloads, at, None, 0, channel, sent, origin)))
                            continue
                    elif count and start - 2 + 2 * count + CRC_BYTES <= size:
                        table = _LENGTHS[count] if count <= 256 else struct.Struct(f">{count}H")
                        lengths = table.unpack_from(datagram, start - 2)
                        start += 2 * count - 2
                        if start + sum(lengths) == size - CRC_BYTES and (size <= largest or max(lengths) <= largest):
                            payloads = []
                            take = payloads.append
                            for length in lengths:
                                end = start + length
                                take(datagram[start:end])
                                start = end
                            append(new(packet, (0, session, sequence, payloads, at, None, 0, channel, sent, origin)))
                            continue
            found = self._examine(at, datagram)
            if type(found) is Packet:
                append(found)
            else:
                assert isinstance(found, Malformed)
                malformed.append(found)
        return Decoded(packets, malformed)

    def _examine(self, at: int, datagram: bytes) -> Packet | Malformed:
        """One datagram, checked from the outside in: magic, version, size, checksum, MAC, kind, flags, body."""

        def bad(reason: MalformedReason, detail: str) -> Malformed:
            return Malformed(at, reason, detail)

        size = len(datagram)
        if datagram[:4] != MAGIC[:size]:
            return bad("magic", f"begins with {datagram[:4].hex()}, not with {MAGIC.hex()}")
        if size > 4 and datagram[4] != VERSION:
            return bad("version", f"version {datagram[4]}, this build knows {VERSION}")
        if size < SMALLEST:
            return bad("short", f"{size} bytes, the smallest packet has {SMALLEST}")
        if crc32(datagram) != RESIDUE:
            return bad("checksum", f"CRC-32 does not match, {size} bytes")
        _, _, kind, flags, channel, count, _, session, sequence, sent = HEADER.unpack_from(datagram)
        start, end = HEADER_BYTES, size - CRC_BYTES
        if self._keys:
            if not flags & FLAG_MAC:
                return bad("authentication", "bears no MAC, and this channel has keys")
            if size < SMALLEST + MAC_BYTES or not self._verified(datagram):
                return bad("authentication", "the MAC does not match any key of this channel")
        if kind not in (_DATA, _HEARTBEAT, _HOLE, _END):
            return bad("kind", f"kind {kind} ({REQUEST_KINDS.get(kind, 'unknown')})")
        if flags & ~KNOWN_FLAGS:
            return bad("version", f"flags {flags:#06x}, this build knows {KNOWN_FLAGS:#06x}")
        if flags & FLAG_MAC:
            end -= MAC_BYTES
        origin = None
        if flags & FLAG_ORIGIN:
            start += ORIGIN.size
        if start > end:
            return bad("short", f"{size} bytes, its flags {flags:#06x} need {SMALLEST + start - end + size}")
        if flags & FLAG_ORIGIN:
            (origin,) = ORIGIN.unpack_from(datagram, HEADER_BYTES)
        fragment: Fragment | None = None
        payloads: list[bytes] = []
        last = 0
        if flags & FLAG_FRAGMENT:
            if kind != _DATA or count != 1:
                return bad("fragment", f"fragment flag on kind {kind} with count {count}")
            if end - start < FRAGMENT.size:
                return bad("short", f"{end - start} bytes of body, a fragment has {FRAGMENT.size} and its piece")
            whole, offset = FRAGMENT.unpack_from(datagram, start)
            piece = datagram[start + FRAGMENT.size : end]
            if whole > self.max_message:
                return bad("fragment", f"of a message of {whole} bytes, the limit is {self.max_message}")
            if not piece or offset + len(piece) > whole:
                return bad("fragment", f"{len(piece)} bytes at offset {offset} of a message of {whole}")
            fragment, payloads = Fragment(offset, whole), [piece]
        elif kind == _DATA:
            if not count:
                return bad("kind", "data without a message")
            body = start + 2 * count
            if body > end:
                return bad("short", f"{count} messages do not fit {end - start} bytes of body")
            lengths = struct.unpack_from(f">{count}H", datagram, start)
            ends = list(accumulate(lengths, initial=body))
            if ends[-1] != end:
                reason: MalformedReason = "short" if ends[-1] > end else "trailing"
                return bad(reason, f"lengths sum to {ends[-1] - body} bytes, the body has {end - body}")
            if max(lengths) > self.max_message:
                return bad("oversize", f"message of {max(lengths)} bytes, the limit is {self.max_message}")
            payloads = [datagram[a:b] for a, b in pairwise(ends)]
        else:
            body = HOLE.size if kind == _HOLE else 0
            if end - start != body:
                return bad("short" if end - start < body else "trailing", f"{end - start} bytes of body, not {body}")
            if kind == _HOLE:
                last, _ = HOLE.unpack_from(datagram, start)
                if last < sequence:
                    return bad("sequence", f"hole from {sequence} runs backwards to {last}")
        highest = last if kind == _HOLE else sequence + count - 1 if kind == _DATA else sequence - 1
        if highest > MAX_SEQUENCE:
            return bad("sequence", f"number {highest} is above {MAX_SEQUENCE}")
        return Packet(kind, session, sequence, payloads, at, fragment, last, channel, sent, origin)

    def _verified(self, datagram: bytes) -> bool:
        signed = datagram[: -CRC_BYTES - MAC_BYTES]
        mac = datagram[-CRC_BYTES - MAC_BYTES : -CRC_BYTES]
        return any(compare_digest(mac, digest(key, signed, "sha256")[:MAC_BYTES]) for key in self._keys)

    # out

    def encode_data(self, session: bytes, sequence: int, payloads: Sequence[bytes], sent_ns: int) -> bytes:
        count = len(payloads)
        if not count:
            raise ValueError("a data packet needs a message")
        if self.max_message < MAX_DATAGRAM and max(map(len, payloads)) > self.max_message:
            raise ValueError(f"a message is larger than {self.max_message} bytes")
        head = self._head(_DATA, 0, count, session, sequence, sequence + count - 1, sent_ns)
        try:
            table = (_LENGTHS[count] if count <= 256 else struct.Struct(f">{count}H")).pack(*map(len, payloads))
        except struct.error as error:
            raise ValueError(f"a message is larger than {MAX_DATAGRAM} bytes") from error
        return self._seal(b"".join((head, self._origin, table, *payloads)))

    def encode_fragment(self, session: bytes, sequence: int, fragment: Fragment, piece: bytes, sent_ns: int) -> bytes:
        offset, size = fragment
        if not 0 < size <= self.max_message or offset < 0 or not piece or offset + len(piece) > size:
            raise ValueError(f"no fragment: {len(piece)} bytes at {offset} of {size}, limit {self.max_message}")
        head = self._head(_DATA, FLAG_FRAGMENT, 1, session, sequence, sequence, sent_ns)
        return self._seal(b"".join((head, self._origin, FRAGMENT.pack(size, offset), piece)))

    def encode_heartbeat(self, session: bytes, next_sequence: int, sent_ns: int) -> bytes:
        head = self._head(_HEARTBEAT, 0, 0, session, next_sequence, next_sequence - 1, sent_ns)
        return self._seal(head + self._origin)

    def encode_hole(
        self, session: bytes, first: int, last: int, sent_ns: int, reason: HoleReason = "announced"
    ) -> bytes:
        if last < first:
            raise ValueError(f"a hole from {first} cannot end at {last}")
        head = self._head(_HOLE, 0, 0, session, first, last, sent_ns)
        return self._seal(head + self._origin + HOLE.pack(last, HOLE_CODES[reason]))

    def encode_end(self, session: bytes, next_sequence: int, sent_ns: int) -> bytes:
        head = self._head(_END, 0, 0, session, next_sequence, next_sequence - 1, sent_ns)
        return self._seal(head + self._origin)

    def _head(
        self, kind: int, flag: int, count: int, session: bytes, sequence: int, highest: int, sent_ns: int
    ) -> bytes:
        if highest > MAX_SEQUENCE or len(session) != SESSION_BYTES:
            raise ValueError(f"number {highest} is above {MAX_SEQUENCE} or session {session.hex()} has not 8 bytes")
        try:
            return HEADER.pack(
                MAGIC, VERSION, kind, self._flags | flag, self.channel, count, 0, session, sequence, sent_ns
            )
        except struct.error as error:
            raise ValueError(f"number {sequence}, count {count} or send time {sent_ns} is out of range") from error

    def _seal(self, body: bytes) -> bytes:
        if self._keys:
            body += digest(self._keys[0], body, "sha256")[:MAC_BYTES]
        if len(body) > MAX_DATAGRAM - CRC_BYTES:
            raise ValueError(f"datagram of {len(body) + CRC_BYTES} bytes, UDP carries {MAX_DATAGRAM}")
        return body + CRC.pack(crc32(body))
