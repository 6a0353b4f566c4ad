"""Which session the bridge writes on an outbound wire. Numbers are never changed: a message keeps its own everywhere.

The original session goes out where it fits the wire and its stream did not begin again. Else the wire gets a session
made from it: SHA-256 of the original session's bytes and the restart (u64, big-endian), cut to the wire: the first
64 bits for native, the first 50 bits as ten base-32 characters (RFC 4648) for MoldUDP64. So two bridges that read the
same stream emit the same session without talking to each other, and a restart is a new session to every receiver.
"""

from base64 import b32encode
from hashlib import sha256

from bridge.api.items import Stream
from bridge.wire.packet import Codec


def emitted_session(stream: Stream, protocol: str, wire: Codec) -> bytes:
    """The session for `stream`, whose session bytes are of `protocol`, on `wire`; empty where the wire has none."""
    if not wire.session_bytes:
        return b""
    if stream.restart == 0 and _fits(stream.session, protocol, wire):
        return stream.session
    return _cut(sha256(stream.session + stream.restart.to_bytes(8, "big")).digest(), wire)


def session_from_time(time_ns: int, wire: Codec) -> bytes:
    """A session of our own that begins at `time_ns` (Unix epoch): the time itself where 64 bits fit, else made from it."""
    if wire.session_bytes == 8:
        return time_ns.to_bytes(8, "big")
    return _cut(sha256(time_ns.to_bytes(8, "big")).digest(), wire) if wire.session_bytes else b""


def _fits(session: bytes, protocol: str, wire: Codec) -> bool:
    """A session of the same protocol always fits; another one where the wire allows its bytes."""
    if len(session) != wire.session_bytes:
        return False
    return protocol == wire.name or wire.name != "moldudp64" or all(32 <= byte < 127 for byte in session)


def _cut(digest: bytes, wire: Codec) -> bytes:
    if wire.name == "moldudp64":
        return b32encode(digest[:10])[: wire.session_bytes]  # five bits a character
    return digest[: wire.session_bytes]
