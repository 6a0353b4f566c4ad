"""The journal as sink, source and store, read back by SQL of the tests' own and broken by the kernel's limit on files."""

import array
import contextlib
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.api import MessageBatch, SessionStart, Stream
from bridge.testing.conformance import SinkSuite, SourceSuite, StoreSuite
from bridge.testing.conformance.traffic import EPOCH_NS
from bridge.testing.doubles import FakeContext, RecordingListener
from connectors.journal.sink import JournalSink
from connectors.journal.source import JournalSource
from connectors.journal.store import JournalStore

SOFT, HARD = resource.getrlimit(resource.RLIMIT_FSIZE)


class Journal:
    """A journal in the directory of the behaviour, cut into small files, so that several are in play."""

    sink = JournalSink
    source = JournalSource
    store = JournalStore

    @pytest.fixture(autouse=True)
    def _limits(self) -> Iterator[None]:
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (SOFT, HARD))

    def options(self, path: Path) -> dict[str, Any]:
        return {"path": str(path / "journal"), "segment": "64KiB", "commit_interval": "1ms"}

    async def stored(self, path: Path, channel: str) -> list[tuple[Stream, int, bytes]]:
        journal = path / "journal"
        with contextlib.closing(sqlite3.connect(journal / "registry.sqlite")) as registry:
            query = "SELECT id, session, restart FROM streams WHERE channel = ? ORDER BY epoch"
            streams = {row[0]: Stream(channel, row[1], row[2]) for row in registry.execute(query, (channel,))}
        found: dict[int, list[tuple[Stream, int, bytes]]] = {number: [] for number in streams}
        for segment in sorted(journal.glob("[0-9]*.sqlite")):
            with contextlib.closing(sqlite3.connect(segment)) as rows:
                query = "SELECT stream, first, lengths, numbers, data FROM items WHERE reason IS NULL ORDER BY row"
                for number, first, lengths, numbers, data in rows.execute(query):
                    if number in streams:
                        found[number] += self._messages(streams[number], first, lengths, numbers, data)
        return [message for number in streams for message in found[number]]

    def _messages(
        self, stream: Stream, first: int, lengths: bytes, numbers: bytes | None, data: bytes
    ) -> Iterator[tuple[Stream, int, bytes]]:
        at = 0
        listed = array.array("Q", numbers) if numbers else None
        for i, length in enumerate(array.array("I", lengths)):
            yield stream, listed[i] if listed else first + i, data[at : at + length]
            at += length

    async def break_system(self, path: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, HARD))

    async def mend_system(self, path: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SOFT, HARD))

    async def trim(self, path: Path, stream: Stream) -> None:
        """A writer with a tighter limit, on a channel of its own, until it closes a file and with that enforces it."""
        context, listener = FakeContext("trim"), RecordingListener()
        sink = JournalSink(JournalSink.Options.model_validate({**self.options(path), "max_messages": 400}), context)
        await sink.open("filler", listener)
        filler = Stream("filler", b"12345678")
        sink.submit(SessionStart(filler, "raw", 0))
        for first in range(0, 120, 40):
            batch = MessageBatch(filler, first, [b"x"] * 40, EPOCH_NS)
            while not sink.submit(batch):
                await listener.change()
        await listener.reaches(filler, 119)
        await sink.close(True)
        await context.close()


class TestJournalSink(Journal, SinkSuite):
    name = "journal"


class TestJournalStore(Journal, StoreSuite):
    name = "journal"


class TestJournalSource(Journal, SourceSuite):
    name = "journal"

    def source_options(self, path: Path) -> dict[str, Any]:
        return {"path": str(path / "journal")}

    async def break_system(self, path: Path) -> None:
        (path / "journal").rename(path / "away")

    async def mend_system(self, path: Path) -> None:
        (path / "away").rename(path / "journal")


class TestJournalSourceThatEnds(TestJournalSource):
    name = "journal, not following"
    follows = False

    def source_options(self, path: Path) -> dict[str, Any]:
        return {"path": str(path / "journal"), "follow": False}
