"""What is measured: a blocking `recv` loop, or a bridge with a configuration. Both are started, ended and counted alike."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.benchmarks.feed import Feed

ADMIN = 9464
HERE = Path(__file__).parent


class Counts(NamedTuple):
    """What a subject had in its whole life. `dropped`: by the kernel, None where it cannot say."""

    messages: int
    dropped: int | None
    problems: str = ""


class Subject(Protocol):
    pid: int

    def wait_received(self, datagrams: int) -> None: ...
    def end(self) -> Counts: ...


class RecvLoop:
    """The reference, on the feed's first channel and line."""

    def __init__(self, feed: Feed, directory: Path) -> None:
        group, _, port = feed.address(0, 0).rpartition(":")
        command = [sys.executable, "-m", "tests.benchmarks.recv_loop", group, port, "lo"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self._each = feed.each
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def wait_received(self, datagrams: int) -> None:
        time.sleep(0.2)

    def end(self) -> Counts:
        self._process.send_signal(signal.SIGTERM)
        out, _ = self._process.communicate(timeout=10)
        return Counts(int(out) * self._each, None)


class Bridge:
    """`bridge run` on a configuration of its own. `command` is what comes before the file: a build to compare."""

    def __init__(self, feed: Feed, directory: Path, sink: str, command: list[str] | None = None) -> None:
        self._summary = directory / "summary.json"
        self._log = directory / "bridge.log"
        config = directory / "bench.toml"
        config.write_text(configuration(feed, directory, sink))
        words = [*(command or [sys.executable, "-m", "bridge", "run"]), str(config), "--summary", str(self._summary)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE / "discard"), str(Path.cwd())])}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
        self.pid = self._process.pid
        self._wait(lambda: get("/healthz") is not None, "answers")
        self._wait(self._joined, "has joined")

    def wait_received(self, datagrams: int) -> None:
        self._wait(lambda: self._datagrams() >= datagrams, f"received {datagrams} datagrams")

    def end(self) -> Counts:
        self._process.send_signal(signal.SIGTERM)
        returned = self._process.wait(30)
        if returned != 0 or not self._summary.exists():
            raise SystemExit(f"the bridge ended with {returned}:\n{self._log.read_text()[-3000:]}")
        status = json.loads(self._summary.read_text())
        lines = [line for source in status["sources"] for channel in source["channels"] for line in channel["lines"]]
        streams = [s for route in status["routes"] for sink in route["sinks"] for s in sink["streams"]]
        problems = "; ".join(status["problems"])
        return Counts(sum(s["published"] for s in streams), sum(line["kernel_dropped"] for line in lines), problems)

    def _joined(self) -> bool:
        status = json.loads(get("/status") or "{}")
        lines = [line for source in status["sources"] for channel in source["channels"] for line in channel["lines"]]
        return bool(lines) and all(line["joined"] for line in lines)

    def _datagrams(self) -> int:
        status = json.loads(get("/status") or "{}")
        return sum(
            line["datagrams"]
            for source in status["sources"]
            for channel in source["channels"]
            for line in channel["lines"]
        )

    def _wait(self, condition: "Condition", what: str) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            if self._process.poll() is not None:
                raise SystemExit(f"the bridge ended with {self._process.returncode}:\n{self._log.read_text()[-3000:]}")
            if time.monotonic() > deadline:
                self._process.terminate()
                raise SystemExit(f"the bridge never {what}:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.05)


class Condition(Protocol):
    def __call__(self) -> bool: ...


def get(path: str) -> str | None:
    """An answer of the admin endpoint, None while there is none."""
    with suppress(OSError):
        connection = HTTPConnection("127.0.0.1", ADMIN, timeout=10)
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
        connection.close()
        return text
    return None


def configuration(feed: Feed, directory: Path, sink: str) -> str:
    """The bridge's configuration: every channel of the feed into one sink."""
    rows = [
        "[bridge]",
        'name = "bench"',
        f'state = "{directory / "state"}"',
        f'admin = "127.0.0.1:{ADMIN}"',
        'log = { level = "warning" }',
        "[source.feed]",
        'type = "multicast"',
        'protocol = "native"',
        'receive_buffer = "8MiB"',
        "[source.feed.channel]",
    ]
    for channel in range(feed.channels):
        lines = ", ".join(f'"{feed.address(channel, line)}%lo"' for line in range(feed.lines))
        rows.append(f"{feed.channel(channel)} = {{ lines = [{lines}] }}")
    rows += ["[sink.out]", f'type = "{sink}"']
    if sink == "journal":
        rows.append(f'path = "{directory / "journal"}"')
    rows += ["[route.main]", 'from = "feed"', 'to = ["out"]']
    return "\n".join(rows) + "\n"
