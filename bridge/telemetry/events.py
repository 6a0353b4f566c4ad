"""Events: the one place that counts and logs them.

Each code is counted always and logged within a limit: `BURST` lines of one code in `SPAN` seconds, then only counted, and
when the span is over one line says how many were not shown. The receive path may emit a million events a second; the
log gets ten of them.
"""

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from bridge.api.context import Severity
from bridge.telemetry.codes import CODES, OTHER

BURST = 10
"""Lines of one code that are logged in a span."""

SPAN = 10.0
"""Seconds."""

UNLIMITED = frozenset({"configured"})
"""Codes of which every line is shown: they come once, at the start, and their number is the configuration's."""

MAX_FOREIGN = 256
"""Codes that are not ours and are still counted by name."""

_CODE = re.compile(r"[a-z][a-z0-9_.]{0,63}")


class Log(Protocol):
    """Takes one line. It must not block."""

    def __call__(self, severity: Severity, code: str, text: str, fields: dict[str, Any]) -> None: ...


class _Limit:
    """One code's span: when it began, how many lines it had, how many were not shown."""

    __slots__ = ("began", "severity", "shown", "suppressed")

    def __init__(self, began: float, severity: Severity) -> None:
        self.began = began
        self.severity = severity
        self.shown = 0
        self.suppressed = 0


class Events:
    """Counts and logs. To be used from the event loop's thread only."""

    def __init__(self, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self._clock = clock
        self._limits: dict[str, _Limit] = {}
        self._foreign = 0

    def emit(self, code: str, severity: Severity, text: str, **fields: Any) -> None:
        """Count the event, and log it unless its code had `BURST` lines in this span. `fields` hold no secret."""
        code = self._known(code)
        self.counts[code] += 1
        now = self._clock()
        limit = self._limits.get(code)
        if limit is None:
            limit = self._limits[code] = _Limit(now, severity)
        elif now - limit.began >= SPAN:
            self._end(code, limit)
            limit.began, limit.shown = now, 0
        if limit.shown >= BURST and code not in UNLIMITED:
            limit.suppressed += 1
            limit.severity = severity
            return
        limit.shown += 1
        self._log(severity, code, text, fields)

    def flush(self, *, everything: bool = False) -> None:
        """About once a second: say how many lines each code that is quiet again was not shown. `everything`: at the end."""
        now = self._clock()
        for code, limit in list(self._limits.items()):
            if everything or now - limit.began >= SPAN:
                self._end(code, limit)
                del self._limits[code]

    def _end(self, code: str, limit: _Limit) -> None:
        if limit.suppressed:
            text = f"{limit.suppressed} more {code} events were counted and not shown"
            self._log(limit.severity, code, text, {"suppressed": limit.suppressed})
            limit.suppressed = 0

    def _known(self, code: str) -> str:
        if code in CODES or code in self.counts:
            return code
        if self._foreign >= MAX_FOREIGN or not _CODE.fullmatch(code):
            return OTHER
        self._foreign += 1
        return code
