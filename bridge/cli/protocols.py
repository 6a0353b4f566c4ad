"""`bridge protocols`: the wire protocols and what each can carry."""

import json
from typing import Annotated, Any

import typer

from bridge.cli.output import columns, out

PURPOSE = {
    "raw": "one datagram is one message; nothing else is on the wire",
    "native": "our own, for publishers without a protocol",
    "moldudp64": "Nasdaq MoldUDP64 1.00, the downstream",
}


def command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> int:
    """List the wire protocols."""
    rows = protocols()
    if as_json:
        out(json.dumps(rows, indent=2))
        return 0
    table = [("NAME", "NUMBERS", "FRAGMENTS", "HEARTBEATS", "HOLES", "HEADER", "WHAT IT IS")]
    for row in rows:
        flags = ["yes" if row[key] else "no" for key in ("numbered", "fragments", "heartbeats", "holes")]
        table.append((row["name"], *flags, f"{row['header_bytes']} B", row["purpose"]))
    out(columns(table))
    return 0


def protocols() -> list[dict[str, Any]]:
    """Every protocol with what its codec says of itself."""
    from bridge.wire import NAMES, codec

    rows = []
    for name in NAMES:
        found = codec(name)
        rows.append(
            {
                "name": name,
                "numbered": found.numbered,
                "fragments": found.fragments,
                "heartbeats": found.heartbeats,
                "holes": found.holes,
                "header_bytes": found.header_bytes(),
                "message_bytes": found.message_bytes(),
                "session_bytes": found.session_bytes,
                "purpose": PURPOSE.get(name, ""),
            }
        )
    return rows
