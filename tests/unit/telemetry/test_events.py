from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.telemetry.events import BURST, MAX_FOREIGN, SPAN, Events


class Recorder:
    """A log and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[tuple[str, str, str, dict[str, Any]]] = []
        self.events = Events(lambda *line: self.lines.append(line), lambda: self.now)

    def emit(self, code: str = "gap_opened") -> None:
        self.events.emit(code, "info", "numbers 5 to 7", channel="c")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_an_event_is_logged_and_counted(recorder: Recorder) -> None:
    recorder.emit()
    assert recorder.lines == [("info", "gap_opened", "numbers 5 to 7", {"channel": "c"})]
    assert recorder.events.counts == {"gap_opened": 1}


def test_a_burst_is_shown_and_the_rest_counted(recorder: Recorder) -> None:
    for _ in range(BURST + 90):
        recorder.emit()
    assert len(recorder.lines) == BURST
    assert recorder.events.counts["gap_opened"] == BURST + 90
    recorder.now = SPAN
    recorder.emit()
    assert recorder.lines[BURST][3] == {"suppressed": 90}
    assert "90 more gap_opened events" in recorder.lines[BURST][2]
    assert recorder.lines[BURST + 1][2] == "numbers 5 to 7"


def test_what_was_not_shown_is_said_when_the_code_is_quiet(recorder: Recorder) -> None:
    for _ in range(BURST + 1):
        recorder.emit()
    recorder.events.flush()
    assert len(recorder.lines) == BURST
    recorder.now = SPAN
    recorder.events.flush()
    recorder.events.flush()
    assert [line[3] for line in recorder.lines[BURST:]] == [{"suppressed": 1}]


def test_the_end_of_the_run_says_all(recorder: Recorder) -> None:
    for _ in range(BURST + 5):
        recorder.emit()
    recorder.events.flush(everything=True)
    assert recorder.lines[-1][3] == {"suppressed": 5}


def test_one_code_does_not_silence_another(recorder: Recorder) -> None:
    for _ in range(BURST * 2):
        recorder.emit("gap_opened")
    recorder.emit("sink_unavailable")
    assert recorder.lines[-1][1] == "sink_unavailable"


def test_every_line_of_the_configuration_is_shown(recorder: Recorder) -> None:
    for _ in range(BURST * 3):
        recorder.emit("configured")
    assert len(recorder.lines) == BURST * 3


def test_codes_of_others_are_counted_by_name_up_to_a_cap(recorder: Recorder) -> None:
    for number in range(MAX_FOREIGN + 3):
        recorder.emit(f"theirs.code{number}")
    recorder.emit("theirs.code0")
    assert recorder.events.counts["theirs.code0"] == 2
    assert recorder.events.counts["other"] == 3
    assert len(recorder.events.counts) == MAX_FOREIGN + 1


@pytest.mark.parametrize("code", ["", "Upper", "with space", 'quote"', "x" * 65, "1st", "new\nline"])
def test_a_code_that_is_no_name_is_counted_as_other(recorder: Recorder, code: str) -> None:
    recorder.emit(code)
    assert recorder.events.counts == {"other": 1}


@given(st.lists(st.tuples(st.sampled_from(["gap_opened", "late_messages", "x.y"]), st.floats(0, 15))))
def test_shown_and_suppressed_are_together_all(moves: list[tuple[str, float]]) -> None:
    recorder = Recorder()
    for code, later in moves:
        recorder.now += later
        recorder.emit(code)
        recorder.events.flush()
    recorder.events.flush(everything=True)
    suppressed = sum(fields.get("suppressed", 0) for *_, fields in recorder.lines)
    shown = sum("suppressed" not in fields for *_, fields in recorder.lines)
    assert shown + suppressed == len(moves) == sum(recorder.events.counts.values())
