"""What every protocol decodes to and encodes from: packets, and the reasons why a datagram is none."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal, NamedTuple, Protocol

from bridge.api.items import HoleReason

MAX_SEQUENCE = 2**53 - 2
"""The highest sequence number: Lua and JSON hold integers exactly up to 2^53, and next = last + 1 must fit too."""

MAX_DATAGRAM = 65_507
"""The largest UDP payload over IPv4 (RFC 768, RFC 791): 65,535 less 20 bytes of IP and 8 of UDP header."""

MalformedReason = Literal[
    "short",  # ends before its header or before what its counts and lengths promise
    "trailing",  # bytes are left after the last message
    "magic",  # not this protocol
    "version",  # this protocol, a version that this build does not know
    "kind",  # a kind of packet that has no business on this line (a request, an unknown one)
    "checksum",
    "authentication",
    "sequence",  # beyond MAX_SEQUENCE, or a range that runs backwards
    "fragment",  # a fragment that cannot be: outside its message, empty, message above the limit
    "oversize",  # larger than the declared limits
]


class Kind(IntEnum):
    """What a packet is."""

    DATA = 0
    HEARTBEAT = 1
    HOLE = 2
    END = 3


class Fragment(NamedTuple):
    """A piece of one message: its byte offset in the message and the size of the whole message, in bytes."""

    offset: int
    size: int


class Packet(NamedTuple):
    """A decoded header and its messages.

    `sequence`: DATA: number of the first message; HEARTBEAT and END: the next number; HOLE: the first missing number.
    `payloads`: DATA: whole messages with rising numbers, or exactly one piece where `fragment` is given.
    `at`: place of the datagram in the list that was decoded.
    """

    kind: int
    session: bytes
    sequence: int
    payloads: Sequence[bytes]
    at: int
    fragment: Fragment | None = None
    last: int = 0  # HOLE: the last missing number
    channel: int | None = None  # native: the channel's number; other protocols have none
    sent_ns: int | None = None  # native: the sender's clock, Unix epoch
    origin: int | None = None  # native: the mark of the bridge that sent it, if it bears one


class Malformed(NamedTuple):
    """A datagram that is no packet: its place in the list that was decoded, the reason, a sentence for the log."""

    at: int
    reason: MalformedReason
    detail: str


class Decoded(NamedTuple):
    packets: list[Packet]
    malformed: list[Malformed]


class Codec(Protocol):
    """One wire protocol. Stateless: the same bytes always give the same answer, and no bytes raise."""

    name: str
    numbered: bool  # False: raw, the core numbers by arrival
    fragments: bool  # messages may span datagrams
    heartbeats: bool
    holes: bool  # has a packet that announces holes
    session_bytes: int  # length of a session on this wire; 0: the wire has none
    first_sequence: int  # the lowest number that a sender may use on this wire
    max_message: int  # bytes of the largest message that is accepted and sent

    def decode(self, datagrams: Sequence[bytes]) -> Decoded:
        """Packets and malformed datagrams, each in the order of the datagrams; together exactly one per datagram."""

    def session_text(self, session: bytes) -> str:
        """The session as users see it."""

    def parse_session(self, text: str) -> bytes:
        """The reverse of `session_text`. Raises ValueError with the reason."""

    def header_bytes(self) -> int:
        """Bytes of a data packet that are not messages."""

    def message_bytes(self) -> int:
        """Bytes that each message of a packet needs besides its payload."""

    def fragment_bytes(self) -> int:
        """Bytes of a fragment's datagram that are not its piece; 0 where the wire has no fragments."""

    def max_messages(self) -> int:
        """The most messages that one packet can hold."""

    # Encoders raise ValueError for what this wire cannot carry: that is our own mistake, the limits above tell it.

    def encode_data(self, session: bytes, sequence: int, payloads: Sequence[bytes], sent_ns: int) -> bytes: ...

    def encode_fragment(
        self, session: bytes, sequence: int, fragment: Fragment, piece: bytes, sent_ns: int
    ) -> bytes: ...

    def encode_heartbeat(self, session: bytes, next_sequence: int, sent_ns: int) -> bytes: ...

    def encode_hole(
        self, session: bytes, first: int, last: int, sent_ns: int, reason: HoleReason = "announced"
    ) -> bytes: ...

    def encode_end(self, session: bytes, next_sequence: int, sent_ns: int) -> bytes: ...
