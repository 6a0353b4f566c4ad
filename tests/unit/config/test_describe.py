"""Start-up lines and guarantees: complete, in the user's words, and without secrets."""

from bridge.config.describe import describe, guarantees
from bridge.config.load import loads
from bridge.config.model import BridgeSettings, DatagramSourceSettings, RouteSettings
from bridge.config.resolved import Config
from bridge.config.validate import keys_of

TEXT = """
[bridge]
name = "plant7"
[source.feed]
type = "multicast"
protocol = "{protocol}"
lines = ["239.1.1.1:5000%lo"]
[sink.store]
type = "journal"
path = "${{DIR_SECRET}}/x"
[sink.lan]
type = "multicast"
protocol = "native"
lines = ["239.2.2.2:6000"]
[route.in]
from = "feed"
to = ["store", "lan"]
window = "{window}"
"""


def config(protocol: str = "native", window: str = "memory") -> Config:
    return loads(TEXT.format(protocol=protocol, window=window), environment={"DIR_SECRET": "/hidden", "HOME": "/h"})


def test_every_key_of_every_table_stands_in_the_start_up_lines() -> None:
    lines = describe(config())
    for head, model in (
        ("bridge:", BridgeSettings),
        ("source feed:", DatagramSourceSettings),
        ("route in:", RouteSettings),
    ):
        [line] = [line for line in lines if line.startswith(head)]
        for key in keys_of(model):
            assert f" {key}=" in line, key
    assert (
        "route in: from=feed to=[store, lan] window=memory memory=64MiB spool=1GiB keep=5s overload=drop-oldest"
        in lines
    )
    assert any(line.startswith("source feed channel feed: id=") for line in lines)


def test_a_confidential_value_is_stars_in_the_start_up_lines() -> None:
    text = "\n".join(describe(config()))
    assert "/hidden" not in text
    assert "path=***/x" in text


def test_what_each_sink_guarantees() -> None:
    found = {key: dict(promises) for key, promises in guarantees(config()).items()}
    assert list(found) == ["in → store", "in → lan"]
    assert "never stores a message twice" in found["in → store"]["once"]
    assert "bridge read" in found["in → store"]["read back"]
    assert "loses what waited in memory" in found["in → store"]["loss"]
    assert "sends again" in found["in → lan"]["once"]


def test_raw_promises_once_within_a_run_and_a_disk_window_survives_a_kill() -> None:
    found = dict(guarantees(config("raw", "disk"))["in → store"])
    assert "within one run" in found["once"]
    assert "goes on from its disk" in found["loss"]
