"""The doubles keep the contracts: what a pipeline is tested against behaves as every connector has to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.api import Stream
from bridge.testing.conformance import DatagramSinkSuite, DatagramSourceSuite, SinkSuite, SourceSuite, StoreSuite
from bridge.testing.doubles import (
    FullSink,
    Memory,
    MemoryDatagramSink,
    MemoryDatagramSource,
    MemorySink,
    MemorySource,
    MemoryStore,
    SlowSink,
)


class InMemory:
    """A place is a `Memory` that is named after the test's directory."""

    sink: Any = MemorySink
    store = MemoryStore
    source = MemorySource

    def options(self, path: Path) -> dict[str, Any]:
        return {"memory": str(path)}

    async def stored(self, path: Path, channel: str) -> list[tuple[Stream, int, bytes]]:
        return Memory.named(str(path)).messages(channel)

    async def break_system(self, path: Path) -> None:
        Memory.named(str(path)).stop()

    async def mend_system(self, path: Path) -> None:
        Memory.named(str(path)).start()

    async def trim(self, path: Path, stream: Stream) -> None:
        memory = Memory.named(str(path))
        memory.trim(stream, memory.rows(stream)[len(memory.rows(stream)) // 2].number)


class TestMemorySink(InMemory, SinkSuite):
    name = "memory"


class TestSlowSink(InMemory, SinkSuite):
    name = "memory, slow"
    sink = SlowSink


class TestFullSink(InMemory, SinkSuite):
    name = "memory, full"
    sink = FullSink


class TestMemoryStore(InMemory, StoreSuite):
    name = "memory"


class TestMemorySource(InMemory, SourceSuite):
    name = "memory"

    def source_options(self, path: Path) -> dict[str, Any]:
        return {"memory": str(path), "follow": True}


class TestMemorySourceThatEnds(InMemory, SourceSuite):
    name = "memory, not following"
    follows = False


class TestMemoryDatagramSource(DatagramSourceSuite):
    name = "memory"
    source = MemoryDatagramSource

    def options(self, path: Path, lines: Mapping[str, int]) -> dict[str, Any]:
        return {"lines": dict(lines)}

    async def feed(self, path: Path, source: Any, channel: str, line: str, datagrams: Sequence[bytes]) -> None:
        source.line(channel, line).feed(datagrams)

    def absent_options(self, path: Path) -> dict[str, Any]:
        return {"lines": {"one": 2}, "absent": ["one.B"]}

    async def appear(self, path: Path, source: Any) -> None:
        source.appear("one.B")


class TestMemoryDatagramSink(DatagramSinkSuite):
    name = "memory"
    sink = MemoryDatagramSink

    def options(self, path: Path, lines: Mapping[str, int]) -> dict[str, Any]:
        return {"channels": list(lines)}

    async def received(self, path: Path, sink: Any, channel: str, line: str, count: int) -> list[bytes]:
        return list(sink.outlets[channel].sent)
