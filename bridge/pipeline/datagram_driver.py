"""Drives one channel of a datagram sink: window → sender (packs, splits, beats) → token bucket (paces) → outlet.

The cursor is acknowledged only after the outlet took a batch's datagrams, so a stop or a kill repeats on the wire and never
skips. While no line of the outlet is up nothing is taken from the window: what waits is bounded there, not here.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from bridge.api import (
    BridgeError,
    DatagramSink,
    Hole,
    Item,
    MessageBatch,
    Outlet,
    SessionEnd,
    SessionStart,
    Severity,
    Stream,
)
from bridge.core.ledger import SinkLedger
from bridge.core.pacing import TokenBucket
from bridge.core.sender import StreamSender, Unsendable
from bridge.pipeline.account import Account, Losses
from bridge.pipeline.sink_rows import sink_row, summed
from bridge.telemetry.latency import Latency
from bridge.telemetry.status import SinkRow
from bridge.window.cursor import Cursor
from bridge.window.entry import WindowStream

BATCH_MESSAGES = 512
BATCH_BYTES = 256 * 1024
ENCODE_AT_ONCE = 256
"""Datagrams that are encoded in one step, about a millisecond."""

REFUSED_SECONDS = 30.0

ACCOUNTS = 64
"""Streams with a row of their own; older ones of which nothing waits are summed up in one."""

RETRY_SECONDS = 0.001
"""A full socket buffer empties at line rate: about 12,000 bytes in this time at 100 Mbit/s."""


class Emit(Protocol):
    def __call__(self, code: str, severity: Severity, text: str, **fields: Any) -> None: ...


class DatagramDriver:
    """One outlet and one channel. `notify()` wakes it; `run()` lasts until `close()`."""

    def __init__(
        self,
        sink: str,
        kind: str,
        channel: str,
        cursor: Cursor,
        connector: DatagramSink,
        make_sender: Callable[[int], StreamSender],
        bucket: TokenBucket,
        losses: Losses,
        emit: Emit,
    ) -> None:
        self.error: str | None = "not open yet"
        self._sink = sink
        self._kind = kind
        self._channel = channel
        self._cursor = cursor
        self._connector = connector
        self._make_sender = make_sender
        self._bucket = bucket
        self._losses = losses
        self._emit = emit
        self._outlet: Outlet | None = None
        self._sender: StreamSender | None = None
        self._accounts: dict[WindowStream, Account] = {}
        self._older = SinkLedger(base=0, end=0)
        self._begun: set[WindowStream] = set()  # streams that the sender was told of
        self._latency = Latency()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._up = False
        cursor.on_ready = self.notify
        cursor.on_lost = self._lost

    @property
    def ledgers(self) -> dict[Stream, SinkLedger]:
        return {ws.stream: ledger for ws, ledger in self._rows()}

    def notify(self) -> None:
        """Items were appended to the window."""
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        self._task = asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            await self._open()
            await self._serve()

    async def _open(self) -> None:
        """Until there is an outlet; what is refused is named, and tried again each 30 s."""
        while self._outlet is None:
            try:
                self._outlet = await self._connector.open(self._channel)
            except BridgeError as error:
                if error.message != self.error:
                    text = f"sink {self._sink}, channel {self._channel}: {error.message}"
                    text += f"; {error.hint}" if error.hint else ""
                    self._emit("sink_refused", "error", text, sink=self._sink)
                self.error = error.message
                await asyncio.sleep(REFUSED_SECONDS)

    async def _serve(self) -> None:
        assert self._outlet is not None
        self._sender = self._make_sender(self._outlet.max_datagram)
        self.poll()
        while not self._closing:
            self._wake.clear()
            if await self._step():
                continue
            if self._cursor.idle:
                self._idle.set()
            await self._sleep()

    async def drain(self, seconds: float) -> None:
        """Wait until all that was offered is sent, for at most so long."""
        if self._cursor.idle:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def close(self) -> None:
        """End `run` and close the outlet. What is in flight goes back to the window."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._cursor.rewind()
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.close()

    def poll(self) -> None:
        """About once a second: lines come back, and `error` says what is absent."""
        if self._outlet is None:
            return
        self._outlet.poll()
        down = [line for line in self._outlet.description if not line["up"]]
        up = len(self._outlet.description) - len(down)
        self.error = "; ".join(f"{line['address']}: {line['reason']}" for line in down) if down else None
        self._up = up > 0

    def status(self) -> SinkRow:
        """The row of the snapshot."""
        oldest = self._cursor.oldest_ns
        return sink_row(
            self._sink,
            self._channel,
            self._kind,
            self.error,
            [(ws.stream, ws.protocol, ledger) for ws, ledger in self._rows()],
            self._older,
            self._cursor,
            None if oldest is None else (time.time_ns() - oldest) / 1e9,
            self._latency.row(),
        )

    async def _step(self) -> bool:
        """Send one batch, or what is due without one; False when there was nothing."""
        assert self._sender is not None
        now, wall = time.monotonic_ns(), time.time_ns()
        if not self._up:
            return False
        items = self._cursor.next(BATCH_MESSAGES, BATCH_BYTES)
        ws = self._cursor.stream if items else None
        for item in items:
            assert ws is not None
            if ws not in self._begun and not isinstance(item, SessionStart):
                self._sender.add(SessionStart(item.stream, ws.protocol, _first(item)), now, wall)
            self._begun.add(ws)
            self._account(ws, _first(item))
            self._sender.add(item, now, wall)
        sent = await self._send_all(now, wall)
        refused = self._sender.events()
        if ws is not None:
            for item in items:
                self._decide(ws, item, refused)
        return sent or bool(items)

    async def _send_all(self, now: int, wall: int) -> bool:
        assert self._sender is not None
        sent = False
        while datagrams := self._sender.datagrams(now, wall, ENCODE_AT_ONCE):
            sent = True
            await self._send(datagrams)
            if not self._sender.pending:
                break
        return sent

    async def _send(self, datagrams: Sequence[tuple[bytes, int]]) -> None:
        """Send (datagram, messages in it) in order, as fast as the bucket allows."""
        start = 0
        while start < len(datagrams):
            end, wait_ns = self._bucket.take(datagrams, start, time.monotonic_ns())
            chunk = [datagram for datagram, _ in datagrams[start:end]]
            while chunk:
                assert self._outlet is not None
                taken = self._outlet.send(chunk)
                chunk = chunk[taken:]
                if chunk:
                    await asyncio.sleep(RETRY_SECONDS)
            start = end
            if wait_ns:
                await asyncio.sleep(wait_ns / 1e9)

    async def _sleep(self) -> None:
        assert self._sender is not None
        due = self._sender.next_timer()
        timeout = 1.0 if due is None else min(1.0, max(0.0005, (due - time.monotonic_ns()) / 1e9))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)

    def _account(self, ws: WindowStream, first: int) -> Account:
        account = self._accounts.get(ws)
        if account is None:
            account = self._accounts[ws] = Account(
                ws, first, self._sink, self._losses, end=self._cursor.adopted_end(ws)
            )
            self._fold()
            account.resolve(ws.stream, first)
        return account

    def _rows(self) -> list[tuple[WindowStream, SinkLedger]]:
        """L5 of every stream, also of one of which nothing was sent yet."""
        for ws in self._cursor.streams:
            if self._cursor.pending(ws):
                self._account(ws, self._cursor.share(ws).first)
        return [(ws, account.ledger(self._cursor.pending(ws))) for ws, account in self._accounts.items()]

    def _fold(self) -> None:
        """Sum up the oldest stream of which nothing waits, beyond `ACCOUNTS`."""
        if len(self._accounts) <= ACCOUNTS:
            return
        for ws, account in list(self._accounts.items())[:-1]:
            if not self._cursor.pending(ws):
                self._older = summed(self._older, account.ledger(0))
                del self._accounts[ws]
                self._begun.discard(ws)
                return

    def _lost(self, ws: WindowStream, first: int, last: int, reason: str) -> None:
        self._account(ws, first).lose(first, last, reason)

    def _decide(self, ws: WindowStream, item: Item, refused: Sequence[Unsendable]) -> None:
        account = self._accounts[ws]
        if isinstance(item, SessionStart):
            return
        if isinstance(item, MessageBatch):
            at = item.first
            for event in refused:
                if event.reason != "unannounced" and item.first <= event.first <= item.last:
                    account.decide(at, event.first - 1, "published")
                    account.reject(event.first, event.last)
                    account.decide(event.first, event.last, "size")
                    at = event.last + 1
            account.decide(at, item.last, "published")
            self._latency.observe((time.time_ns() - item.time_ns) / 1e9, len(item.payloads))
            through = item.last
        elif isinstance(item, Hole):
            account.decide(item.first, item.last, "missing")
            through = item.last
        else:
            through = item.next - 1
        self._cursor.acknowledge(item.stream, through)


def _first(item: Item) -> int:
    return item.next if isinstance(item, SessionEnd) else item.first
