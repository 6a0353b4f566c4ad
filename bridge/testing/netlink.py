"""Just enough rtnetlink to furnish a network namespace: links, addresses, routes. Needs no iproute2.

Message layouts: rtnetlink(7), linux/if_link.h, linux/veth.h. Every call waits for the kernel's acknowledgement and raises
`OSError` with the kernel's error number.
"""

import ipaddress
import os
import socket
import struct

_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2
_IFF_UP, _IFF_MULTICAST = 0x1, 0x1000
_IFA_F_NODAD = 0x02
_IFLA_IFNAME, _IFLA_LINKINFO, _INFO_KIND, _INFO_DATA, _VETH_PEER = 3, 18, 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_PRIORITY = 1, 4, 6
_TABLE_MAIN, _TABLE_LOCAL = 254, 255
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_TYPE_UNICAST, _TYPE_LOCAL = 1, 2
_PROTOCOL_BOOT = 3


class Netlink:
    """A conversation with the kernel about the calling thread's network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def set_up(self, interface: str, *, up: bool = True) -> None:
        """Bring an interface up, with multicast on, or down."""
        flags = _IFF_UP | _IFF_MULTICAST if up else 0
        change = _IFF_UP | _IFF_MULTICAST if up else _IFF_UP
        body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(interface), flags, change)
        self._ask(_NEWLINK, 0, body)

    def add_veth(self, one: str, other: str) -> None:
        """A pair of Ethernet interfaces: what goes out of one comes in at the other."""
        empty = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
        peer = _attribute(_VETH_PEER, empty + _attribute(_IFLA_IFNAME, other.encode() + b"\0"))
        info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, peer)
        body = empty + _attribute(_IFLA_IFNAME, one.encode() + b"\0") + _attribute(_IFLA_LINKINFO, info)
        self._ask(_NEWLINK, _CREATE | _EXCL, body)

    def add_address(self, interface: str, address: str) -> None:
        """Give an interface an address, written `10.0.0.1/24` or `fd00::1/64`; IPv6 is usable at once (no DAD)."""
        parsed = ipaddress.ip_interface(address)
        family, flags = (socket.AF_INET, 0) if parsed.version == 4 else (socket.AF_INET6, _IFA_F_NODAD)
        index = socket.if_nametoindex(interface)
        body = struct.pack("=BBBBI", family, parsed.network.prefixlen, flags, _SCOPE_UNIVERSE, index)
        body += _attribute(_IFA_LOCAL, parsed.packed) + _attribute(_IFA_ADDRESS, parsed.packed)
        self._ask(_NEWADDR, _CREATE | _EXCL, body)

    def add_multicast_route(self, interface: str, network: str) -> None:
        """Send a multicast network out of `interface` unless a socket names another one.

        IPv6 needs a route of type local in the local table: every Ethernet interface has a route to ff00::/8 there, and
        over the loopback interface the kernel delivers with no other type.
        """
        parsed = ipaddress.ip_network(network)
        oif = _attribute(_RTA_OIF, struct.pack("=I", socket.if_nametoindex(interface)))
        if parsed.version == 4:
            family, place = socket.AF_INET, (_TABLE_MAIN, _PROTOCOL_BOOT, _SCOPE_LINK, _TYPE_UNICAST)
            metric = b""
        else:
            family, place = socket.AF_INET6, (_TABLE_LOCAL, _PROTOCOL_BOOT, _SCOPE_UNIVERSE, _TYPE_LOCAL)
            metric = _attribute(_RTA_PRIORITY, struct.pack("=I", 1))
        body = struct.pack("=BBBBBBBBI", family, parsed.prefixlen, 0, 0, *place, 0)
        body += _attribute(_RTA_DST, parsed.network_address.packed) + oif + metric
        self._ask(_NEWROUTE, _CREATE | _EXCL, body)

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, self._sequence, 0)
        self._socket.send(header + body)
        while True:
            answer = self._socket.recv(65536)
            _, answered, _, sequence, _ = struct.unpack_from("=IHHII", answer)
            if answered == _ERROR and sequence == self._sequence:
                (error,) = struct.unpack_from("=i", answer, 16)
                if error:
                    raise OSError(-error, os.strerror(-error))
                return


def _attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes (rtnetlink(7): RTA_ALIGN)."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
