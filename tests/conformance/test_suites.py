"""A test of the tests: each behaviour fails for connectors that are wrong in just that, and the records say so."""

import json
import unittest
from pathlib import Path
from typing import Any

import pytest

from bridge.testing import table
from bridge.testing.conformance import RECORD, Suite, behaviours, datagram
from bridge.testing.doubles import MemorySink, MemorySource, MemoryStore
from tests.conformance import broken_datagrams, broken_readers, broken_sinks
from tests.conformance import test_doubles as doubles
from tests.conformance.faults import BROKEN

ROLES: dict[str, tuple[type[Suite], str]] = {
    "sink": (doubles.TestMemorySink, "sink"),
    "store": (doubles.TestMemoryStore, "store"),
    "source": (doubles.TestMemorySource, "source"),
    "datagram source": (doubles.TestMemoryDatagramSource, "source"),
    "datagram sink": (doubles.TestMemoryDatagramSink, "sink"),
}
MODULES = (broken_sinks, broken_readers, broken_datagrams)
CASES = [(role, name, cls) for (role, name), classes in BROKEN.items() for cls in classes]


def suite_with(role: str, connector: type[Any], timeout: float = 20.0) -> Suite:
    """The suite that the doubles pass, with another connector."""
    base, attribute = ROLES[role]
    suite: Suite = type("Suite", (base,), {attribute: connector, "timeout": timeout, "name": connector.__name__})()
    return suite


@pytest.mark.parametrize(("role", "name", "connector"), CASES, ids=[f"{r}-{n}-{c.__name__}" for r, n, c in CASES])
def test_a_broken_connector_fails_the_behaviour(
    role: str, name: str, connector: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "PATIENCE", 0.2)
    suite = suite_with(role, connector, timeout=0.7)
    with pytest.raises(Exception) as caught:
        getattr(suite, f"test_{name}")(tmp_path)
    assert not isinstance(caught.value, unittest.SkipTest)


def test_every_behaviour_has_a_connector_that_fails_it() -> None:
    expected = {(behaviour.role, behaviour.name) for behaviour in behaviours()}
    assert expected - set(BROKEN) == set()
    assert set(BROKEN) - expected == set(), "faults for behaviours that do not exist"


def test_every_broken_connector_is_registered() -> None:
    registered = {cls for classes in BROKEN.values() for cls in classes}
    written = {
        cls
        for module in MODULES
        for cls in vars(module).values()
        if isinstance(cls, type) and cls.__module__ == module.__name__ and not cls.__subclasses__()
    }
    assert {cls.__name__ for cls in written - registered} == set()


def test_behaviours_have_stable_names_and_a_sentence() -> None:
    keys = [(behaviour.role, behaviour.name) for behaviour in behaviours()]
    assert len(keys) == len(set(keys))
    for behaviour in behaviours():
        assert behaviour.sentence.endswith("."), behaviour
        assert behaviour.name.replace("_", "").isalnum()


class ClaimsNothing(MemorySink):
    from bridge.api import Capabilities

    capabilities = Capabilities()


def test_what_is_not_claimed_is_skipped(tmp_path: Path) -> None:
    suite = suite_with("sink", ClaimsNothing)
    with pytest.raises(unittest.SkipTest, match="does not claim fences"):
        suite.test_fences_the_writer_before(tmp_path)  # type: ignore[attr-defined]


def test_what_the_author_gave_no_hook_for_is_skipped(tmp_path: Path) -> None:
    class NoHooks(datagram.DatagramSourceSuite):
        pass

    with pytest.raises(unittest.SkipTest, match="was not given absent_options, appear"):
        NoHooks().test_joins_later(tmp_path)


def test_a_behaviour_that_hangs_is_ended_and_says_what_it_demands(tmp_path: Path) -> None:
    class Hangs(MemorySink):
        async def close(self, drain: bool) -> None:
            while not self.closed:
                await __import__("asyncio").sleep(0.01)

    with pytest.raises(AssertionError, match=r"not done after 0\.1 s, but: close\(drain=True\) returns"):
        suite_with("sink", Hangs, timeout=0.1).test_drains(tmp_path)  # type: ignore[attr-defined]


def test_outcomes_are_recorded_and_become_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.jsonl"
    monkeypatch.setenv(RECORD, str(record))
    for i, connector in enumerate((MemorySink, ClaimsNothing, broken_sinks.FencesNobody)):
        place = tmp_path / str(i)
        place.mkdir()
        try:
            suite_with("sink", connector).test_fences_the_writer_before(place)  # type: ignore[attr-defined]
        except (AssertionError, unittest.SkipTest):
            continue
    assert json.loads(record.read_text().splitlines()[0]) == {
        "connector": "MemorySink",
        "role": "sink",
        "behaviour": "fences_the_writer_before",
        "outcome": "holds",
    }
    assert table.main([str(record)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[2] == "| Behaviour | ClaimsNothing | FencesNobody | MemorySink |"
    row = next(row for row in rows if "fences the writer before" in row)
    assert row.endswith("| — | **NO** | yes |")


def test_the_table_names_a_line_that_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "record.jsonl"
    record.write_text('{"connector": "x"}\n')
    assert table.main([str(record)]) == 1
    assert "line 1 is no recorded outcome" in capsys.readouterr().err
    assert table.main([]) == 64


def test_the_kit_imports_no_pytest() -> None:
    import subprocess
    import sys

    code = "import sys, bridge.testing.conformance, bridge.testing.doubles; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_doubles_are_what_the_suites_run() -> None:
    assert (doubles.TestMemorySink.sink, doubles.TestMemoryStore.store, doubles.TestMemorySource.source) == (
        MemorySink,
        MemoryStore,
        MemorySource,
    )
