"""What the journal's tests share: rows, a storage with a clock of its own, and everything that a store says of a stream."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bridge.api import Data, Hole, Item, MessageBatch, Never, NotYet, Opened, SessionStart, Stream, Trimmed
from bridge.testing.doubles import FakeContext, RecordingListener
from connectors.journal.layout import pack_lengths
from connectors.journal.options import SinkOptions
from connectors.journal.retention import Limits
from connectors.journal.segment import Row, StreamRow
from connectors.journal.sink import JournalSink
from connectors.journal.storage import Storage
from connectors.journal.store import JournalStore

A = Stream("a", b"session1")
A2 = Stream("a", b"session2")
B = Stream("b", b"session1")
SECOND = 1_000_000_000


def row(of: StreamRow, first: int, payloads: list[bytes], time: int = 0) -> Row:
    last = first + len(payloads) - 1
    return Row(of, first, last, len(payloads), time, None, pack_lengths(payloads), None, b"".join(payloads))


class Clock:
    """Nanoseconds that only move when a test says so."""

    def __init__(self, now: int = 1000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def storage(path: Path, clock: Clock | None = None, **limits: Any) -> Storage:
    opened = Storage(path, Limits(**{"segment_bytes": 2**20, **limits}), clock or Clock())
    opened.open()
    return opened


def begin(journal: Storage, stream: Stream = A, epoch: int = 1, first: int = 0) -> StreamRow:
    claimed = StreamRow(stream, epoch, "native", first)
    journal.claim(claimed)
    return claimed


class Writing:
    """A sink on a journal, opened, with its listener."""

    def __init__(self, path: Path, context: FakeContext | None = None, **options: Any) -> None:
        self.context = context or FakeContext("journal", path.parent / "state")
        given = {"path": str(path), "commit_interval": "0ms", **options}
        self.sink = JournalSink(SinkOptions.model_validate(given), self.context)
        self.listener = RecordingListener()
        self.opened: Opened | None = None

    async def open(self, channel: str = "a") -> "Writing":
        self.opened = await self.sink.open(channel, self.listener)
        return self

    async def put(self, items: Iterable[Item]) -> None:
        for item in items:
            while not self.sink.submit(item):
                await self.listener.change()

    async def done(self) -> None:
        await self.sink.close(True)
        assert self.listener.broken == []
        for failure in self.listener.failures:
            raise failure


async def write(path: Path, items: list[Item], channel: str = "a", **options: Any) -> None:
    """Write items with a sink of its own and close it."""
    writing = await Writing(path, **options).open(channel)
    await writing.put(items)
    await writing.done()


def start(stream: Stream = A, first: int = 0) -> SessionStart:
    return SessionStart(stream, "native", first)


def batch(first: int, payloads: list[bytes], stream: Stream = A, time: int = SECOND, **more: Any) -> MessageBatch:
    return MessageBatch(stream, first, payloads, time, **more)


def hole(first: int, last: int, stream: Stream = A) -> Hole:
    return Hole(stream, first, last, "wire")


async def opened_store(path: Path) -> JournalStore:
    store = JournalStore(SinkOptions(path=path), FakeContext("store", path.parent / "state"))
    await store.open()
    return store


async def told(store: JournalStore, stream: Stream, first: int, last: int, limit: int = 4096) -> dict[int, object]:
    """What the store says of every number: a payload, or the name of the answer. Fails on a number told twice or none."""
    found: dict[int, object] = {}
    following = first
    async for piece in store.read(stream, first, last, limit=limit):
        if isinstance(piece, Data):
            assert len(piece.batch.payloads) <= limit
            assert piece.batch.numbers is None
            low, answers = piece.batch.first, list[object](piece.batch.payloads)
        else:
            low, answers = piece.first, [_name(piece)] * (piece.last - piece.first + 1)
        assert low == following, f"{piece} after {following - 1}"
        found |= dict(enumerate(answers, low))
        following = low + len(answers)
    assert following == last + 1
    return found


def _name(piece: Trimmed | NotYet | Never) -> object:
    if isinstance(piece, Never):
        return f"never: {piece.reason}"
    return "trimmed" if isinstance(piece, Trimmed) else "not yet"
