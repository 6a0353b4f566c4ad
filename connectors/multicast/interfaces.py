"""The host's interfaces: found by name, index or own address, watched while they come, go and are made anew.

An interface that was deleted and made again under the same name usually has another index, but a socket's membership
and device binding stay with the old one. `generation` tells such an interface from the one before: it is part of an
`Interface`, so that two compare equal only if nothing has to be joined again.

Without netlink (a sandbox may forbid it) the same is read with older calls at each refresh; then a deletion and
re-creation between two refreshes that keeps the index is not seen.
"""

import contextlib
import difflib
import fcntl
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from connectors.multicast import netlink, platform

IP = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface as last read. `mtu` is in bytes; `running` means up and with a carrier."""

    index: int
    name: str
    up: bool = True
    running: bool = True
    loopback: bool = False
    mtu: int = 1500
    addresses: tuple[IP, ...] = ()
    generation: int = 0

    @property
    def trouble(self) -> str | None:
        """Why nothing passes through it, None if something can."""
        if not self.up:
            return f"interface {self.name} is down"
        return None if self.running else f"interface {self.name} has no carrier"

    def same_device(self, other: "Interface | None") -> bool:
        """Whether what was joined on `other` still holds on this one."""
        return other is not None and (self.index, self.generation) == (other.index, other.generation)


def read_interfaces() -> list[Interface]:
    """All interfaces with their addresses, by netlink, else by the older calls."""
    try:
        found, owned = netlink.links(), netlink.addresses()
    except OSError:
        return _read_by_ioctl()
    return [
        Interface(
            link.index,
            link.name,
            bool(link.flags & platform.IFF_UP),
            bool(link.flags & platform.IFF_UP and link.flags & platform.IFF_RUNNING),
            bool(link.flags & platform.IFF_LOOPBACK),
            link.mtu,
            tuple(a.address for a in owned if a.index == link.index),
        )
        for link in found
    ]


def _read_by_ioctl() -> list[Interface]:
    """netdevice(7): the first IPv4 address only."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for index, name in socket.if_nameindex():
            request = struct.pack("16s24x", name.encode())
            flags, mtu = 0, 1500
            owned: tuple[IP, ...] = ()
            with contextlib.suppress(OSError):  # it may go away meanwhile
                flags = struct.unpack_from("@H", fcntl.ioctl(asked, platform.SIOCGIFFLAGS, request), 16)[0]
                mtu = struct.unpack_from("@i", fcntl.ioctl(asked, platform.SIOCGIFMTU, request), 16)[0]
                owned = (IPv4Address(fcntl.ioctl(asked, platform.SIOCGIFADDR, request)[20:24]),)
            up = bool(flags & platform.IFF_UP)
            running = up and bool(flags & platform.IFF_RUNNING)
            found.append(Interface(index, name, up, running, bool(flags & platform.IFF_LOOPBACK), mtu, owned))
    return found


def kernel_route(destination: IP) -> netlink.RouteAnswer | None:
    """The interface that the kernel chooses for a destination when none is named."""
    try:
        return netlink.route(destination)
    except OSError:
        return _route_by_connect(destination)


def _route_by_connect(destination: IP) -> netlink.RouteAnswer | None:
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((str(destination), 9))
        except OSError:
            return None
        own = ip_address(asked.getsockname()[0].partition("%")[0])
    index = next((i.index for i in _read_by_ioctl() if own in i.addresses), 0)
    return netlink.RouteAnswer(index, netlink.RTN_LOCAL if own == destination else 1) if index else None


class Interfaces:
    """The interfaces as last read. `refresh()` about once a second costs next to nothing while nothing changes."""

    def __init__(
        self,
        read: Callable[[], list[Interface]] = read_interfaces,
        route: Callable[[IP], netlink.RouteAnswer | None] = kernel_route,
        hear: Callable[[], netlink.Ear] = netlink.Ear,
    ) -> None:
        self._read = read
        self._route = route
        self._ear: netlink.Ear | None = None
        with contextlib.suppress(OSError):
            self._ear = hear()
        self._generation: dict[int, int] = {}
        self._known: dict[int, Interface] = {}
        self.version = 0  # rises with every change, for those who share this object
        self._load(frozenset())

    def refresh(self) -> bool:
        """Reads anew if something changed; True if something did."""
        changes = self._ear.changes() if self._ear is not None else netlink.Changes(True, frozenset())
        if not changes.any:
            return False
        before = self._known
        self._load(changes.removed)
        changed = self._ear is not None or before != self._known
        self.version += changed
        return changed

    def _load(self, removed: frozenset[int]) -> None:
        found = {interface.index: interface for interface in self._read()}
        for index in removed | (self._known.keys() - found.keys()):
            self._generation[index] = self._generation.get(index, 0) + 1
        self._known = {n: replace(i, generation=self._generation.get(n, 0)) for n, i in found.items()}

    def find(self, text: str) -> Interface | None:
        """By name, index or own address; None while there is none."""
        if text.isdecimal():
            return self._known.get(int(text))
        try:
            address = ip_address(text)
        except ValueError:
            return next((i for i in self._known.values() if i.name == text), None)
        return next((i for i in self._known.values() if address in i.addresses), None)

    def chosen(self, destination: IP) -> Interface | None:
        """The interface that the kernel takes for a destination when none is named, None without a route."""
        answer = self._route(destination)
        return None if answer is None else self._known.get(answer.index)

    def is_broadcast(self, address: IP) -> bool:
        """Whether it is the directed broadcast address of a network that this host is in."""
        answer = None if address.version == 6 else self._route(address)
        return answer is not None and answer.type == netlink.RTN_BROADCAST

    def is_own(self, address: IP) -> bool:
        """Whether a socket of this host can receive on it."""
        if any(address in interface.addresses for interface in self._known.values()):
            return True
        answer = self._route(address)
        return answer is not None and answer.type in (netlink.RTN_LOCAL, netlink.RTN_BROADCAST)

    def missing(self, text: str) -> str:
        """That this host has no such interface, in words, with what it has."""
        names = [interface.name for interface in self._known.values()]
        close = difflib.get_close_matches(text, names, 1)
        listed = ", ".join(names[:8]) + (" and more" if len(names) > 8 else "")
        return (
            f"there is no interface {text} ("
            + (f"did you mean {close[0]}?" if close else f"this host has {listed}")
            + ")"
        )

    def close(self) -> None:
        if self._ear is not None:
            self._ear.close()
            self._ear = None
