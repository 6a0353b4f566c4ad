"""The settings of both directions, and what is said of wrong ones."""

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.api import Address
from connectors.multicast.options import SinkOptions, SourceOptions


def problems(options: type[SourceOptions] | type[SinkOptions], table: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        options.model_validate(table)
    return {".".join(map(str, e["loc"])): e["msg"] for e in caught.value.errors()}


def test_defaults() -> None:
    source = SourceOptions(lines=["239.1.1.1:5000"])
    assert (source.receive_buffer, source.sources, source.interface) == (8 * 2**20, [], None)
    sink = SinkOptions(lines=["239.1.1.1:5000"])
    assert (sink.ttl, sink.loop, sink.dscp, sink.mtu, sink.send_buffer) == (None, True, None, None, None)


def test_lines_of_channels_and_of_the_table_itself() -> None:
    one = SourceOptions(lines=["239.1.1.1:5000", "239.1.1.2:5000"], interface="eth0")
    assert [list(map(str, lines)) for lines in one.channels("floor").values()] == [
        ["239.1.1.1:5000%eth0", "239.1.1.2:5000%eth0"]
    ]
    assert list(one.channels("floor")) == ["floor"]
    several = SourceOptions.model_validate(
        {"channel": {"a": {"lines": ["239.1.1.1:1"]}, "b": {"lines": ["239.1.1.1:2"]}}}
    )
    assert list(several.channels("floor")) == ["a", "b"]


def test_made_from_addresses() -> None:
    address = Address.parse("239.1.1.1:5000%eth0")
    assert SourceOptions(lines=[address]).channels("x") == {"x": [address]}


@pytest.mark.parametrize(
    ("table", "place", "text"),
    [
        ({}, "lines", "give either `lines` or `channel`"),
        ({"lines": ["239.1.1.1:1"], "channel": {"a": {"lines": ["239.1.1.1:1"]}}}, "lines", "give either"),
        ({"channel": {"a": {"lines": []}}}, "channel.a.lines", "at least 1 item"),
        ({"lines": ["224.0.0.251:5353"]}, "lines.0", "assigned to mDNS; choose another"),
        ({"lines": ["239.255.255.250:1900"]}, "lines.0", "assigned to SSDP"),
        ({"lines": ["232.1.1.1:5000"]}, "lines.0", "write SENDER@232.1.1.1:5000"),
        ({"lines": ["[ff3e::8000:1]:5000"]}, "lines.0", "source-specific and names no sender"),
        ({"lines": ["[ff12::1]:5000"]}, "lines.0", "needs an interface"),
        (
            {"channel": {"a": {"lines": ["239.1.1.1:1", "239.1.1.1:1"]}}},
            "channel.a.lines.1",
            "same line as channel.a.lines.0",
        ),
        ({"lines": ["239.1.1.1:1%eth0", "239.1.1.1:1"], "interface": "eth0"}, "lines.1", "the same line"),
        ({"lines": ["10.0.0.1:1"], "sources": ["10.0.0.2"]}, "lines.0", "filters multicast lines only"),
        ({"lines": ["239.1.1.1:1"], "sources": ["2001:db8::1"]}, "lines.0", "lists no IPv4 sender"),
        ({"lines": ["239.1.1.1:1"], "receive_buffer": 5}, "receive_buffer", "no unit"),
        ({"lines": ["239.1.1.1:1"], "receive_buffer": "2GiB"}, "receive_buffer", "less than or equal"),
        ({"lines": ["239.1.1.1:1"], "interface": "a/b"}, "interface", "is no interface name"),
        ({"lines": ["239.1.1.1:1"], "service_address": "x"}, "service_address", "not permitted"),
    ],
)
def test_what_is_wrong_with_a_source(table: dict[str, Any], place: str, text: str) -> None:
    assert text in problems(SourceOptions, table)[place]


def test_all_mistakes_at_once_each_at_its_place() -> None:
    found = problems(SourceOptions, {"lines": ["224.0.0.251:5353", "232.1.1.1:5000", "239.1.1.1:1", "239.1.1.1:1"]})
    assert list(found) == ["lines.0", "lines.1", "lines.3"]


@pytest.mark.parametrize(
    "table",
    [
        {"lines": ["224.0.0.251:5353"], "allow_assigned": True},
        {"lines": ["232.1.1.1:5000"], "allow_any_source": True},
        {"lines": ["232.1.1.1:5000"], "sources": ["10.0.0.1"]},
        {"lines": ["224.0.0.123:7777"]},
        {"lines": ["224.4.64.1:5000"]},  # an exchange's own: whoever subscribes means to
        {"lines": ["10.0.0.1@232.1.1.1:5000", "10.0.0.2@232.1.1.1:5000"]},
        {"lines": ["239.1.1.1:5000%eth0", "239.1.1.1:5000%eth1"]},
        {"lines": ["[ff12::1]:5000"], "interface": "eth0"},
        {
            "channel": {"a": {"lines": ["239.1.1.1:1"]}, "b": {"lines": ["239.1.1.1:1"]}}
        },  # the wire tells channels apart
        {"lines": ["127.0.0.1:5000", "255.255.255.255:5000", "0.0.0.0:5001"]},
    ],
)
def test_what_is_right_for_a_source(table: dict[str, Any]) -> None:
    assert SourceOptions.model_validate(table).channels("x")


def test_the_senders_of_a_line_win_over_those_of_the_table() -> None:
    options = SourceOptions.model_validate(
        {"lines": ["10.0.0.9@239.1.1.1:1", "239.1.1.2:1", "[ff15::1]:1"], "sources": ["10.0.0.1", "2001:db8::1"]}
    )
    assert [list(map(str, line.sources)) for line in options.channels("x")["x"]] == [
        ["10.0.0.9"],
        ["10.0.0.1"],
        ["2001:db8::1"],
    ]


@pytest.mark.parametrize(
    ("table", "place", "text"),
    [
        ({"lines": ["0.0.0.0:5000"]}, "lines.0", "nothing can be sent to 0.0.0.0"),
        ({"lines": ["10.0.0.1,10.0.0.2@239.1.1.1:1"]}, "lines.0", "sends from one address"),
        ({"lines": ["239.1.1.1:1"], "source_address": "2001:db8::1"}, "lines.0", "is IPv6, this line IPv4"),
        ({"lines": ["239.1.1.1:1"], "ttl": 256}, "ttl", "less than or equal to 255"),
        ({"lines": ["239.1.1.1:1"], "dscp": "EFF"}, "dscp", "'EFF' is no DSCP"),
        ({"lines": ["239.1.1.1:1"], "dscp": 64}, "dscp", "64 is no DSCP"),
        ({"lines": ["239.1.1.1:1"], "mtu": 100}, "mtu", "greater than or equal to 576"),
        ({"lines": ["224.0.0.5:1"]}, "lines.0", "assigned to OSPF"),
    ],
)
def test_what_is_wrong_with_a_sink(table: dict[str, Any], place: str, text: str) -> None:
    assert text in problems(SinkOptions, table)[place]


def test_dscp_names_are_those_of_the_rfcs() -> None:
    def dscp(value: Any) -> int | None:
        return SinkOptions.model_validate({"lines": ["239.1.1.1:1"], "dscp": value}).dscp

    assert [dscp(v) for v in ("EF", "ef", "AF11", "AF43", "CS5", "LE", 46)] == [46, 46, 10, 38, 40, 1, 46]
