"""`bridge run` from end to end: multicast into the journal and out again, several sinks and routes, and how runs end."""

import json
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from bridge.telemetry.status import Status
from tests.integration.run.feed import Publisher
from tests.integration.run.running import (
    bridge_table,
    eventually,
    get,
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

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(90)]

FEED = """
[source.feed]
type = "multicast"
protocol = "native"
lines = [{lines}]
"""
ARCHIVE = """
[sink.archive]
type = "journal"
path = "{path}"
"""
ROUTE = """
[route.archive]
from = "feed"
to = ["archive"]
"""
COUNT = 6000
IMPAIR = "loss=3%,duplicate=1%,reorder=3%"


def inbound(directory: Path, addresses: list[str], *more: str, admin: str = "", name: str = "in") -> Path:
    quoted = ", ".join(f'"{address}"' for address in addresses)
    return written(
        directory / f"{name}.toml",
        bridge_table(directory, admin, name),
        FEED.format(lines=quoted),
        ARCHIVE.format(path=directory / "journal"),
        ROUTE,
        *more,
    )


def outbound(directory: Path, address: str, name: str = "out", **source: str) -> Path:
    options = "".join(f"{key} = {value}\n" for key, value in ({"start": '"earliest"'} | source).items())
    return written(
        directory / f"{name}.toml",
        bridge_table(directory, "", name),
        f'[source.archive]\ntype = "journal"\npath = "{directory / "journal"}"\n{options}',
        f'[sink.lan]\ntype = "multicast"\nprotocol = "native"\nheartbeat = "200ms"\nlines = ["{address}"]',
        '[route.lan]\nfrom = "archive"\nto = ["lan"]',
    )


def two_lines(addresses: FreeAddresses) -> list[str]:
    port = addresses.port()
    return [f"{addresses.group()}:{port}%lo", f"{addresses.group()}:{port}%lo"]


def send(processes: Processes, to: list[str], report: Path, count: int = COUNT, impair: str = IMPAIR) -> dict[str, Any]:
    """Generated messages of 20 to 3,000 bytes on every line; returns the sender's report."""
    words = ["--protocol", "native", "--channel", "feed", "--count", str(count), "--rate", "8000/s"]
    words += ["--size", "20B..3000B", "--report", str(report)]
    if impair:
        words += ["--impair", impair]
    sender = processes.run_bridge("send", *to, *words)
    assert sender.status == 0, sender.stderr()
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def numbers(ranges: list[list[int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def joined(bridge: BridgeProcess, line: str = "B") -> None:
    bridge.wait_for(f"line {line} of feed")


def listen(processes: Processes, address: str, seconds: int) -> BridgeProcess:
    listener = processes.bridge("listen", address, "--protocol", "native", "--format", "jsonl", "--for", str(seconds))
    listener.wait_for("listening on")
    return listener


def test_into_the_journal_and_out_again(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    """Sessions, numbers and holes come out as the publisher sent them; what is missing is what it dropped on both lines."""
    feed, lan = two_lines(addresses), f"{addresses.address()}%lo"
    config = inbound(tmp_path, feed)
    bridge = processes.bridge("run", config, "--until-idle", "2", "--summary", tmp_path / "in.json")
    joined(bridge)
    report = send(processes, feed, tmp_path / "report.json")
    assert bridge.wait() == 0, bridge.outputs()

    lost = numbers(report["lost_on_all"])
    assert lost, "the seed lost nothing on both lines; the test would show nothing"
    stored = read_journal(processes, config, "archive", "feed")
    assert [row["sequence"] for row in stored] == [n for n in range(1, COUNT + 1) if n not in lost]
    assert {row["session"] for row in stored} == {report["session"]}
    ended = summary(tmp_path / "in.json")
    assert numbers([[loss["first"], loss["last"]] for loss in ended["losses"]]) == lost
    assert total(sinks(ended)["archive"], "published") == len(stored)
    assert [line["lost"] for line in lines(ended)] == [
        len(numbers(line["dropped"]) - lost) for line in report["lines"]
    ], "what each line lost and the other brought"

    listener = listen(processes, lan, 6)
    out = processes.bridge("run", outbound(tmp_path, lan), "--until-idle", "2", "--summary", tmp_path / "out.json")
    assert out.wait() == 0, out.outputs()
    assert listener.wait() == 0, listener.outputs()
    heard = [json.loads(line) for line in listener.stdout().splitlines()]
    keep = ("session", "sequence", "payload")
    assert [[row[key] for key in keep] for row in heard] == [[row[key] for key in keep] for row in stored]
    assert f"{len(lost)} announced as holes" in listener.stderr()
    assert total(sinks(summary(tmp_path / "out.json"))["lan"], "published") == len(stored)


def test_outbound_goes_on_where_it_was(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    """Stopped in good order it repeats nothing; killed it repeats and skips nothing."""
    feed, lan = two_lines(addresses), f"{addresses.address()}%lo"
    config = inbound(tmp_path, feed)
    bridge = processes.bridge("run", config)
    joined(bridge)
    publisher = Publisher([(a.split(":")[0], int(a.split(":")[1].split("%")[0])) for a in feed], "feed", 2000)
    publisher.start()
    listener = processes.bridge("listen", lan, "--protocol", "native", "--format", "jsonl")
    listener.wait_for("listening on")
    going = outbound(tmp_path, lan)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        out = processes.bridge("run", going)
        time.sleep(2.5)
        assert out.stop(number) == (0 if number == signal.SIGTERM else -number), out.outputs()
        assert json.loads((tmp_path / "state-out" / "positions.json").read_text())["routes"]["lan"]
    publisher.stop()
    stopped(bridge)
    out = processes.bridge("run", going, "--until-idle", "1")
    assert out.wait() == 0, out.outputs()
    stopped(listener)
    heard = [json.loads(line)["sequence"] for line in listener.stdout().splitlines()]
    stored = [row["sequence"] for row in read_journal(processes, config, "archive", "feed")]
    assert heard == sorted(set(heard)), "the listener's own order"
    assert heard == stored
    assert stored[-1] == publisher.last


def test_one_source_into_two_sinks_and_two_routes(
    tmp_path: Path, processes: Processes, addresses: FreeAddresses
) -> None:
    feed = two_lines(addresses)
    second = '[sink.second]\ntype = "journal"\npath = "{}"\n[route.second]\nfrom = "feed"\nto = ["second"]'
    config = written(
        tmp_path / "two.toml",
        inbound(tmp_path, feed).read_text().replace('to = ["archive"]', 'to = ["archive", "screen"]'),
        '[sink.screen]\ntype = "stdout"',
        second.format(tmp_path / "second"),
    )
    bridge = processes.bridge("run", config, "--until-idle", "2", "--summary", tmp_path / "summary.json")
    joined(bridge)
    send(processes, feed, tmp_path / "report.json")
    assert bridge.wait() == 0, bridge.outputs()
    stored = read_journal(processes, config, "archive", "feed")
    seen = [json.loads(line) for line in bridge.stdout().splitlines()]
    again = read_journal(processes, config, "second", "feed")
    assert len(stored) > COUNT * 0.99
    for other in (seen, again):
        assert [(row["sequence"], row["payload"]) for row in other] == [
            (row["sequence"], row["payload"]) for row in stored
        ]
    ended = summary(tmp_path / "summary.json")
    assert {name: total(row, "published") for name, row in sinks(ended).items()} == dict.fromkeys(
        ("archive", "screen", "second"), len(stored)
    )


@pytest.mark.parametrize("trouble", ["unwritable", "newer"])
def test_a_sink_that_cannot_work_is_named_and_slows_nobody(
    trouble: str, tmp_path: Path, processes: Processes, addresses: FreeAddresses
) -> None:
    feed, admin = two_lines(addresses), f"127.0.0.1:{addresses.port()}"
    broken = tmp_path / "broken"
    if trouble == "unwritable":
        broken.write_text("a file where a directory should be")
    else:
        first = processes.run_bridge("run", inbound(tmp_path, feed, name="first"), "--duration", "0.5")
        assert first.status == 0, first.outputs()
        (tmp_path / "journal").rename(broken)
        with sqlite3.connect(next(broken.glob("*.sqlite"))) as connection:
            connection.execute("PRAGMA user_version = 99")
    text = inbound(tmp_path, feed, admin=admin).read_text().replace('to = ["archive"]', 'to = ["broken", "archive"]')
    config = written(tmp_path / "in.toml", text, f'[sink.broken]\ntype = "journal"\npath = "{broken}"')
    config.write_text(config.read_text().replace("[bridge]", '[bridge]\ndrain = "1s"'))
    bridge = processes.bridge("run", config, "--strict", "--summary", tmp_path / "summary.json")
    joined(bridge)
    report = send(processes, feed, tmp_path / "report.json", impair="")
    eventually(lambda: total(sinks(status(admin))["archive"], "published") == COUNT)
    found = status(admin)
    assert not found["ready"]
    assert any("sink broken" in text for text in found["absent"]), found["absent"]
    row = sinks(found)["broken"]
    assert not row["up"]
    assert ("format" if trouble == "newer" else "broken") in row["error"]
    assert row["pending_messages"]["memory"] == COUNT
    code, answer = get(admin, "/readyz")
    assert (code, "sink broken" in answer) == (503, True), answer
    assert "sink archive" not in answer
    assert bridge.stop(timeout=30) == 0, "what waits is on disk, so nothing is lost\n" + bridge.outputs()
    assert [row["session"] for row in read_journal(processes, config, "archive", "feed")] == [report["session"]] * COUNT
    assert total(sinks(summary(tmp_path / "summary.json"))["broken"], "pending") == COUNT


def test_second_signal_ends_at_once(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    """The first waits for a sink that is absent, `drain` long; the second does not. What waits is on disk either way."""
    feed = two_lines(addresses)
    (tmp_path / "journal").write_text("a file where a directory should be")
    config = inbound(tmp_path, feed)
    bridge = processes.bridge("run", config)
    joined(bridge)
    send(processes, feed, tmp_path / "report.json", impair="")
    began = time.monotonic()
    bridge.signal(signal.SIGTERM)
    bridge.wait_for("draining")
    time.sleep(1)
    assert bridge.status is None, "it did not wait for its sink\n" + bridge.outputs()
    assert bridge.stop() == 0
    assert time.monotonic() - began < 8, "drain is 10 s"
    (tmp_path / "journal").unlink()
    bridge = processes.bridge("run", config, "--until-idle", "1")
    assert bridge.wait() == 0, bridge.outputs()
    assert len(read_journal(processes, config, "archive", "feed")) == COUNT


def test_sigterm_stores_what_it_has(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    feed = two_lines(addresses)
    config = inbound(tmp_path, feed)
    bridge = processes.bridge("run", config, "--summary", tmp_path / "summary.json")
    joined(bridge)
    publisher = Publisher([(a.split(":")[0], int(a.split(":")[1].split("%")[0])) for a in feed], "feed")
    publisher.start()
    time.sleep(1.5)
    began = time.monotonic()
    stopped(bridge)
    assert time.monotonic() - began < 5
    publisher.stop()
    stored = [row["sequence"] for row in read_journal(processes, config, "archive", "feed")]
    assert stored == list(range(stored[0], stored[-1] + 1))
    row = sinks(summary(tmp_path / "summary.json"))["archive"]
    assert (total(row, "published"), total(row, "pending"), total(row, "dropped")) == (len(stored), 0, 0)


def test_summary_follows_its_schema(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    feed = two_lines(addresses)
    began = time.monotonic()
    bridge = processes.bridge(
        "run", inbound(tmp_path, feed), "--duration", "2", "--summary", tmp_path / "s.json", "--strict"
    )
    joined(bridge)
    send(processes, feed, tmp_path / "report.json", count=4000, impair="loss=20%")
    assert bridge.wait() == 1, "--strict, and numbers were lost on both lines\n" + bridge.outputs()
    assert time.monotonic() - began < 10
    found = summary(tmp_path / "s.json")
    Status.model_validate(found)
    schema = json.loads(processes.run_bridge("schema", "summary").stdout())
    assert set(found) <= set(schema["properties"])
    assert set(schema["required"]) <= set(found)


@pytest.mark.parametrize(
    ("case", "expected", "words"),
    [
        ("fail_fast", 69, "not joined"),
        ("group", 78, "1.2.3.4"),
        ("admin", 78, "admin"),
        ("state", 74, "cannot be written"),
        ("in_use", 74, "in use by process"),
        ("five", 78, "receive_bufer"),
    ],
)
def test_what_cannot_run_says_why(
    case: str, expected: int, words: str, tmp_path: Path, processes: Processes, addresses: FreeAddresses
) -> None:
    feed = two_lines(addresses)
    text = inbound(tmp_path, feed).read_text()
    options: list[str] = []
    if case == "fail_fast":
        text, options = text.replace("%lo", "%absent0"), ["--fail-fast"]
    elif case == "group":
        text = text.replace(feed[0], "1.2.3.400:99")
        words = "1.2.3.400"
    elif case == "admin":
        admin = f"127.0.0.1:{addresses.port()}"
        other = processes.bridge("run", inbound(tmp_path, feed, admin=admin, name="other"))
        joined(other)
        text = text.replace('admin = ""', f'admin = "{admin}"')
    elif case == "state":
        (tmp_path / "state-in").write_text("a file where a directory should be")
    elif case == "in_use":
        joined(processes.bridge("run", inbound(tmp_path, feed)))
    else:
        text = text.replace('protocol = "native"', 'protocol = "naitive"\nreceive_bufer = 5')
        text += '\n[route.other]\nfrom = "fed"\nto = ["archive"]\nspool = 7\noverload = "drop"\n'
    config = written(tmp_path / "tried.toml", text)
    bridge = processes.bridge("run", config, *options)
    assert bridge.wait(20) == expected, bridge.outputs()
    assert words in bridge.stderr(), bridge.stderr()
    assert "Traceback" not in bridge.stderr()
    if case == "five":
        assert bridge.stderr().count("error:") >= 5, bridge.stderr()
