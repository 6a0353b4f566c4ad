"""A datagram source at work: its connector, one `ChannelReceiver` a channel, and the routes that take its items.

With an arrival log (`window = "disk"` on one of its routes) what the core accepts is also written down, and what an earlier run
left is given to the fresh receiver before anything is joined.
"""

import time
from collections.abc import Callable

from bridge.api import Context, DatagramLine, DatagramSource, Item, Stream
from bridge.config.resolved import DatagramSourceConfig
from bridge.core.receiver import ChannelReceiver
from bridge.core.settings import ReceiverSettings
from bridge.pipeline.core_events import OnLoss, report
from bridge.pipeline.receive import InboundChannel, ReceiveLoop
from bridge.telemetry.events import Events
from bridge.window.arrivals import ArrivalLog, Marks, RawPoint
from bridge.wire import codec
from bridge.wire.native_layout import channel_number
from bridge.wire.packet import Codec

ItemsTaker = Callable[[str, list[Item]], None]
"""Takes the items of a channel: (channel, items)."""

MakeLog = Callable[[str, Marks, Callable[[], RawPoint | None]], ArrivalLog]
"""Makes the arrival log of a channel."""


class InboundSource:
    """One `[source.X]` of datagrams. `prepare()`, then `open()`; items go to every taker; `poll()` once a second."""

    def __init__(
        self,
        config: DatagramSourceConfig,
        context: Context,
        events: Events,
        session_grace: float,
        origin: int,
        on_loss: OnLoss,
        raw_session: Callable[[], bytes],
    ) -> None:
        self.config = config
        self.name = config.name
        self.receivers: dict[str, ChannelReceiver] = {}
        self.codecs: dict[str, Codec] = {}
        self.lines: dict[str, list[DatagramLine]] = {}
        self.stopped: set[str] = set()
        self.last_item: float | None = None  # monotonic seconds of the last items
        self._connector: DatagramSource = config.connector(config.options, context)
        self._events = events
        self._session_grace = session_grace
        self._origin = origin
        self._on_loss = on_loss
        self._raw_session = raw_session
        self._takers: list[ItemsTaker] = []
        self._logs: dict[str, ArrivalLog] = {}

    def add_taker(self, taker: ItemsTaker) -> None:
        self._takers.append(taker)

    async def prepare(self, make_log: MakeLog | None) -> None:
        """Make the receivers. Nothing is joined yet, so that a disk window can be read back first.

        Raises OSError and `SegmentFormatError` for a log that cannot be read.
        """
        for line in self._connector.lines():
            self.lines.setdefault(line.channel, []).append(line)
        for channel, lines in self.lines.items():
            names = [line.name for line in lines]
            wire = self.codecs[channel] = self._codec(channel)
            point: RawPoint | None = None
            if make_log is not None:
                log = self._logs[channel] = make_log(channel, self._marks(channel), self._raw_point(channel, wire))
                point = await log.open()
            receiver = ChannelReceiver(channel, wire, names, self._settings(channel, wire, point))
            self.receivers[channel] = receiver
            if make_log is not None:
                receiver.accepted_datagrams = self._logs[channel].accepted

    async def replay(self) -> None:
        """Give the receivers what an earlier run accepted and no sink is known to have."""
        for channel, log in self._logs.items():
            receiver = self.receivers[channel]
            lines = len(receiver.lines)
            now = time.monotonic_ns()
            async for line, datagrams, time_ns in log.replay():
                receiver.receive(min(line, lines - 1), datagrams, now, time_ns, restoring=True)
                items = receiver.end_pass(now, False)
                if items:
                    self.hand_on(channel, items)
            log.replayed()
            self._after_pass(channel, receiver)()

    async def open(self) -> None:
        await self._connector.open()

    def watch(self, loop: ReceiveLoop) -> None:
        """Register every channel with the receive loop."""
        for channel, receiver in self.receivers.items():
            after = self._after_pass(channel, receiver)
            loop.add(InboundChannel(self.lines[channel], receiver, self._taker(channel), after))

    def hand_on(self, channel: str, items: list[Item]) -> None:
        """Give released items to every route of this source."""
        self.last_item = time.monotonic()
        for taker in self._takers:
            taker(channel, items)

    def poll(self) -> bool:
        """True when descriptors changed."""
        return self._connector.poll()

    def trim(self, passed: Callable[[Stream], int | None]) -> None:
        """Let go of arrivals that every sink has passed."""
        for log in self._logs.values():
            log.trim(passed)

    async def close_logs(self) -> None:
        for log in self._logs.values():
            await log.close()

    def finish(self) -> None:
        """The run ends: what is held is decided and handed on."""
        now = time.monotonic_ns()
        for channel, receiver in self.receivers.items():
            items = receiver.close(now)
            if items:
                self.hand_on(channel, items)
            self._after_pass(channel, receiver)()

    def close(self) -> None:
        self._connector.close()

    def down(self) -> str | None:
        """Why nothing at all can be received; None while a line is joined."""
        told = [line.description for lines in self.lines.values() for line in lines]
        if any(line["joined"] for line in told):
            return None
        return next((line["reason"] or "not joined yet" for line in told), "not open yet")

    def absent(self) -> list[str]:
        """What is missing for ready: lines that are not joined, channels of a numbered feed without a word."""
        found = []
        for channel, lines in self.lines.items():
            for line in lines:
                description = line.description
                if not description["joined"]:
                    reason = description["reason"]
                    found.append(f"source {self.name}: {channel} line {line.name} is not joined: {reason}")
            receiver = self.receivers.get(channel)
            if receiver is None or not self.codecs[channel].heartbeats:
                continue
            if channel in self.stopped:
                found.append(f"source {self.name}: {channel} is stopped at a gap")
            elif all(state.silent or not state.ever for state in receiver.lines):
                found.append(f"source {self.name}: {channel} receives nothing, not even heartbeats")
        return found

    def _codec(self, channel: str) -> Codec:
        settings = self.config.channels[channel]
        number = settings.id if settings.id is not None else channel_number(channel)
        keys = [key.reveal().encode() for key in settings.auth.keys] if settings.auth else []
        return codec(settings.protocol, channel=number, keys=keys, max_message=settings.max_message)

    def _marks(self, channel: str) -> Marks:
        def marks() -> list[tuple[Stream, int]]:
            rows = self.receivers[channel].streams
            return [(row.stream, row.ledger.next) for row in rows if row.ledger.next is not None]

        return marks

    def _raw_point(self, channel: str, wire: Codec) -> Callable[[], RawPoint | None]:
        def point() -> RawPoint | None:
            if wire.numbered or channel not in self.receivers:
                return None
            row = self.receivers[channel].streams[-1]
            return RawPoint(row.stream.session, row.ledger.next or 1)

        return point

    def _settings(self, channel: str, wire: Codec, point: RawPoint | None) -> ReceiverSettings:
        settings = self.config.channels[channel]
        gap = settings.gap
        native = wire.name == "native"
        session, first = point or (self._raw_session(), 1)
        return ReceiverSettings(
            hold_ns=round(gap.hold * 1e9),
            hold_packets=gap.hold_packets,
            deadline_ns=round(gap.deadline * 1e9),
            then=gap.then,
            gap_bytes=gap.bytes,
            max_jump=settings.max_jump,
            silent_after_ns=round(settings.silent_after * 1e9),
            session_grace_ns=round(self._session_grace * 1e9),
            channel_number=(settings.id if settings.id is not None else channel_number(channel)) if native else None,
            own_origin=self._origin if native else None,
            authenticated=settings.auth is not None,
            quarantine=settings.quarantine,
            raw_session=session,
            raw_next=first,
        )

    def _taker(self, channel: str) -> Callable[[list[Item]], None]:
        takers = self._takers
        if len(takers) == 1:
            only = takers[0]

            def take_one(items: list[Item]) -> None:
                self.last_item = time.monotonic()
                only(channel, items)

            return take_one
        return lambda items: self.hand_on(channel, items)

    def _after_pass(self, channel: str, receiver: ChannelReceiver) -> Callable[[], bool]:
        events, session_text, on_loss = self._events, self.codecs[channel].session_text, self._on_loss
        log = self._logs.get(channel)

        stopped = self.stopped

        def after_pass() -> bool:
            if log is not None:
                log.end_pass()
            if receiver.has_events:
                report(events, receiver, session_text, on_loss)
                if receiver.stopped:
                    stopped.add(channel)
            return bool(stopped) and channel in stopped

        return after_pass
