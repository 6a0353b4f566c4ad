"""A sink that several routes name: one journal takes the channels of two sources."""

from pathlib import Path

import pytest

from tests.integration.run.running import bridge_table, read_journal, stopped, written
from tests.support.addresses import FreeAddresses
from tests.support.process import Processes

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(60)]

SOURCE = '[source.{name}]\ntype = "multicast"\nprotocol = "{protocol}"\nlines = ["{address}%lo"]'
JOURNAL = '[sink.archive]\ntype = "journal"\npath = "{}"'
ROUTE = '[route.{name}]\nfrom = "{name}"\nto = ["archive"]'


def test_two_routes_into_one_journal(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    sources = {name: (protocol, addresses.address()) for name, protocol in (("a", "native"), ("b", "moldudp64"))}
    config = written(
        tmp_path / "shared.toml",
        bridge_table(tmp_path),
        *(SOURCE.format(name=n, protocol=p, address=a) for n, (p, a) in sources.items()),
        JOURNAL.format(tmp_path / "journal"),
        *(ROUTE.format(name=name) for name in sources),
    )
    for _ in range(2):
        bridge = processes.bridge("run", config)
        for name in sources:
            bridge.wait_for(f"sink archive, channel {name}: open")
        for name, (protocol, address) in sources.items():
            words = ["--protocol", protocol, "--count", "300", "--size", "100B", "--rate", "3000/s"]
            words += ["--channel", name] if protocol == "native" else []
            sender = processes.run_bridge("send", f"{address}%lo", *words)
            assert sender.status == 0, sender.stderr()
        stopped(bridge)
    for name in sources:
        rows = read_journal(processes, config, "archive", name)
        assert [row["sequence"] for row in rows] == [*range(1, 301)] * 2, "two sessions, each whole"
