"""Mistakes that the declarations find are said in words that a user can act on."""

import pytest

from bridge.config.load import loads
from bridge.config.problems import ConfigurationErrors, Problem

GOOD = """
[source.feed]
type = "multicast"
protocol = "native"
channel = { one = { lines = ["239.1.1.1:5000%lo"] } }
[sink.store]
type = "journal"
path = "/j/store"
[route.in]
from = "feed"
to = ["store"]
memory = "64KiB"
"""


def only(old: str, new: str) -> Problem:
    loads(GOOD, "c.toml", {"HOSTNAME": "h"})
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigurationErrors) as caught:
        loads(GOOD.replace(old, new), "c.toml", {"HOSTNAME": "h"})
    [problem] = caught.value.problems
    return problem


def test_a_channel_table_suggests_the_keys_of_the_engine_too() -> None:
    assert only("one = { ", "one = { silentafter = 1, ").suggestion == "silent_after"
    hint = only("one = { ", "one = { zzz = 1, ").hint
    assert "lines" in hint
    assert "max_delay" in hint


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('lines = ["239.1.1.1:5000%lo"]', "lines = []", "must not be empty"),
        ('protocol = "native"', 'protocol = "native"\nsources = ["x"]', "'x' is not a valid IPv4 address"),
        ('"64KiB"', '"1B"', "'1B' must be greater than or equal to 65536"),
    ],
)
def test_values(old: str, new: str, text: str) -> None:
    assert only(old, new).text == text
