"""Drives one message sink for one channel: nobody else talks to it, and only this backs off and opens again.

    closed ──run──→ opening ──opened──→ open ──on_failed──→ waiting ──back-off──→ opening
                      │  Unavailable: back-off, said once              ↑
                      └─ Refused: named, each 30 s ────────────────────┘

Opening makes a new connector object, reads the sink's tail and compares it with what was given to it (`resume.py`). Before a
stream is offered for the first time its name is decided (`naming.py`) and its base: one past what the sink holds of it, or
the first number offered. While it is open, `notify` submits in the caller's turn of the loop (`delivery.py`).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from bridge.api import BridgeError, MessageSink, Refused, Severity, Stream
from bridge.core.ledger import SinkLedger
from bridge.pipeline.account import Account, Losses
from bridge.pipeline.backoff import Backoff
from bridge.pipeline.delivery import Delivery
from bridge.pipeline.naming import Lookup, Naming
from bridge.pipeline.resume import Resume
from bridge.pipeline.sink_rows import sink_row
from bridge.pipeline.sink_streams import Registry, SinkStreams
from bridge.telemetry.latency import Latency
from bridge.telemetry.status import SinkRow
from bridge.window.cursor import Cursor
from bridge.window.entry import WindowStream

REFUSED_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 5.0
"""For a sink's own last words, when everything it was given is acknowledged."""

NOT_OPEN: Final = "not open yet"


class Emit(Protocol):
    def __call__(self, code: str, severity: Severity, text: str, **fields: Any) -> None: ...


class SinkDriver:
    """One sink and one channel. `run()` lasts until `close()`; `notify()` after each append to the window.

    `make` gives a new connector object for each connection. `lookup` reads one stored number and `registry` the channel's
    streams, where the sink has a store. Both may raise `ConnectorError`, which ends the connection as the sink's own would.
    `sleep`, `monotonic_ns` and `time_ns` are arguments so that tests need no time.
    """

    def __init__(
        self,
        sink: str,
        kind: str,
        channel: str,
        cursor: Cursor,
        make: Callable[[], MessageSink],
        naming: Naming,
        losses: Losses,
        emit: Emit,
        backoff: Backoff,
        *,
        lookup: Lookup | None = None,
        registry: Registry | None = None,
        in_flight_bytes: int | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.error: str | None = NOT_OPEN
        self._sink = sink
        self._kind = kind
        self._channel = channel
        self._cursor = cursor
        self._make = make
        self._emit = emit
        self._backoff = backoff
        self._in_flight_bytes = in_flight_bytes
        self._sleep = sleep
        self._monotonic_ns = monotonic_ns
        self._time_ns = time_ns
        self._streams = SinkStreams(sink, cursor, naming, losses, lookup, registry)
        self._latency = Latency()
        self._delivery: Delivery | None = None
        self._resume = Resume(cursor, self._moved)
        self._comparing = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._draining: asyncio.Event | None = None
        self._closed = False
        cursor.on_lost = self._streams.lost
        cursor.on_ready = self.notify

    # The outside

    def notify(self) -> None:
        """Items were appended, or came from disk: submit what the sink takes. Neither waits nor raises."""
        if self._delivery is not None:
            self._delivery.pump()

    async def run(self) -> None:
        """Open, serve, back off, open again: until `close`."""
        self._task = asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            while not self._closed:
                await self._sleep(self._said(await self._live()))

    async def drain(self, seconds: float) -> None:
        """Wait until the sink has acknowledged all that was offered, for at most so long."""
        if self._idle or self._closed:
            return
        self._draining = asyncio.Event()
        await self._within(self._draining.wait(), seconds)
        self._draining = None

    async def close(self) -> None:
        """End `run`, close the sink. What is not acknowledged goes back to the window, to be parked. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            await asyncio.wait({self._task})
        self._cursor.rewind()
        self._streams.finish()

    @property
    def up(self) -> bool:
        return self._delivery is not None

    @property
    def ledgers(self) -> dict[Stream, SinkLedger]:
        """L5 by stream; what two runs offered of one stream is one row."""
        return self._streams.ledgers()

    def status(self) -> SinkRow:
        """The row of the snapshot."""
        oldest = self._cursor.oldest_ns
        return sink_row(
            self._sink,
            self._channel,
            self._kind,
            self.error,
            [(name, self._streams.protocol(name), row) for name, row in self.ledgers.items()],
            self._streams.older,
            self._cursor,
            None if oldest is None else (self._time_ns() - oldest) / 1e9,
            self._latency.row(),
        )

    # What a delivery asks

    def account(self, stream: WindowStream) -> Account:
        return self._streams.account(stream)

    def resolve_now(self, stream: WindowStream) -> Account | None:
        """The stream's account with its name decided; None when that takes a look into the store first."""
        account = self._streams.resolve_now(stream)
        if account is None:
            self._wake.set()
        return account

    def published(self, time_ns: int, messages: int) -> None:
        self._latency.observe((self._time_ns() - time_ns) / 1e9, messages)
        self._backoff.succeeded()
        if self.error is not None:
            self._works()

    def failed(self, delivery: Delivery, error: Exception) -> None:  # noqa: ARG002 - `run` reads it from the delivery
        if delivery is self._delivery:
            self._delivery = None
            self._cursor.rewind()
        self._wake.set()

    def later(self, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(call)

    def advanced(self) -> None:
        if self.error is not None and self._idle:
            self._works()
        if self._comparing:
            self._wake.set()
        if self._draining is not None and self._idle:
            self._draining.set()

    # The life of a connection

    async def _live(self) -> Exception | None:
        """One connection, from its making to its close. Returns why it ended."""
        try:
            delivery = Delivery(self, self._cursor, self._make(), self._in_flight_bytes)
        except Exception as error:
            return error
        try:
            await self._serve(delivery)
        except Exception as error:
            delivery.fail(error)
        finally:
            await self._end(delivery)
        return delivery.error

    async def _serve(self, delivery: Delivery) -> None:
        opened = await delivery.sink.open(self._channel, delivery)
        if delivery.error is not None:
            return
        delivery.start()
        if self.error == NOT_OPEN or not any(map(self._cursor.pending, self._cursor.streams)):
            self._works()
        streams = self._streams
        streams.opened = opened
        named, tails = streams.named(), None
        if self._resume.unsure(named, opened):
            tails = await streams.tails()
            if delivery.over:
                return
        streams.newest = self._resume.found(named, opened, tails)
        self._delivery = delivery
        delivery.pump()
        while delivery.error is None:
            self._wake.clear()
            stream, streams.unresolved = streams.unresolved, None
            if stream is not None:
                await self._settled(delivery)
                if not delivery.over:
                    await streams.resolve(stream)
                    delivery.pump()
            elif delivery.error is None:
                await self._wake.wait()

    async def _end(self, delivery: Delivery) -> None:
        """Close the connector object; at the end of the run, with what it was given acknowledged, it may finish its own work."""
        self._delivery = self._streams.opened = None
        delivery.taking = False
        finished = self._closed and delivery.idle and delivery.error is None
        try:
            if finished and await self._within(delivery.sink.close(True), CLOSE_SECONDS):
                return
            delivery.error = delivery.error or BridgeError("closed")
            await delivery.sink.close(False)
        except Exception as error:  # what it failed to do is unknown, and nothing is lost by that
            self._emit("sink_failed", "error", f"sink {self._sink}, channel {self._channel}: closing: {error!r}")

    async def _within(self, work: Coroutine[Any, Any, object], seconds: float) -> bool:
        """Whether the work was done in this time; it is cancelled when not. Raises what it raised."""
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self._sleep(seconds))
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not task.done():
            task.cancel()
            return False
        task.result()
        return True

    def _said(self, error: Exception | None) -> float:
        """Say what is wrong, once; returns the seconds to wait."""
        text = str(error) if isinstance(error, BridgeError) else repr(error)
        refused = isinstance(error, Refused)
        if text != self.error:
            code = (
                "sink_refused" if refused else "sink_unavailable" if isinstance(error, BridgeError) else "sink_failed"
            )
            severity: Severity = "warning" if code == "sink_unavailable" else "error"
            hint = f"; {error.hint}" if isinstance(error, BridgeError) and error.hint else ""
            self._emit(code, severity, f"sink {self._sink}, channel {self._channel}: {text}{hint}", sink=self._sink)
        self.error = text
        return REFUSED_SECONDS if refused else self._backoff.failed(self._monotonic_ns())

    def _works(self) -> None:
        """It is up. After a failure, with messages waiting, an acknowledgement shows that; to be open is not enough."""
        if self.error is not None:
            self._emit("sink_up", "info", f"sink {self._sink}, channel {self._channel}: open", sink=self._sink)
        self.error = None

    async def _settled(self, delivery: Delivery) -> None:
        """Wait until everything that was submitted is acknowledged, or the connection is over."""
        self._comparing = True
        while not delivery.idle and not delivery.over:
            self._wake.clear()
            await self._wake.wait()
        self._comparing = False

    def _moved(self, how: str) -> None:
        self._emit("tail_moved", "error", f"sink {self._sink}, channel {self._channel}: {how}", sink=self._sink)

    @property
    def _idle(self) -> bool:
        delivery = self._delivery
        return self._cursor.idle and (delivery is None or delivery.idle)
