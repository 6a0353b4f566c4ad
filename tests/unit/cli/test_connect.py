"""`check --connect` over doubles: what is there, what is absent, and that nothing is left open."""

from pathlib import Path

import pytest

from bridge.cli.main import main
from bridge.config import registry
from bridge.testing.doubles import Memory

CONFIG = """
[source.feed]
type = "memory"
memory = "test_connect"
[sink.store]
type = "memory"
memory = "test_connect"
[route.in]
from = "feed"
to = "store"
"""


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Memory:
    installed = [
        registry.Connector("message_source", "memory", "bridge.testing.doubles:MemorySource", "test", "0"),
        registry.Connector("message_sink", "memory", "bridge.testing.doubles:MemorySink", "test", "0"),
        registry.Connector("store", "memory", "bridge.testing.doubles:MemoryStore", "test", "0"),
        *(c for c in registry.connectors().connectors if c.name == "journal"),
    ]
    monkeypatch.setattr(registry, "connectors", lambda: registry.Listing(installed, []))
    (tmp_path / "c.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    memory = Memory.named("test_connect")
    memory.start()
    return memory


def test_what_is_there(memory: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    assert not memory.log
    assert main(["check", "c.toml", "--connect"]) == 0
    out = capsys.readouterr().out
    assert "  source feed: there" in out
    assert "  sink store, channel store: nothing stored yet" in out
    assert not memory.log


def test_what_is_absent_is_named_and_fails(memory: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    memory.stop()
    assert main(["check", "c.toml", "--connect"]) == 69
    captured = capsys.readouterr()
    assert "  sink store: absent" in captured.out
    assert captured.err.splitlines() == [
        "error: source feed: the memory is stopped",
        "error: sink store: the memory is stopped",
    ]


def test_a_journal_that_is_not_there_yet_is_not_made(
    memory: Memory, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text(
        CONFIG.replace('type = "memory"\nmemory = "test_connect"\n[route', 'type = "journal"\npath = "a/b"\n[route')
    )
    assert main(["check", "c.toml", "--connect"]) == 0
    assert not memory.log
    assert f"sink store: {tmp_path}/a/b is not there yet, the first run makes it" in capsys.readouterr().out
    assert not (tmp_path / "a").exists()
