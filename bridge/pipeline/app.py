"""One process of the bridge, from a configuration to an exit status.

    build ──► lock state, start telemetry ──► read windows back ──► join, open sinks ──► run ──► drain ──► park, summary

The run ends by SIGTERM, SIGINT, `--duration`, `--until-idle`, the end of every input, or a channel whose gap policy says stop
when nothing else runs. Then, within `drain`: sockets get a last pass and are closed, what is held is decided, sinks take what
is pending. What they could not take stays on disk. A second signal ends at once.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from bridge.api import ConfigurationError, Severity, Stream
from bridge.config.describe import describe
from bridge.config.resolved import Config, DatagramSourceConfig, MessageSourceConfig
from bridge.pipeline.backoff import Backoff
from bridge.pipeline.inbound import InboundSource
from bridge.pipeline.observed import EngineSnapshot
from bridge.pipeline.options import RunOptions
from bridge.pipeline.outbound import OutboundSource
from bridge.pipeline.receive import ReceiveLoop
from bridge.pipeline.reported import LossBook
from bridge.pipeline.route import Route
from bridge.pipeline.state import State
from bridge.telemetry.admin import Admin
from bridge.telemetry.context import BlockingCalls, EngineContext
from bridge.telemetry.counters import Counters
from bridge.telemetry.events import Events
from bridge.telemetry.logs import Logger
from bridge.telemetry.losses import Losses
from bridge.telemetry.redaction import Redactor
from bridge.telemetry.snapshot import assemble
from bridge.telemetry.status import Status
from bridge.telemetry.summary import write_summary

TICK = 0.25
"""Seconds between two looks at idleness and ends; interfaces and kernel drops are polled every fourth."""

EX_UNAVAILABLE = 69
EX_CANTCREAT = 74


class App:
    """Builds the engine of one configuration and runs it once."""

    def __init__(self, config: Config, options: RunOptions) -> None:
        self.config = config
        self.options = options
        self.started = time.time()
        self.redactor = Redactor(config.secrets())
        self.logger = Logger(
            sys.stderr, level=config.bridge.log.level, format=config.bridge.log.format, redactor=self.redactor
        )
        self.events = Events(self.logger)
        self.counters = Counters()
        self.calls = BlockingCalls()
        self.state = State(config.state)
        self.losses = Losses(config.state, self.calls.run, self.events)
        self.loss_book = LossBook(self.losses, self.events, self._session_text)
        self.inbound: dict[str, InboundSource] = {}
        self.outbound: list[tuple[Route, OutboundSource]] = []
        self.routes: list[Route] = []
        self.contexts: list[EngineContext] = []
        self._sinks: dict[str, EngineContext] = {}  # by the sink's name
        self.snapshot = EngineSnapshot(self)
        self.origin = int.from_bytes(hashlib.sha256(config.bridge.name.encode()).digest()[:8], "big")
        self._loops: dict[float, ReceiveLoop] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._readers: list[asyncio.Task[None]] = []  # of the tasks, those of message sources
        self._end = asyncio.Event()
        self._end_at_once = asyncio.Event()
        self._was_ready = False
        self._final: Status | None = None
        self._status = 0

    async def run(self) -> int:
        """Returns the exit status. Raises `StateError` and configuration errors that only show at start."""
        self.state.open()
        try:
            return await self._run()
        finally:
            self.state.close()
            self.calls.close()
            self.logger.close()

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        self.logger.take_library_messages(partial(self._library_message, loop))
        for line in describe(self.config):
            self.events.emit("configured", "info", line)
        self._build()
        admin = await self._start_admin()
        try:
            await self._start()
            self.events.emit("started", "info", f"bridge {self.config.bridge.name} runs", pid=os.getpid())
            if self.options.fail_fast and (absent := await self._fail_fast()):
                for text in absent:
                    self.events.emit("not_ready", "error", text)
                self._status = EX_UNAVAILABLE
            else:
                await self._work()
            await self._drain()
        finally:
            await self._shut(admin)
        return self._finish()

    # Build

    def _build(self) -> None:
        for name, source in self.config.sources.items():
            if isinstance(source, DatagramSourceConfig):
                inbound = InboundSource(
                    source,
                    self._context(name),
                    self.events,
                    self.config.bridge.session_grace,
                    self.origin,
                    self.loss_book.abandoned,
                    self._raw_session,
                )
                self.inbound[name] = inbound
        for name, config in self.config.routes.items():
            route = Route(config, self)
            self.routes.append(route)
            if isinstance(config.source, MessageSourceConfig):
                outbound = OutboundSource(
                    config.source,
                    self._context(config.source.name),
                    self.events,
                    route,
                    self.state.positions(name),
                    lambda channel, position, route=name: self.state.note_position(route, channel, position),  # type: ignore[misc]
                    Backoff(random.random),
                )
                route.on_passed = outbound.on_passed
                self.outbound.append((route, outbound))
            else:
                self.inbound[config.source.name].add_taker(route.take)

    def _context(self, name: str) -> EngineContext:
        context = EngineContext(name, self.config.state / name, self.events, self.counters, self.calls)
        self.contexts.append(context)
        return context

    def context(self, name: str) -> EngineContext:
        """The context of a sink table: one for all routes that name it, so that they share what it shares."""
        return self._sinks.get(name) or self._sinks.setdefault(name, self._context(name))

    def _raw_session(self) -> bytes:
        """A session for raw messages: start time in ms and 16 random bits, so that no two starts share one."""
        value = (int(self.started * 1000) << 16 | random.SystemRandom().getrandbits(16)) & (2**64 - 1)
        return value.to_bytes(8, "big")

    def _session_text(self, stream: Stream) -> str:
        for inbound in self.inbound.values():
            if stream.channel in inbound.codecs:
                return inbound.codecs[stream.channel].session_text(stream.session)
        return stream.session.hex()

    def _library_message(self, loop: asyncio.AbstractEventLoop, severity: Severity, library: str, text: str) -> None:
        """A library logged something, in whatever thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(
                partial(self.events.emit, "library_message", severity, f"{library}: {text}", library=library)
            )

    # Start, work, end

    async def _start(self) -> None:
        for name, inbound in self.inbound.items():
            disk = [r for r in self.routes if r.config.source.name == name and r.config.settings.window == "disk"]
            if disk:
                await self.calls.run(partial(self.loss_book.load, self.config.state))
            await inbound.prepare(disk[0].make_log if disk else None)
        for route in self.routes:
            await route.restore()
        for inbound in self.inbound.values():
            await inbound.replay()
        loop = asyncio.get_running_loop()
        for inbound in self.inbound.values():
            await inbound.open()
            delay = inbound.config.settings.max_delay
            receive = self._loops.get(delay)
            if receive is None:
                receive = self._loops[delay] = ReceiveLoop(loop, delay)
            inbound.watch(receive)
        for route in self.routes:
            await route.start()
        for _, outbound in self.outbound:
            self._readers.append(self.spawn(outbound.run()))
        for receive in self._loops.values():
            receive.refresh()

    async def _start_admin(self) -> Admin | None:
        endpoint = self.config.bridge.admin
        if endpoint is None:
            return None
        allow = [str(network) for network in self.config.bridge.allow]
        admin = Admin(endpoint.host, endpoint.port, self.snapshot, allow=allow, hosts=[socket.gethostname()])
        try:
            await admin.start()
        except ConfigurationError as error:
            if "admin" in self.config.bridge.model_fields_set:
                raise
            # Nobody asked for this address: a second bridge on a host must not fail for a default.
            self.events.emit("admin_unavailable", "warning", f"{error.message}; set `admin` to have one")
            return None
        return admin

    async def _fail_fast(self) -> list[str]:
        """What is absent after the first second, which is what a local connection takes."""
        for _ in range(4):
            absent = [text for text in self.absent() if "receives nothing" not in text]
            if not absent:
                return []
            await asyncio.sleep(TICK)
        return absent

    def absent(self) -> list[str]:
        found: list[str] = []
        for inbound in self.inbound.values():
            found += inbound.absent()
        for _, outbound in self.outbound:
            found += outbound.absent()
        for route in self.routes:
            found += route.absent()
        return found

    async def _work(self) -> None:
        began, turn = time.monotonic(), 0
        while not self._end.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), TICK)
            turn += 1
            now = time.monotonic()
            if turn % 4 == 0:
                await self._poll()
            if self.options.duration is not None and now - began >= self.options.duration:
                return
            if self.options.until_idle is not None and self._idle_for(now, began) >= self.options.until_idle:
                return
            if self._nothing_left():
                return

    async def _poll(self) -> None:
        changed = [inbound.poll() for inbound in self.inbound.values()]
        if any(changed):
            for receive in self._loops.values():
                receive.refresh()
        for route in self.routes:
            route.poll()
        for name, inbound in self.inbound.items():
            inbound.trim(partial(self._passed, name))
        self.events.flush()
        ready = not self.absent()
        if ready != self._was_ready:
            self._was_ready = ready
            if ready:
                self.events.emit("ready", "info", "all lines are joined, all sinks acknowledge")
            else:
                self.events.emit("not_ready", "warning", "; ".join(self.absent()))
        await self._save_positions()

    def _passed(self, source: str, stream: Stream) -> int | None:
        """What every disk window of a source has passed of a stream; None: not known."""
        disk = [r for r in self.routes if r.config.source.name == source and r.config.settings.window == "disk"]
        found = [route.passed(stream) for route in disk]
        return None if None in found else min((at for at in found if at is not None), default=None)

    async def _save_positions(self) -> None:
        if not self.outbound:
            return
        text = self.state.positions_text()
        try:
            await self.calls.run(lambda: self.state.write_positions(text))
        except OSError as error:
            self.events.emit("positions_not_written", "error", f"positions cannot be saved: {error.strerror}")

    def _idle_for(self, now: float, began: float) -> float:
        last = began
        for inbound in self.inbound.values():
            last = max(last, inbound.last_item or began)
        for _, outbound in self.outbound:
            last = max(last, outbound.last_item or began)
        return now - last

    def _nothing_left(self) -> bool:
        """Every input has ended or stopped, and every sink has what there was."""
        inputs_over = all(len(inbound.stopped) == len(inbound.receivers) for inbound in self.inbound.values()) and all(
            outbound.ended for _, outbound in self.outbound
        )
        if inputs_over and any(inbound.stopped for inbound in self.inbound.values()):
            self._status = 1
        return inputs_over and all(route.idle for route in self.routes)

    async def _drain(self) -> None:
        self.events.emit("draining", "info", "the run ends; sinks take what is pending")
        for receive in self._loops.values():
            receive.close()
        for inbound in self.inbound.values():
            inbound.finish()
        await _cancel(self._readers)
        until = time.monotonic() + (0.0 if self._end_at_once.is_set() else self.config.bridge.drain)
        draining = [asyncio.ensure_future(r.drain(max(0.0, until - time.monotonic()))) for r in self.routes]
        at_once = asyncio.ensure_future(self._end_at_once.wait())
        rest: set[asyncio.Future[Any]] = {*draining}
        while rest and not at_once.done():
            _, rest = await asyncio.wait({*rest, at_once}, return_when=asyncio.FIRST_COMPLETED)
            rest.discard(at_once)
        for future in (at_once, *rest):
            future.cancel()
        await asyncio.gather(*rest, at_once, return_exceptions=True)
        for route in self.routes:
            route.poll()
        await self._save_positions()

    async def _shut(self, admin: Admin | None) -> None:
        await _cancel(self._readers)
        for route in self.routes:
            await route.close()
        await _cancel(list(self._tasks))
        for _, outbound in self.outbound:
            await outbound.close()
        self._final = assemble(self.snapshot)  # before the sources are closed: the lines are shown as they were
        for inbound in self.inbound.values():
            inbound.close()
            await inbound.close_logs()
        for receive in self._loops.values():
            receive.close()
        for context in self.contexts:
            await context.close()
        if admin is not None:
            await admin.close()
        await self.losses.close()

    def _finish(self) -> int:
        status = self._final
        assert status is not None
        status.events = dict(self.events.counts)
        if not status.balanced:
            self.events.emit("ledger_unbalanced", "error", "; ".join(status.problems))
        self.events.emit(
            "stopped", "info", f"the run has ended; the ledger {'balances' * status.balanced or 'does not'}"
        )
        self.events.flush(everything=True)
        if self.options.summary is not None:
            try:
                write_summary(self.options.summary, status)
            except OSError as error:
                self.events.emit("summary_not_written", "error", f"{self.options.summary}: {error.strerror}")
                self._status = self._status or EX_CANTCREAT
        if (
            self.options.strict
            and not self._status
            and (self.losses.kept or not status.balanced or self._undelivered())
        ):
            self._status = 1
        return self._status

    def _undelivered(self) -> bool:
        return any(route.undelivered for route in self.routes)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of the run. One that fails ends the run: it is a bug of ours, and going on would hide it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.events.emit("internal_error", "error", f"a part of the bridge failed: {error!r}")
            self._status = 70
            self._end.set()

    def _signalled(self) -> None:
        if self._end.is_set():
            self._end_at_once.set()
        self._end.set()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
