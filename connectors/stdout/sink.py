"""Standard output as a message sink: a pipe to another program, or a look at what flows. At least once, no tail.

One pump serves all channels of the table, so that no line is torn by another. It formats a slice, and writes it in a
thread: a reader that is slow makes the sink full, never the loop late. Holes and ends are not written.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import ClassVar, Final, Literal

from pydantic import Field

from bridge.api import (
    Capabilities,
    ConnectorError,
    Context,
    Hole,
    Item,
    Listener,
    MessageBatch,
    MessageLimits,
    Options,
    SessionEnd,
    SessionStart,
    Stream,
    Unavailable,
)
from connectors.stdout.pump import Pump, Written
from connectors.stdout.render import hexdump, iso_time, jsonl, session_text, text

IN_FLIGHT: Final = 2  # batches
MAX_HOLES: Final = 1_024  # in flight; they cost nothing, but what is submitted is bounded
SLICE: Final = 128  # messages that are formatted in one step of the loop: about 1 ms
MAX_MESSAGE: Final = 64 * 2**20


class StdoutOptions(Options):
    """`[sink.X]` with `type = "stdout"`."""

    format: Literal["jsonl", "text", "hex"] = Field(
        "jsonl", description="one JSON object a line, the payload and a newline, or a hex dump"
    )


class StdoutSink:
    """See the module's text and `bridge.api.MessageSink`. In jsonl the configured fields stand beside the payload."""

    Options: ClassVar[type[StdoutOptions]] = StdoutOptions
    capabilities: ClassVar[Capabilities] = Capabilities()
    columns: ClassVar[frozenset[str]] = frozenset({"fields"})

    def __init__(self, options: StdoutOptions, context: Context) -> None:
        self._format = options.format
        self._pump = context.shared("stdout", lambda: Pump(context, sys.stdout.fileno()))
        self._terminal = os.isatty(sys.stdout.fileno())
        self._listener: Listener | None = None
        self._stream: Stream | None = None
        self._last = -1
        self._batches = 0  # in flight
        self._holes = 0  # in flight
        self._settled = asyncio.Event()
        self._closed = False
        self._dead = False

    async def open(self, channel: str, listener: Listener) -> None:  # noqa: ARG002 - items name their channel
        """Nothing is known of what was written before. Raises `Unavailable` after `close`."""
        if self._closed:
            raise Unavailable("closed while it was opened")
        self._listener = listener

    def limits(self) -> MessageLimits:
        return MessageLimits(MAX_MESSAGE)

    def submit(self, item: Item) -> bool:
        if self._closed or self._listener is None:
            raise ValueError(f"submit to a sink that is {'closed' if self._closed else 'not open'}")
        if self._dead:
            return False
        if isinstance(item, SessionStart):
            if item.stream == self._stream:
                raise ValueError(f"{item.stream} is begun already")
            self._stream, self._last = item.stream, -1
            return True
        if item.stream != self._stream:
            raise ValueError(f"{item.stream} was not begun; the sink is at {self._stream or 'no stream'}")
        return True if isinstance(item, SessionEnd) else self._put(item)

    def _put(self, item: MessageBatch | Hole) -> bool:
        if isinstance(item, MessageBatch) and not item.payloads:
            return True
        first = item.first if isinstance(item, Hole) else item.number(0)
        if not self._last < first <= item.last:
            raise ValueError(f"numbers {first} to {item.last} after {self._last}: they must rise")
        if self._batches >= IN_FLIGHT or self._holes >= MAX_HOLES:
            return False
        self._last = item.last
        self._count(item, 1)
        self._pump.put(Written(self, item, self._pieces(item)))
        return True

    def _count(self, item: MessageBatch | Hole, by: int) -> None:
        if isinstance(item, Hole):
            self._holes += by
        else:
            self._batches += by

    def _pieces(self, item: MessageBatch | Hole) -> Iterator[bytes]:
        """The batch as bytes, a slice at a time, formatted when it is asked for."""
        if isinstance(item, Hole):
            return
        session, when = session_text(item.stream.session), iso_time(item.time_ns)
        for start in range(0, len(item.payloads), SLICE):
            places = range(start, min(start + SLICE, len(item.payloads)))
            yield b"".join(self._render(item, i, session, when) for i in places)

    def _render(self, batch: MessageBatch, place: int, session: str, when: str) -> bytes:
        payload = batch.payloads[place]
        if self._format == "text":
            return text(payload, self._terminal)
        if self._format == "hex":
            return hexdump(batch.stream.channel, session, batch.number(place), when, payload)
        fields = batch.columns.get("fields")
        known = fields[place] if fields is not None else None
        return jsonl(batch.stream.channel, session, batch.number(place), when, payload, known or {})

    def on_written(self, item: MessageBatch | Hole) -> None:
        """The pump wrote this, the oldest in flight."""
        if self._dead or self._closed:
            return
        self._count(item, -1)
        if self._listener is not None:
            self._listener.on_acknowledged(item.stream, item.last)
        if not self._batches + self._holes:
            self._settled.set()

    def on_lost(self, error: ConnectorError) -> None:
        """Writing failed: what is in flight is unknown."""
        if self._dead or self._closed:
            return
        self._dead = True
        self._settled.set()
        if self._listener is not None:
            self._listener.on_failed(error)

    async def close(self, drain: bool) -> None:
        while drain and self._batches + self._holes and not (self._dead or self._closed):
            self._settled.clear()
            await self._settled.wait()
        self._closed = True
        self._settled.set()
        self._pump.drop(self)
