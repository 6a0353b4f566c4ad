"""What a window's queues hold: one item each, with its numbers, size and stream beside it."""

from dataclasses import dataclass
from typing import Any

from bridge.api import Hole, Item, MessageBatch, SessionStart, Stream

MESSAGE_OVERHEAD = 64
"""Bytes that a message takes in memory besides its payload: the object's header, its place in lists, its share of a batch."""


@dataclass(slots=True, eq=False)
class WindowStream:
    """One stream as one run of the bridge offered it.

    `stream` is named as the core of that run named it; `offset` is added to its restart for the sinks, once
    `pipeline.naming` has decided it. `first`: the first number offered, `end`: one past the last. `sample` is the first
    message, kept to be compared with what a sink holds.
    """

    stream: Stream
    run: int  # start time of the run in ns: the core of each run counts restarts from 0
    order: int  # rises with each stream of the window
    protocol: str
    first: int
    end: int
    offset: int | None = None
    sample: tuple[int, bytes] | None = None

    @property
    def key(self) -> tuple[int, bytes, int]:
        return self.run, self.stream.session, self.stream.restart

    @property
    def text(self) -> str:
        """The key as text, for files."""
        return f"{self.run}/{self.stream.session.hex()}/{self.stream.restart}"

    @property
    def likely(self) -> Stream:
        """The name that the sinks opened so far gave it; the core's own while there is none."""
        stream = self.stream
        return stream._replace(restart=max(0, stream.restart + self.offset)) if self.offset else stream


class Chunk:
    """Some entries on disk: one record of a cursor's segments."""

    __slots__ = ("first_index", "last_index", "live", "messages", "position", "runs", "size", "stored", "time_ns")

    def __init__(self, first_index: int, last_index: int, messages: int, size: int, time_ns: int) -> None:
        self.first_index = first_index
        self.last_index = last_index
        self.messages = messages
        self.size = size  # as `Entry.size`
        self.time_ns = time_ns  # of the oldest message
        self.runs: list[tuple[WindowStream, int, int, str]] = []  # first, last, "" for messages, a hole's reason
        self.stored = 0  # bytes on disk
        self.position: Any = None
        self.live = True  # still on disk


class Entry:
    """One item. `first`..`last` are its numbers; a start and an end have none (`last` is `first` - 1)."""

    __slots__ = ("chunk", "ends_chunk", "first", "index", "item", "last", "messages", "size", "stream", "time_ns")

    def __init__(self, item: Item, stream: WindowStream, index: int, time_ns: int) -> None:
        self.item = item
        self.stream = stream
        self.index = index  # place in the window, rising; a cursor may lack some
        self.messages = 0
        self.size = MESSAGE_OVERHEAD
        self.time_ns = time_ns
        self.chunk: Chunk | None = None  # where it was read from
        self.ends_chunk = False
        if isinstance(item, MessageBatch):
            payloads = item.payloads
            self.messages = len(payloads)
            self.first = item.first
            self.last = item.last
            self.size = sum(map(len, payloads)) + MESSAGE_OVERHEAD * len(payloads)
            self.time_ns = item.time_ns
        elif isinstance(item, Hole):
            self.first = item.first
            self.last = item.last
        else:
            self.first = item.first if isinstance(item, SessionStart) else item.next
            self.last = self.first - 1
