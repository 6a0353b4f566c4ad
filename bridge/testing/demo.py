"""`make demo`: messages over two bad lines into the journal, out of it on a third group, and the proof that nothing was lost
silently.

    bridge send ═A═╗                                                        ┌─> bridge listen
                   ╠══> bridge run (lines A and B -> journal) ─> journal ─> bridge run (journal -> third group)
    2 % lost  ═B═══╝

Four processes of the ordinary command line, in a network namespace of their own and with TTL 0 on the loopback interface, so
that nothing reaches a real network. What the sender dropped on purpose, by its own report, is held against what the bridge
says, and what the listener got against what the sender made. Exits 1 if anything does not hold.
"""

import argparse
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.core.payload import Sizes
from bridge.testing import namespace
from bridge.testing.demo_check import Evidence, check

LINES: Final = ("239.255.77.1:5001%lo", "239.255.77.2:5002%lo")
THIRD: Final = "239.255.77.3:5003%lo"
"""Groups of the IPv4 Local Scope (RFC 2365): they never leave a site, and with TTL 0 not even the host."""

CHANNEL: Final = "demo"
SEED: Final = 1
IMPAIRMENT: Final = "loss=2%,duplicate=1%,reorder=3%"
START_SECONDS: Final = 20.0
RUN_SECONDS: Final = 240.0


class Form(NamedTuple):
    """What is sent in one protocol."""

    sizes: Sizes
    rate: str
    holes: str


FORMS: Final = {
    "native": Form(Sizes(20, 20_000), "60Mbit/s", ""),
    "moldudp64": Form(Sizes(20, 1400), "20Mbit/s", 'holes = "empty"'),
}

INBOUND: Final = """\
[bridge]
name = "demo-in"
state = "{directory}/state-in"
admin = ""
[source.{channel}]
type = "multicast"
protocol = "{protocol}"
lines = ["{a}", "{b}"]
# longer than the default of 20 ms: a busy machine may stop the sender for a while between a datagram and its late copy
gap = {{ hold = "300ms", hold_packets = 8192 }}
[sink.archive]
type = "journal"
path = "{directory}/journal"
[route.in]
from = "{channel}"
to = ["archive"]
"""

OUTBOUND: Final = """\
[bridge]
name = "demo-out"
state = "{directory}/state-out"
admin = ""
[source.archive]
type = "journal"
path = "{directory}/journal"
start = "earliest"
sequence = "preserve"
[sink.third]
type = "multicast"
protocol = "{protocol}"
ttl = 0
rate = "70Mbit/s"
{holes}
[sink.third.channel]
{channel}.lines = ["{third}"]
[route.out]
from = "archive"
to = ["third"]
"""


class DemoError(Exception):
    """A process did not do its part; the text says which and what it said last."""


class Process:
    """One `bridge` process with its output in files."""

    def __init__(self, directory: Path, name: str, *arguments: str) -> None:
        self.name = name
        self.out, self.err = directory / f"{name}.out", directory / f"{name}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "bridge", *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until `text` was said so often on standard error."""
        self.wait_until(lambda: self.err.read_text().count(text) >= times, f"say {text!r}", START_SECONDS)

    def wait_until(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if self._process.poll() is not None and not holds():
                raise DemoError(f"{self.name} ended with {self._process.returncode} and did not {what}\n{self.said()}")
            if time.monotonic() > deadline:
                raise DemoError(f"{self.name} did not {what} within {seconds:g} s\n{self.said()}")
            time.sleep(0.05)

    def end(self, stop: bool = False) -> None:
        """Wait for the end, after SIGTERM with `stop`; it has to be a good one."""
        if stop:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{self.name} did not end\n{self.said()}") from None
        if status != 0:
            raise DemoError(f"{self.name} ended with {status}\n{self.said()}")

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        return "\n".join(self.err.read_text().splitlines()[-15:])


def demo(protocol: str, messages: int, directory: Path) -> bool:
    """Run everything; True if all holds. Raises `DemoError`."""
    began = time.monotonic()
    form = FORMS[protocol]
    values = {"directory": directory, "channel": CHANNEL, "protocol": protocol, "third": THIRD, "holes": form.holes}
    values |= {"a": LINES[0], "b": LINES[1]}
    inbound, outbound = directory / "inbound.toml", directory / "outbound.toml"
    inbound.write_text(INBOUND.format(**values))
    outbound.write_text(OUTBOUND.format(**values))
    say(f"{messages:,} messages of {form.sizes.least:,} to {form.sizes.most:,} bytes, protocol {protocol}")
    say(f"  lines A and B: {LINES[0]} and {LINES[1]}, each {IMPAIRMENT}")
    say(f"  into the journal, and out again on {THIRD}; TTL 0, in {network()}")
    with contextlib.ExitStack() as running:
        start = Starter(directory, running)
        receiving = start("inbound", "run", str(inbound), "--summary", str(directory / "inbound.json"))
        receiving.wait_for(" joined", len(LINES))
        listening = start("listen", "listen", THIRD, "--protocol", protocol, "--format", "jsonl")
        listening.wait_for("listening on")
        resending = start("outbound", "run", str(outbound), "--summary", str(directory / "outbound.json"))
        resending.wait_for("started")
        sending = start("send", *send_arguments(protocol, messages, form, directory))
        sending.end()
        say(f"sent after {time.monotonic() - began:.0f} s")
        receiving.end(stop=True)
        report = json.loads((directory / "report.json").read_text())
        summary = json.loads((directory / "inbound.json").read_text())
        wanted = journalled(summary, empty_holes=bool(form.holes))
        counted = LineCounter(listening.out)
        listening.wait_until(lambda: counted.lines() >= wanted, f"get {wanted} messages", 60)
        resending.end(stop=True)
        listening.end(stop=True)
    say(f"received, stored and sent again after {time.monotonic() - began:.0f} s\n")
    evidence = Evidence(
        protocol=protocol,
        seed=SEED,
        sizes=form.sizes,
        channel=CHANNEL,
        report=report,
        inbound=summary,
        outbound=json.loads((directory / "outbound.json").read_text()),
        heard=listening.out,
        journal=directory / "journal",
        empty_holes=bool(form.holes),
    )
    held = check(evidence, say)
    say(f"\n{'everything holds' if held else 'NOT everything holds'}; it took {time.monotonic() - began:.0f} s")
    return held


class Starter:
    """Starts processes that end with the demo, whatever happens."""

    def __init__(self, directory: Path, running: contextlib.ExitStack) -> None:
        self._directory = directory
        self._running = running

    def __call__(self, name: str, *arguments: str) -> Process:
        process = Process(self._directory, name, *arguments)
        self._running.callback(process.kill)
        return process


class LineCounter:
    """How many lines a growing file has, reading each byte once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._lines = 0

    def lines(self) -> int:
        with self._path.open("rb") as file:
            file.seek(self._place)
            for part in iter(lambda: file.read(1 << 20), b""):
                self._lines += part.count(b"\n")
                self._place += len(part)
        return self._lines


def send_arguments(protocol: str, messages: int, form: Form, directory: Path) -> Iterator[str]:
    channel = ["--channel", CHANNEL] if protocol == "native" else []
    options = [
        "--count",
        str(messages),
        "--size",
        f"{form.sizes.least}B..{form.sizes.most}B",
        "--rate",
        form.rate,
        "--seed",
        str(SEED),
        "--ttl",
        "0",
    ]
    report = ["--impair", IMPAIRMENT, "--report", str(directory / "report.json")]
    return itertools.chain(["send", *LINES, "--protocol", protocol], channel, options, report)


def journalled(summary: dict[str, Any], empty_holes: bool) -> int:
    """How many messages the third group has to carry: those of the journal, and where a hole is an empty message, the holes."""
    rows = [stream for route in summary["routes"] for sink in route["sinks"] for stream in sink["streams"]]
    return sum(row["published"] + (row["missing"] if empty_holes else 0) for row in rows)


def network() -> str:
    return "a network namespace of its own" if namespace.inside() else "the loopback interface only"


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what the demo is for


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="make demo", description="Messages over two bad lines, and none lost silently."
    )
    parser.add_argument("--protocol", choices=sorted(FORMS), default="native")
    parser.add_argument("--messages", type=int, default=50_000, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="work there, and leave everything for a look")
    options = parser.parse_args(arguments)
    if not namespace.decided():
        namespace.execute([sys.executable, "-m", "bridge.testing.demo", *arguments])
    with contextlib.ExitStack() as stack:
        if options.keep is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-demo-")))
        else:
            directory = options.keep.resolve()
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                parser.error(f"{directory} is not empty")
        try:
            return 0 if demo(options.protocol, options.messages, directory) else 1
        except DemoError as error:
            say(f"error: {error}")
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
