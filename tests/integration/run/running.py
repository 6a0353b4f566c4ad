"""A bridge in a process of its own, asked from outside: its status, its summary, what its journal holds."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.process import BridgeProcess, Processes

POLL = 0.05


def bridge_table(directory: Path, admin: str = "", name: str = "tested", more: str = "") -> str:
    """The `[bridge]` table with the state below `directory`."""
    return f'[bridge]\nname = "{name}"\nstate = "{directory / ("state-" + name)}"\nadmin = "{admin}"\n{more}\n'


def written(path: Path, *parts: str) -> Path:
    path.write_text("\n".join(parts))
    return path


def get(admin: str, path: str, host: str | None = None) -> tuple[int, str]:
    """Status and text of one answer of the admin endpoint."""
    connection = http.client.HTTPConnection(admin, timeout=10)
    try:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def status(admin: str) -> dict[str, Any]:
    code, text = get(admin, "/status")
    assert code == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


def eventually(what: Callable[[], object], seconds: float = 15, text: str = "it never came about") -> None:
    """Wait until `what()` is true; an endpoint that does not listen yet counts as not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if what():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, text
        time.sleep(POLL)


def lines(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines of all channels of a status or summary."""
    for source in found["sources"]:
        for channel in source["channels"]:
            yield from channel["lines"]


def sinks(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The sink rows of a status or summary by sink: for configurations of one channel."""
    return {row["sink"]: row for route in found["routes"] for row in route["sinks"]}


def total(row: dict[str, Any], name: str) -> int:
    """A count of L5 of a sink, over its streams; for counts by reason the sum."""
    values = [stream[name] for stream in row["streams"]]
    return sum(sum(value.values()) if isinstance(value, dict) else value for value in values)


def summary(path: Path) -> dict[str, Any]:
    """The summary of a run; its ledger balances."""
    found: dict[str, Any] = json.loads(path.read_text())
    assert found["balanced"], found["problems"]
    return found


def read_journal(processes: Processes, config: Path, sink: str, channel: str) -> list[dict[str, Any]]:
    """Every message that a journal holds, as `bridge read` prints it."""
    everything = ("--from", "2020-01-01T00:00:00Z")  # by time, since by number it reads the newest session only
    reader = processes.run_bridge("read", config, sink, channel, *everything, timeout=60)
    assert reader.status == 0, reader.stderr()
    return [json.loads(line) for line in reader.stdout().splitlines()]


def stopped(bridge: BridgeProcess, expected: int = 0) -> None:
    """SIGTERM, and the end with this status."""
    ended = bridge.stop()
    assert ended == expected, f"{ended}\n{bridge.outputs()}"
