"""Sends datagrams: one socket a line, every datagram to all lines of the channel, identically.

A line is up or down. It goes down when its interface is absent or down, or when a send fails for another reason than a
full buffer; `poll()` opens it again. What the other lines took meanwhile is counted as missed by it. While no line is up,
nothing is taken, so that the engine keeps what it has.

A full buffer may end a list at different places on different lines. What a line sent beyond the others is remembered
and skipped when the engine offers the remainder, so that no line gets a datagram twice.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Sequence
from itertools import islice, repeat
from typing import Any, ClassVar

from bridge.api import Address, ConfigurationError, ConnectorError, Context, Options, Outlet, Unavailable
from connectors.multicast import platform, sockets
from connectors.multicast.interfaces import Interface, Interfaces
from connectors.multicast.options import SinkOptions
from connectors.multicast.source import line_name

_HEADERS = {4: 28, 6: 48}
"""Bytes of IP and UDP headers without options."""

_LARGEST = {4: 65507, 6: 65487}
_ETHERNET_MTU = 1500

_FULL = (errno.EAGAIN, errno.ENOBUFS)
"""The socket's buffer, and the interface's queue (told only because IP_RECVERR is on), are full: try again later."""


class OutletLine:
    """One line of an outlet."""

    def __init__(
        self, channel: str, name: str, address: Address, options: SinkOptions, interfaces: Interfaces, context: Context
    ) -> None:
        self.name = name
        self.sent = 0
        self.missed = 0  # taken by other lines while this one was down, or refused by the system
        self.ahead: list[bytes] = []  # sent here beyond what all lines took
        self._channel = channel
        self._address = address
        self._options = options
        self._interfaces = interfaces
        self._context = context
        self._missed_counter = context.counter("multicast_missed_datagrams", channel=channel, line=name)
        self._socket: socket.socket | None = None
        self._destination: Any = None
        self._interface: Interface | None = None
        self._reason: str | None = "not opened yet"
        self._said: str | None = None
        self._proven = True  # a send succeeded since it was last down
        self._said_clamped = False

    @property
    def up(self) -> bool:
        return self._socket is not None

    @property
    def mtu(self) -> int:
        """Bytes of an IP packet on this line."""
        if self._options.mtu is not None:
            return self._options.mtu
        if self._interface is None or self._interface.loopback:
            return _ETHERNET_MTU
        return self._interface.mtu

    @property
    def max_datagram(self) -> int:
        version = self._address.group.version
        return min(self.mtu - _HEADERS[version], _LARGEST[version])

    @property
    def description(self) -> dict[str, Any]:
        source = self._options.line_source(self._address)
        return {
            "line": self.name,
            "address": str(self._address),
            "interface": self._interface.name if self._interface else None,
            "interface_named": self._address.interface is not None,
            "ttl": self._ttl,
            "loop": self._options.loop if self._address.is_multicast else None,
            "source_address": str(source) if source else None,
            "dscp": self._options.dscp,
            "mtu": self.mtu,
            "up": self.up,
            "reason": self._reason,
            "sent": self.sent,
            "missed": self.missed,
        }

    def refresh(self, changed: bool) -> None:
        """Opens the line if it is down and can be had; closes it if its interface went."""
        if self.up and not changed:
            return
        interface, reason = self._wanted()
        if reason is not None:
            self.fail(reason)
        elif not self.up or (interface is not None and not interface.same_device(self._interface)):
            try:
                self._open(interface)
            except ConnectorError as error:
                self.fail(f"{error.message}; {error.hint}" if error.hint else error.message)
                return
            self._reason = None
            self._proven = self._said is None
        self._interface = interface

    def send(self, datagrams: Sequence[bytes]) -> int:
        """Sends what this line has not sent yet of the list; returns how many from its start it has sent now."""
        start = self._skip(datagrams)
        position = start
        opened = self._socket
        while opened is not None and position < len(datagrams):
            sizes: list[int] = []
            try:
                sizes.extend(map(opened.sendto, islice(datagrams, position, None), repeat(self._destination)))
            except OSError as error:
                position += len(sizes)
                if error.errno in _FULL:
                    break
                if error.errno == errno.EMSGSIZE:
                    self._too_long(datagrams[position])
                    position += 1
                    self.sent -= 1
                    continue
                self.fail(_send_error(error, self._address))
                break
            position += len(sizes)
        self.sent += position - start
        if position > start and not self._proven:
            self._proven = True
            self._said = None
            self._emit("outlet_up", "info", "sends again")
        return position

    def settle(self, datagrams: Sequence[bytes], position: int, taken: int) -> None:
        """All lines together took `taken` of the list, this one `position`."""
        sent = self.ahead if len(self.ahead) > len(datagrams) else datagrams[:position]
        self.ahead = list(sent[taken:])
        if taken > position:
            self.missed += taken - position
            self._missed_counter.add(taken - position)

    def fail(self, reason: str) -> None:
        """The line is down; said once for each reason."""
        self.close()
        self._reason = reason
        if reason != self._said:
            self._said = reason
            self._emit("outlet_down", "warning", f"sends nothing: {reason}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._reason = "closed"

    @property
    def _ttl(self) -> int | None:
        return 1 if self._options.ttl is None and self._address.is_multicast else self._options.ttl

    def _skip(self, datagrams: Sequence[bytes]) -> int:
        """How many at the start of the list this line has sent already."""
        known = min(len(self.ahead), len(datagrams))
        if list(datagrams[:known]) != self.ahead[:known]:
            self.ahead, known = [], 0  # the engine offers other datagrams: what was ahead is not offered again
        return known

    def _emit(self, code: str, severity: Any, text: str) -> None:
        where = f"line {self.name} of {self._channel} ({self._address})"
        self._context.emit(code, severity, f"{where} {text}", channel=self._channel, line=self.name)

    def _too_long(self, datagram: bytes) -> None:
        self.missed += 1
        self._missed_counter.add()
        self._emit("datagram_too_long", "error", f"cannot send a datagram of {len(datagram)} bytes: it is left out")

    def _wanted(self) -> tuple[Interface | None, str | None]:
        """The interface to send through (None: the kernel's choice for each datagram), or why nothing can be sent."""
        address, known = self._address, self._interfaces
        if address.interface is not None:
            found = known.find(address.interface)
            return found, found.trouble if found else known.missing(address.interface)
        found = known.chosen(address.group)
        if found is not None:
            return found, found.trouble
        return None, f"no route to {address.group}; name an interface with %, or add a route"

    def _open(self, interface: Interface | None) -> None:
        """Raises `ConnectorError`."""
        opened = sockets.new_socket(self._address)
        try:
            self._configure(opened, interface)
        except OSError as error:
            opened.close()
            raise Unavailable(f"{self._address} cannot be opened for sending: {error.strerror}") from None
        except BaseException:
            opened.close()
            raise
        self.close()
        self._socket = opened
        self._destination = sockets.endpoint(self._address, interface)

    def _configure(self, opened: socket.socket, interface: Interface | None) -> None:
        address, options = self._address, self._options
        version, level = address.group.version, sockets.level(address)
        named = interface if address.interface is not None else None
        if address.is_multicast:
            opened.setsockopt(level, platform.IP_RECVERR if version == 4 else platform.IPV6_RECVERR, 1)
            opened.setsockopt(
                level, socket.IP_MULTICAST_LOOP if version == 4 else socket.IPV6_MULTICAST_LOOP, options.loop
            )
            if named is not None and version == 4:
                opened.setsockopt(level, socket.IP_MULTICAST_IF, platform.mreqn(named.index))
            elif named is not None:
                opened.setsockopt(level, socket.IPV6_MULTICAST_IF, named.index)
        else:
            if version == 4:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if named is not None and not address.is_link_scoped:
                sockets.bind_to_device(opened, named)
        if self._ttl is not None:
            if version == 4:
                name = socket.IP_MULTICAST_TTL if address.is_multicast else socket.IP_TTL
            else:
                name = socket.IPV6_MULTICAST_HOPS if address.is_multicast else socket.IPV6_UNICAST_HOPS
            opened.setsockopt(level, name, self._ttl)
        if options.dscp is not None:
            opened.setsockopt(level, socket.IP_TOS if version == 4 else socket.IPV6_TCLASS, options.dscp << 2)
        self._set_send_buffer(opened)
        self._bind_source(opened, interface)

    def _bind_source(self, opened: socket.socket, interface: Interface | None) -> None:
        source = self._options.line_source(self._address)
        if source is None:
            return
        try:
            opened.bind(sockets.endpoint(Address(source, 0), interface))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise Unavailable(f"{source} is no address of this host, so nothing can be sent from it") from None
            raise

    def _set_send_buffer(self, opened: socket.socket) -> None:
        if self._options.send_buffer is None:
            return
        clamped = sockets.clamp_text(sockets.set_send_buffer(opened, self._options.send_buffer), receive=False)
        if clamped and not self._said_clamped:
            self._said_clamped = True
            self._emit("send_buffer_clamped", "warning", clamped)


def _send_error(error: OSError, address: Address) -> str:
    number = error.errno or 0
    if number == errno.EPERM:
        return f"a firewall of this host refuses datagrams to {address.group}"
    if number == errno.ENETUNREACH:
        return f"no route to {address.group}"
    if number == errno.EACCES:
        return f"this system does not allow sending to {address.group}"
    return f"sending to {address.group} failed: {os.strerror(number)}"


class MulticastOutlet:
    """All lines of one channel."""

    def __init__(
        self, channel: str, addresses: Sequence[Address], options: SinkOptions, interfaces: Interfaces, context: Context
    ) -> None:
        self._interfaces = interfaces
        self._version = interfaces.version
        self._lines = [
            OutletLine(channel, line_name(place), address, options, interfaces, context)
            for place, address in enumerate(addresses)
        ]
        for line in self._lines:
            line.refresh(changed=True)
        self.max_datagram = min(line.max_datagram for line in self._lines)

    def send(self, datagrams: Sequence[bytes]) -> int:
        was_up = [line for line in self._lines if line.up]
        if not was_up:
            return 0
        # A line that is down has sent only what it was ahead by; it neither holds the others up nor is forgiven.
        positions = [line.send(datagrams) for line in self._lines]
        counted = [line for line in self._lines if line.up] or was_up
        taken = min(position for line, position in zip(self._lines, positions, strict=True) if line in counted)
        for line, position in zip(self._lines, positions, strict=True):
            line.settle(datagrams, position, taken)
        return taken

    def poll(self) -> None:
        self._interfaces.refresh()
        changed = self._version != self._interfaces.version
        self._version = self._interfaces.version
        for line in self._lines:
            line.refresh(changed)

    @property
    def description(self) -> list[dict[str, Any]]:
        return [line.description for line in self._lines]

    def close(self) -> None:
        for line in self._lines:
            line.close()


class MulticastSink:
    """`type = "multicast"`: groups, and unicast and broadcast addresses."""

    Options: ClassVar[type[Options]] = SinkOptions

    def __init__(self, options: SinkOptions, context: Context, interfaces: Interfaces | None = None) -> None:
        self._options = options
        self._context = context
        self._interfaces = interfaces or Interfaces()
        self._outlets: list[MulticastOutlet] = []

    async def open(self, channel: str) -> Outlet:
        options, name = self._options, self._context.name
        addresses = options.channels(channel).get(channel)
        if addresses is None:
            raise ConfigurationError(
                f"sink {name} has no line for channel {channel}",
                key=f"sink.{name}.channel",
                hint=f'add `{channel} = {{ lines = ["GROUP:PORT"] }}` under [sink.{name}.channel]',
            )
        outlet = MulticastOutlet(channel, addresses, options, self._interfaces, self._context)
        self._outlets.append(outlet)
        return outlet

    async def close(self) -> None:
        for outlet in self._outlets:
            with contextlib.suppress(OSError):
                outlet.close()
        self._interfaces.close()
