"""A datagram source at work: its connector, one `ChannelReceiver` a channel, and the routes that take its items."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from bridge.api import DatagramLine, DatagramSource, Item
from bridge.core.receiver import ChannelReceiver
from bridge.pipeline.core_events import report
from bridge.pipeline.receive import InboundChannel, ReceiveLoop
from bridge.telemetry.events import Events
from bridge.wire.packet import Codec

ItemsTaker = Callable[[str, list[Item]], None]
"""Takes the items of a channel: (channel, items)."""


class InboundSource:
    """One `[source.X]` of datagrams. `open()` joins; items go to every taker; `poll()` once a second."""

    def __init__(
        self,
        name: str,
        kind: str,
        connector: DatagramSource,
        codec_of: Callable[[str], Codec],
        receiver_of: Callable[[str, Codec, list[str]], ChannelReceiver],
        events: Events,
        on_stop: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self.kind = kind
        self.receivers: dict[str, ChannelReceiver] = {}
        self.codecs: dict[str, Codec] = {}
        self.lines: dict[str, list[DatagramLine]] = {}
        self.last_item = 0.0  # loop-independent monotonic seconds of the last released item
        self._connector = connector
        self._codec_of = codec_of
        self._receiver_of = receiver_of
        self._events = events
        self._on_stop = on_stop
        self._takers: list[ItemsTaker] = []
        self._said_down: set[tuple[str, str]] = set()

    def add_taker(self, taker: ItemsTaker) -> None:
        self._takers.append(taker)

    def prepare(self) -> None:
        """Make the receivers; nothing is joined yet, so that a disk window can be read back first."""
        for line in self._connector.lines():
            self.lines.setdefault(line.channel, []).append(line)
        for channel, lines in self.lines.items():
            codec = self.codecs[channel] = self._codec_of(channel)
            self.receivers[channel] = self._receiver_of(channel, codec, [line.name for line in lines])

    async def open(self) -> None:
        await self._connector.open()

    def watch(self, loop: ReceiveLoop) -> None:
        """Register every channel with the receive loop."""
        for channel, receiver in self.receivers.items():
            loop.add(
                InboundChannel(self.lines[channel], receiver, self._taker_of(channel), self._after_pass_of(receiver))
            )

    def hand_on(self, channel: str, items: list[Item]) -> None:
        """Give released items to every route of this source."""
        self.last_item = time.monotonic()
        for taker in self._takers:
            taker(channel, items)

    def poll(self) -> bool:
        """True when descriptors changed. Says once when a line is not joined, and once when it is back."""
        changed = self._connector.poll()
        for line in self.all_lines():
            key, description = (line.channel, line.name), line.description
            if not description["joined"] and key not in self._said_down:
                self._said_down.add(key)
                self._events.emit(
                    "line_not_joined",
                    "warning",
                    f"channel {line.channel} line {line.name}: {description['address']} is not joined: "
                    f"{description['reason']}",
                    channel=line.channel,
                    line=line.name,
                )
            elif description["joined"] and key in self._said_down:
                self._said_down.discard(key)
                self._events.emit(
                    "line_joined",
                    "info",
                    f"channel {line.channel} line {line.name}: {description['address']} is joined",
                    channel=line.channel,
                    line=line.name,
                )
        return changed

    def finish(self) -> None:
        """The run ends: what is held is decided and handed on."""
        now = time.monotonic_ns()
        for channel, receiver in self.receivers.items():
            items = receiver.close(now)
            if items:
                self.hand_on(channel, items)
            report(self._events, receiver, self._on_stop)

    def close(self) -> None:
        self._connector.close()

    def all_lines(self) -> Iterable[DatagramLine]:
        for lines in self.lines.values():
            yield from lines

    def description(self) -> list[dict[str, Any]]:
        return [{"channel": line.channel, "line": line.name, **line.description} for line in self.all_lines()]

    def _taker_of(self, channel: str) -> Callable[[list[Item]], None]:
        takers = self._takers

        def take(items: list[Item]) -> None:
            self.last_item = time.monotonic()
            for taker in takers:
                taker(channel, items)

        return take

    def _after_pass_of(self, receiver: ChannelReceiver) -> Callable[[], None]:
        events, on_stop = self._events, self._on_stop

        def after_pass() -> None:
            if receiver.has_events:
                report(events, receiver, on_stop)

        return after_pass
