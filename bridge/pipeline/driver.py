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
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from bridge.api import BridgeError, MessageSink, Opened, Refused, Severity, Stream, StreamInfo
from bridge.core.ledger import SinkLedger
from bridge.pipeline.account import Account, Losses
from bridge.pipeline.backoff import Backoff
from bridge.pipeline.delivery import Delivery
from bridge.pipeline.naming import Held, Lookup, Naming
from bridge.pipeline.resume import Resume, tail_of
from bridge.pipeline.sink_rows import sink_row, summed
from bridge.telemetry.latency import Latency
from bridge.telemetry.status import SinkRow
from bridge.window.cursor import Cursor
from bridge.window.entry import WindowStream

REFUSED_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 5.0
"""For a sink's own last words, when everything it was given is acknowledged."""

NOT_OPEN: Final = "not open yet"

ACCOUNTS: Final = 64
"""Streams with a row of their own; older ones that are done are summed up in one."""


class Emit(Protocol):
    def __call__(self, code: str, severity: Severity, text: str, **fields: Any) -> None: ...


Registry = Callable[[], Awaitable[Sequence[StreamInfo]]]
"""All streams of the channel that the sink holds: `MessageStore.streams`."""


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
        self._naming = naming
        self._losses = losses
        self._emit = emit
        self._backoff = backoff
        self._lookup = lookup
        self._registry = registry
        self._in_flight_bytes = in_flight_bytes
        self._sleep = sleep
        self._monotonic_ns = monotonic_ns
        self._time_ns = time_ns
        self._accounts: dict[WindowStream, Account] = {}
        self._older = SinkLedger(base=0, end=0)
        self._latency = Latency()
        self._delivery: Delivery | None = None
        self._opened: Opened | None = None
        self._newest: Account | None = None  # the newest stream that the sink was given or holds
        self._compared: set[tuple[int, bytes]] = set()  # run and session that this sink's holdings were compared with
        self._resume = Resume(cursor, self._moved)
        self._unresolved: WindowStream | None = None
        self._comparing = False
        self._older_tails: dict[Stream, int] = {}  # from the registry, once this run had to ask
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._draining: asyncio.Event | None = None
        self._closed = False
        cursor.on_lost = self._lost
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
        for account in self._accounts.values():
            self._naming.hint(account.stream)
            account.finish()

    @property
    def up(self) -> bool:
        return self._delivery is not None

    @property
    def ledgers(self) -> dict[Stream, SinkLedger]:
        """L5 by stream; what two runs offered of one stream is one row."""
        for stream in self._cursor.streams:
            if stream not in self._accounts and self._cursor.pending(stream):
                self.account(stream)  # a sink that was never open has a row for what waits, too
        found: dict[Stream, SinkLedger] = {}
        for account in self._ordered():
            row = account.ledger(self._cursor.pending(account.stream))
            name = account.name or account.stream.likely
            found[name] = summed(found[name], row) if name in found else row
        return found

    def status(self) -> SinkRow:
        """The row of the snapshot."""
        ledgers = self.ledgers  # first: it may make accounts
        protocols = {a.name or a.stream.likely: a.stream.protocol for a in self._accounts.values()}
        oldest = self._cursor.oldest_ns
        return sink_row(
            self._sink,
            self._channel,
            self._kind,
            self.error,
            [(name, protocols[name], row) for name, row in ledgers.items()],
            self._older,
            self._cursor,
            None if oldest is None else (self._time_ns() - oldest) / 1e9,
            self._latency.row(),
        )

    # What a delivery asks

    def account(self, stream: WindowStream) -> Account:
        account = self._accounts.get(stream)
        if account is None:
            first, end = self._cursor.share(stream).first, self._cursor.adopted_end(stream)
            account = self._accounts[stream] = Account(stream, first, self._sink, self._losses, end)
            self._fold()
        return account

    def resolve_now(self, stream: WindowStream) -> Account | None:
        """The stream's account with its name decided; None when that takes a look into the store first."""
        account = self.account(stream)
        if account.name is None:
            # Streams before it that were lost as a whole first: a session's first stream decides for those after it.
            order = stream.order
            for waiting in [a for a in self._ordered() if a.name is None and a.stream.order <= order]:
                held = self._held(waiting.stream)
                if self._naming.needs_bytes(waiting.stream, held) or self._needs_registry(waiting.stream):
                    self._unresolved = waiting.stream
                    self._wake.set()
                    return None
                self._resolve(waiting, held, None)
        newest = self._newest
        overtaken = newest is not None and newest.stream.order > stream.order and newest.name != account.name
        if overtaken or self._superseded(stream, account.name or stream.likely):
            account.left = True
        elif newest is None or newest.stream.order < stream.order:
            self._newest = account
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
        self._opened = opened
        named = [account for account in self._ordered() if account.name is not None]
        tails: dict[Stream, int] | None = None
        if self._registry is not None and self._resume.unsure(named, opened):
            tails = await self._ask_registry(self._registry)
            if delivery.over:
                return
        self._newest = self._resume.found(named, opened, tails)
        self._delivery = delivery
        delivery.pump()
        while delivery.error is None:
            self._wake.clear()
            stream, self._unresolved = self._unresolved, None
            if stream is not None:
                await self._compare(stream, delivery)
                delivery.pump()
            elif delivery.error is None:
                await self._wake.wait()

    async def _end(self, delivery: Delivery) -> None:
        """Close the connector object; at the end of the run, with what it was given acknowledged, it may finish its own work."""
        self._delivery = self._opened = None
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

    # Streams

    def _held(self, stream: WindowStream) -> Held | None:
        """What the sink holds of the stream's session from another run; None where nothing, or already compared."""
        session = stream.stream.session
        if (stream.run, session) in self._compared:
            return None
        for account in reversed(self._ordered()):
            name = account.name
            if name is not None and account.stream.run != stream.run and name.session == session:
                return Held(name, max(account.base, account.end) - 1)
        opened = self._opened
        if opened is not None and opened.stream.session == session:
            return Held(opened.stream, tail_of(opened))
        return None

    def _superseded(self, stream: WindowStream, name: Stream) -> bool:
        """The sink's newest stream is a later one than this: nobody appends to this one any more."""
        if self._opened is None or self._opened.stream == name:
            return False
        newest = self._opened.stream
        if newest.session == name.session:
            return newest.restart > name.restart
        return any(
            later.stream.session == newest.session and later.stream.restart + (later.offset or 0) <= newest.restart
            for later in self._cursor.streams
            if later.order > stream.order
        )

    async def _ask_registry(self, registry: Registry) -> dict[Stream, int]:
        """The highest decided number of every stream that the sink holds, -1 where there is none."""
        return {
            info.stream: max((n for n in (info.tail, info.through) if n is not None), default=-1)
            for info in await registry()
        }

    def _needs_registry(self, stream: WindowStream) -> bool:
        """Only the sink's registry knows how far it got with a stream that is not its newest any more."""
        return self._registry is not None and not self._older_tails and self._superseded(stream, stream.likely)

    async def _compare(self, stream: WindowStream, delivery: Delivery) -> None:
        """Decide a name that depends on stored bytes, once all that was submitted before is stored."""
        self._comparing = True
        while not delivery.idle and delivery.error is None:
            self._wake.clear()
            await self._wake.wait()
        self._comparing = False
        if delivery.error is not None:
            return
        held = self._held(stream)
        account = self.account(stream)
        if self._registry is not None and self._needs_registry(stream):
            self._older_tails = await self._ask_registry(self._registry)
        equal: bool | None = None
        if held is not None and self._naming.needs_bytes(stream, held):
            tail = -1 if held.tail is None else held.tail
            samples = [s for s in (self._cursor.sample(stream, tail), stream.sample) if s is not None]
            equal = await self._naming.compare(held, samples, self._lookup)
        if account.name is None:
            self._resolve(account, held, equal)

    def _resolve(self, account: Account, held: Held | None, equal: bool | None) -> None:
        """Name the stream and find its base."""
        stream = account.stream
        name = self._naming.decide(stream, held, equal)
        self._cursor.named(stream)
        self._compared.add((stream.run, stream.stream.session))
        before = [other for other in self._ordered() if other.name == name]
        opened = self._opened
        base: int | None = max(before[-1].base, before[-1].end) if before else None
        if opened is not None and opened.stream == name:
            tail = tail_of(opened)
            if tail is not None:
                base = max(base or 0, tail + 1)
        if self._older_tails.get(name, -1) >= 0:
            base = max(base or 0, self._older_tails[name] + 1)
        if base is None:
            base = account.first
        self._cursor.skip(stream, base)
        account.resolve(name, base, self._cursor.pending(stream))

    def _ordered(self) -> list[Account]:
        """Accounts in the order of their streams; a loss may have opened one early."""
        return sorted(self._accounts.values(), key=lambda account: account.stream.order)

    def _lost(self, stream: WindowStream, first: int, last: int, reason: str) -> None:
        self.account(stream).lose(first, last, reason)

    def _moved(self, how: str) -> None:
        self._emit("tail_moved", "error", f"sink {self._sink}, channel {self._channel}: {how}", sink=self._sink)

    def _fold(self) -> None:
        """Sum up the oldest stream of which nothing waits."""
        if len(self._accounts) <= ACCOUNTS:
            return
        for stream, account in list(self._accounts.items())[: -ACCOUNTS // 2]:
            if account is not self._newest and not self._cursor.pending(stream):
                self._older = summed(self._older, account.ledger(0))
                del self._accounts[stream]
                return

    @property
    def _idle(self) -> bool:
        delivery = self._delivery
        return self._cursor.idle and (delivery is None or delivery.idle)
