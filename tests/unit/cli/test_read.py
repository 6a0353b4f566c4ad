"""`read` over a store in memory: ranges by number and by time, the four answers, and the formats."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.api import Hole, MessageBatch, SessionStart, Stream
from bridge.cli.main import main
from bridge.config import registry
from bridge.testing.doubles import Memory

OLD, NEW = Stream("feed", bytes(8)), Stream("feed", b"\0" * 7 + b"\1")
SECOND = 10**9
CONFIG = """
[source.feed]
type = "multicast"
protocol = "native"
lines = ["239.1.1.1:5000"]
[sink.store]
type = "memory"
memory = "test_read"
[sink.lan]
type = "multicast"
protocol = "native"
lines = ["239.2.2.2:5000"]
[route.in]
from = "feed"
to = ["store", "lan"]
"""


@pytest.fixture
def memory() -> Iterator[Memory]:
    yield Memory.named("test_read")
    Memory._named.pop("test_read")


@pytest.fixture
def config(memory: Memory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    memory.write("feed", [SessionStart(OLD, "native", 1), MessageBatch(OLD, 1, [b"old"], 1 * SECOND)])
    memory.write(
        "feed",
        [
            SessionStart(NEW, "native", 5),
            MessageBatch(NEW, 5, [b"five", b"six"], 10 * SECOND),
            Hole(NEW, 7, 8, "wire"),
            MessageBatch(NEW, 9, [b"n\xff"], 20 * SECOND),
        ],
    )
    installed = list(registry.connectors().connectors)
    for role, name in (("message_sink", "MemorySink"), ("store", "MemoryStore")):
        installed.append(registry.Connector(role, "memory", f"bridge.testing.doubles:{name}", "test", "0"))  # type: ignore[arg-type] # literals
    monkeypatch.setattr(registry, "connectors", lambda: registry.Listing(installed, []))
    path = tmp_path / "c.toml"
    path.write_text(CONFIG)
    return str(path)


def read(config: str, *arguments: str) -> int:
    return main(["read", config, "store", "feed", *arguments])


def payloads(out: str) -> list[str]:
    return [row.get("payload", row.get("payload_hex")) for row in map(json.loads, out.splitlines())]


def test_without_bounds_the_newest_session_is_read_whole(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(config) == 0
    captured = capsys.readouterr()
    assert payloads(captured.out) == ["five", "six", "6eff"]
    assert captured.err == "hole: numbers 7 to 8 (wire)\n"
    first = json.loads(captured.out.splitlines()[0])
    assert (first["channel"], first["session"], first["sequence"]) == ("feed", "0000000000000001", 5)
    assert first["time"] == "1970-01-01T00:00:10.000000000Z"
    assert first["identity"].endswith("-5")
    assert "position" not in json.loads(captured.out.splitlines()[1])


def test_by_number(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(config, "--from", "6", "--to", "7") == 0
    captured = capsys.readouterr()
    assert payloads(captured.out) == ["six"]
    assert captured.err == "hole: number 7 (wire)\n"


def test_what_is_not_there_yet_is_said(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(config, "--from", "9", "--to", "11") == 0
    captured = capsys.readouterr()
    assert payloads(captured.out) == ["6eff"]
    assert captured.err == "not yet: numbers 10 to 11; the last is 9\n"


def test_by_time_over_all_sessions(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(config, "--from", "1970-01-01T00:00:01Z", "--to", "1970-01-01T00:00:10Z") == 0
    assert payloads(capsys.readouterr().out) == ["old", "five", "six"]
    assert read(config, "--from", "1970-01-01T00:00:02Z") == 0
    assert payloads(capsys.readouterr().out) == ["five", "six", "6eff"]


def test_one_session(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(config, "--session", "0000000000000000") == 0
    assert payloads(capsys.readouterr().out) == ["old"]
    assert read(config, "--session", "0000000000000000/0", "--from", "1") == 0
    assert read(config, "--session", "abc") == 64
    assert "0000000000000000/0, 0000000000000001/0" in capsys.readouterr().err


def test_trimmed_numbers_are_said_and_fail(config: str, memory: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    memory.trim(NEW, 6)
    assert read(config, "--from", "5") == 1
    captured = capsys.readouterr()
    assert payloads(captured.out) == ["six", "6eff"]
    assert "trimmed: number 5; the first left is 6" in captured.err
    assert read(config) == 0  # what is left was asked for, and given


def test_formats(config: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert read(config, "--format", "text") == 0
    assert capsysbinary.readouterr().out == b"five\nsix\nn\xff\n"
    assert read(config, "--format", "hex", "--to", "5") == 0
    head, dump = capsysbinary.readouterr().out.decode().splitlines()
    assert head == "1970-01-01T00:00:10.000000000Z feed 0000000000000001 5 length 4"
    assert dump == "\t0x0000:  6669 7665                                five"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stor", "feed"], "did you mean 'store'?"),
        (["lan", "feed"], "sink 'lan' (multicast) is no message store"),
        (["store", "fed"], "it holds feed"),
        (["store", "feed", "--from", "yesterday"], "'yesterday' is no time"),
        (["store", "feed", "--from", "9", "--to", "8"], "--from 9 is behind --to 8"),
        (
            ["store", "feed", "--from", "2025-01-02T00:00:00Z", "--to", "2025-01-01T00:00:00Z"],
            "is behind --to 2025-01-01",
        ),
    ],
)
def test_mistakes(arguments: list[str], said: str, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", config, *arguments]) == 64
    assert said in capsys.readouterr().err


def test_a_store_that_is_away(config: str, memory: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    memory.stop()
    assert read(config) == 69
    assert capsys.readouterr().err.startswith("error: the memory is stopped")
