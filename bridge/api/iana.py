"""Explains a multicast group by the IANA registries, and proposes groups that are free.

`explain(group)` says block, scope, whether routers forward it, what it is assigned to, and which Ethernet address it has.
Thirty-two IPv4 groups share one Ethernet address (RFC 1112 6.4: the low 23 bits); those that share it with 224.0.0.x are
flooded by switches, since snooping must not filter 224.0.0.x (RFC 4541 2.1.2).
"""

import random
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple

from bridge.api.address import IP, Address
from bridge.api.iana_registry import (
    IPV4_BLOCKS,
    IPV4_CONTROL,
    IPV4_ORGANISATIONS,
    IPV6_ASSIGNED,
    IPV6_SCOPES,
    REGISTRY_DATE,
)

__all__ = [
    "REGISTRY_DATE",
    "Explanation",
    "Proposal",
    "explain",
    "mac_address",
    "mac_shared_with",
    "one_line",
    "propose",
]

AssignedTo = Literal["protocol", "organisation"]
Forwarded = Literal["no", "within", "yes"]


_FORWARDED: dict[str, Forwarded] = {"no": "no", "within": "within", "yes": "yes"}


class _Range(NamedTuple):
    first: int
    last: int
    name: str


class _Block(NamedTuple):
    first: int
    last: int
    name: str
    scope: str
    forwarded: Forwarded


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of one group. `assigned` is the registry's name, `assigned_to` how binding it is:
    a `protocol` has its own receivers everywhere; an `organisation`'s group is received by whoever means to."""

    group: IP
    block: str
    scope: str  # interface, link, site, organisation, global, …
    forwarded: Forwarded
    assigned: str | None
    assigned_to: AssignedTo | None
    mac: str
    flooded: bool  # shares its Ethernet address with 224.0.0.x, which switches flood
    source_specific: bool
    notes: tuple[str, ...]

    @property
    def routing(self) -> str:
        """Whether routers forward it, in words."""
        if self.forwarded == "no":
            return "never forwarded by routers"
        return f"forwarded inside the {self.scope}" if self.forwarded == "within" else "forwarded by multicast routers"


class Proposal(NamedTuple):
    """Free groups of one purpose."""

    purpose: str
    groups: tuple[str, ...]
    note: str


def _ranges(table: str) -> list[_Range]:
    found = []
    for line in table.strip().splitlines():
        where, _, name = line.partition(" ")
        first, _, last = where.partition("-")
        found.append(_Range(int(ip_address(first)), int(ip_address(last or first)), name))
    return found


@cache
def _blocks() -> list[_Block]:
    found = []
    for line in IPV4_BLOCKS.strip().splitlines():
        left, scope, forwarded = (part.strip() for part in line.split("|"))
        first, last, name = left.split(None, 2)
        found.append(_Block(int(IPv4Address(first)), int(IPv4Address(last)), name, scope, _FORWARDED[forwarded]))
    return found


@cache
def _assigned_ipv4() -> list[tuple[_Range, AssignedTo]]:
    control: list[tuple[_Range, AssignedTo]] = [(r, "protocol") for r in _ranges(IPV4_CONTROL)]
    return control + [(r, "organisation") for r in _ranges(IPV4_ORGANISATIONS)]


@cache
def _assigned_ipv6() -> list[_Range]:
    return _ranges(IPV6_ASSIGNED)


def mac_address(group: IP) -> str:
    """The Ethernet address that frames to the group carry (RFC 1112 6.4, RFC 2464 7)."""
    packed = group.packed
    octets = (
        b"\x01\x00\x5e" + bytes([packed[1] & 0x7F]) + packed[2:] if group.version == 4 else b"\x33\x33" + packed[12:]
    )
    return octets.hex(":")


def mac_shared_with(group: IPv4Address) -> list[IPv4Address]:
    """The other 31 groups with the same Ethernet address."""
    low = int(group) & 0x7FFFFF
    return [g for i in range(32) if (g := IPv4Address(0xE0000000 | i << 23 | low)) != group]


def explain(group: IP) -> Explanation:
    """Raises ValueError for an address that is no multicast group."""
    if not group.is_multicast:
        raise ValueError(f"{group} is no multicast group; groups are 224.0.0.0 to 239.255.255.255 and ff00::/8")
    return _explain_ipv4(group) if isinstance(group, IPv4Address) else _explain_ipv6(group)


def _explain_ipv4(group: IPv4Address) -> Explanation:
    number, packed = int(group), group.packed
    block = next(b for b in _blocks() if b.first <= number <= b.last)
    name: str | None = None
    assigned_to: AssignedTo | None = None
    for entry, to in _assigned_ipv4():
        if entry.first <= number <= entry.last:
            name, assigned_to = entry.name, to
            break
    flooded = packed[1] & 0x7F == 0 and packed[2] == 0
    notes = []
    if block.scope == "link":
        if name is None:
            notes.append("unassigned today: good for tests on one link, IANA may assign it any time")
        notes.append("switches flood it to every port, whoever joined")
    elif flooded:
        notes.append(f"shares its Ethernet address with 224.0.0.{packed[3]}: switches may flood it to every port")
    if packed[0] == 233 and packed[1] < 252:
        notes.append(f"belongs to the holder of AS {packed[1] << 8 | packed[2]} (RFC 3180)")
    if packed[0] == 234:
        notes.append("belongs to the holder of a unicast prefix that its middle octets spell (RFC 6034)")
    if packed[0] == 232:
        notes.append("receivers must name the senders: S@GROUP:PORT")
    if "reserved" in block.name and name is None:
        notes.append("reserved by IANA: inside an organisation 239.192.0.0/14 is the right choice")
    if packed[0] == 239 and packed[2] == 255 and name is None and block.scope != "site":
        notes.append("the last 256 addresses of a scope are kept for its own services (RFC 2365 9)")
    return Explanation(
        group,
        block.name,
        block.scope,
        block.forwarded,
        name,
        assigned_to,
        mac_address(group),
        flooded,
        packed[0] == 232,
        tuple(notes),
    )


def _explain_ipv6(group: IPv6Address) -> Explanation:
    packed = group.packed
    flags, scope_number = packed[1] >> 4, packed[1] & 0x0F
    scope = IPV6_SCOPES.get(scope_number, "administrator-defined")
    forwarded: Forwarded = "no" if scope_number <= 2 else "yes" if scope_number >= 0xE else "within"
    name = None
    if flags == 0:
        anywhere = int(group) & ~(0xF << 112)  # the same group with scope 0: how the table spells "every scope"
        name = next((r.name for r in _assigned_ipv6() if r.first <= int(group) <= r.last), None) or next(
            (r.name for r in _assigned_ipv6() if r.first <= anywhere <= r.last), None
        )
    specific = Address(group, 1).is_source_specific
    notes = []
    if specific:
        block = "Source-Specific Multicast (ff3x::/32)"
        notes.append("receivers must name the senders: S@[GROUP]:PORT")
    elif flags & 0x4:
        block = "Embedded rendezvous point (ff7x::/12, RFC 3956)"
    elif flags & 0x2:
        block = "Unicast-Prefix-based (ff3x::/12, RFC 3306)"
    elif flags & 0x1:
        block = "transient (ff1x::/12)"
    else:
        block = "assigned by IANA (ff0x::/12)"
        if name is None:
            notes.append("flag T is 0, which is for groups that IANA assigned: for your own use ff1x:: instead")
    if Address(group, 1).is_link_scoped:
        notes.append("means nothing without an interface: write GROUP:PORT%INTERFACE")
    return Explanation(
        group,
        f"{block}, {scope}-local scope" if scope not in ("global", "reserved") else f"{block}, {scope} scope",
        scope,
        forwarded,
        name,
        None if name is None else "protocol",
        mac_address(group),
        False,
        specific,
        tuple(notes),
    )


def one_line(address: Address) -> str:
    """What `check` says of an address: block, routing, assignment and the notes that matter, on one line."""
    if not address.is_multicast:
        what = {
            "broadcast": "limited broadcast: every host on the link",
            "wildcard": "any address of this host",
        }.get(address.kind, "unicast, or the directed broadcast of a network")
        return f"{address}: {what}"
    known = explain(address.group)
    parts = [known.block, known.routing]
    if known.assigned:
        parts.append(f"assigned to {known.assigned}")
    return f"{address}: {', '.join(parts)}{''.join('; ' + note for note in known.notes)}"


def propose(count: int = 3, seed: int | None = None) -> list[Proposal]:
    """Free groups for tests on one link and for use inside an organisation, IPv4 and IPv6.

    Those of an organisation are drawn at random (from `seed`, if given), so that two who ask rarely get the same, and
    avoid the Ethernet addresses of 224.0.0.x.
    """
    draw = random.Random(seed)  # noqa: S311 - spreads users over addresses, hides nothing
    taken = [r for r, _ in _assigned_ipv4()]
    link = [
        str(IPv4Address(n))
        for n in range(int(IPv4Address("224.0.0.123")), int(IPv4Address("224.0.0.250")))
        if not any(r.first <= n <= r.last for r in taken)
    ]
    organisation: list[str] = []
    while len(organisation) < count:
        packed = bytes([239, draw.randrange(192, 196), draw.randrange(1, 255), draw.randrange(1, 255)])
        organisation.append(str(IPv4Address(packed)))
    ipv6_link, ipv6_site = (
        tuple(str(IPv6Address(prefix << 112 | draw.randrange(0x80000000, 0x100000000))) for _ in range(count))
        for prefix in (0xFF12, 0xFF18)
    )
    return [
        Proposal("tests on one link", tuple(link[:count]), "unassigned in 224.0.0.0/24, never leaves the link"),
        Proposal("inside an organisation", tuple(organisation), "239.192.0.0/14, stopped at its border routers"),
        Proposal("tests on one link, IPv6", ipv6_link, "transient, link-local scope; needs %INTERFACE"),
        Proposal("inside an organisation, IPv6", ipv6_site, "transient, organisation-local scope"),
    ]
