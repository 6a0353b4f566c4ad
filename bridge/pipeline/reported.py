"""The one exit for what will not be published: a range, its reason, the sink that lacks it (none: nobody gets it).

A disk window is played back at a start, and with it the gaps that were given up before the kill: they are decided again, and
must not be reported again. What counts is `losses.jsonl`: it says what was reported.
"""

import json
from collections.abc import Callable
from pathlib import Path

from bridge.api import Stream
from bridge.core.events import GapAbandoned
from bridge.core.ranges import RangeSet
from bridge.telemetry.codes import CODES
from bridge.telemetry.events import Events
from bridge.telemetry.losses import FILE, Losses
from bridge.telemetry.status import Loss

READ_BYTES = 8 * 2**20
"""So much of the file's end is read: about 50,000 ranges."""

RANGES = 4096

Key = tuple[str, str, int]


class Reported:
    """Ranges that are lost before any sink, by channel, session and restart."""

    def __init__(self) -> None:
        self._ranges: dict[Key, RangeSet] = {}

    def load(self, path: Path) -> None:
        """Read what an earlier run wrote. Blocks on the disk; a file that is not there, or lines cut by a kill, are nothing."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - READ_BYTES))
                lines = file.read().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                row = json.loads(line)
                if row["sink"] is None:
                    self._add((row["channel"], row["session"], row["restart"]), row["first"], row["last"])
            except (ValueError, KeyError, TypeError):
                continue

    def fresh(self, loss: Loss) -> list[Loss]:
        """The parts of a loss that were not reported yet; they are reported from now on."""
        key = loss.channel, loss.session, loss.restart
        known = self._ranges.get(key)
        parts = [(loss.first, loss.last + 1)] if known is None else known.missing(loss.first, loss.last + 1)
        self._add(key, loss.first, loss.last)
        return [loss.model_copy(update={"first": first, "last": stop - 1}) for first, stop in parts]

    def _add(self, key: Key, first: int, last: int) -> None:
        self._ranges.setdefault(key, RangeSet(RANGES)).add(first, last + 1)
        if len(self._ranges) > RANGES:
            del self._ranges[next(iter(self._ranges))]


class LossBook:
    """Names, counts and writes down every loss of a run. `session_text`: how a channel's wire shows a session."""

    def __init__(self, losses: Losses, events: Events, session_text: Callable[[Stream], str]) -> None:
        self.reported = Reported()
        self._losses = losses
        self._events = events
        self._session_text = session_text

    def load(self, state: Path) -> None:
        """What an earlier run reported. Blocks on the disk."""
        self.reported.load(state / FILE)

    def abandoned(self, gap: GapAbandoned) -> None:
        """Numbers that no line brought; their event is the core's own."""
        for part in self.reported.fresh(self._loss(gap.stream, gap.first, gap.last, gap.reason, None)):
            self._losses.record(part)

    def lacking(self, stream: Stream, first: int, last: int, reason: str, sink: str) -> None:
        """Numbers that one sink does not get."""
        code = "message_rejected" if reason == "rejected" else "messages_dropped"
        severity = CODES[code].severity
        numbers = str(first) if first == last else f"{first}..{last}"
        text = f"sink {sink}, channel {stream.channel}: {numbers} not published ({reason})"
        self._events.emit(
            code, severity, text, sink=sink, channel=stream.channel, first=first, last=last, reason=reason
        )
        self._losses.record(self._loss(stream, first, last, reason, sink))

    def _loss(self, stream: Stream, first: int, last: int, reason: str, sink: str | None) -> Loss:
        return Loss(
            channel=stream.channel,
            session=self._session_text(stream),
            restart=stream.restart,
            first=first,
            last=last,
            reason=reason,
            sink=sink,
        )
