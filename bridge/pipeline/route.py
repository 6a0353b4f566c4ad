"""One route: a window and one driver a sink for each channel, made when the channel's first items come.

The route owns what its channels share: the budget on disk, the contexts of its sinks, the outlets. With `window = "disk"` it
also keeps the arrival log of each channel and plays it back before anything is joined.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from bridge.api import DatagramSink, Item, Stream, StreamInfo
from bridge.config.registry import load
from bridge.config.resolved import (
    DatagramSinkConfig,
    DatagramSourceConfig,
    MessageSinkConfig,
    MessageSourceConfig,
    RouteConfig,
)
from bridge.core.pacing import TokenBucket
from bridge.core.sender import SenderSettings, StreamSender
from bridge.pipeline.backoff import Backoff
from bridge.pipeline.datagram_driver import DatagramDriver
from bridge.pipeline.driver import SinkDriver
from bridge.pipeline.naming import Lookup, Naming, store_lookup
from bridge.telemetry.context import EngineContext
from bridge.telemetry.status import SinkRow
from bridge.window.arrivals import ArrivalLog, Marks, RawPoint
from bridge.window.spool import RouteSpool
from bridge.window.window import Window, WindowSettings
from bridge.wire import codec
from bridge.wire.native_layout import channel_number

if TYPE_CHECKING:
    from bridge.pipeline.app import App

PARK_SECONDS = 10.0
"""What writing the rest to disk may take at the end: 1 GiB at 100 MB/s."""

ROOM_SECONDS = 0.005
"""How often a source that waits for room looks: a sink batch takes about as long."""


class RouteChannel:
    """One channel of a route: its window and its drivers by sink."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.drivers: dict[str, SinkDriver | DatagramDriver] = {}
        self.notify: list[Callable[[], None]] = []


class Route:
    """`restore()`, `start()`, then `take()` for items; `drain()`, `close()`."""

    def __init__(self, config: RouteConfig, app: "App") -> None:
        self.config = config
        self.name = config.name
        self.on_passed: Callable[[str, Stream, int], None] | None = None
        self.channels: dict[str, RouteChannel] = {}
        self._app = app
        self._directory = app.config.state / "spool" / config.name
        self._spool = RouteSpool(config.settings.spool)
        self._run = time.time_ns()
        self._contexts: dict[str, EngineContext] = {sink.name: app.context(sink.name) for sink in config.sinks}
        self._datagram_sinks: dict[str, DatagramSink] = {
            sink.name: sink.connector(sink.options, self._contexts[sink.name])
            for sink in config.sinks
            if isinstance(sink, DatagramSinkConfig)
        }
        self._started = False

    # Items

    def take(self, channel: str, items: list[Item]) -> None:
        """Items of a channel, in order."""
        found = self.channels.get(channel)
        if found is None:
            found = self._make(channel)
            if self._started:
                self._start_channel(channel, found)
        found.window.append(items)
        for notify in found.notify:
            notify()

    async def wait_for_room(self) -> None:
        """Until every channel's window takes more: for sources that can wait."""
        await asyncio.sleep(0)
        while any(channel.window.full for channel in self.channels.values()):  # noqa: ASYNC110 - acknowledgements free it, in parts
            await asyncio.sleep(ROOM_SECONDS)

    def passed(self, stream: Stream) -> int | None:
        found = self.channels.get(stream.channel)
        return None if found is None else found.window.passed(stream)

    # Start and end

    def make_log(self, channel: str, marks: Marks, raw_point: Callable[[], RawPoint | None]) -> ArrivalLog:
        """The arrival log of a channel. Not below `spool`: there every name is a sink's."""
        return ArrivalLog(
            self._app.config.state / "arrivals" / self.name / channel,
            limit=self.config.settings.spool,
            blocking=self._app.calls.run,
            emit=self._app.events.emit,
            marks=marks,
            raw_point=raw_point,
        )

    async def restore(self) -> None:
        """Make the windows of channels that are known, and offer what an earlier run parked."""
        known = set(self._inbound_channels())
        with contextlib.suppress(OSError):
            known |= {path.name for path in self._directory.iterdir() if path.is_dir()}
        for channel in sorted(known):
            await self._make(channel).window.restore()

    async def start(self) -> None:
        self._started = True
        for channel, found in self.channels.items():
            self._start_channel(channel, found)

    async def drain(self, seconds: float) -> None:
        """Let every sink take what waits, for at most so long."""
        await asyncio.gather(*(d.drain(seconds) for found in self.channels.values() for d in found.drivers.values()))

    async def close(self) -> None:
        """End the drivers and park what waits."""
        for found in self.channels.values():
            for driver in found.drivers.values():
                await driver.close()
            await found.window.park(PARK_SECONDS)
        for sink in self._datagram_sinks.values():
            await sink.close()

    def poll(self) -> None:
        """About once a second: absent outlets, and how far a source's messages were passed on."""
        for channel, found in self.channels.items():
            for driver in found.drivers.values():
                if isinstance(driver, DatagramDriver):
                    driver.poll()
            for ws in found.window.streams if self.on_passed is not None else ():
                passed = found.window.passed(ws.stream)
                if passed is not None and self.on_passed is not None:
                    self.on_passed(channel, ws.stream, passed - 1)

    # What is seen

    @property
    def idle(self) -> bool:
        """Every sink has what there was."""
        return all(not found.window.pending for found in self.channels.values())

    @property
    def undelivered(self) -> bool:
        """Something was neither delivered nor kept on disk."""
        return any(
            sum(ledger.rejected.values()) + sum(ledger.dropped.values())
            for found in self.channels.values()
            for driver in found.drivers.values()
            for ledger in driver.ledgers.values()
        )

    def absent(self) -> list[str]:
        return [
            f"sink {name}: {driver.error}" + (f" (channel {channel})" if len(self.channels) > 1 else "")
            for channel, found in self.channels.items()
            for name, driver in found.drivers.items()
            if driver.error
        ]

    def rows(self, channel: str) -> list[SinkRow]:
        found = self.channels.get(channel)
        return [] if found is None else [driver.status() for driver in found.drivers.values()]

    def problems(self, channel: str) -> list[str]:
        found = self.channels.get(channel)
        if found is None:
            return []
        return [
            f"sink {name}, {stream}: {text}"
            for name, driver in found.drivers.items()
            for stream, ledger in driver.ledgers.items()
            for text in ledger.problems()
        ]

    # Inside

    def _inbound_channels(self) -> list[str]:
        source = self.config.source
        return list(self._app.inbound[source.name].receivers) if isinstance(source, DatagramSourceConfig) else []

    def _make(self, channel: str) -> RouteChannel:
        settings = self.config.settings
        waits = isinstance(self.config.source, MessageSourceConfig)
        window = Window(
            self.name,
            channel,
            WindowSettings(
                memory=settings.memory,
                keep=settings.keep,
                overload="wait" if waits else settings.overload,
                directory=None if waits else self._directory / channel,
                persistent=settings.window == "disk",
            ),
            [sink.name for sink in self.config.sinks],
            spool=self._spool,
            blocking=self._app.calls.run,
            clock_ns=time.monotonic_ns,
            emit=self._app.events.emit,
            run=self._run,
        )
        found = self.channels[channel] = RouteChannel(window)
        window.on_stop = partial(self._overloaded, channel)
        return found

    def _overloaded(self, channel: str) -> None:
        source = self._app.inbound.get(self.config.source.name)
        if source is not None:
            source.stopped.add(channel)

    def _start_channel(self, channel: str, found: RouteChannel) -> None:
        naming = Naming(channel, self._run, self._app.events.emit)
        for sink in self.config.sinks:
            if isinstance(sink, DatagramSinkConfig):
                driver: SinkDriver | DatagramDriver = self._datagram_driver(sink, channel, found)
            else:
                driver = self._message_driver(sink, channel, found, naming)
            found.drivers[sink.name] = driver
            found.notify.append(driver.notify)
            self._app.spawn(driver.run())
            driver.notify()

    def _message_driver(self, sink: MessageSinkConfig, channel: str, found: RouteChannel, naming: Naming) -> SinkDriver:
        context = self._contexts[sink.name]
        return SinkDriver(
            sink.name,
            sink.kind,
            channel,
            found.window.cursors[sink.name],
            partial(sink.connector, sink.options, context),
            naming,
            self._app.loss_book.lacking,
            self._app.events.emit,
            Backoff(random.random),
            lookup=self._lookup(sink),
            registry=self._registry(sink, channel),
        )

    def _lookup(self, sink: MessageSinkConfig) -> Lookup | None:
        """Reads one stored number through the sink's own store, to tell a restart from a continuation."""
        if not sink.capabilities.store:
            return None
        context = self._contexts[sink.name]

        async def lookup(stream: Stream, number: int) -> bytes | None:
            store = load("store", sink.kind)(sink.options, context)
            await store.open()
            try:
                return await store_lookup(store)(stream, number)
            finally:
                await store.close()

        return lookup

    def _registry(self, sink: MessageSinkConfig, channel: str) -> Callable[[], Awaitable[list[StreamInfo]]] | None:
        """Reads the streams that a sink's own store knows, for what an earlier run left of an older session."""
        if not sink.capabilities.store:
            return None
        context = self._contexts[sink.name]

        async def streams() -> list[StreamInfo]:
            store = load("store", sink.kind)(sink.options, context)
            await store.open()
            try:
                return list(await store.streams(channel))
            finally:
                await store.close()

        return streams

    def _datagram_driver(self, sink: DatagramSinkConfig, channel: str, found: RouteChannel) -> DatagramDriver:
        settings = sink.for_channel(channel)
        number = settings.id if settings.id is not None else channel_number(channel)
        keys = [key.reveal().encode() for key in settings.auth.keys] if settings.auth else []
        wire = codec(
            settings.protocol, channel=number, keys=keys, max_message=settings.max_message, origin=self._app.origin
        )

        def sender(max_datagram: int) -> StreamSender:
            return StreamSender(
                wire,
                SenderSettings(
                    max_datagram=max_datagram,
                    heartbeat_ns=round(settings.heartbeat * 1e9),
                    end_count=settings.end_count,
                    holes=settings.holes,
                ),
            )

        rate = settings.rate
        limit = rate.bits if rate.bits is not None else rate.messages
        assert limit is not None
        return DatagramDriver(
            sink.name,
            sink.kind,
            channel,
            found.window.cursors[sink.name],
            self._datagram_sinks[sink.name],
            sender,
            TokenBucket(rate, max(1.0, limit * settings.burst)),
            self._app.loss_book.lacking,
            self._app.events.emit,
        )
