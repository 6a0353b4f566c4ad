"""Socket constants that Python's socket module lacks: the numbers of Linux, in one table.

`asm-generic/socket.h`, `linux/in.h`, `linux/in6.h`. A name that a newer Python has wins over the number here.
"""

import socket
import struct
from typing import Final


def _constant(name: str, number: int) -> int:
    value = getattr(socket, name, number)
    return int(value)


SO_BINDTODEVICE: Final = _constant("SO_BINDTODEVICE", 25)
SO_SNDBUFFORCE: Final = _constant("SO_SNDBUFFORCE", 32)
SO_RCVBUFFORCE: Final = _constant("SO_RCVBUFFORCE", 33)
SO_TIMESTAMPNS: Final = _constant("SO_TIMESTAMPNS", 35)
SO_MEMINFO: Final = _constant("SO_MEMINFO", 55)  # Linux 4.12

MCAST_JOIN_GROUP: Final = _constant("MCAST_JOIN_GROUP", 42)  # RFC 3678, both families
MCAST_JOIN_SOURCE_GROUP: Final = _constant("MCAST_JOIN_SOURCE_GROUP", 46)

IP_RECVERR: Final = _constant("IP_RECVERR", 11)
IP_MULTICAST_ALL: Final = _constant("IP_MULTICAST_ALL", 49)
IPV6_RECVERR: Final = _constant("IPV6_RECVERR", 25)
IPV6_MULTICAST_ALL: Final = _constant("IPV6_MULTICAST_ALL", 29)  # Linux 4.20

SIOCGIFADDR: Final = 0x8915
SIOCGIFFLAGS: Final = 0x8913
SIOCGIFMTU: Final = 0x8921

IFF_UP: Final = 0x1
IFF_LOOPBACK: Final = 0x8
IFF_RUNNING: Final = 0x40

MEMINFO: Final = struct.Struct("@9I")
MEMINFO_DROPS: Final = 8

TIMESPEC: Final = struct.Struct("@ll")
TIMESPEC_SPACE: Final = socket.CMSG_SPACE(TIMESPEC.size)

_SOCKADDR_STORAGE = 128
_GROUP_REQ = struct.Struct(f"@I0P{_SOCKADDR_STORAGE}s")  # 0P: sockaddr_storage is aligned like a pointer
_GROUP_SOURCE_REQ = struct.Struct(f"@I0P{_SOCKADDR_STORAGE}s{_SOCKADDR_STORAGE}s")


def sockaddr(packed: bytes) -> bytes:
    """struct sockaddr_in or sockaddr_in6 for an address in network order, port 0."""
    if len(packed) == 4:
        return struct.pack("@HH4s", socket.AF_INET, 0, packed)
    return struct.pack("@HHI16sI", socket.AF_INET6, 0, 0, packed, 0)


def group_req(index: int, group: bytes) -> bytes:
    """struct group_req: interface index and group."""
    return _GROUP_REQ.pack(index, sockaddr(group))


def group_source_req(index: int, group: bytes, source: bytes) -> bytes:
    """struct group_source_req: interface index, group and one sender."""
    return _GROUP_SOURCE_REQ.pack(index, sockaddr(group), sockaddr(source))


def mreqn(index: int) -> bytes:
    """struct ip_mreqn with only the interface index, for IP_MULTICAST_IF."""
    return struct.pack("@4s4si", b"", b"", index)
