import io
import json
import logging
import threading
from typing import Any

import pytest

from bridge.api.options import Options, Secret, SecretValue
from bridge.telemetry.logs import Logger, LogWriter
from bridge.telemetry.redaction import Redactor

MOMENT = 1795407950.337


def logged(style: Any, *lines: tuple[Any, str, str, dict[str, Any]], level: Any = "info", **more: Any) -> list[str]:
    stream = io.StringIO()
    logger = Logger(stream, format=style, level=level, now=lambda: MOMENT, **more)
    for line in lines:
        logger(*line)
    logger.close()
    return stream.getvalue().splitlines()


def test_text() -> None:
    line = ("warning", "gap_abandoned", "numbers 5 to 7 are given up", {"channel": "itch1", "why": "two words"})
    assert logged("text", line) == [
        '2026-11-23T04:25:50.337Z warning gap_abandoned: numbers 5 to 7 are given up  channel=itch1 why="two words"'
    ]


def test_json() -> None:
    [line] = logged("json", ("error", "sink_refused", "no", {"channel": "c", "suppressed": 3, "text": "theirs"}))
    assert json.loads(line) == {
        "time": "2026-11-23T04:25:50.337Z",
        "severity": "error",
        "code": "sink_refused",
        "text": "no",
        "channel": "c",
        "suppressed": 3,
    }


def test_level() -> None:
    lines: list[tuple[Any, str, str, dict[str, Any]]] = [
        (severity, "x", severity, {}) for severity in ("debug", "info", "warning", "error")
    ]
    assert [line.split()[-1] for line in logged("text", *lines, level="warning")] == ["warning", "error"]
    assert len(logged("text", *lines, level="debug")) == 4


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_text_from_the_network_stays_on_one_line(style: str) -> None:
    [line] = logged(style, ("info", "x", "a\nb\x1b[31mc\u2028d", {"field": "e\nf"}))
    assert "\x1b" not in line


def test_secrets_do_not_show() -> None:
    redactor = Redactor()
    redactor.add("hunter22")
    text = "login of app failed: hunter22 at amqp://app:pa%40ss@host/, password=abc, token: 'x y'"
    fields = {"url": "redis://:secret@host", "secret": SecretValue("abcdef"), "list": ["hunter22"], "count": 4}
    [line] = logged("json", ("error", "library_message", text, fields), redactor=redactor)
    for secret in ("hunter22", "pa%40ss", "abc,", "x y", ":secret@", "abcdef"):
        assert secret not in line
    assert json.loads(line)["count"] == 4
    assert "amqp://app:***@host/" in line


def test_a_redactor_learns_options() -> None:
    class Inner(Options):
        password: Secret

    class Outer(Options):
        auth: Inner
        more: dict[str, Secret]

    redactor = Redactor()
    redactor.learn(Outer(auth=Inner(password=SecretValue("one-secret")), more={"k": SecretValue("one-secret-longer")}))
    assert redactor.clean("one-secret-longer and one-secret") == "*** and ***"


def test_a_short_secret_does_not_hit_everything() -> None:
    redactor = Redactor()
    redactor.add("a")
    assert redactor.clean("a banana") == "a banana"


class Stuck(io.StringIO):
    """A standard error that nobody reads, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.go = threading.Event()
        self.flushed = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.go.wait(10)
        return super().write(text)

    def flush(self) -> None:
        self.flushed.set()


def test_a_stuck_standard_error_does_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.telemetry.logs.MAX_WAITING", 3)
    stream = Stuck()
    writer = LogWriter(stream)
    writer.write("first")
    assert stream.reached.wait(10)
    for number in range(10):
        writer.write(f"line {number}")  # returns although nothing is written
    stream.go.set()
    assert stream.flushed.wait(10)  # nothing waits any more
    writer.write("last")
    writer.close(10)
    assert stream.getvalue().splitlines() == [
        "first",
        "line 0",
        "line 1",
        "line 2",
        "7 log lines were left out: standard error is not read",
        "last",
    ]


def test_close_does_not_wait_for_ever() -> None:
    stream = Stuck()
    writer = LogWriter(stream)
    writer.write("never")
    writer.close(0)
    assert stream.getvalue() == ""
    stream.go.set()


def test_what_libraries_log_is_handed_on() -> None:
    taken: list[tuple[str, str, str]] = []
    logger = Logger(io.StringIO())
    logger.take_library_messages(lambda *message: taken.append(message))
    library = logging.getLogger("some.library")
    try:
        library.info("not this")
        library.warning("broker %s is slow", 3)
        try:
            raise OSError("gone")
        except OSError:
            library.exception("it failed")
    finally:
        logger.close()
    library.warning("nobody listens any more")
    assert taken == [
        ("warning", "some.library", "broker 3 is slow"),
        ("error", "some.library", "it failed: OSError('gone')"),
    ]
