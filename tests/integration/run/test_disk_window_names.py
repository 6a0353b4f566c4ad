"""The log of a disk window and the spools of the sinks do not meet, whatever the sinks are called."""

import json
import signal
from pathlib import Path

import pytest

from tests.integration.run.running import bridge_table, eventually, read_journal, sinks, status, written
from tests.support.addresses import FreeAddresses
from tests.support.process import Processes

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(60)]

COUNT = 3000


@pytest.mark.parametrize("sink", ["archive", "arrivals"])
def test_a_kill_beside_a_spool(sink: str, tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    """The sink cannot open before the kill, so that its messages are in its spool as well as in the window's log."""
    feed, admin = f"{addresses.address()}%lo", f"127.0.0.1:{addresses.port()}"
    blocked = tmp_path / "blocked"
    blocked.write_text("no directory")
    config = written(
        tmp_path / "names.toml",
        bridge_table(tmp_path, admin),
        f'[source.feed]\ntype = "multicast"\nprotocol = "native"\nlines = ["{feed}"]',
        f'[sink.{sink}]\ntype = "journal"\npath = "{blocked / "journal"}"',
        f'[route.main]\nfrom = "feed"\nto = ["{sink}"]\nwindow = "disk"\nmemory = "1MiB"',
    )
    bridge = processes.bridge("run", config)
    bridge.wait_for("line A of feed")
    words = ["--protocol", "native", "--channel", "feed", "--count", str(COUNT), "--size", "1000B", "--rate", "3000/s"]
    sender = processes.run_bridge("send", feed, *words)
    assert sender.status == 0, sender.stderr()
    eventually(lambda: sum(sinks(status(admin))[sink]["pending_messages"].values()) >= COUNT)
    assert bridge.stop(signal.SIGKILL) == -signal.SIGKILL

    blocked.unlink()
    bridge = processes.bridge("run", config, "--until-idle", "2", "--summary", tmp_path / "summary.json")
    assert bridge.wait() == 0, bridge.outputs()
    assert "spool_orphaned" not in json.loads((tmp_path / "summary.json").read_text())["events"]
    rows = read_journal(processes, config, sink, "feed")
    assert [row["sequence"] for row in rows] == list(range(1, COUNT + 1))
