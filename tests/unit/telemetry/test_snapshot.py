import json

from bridge.telemetry.snapshot import assemble, status_slices
from bridge.telemetry.status import Loss, Status
from tests.support.observed import FakeEngine


def loss(first: int) -> Loss:
    return Loss(channel="channel0", session="17", restart=0, first=first, last=first + 4, reason="wire")


def test_slices_are_the_same_snapshot_as_the_whole() -> None:
    engine = FakeEngine(3)
    engine.lost = [loss(1), loss(10)]
    engine.connectors = {"commits": [{"labels": {"table": "a"}, "value": 1}]}
    written = b"".join(status_slices(engine))
    assert Status.model_validate_json(written) == assemble(engine)
    assert written.endswith(b"\n")


def test_an_engine_without_channels_is_still_json() -> None:
    status = json.loads(b"".join(status_slices(FakeEngine(0))))
    assert status["sources"][0]["channels"] == []
    assert status["routes"][0]["sinks"] == []


def test_each_step_takes_one_channel() -> None:
    engine = FakeEngine(5)
    slices = status_slices(engine)
    for taken in range(1, 6):
        assert next(slices) == b""
        assert engine.steps == taken


def test_losses_may_grow_while_the_answer_is_written() -> None:
    engine = FakeEngine(1)
    engine.lost = [loss(1), loss(10)]
    parts = []
    for part in status_slices(engine):
        parts.append(part)
        engine.lost.append(loss(100))
    assert [row["first"] for row in json.loads(b"".join(parts))["losses"]][:2] == [1, 10]


def test_problems_of_all_channels_decide_balanced() -> None:
    engine = FakeEngine(2)
    engine.problems = ["L5: end - base = 3 != 2"]
    assert assemble(engine).balanced is False
    status = json.loads(b"".join(status_slices(engine)))
    assert (status["balanced"], status["problems"]) == (False, engine.problems)
