"""Messages as users see them: `jsonl`, `text` and `hex`, the same in `listen` and `read`."""

import json
import re
import time
from typing import Any

_DELETE_AND_C1 = re.compile("[\x7f-\x9f\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_PRINTABLE = bytes(byte if 32 <= byte < 127 else ord(".") for byte in range(256))


def jsonl(channel: str, session_text: str, sequence: int, time_ns: int, payload: bytes, **known: Any) -> str:
    """One JSON object on one line, without its newline.

    `time_ns` is the receive time (Unix epoch). The payload is text under `payload` where it is UTF-8, else hexadecimal
    digits under `payload_hex`. `known` are further fields (`line`, `source`, `position` …); None is left out.
    """
    row: dict[str, Any] = {"channel": channel, "session": session_text, "sequence": sequence, "time": iso_time(time_ns)}
    try:
        row["payload"] = payload.decode()
    except UnicodeDecodeError:
        row["payload_hex"] = payload.hex()
    row.update((name, value) for name, value in known.items() if value is not None)
    line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return _DELETE_AND_C1.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def iso_time(time_ns: int) -> str:
    """`2025-07-01T13:30:00.123456789Z`."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


def text(payload: bytes, *, terminal: bool) -> bytes:
    r"""The payload and a newline. On a terminal, control characters but the tab, and bytes that are no UTF-8, are escaped
    (`\x1b`), so that no message can command it."""
    if not terminal:
        return payload + b"\n"
    decoded = payload.decode("utf-8", "backslashreplace")
    escaped = _CONTROL.sub(lambda match: _escape(ord(match[0])), decoded)
    return escaped.encode() + b"\n"


def _escape(code: int) -> str:
    named = {10: r"\n", 13: r"\r"}.get(code)
    return named or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def hexdump(payload: bytes) -> list[str]:
    """Sixteen bytes a line in the manner of `tcpdump -X`: offset, pairs of bytes, printable ASCII."""
    lines = []
    for offset in range(0, len(payload), 16):
        row = payload[offset : offset + 16]
        pairs = " ".join(row[at : at + 2].hex() for at in range(0, len(row), 2))
        lines.append(f"\t0x{offset:04x}:  {pairs:<39}  {row.translate(_PRINTABLE).decode('ascii')}")
    return lines


def hex_head(channel: str, session_text: str, sequence: int, time_ns: int, payload: bytes) -> str:
    """The line above a `hexdump`."""
    return f"{iso_time(time_ns)} {channel} {session_text} {sequence} length {len(payload)}"
