"""Interfaces and sockets without a kernel."""

import errno
import os
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from connectors.multicast.interfaces import Interface, Interfaces
from connectors.multicast.netlink import Changes, RouteAnswer

LO = Interface(1, "lo", loopback=True, mtu=65536, addresses=(ip_address("127.0.0.1"), ip_address("::1")))
ETH0 = Interface(2, "eth0", addresses=(ip_address("10.0.0.1"), ip_address("fe80::1")))
ETH1 = Interface(3, "eth1", mtu=9000, addresses=(ip_address("10.1.0.1"),))


class FakeHost:
    """A host whose interfaces and routes a test sets."""

    def __init__(self, *present: Interface, default: str | None = "eth0") -> None:
        self.present = list(present)
        self.default = default
        self.heard = Changes(False, frozenset())
        self.interfaces = Interfaces(read=lambda: self.present, route=self._route, hear=lambda: self)  # type: ignore[arg-type, return-value] # an Ear in shape

    def changes(self) -> Changes:
        heard, self.heard = self.heard, Changes(False, frozenset())
        return heard

    def close(self) -> None:
        pass

    def set(self, *present: Interface, default: str | None = "eth0") -> None:
        gone = {i.index for i in self.present} - {i.index for i in present}
        self.present, self.default = list(present), default
        self.heard = Changes(True, frozenset(gone))

    def remake(self, interface: Interface) -> None:
        """Deleted and made again, with the same index, between two polls."""
        self.present = [replace(interface) if i.index == interface.index else i for i in self.present]
        self.heard = Changes(True, frozenset({interface.index}))

    def _route(self, destination: IPv4Address | IPv6Address) -> RouteAnswer | None:
        if any(destination in i.addresses for i in self.present):
            return RouteAnswer(1, 2)
        return next((RouteAnswer(i.index, 1) for i in self.present if i.name == self.default), None)


class FakeSocket:
    """Takes `room` datagrams, then is full; `error` is raised instead once."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.sent: list[bytes] = []
        self.error: int | None = None
        self.closed = False
        self.options: list[tuple[Any, ...]] = []

    def sendto(self, data: bytes, destination: Any) -> int:
        assert not self.closed
        if self.error is not None:
            number, self.error = self.error, None
            raise OSError(number, os.strerror(number))
        if self.room <= 0:
            raise BlockingIOError(errno.EAGAIN, "full")
        self.room -= 1
        self.sent.append(data)
        return len(data)

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)

    def bind(self, address: Any) -> None:
        self.options.append(("bind", address))

    def close(self) -> None:
        self.closed = True
