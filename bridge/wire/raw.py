# ruff: noqa: ARG002 - the encoders keep the signatures of Codec, also for what this wire does not carry
"""raw: one datagram is one message, and nothing else is on the wire. The core numbers messages as they arrive."""

from collections.abc import Sequence
from typing import NoReturn

from bridge.api.items import HoleReason
from bridge.wire.packet import MAX_DATAGRAM, Decoded, Fragment, Kind, Malformed, Packet

_DATA = int(Kind.DATA)


class RawCodec:
    """Codec of any line without a protocol that we know. `max_message` bounds datagrams in bytes, both ways."""

    name = "raw"
    numbered = False
    fragments = False
    heartbeats = False
    holes = False
    session_bytes = 0
    first_sequence = 0

    def __init__(self, *, max_message: int = MAX_DATAGRAM) -> None:
        if max_message <= 0:
            raise ValueError(f"max_message {max_message} is not above zero")
        self.max_message = max_message

    def header_bytes(self) -> int:
        return 0

    def message_bytes(self) -> int:
        return 0

    def fragment_bytes(self) -> int:
        return 0

    def max_messages(self) -> int:
        return 1

    def session_text(self, session: bytes) -> str:
        """The core makes the session (start time and random): shown in hexadecimal digits."""
        return session.hex()

    def parse_session(self, text: str) -> bytes:
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise ValueError(f"{text!r} is no raw session: write its hexadecimal digits") from None

    def decode(self, datagrams: Sequence[bytes]) -> Decoded:
        new, packet, limit = tuple.__new__, Packet, self.max_message
        packets = [
            new(packet, (_DATA, b"", 0, [datagram], at, None, 0, None, None, None))
            for at, datagram in enumerate(datagrams)
            if len(datagram) <= limit
        ]
        if len(packets) == len(datagrams):
            return Decoded(packets, [])
        malformed = [
            Malformed(at, "oversize", f"{len(datagram)} bytes, the limit is {limit}")
            for at, datagram in enumerate(datagrams)
            if len(datagram) > limit
        ]
        return Decoded(packets, malformed)

    def encode_data(self, session: bytes, sequence: int, payloads: Sequence[bytes], sent_ns: int) -> bytes:
        if len(payloads) != 1 or len(payloads[0]) > min(self.max_message, MAX_DATAGRAM):
            raise ValueError(f"raw carries one message of at most {min(self.max_message, MAX_DATAGRAM)} bytes")
        return bytes(payloads[0])

    def encode_fragment(
        self,
        session: bytes,
        sequence: int,
        fragment: Fragment,
        piece: bytes,
        sent_ns: int,
    ) -> NoReturn:
        raise ValueError("raw has no fragments")

    def encode_heartbeat(self, session: bytes, next_sequence: int, sent_ns: int) -> NoReturn:
        raise ValueError("raw has no heartbeats")

    def encode_hole(
        self,
        session: bytes,
        first: int,
        last: int,
        sent_ns: int,
        reason: HoleReason = "announced",
    ) -> NoReturn:
        raise ValueError("raw has no holes")

    def encode_end(self, session: bytes, next_sequence: int, sent_ns: int) -> NoReturn:
        raise ValueError("raw has no end of session")
