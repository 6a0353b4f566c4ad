"""Interfaces by name, index and own address, and when they are the same device."""

from dataclasses import replace
from ipaddress import ip_address

from tests.unit.connectors.multicast.fakes import ETH0, ETH1, LO, FakeHost


def test_found_by_name_index_and_own_address() -> None:
    known = FakeHost(LO, ETH0, ETH1).interfaces
    for text in ("eth1", "3", "10.1.0.1"):
        assert known.find(text) == ETH1
    assert known.find("fe80::1") == ETH0
    for text in ("eth2", "4", "10.2.0.1"):
        assert known.find(text) is None


def test_an_absent_one_is_named_with_what_there_is() -> None:
    known = FakeHost(LO, ETH0).interfaces
    assert known.missing("ethO") == "there is no interface ethO (did you mean eth0?)"
    assert known.missing("wlan9") == "there is no interface wlan9 (this host has lo, eth0)"


def test_refresh_reads_only_after_a_change() -> None:
    host = FakeHost(LO)
    assert not host.interfaces.refresh()
    host.set(LO, ETH0)
    assert host.interfaces.refresh()
    assert host.interfaces.find("eth0") == ETH0
    assert not host.interfaces.refresh()


def test_made_again_with_another_index_it_is_another_device() -> None:
    host = FakeHost(LO, ETH0)
    before = host.interfaces.find("eth0")
    host.set(LO, replace(ETH0, index=7))
    host.interfaces.refresh()
    again = host.interfaces.find("eth0")
    assert again is not None
    assert not again.same_device(before)


def test_made_again_with_the_same_index_it_is_another_device() -> None:
    host = FakeHost(LO, ETH0)
    before = host.interfaces.find("eth0")
    host.remake(ETH0)
    host.interfaces.refresh()
    again = host.interfaces.find("eth0")
    assert again is not None
    assert not again.same_device(before)
    host.set(LO, ETH0, ETH1)
    host.interfaces.refresh()
    assert again.same_device(host.interfaces.find("eth0"))


def test_down_and_up_it_is_the_same_device() -> None:
    host = FakeHost(LO, ETH0)
    before = host.interfaces.find("eth0")
    host.set(LO, replace(ETH0, up=False, running=False, addresses=()))
    host.interfaces.refresh()
    down = host.interfaces.find("eth0")
    assert down is not None
    assert down.trouble == "interface eth0 is down"
    assert down.same_device(before)
    assert replace(ETH0, running=False).trouble == "interface eth0 has no carrier"


def test_the_kernels_choice() -> None:
    host = FakeHost(LO, ETH0, default="eth0")
    assert host.interfaces.chosen(ip_address("239.1.1.1")) == ETH0
    host.set(LO, ETH0, default=None)
    host.interfaces.refresh()
    assert host.interfaces.chosen(ip_address("239.1.1.1")) is None
    assert host.interfaces.is_own(ip_address("10.0.0.1"))
    assert not host.interfaces.is_own(ip_address("10.9.9.9"))
