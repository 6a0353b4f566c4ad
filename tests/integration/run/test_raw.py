"""Raw datagrams both ways, with programs that know nothing of us and no interface named anywhere."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.multicast.test_interop import PYTHON_RECEIVER, PYTHON_SENDER, RUST
from tests.integration.run.running import bridge_table, eventually, read_journal, stopped, summary, written
from tests.support.addresses import FreeAddresses
from tests.support.process import BridgeProcess, Processes
from tests.support.tools import find, leave_out

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(60)]

GROUP, OTHER = "224.0.0.123", "224.0.0.124"
WORDS = ["one", "two", "a third, longer than the others"]


@pytest.fixture(scope="session")
def rust_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rust")
    (directory / "plain.rs").write_text(RUST)
    subprocess.run([find("rustc"), "-O", "plain.rs"], cwd=directory, capture_output=True, check=True)
    return directory / "plain"


class Stranger:
    """A program of its own kind that sends words to a group and prints what it receives from one."""

    def __init__(self, kind: str, processes: Processes, request: pytest.FixtureRequest) -> None:
        self.kind, self._processes = kind, processes
        self._rust: str | None = str(request.getfixturevalue("rust_program")) if kind == "rust" else None

    def send(self, group: str, port: int) -> None:
        if self.kind == "socat":
            socat = self._processes.start(find("socat"), "STDIO", f"UDP4-DATAGRAM:{group}:{port}", pipe=True)
            for word in WORDS:
                socat.stdin.write(word.encode())
                socat.stdin.flush()
                time.sleep(0.2)  # a write is a datagram, unless socat reads two at once
            socat.stdin.close()
            assert socat.wait(10) == 0
            return
        command = [self._rust, "send"] if self._rust else [sys.executable, "-c", PYTHON_SENDER]
        assert self._processes.start(*command, group, str(port), *WORDS).wait(10) == 0

    def receive(self, group: str, port: int) -> BridgeProcess:
        if self.kind == "socat":
            options = f"{port},ip-add-membership={group}:0.0.0.0,fork"
            started = self._processes.start(find("socat"), "-d", "-d", "-v", "-u", f"UDP4-RECVFROM:{options}", "STDOUT")
            started.wait_for("receiving on")
            return started
        command = [self._rust, "receive"] if self._rust else [sys.executable, "-c", PYTHON_RECEIVER]
        started = self._processes.start(*command, group, str(port), str(len(WORDS)))
        started.wait_for("ready")
        return started


@pytest.mark.parametrize("kind", ["socat", "python", "rust"])
def test_through_the_journal_to_another_group(
    kind: str, tmp_path: Path, processes: Processes, addresses: FreeAddresses, request: pytest.FixtureRequest
) -> None:
    came, goes = addresses.port(), addresses.port()
    journal = tmp_path / "journal"
    config = written(
        tmp_path / "config.toml",
        bridge_table(tmp_path),
        f'[source.feed]\ntype = "multicast"\nprotocol = "raw"\nlines = ["{GROUP}:{came}"]',
        f'[sink.archive]\ntype = "journal"\npath = "{journal}"',
        '[route.in]\nfrom = "feed"\nto = ["archive"]',
        f'[source.back]\ntype = "journal"\npath = "{journal}"\nstart = "earliest"',
        f'[sink.lan]\ntype = "multicast"\nprotocol = "raw"\nlines = ["{OTHER}:{goes}"]',
        '[route.out]\nfrom = "back"\nto = ["lan"]',
    )
    stranger = Stranger(kind, processes, request)
    receiver = stranger.receive(OTHER, goes)
    bridge = processes.bridge("run", config, "--summary", tmp_path / "summary.json")
    bridge.wait_for("line A of feed")
    assert "joined on lo" in bridge.stderr(), "the start says which interface the kernel chose"
    stranger.send(GROUP, came)
    for word in WORDS:
        receiver.wait_for(word)
    stopped(bridge)
    assert [row["payload"] for row in read_journal(processes, config, "archive", "feed")] == WORDS
    heard = receiver.stdout().removeprefix("ready\n").replace("\n", "")
    assert heard == "".join(WORDS), "each once, in order"
    summary(tmp_path / "summary.json")


def test_listen_shows_what_tcpdump_shows(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    if Path("/proc/self/setgroups").read_text().strip() == "deny":
        leave_out("tcpdump gives up its privileges, which a user namespace does not let it")
    port = addresses.port()
    options = ["-n", "-l", "-X", "--immediate-mode", "-c", str(len(WORDS)), "-i", "lo"]
    tcpdump = processes.start(find("tcpdump"), *options, "udp", "port", str(port))
    tcpdump.wait_for("listening on")
    listener = processes.bridge("listen", f"{GROUP}:{port}", "--format", "hex", "--count", str(len(WORDS)))
    listener.wait_for("listening on")
    processes.start(sys.executable, "-c", PYTHON_SENDER, GROUP, str(port), *WORDS).wait(10)
    assert listener.wait(10) == 0, listener.outputs()
    eventually(lambda: tcpdump.status is not None, 10)
    seen = [dump[28:] for dump in dumps(tcpdump.stdout())]  # without the headers of IP (20 bytes) and UDP (8)
    assert seen == dumps(listener.stdout()) == [word.encode() for word in WORDS]


def dumps(text: str) -> list[bytes]:
    """The bytes of each dump in the manner of `tcpdump -X`."""
    found: list[bytes] = []
    for offset, digits in re.findall(r"^\t0x([0-9a-f]{4}):  ((?:[0-9a-f]{2,4} ?)+)  ", text, re.MULTILINE):
        if offset == "0000":
            found.append(b"")
        found[-1] += bytes.fromhex(digits.replace(" ", ""))
    return found
