"""`check` and `init`: what they print and how they end."""

from pathlib import Path

import pytest

from bridge.cli.init import sample
from bridge.cli.main import main

TEXT = """
[bridge]
name = "plant7"
[source.feed]
type = "multicast"
protocol = "native"
lines = ["239.1.1.1:5000%lo", "224.0.0.123:5000%lo"]
[sink.store]
type = "journal"
path = "/nowhere/journal"
[route.in]
from = "feed"
to = "store"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(TEXT)
    return path


def test_check_explains_addresses_and_promises(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(config)]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert lines[0] == f"{config}: valid: 1 source, 1 sink, 1 route"
    assert lines[2].startswith("  source feed, channel feed, line A: 239.1.1.1:5000%lo: ")
    assert lines[3].startswith("  source feed, channel feed, line B: 224.0.0.123:5000%lo: ")
    assert "in → store" in lines
    assert any(line.startswith("  once:      ") for line in lines)
    assert not any(line.startswith("bridge: ") for line in lines)


def test_check_touches_nothing_outside(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket", refuse)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    assert main(["check", str(config)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.toml"]


def test_values_in_force_are_printed_when_asked_for(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(config), "--values"]) == 0
    assert "bridge: name=plant7 state=" in capsys.readouterr().out


def test_warnings_do_not_fail_and_errors_do(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(TEXT + '[sink.idle]\ntype = "journal"\npath = "/x"\n')
    assert main(["check", str(config)]) == 0
    assert capsys.readouterr().err.startswith(f"warning: {config}:14: sink.idle: no route uses this sink")
    config.write_text(TEXT.replace("native", "naitve"))
    assert main(["check", str(config)]) == 78
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == f"error: {config}:6: source.feed.protocol: there is no protocol 'naitve'"
    assert "Traceback" not in captured.err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "/nonexistent.toml"]) == 78
    assert capsys.readouterr().err.startswith("error: /nonexistent.toml: cannot be read: No such file")


def test_what_init_writes_passes_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.toml"
    assert main(["init", str(path)]) == 0
    assert main(["check", str(path)]) == 0
    captured = capsys.readouterr()
    assert "valid: 1 source, 1 sink, 1 route" in captured.out
    assert "warning" not in captured.err


def test_what_init_offers_in_comments_passes_check_too(tmp_path: Path) -> None:
    text = sample("lo")
    assert "%lo" in text
    path = tmp_path / "all.toml"
    lines = [
        line.removeprefix("# ") if " = " in line.split("#")[1] else line for line in text.splitlines() if "#" in line
    ]
    offered = [line for line in lines if not line.startswith("#")]
    assert any(line.startswith("window") for line in offered)
    commented = {line for line in text.splitlines() if line.startswith("# ") and " = " in line.partition("  #")[0]}
    for line in commented:
        text = text.replace(line, line.removeprefix("# "))
    path.write_text(text)
    assert main(["check", str(path)]) == 0


def test_init_does_not_overwrite_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    assert main(["init", str(path)]) == 64
    assert path.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main(["init", str(path), "--force"]) == 0
    assert path.read_text() != "mine"
    assert main(["init", str(tmp_path / "no" / "where.toml")]) == 64
