"""What happens to messages while a sink cannot take them: memory, then disk, then the declared policy; never the socket."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.run.running import (
    bridge_table,
    eventually,
    lines,
    read_journal,
    sinks,
    status,
    stopped,
    summary,
    total,
    written,
)
from tests.support.addresses import FreeAddresses
from tests.support.process import BridgeProcess, Processes
from tests.support.tools import leave_out

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(90)]

COUNT = 16_000
SIZE = 1000


class SmallDisk:
    """A file system of 48 MiB, filled and freed as a test wants."""

    SIZE = 48 * 2**20

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._filler = directory / "filler"

    def fill(self, leave: int) -> None:
        """Write until only so many bytes are left."""
        free = os.statvfs(self.directory)
        with self._filler.open("ab") as filler:
            filler.write(bytes(max(0, free.f_bavail * free.f_frsize - leave)))

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    directory = tmp_path / "disk"
    directory.mkdir()
    options = f"size={SmallDisk.SIZE}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        leave_out(f"a file system of its own cannot be mounted: {done.stderr.strip()}")
    yield SmallDisk(directory)
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


class Setting:
    """A native feed on two lines into a journal on the small disk."""

    def __init__(
        self, directory: Path, disk: SmallDisk, processes: Processes, addresses: FreeAddresses, spool: str
    ) -> None:
        port = addresses.port()
        self.feed = [f"{addresses.group()}:{port}%lo", f"{addresses.group()}:{port}%lo"]
        self.admin = f"127.0.0.1:{addresses.port()}"
        self.directory, self.processes = directory, processes
        self.summary = directory / "summary.json"
        quoted = ", ".join(f'"{address}"' for address in self.feed)
        self.config = written(
            directory / "config.toml",
            bridge_table(directory, self.admin, more='drain = "1s"'),
            f'[source.feed]\ntype = "multicast"\nprotocol = "native"\nlines = [{quoted}]',
            f'[sink.archive]\ntype = "journal"\npath = "{disk.directory / "journal"}"',
            f'[route.archive]\nfrom = "feed"\nto = ["archive"]\nmemory = "1MiB"\nspool = "{spool}"',
        )

    def start(self) -> BridgeProcess:
        bridge = self.processes.bridge("run", self.config, "--summary", self.summary)
        bridge.wait_for("line B of feed")
        return bridge

    def send(self) -> None:
        words = ["--protocol", "native", "--channel", "feed", "--count", str(COUNT), "--rate", "6000/s"]
        sender = self.processes.run_bridge("send", *self.feed, *words, "--size", f"{SIZE}B")
        assert sender.status == 0, sender.stderr()

    def archive(self) -> dict[str, Any]:
        return sinks(status(self.admin))["archive"]

    def published(self) -> int:
        return total(self.archive(), "published")

    def stored(self) -> list[int]:
        return [row["sequence"] for row in read_journal(self.processes, self.config, "archive", "feed")]


def kernel_dropped(found: dict[str, Any]) -> int:
    return sum(line["kernel_dropped"] for line in lines(found))


def test_a_full_disk_costs_memory_then_spool(
    tmp_path: Path, disk: SmallDisk, processes: Processes, addresses: FreeAddresses
) -> None:
    setting = Setting(tmp_path, disk, processes, addresses, "64MiB")
    bridge = setting.start()
    eventually(lambda: setting.archive()["up"])
    disk.fill(leave=4 * 2**20)
    setting.send()
    row = setting.archive()
    assert 0 < total(row, "published") < COUNT
    assert row["pending_messages"]["disk"] > 0, row
    assert row["pending_bytes"]["memory"] <= 2 * 2**20, row
    assert not row["up"]
    assert "full" in row["error"] or "space" in row["error"], row["error"]
    assert not status(setting.admin)["ready"]
    disk.free()
    eventually(lambda: setting.published() == COUNT, 30, bridge.outputs())
    row = setting.archive()
    assert row["pending_messages"] == {"memory": 0, "disk": 0, "in_flight": 0}
    assert row["up"]
    stopped(bridge)
    assert setting.stored() == list(range(1, COUNT + 1))
    ended = summary(setting.summary)
    assert kernel_dropped(ended) == 0
    assert not ended["losses"]
    assert bridge.stderr().count("sink_unavailable") <= 3, "said once, not at each try\n" + bridge.stderr()


def test_overload_drops_the_oldest_and_names_them(
    tmp_path: Path, disk: SmallDisk, processes: Processes, addresses: FreeAddresses
) -> None:
    setting = Setting(tmp_path, disk, processes, addresses, "2MiB")
    bridge = setting.start()
    eventually(lambda: setting.archive()["up"])
    disk.fill(leave=2 * 2**20)
    setting.send()
    disk.free()
    eventually(lambda: setting.stored()[-1:] == [COUNT], 30, "the newest never came")
    eventually(lambda: setting.archive()["pending_messages"] == {"memory": 0, "disk": 0, "in_flight": 0})
    stopped(bridge)
    stored = set(setting.stored())
    missing = set(range(1, COUNT + 1)) - stored
    assert missing, "a spool of 2 MiB held 16 MB"
    ended = summary(setting.summary)
    row = sinks(ended)["archive"]
    assert sum(stream["dropped"]["overload"] for stream in row["streams"]) == len(missing)
    named: list[int] = []
    for loss in ended["losses"]:
        assert (loss["reason"], loss["sink"]) == ("overload", "archive")
        named += range(loss["first"], loss["last"] + 1)
    assert sorted(named) == sorted(missing), "each once"
    written_down = [json.loads(line) for line in (tmp_path / "state-tested" / "losses.jsonl").read_text().splitlines()]
    assert {n for loss in written_down for n in range(loss["first"], loss["last"] + 1)} == missing
    assert kernel_dropped(ended) == 0


def test_parked_and_offered_again(
    tmp_path: Path, disk: SmallDisk, processes: Processes, addresses: FreeAddresses
) -> None:
    setting = Setting(tmp_path, disk, processes, addresses, "64MiB")
    bridge = setting.start()
    eventually(lambda: setting.archive()["up"])
    disk.fill(leave=2 * 2**20)
    setting.send()
    stopped(bridge)
    first = summary(setting.summary)
    taken, pending = (total(sinks(first)["archive"], name) for name in ("published", "pending"))
    assert taken + pending == COUNT
    assert pending > COUNT / 2
    assert not first["losses"], first["losses"][:3]
    disk.free()
    bridge = setting.start()
    eventually(lambda: setting.stored()[-1:] == [COUNT], 30, "what was parked never came")
    stopped(bridge)
    assert setting.stored() == list(range(1, COUNT + 1))
    again = summary(setting.summary)
    assert total(sinks(again)["archive"], "published") == pending
    assert not again["losses"]


def test_what_no_line_could_send_is_parked(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    """A multicast sink whose interface is absent; at the next start it is there."""
    feed, lan = f"{addresses.address()}%lo", addresses.address()
    parts = [
        bridge_table(tmp_path, more='drain = "1s"'),
        f'[source.feed]\ntype = "multicast"\nprotocol = "native"\nlines = ["{feed}"]',
        f'[sink.lan]\ntype = "multicast"\nprotocol = "native"\nlines = ["{lan}%absent0"]',
        '[route.lan]\nfrom = "feed"\nto = ["lan"]',
    ]
    config = written(tmp_path / "config.toml", *parts)
    bridge = processes.bridge("run", config, "--summary", tmp_path / "summary.json")
    bridge.wait_for("line A of feed")
    words = ["--protocol", "native", "--channel", "feed", "--count", "2000", "--rate", "6000/s", "--size", "100B"]
    assert processes.run_bridge("send", feed, *words).status == 0
    stopped(bridge)
    assert total(sinks(summary(tmp_path / "summary.json"))["lan"], "pending") == 2000
    config.write_text(config.read_text().replace("%absent0", "%lo"))
    listener = processes.bridge("listen", f"{lan}%lo", "--protocol", "native", "--format", "jsonl", "--count", "2000")
    listener.wait_for("listening on")
    bridge = processes.bridge("run", config)
    assert listener.wait(20) == 0, listener.outputs()
    stopped(bridge)
    assert [json.loads(line)["sequence"] for line in listener.stdout().splitlines()] == list(range(1, 2001))
