"""The measuring itself is held to what it says: the pace, the CPU clock, the comparison."""

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bridge.api import Hole, MessageBatch, Stream
from bridge.wire import codec
from tests.benchmarks.__main__ import SCENARIOS, Result, Scenario, build_sender, compare, table
from tests.benchmarks.cpu import cpu_seconds
from tests.benchmarks.feed import Feed, FeedWriter


def result(microseconds: float, **changes: object) -> Result:
    values: dict[str, object] = {
        "cpu": 0.2,
        "sent": 100,
        "lost": 0,
        "dropped": 0,
        "pace": 1.0,
        "late_us": 0,
        "others": 0.0,
    }
    return Result(microseconds=microseconds, **(values | changes))  # type: ignore[arg-type]


def records(path: Path) -> list[tuple[int, bytes]]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        where, length = struct.unpack_from("<HH", data, at)
        found.append((where, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def test_a_feed_goes_on_where_its_first_part_ended(tmp_path: Path) -> None:
    feed = Feed(1000, each=5, lines=2, channels=3)
    writer = FeedWriter(feed)
    assert writer.write(tmp_path / "warm", 0.03) == 30
    assert writer.write(tmp_path / "main", 0.03) == 30
    decoder = codec("native")
    numbers: dict[int, list[int]] = {}
    for name in ("warm", "main"):
        for where, datagram in records(tmp_path / name):
            [packet] = decoder.decode([datagram]).packets
            numbers.setdefault(where, []).extend(range(packet.sequence, packet.sequence + len(packet.payloads)))
    assert sorted(numbers) == list(range(6))
    assert all(found == list(range(1, 21)) for found in numbers.values())


def test_cpu_is_that_of_the_whole_tree() -> None:
    spin = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\n"
    parent = f"import subprocess, sys, time\nc = subprocess.Popen([sys.executable, '-c', {spin + 'input()'!r}])\n{spin}"
    process = subprocess.Popen([sys.executable, "-c", parent + "print(flush=True)\ninput()"], stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    deadline = time.monotonic() + 20
    while (measured := cpu_seconds(process.pid)) < 0.4 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.communicate(b"")
    assert measured >= 0.4


def test_own_cpu_matches_the_interpreters_clock() -> None:
    before = time.process_time()
    measured = cpu_seconds(os.getpid())
    assert before <= measured <= time.process_time()


def test_limits() -> None:
    median = {"base": 8.0}
    at_most = Scenario("x", Feed(1), "discard", "base", limit=0.25)
    assert compare(at_most, 2.0, median, []) == ("0.25 x", "0.25 x: holds", False)
    assert compare(at_most, 2.1, median, [])[1:] == ("0.25 x: MISSED", True)
    above = Scenario("x", Feed(1), "journal", "base", extra=1.5)
    assert compare(above, 9.5, median, []) == ("+1.50 us", "+1.5 us: holds", False)
    assert compare(above, 9.6, median, [])[2] is True
    drops = Scenario("x", Feed(1), "discard", no_drops=True)
    assert compare(drops, 1.0, median, [result(1.0)])[2] is False
    assert compare(drops, 1.0, median, [result(1.0, dropped=1)])[2] is True
    assert compare(drops, 1.0, median, [result(1.0, lost=1)])[2] is True


def test_every_comparison_is_with_a_row_above() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    for place, scenario in enumerate(SCENARIOS):
        assert not scenario.against or scenario.against in names[:place]


def test_the_table_says_what_disturbs() -> None:
    scenario = Scenario("bridge", Feed(1), "discard")
    rounds = [result(3.0, others=0.2), result(1.0, pace=0.9), result(2.0, problems="L1: 1 != 2", scrapes="9 scrapes")]
    text, missed = table([scenario], {"bridge": rounds})
    assert missed is False
    assert "2.00" in text
    assert "1.00-3.00" in text
    assert "the sender reached only 90% of its rate" in text
    assert "the ledger does not balance: L1: 1 != 2" in text
    assert "9 scrapes" in text
    assert "other processes took 20% of the machine" in text


class Told:
    """A listener."""

    def __init__(self) -> None:
        self.through: list[tuple[Stream, int]] = []

    def on_acknowledged(self, stream: Stream, through: int) -> None:
        self.through.append((stream, through))

    def on_failed(self, error: Exception) -> None:
        raise AssertionError(error)


async def test_the_discarding_sink_acknowledges_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "discard"))
    import bench_discard

    told, one, two = Told(), Stream("c", b"1"), Stream("c", b"2")
    sink = bench_discard.DiscardSink(None, None)
    assert await sink.open("c", told) is None
    assert sink.submit(MessageBatch(one, 1, [b"a", b"b"], 0))
    assert sink.submit(Hole(one, 3, 5, "wire"))
    assert told.through == []
    assert sink.submit(MessageBatch(two, 1, [b"a"], 0))
    await sink.close(drain=True)
    assert told.through == [(one, 5), (two, 1)]


@pytest.mark.network
@pytest.mark.parametrize("compiled", [True, False])
def test_the_sender_keeps_its_pace(tmp_path: Path, compiled: bool, tool) -> None:
    if compiled:
        tool("cc")
        sender = build_sender(tmp_path)
    else:
        sender = [sys.executable, str(Path(__file__).parents[2] / "benchmarks" / "sender.py")]
    feed = Feed(5000, lines=2)
    sent = FeedWriter(feed).write(tmp_path / "feed", 0.4)
    arrived: list[int] = []
    sockets = [listening(address) for address in feed.addresses()]

    def receive(sock: socket.socket) -> None:
        with sock:
            arrived.append(sum(len(sock.recv(2048)) > 0 for _ in range(sent)))

    threads = [threading.Thread(target=receive, args=(sock,)) for sock in sockets]
    for thread in threads:
        thread.start()
    command = [*sender, str(tmp_path / "feed"), str(feed.datagrams), "lo", *feed.addresses()]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    for thread in threads:
        thread.join()
    assert int(out[0]) == sent * 2
    assert float(out[1]) >= 0.4 * 0.99  # never ahead of its rate
    assert arrived == [sent, sent]


def listening(address: str) -> socket.socket:
    group, _, port = address.rpartition(":")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.settimeout(10)
    sock.bind((group, int(port)))
    member = socket.inet_aton(group) + struct.pack("=4xi", socket.if_nametoindex("lo"))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    return sock


@pytest.mark.network
@pytest.mark.slow
def test_the_reference_is_measured(tmp_path: Path, tool) -> None:
    tool("cc")
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--rounds", "1", "--seconds", "0.5", "--json", str(out)]
    ran = subprocess.run([*command, "--only", "recv loop"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "us/message" in ran.stdout
    assert '"lost": 0' in out.read_text()
