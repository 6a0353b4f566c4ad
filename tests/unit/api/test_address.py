"""The address grammar: what is read, what is printed, what is said of a mistake; overlaps and cycles."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api import Address, AddressError, AddressField, Options
from bridge.api.address import Flow, cycles, overlaps


@pytest.mark.parametrize(
    ("text", "group", "port", "interface", "sources"),
    [
        ("239.1.1.1:5000", "239.1.1.1", 5000, None, []),
        ("239.1.1.1:5000%eth0", "239.1.1.1", 5000, "eth0", []),
        ("239.1.1.1:5000%eth0.100", "239.1.1.1", 5000, "eth0.100", []),
        ("239.1.1.1:5000%3", "239.1.1.1", 5000, "3", []),
        ("239.1.1.1:5000%10.77.0.1", "239.1.1.1", 5000, "10.77.0.1", []),
        ("10.0.0.1,10.0.0.2@232.1.1.1:5000%eth0", "232.1.1.1", 5000, "eth0", ["10.0.0.1", "10.0.0.2"]),
        ("[ff15::1]:5000%eth0", "ff15::1", 5000, "eth0", []),
        ("[ff15::1]:5000%fe80::1", "ff15::1", 5000, "fe80::1", []),
        ("[ff15::1]:5000%[fe80::1]", "ff15::1", 5000, "fe80::1", []),
        ("2001:db8::1,2001:db8::2@[ff3e::8000:1]:5000", "ff3e::8000:1", 5000, None, ["2001:db8::1", "2001:db8::2"]),
        ("[2001:db8::1]@[ff3e::8000:1]:5000", "ff3e::8000:1", 5000, None, ["2001:db8::1"]),
        ("127.0.0.1:1", "127.0.0.1", 1, None, []),
        ("255.255.255.255:65535%eth0", "255.255.255.255", 65535, "eth0", []),
        ("0.0.0.0:5000", "0.0.0.0", 5000, None, []),
        (" 239.1.1.1:5000 ", "239.1.1.1", 5000, None, []),
    ],
)
def test_reads_every_form(text: str, group: str, port: int, interface: str | None, sources: list[str]) -> None:
    address = Address.parse(text)
    assert (address.group, address.port, address.interface) == (ip_address(group), port, interface)
    assert address.sources == tuple(map(ip_address, sources))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("[ff15::1%eth0]:5000", "[ff15::1]:5000%eth0"),
        ("[FF15:0:0::1]:05000", "[ff15::1]:5000"),
        ("2001:db8::1@[ff3e::8000:1]:5000", "[2001:db8::1]@[ff3e::8000:1]:5000"),
        ("10.0.0.1, 10.0.0.2@232.1.1.1:5000", "10.0.0.1,10.0.0.2@232.1.1.1:5000"),
        ("[ff15::1]:5000%[FE80::1]", "[ff15::1]:5000%fe80::1"),
        ("[ff15::1%eth0]:5000%eth0", "[ff15::1]:5000%eth0"),
    ],
)
def test_prints_one_canonical_form(text: str, printed: str) -> None:
    assert str(Address.parse(text)) == printed


ADDRESSES = st.builds(
    lambda group, port, interface, senders: Address(
        group, port, interface, tuple(s for s in senders if s.version == group.version) if group.is_multicast else ()
    ),
    st.one_of(
        st.ip_addresses(v=4, network="224.0.0.0/4"), st.ip_addresses(v=6), st.ip_addresses(v=4, network="10.0.0.0/8")
    ),
    st.integers(1, 65535),
    st.one_of(st.none(), st.sampled_from(["eth0", "br-lan", "3", "10.0.0.1", "fe80::1"])),
    st.lists(
        st.one_of(st.ip_addresses(v=4, network="10.0.0.0/8"), st.ip_addresses(v=6, network="2001:db8::/32")),
        max_size=3,
        unique=True,
    ),
)


@given(ADDRESSES)
def test_what_is_printed_is_read_as_the_same(address: Address) -> None:
    assert Address.parse(str(address)) == address


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError:
        pass
    else:
        assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("239.1.1.1", "'239.1.1.1' has no port", "write for example 239.1.1.1:5000"),
        ("[ff15::1]", "'[ff15::1]' has no port", "write for example [ff15::1]:5000"),
        ("ff15::1:5000", "'ff15::1:5000' has an IPv6 address without brackets", "write for example [ff15::1]:5000"),
        ("[ff15::1:5000", "'[ff15::1:5000' has no closing bracket", "write for example [ff15::1]:5000"),
        ("239.1.1.1:0", "'239.1.1.1:0' has the port '0'", "a port is a number from 1 to 65535"),
        ("239.1.1.1:65536", "'239.1.1.1:65536' has the port '65536'", "a port is a number from 1 to 65535"),
        ("239.1.1.1:x", "'239.1.1.1:x' has the port 'x'", "a port is a number from 1 to 65535"),
        ("239.1.1.1:٣", "'239.1.1.1:٣' has the port '٣'", "a port is a number from 1 to 65535"),
        ("239.1.1.300:5000", "'239.1.1.300' is no IP address", "names are not looked up"),
        ("./file", "'./file' is no IP address", "names are not looked up"),
        ("localhost:5000", "'localhost' is no IP address", "names are not looked up"),
        (":5000", "':5000' has no address before the port", "write numbers"),
        ("udp://@239.1.1.1:5000", "'udp://@239.1.1.1:5000' is a URL, not an address", "write 239.1.1.1:5000"),
        ("239.1.1.1:5000%0", "interface index 0 is no interface", "indices start at 1"),
        ("239.1.1.1:5000%", "'' is no interface name", "a name such as eth0"),
        ("239.1.1.1:5000%a/b", "'a/b' is no interface name", "a name such as eth0"),
        ("239.1.1.1:5000%sixteencharacter", "'sixteencharacter' is no interface name", "a name such as eth0"),
        ("239.1.1.1:5000%line1@line0", "'line1@line0' is no interface name", "the name is line1"),
        ("[ff15::1%eth0]:5000%eth1", "'[ff15::1%eth0]:5000%eth1' names two interfaces, eth0 and eth1", "name one"),
        ("x@232.1.1.1:5000", "'x' in 'x@232.1.1.1:5000' is no IP address", "the senders' addresses"),
        ("@232.1.1.1:5000", "'' in '@232.1.1.1:5000' is no IP address", "the senders' addresses"),
        ("2001:db8::1@232.1.1.1:5000", "'2001:db8::1@232.1.1.1:5000' mixes IPv4 and IPv6", "an IPv4 address"),
        ("239.1.1.2@232.1.1.1:5000", "239.1.1.2 in '239.1.1.2@232.1.1.1:5000' is no sender's", "a unicast address"),
        ("10.0.0.1,10.0.0.1@232.1.1.1:5000", "10.0.0.1 is listed twice", "once"),
        ("10.0.0.1@10.0.0.2:5000", "10.0.0.2 is no multicast group", "leave S@ out"),
        ("240.1.1.1:5000", "'240.1.1.1:5000' is in 240.0.0.0/4, which is reserved", "multicast is 224.0.0.0"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(text: str, message: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_is_a_type_for_options() -> None:
    class Lines(Options):
        lines: list[AddressField]

    lines = Lines.model_validate({"lines": ["239.1.1.1:5000", Address.parse("[ff15::1]:5000")]})
    assert lines.model_dump() == {"lines": ["239.1.1.1:5000", "[ff15::1]:5000"]}
    with pytest.raises(ValueError, match="'x' is no IP address"):
        Lines.model_validate({"lines": ["x"]})
    with pytest.raises(ValueError, match="5 is no address"):
        Lines.model_validate({"lines": [5]})


@pytest.mark.parametrize(
    ("text", "kind", "specific", "link_scoped"),
    [
        ("232.0.0.1:1", "multicast", True, False),
        ("233.0.0.1:1", "multicast", False, False),
        ("[ff3e::1]:1", "multicast", True, False),
        ("[ff3e:40:2001:db8::1]:1", "multicast", False, False),  # prefix-based: plen is not 0
        ("[ff12::1]:1", "multicast", False, True),
        ("[ff15::1]:1", "multicast", False, False),
        ("[fe80::1]:1", "unicast", False, True),
        ("255.255.255.255:1", "broadcast", False, False),
        ("[::]:1", "wildcard", False, False),
    ],
)
def test_knows_what_kind_it_is(text: str, kind: str, specific: bool, link_scoped: bool) -> None:
    address = Address.parse(text)
    assert (address.kind, address.is_source_specific, address.is_link_scoped) == (kind, specific, link_scoped)


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("239.1.1.1:5000", "239.1.1.1:5000", True),
        ("239.1.1.1:5000", "239.1.1.1:5001", False),
        ("239.1.1.1:5000", "239.1.1.2:5000", False),
        ("239.1.1.1:5000%eth0", "239.1.1.1:5000%eth1", False),
        ("239.1.1.1:5000%eth0", "239.1.1.1:5000%2", True),  # the index may be eth0's
        ("239.1.1.1:5000%eth0", "239.1.1.1:5000", True),  # the kernel may choose eth0
        ("10.0.0.1@232.1.1.1:5000", "10.0.0.2@232.1.1.1:5000", False),
        ("10.0.0.1,10.0.0.2@232.1.1.1:5000", "10.0.0.2@232.1.1.1:5000", True),
        ("10.0.0.1@239.1.1.1:5000", "239.1.1.1:5000", True),
        ("0.0.0.0:5000", "10.0.0.1:5000", True),
        ("0.0.0.0:5000", "239.1.1.1:5000", False),
    ],
)
def test_overlaps(first: str, second: str, overlap: bool) -> None:
    found = overlaps([("source.a", Address.parse(first)), ("source.b", Address.parse(second))])
    assert bool(found) == overlap
    assert all("source.a and source.b receive the same datagrams" in str(o) for o in found)


def flow(name: str, reads: str, writes: str) -> Flow:
    def place(text: str) -> Address | str:
        try:
            return Address.parse(text)
        except AddressError:
            return text

    return Flow(name, [place(reads)], [place(writes)])


def test_a_route_that_feeds_itself_is_a_cycle() -> None:
    assert cycles([flow("a", "239.1.1.1:5000%eth0", "239.1.1.1:5000")]) == [["a"]]


def test_a_ring_of_routes_is_one_cycle_also_through_a_store() -> None:
    routes = [
        flow("in", "239.1.1.1:5000", "journal:x"),
        flow("out", "journal:x", "239.1.1.1:5000"),
        flow("other", "239.1.1.1:5000", "journal:y"),
    ]
    assert cycles(routes) == [["in", "out"]]


def test_from_one_interface_to_another_is_no_cycle() -> None:
    assert cycles([flow("a", "239.1.1.1:5000%eth0", "239.1.1.1:5000%eth1")]) == []
    assert cycles([flow("a", "10.0.0.1@239.1.1.1:5000", "10.0.0.2@239.1.1.1:5000")]) == []
