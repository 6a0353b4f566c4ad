"""Verbs that are run in the test's own process leave nothing outside its directory."""

from pathlib import Path

import pytest

from bridge.cli import failures


@pytest.fixture(autouse=True)
def _traces_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_state", [tmp_path / "traces"])
    monkeypatch.setattr(failures, "state_is", lambda _: None)
