"""Receiving: ASM and SSM, IPv4 and IPv6, only what a line asked for, buffers, drops, times."""

import os
import socket
import time

import pytest

from bridge.api import ConfigurationError
from tests.integration.multicast.conftest import (
    Running,
    joined_ipv4,
    joined_ipv6,
    nothing_waits,
    plain_sender,
    received,
)
from tests.support.addresses import FreeAddresses

pytestmark = pytest.mark.network


def test_any_source_with_no_interface_named(net: Running, addresses: FreeAddresses) -> None:
    group, port = addresses.group(), addresses.port()
    line = net.line(f"{group}:{port}")
    with plain_sender() as sender:
        sender.sendto(b"hello", (group, port))
    assert received(line) == [b"hello"]
    assert line.description["interface"] == "lo"  # where the namespace routes 224.0.0.0/4
    assert joined_ipv4(group) == {"lo"}
    assert "the kernel's choice" in net.events("line_joined")[0]


@pytest.mark.parametrize("by", ["name", "index", "address"])
def test_the_right_interface_is_joined(net: Running, addresses: FreeAddresses, by: str) -> None:
    group, port = addresses.group(), addresses.port()
    interface = {"name": "line0", "index": str(socket.if_nametoindex("line0")), "address": "10.77.0.1"}[by]
    line = net.line(f"{group}:{port}%{interface}")
    assert joined_ipv4(group) == {"line0"}
    assert line.description["interface"] == "line0"
    with plain_sender("line1") as sender:
        sender.sendto(b"through the pair", (group, port))
    assert received(line) == [b"through the pair"]


def test_lines_on_two_interfaces_get_only_their_own(net: Running, addresses: FreeAddresses) -> None:
    group, port = addresses.group(), addresses.port()
    source = net.source(f"{group}:{port}%lo", f"{group}:{port}%line0")
    on_lo, on_line0 = source.lines()
    with plain_sender("lo") as sender:
        sender.sendto(b"lo", (group, port))
    with plain_sender("line1") as sender:
        sender.sendto(b"pair", (group, port))
    assert received(on_lo) == [b"lo"]
    assert received(on_line0) == [b"pair"]
    assert nothing_waits(on_lo)
    assert nothing_waits(on_line0)


def test_ipv6_lines_on_two_interfaces_get_only_their_own(net: Running, addresses: FreeAddresses) -> None:
    group, port = addresses.group6(), addresses.port()
    source = net.source(f"[{group}]:{port}%lo", f"[{group}%line0]:{port}")
    on_lo, on_line0 = source.lines()
    assert joined_ipv6(group) == {"lo", "line0"}
    with plain_sender("lo", group) as sender:
        sender.sendto(b"lo", (group, port))
    with plain_sender("line1", group) as sender:
        sender.sendto(b"pair", (group, port))
    assert received(on_lo) == [b"lo"]
    assert received(on_line0) == [b"pair"]
    assert nothing_waits(on_lo)
    assert nothing_waits(on_line0)


def test_ipv6_link_scope(net: Running, addresses: FreeAddresses) -> None:
    port = addresses.port()
    line = net.line(f"[ff12::8000:77]:{port}%line0")
    with plain_sender("line1", "ff12::8000:77") as sender:
        sender.sendto(b"link", ("ff12::8000:77", port, 0, socket.if_nametoindex("line1")))
    assert received(line) == [b"link"]


def test_ipv6_with_no_interface_named_joins_where_the_kernel_would(net: Running, addresses: FreeAddresses) -> None:
    group, other, port = addresses.group6(), addresses.group6(), addresses.port()
    line = net.line(f"[{group}]:{port}")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as plain:
        plain.setsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, other) + bytes(4)
        )
        assert joined_ipv6(other) == joined_ipv6(group) == {line.description["interface"]}


def test_two_groups_on_one_port_stay_apart(net: Running, addresses: FreeAddresses) -> None:
    one, two, foreign, port = addresses.group(), addresses.group(), addresses.group(), addresses.port()
    lines = net.source(f"{one}:{port}", f"{two}:{port}").lines()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as neighbour, plain_sender() as sender:
        neighbour.setsockopt(  # another process of this host joins a third group
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(foreign) + socket.inet_aton("0.0.0.0")
        )
        for group in (one, two, foreign):
            sender.sendto(group.encode(), (group, port))
        assert [received(line) for line in lines] == [[one.encode()], [two.encode()]]
        assert all(nothing_waits(line) for line in lines)


def test_a_hundred_groups_in_one_source(net: Running, addresses: FreeAddresses) -> None:
    port = addresses.port()
    groups = [addresses.group() for _ in range(100)]  # a socket may join 20
    lines = net.source(*(f"{group}:{port}" for group in groups)).lines()
    with plain_sender() as sender:
        for group in groups:
            sender.sendto(group.encode(), (group, port))
    assert [received(line) for line in lines] == [[group.encode()] for group in groups]


@pytest.mark.parametrize("table", [False, True])
def test_source_specific(net: Running, addresses: FreeAddresses, table: bool) -> None:
    port = addresses.port()
    group = f"232.77.{port // 256}.{port % 256}"
    address, options = (f"{group}:{port}", {"sources": ["10.77.0.2"]}) if table else (f"10.77.0.2@{group}:{port}", {})
    line = net.line(f"{address}%line0", **options)
    with plain_sender("line1", source="10.77.0.2") as wanted, plain_sender("line0", source="10.77.0.1") as other:
        other.sendto(b"other", (group, port))
        wanted.sendto(b"wanted", (group, port))
        other.sendto(b"other", (group, port))
    assert received(line) == [b"wanted"]
    assert nothing_waits(line)


def test_several_senders_of_an_any_source_group(net: Running, addresses: FreeAddresses) -> None:
    group, port = addresses.group(), addresses.port()
    line = net.line(f"{group}:{port}%line0", sources=["10.77.0.2", "10.77.0.99"])
    with plain_sender("line1", source="10.77.0.2") as wanted, plain_sender("line0", source="10.77.0.1") as other:
        other.sendto(b"other", (group, port))
        wanted.sendto(b"wanted", (group, port))
    assert received(line) == [b"wanted"]
    assert nothing_waits(line)


def test_source_specific_ipv6(net: Running, addresses: FreeAddresses) -> None:
    port = addresses.port()
    group = f"ff3e::8000:{port:x}"
    line = net.line(f"fd77::2@[{group}]:{port}%line0")
    with (
        plain_sender("line1", group, "fd77::2") as wanted,
        plain_sender("line0", group, "fd77::1") as other,
    ):
        other.sendto(b"other", (group, port))
        wanted.sendto(b"wanted", (group, port))
    assert received(line) == [b"wanted"]
    assert nothing_waits(line)


def test_more_senders_than_the_kernel_takes_is_explained(net: Running, addresses: FreeAddresses) -> None:
    senders = [f"10.77.1.{n}" for n in range(1, 201)]
    line = net.line(f"{addresses.address()}%line0", sources=senders)
    reason = line.description["reason"]
    assert "the kernel allows no more senders for" in reason
    assert "sysctl -w net.ipv4.igmp_max_msf=200" in reason


def test_unicast(net: Running, addresses: FreeAddresses) -> None:
    port = addresses.port()
    line = net.line(f"10.77.0.1:{port}")
    with plain_sender() as sender:
        sender.sendto(b"you", ("10.77.0.1", port))
        sender.sendto(b"another", ("10.77.0.2", port))
    assert received(line) == [b"you"]
    assert nothing_waits(line)
    line6 = net.line(f"[fd77::1]:{port}")
    with plain_sender(group="::1") as sender:
        sender.sendto(b"you", ("fd77::1", port))
    assert received(line6) == [b"you"]


def test_every_address_of_this_host(net: Running, addresses: FreeAddresses) -> None:
    port = addresses.port()
    line = net.line(f"0.0.0.0:{port}")
    with plain_sender() as sender:
        sender.sendto(b"1", ("127.0.0.1", port))
        sender.sendto(b"2", ("10.77.0.2", port))
    assert received(line, 2) == [b"1", b"2"]


@pytest.mark.parametrize("address", ["10.77.0.255", "255.255.255.255"])
@pytest.mark.parametrize("interface", ["", "%line0"])
def test_broadcast(net: Running, addresses: FreeAddresses, address: str, interface: str) -> None:
    port = addresses.port()
    line = net.line(f"{address}:{port}{interface}")
    second = net.line(f"{address}:{port}{interface}")  # a broadcast reaches every socket, so the port is shared
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"line1")
        sender.sendto(b"all", (address, port))
        sender.sendto(b"one", ("10.77.0.1", port))
    copies = 1 if interface else 2  # both ends of the pair are this host's: line1's own copy comes too
    assert received(line, copies) == [b"all"] * copies
    assert received(second, copies) == [b"all"] * copies
    assert nothing_waits(line)


def test_an_address_that_is_not_ours_is_waited_for(net: Running, addresses: FreeAddresses) -> None:
    source = net.source(f"10.99.0.1:{addresses.port()}")
    (line,) = source.lines()
    assert line.fileno() is None
    assert "neither an address nor a broadcast address of this host" in line.description["reason"]


def test_a_port_in_use(net: Running, addresses: FreeAddresses) -> None:
    group, port = addresses.group(), addresses.port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as selfish:
        selfish.bind(("0.0.0.0", port))
        with pytest.raises(ConfigurationError) as caught:
            net.line(f"{group}:{port}")
    assert caught.value.message == (
        f"{group}:{port}: port {port} of {group} is in use by a socket that does not share it"
    )
    assert f"ss -lunp 'sport = :{port}'" in caught.value.hint


def test_a_unicast_port_is_not_taken_from_another(net: Running, addresses: FreeAddresses) -> None:
    port = addresses.port()
    net.line(f"127.0.0.1:{port}")
    with pytest.raises(ConfigurationError, match="is in use"):
        net.line(f"127.0.0.1:{port}")


def test_several_receivers_of_one_group(net: Running, addresses: FreeAddresses) -> None:
    address = addresses.address()
    lines = [net.line(address), net.line(address)]
    group, port = address.split(":")
    with plain_sender() as sender:
        sender.sendto(b"both", (group, int(port)))
    assert [received(line) for line in lines] == [[b"both"], [b"both"]]


@pytest.mark.parametrize("size", [0, 1, 1472, 65507])
def test_datagrams_of_every_size_arrive_whole(net: Running, addresses: FreeAddresses, size: int) -> None:
    group, port = addresses.group(), addresses.port()
    line = net.line(f"{group}:{port}")
    payload = os.urandom(size)
    with plain_sender() as sender:
        sender.sendto(payload, (group, port))
    assert received(line) == [payload]


def test_drain_keeps_to_its_limit(net: Running, addresses: FreeAddresses) -> None:
    group, port = addresses.group(), addresses.port()
    line = net.line(f"{group}:{port}")
    with plain_sender() as sender:
        for number in range(5):
            sender.sendto(bytes([number]), (group, port))
    assert line.drain(2)[:2] == ([b"\0", b"\1"], False)
    assert line.drain(1)[:2] == ([b"\2"], False)
    assert line.drain(10)[:2] == ([b"\3", b"\4"], True)
    assert line.drain(10) == ([], True, None)


def test_a_drain_samples_the_kernels_time_and_the_sender(net: Running, addresses: FreeAddresses) -> None:
    group, port = addresses.group(), addresses.port()
    line = net.line(f"{group}:{port}%line0")
    with plain_sender("line1", source="10.77.0.2") as sender:
        before = time.time_ns()
        sender.sendto(b"1", (group, port))
        sender.sendto(b"2", (group, port))
        time.sleep(0.02)
        after = time.time_ns()
        own_port = sender.getsockname()[1]
    sample = line.drain(10).sample
    assert sample is not None
    assert sample.at == 0
    assert sample.sender == ("10.77.0.2", own_port)
    assert before - 10_000_000 < sample.kernel_ns < after - 10_000_000  # the arrival's time, not the drain's


def test_the_receive_buffer_is_read_back(net: Running, addresses: FreeAddresses) -> None:
    line = net.line(addresses.address(), receive_buffer="1MiB")
    assert line.description["receive_buffer_asked"] == 2**20
    assert line.description["receive_buffer_granted"] == 2**20
    assert net.events("receive_buffer_clamped") == []


def test_a_clamped_receive_buffer_is_said_with_its_remedy(
    net: Running, addresses: FreeAddresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.multicast.platform.SO_RCVBUFFORCE", -1)  # as without CAP_NET_ADMIN
    line = net.line(addresses.address(), receive_buffer="1023MiB")
    assert line.description["receive_buffer_granted"] < 1023 * 2**20
    (said,) = net.events("receive_buffer_clamped")
    assert f"sysctl -w net.core.rmem_max={1023 * 2**20}" in said


def test_kernel_drops_are_counted_and_said(net: Running, addresses: FreeAddresses) -> None:
    group, port = addresses.group(), addresses.port()
    source = net.source(f"{group}:{port}", receive_buffer="4KiB")
    (line,) = source.lines()
    with plain_sender() as sender:
        for number in range(1000):
            sender.sendto(number.to_bytes(2, "big"), (group, port))
    source.poll()
    kept = received(line, 1000 - line.kernel_dropped)
    assert line.kernel_dropped > 0
    assert line.kernel_dropped + len(kept) == 1000
    (said,) = net.events("kernel_dropped")
    assert f"the kernel dropped {line.kernel_dropped} datagrams" in said
    source.poll()
    assert len(net.events("kernel_dropped")) == 1
