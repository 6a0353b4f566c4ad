# ruff: noqa: ARG002 - the encoders keep the signatures of Codec, also for what this wire does not carry
"""MoldUDP64 1.00 (NASDAQ). What is taken from it, and what is refused: docs/specs/wire-moldudp64.md.

    session 10 | sequence u64 | count u16 | count x (length u16, message)        all integers big-endian

Count 0 is a heartbeat, count 0xFFFF the end of the session; both carry the next number.
"""

import re
import struct
from collections.abc import Sequence
from typing import Final, NoReturn

from bridge.api.items import HoleReason
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

HEADER: Final = struct.Struct(">10sQH")
HEADER_BYTES: Final = HEADER.size
SESSION_BYTES: Final = 10
END_COUNT: Final = 0xFFFF
MAX_MESSAGES: Final = (MAX_DATAGRAM - HEADER_BYTES) // 2
"""What fits a UDP datagram, empty messages all; the field's own limit of 65,534 is above it."""

_DATA, _HEARTBEAT, _END = int(Kind.DATA), int(Kind.HEARTBEAT), int(Kind.END)
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


class MoldUDP64Codec:
    """Codec of a MoldUDP64 downstream. `max_message` bounds messages in bytes, both ways."""

    name = "moldudp64"
    numbered = True
    fragments = False
    heartbeats = True
    holes = False
    session_bytes = SESSION_BYTES
    first_sequence = 1  # "The first message of a session is 1": a receiver by the book would take 0 for old

    def __init__(self, *, max_message: int = MAX_DATAGRAM) -> None:
        if max_message <= 0:
            raise ValueError(f"max_message {max_message} is not above zero")
        self.max_message = max_message

    def header_bytes(self) -> int:
        return HEADER_BYTES

    def message_bytes(self) -> int:
        return 2

    def fragment_bytes(self) -> int:
        return 0

    def max_messages(self) -> int:
        return MAX_MESSAGES

    def session_text(self, session: bytes) -> str:
        r"""Without the spaces that pad it at its end; a byte that is no printable ASCII, or `\`, as `\xNN`."""
        return "".join(
            chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in session.rstrip(b" ")
        )

    def parse_session(self, text: str) -> bytes:
        try:
            session = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1")
        except UnicodeEncodeError:
            session = bytes(SESSION_BYTES + 1)
        if len(session) > SESSION_BYTES:
            raise ValueError(f"{text!r} is no MoldUDP64 session: at most 10 ASCII characters")
        return session.ljust(SESSION_BYTES)

    # in

    def decode(self, datagrams: Sequence[bytes]) -> Decoded:
        packets: list[Packet] = []
        malformed: list[Malformed] = []
        append, new, packet = packets.append, tuple.__new__, Packet
        header, largest = HEADER.unpack_from, self.max_message

        for at, datagram in enumerate(datagrams):
            size = len(datagram)
            if size < HEADER_BYTES:
                malformed.append(Malformed(at, "short", f"{size} bytes, the header has {HEADER_BYTES}"))
                continue
            session, sequence, count = header(datagram)
            position = HEADER_BYTES
            payloads: list[bytes] = []
            if 0 < count < END_COUNT:
                kind, highest = _DATA, sequence + count - 1
                take = payloads.append
                try:
                    for _ in range(count):
                        start = position + 2
                        position = start + (datagram[position] << 8 | datagram[position + 1])
                        take(datagram[start:position])
                except IndexError:
                    position = size + 1
            else:
                kind, highest = (_END if count else _HEARTBEAT), sequence - 1
            if position != size or highest > MAX_SEQUENCE or size > largest:
                found = self._problem(position - size, count, highest, payloads)
                if found is not None:
                    malformed.append(Malformed(at, *found))
                    continue
            append(new(packet, (kind, session, sequence, payloads, at, None, 0, None, None, None)))
        return Decoded(packets, malformed)

    def _problem(
        self, beyond: int, count: int, highest: int, payloads: list[bytes]
    ) -> tuple[MalformedReason, str] | None:
        if beyond > 0:
            return "short", f"ends before its {count} messages do"
        if beyond < 0:
            return "trailing", f"{-beyond} bytes behind the last message"
        if highest > MAX_SEQUENCE:
            return "sequence", f"number {highest} is above {MAX_SEQUENCE}"
        longest = max(map(len, payloads), default=0)
        if longest > self.max_message:
            return "oversize", f"message of {longest} bytes, the limit is {self.max_message}"
        return None

    # out

    def encode_data(self, session: bytes, sequence: int, payloads: Sequence[bytes], sent_ns: int) -> bytes:
        count = len(payloads)
        if not 0 < count <= MAX_MESSAGES:
            raise ValueError(f"{count} messages in a packet, MoldUDP64 carries 1..{MAX_MESSAGES}")
        if max(map(len, payloads)) > self.max_message:
            raise ValueError(f"a message is larger than {self.max_message} bytes")
        parts = [_header(session, sequence, count, sequence + count - 1)]
        for payload in payloads:
            parts += len(payload).to_bytes(4, "big")[2:], payload
        datagram = b"".join(parts)
        if len(datagram) > MAX_DATAGRAM:  # so no length was above 16 bits either
            raise ValueError(f"datagram of {len(datagram)} bytes, UDP carries {MAX_DATAGRAM}")
        return datagram

    def encode_heartbeat(self, session: bytes, next_sequence: int, sent_ns: int) -> bytes:
        return _header(session, next_sequence, 0, next_sequence - 1)

    def encode_end(self, session: bytes, next_sequence: int, sent_ns: int) -> bytes:
        return _header(session, next_sequence, END_COUNT, next_sequence - 1)

    def encode_fragment(
        self,
        session: bytes,
        sequence: int,
        fragment: Fragment,
        piece: bytes,
        sent_ns: int,
    ) -> NoReturn:
        raise ValueError("MoldUDP64 has no fragments")

    def encode_hole(
        self,
        session: bytes,
        first: int,
        last: int,
        sent_ns: int,
        reason: HoleReason = "announced",
    ) -> NoReturn:
        raise ValueError("MoldUDP64 has no packet that announces holes")


def _header(session: bytes, sequence: int, count: int, highest: int) -> bytes:
    if len(session) != SESSION_BYTES or sequence < 0 or highest > MAX_SEQUENCE:
        raise ValueError(f"number {highest} is above {MAX_SEQUENCE} or session {session!r} has not 10 bytes")
    return HEADER.pack(session, sequence, count)
