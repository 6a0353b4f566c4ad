"""The demo in small, in both protocols: everything that it claims is checked by itself, so its status is the test."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.mark.parametrize("protocol", ["native", "moldudp64"])
def test_the_demo_holds(protocol: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bridge.testing.demo", "--protocol", protocol, "--messages", "3000"]
    done = subprocess.run([*command, "--keep", str(tmp_path)], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds" in done.stdout
    assert "DOES NOT HOLD" not in done.stdout


def test_the_demo_notices_a_message_that_vanished(tmp_path: Path) -> None:
    """With a message taken out of what the listener wrote, and one of the report's, the same evidence does not hold."""
    import json

    from bridge.core.payload import Sizes
    from bridge.testing.demo_check import Evidence, check

    command = [sys.executable, "-m", "bridge.testing.demo", "--protocol", "moldudp64", "--messages", "500"]
    subprocess.run([*command, "--keep", str(tmp_path)], capture_output=True, timeout=100, check=True)
    heard, report = tmp_path / "listen.out", json.loads((tmp_path / "report.json").read_text())

    def said(**changes: object) -> list[str]:
        values: dict[str, object] = {
            "protocol": "moldudp64",
            "seed": 1,
            "sizes": Sizes(20, 1400),
            "channel": "demo",
            "report": report,
            "inbound": json.loads((tmp_path / "inbound.json").read_text()),
            "outbound": json.loads((tmp_path / "outbound.json").read_text()),
            "heard": heard,
            "journal": tmp_path / "journal",
            "empty_holes": True,
        }
        lines: list[str] = []
        check(Evidence(**{**values, **changes}), lines.append)  # type: ignore[arg-type] # a table of keywords
        return [line for line in lines if "DOES NOT HOLD" in line]

    assert said() == []
    shorter = tmp_path / "shorter"
    rows = heard.read_bytes().splitlines(keepends=True)
    shorter.write_bytes(b"".join(rows[:200] + rows[201:]))
    assert ["listener got every" in line for line in said(heard=shorter)] == [True]
    twice = tmp_path / "twice"
    twice.write_bytes(b"".join([*rows, rows[-1]]))
    assert ["listener got every" in line for line in said(heard=twice)] == [True]
    assert any("dropped on both" in line for line in said(report={**report, "lost_on_all": [[7, 7]]}))
