"""`kill -9` of the bridge at random moments: nothing twice, nothing out of order, everything accounted for."""

import json
import signal
import time
from pathlib import Path
from random import Random

import pytest

from tests.integration.run.feed import Publisher
from tests.support.addresses import FreeAddresses
from tests.support.process import Processes

KILLS = 20
CONFIG = """
[bridge]
name = "killed"
state = "{state}"
admin = ""
[source.feed]
type = "multicast"
protocol = "native"
lines = ["{a}:{port}%lo", "{b}:{port}%lo"]
[sink.archive]
type = "journal"
path = "{journal}"
[route.archive]
from = "feed"
to = ["archive"]
window = "{window}"
"""


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("window", ["memory", "disk"])
def test_killed_at_random_moments(window: str, tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    random = Random(window)
    a, b, port = addresses.group(), addresses.group(), addresses.port()
    config = tmp_path / "config.toml"
    journal, state = tmp_path / "journal", tmp_path / "state"
    config.write_text(CONFIG.format(state=state, journal=journal, a=a, b=b, port=port, window=window))
    publisher = Publisher([(a, port), (b, port)], "feed")
    bridge = processes.bridge("run", str(config))
    bridge.wait_for("line B of feed")
    publisher.start()
    kills: list[tuple[float, float]] = []  # killed, joined again
    for _ in range(KILLS):
        time.sleep(random.uniform(0.05, 0.5))
        at = time.monotonic()
        assert bridge.stop(signal.SIGKILL) == -signal.SIGKILL
        bridge = processes.bridge("run", str(config))
        bridge.wait_for("line B of feed")
        kills.append((at, time.monotonic()))
    time.sleep(0.3)
    publisher.stop()
    time.sleep(0.5)
    assert bridge.stop() == 0, bridge.outputs()

    stored = _stored(processes, config)
    numbers = [number for number, _ in stored]
    assert numbers == sorted(set(numbers)), "twice, or out of order"
    assert all(payload == publisher.payload(number).decode() for number, payload in stored)
    lost = _reported(state)
    assert not lost & set(numbers), "a range was reported lost and is in the journal"
    everything = set(range(min(numbers), publisher.last + 1))
    assert everything == lost | set(numbers), sorted(everything - lost - set(numbers))[:20]
    missing = sorted(everything - set(numbers))
    if window == "disk":
        spans = [(killed - 0.1 - publisher.lateness(killed), joined) for killed, joined in kills]
        excused = {n for n in missing for killed, joined in spans if killed <= publisher.sent[n] <= joined}
        assert set(missing) <= excused, sorted(set(missing) - excused)[:20]
    else:
        assert len(_ranges(missing)) <= KILLS, "more than one range a kill"


def _stored(processes: Processes, config: Path) -> list[tuple[int, str]]:
    reader = processes.bridge("read", str(config), "archive", "feed")
    assert reader.wait() == 0, reader.stderr()
    rows = [json.loads(line) for line in reader.stdout().splitlines()]
    return [(row["sequence"], row["payload"]) for row in rows]


def _reported(state: Path) -> set[int]:
    lost: set[int] = set()
    for line in (state / "losses.jsonl").read_text().splitlines():
        row = json.loads(line)
        numbers = set(range(row["first"], row["last"] + 1))
        assert not numbers & lost, f"reported twice: {row}"
        lost |= numbers
    return lost


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return ranges
