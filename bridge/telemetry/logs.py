"""Log lines: structlog renders them, a thread writes them.

Standard error may be a pipe that nobody reads or a stopped terminal; writing to it would hold the event loop. A line is
rendered in the loop, then written by a thread; beyond `MAX_WAITING` lines are counted and left out, and said so.

`text`: `2026-11-23T04:25:50.337Z warning  gap_abandoned  numbers 5 to 7 are given up  channel=itch1`
`json`: one object a line: `time`, `severity`, `code`, `text`, and the fields.
"""

import contextlib
import datetime
import json
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import IO, Any, Literal

import structlog

from bridge.api.context import Severity
from bridge.telemetry.redaction import Redactor

Format = Literal["text", "json"]

MAX_WAITING = 10_000
"""Lines that wait to be written."""

_RANK: dict[Severity, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PLAIN = re.compile(r"[\w./:%@+\[\]-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class LogWriter:
    """Writes lines to a stream in a thread of its own. `close` waits for at most `wait` seconds."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Never blocks."""
        if self._lines.qsize() >= MAX_WAITING:
            self._left_out += 1
            return
        if self._left_out:
            self._lines.put(f"{self._left_out} log lines were left out: standard error is not read")
            self._left_out = 0
        self._lines.put(line)

    def close(self, wait: float = 1.0) -> None:
        """Write what waits, for at most `wait` seconds. Idempotent."""
        self._lines.put(None)
        self._thread.join(wait)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody reads: there is no other place to say so
                self._stream.write(line + "\n")
                if self._lines.empty():
                    self._stream.flush()


class Logger:
    """The bridge's log: callable as `events.Log`. `close()` at the end of the run."""

    def __init__(
        self,
        stream: IO[str],
        *,
        level: Severity = "info",
        format: Format = "text",  # noqa: A002 - the setting's own name
        redactor: Redactor | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.redactor = redactor or Redactor()
        self._least = _RANK[level]
        self._writer = LogWriter(stream)
        self._handler: _LibraryHandler | None = None
        self._log = structlog.wrap_logger(
            self._writer,
            processors=[_stamp(now), self._redact, _render_json if format == "json" else _render_text],
            wrapper_class=_Line,
        )

    def __call__(self, severity: Severity, code: str, text: str, fields: dict[str, Any]) -> None:
        if _RANK[severity] >= self._least:
            self._log.line(severity=severity, code=code, text=text, fields=fields)

    def take_library_messages(self, emit: Callable[[Severity, str, str], None]) -> None:
        """From now on, what libraries log from warning on goes to `emit(severity, library, text)`, in whatever thread
        they log: the caller brings it to the loop's."""
        self._handler = _LibraryHandler(emit)
        logging.getLogger().addHandler(self._handler)

    def close(self) -> None:
        """Write what waits. Idempotent."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            self._handler = None
        self._writer.close()

    def _redact(self, _: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["text"] = self.redactor.clean(line["text"])
        line["fields"] = {name: self.redactor.clean_value(value) for name, value in line["fields"].items()}
        return line


class _Line(structlog.BoundLoggerBase):
    """Passes one line through the processors to the writer."""

    def line(self, **values: Any) -> None:
        self._proxy_to_logger("write", **values)


class _LibraryHandler(logging.Handler):
    """Hands on what libraries log with the standard library's logging."""

    def __init__(self, emit: Callable[[Severity, str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self._emit("error" if record.levelno >= logging.ERROR else "warning", record.name, text)


def _stamp(now: Callable[[], float]) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    def stamp(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        moment = datetime.datetime.fromtimestamp(now(), datetime.UTC)
        line["time"] = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
        return line

    return stamp


def _render_text(_: Any, __: str, line: MutableMapping[str, Any]) -> str:
    fields = "".join(f" {name}={_field(value)}" for name, value in line["fields"].items())
    start = f"{line['time']} {line['severity']:<7} {line['code']}: {line['text']}"
    return _CONTROL.sub("?", start + (" " + fields if fields else ""))


def _render_json(_: Any, __: str, line: MutableMapping[str, Any]) -> str:
    head = {name: line[name] for name in ("time", "severity", "code", "text")}
    text = json.dumps({**line["fields"], **head}, ensure_ascii=False, default=str)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _field(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
