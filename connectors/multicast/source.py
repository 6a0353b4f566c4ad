"""Receives datagrams: one socket a line, opened when its interface is there, opened anew when that was made anew.

    waiting --(interface, address or route found, port free: open, bind, join)--> joined
    joined  --(interface went down or lost its carrier)----------------------> troubled: the membership stays
    troubled --(up again)----------------------------------------------------> joined
    joined, troubled --(interface deleted)-----------------------------------> gone: the socket stays, to be read out
    gone    --(found again)--------------------------------------------------> joined, by a new socket
    joined  --(no interface named, and the kernel now chooses another)-------> joined there, by a new socket

The descriptor changes only where a new socket is opened; what waits in the old one is kept and comes first in the next
drain. One socket a line means that the limit of 20 memberships a socket (net.ipv4.igmp_max_memberships) is never met.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar

from bridge.api import (
    Address,
    ConfigurationError,
    ConnectorError,
    Context,
    DatagramLine,
    Drain,
    Options,
    Sample,
    Severity,
)
from bridge.api.address import IP
from connectors.multicast import sockets
from connectors.multicast.interfaces import Interface, Interfaces
from connectors.multicast.options import SourceOptions

_LEFT_OVER = 1 << 20
"""Datagrams taken over from an old socket at most: more than any buffer of 1 GiB holds."""


def line_name(place: int) -> str:
    """A, B, … Z, then L27, L28, …"""
    return chr(ord("A") + place) if place < 26 else f"L{place + 1}"


class MulticastLine:
    """One line: one address, one socket at a time. See the module's text for its states."""

    def __init__(
        self,
        channel: str,
        name: str,
        address: Address,
        options: SourceOptions,
        interfaces: Interfaces,
        context: Context,
    ) -> None:
        self.channel = channel
        self.name = name
        self._address = address
        self._sources: tuple[IP, ...] = address.sources
        self._asked = options.receive_buffer
        self._interfaces = interfaces
        self._context = context
        self._socket: Any = None  # socket.socket, None while waiting
        self._interface: Interface | None = None  # what the socket is joined on or bound to
        self._reason: str | None = "not opened yet"
        self._said: tuple[str | None, str | None] | None = None  # reason and interface, as last said
        self._said_clamped = False
        self._granted: int | None = None
        self._dropped = 0
        self._dropped_before = 0  # by the present socket, as last read
        self._left_over: list[bytes] = []

    def fileno(self) -> int | None:
        return None if self._socket is None else int(self._socket.fileno())

    def drain(self, limit: int) -> Drain:
        opened = self._socket
        if self._left_over:
            datagrams, self._left_over = self._left_over[:limit], self._left_over[limit:]
            return Drain(datagrams, opened is None and not self._left_over)
        if opened is None:
            return Drain([], True)
        first = sockets.receive_sampled(opened)
        if first is None:
            return Drain([], True)
        data, kernel_ns, sender = first
        datagrams = [data]
        empty = sockets.receive_batch(opened, limit - 1, datagrams) if limit > 1 else False
        return Drain(datagrams, empty, None if kernel_ns is None else Sample(0, kernel_ns, sender))

    @property
    def kernel_dropped(self) -> int:
        return self._dropped

    @property
    def description(self) -> dict[str, Any]:
        return {
            "address": str(self._address),
            "interface": self._interface.name if self._interface else None,
            "interface_named": self._address.interface is not None,
            "joined": self._reason is None,
            "reason": self._reason,
            "receive_buffer_asked": self._asked,
            "receive_buffer_granted": self._granted,
        }

    def refresh(self) -> None:
        """Brings the line to where its interface allows; `fileno()` tells whether a socket was opened or closed.

        Raises `sockets.PortInUse`, after which the line waits like for an absent interface.
        """
        wanted, reason = self._wanted()
        if reason is not None:
            self._note(reason)
            return
        if self._socket is None or (wanted is not None and not wanted.same_device(self._interface)):
            try:
                self._open(wanted)
            except ConnectorError as error:
                self._interface = None
                self._note(f"{error.message}; {error.hint}" if error.hint else error.message)
                if isinstance(error, sockets.PortInUse):
                    raise
                return
        self._interface = wanted
        self._note(wanted.trouble if wanted else None)

    def count_drops(self) -> None:
        """Reads how many datagrams the kernel dropped at the socket, and says so when it were more than before."""
        if self._socket is None:
            return
        total = sockets.dropped_by_kernel(self._socket)
        if total is None or total == self._dropped_before:
            return
        new = (total - self._dropped_before) & 0xFFFFFFFF
        self._dropped_before = total
        self._dropped += new
        self._context.emit(
            "kernel_dropped",
            "warning",
            f"the kernel dropped {new} datagrams at {self._where}: its receive buffer of {self._granted} bytes was full",
            channel=self.channel,
            line=self.name,
            count=new,
        )

    def close(self) -> None:
        self.count_drops()
        self._close_socket()
        self._reason = "closed"

    @property
    def _where(self) -> str:
        return f"line {self.name} of {self.channel} ({self._address})"

    def _wanted(self) -> tuple[Interface | None, str | None]:
        """The interface to be on (None: none needed), or why there is none."""
        address, known = self._address, self._interfaces
        if address.interface is not None:
            found = known.find(address.interface)
            return found, None if found else known.missing(address.interface)
        if address.is_multicast:
            chosen = known.chosen(address.group)
            if chosen is None and self._interface is not None:
                still = known.find(str(self._interface.index))
                if still is not None and still.same_device(self._interface):
                    return still, None
            missing = (
                f"no route to {address.group} tells the interface; name one with %, or add a route for 224.0.0.0/4"
            )
            return chosen, None if chosen else missing
        if address.kind == "unicast" and not known.is_own(address.group):
            return None, f"{address.group} is neither an address nor a broadcast address of this host"
        return None, None

    def _open(self, interface: Interface | None) -> None:
        """A new socket in place of the old one; raises `ConnectorError` and then there is none."""
        address = self._address
        opened = sockets.new_socket(address)  # before the old one is closed, so that the descriptor's number differs
        self._close_socket()
        try:
            granted = sockets.set_receive_buffer(opened, self._asked)
            sockets.enable_receive_times(opened)
            shared = address.kind in ("multicast", "broadcast") or self._interfaces.is_broadcast(address.group)
            sockets.bind_receiver(opened, address, interface, shared)
            if address.is_multicast:
                assert interface is not None
                sockets.join(opened, address, self._sources, interface)
        except BaseException:
            opened.close()
            raise
        self._socket, self._granted = opened, granted.granted
        self._dropped_before = 0
        clamped = sockets.clamp_text(granted, receive=True)
        if clamped and not self._said_clamped:
            self._said_clamped = True
            text = f"{self._where}: {clamped}"
            self._context.emit("receive_buffer_clamped", "warning", text, channel=self.channel, line=self.name)

    def _close_socket(self) -> None:
        """What waits in it is kept for the next drain."""
        if self._socket is None:
            return
        self.count_drops()
        sockets.receive_batch(self._socket, _LEFT_OVER, self._left_over)
        self._socket.close()
        self._socket = None

    def _note(self, reason: str | None) -> None:
        """The line's state, said once for each change."""
        self._reason = reason
        state = (reason, self._interface.name if self._interface else None)
        if state == self._said or (reason is not None and self._said is not None and reason == self._said[0]):
            return
        self._said = state
        severity: Severity
        if reason is not None:
            code, severity, text = "line_not_joined", "warning", f"{self._where} receives nothing: {reason}"
        else:
            on = f" on {state[1]}" if state[1] else ""
            chosen = ", the kernel's choice" if self._interface and self._address.interface is None else ""
            code, severity, text = "line_joined", "info", f"{self._where} joined{on}{chosen}"
        self._context.emit(code, severity, text, channel=self.channel, line=self.name)


class MulticastSource:
    """`type = "multicast"`: groups, and unicast and broadcast addresses of this host."""

    Options: ClassVar[type[Options]] = SourceOptions

    def __init__(self, options: SourceOptions, context: Context, interfaces: Interfaces | None = None) -> None:
        self._interfaces = interfaces or Interfaces()
        self._context = context
        self._version = -1
        self._lines = [
            MulticastLine(channel, line_name(place), address, options, self._interfaces, context)
            for channel, addresses in options.channels(context.name).items()
            for place, address in enumerate(addresses)
        ]

    async def open(self) -> None:
        for line in self._lines:
            try:
                line.refresh()
            except sockets.PortInUse as error:
                self.close()
                raise ConfigurationError(
                    f"{line.description['address']}: {error.message}",
                    key=f"source.{self._context.name}",
                    hint=error.hint,
                ) from None
        self._version = self._interfaces.version

    def lines(self) -> Sequence[DatagramLine]:
        return self._lines

    def poll(self) -> bool:
        self._interfaces.refresh()
        changed = False
        moved = self._version != self._interfaces.version
        self._version = self._interfaces.version
        for line in self._lines:
            line.count_drops()
            if moved or line.fileno() is None:
                before = line.fileno()
                with contextlib.suppress(sockets.PortInUse):  # said by the line, which waits
                    line.refresh()
                changed = changed or line.fileno() != before
        return changed

    def close(self) -> None:
        for line in self._lines:
            line.close()
        self._interfaces.close()
