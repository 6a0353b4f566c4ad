"""Sources and sinks on real sockets, and a veth pair of a test's own that it may break."""

import asyncio
import itertools
import select
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.api import DatagramLine, Outlet
from bridge.testing.doubles.context import FakeContext
from connectors.multicast.options import SinkOptions, SourceOptions
from connectors.multicast.sink import MulticastSink
from connectors.multicast.source import MulticastSource
from tests.support.tools import find

PATIENCE = 5.0


def received(line: DatagramLine, count: int = 1) -> list[bytes]:
    """What arrives at a line until there are `count` datagrams; fewer when nothing comes any more."""
    found: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        descriptor = line.fileno()
        if descriptor is not None:
            select.select([descriptor], [], [], 0.2)
        found += line.drain(256).datagrams
    return found


def nothing_waits(line: DatagramLine) -> bool:
    """On loopback and veth a datagram has arrived when sendto returns, or a tick later."""
    time.sleep(0.05)
    return line.drain(256).datagrams == []


class Running:
    """Sources and sinks of one test, closed at its end."""

    def __init__(self) -> None:
        self.context = FakeContext("net")
        self.sources: list[MulticastSource] = []
        self.sinks: list[MulticastSink] = []

    def source(self, *lines: str, **options: Any) -> MulticastSource:
        made = MulticastSource(SourceOptions.model_validate({"lines": list(lines), **options}), self.context)
        self.sources.append(made)
        asyncio.run(made.open())
        return made

    def line(self, address: str, **options: Any) -> DatagramLine:
        return self.source(address, **options).lines()[0]

    def outlet(self, *lines: str, **options: Any) -> Outlet:
        made = MulticastSink(SinkOptions.model_validate({"lines": list(lines), **options}), self.context)
        self.sinks.append(made)
        return asyncio.run(made.open("c"))

    def events(self, code: str) -> list[str]:
        return [event.text for event in self.context.events if event.code == code]

    def close(self) -> None:
        for source in self.sources:
            source.close()
        for sink in self.sinks:
            closing: Awaitable[None] = sink.close()
            asyncio.run(closing)  # type: ignore[arg-type] # an async def's awaitable is a coroutine


@pytest.fixture
def net() -> Iterator[Running]:
    running = Running()
    yield running
    running.close()


def ip(command: str) -> None:
    """iproute2's `ip`; fails the test with what it said."""
    done = subprocess.run([find("ip"), *command.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {command}: {done.stderr}"


_numbers = itertools.count()


class Pair:
    """A veth pair: `here` (10.78.N.1) and `there` (10.78.N.2), deleted and made again as a test wants."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.here, self.there = f"mca{number}", f"mcb{number}"
        self.address_here, self.address_there = f"10.78.{number}.1", f"10.78.{number}.2"

    def make(self) -> None:
        ip(f"link add {self.here} type veth peer name {self.there}")
        ip(f"addr add {self.address_here}/24 dev {self.here}")
        ip(f"addr add {self.address_there}/24 dev {self.there}")
        self.up()

    def up(self) -> None:
        ip(f"link set {self.here} up")
        ip(f"link set {self.there} up")
        self._wait_for_carrier()

    def down(self) -> None:
        ip(f"link set {self.here} down")

    def delete(self) -> None:
        ip(f"link del {self.here}")

    def exists(self) -> bool:
        return self.here in [name for _, name in socket.if_nameindex()]

    def _wait_for_carrier(self) -> None:
        state = Path(f"/sys/class/net/{self.here}/operstate")
        deadline = time.monotonic() + PATIENCE
        while state.read_text().strip() != "up" and time.monotonic() < deadline:
            time.sleep(0.01)


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    if made.exists():
        made.delete()


@pytest.fixture
def poll_until() -> Callable[[Callable[[], Any], Callable[[], bool]], None]:
    """Polls as the engine does, at least once, until something holds; fails the test when it does not within a few seconds."""

    def poll(step: Callable[[], Any], holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        step()
        while not holds():
            assert time.monotonic() < deadline, "it did not come to hold"
            time.sleep(0.02)
            step()

    return poll


def joined_ipv4(group: str) -> set[str]:
    """The interfaces on which the kernel has joined a group (/proc/net/igmp)."""
    wanted = socket.inet_aton(group)[::-1].hex().upper()
    found, device = set(), ""
    for row in Path("/proc/net/igmp").read_text().splitlines()[1:]:
        fields = row.split()
        if not row.startswith("\t"):
            device = fields[1]
        elif fields[0] == wanted:
            found.add(device)
    return found


def joined_ipv6(group: str) -> set[str]:
    """The interfaces on which the kernel has joined a group (/proc/net/igmp6)."""
    wanted = socket.inet_pton(socket.AF_INET6, group).hex()
    rows = [row.split() for row in Path("/proc/net/igmp6").read_text().splitlines()]
    return {row[1] for row in rows if row[2] == wanted}


def plain_sender(interface: str | None = None, group: str = "239.1.1.1", source: str | None = None) -> socket.socket:
    """A socket that a stranger would send from."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    if source is not None:
        made.bind((source, 0))
    if interface is not None:
        index = socket.if_nametoindex(interface)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            made.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_IF, bytes(8) + index.to_bytes(4, "little")
            )  # struct ip_mreqn
    return made
