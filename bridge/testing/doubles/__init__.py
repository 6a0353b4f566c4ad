"""Doubles that keep the contracts of `bridge.api` in memory, and remember what happened to them.

    Memory                          the system: what is stored, and the faults that a test puts into it
    MemorySink, SlowSink, FullSink, FailingSink, MemorySource, MemoryStore     over one Memory
    MemoryDatagramSource, MemoryLine, MemoryDatagramSink, MemoryOutlet         datagrams in lists
    FakeContext, RecordingListener                                             the engine's side

They pass the conformance suites that ship beside them; so a pipeline that works with them works with any connector that
passes too.
"""

from bridge.testing.doubles.context import Emitted, FakeContext, RecordingListener
from bridge.testing.doubles.datagrams import MemoryDatagramSink, MemoryDatagramSource, MemoryLine, MemoryOutlet
from bridge.testing.doubles.memory import Memory, Row
from bridge.testing.doubles.readers import MemorySource, MemoryStore
from bridge.testing.doubles.sinks import FailingSink, FullSink, MemorySink, SlowSink

__all__ = [
    "Emitted",
    "FailingSink",
    "FakeContext",
    "FullSink",
    "Memory",
    "MemoryDatagramSink",
    "MemoryDatagramSource",
    "MemoryLine",
    "MemoryOutlet",
    "MemorySink",
    "MemorySource",
    "MemoryStore",
    "RecordingListener",
    "Row",
    "SlowSink",
]
