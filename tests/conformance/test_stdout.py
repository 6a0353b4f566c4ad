"""Standard output as a sink, read back from a file that stands in its place: it claims nothing, and keeps the rest."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.api import Stream
from bridge.testing.conformance import SinkSuite
from connectors.stdout.sink import StdoutSink


class TestStdoutSink(SinkSuite):
    name = "stdout"
    sink = StdoutSink

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.monkeypatch = monkeypatch
        with (tmp_path / "stdout").open("a", encoding="utf-8") as self.file:
            yield
            monkeypatch.undo()

    def options(self, path: Path) -> dict[str, Any]:
        self.monkeypatch.setattr(sys, "stdout", self.file)  # not in the fixture: pytest puts its own back after that
        return {"format": "jsonl"}

    async def break_system(self, path: Path) -> None:
        """The program at the other end of the pipe ends."""
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, self.file.fileno())
        os.close(writer)

    async def mend_system(self, path: Path) -> None:
        opened = os.open(path / "stdout", os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, self.file.fileno())
        os.close(opened)

    async def stored(self, path: Path, channel: str) -> list[tuple[Stream, int, bytes]]:
        """The lines of a channel; a session whose numbers fall has begun again, since the lines name no restart."""
        found: list[tuple[Stream, int, bytes]] = []
        last: dict[str, tuple[int, int]] = {}  # by session: restart, number
        for line in (path / "stdout").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["channel"] != channel:
                continue
            restart, before = last.get(row["session"], (0, -1))
            restart += row["sequence"] <= before
            last[row["session"]] = (restart, row["sequence"])
            payload = row["payload"].encode() if "payload" in row else bytes.fromhex(row["payload_hex"])
            found.append((Stream(channel, bytes.fromhex(row["session"]), restart), row["sequence"], payload))
        return found
