"""What is said of groups, checked against the registries and RFCs by hand."""

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api import Address
from bridge.api.iana import explain, mac_address, mac_shared_with, one_line, propose


@pytest.mark.parametrize(
    ("group", "block", "forwarded", "assigned"),
    [
        ("224.0.0.1", "Local Network Control", "no", "all systems on this subnet"),
        ("224.0.0.2", "Local Network Control", "no", "all routers on this subnet"),
        ("224.0.0.5", "Local Network Control", "no", "OSPF, all routers"),
        ("224.0.0.6", "Local Network Control", "no", "OSPF, designated routers"),
        ("224.0.0.9", "Local Network Control", "no", "RIP2 routers"),
        ("224.0.0.13", "Local Network Control", "no", "all PIM routers"),
        ("224.0.0.18", "Local Network Control", "no", "VRRP"),
        ("224.0.0.22", "Local Network Control", "no", "IGMP"),
        ("224.0.0.68", "Local Network Control", "no", "zeroconfaddr"),
        ("224.0.0.102", "Local Network Control", "no", "HSRP"),
        ("224.0.0.107", "Local Network Control", "no", "PTP-pdelay (IEEE 1588)"),
        ("224.0.0.123", "Local Network Control", "no", None),
        ("224.0.0.251", "Local Network Control", "no", "mDNS"),
        ("224.0.0.252", "Local Network Control", "no", "LLMNR"),
        ("224.0.1.1", "Internetwork Control", "yes", "NTP"),
        ("224.0.1.129", "Internetwork Control", "yes", "PTP-primary (IEEE 1588)"),
        ("224.0.1.132", "Internetwork Control", "yes", "PTP-alternate3 (IEEE 1588)"),
        ("224.2.127.254", "SDP/SAP", "yes", "SAPv1 announcements"),
        ("224.4.64.1", "AD-HOC Block II", "yes", "CME Group"),
        ("225.1.1.1", "reserved", "yes", None),
        ("232.1.1.1", "Source-Specific", "yes", None),
        ("233.54.12.1", "GLOP", "yes", None),
        ("233.252.0.1", "AD-HOC Block III", "yes", "MCAST-TEST-NET (documentation)"),
        ("234.1.1.1", "Unicast-Prefix-based", "yes", None),
        ("239.1.1.1", "Administratively Scoped", "within", None),
        ("239.192.1.1", "Organisation-Local", "within", None),
        ("239.255.255.250", "Site-Local", "within", "SSDP (UPnP discovery)"),
        ("239.255.255.253", "Site-Local", "within", "SLPv2 Discovery"),
        ("239.255.255.255", "Site-Local", "within", "SAP Session Announcement Protocol"),
        ("ff02::1", "link-local", "no", "all nodes"),
        ("ff02::fb", "link-local", "no", "mDNSv6"),
        ("ff05::fb", "site-local", "within", "mDNSv6"),  # variable scope
        ("ff02::1:ff12:3456", "link-local", "no", "solicited-node address"),
        ("ff0e::181", "global", "yes", "PTP-primary (IEEE 1588)"),
        ("ff15::fb", "transient", "within", None),  # T is 1: not the registry's
        ("ff3e::8000:1", "Source-Specific", "yes", None),
        ("ff01::1", "interface-local", "no", "all nodes"),
    ],
)
def test_explains(group: str, block: str, forwarded: str, assigned: str | None) -> None:
    known = explain(ip_address(group))
    assert block in known.block
    assert (known.forwarded, known.assigned) == (forwarded, assigned)


def test_a_protocols_group_differs_from_an_organisations() -> None:
    assert explain(ip_address("224.0.0.251")).assigned_to == "protocol"
    assert explain(ip_address("224.4.64.1")).assigned_to == "organisation"
    assert explain(ip_address("239.1.1.1")).assigned_to is None


def test_names_the_holder_of_a_glop_group() -> None:
    assert "belongs to the holder of AS 13836 (RFC 3180)" in explain(ip_address("233.54.12.1")).notes  # 54 * 256 + 12


def test_ethernet_addresses() -> None:
    assert mac_address(ip_address("224.0.0.251")) == "01:00:5e:00:00:fb"
    assert mac_address(ip_address("239.129.2.3")) == "01:00:5e:01:02:03"
    assert mac_address(ip_address("ff02::1:ff12:3456")) == "33:33:ff:12:34:56"


@given(st.ip_addresses(v=4, network="224.0.0.0/4"))
def test_thirty_two_groups_share_an_ethernet_address(group: IPv4Address) -> None:
    shared = mac_shared_with(group)
    assert len({group, *shared}) == 32
    assert {mac_address(g) for g in shared} == {mac_address(group)}


@given(st.one_of(st.ip_addresses(v=4, network="224.0.0.0/4"), st.ip_addresses(v=6, network="ff00::/8")))
def test_every_group_is_explained(group: IPv4Address) -> None:
    assert explain(group).mac == mac_address(group)


def test_says_which_groups_switches_flood() -> None:
    assert explain(ip_address("239.128.0.5")).flooded
    assert "224.0.0.5" in " ".join(explain(ip_address("239.128.0.5")).notes)
    assert not explain(ip_address("239.128.1.5")).flooded


def test_what_is_proposed_is_free_and_not_flooded() -> None:
    link, organisation, link6, organisation6 = propose(count=50, seed=1)
    assert link.groups[0] == "224.0.0.123"
    assert "224.0.0.150" not in link.groups
    for proposal in (link, organisation, link6, organisation6):
        for group in map(ip_address, proposal.groups):
            known = explain(group)
            assert known.assigned is None
            assert known.scope == ("link" if proposal in (link, link6) else "organisation")
            assert not known.source_specific
            assert proposal is link or not known.flooded
    assert propose(seed=1) == propose(seed=1)


def test_one_line() -> None:
    assert one_line(Address.parse("239.192.1.1:5000")) == (
        "239.192.1.1:5000: Organisation-Local Scope (239.192.0.0/14), forwarded inside the organisation"
    )
    assert "assigned to mDNS" in one_line(Address.parse("224.0.0.251:5353"))
    assert "unassigned today" in one_line(Address.parse("224.0.0.123:7777"))
    assert one_line(Address.parse("10.0.0.1:5000")).startswith("10.0.0.1:5000: unicast")
    assert "\n" not in one_line(Address.parse("[ff02::1234]:5000%eth0"))


def test_only_groups_are_explained() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1 is no multicast group"):
        explain(ip_address("10.0.0.1"))
