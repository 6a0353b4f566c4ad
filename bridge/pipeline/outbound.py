"""A message source at work for one route: reads items, hands them to the route, saves how far they were passed on.

Back-pressure is simple here: nothing is read while the route is full. What every sink has taken is acknowledged to the
source, and its position is saved, so that a restart repeats and never skips.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from bridge.api import (
    ConnectorError,
    Context,
    Hole,
    Item,
    MessageBatch,
    MessageSource,
    Refused,
    SessionEnd,
    Start,
    Stream,
)
from bridge.config.resolved import MessageSourceConfig
from bridge.core.ledger import StreamLedger
from bridge.pipeline.backoff import Backoff
from bridge.telemetry.events import Events
from bridge.telemetry.status import Channel, Gaps, StreamRow
from bridge.wire import codec

READ_MESSAGES = 4096
STREAMS = 64
"""Streams with a row of their own; older ones are summed up in one row a channel."""

OLDER = b"older"
REFUSED_SECONDS = 30.0


class Taker(Protocol):
    """The route."""

    def take(self, channel: str, items: list[Item]) -> None: ...
    async def wait_for_room(self) -> None: ...


class OutboundSource:
    """One `[source.X]` of messages, read for one route. `run()` lasts until the input ends or it is cancelled."""

    def __init__(
        self,
        config: MessageSourceConfig,
        context: Context,
        events: Events,
        route: Taker,
        positions: dict[str, str],
        save: Callable[[str, str], None],
        backoff: Backoff,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config
        self.name = config.name
        self.error: str | None = "not open yet"
        self.ended = False
        self.last_item: float | None = None
        self._context = context
        self._events = events
        self._route = route
        self._positions = positions
        self._save = save
        self._backoff = backoff
        self._sleep = sleep
        self._source: MessageSource | None = None
        self._passed: dict[str, deque[tuple[Stream, int, str]]] = {}  # (stream, through, position) not yet acknowledged
        self._ledgers: dict[Stream, StreamLedger] = {}
        self._protocols: dict[Stream, str] = {}
        self._ended_streams: set[Stream] = set()
        self._read: dict[str, str] = {}

    async def run(self) -> None:
        while not self.ended:
            try:
                await self._read_on()
            except ConnectorError as error:
                await self._failed(error)
            finally:
                await self.close()

    async def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            with contextlib.suppress(ConnectorError):
                await source.close()

    def on_passed(self, channel: str, stream: Stream, through: int) -> None:
        """Every sink of the route has taken `stream` up to `through`."""
        waiting = self._passed.get(channel)
        position: str | None = None
        while waiting and waiting[0][0] == stream and waiting[0][1] <= through:
            position = waiting.popleft()[2]
        if position is not None:
            self._save(channel, position)
            if self._source is not None:
                self._source.acknowledge(channel, position)

    def absent(self) -> list[str]:
        return [f"source {self.name}: {self.error}"] if self.error else []

    def rows(self) -> list[Channel]:
        """One row a channel: what was read, in the words of the ledger."""
        channels: dict[str, Channel] = {}
        for stream, ledger in self._ledgers.items():
            row = channels.setdefault(stream.channel, Channel(channel=stream.channel, lines=[], streams=[]))
            row.streams.append(self._row(stream, ledger))
        return list(channels.values())

    def problems(self) -> list[str]:
        return [f"{stream}: {text}" for stream, ledger in self._ledgers.items() for text in ledger.problems()]

    async def _read_on(self) -> None:
        self._source = self.config.connector(self.config.options, self._context)
        start = self.config.settings.start
        resume = {**self._positions, **self._read}
        await self._source.open(Start(start.at, start.value, resume or None))
        if self.error is not None and self.error != "not open yet":
            self._events.emit("source_up", "info", f"source {self.name} is back", source=self.name)
        self.error = None
        while True:
            pairs = await self._source.read(READ_MESSAGES)
            if not pairs:
                self.ended = True
                self._events.emit("source_ended", "info", f"source {self.name} has no more", source=self.name)
                return
            self._backoff.succeeded()
            self._hand_on([(item, position) for item, position in pairs])
            await self._route.wait_for_room()

    def _hand_on(self, pairs: list[tuple[Item, str]]) -> None:
        by_channel: dict[str, list[Item]] = {}
        for item, position in pairs:
            channel = item.stream.channel
            self._account(item)
            through = _through(item)
            if through is not None:
                self._passed.setdefault(channel, deque()).append((item.stream, through, position))
            self._read[channel] = position
            by_channel.setdefault(channel, []).append(item)
        self.last_item = time.monotonic()
        for channel, items in by_channel.items():
            self._route.take(channel, items)

    def _account(self, item: Item) -> None:
        ledger = self._ledgers.get(item.stream)
        if ledger is None:
            ledger = self._ledgers[item.stream] = StreamLedger()
            if len(self._ledgers) > STREAMS:
                self._fold()
        if isinstance(item, MessageBatch):
            count = len(item.payloads)
            if ledger.start is None:
                ledger.start = ledger.next = item.first
            assert ledger.next is not None
            between = item.last + 1 - ledger.next - count
            if between > 0:
                ledger.missing["announced"] += between
            ledger.read += count
            ledger.whole += count
            ledger.released += count
            ledger.next = item.last + 1
        elif isinstance(item, Hole):
            if ledger.start is None:
                ledger.start = ledger.next = item.first
            assert ledger.next is not None
            ledger.missing["announced"] += item.last + 1 - ledger.next
            ledger.next = item.last + 1
        elif isinstance(item, SessionEnd):
            self._ended_streams.add(item.stream)
        else:
            self._protocols[item.stream] = item.protocol

    def _fold(self) -> None:
        """The oldest stream of the channel that has most gives its row up; its sums stay in the channel's older row."""
        counts = Counter(stream.channel for stream in self._ledgers if stream.session != OLDER)
        channel = counts.most_common(1)[0][0]
        oldest = next(s for s in self._ledgers if s.channel == channel and s.session != OLDER)
        row = self._ledgers.pop(oldest)
        older = self._ledgers.setdefault(Stream(channel, OLDER), StreamLedger(start=0, next=0))
        for name in ("read", "whole", "released"):
            setattr(older, name, getattr(older, name) + getattr(row, name))
        older.missing.update(row.missing)
        older.next = (older.next or 0) + row.expected
        self._protocols.pop(oldest, None)
        self._ended_streams.discard(oldest)

    def _row(self, stream: Stream, ledger: StreamLedger) -> StreamRow:
        return StreamRow(
            session=self._session_text(stream),
            restart=stream.restart,
            protocol=self._protocols.get(stream, "raw"),
            ended=stream in self._ended_streams,
            accepted=0,
            restored=0,
            read=ledger.read,
            whole=ledger.whole,
            fragments=0,
            joined=0,
            evicted=0,
            assembling=0,
            completed=0,
            received=ledger.received,
            start=ledger.start,
            next=ledger.next,
            expected=ledger.expected,
            missing_open=0,
            missing=dict(ledger.missing),
            released=ledger.released,
            held=0,
            gaps=Gaps(),
        )

    def _session_text(self, stream: Stream) -> str:
        if stream.session == OLDER:
            return "older"
        return codec(self._protocols.get(stream, "raw")).session_text(stream.session)

    async def _failed(self, error: ConnectorError) -> None:
        refused = isinstance(error, Refused)
        if str(error) != self.error:
            code = "source_refused" if refused else "source_unavailable"
            self._events.emit(code, "error" if refused else "warning", f"source {self.name}: {error}", source=self.name)
        self.error = str(error)
        await self._sleep(REFUSED_SECONDS if refused else self._backoff.failed(time.monotonic_ns()))


def _through(item: Item) -> int | None:
    if isinstance(item, MessageBatch | Hole):
        return item.last
    return item.next - 1 if isinstance(item, SessionEnd) else None
