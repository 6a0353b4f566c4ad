"""A journal under random traffic, restarts, resends and retention says of every number what a model says."""

import asyncio
import random
import tempfile
from pathlib import Path

import pytest

from bridge.api import Hole, Item, MessageBatch, SessionEnd, SessionStart, Start, Stream
from bridge.testing.doubles import FakeContext
from connectors.journal.options import SourceOptions
from connectors.journal.source import JournalSource
from tests.unit.connectors.journal.helpers import SECOND, Writing, opened_store, told

SEEDS = 25


class Model:
    """One channel: what was submitted of each of its streams, number by number."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.streams: list[Stream] = []
        self.said: dict[Stream, dict[int, object]] = {}
        self.items: dict[Stream, list[Item]] = {}
        self.next: dict[Stream, int] = {}
        self.first: dict[Stream, int] = {}

    def begin(self) -> None:
        stream = Stream("a", b"session%d" % (len(self.streams) // 2), len(self.streams) % 2)
        self.streams.append(stream)
        self.first[stream] = self.next[stream] = self.random.choice((0, 1, 1000))
        self.said[stream], self.items[stream] = {}, []

    def grow(self) -> None:
        stream = self.streams[-1]
        said, at = self.said[stream], self.next[stream]
        kind = self.random.random()
        if kind < 0.15:
            last = at + self.random.randint(0, 20)
            self.items[stream].append(Hole(stream, at, last, "wire"))
            said |= dict.fromkeys(range(at, last + 1), "never: wire")
            self.next[stream] = last + 1
            return
        step = 3 if kind < 0.3 else 1
        at += self.random.choice((0, 0, 0, 2))
        numbers = [at]
        for _ in range(self.random.randint(0, 40)):
            numbers.append(numbers[-1] + self.random.randint(1, step))
        payloads = [self.random.randbytes(self.random.choice((0, 5, 40, 3000))) for _ in numbers]
        said |= dict.fromkeys(range(self.next[stream], numbers[-1] + 1), "never: filtered")
        said |= dict(zip(numbers, payloads, strict=True))
        sparse = numbers if numbers[-1] - numbers[0] >= len(numbers) else None
        time = SECOND * (1 + len(self.items[stream]))
        self.items[stream].append(MessageBatch(stream, numbers[0], payloads, time, sparse))
        self.next[stream] = numbers[-1] + 1


def _last(item: Item) -> int:
    if isinstance(item, SessionEnd):
        return item.next
    return -1 if isinstance(item, SessionStart) else item.last


async def live(journal: Path, model: Model) -> None:
    """A few lives of a bridge: each resends from somewhere at or below what is stored, and goes on from there."""
    chance = model.random
    limit = {"max_messages": chance.choice((100, 400))} if chance.random() < 0.5 else {}
    model.begin()
    for _ in range(chance.randint(2, 5)):
        writing = await Writing(journal, segment=chance.choice(("64KiB", "256KiB")), **limit).open()
        opened = writing.opened
        # As the engine does: everything that is not decided is sent again, and perhaps a little more.
        newest = 0 if opened is None else model.streams.index(opened.stream)
        for stream in model.streams[newest:]:
            stored = opened is not None and stream == opened.stream and opened.through is not None
            through = opened.through if opened is not None and opened.through is not None and stored else -1
            kept = model.items[stream]
            behind = max(0, sum(_last(item) <= through for item in kept) - chance.randint(0, 3))
            await writing.put([SessionStart(stream, "native", model.first[stream]), *kept[behind:]])
        for _ in range(chance.randint(0, 30)):
            model.grow()
            await writing.put(model.items[model.streams[-1]][-1:])
        if chance.random() < 0.3:
            left = model.streams[-1]
            model.items[left].append(SessionEnd(left, model.next[left]))
            model.begin()
            await writing.put(
                [model.items[left][-1], SessionStart(model.streams[-1], "native", model.first[model.streams[-1]])]
            )
        if chance.random() < 0.5:
            await writing.done()
        else:
            await writing.sink.close(False)


async def check(journal: Path, model: Model) -> None:
    store = await opened_store(journal)
    infos = {info.stream: info for info in await store.streams("a")}
    assert [info.epoch for info in infos.values()] == list(range(1, len(infos) + 1))
    for stream, info in infos.items():
        through = -1 if info.through is None else info.through
        trimmed = {n for n in range(info.first, through + 1) if info.first_left is None or n < info.first_left}
        upto = model.next[stream] + 5
        found = await told(store, stream, model.first[stream], upto, limit=model.random.choice((1, 7, 4096)))
        for number, answer in found.items():
            if answer == "trimmed":
                assert number in trimmed, number
            else:
                expected = model.said[stream].get(number, "not yet") if number <= through else "not yet"
                assert answer == expected, (stream, number)
        if info is not list(infos.values())[-1]:
            assert through == model.next[stream] - 1 or (through == -1 and not model.said[stream])
    await store.close()


async def check_source(journal: Path, model: Model) -> None:
    """The source gives every retained message, and every number of a stream in order, in a batch or in a hole."""
    options = SourceOptions(path=journal, follow=False)
    source = JournalSource(options, FakeContext("s", journal.parent / "state"))
    await source.open(Start("earliest"))
    following: dict[Stream, int] = {}
    while found := await source.read(50):
        for item, _ in found:
            if isinstance(item, SessionStart):
                following[item.stream] = item.first
            elif isinstance(item, SessionEnd):
                assert item.next == following[item.stream]
            else:
                assert item.first == following[item.stream]
                following[item.stream] = item.last + 1
            if isinstance(item, MessageBatch):
                for place, payload in enumerate(item.payloads):
                    assert model.said[item.stream][item.number(place)] == payload
    await source.close()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_journal_says_what_the_model_says(seed: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        journal, model = Path(directory) / "journal", Model(seed)

        async def run() -> None:
            await live(journal, model)
            await check(journal, model)
            await check_source(journal, model)

        asyncio.run(run())
