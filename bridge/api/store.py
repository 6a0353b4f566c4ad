"""A message store reads retention by stream and sequence.

`read` answers for one contiguous range with an ordered list of answers that together cover first..last exactly once:

- `Data`    messages, in order;
- `Trimmed` these numbers were stored and retention removed them; `first_left` is the first that is left;
- `NotYet`  these numbers lie above the tail; `last` is the last stored or decided one (None: the stream is empty);
- `Never`   a hole at or below the tail, with the reason if it was kept.

The lower bound is fetched after the data, since some systems clamp a range silently.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from bridge.api import options
from bridge.api.context import Context
from bridge.api.items import MessageBatch, Stream


@dataclass(frozen=True, slots=True)
class Data:
    """Messages that are retained, with the broker's position of the first where it has one."""

    batch: MessageBatch
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Trimmed:
    first: int
    last: int
    first_left: int


@dataclass(frozen=True, slots=True)
class NotYet:
    first: int
    last: int
    tail: int | None


@dataclass(frozen=True, slots=True)
class Never:
    first: int
    last: int
    reason: str


Piece = Data | Trimmed | NotYet | Never


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of the registry. `epoch` is this sink's forward-only integer; `end` is set once the session ended."""

    epoch: int
    stream: Stream
    protocol: str
    first: int
    first_left: int | None
    tail: int | None
    through: int | None
    end: int | None


class MessageStore(Protocol):
    """Reads what a sink of the same system stored; also from another process while it is written."""

    @property
    def Options(self) -> type[options.Options]: ...  # noqa: N802 - a class; read-only, so that a nested class fits

    def __init__(self, options: Any, context: Context) -> None: ...
    async def open(self) -> None: ...

    async def channels(self) -> list[str]: ...

    async def streams(self, channel: str) -> list[StreamInfo]:
        """All streams of a channel, oldest first."""

    def read(self, stream: Stream, first: int, last: int, *, limit: int = 4096) -> AsyncIterator[Piece]:
        """Answers that cover first..last, batches of at most `limit` messages. Cancellable between answers."""

    async def number_at(self, stream: Stream, time_ns: int) -> int:
        """The first retained number whose receive time is not before `time_ns`; one past the tail if none."""

    async def close(self) -> None: ...
