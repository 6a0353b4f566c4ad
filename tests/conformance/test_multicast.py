"""The multicast connector as a datagram source and sink, against plain sockets, in the network namespace of the tests."""

import asyncio
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.testing.conformance import DatagramSinkSuite, DatagramSourceSuite
from bridge.testing.conformance.datagram import PATIENCE
from connectors.multicast.sink import MulticastSink
from connectors.multicast.source import MulticastSource
from tests.support.addresses import FreeAddresses
from tests.support.tools import find

pytestmark = pytest.mark.network

LATE, LATE_PEER = "conf-late", "conf-peer"
"""A veth pair that a behaviour makes while the source runs."""


def ip_mreqn(group: str, interface: str) -> bytes:
    """struct ip_mreqn of ip(7): the group, any own address, the interface's index."""
    return struct.pack("@4s4si", socket.inet_aton(group), bytes(4), socket.if_nametoindex(interface))


def ip(command: str) -> None:
    subprocess.run([find("ip"), *command.split()], check=True)


class Groups:
    """A group and a port for each line of a behaviour."""

    @pytest.fixture(autouse=True)
    def _groups(self, addresses: FreeAddresses) -> Iterator[None]:
        self.addresses = addresses
        self.groups: dict[tuple[str, str], tuple[str, int]] = {}
        self.receivers: dict[tuple[str, str], socket.socket] = {}
        yield
        for receiver in self.receivers.values():
            receiver.close()

    def group(self, channel: str, line: str) -> tuple[str, int]:
        key = (channel, line)
        if key not in self.groups:
            self.groups[key] = (self.addresses.group(), self.addresses.port())
        return self.groups[key]

    def address(self, channel: str, line: str, interface: str = "lo") -> str:
        group, port = self.group(channel, line)
        return f"{group}:{port}%{interface}"

    def options(self, path: Path, lines: Mapping[str, int]) -> dict[str, Any]:
        names = {channel: "AB"[:count] for channel, count in lines.items()}
        return {"channel": {c: {"lines": [self.address(c, line) for line in of]} for c, of in names.items()}}


class TestMulticastSource(Groups, DatagramSourceSuite):
    name = "multicast"
    source = MulticastSource

    @pytest.fixture(autouse=True)
    def _late(self) -> Iterator[None]:
        yield
        if LATE in [name for _, name in socket.if_nameindex()]:
            ip(f"link delete {LATE}")

    async def feed(self, path: Path, source: Any, channel: str, line: str, datagrams: Sequence[bytes]) -> None:
        group, port = self.group(channel, line)
        late = any(LATE in str(entry.description["address"]) for entry in source.lines() if entry.name == line)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            request = ip_mreqn(group, LATE_PEER if late else "lo")
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            for datagram in datagrams:
                sender.sendto(datagram, (group, port))

    def absent_options(self, path: Path) -> dict[str, Any]:
        return {"channel": {"one": {"lines": [self.address("one", "A"), self.address("one", "B", LATE)]}}}

    async def appear(self, path: Path, source: Any) -> None:
        for command in (
            f"link add {LATE} type veth peer name {LATE_PEER}",
            f"addr add 10.79.0.1/24 dev {LATE}",
            f"addr add 10.79.0.2/24 dev {LATE_PEER}",
            f"link set {LATE} up",
            f"link set {LATE_PEER} up",
        ):
            ip(command)


class TestMulticastSink(Groups, DatagramSinkSuite):
    name = "multicast"
    sink = MulticastSink

    async def listen(self, path: Path, lines: Mapping[str, int]) -> None:
        for channel, count in lines.items():
            for line in "AB"[:count]:
                if (channel, line) in self.receivers:
                    continue
                group, port = self.group(channel, line)
                receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                receiver.setblocking(False)
                receiver.bind((group, port))
                receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, ip_mreqn(group, "lo"))
                self.receivers[channel, line] = receiver

    async def received(self, path: Path, sink: Any, channel: str, line: str, count: int) -> list[bytes]:
        receiver, found = self.receivers[channel, line], list[bytes]()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                while len(found) < count:
                    found.append(await loop.sock_recv(receiver, 65_536))
        except TimeoutError:
            return found
        while True:
            try:
                found.append(receiver.recv(65_536))
            except BlockingIOError:
                return found
