"""What a sink does not get is said with the code and severity that the reference of events documents."""

from typing import Any, cast

import pytest

from bridge.api import Stream
from bridge.pipeline.reported import LossBook
from bridge.telemetry.codes import CODES
from bridge.telemetry.events import Events
from bridge.telemetry.losses import Losses


class _Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.losses: list[Any] = []

    def emit(self, code: str, severity: str, text: str, **fields: Any) -> None:
        self.events.append((code, severity))

    def record(self, loss: Any) -> None:
        self.losses.append(loss)


@pytest.mark.parametrize(("reason", "code"), [("overload", "messages_dropped"), ("rejected", "message_rejected")])
def test_severity_is_the_documented_one(reason: str, code: str) -> None:
    told = _Told()
    book = LossBook(cast("Losses", told), cast("Events", told), lambda stream: stream.session.hex())
    book.lacking(Stream("feed", bytes(8)), 3, 5, reason, "store")
    assert told.events == [(code, CODES[code].severity)]
    assert [(loss.first, loss.last, loss.reason, loss.sink) for loss in told.losses] == [(3, 5, reason, "store")]
