"""Interfaces that go down, go away, come back, come late, and come back as another device."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from connectors.multicast import interfaces
from tests.integration.multicast.conftest import (
    Pair,
    Running,
    joined_ipv4,
    joined_ipv6,
    plain_sender,
    received,
)
from tests.support.addresses import FreeAddresses

pytestmark = pytest.mark.network

PollUntil = Callable[[Callable[[], Any], Callable[[], bool]], None]


@pytest.fixture(params=[4, 6])
def group(request: pytest.FixtureRequest, addresses: FreeAddresses) -> str:
    return addresses.group() if request.param == 4 else addresses.group6()


def where(group: str, port: int, interface: str) -> str:
    return f"[{group}]:{port}%{interface}" if ":" in group else f"{group}:{port}%{interface}"


def joined(group: str) -> set[str]:
    return joined_ipv6(group) if ":" in group else joined_ipv4(group)


def send(pair: Pair, group: str, port: int, data: bytes) -> None:
    with plain_sender(pair.there, group) as sender:
        sender.sendto(data, (group, port))


def test_down_and_up_again(
    net: Running, pair: Pair, addresses: FreeAddresses, group: str, poll_until: PollUntil
) -> None:
    pair.make()
    port = addresses.port()
    source = net.source(where(group, port, pair.here))
    (line,) = source.lines()
    send(pair, group, port, b"before")
    assert received(line) == [b"before"]
    descriptor = line.fileno()
    pair.down()
    poll_until(source.poll, lambda: not line.description["joined"])
    assert line.description["reason"] == f"interface {pair.here} is down"
    pair.up()
    poll_until(source.poll, lambda: bool(line.description["joined"]))
    assert line.fileno() == descriptor
    send(pair, group, port, b"after")
    assert received(line) == [b"after"]
    assert len(net.events("line_not_joined")) == 1
    assert len(net.events("line_joined")) == 2


def test_deleted_and_made_again(
    net: Running, pair: Pair, addresses: FreeAddresses, group: str, poll_until: PollUntil
) -> None:
    pair.make()
    port = addresses.port()
    source = net.source(where(group, port, pair.here))
    (line,) = source.lines()
    index = socket.if_nametoindex(pair.here)
    descriptor = line.fileno()
    send(pair, group, port, b"waits in the old socket")
    pair.delete()
    poll_until(source.poll, lambda: not line.description["joined"])
    assert "there is no interface" in line.description["reason"]
    pair.make()
    assert socket.if_nametoindex(pair.here) != index
    changed = []
    poll_until(lambda: changed.append(source.poll()), lambda: bool(line.description["joined"]))
    assert any(changed)
    assert line.fileno() != descriptor
    assert joined(group) == {pair.here}
    send(pair, group, port, b"after")
    assert received(line, 2) == [b"waits in the old socket", b"after"]


def test_made_again_between_two_polls(
    net: Running, pair: Pair, addresses: FreeAddresses, group: str, poll_until: PollUntil
) -> None:
    pair.make()
    port = addresses.port()
    source = net.source(where(group, port, pair.here))
    (line,) = source.lines()
    pair.delete()
    pair.make()
    poll_until(source.poll, lambda: joined(group) == {pair.here})
    send(pair, group, port, b"after")
    assert received(line) == [b"after"]


def test_appears_late_while_the_other_line_receives(
    net: Running, pair: Pair, addresses: FreeAddresses, group: str, poll_until: PollUntil
) -> None:
    port = addresses.port()
    source = net.source(where(group, port, "line0"), where(group, port, pair.here))
    present, late = source.lines()
    assert late.fileno() is None
    with plain_sender("line1", group) as sender:
        sender.sendto(b"present", (group, port))
    assert received(present) == [b"present"]
    pair.make()
    poll_until(source.poll, lambda: bool(late.description["joined"]))
    assert joined(group) == {"line0", pair.here}
    send(pair, group, port, b"late")
    assert received(late) == [b"late"]


def test_named_by_an_address_that_moves_to_another_interface(
    net: Running, pair: Pair, addresses: FreeAddresses, poll_until: PollUntil
) -> None:
    group, port = addresses.group(), addresses.port()
    source = net.source(f"{group}:{port}%{pair.address_here}")
    (line,) = source.lines()
    assert line.fileno() is None
    pair.make()
    poll_until(source.poll, lambda: bool(line.description["joined"]))
    assert line.description["interface"] == pair.here
    send(pair, group, port, b"found")
    assert received(line) == [b"found"]


def test_a_sinks_line_goes_and_comes_back_while_the_other_sends_on(
    net: Running, pair: Pair, addresses: FreeAddresses, group: str, poll_until: PollUntil
) -> None:
    pair.make()
    port, second = addresses.port(), addresses.port()
    outlet = net.outlet(where(group, port, pair.here), where(group, second, "line1"))
    other = net.line(where(group, second, "line0"))
    line = net.line(where(group, port, pair.there))
    assert outlet.send([b"1"]) == 1
    assert received(line) == [b"1"]
    pair.delete()
    poll_until(outlet.poll, lambda: not outlet.description[0]["up"])
    assert outlet.send([b"2"]) == 1
    pair.make()
    poll_until(outlet.poll, lambda: bool(outlet.description[0]["up"]))
    poll_until(net.sources[-1].poll, lambda: bool(line.description["joined"]))
    assert outlet.send([b"3"]) == 1
    assert received(line) == [b"3"]
    assert received(other, 3) == [b"1", b"2", b"3"]
    assert [entry["missed"] for entry in outlet.description] == [1, 0]


def test_without_netlink_the_same_is_read_with_older_calls(
    net: Running, pair: Pair, addresses: FreeAddresses, monkeypatch: pytest.MonkeyPatch, poll_until: PollUntil
) -> None:
    by_netlink = {i.name: i for i in interfaces.read_interfaces()}

    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(interfaces.netlink, "_ask", forbidden)
    monkeypatch.setattr(interfaces.netlink.Ear, "_open", staticmethod(forbidden))
    by_ioctl = {i.name: i for i in interfaces.read_interfaces()}
    assert by_ioctl.keys() == by_netlink.keys()
    for name, found in by_ioctl.items():
        other = by_netlink[name]
        assert found.addresses == other.addresses[:1]
        assert (found.index, found.up, found.running, found.loopback, found.mtu) == (
            other.index,
            other.up,
            other.running,
            other.loopback,
            other.mtu,
        )
    group, port = addresses.group(), addresses.port()
    source = net.source(f"{group}:{port}%{pair.here}", f"10.77.0.1:{port}")
    late, unicast = source.lines()
    assert unicast.description["joined"]
    pair.make()
    poll_until(source.poll, lambda: bool(late.description["joined"]))
    send(pair, group, port, b"late")
    assert received(late) == [b"late"]
