"""Two interfaces to another host, one line of the feed through each, that come late, go down and come back."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.multicast.conftest import ip, joined_ipv4, joined_ipv6
from tests.integration.run.running import (
    bridge_table,
    eventually,
    get,
    lines,
    read_journal,
    status,
    stopped,
    summary,
    written,
)
from tests.support.addresses import FreeAddresses
from tests.support.process import BridgeProcess, Processes

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(90)]

COUNT = 20_000
_numbers = itertools.count()


class Host:
    """A network namespace that stands for another host, and veth pairs to it."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._holder = processes.start("unshare", "--net", "sh", "-c", "echo here; exec sleep 600")
        self._holder.wait_for("here")
        self.run("sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0")
        self.run("ip link set lo up")

    def run(self, command: str) -> None:
        done = subprocess.run(self._inside(*command.split()), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    def start(self, *command: str) -> BridgeProcess:
        return self._processes.start(*self._inside(*command))

    def _inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", *command]

    def cable(self, here: str, there: str, number: int) -> None:
        """A pair `here` (10.79.N.1, fd79:N::1) and, on the other host, `there`."""
        ip(f"link add {here} type veth peer name {there} netns {self._holder.pid}")
        for address in (f"10.79.{number}.1/24", f"fd79:{number}::1/64"):
            ip(f"addr add {address} dev {here}")
        for address in (f"10.79.{number}.2/24", f"fd79:{number}::2/64"):
            self.run(f"ip addr add {address} dev {there}")
        self.run(f"ip link set {there} up")
        ip(f"link set {here} up")


@pytest.fixture
def host(processes: Processes) -> Iterator[Host]:
    made = Host(processes)
    yield made
    made._holder.kill()  # and with it the namespace and the pairs into it


def line(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in lines(found) if row["line"] == name)


@pytest.mark.parametrize("version", [4, 6])
def test_late_down_and_up_again(
    version: int, tmp_path: Path, processes: Processes, addresses: FreeAddresses, host: Host
) -> None:
    first, second = next(_numbers), next(_numbers)
    here = {"A": f"here{first}", "B": f"here{second}"}
    there = {"A": f"there{first}", "B": f"there{second}"}
    groups = {name: addresses.group() if version == 4 else addresses.group6() for name in here}
    port, admin = addresses.port(), f"127.0.0.1:{addresses.port()}"

    def where(name: str, interface: str) -> str:
        group = groups[name]
        return f"[{group}]:{port}%{interface}" if version == 6 else f"{group}:{port}%{interface}"

    def on(name: str) -> set[str]:
        return joined_ipv4(groups[name]) if version == 4 else joined_ipv6(groups[name])

    quoted = ", ".join(f'"{where(name, here[name])}"' for name in here)
    config = written(
        tmp_path / "config.toml",
        bridge_table(tmp_path, admin),
        f'[source.feed]\ntype = "multicast"\nprotocol = "native"\nlines = [{quoted}]',
        f'[sink.archive]\ntype = "journal"\npath = "{tmp_path / "journal"}"',
        '[route.archive]\nfrom = "feed"\nto = ["archive"]',
    )
    host.cable(here["A"], there["A"], first)
    bridge = processes.bridge("run", config, "--summary", tmp_path / "summary.json")
    bridge.wait_for("line A of feed")
    eventually(lambda: line(status(admin), "A")["joined"])
    absent = line(status(admin), "B")
    assert not absent["joined"]
    assert here["B"] in absent["reason"]
    assert here["B"] in get(admin, "/readyz")[1]
    assert (on("A"), on("B")) == ({here["A"]}, set())

    host.cable(here["B"], there["B"], second)
    eventually(lambda: line(status(admin), "B")["joined"])
    assert (on("A"), on("B")) == ({here["A"]}, {here["B"]})
    assert [line(status(admin), name)["interface"] for name in here] == list(here.values())

    report = tmp_path / "report.json"
    words = ["--protocol", "native", "--channel", "feed", "--count", str(COUNT), "--rate", "2500/s", "--size", "100B"]
    targets = [where(name, there[name]) for name in there]
    sender = host.start(sys.executable, "-m", "bridge", "send", *targets, *words, "--report", str(report))
    eventually(lambda: line(status(admin), "B")["accepted"] + line(status(admin), "A")["accepted"] > 2500)
    ip(f"link set {here['A']} down")
    eventually(lambda: not line(status(admin), "A")["joined"])
    down = line(status(admin), "A")
    assert "down" in down["reason"]
    shown = processes.run_bridge("status", admin)
    assert f"line A: not joined: interface {here['A']} is down" in shown.stdout(), shown.outputs()
    ip(f"link set {here['A']} up")
    if version == 6:
        ip(f"addr replace fd79:{first}::1/64 dev {here['A']} nodad")  # the kernel takes it away with the link
    eventually(lambda: line(status(admin), "A")["joined"])
    assert on("A") == {here["A"]}
    before = line(status(admin), "A")["datagrams"]
    eventually(lambda: line(status(admin), "A")["datagrams"] > before, 10, "nothing more on line A")
    assert sender.wait(30) in (0, 1), sender.outputs()  # 1: its own end of line A had no carrier for a while
    time.sleep(0.3)
    stopped(bridge)

    assert [row["sequence"] for row in read_journal(processes, config, "archive", "feed")] == list(range(1, COUNT + 1))
    ended = summary(tmp_path / "summary.json")
    assert not ended["losses"]
    assert line(ended, "A")["lost"] > 1000, "what only line B brought while A was down"
    assert line(ended, "B")["lost"] == 0
    assert line(ended, "B")["sole"] == line(ended, "A")["lost"]
    assert json.loads(report.read_text())["messages"] == COUNT
