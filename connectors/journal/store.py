"""The journal's message store: what the files hold, by sequence and by time, also from another process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import ClassVar, TypeVar

from bridge.api import Context, NotYet, Piece, Stream, StreamInfo
from connectors.journal.answers import answers
from connectors.journal.faults import connector_error
from connectors.journal.options import SinkOptions
from connectors.journal.reader import JournalReader

T = TypeVar("T")


class JournalStore:
    """See `bridge.api.MessageStore`. It takes the table of the sink that writes the journal, of which it needs the path.

    One call reads at a time; a call takes one look at the registry and one at a segment.
    """

    Options: ClassVar[type[SinkOptions]] = SinkOptions

    def __init__(self, options: SinkOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._reader = JournalReader(options.path)
        self._turn = asyncio.Lock()  # readers queue here rather than in threads, of which a process has few

    async def open(self) -> None:
        """Raises `Unavailable` where there is no journal yet, `Refused` where its format is newer than ours."""
        await self._blocking(self._reader.open)

    async def channels(self) -> list[str]:
        return await self._blocking(self._reader.channels)

    async def streams(self, channel: str) -> list[StreamInfo]:
        found = await self._blocking(lambda: self._reader.streams(channel))
        return [
            StreamInfo(r.epoch, r.stream, r.protocol, r.first, first_left, r.tail, r.through, r.end)
            for r, first_left in found
        ]

    async def read(self, stream: Stream, first: int, last: int, *, limit: int = 4096) -> AsyncIterator[Piece]:
        """Answers for `first`..`last`; nothing where last < first. A stream that the journal does not know is not yet
        there. Numbers that no row holds although nothing was trimmed are `Never` with reason "filtered"."""
        if first < 0 or limit < 1:
            raise ValueError(f"cannot read from number {first}, {limit} messages at a time")
        at = first
        while at <= last:
            chunk = await self._blocking(partial(self._reader.fetch, stream, at, last, limit))
            if chunk is None:
                yield NotYet(at, last, None)
                return
            for piece in answers(chunk, stream, at, last, limit):
                yield piece
                await asyncio.sleep(0)
            at = chunk.covered + 1

    async def number_at(self, stream: Stream, time_ns: int) -> int:
        """As the contract says; 0 for a stream that the journal does not know."""
        found = await self._blocking(lambda: self._reader.time_search(stream, time_ns))
        return 0 if found is None else found

    async def _blocking(self, call: Callable[[], T]) -> T:
        try:
            async with self._turn:
                return await self._context.blocking(call)
        except Exception as error:
            raise connector_error(error, self._options.path) from error

    async def close(self) -> None:
        await self._context.blocking(self._reader.close)
