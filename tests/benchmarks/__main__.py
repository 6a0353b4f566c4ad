"""`make bench`: CPU per message of the inbound path beside a blocking `recv` loop, in the same run.

The CPU is user + system time of the subject's whole process tree from before the first measured datagram until all have
arrived; start-up and a second of warm-up come before. Subjects alternate over the rounds and the median counts. The sender
is a C program with a due time for every datagram (Python in bursts where there is no C compiler); a round in which it was
slower than 98 % of its rate is said, and one in which other processes took more than 5 % of the machine: then both the
reference and the subject wake up less often than they would, and the figures mean nothing. Run it in a network namespace:
`make bench`.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.cpu import busy_seconds, cpu_seconds, ended_children_seconds
from tests.benchmarks.feed import Feed, FeedWriter
from tests.benchmarks.subjects import ADMIN, Bridge, RecvLoop, Subject

HERE = Path(__file__).parent
ONE = Feed(20_000)


@dataclass(frozen=True)
class Scenario:
    """One row. `limit`: the row's CPU per message is at most so many times that of row `against`, or `extra`
    microseconds above it; `no_drops`: the kernel drops nothing."""

    name: str
    feed: Feed
    sink: str | None  # None: the recv loop
    against: str = ""
    limit: float | None = None
    extra: float | None = None
    scraped: bool = False
    no_drops: bool = False


SCENARIOS = [
    Scenario("recv loop, 20,000/s", ONE, None),
    Scenario("bridge, one per datagram, 20,000/s", ONE, "discard", "recv loop, 20,000/s", limit=1.0),
    Scenario(
        "bridge, two lines, 20,000/s",
        Feed(20_000, lines=2),
        "discard",
        "bridge, one per datagram, 20,000/s",
        limit=1.7,
    ),
    Scenario(
        "bridge, twenty per datagram, 200,000/s", Feed(200_000, each=20), "discard", "recv loop, 20,000/s", limit=0.25
    ),
    Scenario(
        "bridge into the journal, twenty per datagram, 200,000/s",
        Feed(200_000, each=20),
        "journal",
        "bridge, twenty per datagram, 200,000/s",
        extra=1.5,
    ),
    Scenario("bridge into the journal, one per datagram, 20,000/s", ONE, "journal"),
    Scenario("bridge, 200 channels, 20,000/s", Feed(20_000, channels=200), "discard"),
    Scenario(
        "bridge, 200 channels, scraped all the time, 20,000/s",
        Feed(20_000, channels=200),
        "discard",
        scraped=True,
        no_drops=True,
    ),
]


@dataclass
class Result:
    """One round of one scenario."""

    microseconds: float  # CPU per message
    cpu: float  # share of one processor
    sent: int
    lost: int
    dropped: int | None
    pace: float  # the sender's rate, as a share of what was asked
    late_us: int
    others: float  # share of the machine that went to processes which have no part in it
    scrapes: str = ""
    problems: str = ""


def main() -> int:
    options = arguments()
    if os.environ.get("BRIDGE_TEST_NAMESPACE") != "1":
        print("bench: needs a network namespace (make bench), and this system allows none", file=sys.stderr)
        return 1
    chosen = [s for s in SCENARIOS if not options.only or any(word in s.name for word in options.only)]
    results: dict[str, list[Result]] = {scenario.name: [] for scenario in chosen}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        sender = build_sender(Path(name))
        for number in range(options.rounds):
            for scenario in chosen:
                directory = Path(name) / f"{number}-{chosen.index(scenario)}"
                directory.mkdir()
                result = measure(scenario, directory, sender, options.seconds)
                results[scenario.name].append(result)
                say(f"round {number + 1}: {scenario.name}: {result.microseconds:.2f} us, lost {result.lost}")
                shutil.rmtree(directory)
    text, missed = table(chosen, results)
    print(text)
    if options.json:
        rows = {name: [asdict(result) for result in rounds] for name, rounds in results.items()}
        Path(options.json).write_text(json.dumps({"machine": machine(), "results": rows}, indent=2) + "\n")
    return 1 if options.check and missed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--only", nargs="*", help="scenarios whose name contains one of these")
    parser.add_argument("--json", help="write every round to this file")
    parser.add_argument("--check", action="store_true", help="exit 1 where a limit is missed")
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def build_sender(directory: Path) -> list[str]:
    """The sender's command: compiled where there is a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        say("bench: no C compiler, the sender is in Python and sends in bursts of half a millisecond")
        return [sys.executable, str(HERE / "sender.py")]
    target = directory / "sender"
    subprocess.run([compiler, "-O2", "-o", str(target), str(HERE / "sender.c")], check=True)
    return [str(target)]


def measure(scenario: Scenario, directory: Path, sender: Sequence[str], seconds: float) -> Result:
    feed, writer = scenario.feed, FeedWriter(scenario.feed)
    warm, main_part = directory / "warm", directory / "main"
    warmed = writer.write(warm, 1.0)
    measured = writer.write(main_part, seconds)
    subject: Subject = RecvLoop(feed, directory) if scenario.sink is None else Bridge(feed, directory, scenario.sink)
    send(sender, warm, feed)
    subject.wait_received(int(warmed / feed.each * feed.lines * 0.9))
    time.sleep(1.0)  # back to rest
    scraper = start_scraper() if scenario.scraped else None
    cpu, clock = cpu_seconds(subject.pid), time.monotonic()
    busy, ours = busy_seconds(), ended_children_seconds()
    sent, took, late = send(sender, main_part, feed)
    time.sleep(0.1)  # what is still on its way to the sink
    cpu, clock = cpu_seconds(subject.pid) - cpu, time.monotonic() - clock
    scrapes = end_scraper(scraper) if scraper else ""
    others = busy_seconds() - busy - cpu - (ended_children_seconds() - ours)
    counts = subject.end()
    return Result(
        microseconds=cpu / measured * 1e6,
        cpu=cpu / clock,
        sent=measured,
        lost=warmed + measured - counts.messages,
        dropped=counts.dropped,
        pace=sent / took / feed.datagrams,
        late_us=late,
        others=max(0.0, others) / (os.cpu_count() or 1) / clock,
        scrapes=scrapes,
        problems=counts.problems,
    )


def send(sender: Sequence[str], path: Path, feed: Feed) -> tuple[int, float, int]:
    """Datagrams sent, seconds, and by how many microseconds the latest one was late."""
    command = [*sender, str(path), str(feed.datagrams), "lo", *feed.addresses()]
    sent, took, late = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(sent), float(took), int(late)


def start_scraper() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.scraper", str(ADMIN)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def end_scraper(scraper: subprocess.Popen[str]) -> str:
    scraper.terminate()
    answers, longest = scraper.communicate(timeout=60)[0].split()
    return f"{answers} scrapes, longest {longest} s"


def machine() -> str:
    return f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}"


def table(scenarios: Sequence[Scenario], results: dict[str, list[Result]]) -> tuple[str, bool]:
    """The rows as text, and whether a limit was missed."""
    median = {name: statistics.median(r.microseconds for r in rounds) for name, rounds in results.items()}
    rows = [("subject", "us/message", "min-max", "CPU", "lost", "dropped", "compared", "limit")]
    notes, any_missed = [], False
    for scenario in scenarios:
        rounds, own = results[scenario.name], median[scenario.name]
        compared, limit, missed = compare(scenario, own, median, rounds)
        any_missed |= missed
        low, high = min(r.microseconds for r in rounds), max(r.microseconds for r in rounds)
        dropped = "-" if rounds[0].dropped is None else str(sum(r.dropped or 0 for r in rounds))
        share = statistics.median(r.cpu for r in rounds)
        lost = str(sum(r.lost for r in rounds))
        cells = (scenario.name, f"{own:.2f}", f"{low:.2f}-{high:.2f}", f"{share:.0%}", lost, dropped, compared, limit)
        rows.append(cells)
        notes += [f"{scenario.name}: {r.scrapes}" for r in rounds if r.scrapes]
        notes += [f"{scenario.name}: the ledger does not balance: {r.problems}" for r in rounds if r.problems]
        disturbed = [f"{r.others:.0%}" for r in rounds if r.others > 0.05]
        if disturbed:
            notes.append(f"{scenario.name}: other processes took {', '.join(disturbed)} of the machine: measure again")
        slow = [f"{r.pace:.0%}" for r in rounds if r.pace < 0.98]
        notes += [f"{scenario.name}: the sender reached only {', '.join(slow)} of its rate"] if slow else []
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    count = len(next(iter(results.values())))
    head = f"{machine()}; 100-byte messages, median of {count} alternating rounds, CPU of the whole process tree"
    return "\n".join([head, "", *lines, *([""] if notes else []), *notes]), any_missed


def compare(
    scenario: Scenario, own: float, median: dict[str, float], rounds: Sequence[Result]
) -> tuple[str, str, bool]:
    """How the row compares, what its limit is, and whether it is missed."""
    if scenario.no_drops:
        missed = any(r.dropped or r.lost for r in rounds)
        return "", f"no drops: {'MISSED' if missed else 'holds'}", missed
    base = median.get(scenario.against)
    if base is None:
        return "", "", False
    if scenario.extra is not None:
        missed = own - base > scenario.extra
        return f"{own - base:+.2f} us", f"+{scenario.extra} us: {'MISSED' if missed else 'holds'}", missed
    assert scenario.limit is not None
    missed = own / base > scenario.limit
    return f"{own / base:.2f} x", f"{scenario.limit} x: {'MISSED' if missed else 'holds'}", missed


if __name__ == "__main__":
    sys.exit(main())
