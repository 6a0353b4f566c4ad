"""Drives one channel of a datagram sink: window → sender (packs, splits, beats) → token bucket (paces) → outlet.

The cursor is acknowledged only after the outlet took a batch's datagrams, so a stop or a kill repeats on the wire and never
skips. While no line of the outlet is up nothing is taken from the window: what waits is bounded there, not here.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from bridge.api import Hole, Item, MessageBatch, Outlet, SessionEnd, SessionStart, Stream
from bridge.core.ledger import SinkLedger
from bridge.core.pacing import TokenBucket
from bridge.core.sender import StreamSender

BATCH_MESSAGES = 512
BATCH_BYTES = 256 * 1024
RETRY_SECONDS = 0.001
"""A full socket buffer empties at line rate: about 12,000 bytes in this time at 100 Mbit/s."""


class DatagramCursor(Protocol):
    """What this driver needs of a window's cursor."""

    def next(self, max_messages: int, max_bytes: int) -> list[Item]: ...
    def acknowledge(self, stream: Stream, through: int) -> None: ...


class DatagramDriver:
    """One outlet and one channel. `notify()` wakes it; `run()` lasts until `close()`."""

    def __init__(
        self,
        sink: str,
        channel: str,
        cursor: DatagramCursor,
        outlet: Outlet,
        sender: StreamSender,
        bucket: TokenBucket,
        on_sent: Callable[[Stream, int], None],
    ) -> None:
        self.sink = sink
        self.channel = channel
        self.outlet = outlet
        self.ledgers: dict[Stream, SinkLedger] = {}
        self.protocols: dict[Stream, str] = {}
        self._cursor = cursor
        self._sender = sender
        self._bucket = bucket
        self._on_sent = on_sent
        self._wake = asyncio.Event()
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def idle(self) -> bool:
        """Everything that was offered has been sent."""
        return self._idle.is_set()

    @property
    def up(self) -> bool:
        return any(line["up"] for line in self.outlet.description)

    def notify(self) -> None:
        """Items were appended to the window."""
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        while not self._closing:
            self._wake.clear()
            worked = await self._step()
            if worked:
                continue
            self._idle.set()
            await self._sleep()

    async def drain(self, seconds: float) -> bool:
        """Wait until all that was offered is sent; False when the time ran out."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        return self._idle.is_set()

    def close(self) -> None:
        self._closing = True
        self._wake.set()

    async def _step(self) -> bool:
        now, wall = time.monotonic_ns(), time.time_ns()
        items = self._cursor.next(BATCH_MESSAGES, BATCH_BYTES) if self.up else []
        for item in items:
            self._offer(item)
            self._sender.add(item, now, wall)
        await self._send(self._sender.datagrams(now, wall))
        for item in items:
            self._sent(item)
        return bool(items)

    async def _sleep(self) -> None:
        due = self._sender.next_timer()
        timeout = 1.0 if due is None else min(1.0, max(0.0, (due - time.monotonic_ns()) / 1e9))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)

    async def _send(self, datagrams: Sequence[tuple[bytes, int]]) -> None:
        """Send (datagram, messages in it) in order, as fast as the bucket allows."""
        start = 0
        while start < len(datagrams):
            end, wait_ns = self._bucket.take(datagrams, start, time.monotonic_ns())
            while start < end:
                taken = self.outlet.send([d for d, _ in datagrams[start:end]])
                start += taken
                if start < end:
                    await asyncio.sleep(RETRY_SECONDS)
            if wait_ns:
                await asyncio.sleep(wait_ns / 1e9)

    def _offer(self, item: Item) -> None:
        ledger = self.ledgers.setdefault(item.stream, SinkLedger())
        if isinstance(item, SessionStart):
            self.protocols[item.stream] = item.protocol
            if ledger.base is None:
                ledger.base = ledger.end = item.first
        elif isinstance(item, MessageBatch):
            if ledger.base is None:
                ledger.base = item.first
            ledger.end = item.last + 1
            ledger.pending += len(item.payloads)
        elif isinstance(item, Hole):
            if ledger.base is None:
                ledger.base = item.first
            ledger.end = item.last + 1
            ledger.missing += item.last - item.first + 1

    def _sent(self, item: Item) -> None:
        ledger = self.ledgers[item.stream]
        through: int | None = None
        if isinstance(item, MessageBatch):
            ledger.pending -= len(item.payloads)
            ledger.published += len(item.payloads)
            through = item.last
        elif isinstance(item, Hole):
            through = item.last
        elif isinstance(item, SessionEnd):
            through = item.next - 1
        if through is not None:
            self._cursor.acknowledge(item.stream, through)
            self._on_sent(item.stream, through)

    def description(self) -> list[dict[str, Any]]:
        return list(self.outlet.description)
