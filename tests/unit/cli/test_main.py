"""The program: verbs, statuses, and what a user's mistake looks like."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge import __version__
from bridge.api import ConfigurationError, Unavailable
from bridge.cli import failures, main
from bridge.cli.exits import MEANINGS, Exit

LIGHT = {"pydantic", "structlog", "bridge.config", "bridge.pipeline", "asyncio"}


def run(*arguments: str) -> int:
    return main.main(arguments)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"multicast-bridge {__version__}\n"


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for verb in main.VERBS:
        assert re.search(rf"^  {verb} +\S", out, re.MULTILINE), verb


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verb, "--help") == 0
    assert f"bridge {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["chekc"], "no such command 'chekc'", "did you mean `bridge check`?"),
        (["zzz"], "no such command 'zzz'", "`bridge --help` shows"),
        (["check"], "missing argument 'CONFIG'", "`bridge check --help` shows"),
        (["protocols", "--bogus"], "no such option: --bogus", "`bridge protocols --help` shows"),
        (["schema", "nothing"], "'nothing' is not one of", "`bridge schema --help` shows"),
        (["run", "c.toml", "--duration", "5x"], "unknown unit 'x'", "`bridge run --help` shows"),
        (["addresses", "10.0.0.1"], "no multicast group", "ff00::/8"),
    ],
)
def test_a_wrong_command_line_is_said_in_two_lines(
    arguments: list[str], said: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == Exit.USAGE
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()
    assert captured.out == ""
    assert first.startswith("error: ")
    assert said in first
    assert second.startswith("hint: ")
    assert hint in second


def test_no_argument_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == Exit.USAGE
    assert "Usage: bridge" in "".join(capsys.readouterr())


def _raising(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    def command() -> int:
        raise failure

    monkeypatch.setattr("bridge.cli.protocols.command", command)


@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [
        (ConfigurationError("no good", key="sink.x", hint="mend it"), 78, "error: sink.x: no good\nhint: mend it\n"),
        (Unavailable("not there", hint="start it"), 69, "error: not there\nhint: start it\n"),
        (failures.StateError("is full", hint="empty it"), 74, "error: is full\nhint: empty it\n"),
        (BrokenPipeError(), 0, ""),
        (KeyboardInterrupt(), 0, ""),
    ],
)
def test_each_kind_of_failure_has_its_status(
    failure: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _raising(monkeypatch, failure)
    assert run("protocols") == status
    assert capsys.readouterr().err == said


def test_an_internal_error_is_one_line_and_a_trace_in_the_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(failures, "_state", [tmp_path / "state"])
    failures.redactor.add("pl4nted-s3cret")
    _raising(monkeypatch, RuntimeError("oh pl4nted-s3cret\nsecond line"))
    assert run("protocols") == Exit.INTERNAL
    error = capsys.readouterr().err
    [trace] = (tmp_path / "state").iterdir()
    assert error.splitlines() == [
        "error: internal error: RuntimeError: oh ***",
        f"hint: report it with the trace in {trace}",
    ]
    assert "Traceback" in trace.read_text()
    assert "pl4nted-s3cret" not in trace.read_text()


def test_an_internal_error_is_said_even_where_nothing_can_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(failures, "_state", [tmp_path / "file"])
    _raising(monkeypatch, RuntimeError("oh"))
    assert run("protocols") == Exit.INTERNAL
    assert "the trace could not be written" in capsys.readouterr().err


def test_a_closed_pipe_is_an_ordinary_end() -> None:
    script = f"{sys.executable} -m bridge schema config; echo $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({script}) | head -1"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "{\n"
    assert done.stderr == "0\n"


def test_light_verbs_do_not_import_the_engine() -> None:
    script = "import sys; from bridge.cli.main import main; main(['--version']); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert not LIGHT & set(done.stdout.splitlines())


def test_every_status_has_its_meaning() -> None:
    assert set(MEANINGS) == set(Exit)


@pytest.mark.parametrize(("text", "seconds"), [("5", 5.0), ("0.5", 0.5), ("250ms", 0.25), ("2m", 120.0)])
def test_seconds_on_the_command_line(text: str, seconds: float) -> None:
    from bridge.cli.arguments import seconds as parse

    assert parse(text) == seconds


@pytest.mark.parametrize(
    ("no_color", "terminal", "coloured"), [("", True, True), ("1", True, False), ("", False, False)]
)
def test_colour_only_on_a_terminal_and_never_against_no_color(
    no_color: str, terminal: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bridge.cli.output import error

    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    error("x", "y")
    assert ("\x1b[" in capsys.readouterr().err) is coloured
