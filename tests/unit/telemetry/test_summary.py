import json
from pathlib import Path

import pytest

from bridge.telemetry.snapshot import assemble
from bridge.telemetry.status import Status
from bridge.telemetry.summary import summary_schema, write_summary
from tests.support.observed import FakeEngine


def test_the_file_is_the_status(tmp_path: Path) -> None:
    status = assemble(FakeEngine(2))
    write_summary(str(tmp_path / "summary.json"), status)
    assert Status.model_validate_json((tmp_path / "summary.json").read_text()) == status
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    write_summary("-", assemble(FakeEngine(0)))
    assert json.loads(capsys.readouterr().out)["format"] == 1


def test_the_schema_names_every_part() -> None:
    schema = summary_schema()
    assert schema["properties"]["format"]["const"] == 1
    assert {"Line", "StreamRow", "SinkRow", "SinkStream", "Gaps", "Loss"} <= set(schema["$defs"])
