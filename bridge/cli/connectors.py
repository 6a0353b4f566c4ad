"""`bridge connectors`: what is installed, and what hinders what is."""

import json
from typing import Annotated

import typer

from bridge.cli.output import columns, note, out


def command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> int:
    """List the connectors that are installed."""
    from bridge.api import ConfigurationError
    from bridge.config import registry

    listing = registry.connectors()
    rows, warnings = [], list(listing.warnings)
    for connector in listing.connectors:
        can: list[str] = []
        try:
            cls = registry.load_connector(connector).cls
            capabilities = getattr(cls, "capabilities", None)
            can = [
                name for name in ("readable_tail", "dedupes", "fences", "store") if getattr(capabilities, name, False)
            ]
        except ConfigurationError as error:
            warnings.append(f"{error.message}; {error.hint}")
        rows.append((connector.name, connector.role, f"{connector.distribution} {connector.version}".strip(), can))
    if as_json:
        keys = ("name", "role", "from", "capabilities")
        out(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2))
    else:
        table = [("NAME", "ROLE", "FROM", "CAPABILITIES")]
        table += [(name, role.replace("_", " "), brought, ", ".join(can)) for name, role, brought, can in rows]
        out(columns(table))
    note(f"warning: {warning}" for warning in warnings)
    return 0
