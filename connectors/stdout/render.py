"""Messages as text: one JSON object a line, the payload and a newline, or a hex dump; the forms of surface.md.

`listen` and `read` write the same forms; a test holds the two to each other.
"""

import json
import re
import time
from typing import Any

_DELETE_AND_C1 = re.compile("[\x7f-\x9f\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_PRINTABLE = bytes(byte if 32 <= byte < 127 else ord(".") for byte in range(256))
_UNPRINTABLE_ASCII = re.compile(rb"[^\x20-\x7e]|\\")


def session_text(session: bytes) -> str:
    r"""Eight bytes, which are a number or made by us, as hexadecimal digits; others as text without the spaces that pad
    it, what is no printable ASCII as `\xNN`."""
    if len(session) == 8:
        return session.hex()
    escaped = _UNPRINTABLE_ASCII.sub(lambda match: b"\\x%02x" % match[0][0], session.rstrip(b" "))
    return escaped.decode("ascii")


def iso_time(time_ns: int) -> str:
    """`2025-07-01T13:30:00.123456789Z`."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


def jsonl(channel: str, session: str, sequence: int, when: str, payload: bytes, known: dict[str, Any]) -> bytes:
    """One object and a newline. `known` are further keys; those that are there already, and None, are left out."""
    row: dict[str, Any] = {"channel": channel, "session": session, "sequence": sequence, "time": when}
    try:
        row["payload"] = payload.decode()
    except UnicodeDecodeError:
        row["payload_hex"] = payload.hex()
    for name, value in known.items():
        if value is not None:
            row.setdefault(name, value)
    line = json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_json)
    return _DELETE_AND_C1.sub(lambda match: f"\\u{ord(match[0]):04x}", line).encode("utf-8", "replace") + b"\n"


def _json(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def text(payload: bytes, terminal: bool) -> bytes:
    r"""The payload and a newline; on a terminal without what could command it (`\x1b`)."""
    if not terminal:
        return payload + b"\n"
    decoded = payload.decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda match: _escape(ord(match[0])), decoded).encode() + b"\n"


def _escape(code: int) -> str:
    named = {10: r"\n", 13: r"\r"}.get(code)
    return named or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def hexdump(channel: str, session: str, sequence: int, when: str, payload: bytes) -> bytes:
    """A line of what is known, then sixteen bytes a line in the manner of `tcpdump -X`."""
    lines = [f"{when} {channel} {session} {sequence} length {len(payload)}"]
    for offset in range(0, len(payload), 16):
        row = payload[offset : offset + 16]
        pairs = " ".join(row[at : at + 2].hex() for at in range(0, len(row), 2))
        lines.append(f"\t0x{offset:04x}:  {pairs:<39}  {row.translate(_PRINTABLE).decode('ascii')}")
    return "".join(f"{line}\n" for line in lines).encode()
