"""The doubles keep the contracts: what a pipeline is tested against behaves as every connector has to."""

from pathlib import Path
from typing import Any

from bridge.api import Stream
from bridge.testing.conformance import SinkSuite
from bridge.testing.doubles import FullSink, Memory, MemorySink, MemorySource, MemoryStore, SlowSink


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
