"""What the suites write, by seeds, and what they expect back."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bridge.api import ConnectorError, Hole, HoleReason, Item, MessageBatch, Opened, SessionEnd, SessionStart, Stream
from bridge.api.sink import MessageSink
from bridge.testing.conformance.behaviour import demand, demand_equal
from bridge.testing.doubles import RecordingListener

CHANNEL = "itch-1.A_x"
"""A channel's name with every kind of character that one may have."""

EPOCH_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
"""Batches of a script are a second apart: systems keep times in milliseconds, and some in less."""


class Message(NamedTuple):
    """One message as it should be found again."""

    stream: Stream
    number: int
    payload: bytes


def stream(session: int = 1, restart: int = 0, channel: str = CHANNEL) -> Stream:
    """A stream whose session is 8 bytes that are no text."""
    return Stream(channel, b"\x00\xff\xfe\x80" + session.to_bytes(4, "big"), restart)


def payload(number: int, size: int) -> bytes:
    """Bytes that tell their number and are no text; the same for the same number and size."""
    return (number.to_bytes(8, "big") + b"\x00\n\xff\r" * (size // 4 + 1))[:size]


class Script:
    """One stream as it is written, item by item. `items` is what to submit, `messages` and `holes` what to find."""

    def __init__(self, of: Stream, first: int = 0, *, seed: int = 0, time_ns: int = EPOCH_NS) -> None:
        self.stream = of
        self.first = self.next = first
        self.items: list[Item] = [SessionStart(of, "native", first)]
        self.times: dict[int, int] = {}
        self._time_ns = time_ns
        self.random = random.Random(seed)

    @property
    def batches(self) -> list[MessageBatch]:
        return [item for item in self.items if isinstance(item, MessageBatch)]

    @property
    def messages(self) -> list[Message]:
        return [Message(b.stream, b.number(i), p) for b in self.batches for i, p in enumerate(b.payloads)]

    @property
    def holes(self) -> list[Hole]:
        return [item for item in self.items if isinstance(item, Hole)]

    @property
    def last(self) -> int:
        """The last number decided."""
        return self.next - 1

    def batch(self, count: int, size: int | None = None, *, numbers: list[int] | None = None) -> MessageBatch:
        """The next `count` messages, of `size` bytes or of sizes from 0 to 300; with `numbers`, exactly those."""
        at = numbers or list(range(self.next, self.next + count))
        payloads = [payload(n, self.random.randrange(300) if size is None else size) for n in at]
        self._time_ns += SECOND_NS
        self.times |= dict.fromkeys(at, self._time_ns)
        item = MessageBatch(self.stream, at[0], payloads, self._time_ns, numbers)
        self.items.append(item)
        self.next = at[-1] + 1
        return item

    def hole(self, count: int, reason: HoleReason = "wire") -> Hole:
        """The next `count` numbers never come."""
        item = Hole(self.stream, self.next, self.next + count - 1, reason)
        self.items.append(item)
        self.next += count
        return item

    def end(self) -> SessionEnd:
        item = SessionEnd(self.stream, self.next)
        self.items.append(item)
        return item

    def mixed(self, count: int) -> "Script":
        """About `count` further numbers in batches of 1 to 30 and holes of 1 to 9, beginning and ending with a batch."""
        target = self.next + count
        self.batch(3)
        while self.next < target:
            if self.random.random() < 0.25:
                self.hole(self.random.randint(1, 9), self.random.choice(("wire", "announced", "overload")))
            self.batch(self.random.randint(1, 30))
        return self

    def from_number(self, first: int) -> list[Item]:
        """What an engine sends again from its window: the start, then everything with numbers of at least `first`."""
        kept: list[Item] = [SessionStart(self.stream, "native", first)]
        for item in self.items[1:]:
            if isinstance(item, MessageBatch) and item.last >= first:
                kept.append(item.from_number(first))
            elif isinstance(item, Hole) and item.last >= first:
                kept.append(replace(item, first=max(first, item.first)))
            elif isinstance(item, SessionEnd):
                kept.append(item)
        return kept


@dataclass
class Writer:
    """A sink that is open, with the listener that watches it."""

    sink: MessageSink
    listener: RecordingListener
    opened: Opened | None

    async def write(self, items: Iterable[Item]) -> None:
        """Submit in order, waiting where the sink is full. Raises its failure."""
        for item in items:
            while not self.sink.submit(item):
                if self.listener.failures:
                    raise self.listener.failures[0]
                await self.listener.change()

    async def drain(self, *scripts: Script) -> None:
        """Close with drain; every script must be acknowledged up to its last number, and the contract kept."""
        await self.sink.close(True)
        for failure in self.listener.failures:
            raise failure
        for script in scripts:
            through = self.listener.through(script.stream)
            demand_equal(through, script.last, f"acknowledged of session {script.stream.session!r} after a drain")
        self.check()

    def check(self) -> None:
        demand(not self.listener.broken, "; ".join(self.listener.broken))

    async def settle(self) -> ConnectorError | None:
        """Close with drain and give back the failure, if there was one."""
        await self.sink.close(True)
        return self.listener.failures[0] if self.listener.failures else None


def all_messages(scripts: Sequence[Script]) -> list[Message]:
    return [message for script in scripts for message in script.messages]


async def turns(count: int) -> None:
    """Let the event loop turn a few times, so that what was begun gets to some point of its way."""
    for _ in range(count):
        await asyncio.sleep(0)
