"""Asks the kernel for interfaces, addresses and routes over rtnetlink, and hears when they change (rtnetlink(7)).

Only what multicast needs. A route question is answered by the same table that the kernel consults for a membership or
a datagram without an interface, so the answer is the interface that the kernel chooses.
"""

import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct(
    "=BBBBBBBBI"
)  # family, destination length, source length, TOS, table, protocol, scope, type, flags

_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _GETADDR, _GETROUTE = 16, 17, 18, 20, 22, 26
_REQUEST, _DUMP = 0x1, 0x300
_IFLA_IFNAME, _IFLA_MTU = 3, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF = 1, 4
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # link, IPv4 address and route, IPv6 address and route

RTN_LOCAL, RTN_BROADCAST = 2, 3

_EVENTS_A_POLL = 64
_BUFFER = 65536


@dataclass(frozen=True, slots=True)
class Link:
    index: int
    name: str
    flags: int
    mtu: int


@dataclass(frozen=True, slots=True)
class LinkAddress:
    index: int
    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """Where the kernel would send: the interface's index, and RTN_LOCAL, RTN_BROADCAST or another type."""

    index: int
    type: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What was heard since the last time: whether anything changed, and the indices of removed interfaces."""

    any: bool
    removed: frozenset[int]


class RefusedError(OSError):
    """The kernel understood the question and answered with an error number (no route: ENETUNREACH)."""


def _ask(message: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """The answer's messages (type, body). Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as asked:
        asked.settimeout(1.0)
        asked.send(_HEADER.pack(_HEADER.size + len(body), message, _REQUEST | flags, 1, 0) + body)
        while True:
            for kind, answer in _messages(asked.recv(_BUFFER)):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise RefusedError(
                        -int(struct.unpack_from("=i", answer)[0]), "the kernel refused a netlink request"
                    )
                yield kind, answer
            if not flags & _DUMP:
                return


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _attributes(data: bytes, offset: int) -> dict[int, bytes]:
    found = {}
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def links() -> list[Link]:
    """All interfaces. Raises OSError where netlink cannot be used."""
    found = []
    for kind, body in _ask(_GETLINK, _DUMP, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        if kind == _NEWLINK:
            _, _, index, flags, _ = _LINK.unpack_from(body)
            attributes = _attributes(body, _LINK.size)
            name = attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
            mtu = int.from_bytes(attributes.get(_IFLA_MTU, b""), sys.byteorder)
            found.append(Link(index, name, flags, mtu))
    return found


def addresses() -> list[LinkAddress]:
    """All addresses of all interfaces. Raises OSError where netlink cannot be used."""
    found = []
    for kind, body in _ask(_GETADDR, _DUMP, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        if kind != _NEWADDR:
            continue
        family, _, _, _, index = _ADDRESS.unpack_from(body)
        attributes = _attributes(body, _ADDRESS.size)
        own = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
        if own is None:
            continue
        if family == socket.AF_INET6:
            found.append(LinkAddress(index, IPv6Address(own)))
        elif family == socket.AF_INET:
            found.append(LinkAddress(index, IPv4Address(own)))
    return found


def route(address: IPv4Address | IPv6Address) -> RouteAnswer | None:
    """The kernel's choice for this destination, None where it has no route. Raises OSError without netlink."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = address.packed
    body = _ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _RTA_DST) + packed
    try:
        for _, answer in _ask(_GETROUTE, 0, body):
            kind = _ROUTE.unpack_from(answer)[7]
            index = int.from_bytes(_attributes(answer, _ROUTE.size).get(_RTA_OIF, b""), sys.byteorder)
            return RouteAnswer(index, kind) if index else None
    except RefusedError:
        return None
    return None


class Ear:
    """Hears changes without being asked for them: `changes()` costs one system call while nothing happens."""

    def __init__(self) -> None:
        self._socket = self._open()

    @staticmethod
    def _open() -> socket.socket:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        try:
            opened.bind((0, _GROUPS))
        except OSError:
            opened.close()
            raise
        return opened

    def changes(self) -> Changes:
        """What changed since the last call. More than could be read counts as a change of unknown kind."""
        something = False
        removed: set[int] = set()
        for _ in range(_EVENTS_A_POLL):
            try:
                data = self._socket.recv(_BUFFER)
            except BlockingIOError:
                return Changes(something, frozenset(removed))
            except OSError:  # ENOBUFS: some were dropped
                break
            something = True
            removed |= {_LINK.unpack_from(body)[2] for kind, body in _messages(data) if kind == _DELLINK}
        self._socket.close()
        self._socket = self._open()
        return Changes(True, frozenset(removed))

    def close(self) -> None:
        self._socket.close()
