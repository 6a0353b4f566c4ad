"""Sending: what arrives, with which TTL, DSCP and source address, and whether it loops back."""

import socket
import struct
from typing import Any

import pytest

from tests.integration.multicast.conftest import Running, nothing_waits, received
from tests.support.addresses import FreeAddresses

pytestmark = pytest.mark.network

IP_RECVTTL = 12
RECEIVED = {socket.IP_TTL: "ttl", socket.IP_TOS: "tos"}
RECEIVED6 = {socket.IPV6_HOPLIMIT: "ttl", socket.IPV6_TCLASS: "tos"}


def plain_receiver(group: str, port: int, interface: str) -> socket.socket:
    """A stranger's receiver that asks for TTL and TOS."""
    index = socket.if_nametoindex(interface)
    if ":" in group:
        made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        made.bind((group, port))
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((group, port))
        made.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        request = struct.pack("@4s4si", socket.inet_aton(group), b"", index)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    made.settimeout(5)
    return made


def seen(receiver: socket.socket) -> tuple[bytes, dict[str, int], str]:
    data, ancillary, _, sender = receiver.recvmsg(65535, 256)
    found: dict[str, int] = {}
    for level, kind, content in ancillary:
        name = (RECEIVED if level == socket.IPPROTO_IP else RECEIVED6).get(kind)
        if name is not None:
            found[name] = int.from_bytes(content, "little")
    return data, found, str(sender[0])


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("options", "ttl", "tos"), [({}, 1, 0), ({"ttl": 4, "dscp": "EF"}, 4, 46 << 2)])
def test_ttl_and_dscp_are_what_was_asked(
    net: Running, addresses: FreeAddresses, version: int, options: dict[str, Any], ttl: int, tos: int
) -> None:
    group = addresses.group() if version == 4 else addresses.group6()
    port = addresses.port()
    where = f"{group}:{port}%line1" if version == 4 else f"[{group}]:{port}%line1"
    with plain_receiver(group, port, "line0") as receiver:
        outlet = net.outlet(where, **options)
        assert outlet.send([b"x"]) == 1
        data, headers, _ = seen(receiver)
    assert data == b"x"
    assert headers == {"ttl": ttl, "tos": tos}
    assert outlet.description[0]["ttl"] == ttl


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("version", [4, 6])
def test_loop(net: Running, addresses: FreeAddresses, loop: bool, version: int) -> None:
    group, port = addresses.group() if version == 4 else f"[{addresses.group6()}]", addresses.port()
    here = net.line(f"{group}:{port}%line1")  # where it is sent from
    there = net.line(f"{group}:{port}%line0")
    assert net.outlet(f"{group}:{port}%line1", loop=loop).send([b"x"]) == 1
    assert received(there) == [b"x"]
    if loop:
        assert received(here) == [b"x"]
    else:
        assert nothing_waits(here)


@pytest.mark.parametrize("form", ["option", "address"])
def test_source_address(net: Running, addresses: FreeAddresses, form: str) -> None:
    group, port = addresses.group(), addresses.port()
    with plain_receiver(group, port, "line0") as receiver:
        if form == "option":
            outlet = net.outlet(f"{group}:{port}%line1", source_address="10.77.0.1")
        else:
            outlet = net.outlet(f"10.77.0.1@{group}:{port}%line1")
        assert outlet.send([b"x"]) == 1
        assert seen(receiver)[2] == "10.77.0.1"
    assert outlet.description[0]["source_address"] == "10.77.0.1"


def test_a_source_address_that_is_not_ours_is_waited_for(net: Running, addresses: FreeAddresses) -> None:
    outlet = net.outlet(f"{addresses.address()}%line1", source_address="10.99.0.1")
    assert outlet.send([b"x"]) == 0
    assert outlet.description[0]["reason"] == "10.99.0.1 is no address of this host, so nothing can be sent from it"


def test_all_lines_get_identical_datagrams(net: Running, addresses: FreeAddresses) -> None:
    one, two = addresses.address(), f"[{addresses.group6()}]:{addresses.port()}%line0"
    lines = [net.line(one), net.line(two)]
    outlet = net.outlet(one, two)
    sent = [b"%d" % n for n in range(100)]
    assert outlet.send(sent) == 100
    assert [received(line, 100) for line in lines] == [sent, sent]


def test_largest_datagram_and_one_that_is_too_long(net: Running, addresses: FreeAddresses) -> None:
    address = addresses.address()
    line, outlet = net.line(address), net.outlet(address, mtu=65535)
    assert outlet.max_datagram == 65507
    assert outlet.send([b"x" * 65508, b"y" * 65507]) == 2
    assert received(line) == [b"y" * 65507]
    assert outlet.description[0]["missed"] == 1
    assert "a datagram of 65508 bytes" in net.events("datagram_too_long")[0]


@pytest.mark.parametrize("address", ["10.77.0.255", "255.255.255.255"])
def test_broadcast(net: Running, addresses: FreeAddresses, address: str) -> None:
    port = addresses.port()
    line = net.line(f"{address}:{port}%line0")
    assert net.outlet(f"{address}:{port}%line1").send([b"all"]) == 1
    assert received(line) == [b"all"]


def test_unicast_also_where_nobody_listens(net: Running, addresses: FreeAddresses) -> None:
    port, deaf = addresses.port(), addresses.port()
    line = net.line(f"127.0.0.1:{port}")
    outlet = net.outlet(f"127.0.0.1:{port}", f"127.0.0.1:{deaf}")
    for number in range(3):  # "port unreachable" comes back for the second line, and is nobody's failure
        assert outlet.send([b"%d" % number]) == 1
    assert received(line, 3) == [b"0", b"1", b"2"]
    assert all(entry["up"] for entry in outlet.description)


def test_without_a_route_nothing_is_taken(net: Running, addresses: FreeAddresses) -> None:
    outlet = net.outlet(f"198.51.100.1:{addresses.port()}")
    assert outlet.send([b"x"]) == 0
    assert "no route to 198.51.100.1" in outlet.description[0]["reason"]
    assert len(net.events("outlet_down")) == 1
    outlet.poll()
    assert len(net.events("outlet_down")) == 1
