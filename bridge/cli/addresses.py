"""`bridge addresses [GROUP]`: explains a group by the IANA registries, or proposes free ones."""

import sys
from ipaddress import IPv4Address, ip_address

from bridge.api.address import IP, Address, AddressError
from bridge.api.iana import REGISTRY_DATE, explain, mac_shared_with, one_line, propose

__all__ = ["addresses", "command", "one_line"]


def command(group: str | None = None) -> int:
    """Explain GROUP (with or without port), or without it propose addresses that are free. Returns the exit status."""
    try:
        print("\n".join(addresses(group)))  # noqa: T201 - the verb's output
    except AddressError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)  # noqa: T201 - the verb's error
        return 64
    return 0


def addresses(group: str | None = None) -> list[str]:
    """The lines that the verb prints. Raises `AddressError`."""
    return _proposals() if group is None else _explained(_group(group))


def _group(text: str) -> IP:
    try:
        return ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return Address.parse(text).group


def _explained(group: IP) -> list[str]:
    if not group.is_multicast:
        hint = "groups are 224.0.0.0 to 239.255.255.255 and ff00::/8; `bridge addresses` proposes free ones"
        raise AddressError(f"{group} is no multicast group", hint)
    known = explain(group)
    rows = [("group", str(group)), ("block", known.block), ("scope", known.scope), ("routing", known.routing)]
    rows.append(("assigned", known.assigned or "to nobody that this table knows"))
    rows.append(("ethernet", known.mac))
    if isinstance(group, IPv4Address):
        others = mac_shared_with(group)
        rows.append(("shared with", f"{others[0]}, {others[1]}, … {others[-1]} (32 groups an Ethernet address)"))
    else:
        rows.append(("shared with", "every IPv6 group that ends in the same 32 bits"))
    rows += [("note", note) for note in known.notes]
    rows.append(("registry", f"IANA, as of {REGISTRY_DATE}"))
    return [f"{name + ':':<13}{value}" for name, value in rows]


def _proposals() -> list[str]:
    lines = []
    for proposal in propose():
        lines.append(f"{proposal.purpose} ({proposal.note}):")
        lines += [f"    {group}" for group in proposal.groups]
    ports = (
        "any port from 1024 to 32767 (see /proc/sys/net/ipv4/ip_local_port_range for what the system itself hands out)"
    )
    lines.append(f"ports: {ports}")
    lines.append(f"registry: IANA, as of {REGISTRY_DATE}; `bridge addresses GROUP` explains one")
    return lines
