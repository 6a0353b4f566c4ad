"""Addresses: one string everywhere, `[S1,S2@]GROUP:PORT[%INTERFACE]`, IPv6 in brackets.

`GROUP` is a multicast group, this or another host's unicast address, or a broadcast address. `S1,S2` are the senders
that are wanted (a source's line) or the address to send from (a sink's line). `%` takes an interface's name, its index
or its own address; without it the kernel chooses. `[ff15::1%eth0]:5000` is read too, `[ff15::1]:5000%eth0` is printed.

`overlaps` and `cycles` tell which addresses of one configuration receive the same datagrams or feed themselves.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

IP = IPv4Address | IPv6Address
Kind = Literal["multicast", "broadcast", "wildcard", "unicast"]

LIMITED_BROADCAST = IPv4Address("255.255.255.255")
_EXAMPLE = "239.1.1.1:5000%eth0"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_INTERFACE_NAME = re.compile(r"[^\s/:%@\[\]]{1,15}\Z")  # IFNAMSIZ is 16 with its NUL; dev_valid_name() of the kernel


class AddressError(ValueError):
    """A text is no address. `message` names the value and what is wrong, `hint` the remedy."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address. `str()` gives the canonical text, which parses to an equal address."""

    group: IP
    port: int
    interface: str | None = None
    sources: tuple[IP, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises `AddressError` with the value and the remedy."""
        return _parse(text)

    def __str__(self) -> str:
        sources = ",".join(map(bracketed, self.sources)) + "@" if self.sources else ""
        interface = f"%{self.interface}" if self.interface is not None else ""
        return f"{sources}{bracketed(self.group)}:{self.port}{interface}"

    @property
    def is_ipv6(self) -> bool:
        return self.group.version == 6

    @property
    def kind(self) -> Kind:
        """`broadcast` is the limited one; a directed broadcast looks like any unicast address without its netmask."""
        if self.group.is_multicast:
            return "multicast"
        if self.group == LIMITED_BROADCAST:
            return "broadcast"
        return "wildcard" if self.group.is_unspecified else "unicast"

    @property
    def is_multicast(self) -> bool:
        return self.group.is_multicast

    @property
    def is_link_scoped(self) -> bool:
        """An IPv6 address that means nothing without an interface: fe80::/10, ff*1:: and ff*2::."""
        if isinstance(self.group, IPv4Address):
            return False
        return self.group.packed[1] & 0x0F in (1, 2) if self.group.is_multicast else self.group.is_link_local

    @property
    def is_source_specific(self) -> bool:
        """In the SSM ranges of RFC 4607: 232.0.0.0/8 and ff3x::/32."""
        packed = self.group.packed
        if isinstance(self.group, IPv4Address):
            return packed[0] == 232
        return packed[0] == 0xFF and packed[1] >> 4 == 3 and packed[2:4] == b"\0\0"


def bracketed(address: IP) -> str:
    """The address as text, IPv6 in brackets."""
    return f"[{address}]" if address.version == 6 else str(address)


def parse_interface(text: str) -> str:
    """An interface's name, index or own address, canonical; raises `AddressError`."""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        pass
    if text.isdecimal():
        if int(text) == 0:
            raise AddressError("interface index 0 is no interface", "indices start at 1; leave %0 out for any")
        return str(int(text))
    if "@" in text:
        hint = f"`ip link` prints NAME@PEER; the name is {text.partition('@')[0]}"
        raise AddressError(f"{text!r} is no interface name", hint)
    if not _INTERFACE_NAME.match(text) or text in (".", ".."):
        raise AddressError(f"{text!r} is no interface name", "% takes a name such as eth0, an index or its own address")
    return text


def _parse(text: Any) -> Address:
    if isinstance(text, Address):
        return text
    if not isinstance(text, str):
        raise AddressError(f"{text!r} is no address", f'write for example "{_EXAMPLE}"')
    value = text.strip()
    scheme = _SCHEME.match(value)
    if scheme:
        rest = value[scheme.end() :].lstrip("@")
        raise AddressError(f"{text!r} is a URL, not an address", f"write {rest}")
    head, at, tail = value.partition("@")
    if not at or "%" in head:  # an @ behind the % belongs to the interface, where it is an error of its own
        head, tail = "", value
    host, port, interface = _split(tail, text)
    group = _ip(host, text)
    address = Address(
        group,
        _port(port, text),
        parse_interface(interface) if interface is not None else None,
        _sources(head, group, text) if at and tail != value else (),
    )
    if isinstance(group, IPv4Address) and group.is_reserved and group != LIMITED_BROADCAST:
        raise AddressError(
            f"{text!r} is in 240.0.0.0/4, which is reserved", "multicast is 224.0.0.0 to 239.255.255.255"
        )
    return address


def _split(target: str, text: str) -> tuple[str, str, str | None]:
    """Host, port and interface as text."""
    if target.startswith("["):
        host, bracket, rest = target[1:].partition("]")
        if not bracket:
            raise AddressError(f"{text!r} has no closing bracket", "write for example [ff15::1]:5000")
        host, _, zone = host.partition("%")
        rest, percent, interface = rest.partition("%")
        if not rest.startswith(":"):
            _ip(host, text)
            raise AddressError(f"{text!r} has no port", f"write for example [{host}]:5000")
        if zone and percent and zone != interface:
            raise AddressError(f"{text!r} names two interfaces, {zone} and {interface}", "name one")
        return host, rest[1:], zone or (interface if percent else None)
    main, percent, name = target.partition("%")
    if main.count(":") > 1:
        raise AddressError(f"{text!r} has an IPv6 address without brackets", "write for example [ff15::1]:5000")
    host, colon, port = main.partition(":")
    if not colon:
        _ip(host, text)
        raise AddressError(f"{text!r} has no port", f"write for example {host}:5000")
    return host, port, name if percent else None


def _ip(host: str, text: str) -> IP:
    try:
        return ip_address(host)
    except ValueError:
        shown = f"{host!r} is no IP address" if host else f"{text!r} has no address before the port"
        raise AddressError(shown, f'write numbers, for example "{_EXAMPLE}"; names are not looked up') from None


def _port(port: str, text: str) -> int:
    if not port.isascii() or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise AddressError(f"{text!r} has the port {port!r}", "a port is a number from 1 to 65535")
    return int(port)


def _sources(head: str, group: IP, text: str) -> tuple[IP, ...]:
    if not group.is_multicast:
        raise AddressError(f"{text!r} has senders before the @ but {group} is no multicast group", "leave S@ out")
    found: list[IP] = []
    for part in head.split(","):
        part = part.strip()
        try:
            source = ip_address(part.removeprefix("[").removesuffix("]"))
        except ValueError:
            hint = "before the @ stand the senders' addresses, separated by commas"
            raise AddressError(f"{part!r} in {text!r} is no IP address", hint) from None
        if source.version != group.version:
            raise AddressError(
                f"{text!r} mixes IPv4 and IPv6", f"a sender to {group} has an IPv{group.version} address"
            )
        if source.is_multicast or source.is_unspecified or source == LIMITED_BROADCAST:
            raise AddressError(f"{source} in {text!r} is no sender's address", "a sender has a unicast address")
        if source in found:
            raise AddressError(f"{source} is listed twice in {text!r}", "list each sender once")
        found.append(source)
    return tuple(found)


AddressField = Annotated[
    Address,
    BeforeValidator(_parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "bridge-address", "examples": [_EXAMPLE, "[ff15::1]:5000%eth0"]}),
]
"""An `Address` in Options, written as text."""


class Overlap(NamedTuple):
    """Two users of one group: `first` and `second` are the names that the caller gave."""

    first: str
    second: str
    first_address: Address
    second_address: Address

    def __str__(self) -> str:
        both = str(self.first_address), str(self.second_address)
        what = both[0] if both[0] == both[1] else " and ".join(both)
        return f"{self.first} and {self.second} receive the same datagrams ({what})"


class Flow(NamedTuple):
    """What one route reads and writes: addresses, or any text that names a place (`journal:/var/lib/x`)."""

    name: str
    reads: Sequence[Address | str]
    writes: Sequence[Address | str]


def _interfaces_differ(a: Address, b: Address) -> bool:
    """True only if two different interfaces are surely meant: names with names, indices with indices."""
    if a.interface is None or b.interface is None or a.interface == b.interface:
        return False
    return _interface_form(a.interface) == _interface_form(b.interface)


def _interface_form(interface: str) -> str:
    if interface.isdecimal():
        return "index"
    return "address" if "." in interface or ":" in interface else "name"


def overlap(a: Address, b: Address) -> bool:
    """Whether two listening addresses can receive the same datagram."""
    if a.port != b.port or _interfaces_differ(a, b):
        return False
    if a.group != b.group:
        return "wildcard" in (a.kind, b.kind) and {a.kind, b.kind} <= {"wildcard", "unicast"}
    return not (a.sources and b.sources and not set(a.sources) & set(b.sources))


def overlaps(uses: Sequence[tuple[str, Address]]) -> list[Overlap]:
    """Every pair of listening addresses that receives the same datagrams. `uses` are (name, address)."""
    found = []
    for place, (name, address) in enumerate(uses):
        found += [Overlap(name, n, address, a) for n, a in uses[place + 1 :] if overlap(address, a)]
    return found


def reaches(sent: Address, heard: Address) -> bool:
    """Whether a datagram sent to `sent` by this process can arrive at the listening address `heard`."""
    if sent.kind == "unicast" and heard.kind == "wildcard":
        return sent.port == heard.port and sent.group.is_loopback
    return overlap(sent, heard)


def cycles(flows: Sequence[Flow]) -> list[list[str]]:
    """The names of routes that feed each other round and round, one shortest ring for each set of routes."""
    after = {a.name: [b.name for b in flows if _feeds(a, b)] for a in flows}
    found: dict[frozenset[str], list[str]] = {}
    for flow in flows:
        paths = [[flow.name]]
        seen: set[str] = set()
        while paths:
            path = paths.pop(0)
            if flow.name in after[path[-1]]:
                found.setdefault(frozenset(path), path)
                break
            following = [name for name in after[path[-1]] if name not in seen]
            seen.update(following)
            paths += [[*path, name] for name in following]
    return list(found.values())


def _feeds(a: Flow, b: Flow) -> bool:
    for written in a.writes:
        for read in b.reads:
            if isinstance(written, Address) and isinstance(read, Address):
                if reaches(written, read):
                    return True
            elif written == read:
                return True
    return False
