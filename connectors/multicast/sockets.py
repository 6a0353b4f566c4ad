"""Opens, joins and reads the sockets of lines: every socket option of a receiving line is set and read back here.

A receiving socket is bound to the group itself and has IP_MULTICAST_ALL off, so that neither other groups on its port
nor other processes' memberships reach it; IPv4 memberships match the interface of arrival as well, IPv6 ones do not
(inet6_mc_check() of the kernel), so an IPv6 socket is also bound to its device. SO_REUSEADDR lets several processes
hear one group; SO_REUSEPORT would not split it either, and a unicast address must not be shared: the last would win.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from bridge.api import Address, Refused, Unavailable
from bridge.api.address import IP, bracketed
from connectors.multicast import platform
from connectors.multicast.interfaces import Interface

RECEIVE_SIZE = 65535
"""More than any UDP payload (65,507 bytes on IPv4, 65,487 on IPv6), so that nothing is ever cut."""


class Granted(NamedTuple):
    """A buffer in bytes as the caller asks for it: the kernel doubles what it is asked for its own bookkeeping."""

    asked: int
    granted: int


class PortInUse(Refused):
    """Another socket holds the port and does not share it."""


def level(address: Address) -> int:
    return socket.IPPROTO_IPV6 if address.is_ipv6 else socket.IPPROTO_IP


def new_socket(address: Address) -> socket.socket:
    """A non-blocking UDP socket of the address's family."""
    opened = socket.socket(
        socket.AF_INET6 if address.is_ipv6 else socket.AF_INET,
        socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
    )
    if address.is_ipv6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return opened


def bind_to_device(opened: socket.socket, interface: Interface) -> None:
    """Only datagrams that pass through this interface. Raises `Refused` (before Linux 5.7 it needs CAP_NET_RAW)."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, platform.SO_BINDTODEVICE, interface.name.encode() + b"\0")
    except PermissionError:
        hint = "run with CAP_NET_RAW, or leave %INTERFACE out, or use Linux 5.7 or newer"
        raise Refused(f"this system does not allow binding a socket to {interface.name}", hint=hint) from None


def endpoint(address: Address, interface: Interface | None) -> tuple[str, int] | tuple[str, int, int, int]:
    """The address as Python's socket calls take it; link-scoped IPv6 carries the interface."""
    if not address.is_ipv6:
        return str(address.group), address.port
    return str(address.group), address.port, 0, interface.index if interface and address.is_link_scoped else 0


def bind_receiver(opened: socket.socket, address: Address, interface: Interface | None, shared: bool) -> None:
    """Binds for receiving; `shared` for what every socket gets a copy of. Raises `PortInUse` or `Unavailable`."""
    if shared:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address.is_multicast:
        every = platform.IPV6_MULTICAST_ALL if address.is_ipv6 else platform.IP_MULTICAST_ALL
        opened.setsockopt(level(address), every, 0)
    by_membership = address.is_multicast and not address.is_ipv6
    if interface is not None and not by_membership and not address.is_link_scoped:
        # An IPv6 group works without it too, only less strictly: then another interface's copies come as well.
        with contextlib.suppress(*([Refused] if address.is_multicast else [])):
            bind_to_device(opened, interface)
    try:
        opened.bind(endpoint(address, interface))
    except OSError as error:
        raise _bind_error(error, address) from None


def _bind_error(error: OSError, address: Address) -> Unavailable | Refused:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"port {address.port} of {bracketed(address.group)} is in use by a socket that does not share it",
            hint=f"`ss -lunp 'sport = :{address.port}'` shows by whom; stop it or choose another port",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return Unavailable(f"{address.group} is neither an address nor a broadcast address of this host")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refused(f"port {address.port} may not be opened by this user", hint="ports below 1024 need privileges")
    return Unavailable(f"{address} cannot be opened: {_words(error)}")


def join(opened: socket.socket, address: Address, sources: Sequence[IP], interface: Interface) -> None:
    """Joins the group on the interface, from the listed senders only if there are any. Raises `Unavailable`."""
    group, where = address.group.packed, level(address)
    try:
        if not sources:
            opened.setsockopt(where, platform.MCAST_JOIN_GROUP, platform.group_req(interface.index, group))
        for source in sources:
            request = platform.group_source_req(interface.index, group, source.packed)
            opened.setsockopt(where, platform.MCAST_JOIN_SOURCE_GROUP, request)
    except OSError as error:
        if error.errno == errno.ENOBUFS:
            name = "net.ipv6.mld_max_msf" if address.is_ipv6 else "net.ipv4.igmp_max_msf"
            if not sources:
                name = "net.ipv4.igmp_max_memberships"
            wanted = max(len(sources), 20)
            raise Unavailable(
                f"the kernel allows no more {'senders for' if sources else 'memberships like'} {address.group}",
                hint=f"sysctl -w {name}={wanted}",
            ) from None
        raise Unavailable(f"{address.group} cannot be joined on {interface.name}: {_words(error)}") from None


def _words(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or 0)


def set_receive_buffer(opened: socket.socket, asked: int) -> Granted:
    """Asks for a receive buffer, beyond the system's limit where that is allowed, and reads back what was granted."""
    return _set_buffer(opened, asked, platform.SO_RCVBUFFORCE, socket.SO_RCVBUF)


def set_send_buffer(opened: socket.socket, asked: int) -> Granted:
    """The same for the send buffer."""
    return _set_buffer(opened, asked, platform.SO_SNDBUFFORCE, socket.SO_SNDBUF)


def _set_buffer(opened: socket.socket, asked: int, force: int, plain: int) -> Granted:
    try:
        opened.setsockopt(socket.SOL_SOCKET, force, asked)
    except OSError:  # EPERM without CAP_NET_ADMIN
        opened.setsockopt(socket.SOL_SOCKET, plain, asked)
    return Granted(asked, opened.getsockopt(socket.SOL_SOCKET, plain) // 2)


def clamp_text(buffer: Granted, receive: bool) -> str | None:
    """Why a buffer is smaller than asked, with the exact remedy; None if it is not."""
    if buffer.granted >= buffer.asked:
        return None
    name = "rmem_max" if receive else "wmem_max"
    try:
        limit = f" (net.core.{name} is {Path(f'/proc/sys/net/core/{name}').read_text().strip()})"
    except OSError:
        limit = ""
    which = "receive" if receive else "send"
    return (
        f"asked for a {which} buffer of {buffer.asked} bytes, the kernel granted {buffer.granted}{limit}; "
        f"run `sysctl -w net.core.{name}={buffer.asked}`"
    )


def enable_receive_times(opened: socket.socket) -> None:
    """Have the kernel stamp datagrams as they arrive."""
    opened.setsockopt(socket.SOL_SOCKET, platform.SO_TIMESTAMPNS, 1)


def dropped_by_kernel(opened: socket.socket) -> int | None:
    """Datagrams that did not fit this socket's buffer since it was opened, modulo 2^32; None where it is not told."""
    try:
        data = opened.getsockopt(socket.SOL_SOCKET, platform.SO_MEMINFO, platform.MEMINFO.size)
    except OSError:
        return None
    if len(data) < platform.MEMINFO.size:
        return None
    return int(platform.MEMINFO.unpack_from(data)[platform.MEMINFO_DROPS])


def receive_sampled(opened: socket.socket) -> tuple[bytes, int | None, tuple[str, int]] | None:
    """One datagram with the kernel's receive time (ns, Unix epoch) and its sender; None if nothing waits."""
    try:
        data, ancillary, _, sender = opened.recvmsg(RECEIVE_SIZE, platform.TIMESPEC_SPACE)
    except OSError:  # BlockingIOError, or an error that an earlier datagram of a peer left on the socket
        return None
    for where, kind, content in ancillary:
        if where == socket.SOL_SOCKET and kind == platform.SO_TIMESTAMPNS and len(content) >= platform.TIMESPEC.size:
            seconds, nanoseconds = platform.TIMESPEC.unpack_from(content)
            return data, seconds * 1_000_000_000 + nanoseconds, sender[:2]
    return data, None, sender[:2]


def receive_batch(opened: socket.socket, limit: int, into: list[bytes]) -> bool:
    """Appends up to `limit` waiting datagrams to `into`; True when the socket had no more.

    The one place where datagrams are received in number, so that a compiled recvmmsg(2) can take its place. `extend`
    over `map` runs the loop in C; what it took before `recv` raised stays in the list.
    """
    try:
        into.extend(map(opened.recv, repeat(RECEIVE_SIZE, limit)))
    except OSError:
        return True
    return False
