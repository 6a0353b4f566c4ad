"""The receive loop: drains the sockets of all channels of a process in the event loop's thread.

Receiving costs wake-ups, not bytes. A channel is *quiet* or *flowing*. Quiet: its descriptors are in the selector and each
readiness is a pass. Flowing: they are out of the selector and one tick of `max_delay`, common to all flowing channels,
makes the passes. A channel flows when two successive spans of `max_delay` brought three datagrams or more each, and is
quiet again when two successive ticks brought fewer; below that rate readiness is cheaper.

    quiet --(3 datagrams in each of 2 spans)--> flowing --(fewer than 3 in each of 2 ticks)--> quiet

A pass drains every line of a channel, in rotating order, up to `DRAIN_LIMIT` datagrams each, so that no step holds the
loop over about 2 ms; what is left makes a further pass, after the other channels had theirs.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from bridge.api import DatagramLine, Item, Sample
from bridge.pipeline.ticker import Ticker

DRAIN_LIMIT = 256
"""Datagrams a line and pass: at 6 µs each about 1.5 ms of the loop."""

LAST_SECONDS = 0.5
"""For the last passes of a process: several times what emptying a receive buffer of 32 MiB takes."""

FLOWING = 3
"""Datagrams in a span of max_delay from which a timer is cheaper than readiness."""


class Receiver(Protocol):
    """What the loop needs of `core.receiver.ChannelReceiver`."""

    def receive(
        self, line: int, datagrams: Sequence[bytes], now_ns: int, time_ns: int, sample: Sample | None = None
    ) -> None: ...
    def end_pass(self, now_ns: int, drained: bool) -> list[Item]: ...
    def next_timer(self) -> int | None: ...


class InboundChannel:
    """One channel of the receive loop: its lines, its receiver, and who takes its items."""

    def __init__(
        self,
        lines: Sequence[DatagramLine],
        receiver: Receiver,
        on_items: Callable[[list[Item]], None],
        after_pass: Callable[[], None],
    ) -> None:
        self.lines = lines
        self.receiver = receiver
        self.on_items = on_items
        self.after_pass = after_pass
        self.due: int | None = None
        self.descriptors: dict[int, int] = {}  # line's place -> descriptor that is in the selector
        self.flowing = False
        self.streak = 0  # successive spans that speak for the other mode
        self.span_start = 0
        self.span_datagrams = 0
        self.turn = 0  # which line is drained first: rotates, so that no line is always first
        self.again = False  # a further pass is already scheduled

    def drain(self, now_ns: int) -> int:
        """One pass: drain all lines, end the pass, hand on what was released. Returns the number of datagrams."""
        lines, receiver, count, drained = self.lines, self.receiver, 0, True
        time_ns = time.time_ns()
        size = len(lines)
        self.turn += 1
        for place in range(self.turn, self.turn + size):
            index = place % size
            datagrams, empty, sample = lines[index].drain(DRAIN_LIMIT)
            if datagrams:
                count += len(datagrams)
                receiver.receive(index, datagrams, now_ns, time_ns, sample)
            if not empty:
                drained = False
        items = receiver.end_pass(now_ns, drained)
        if items:
            self.on_items(items)
        self.after_pass()
        self.again = not drained
        return count


class ReceiveLoop:
    """Drives all channels of a process. `refresh()` after a source's `poll()` said that descriptors changed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_delay: float) -> None:
        self._loop = loop
        self._channels: list[InboundChannel] = []
        self._span_ns = max(int(max_delay * 1e9), 1)
        self._coalesce = max_delay > 0
        self._ticker = Ticker(loop, max(max_delay, 1e-4), self._tick)
        self._flowing: list[InboundChannel] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._closed = False

    def add(self, channel: InboundChannel) -> None:
        """Takes a channel in and waits for its descriptors."""
        self._channels.append(channel)
        self._watch(channel)
        self._note_timer(channel)

    def refresh(self) -> None:
        """Descriptors were opened or closed: put right what the selector waits for."""
        for channel in self._channels:
            if not channel.flowing:
                self._watch(channel)

    def close(self) -> None:
        """One last pass over every channel, then nothing more is received. Idempotent.

        What waits in the sockets is taken, for at most `LAST_SECONDS`: a sender that never pauses would hold the end up.
        """
        if self._closed:
            return
        until = time.monotonic() + LAST_SECONDS
        for channel in self._channels:
            self._unwatch(channel)
            channel.drain(time.monotonic_ns())
            while channel.again and time.monotonic() < until:
                channel.drain(time.monotonic_ns())
        self._closed = True
        self._flowing.clear()
        self._ticker.close()
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, channel: InboundChannel) -> None:
        for place, line in enumerate(channel.lines):
            descriptor = line.fileno()
            watched = channel.descriptors.get(place)
            if watched == descriptor:
                continue
            if watched is not None:
                self._loop.remove_reader(watched)
                del channel.descriptors[place]
            if descriptor is not None:
                self._loop.add_reader(descriptor, self._ready, channel)
                channel.descriptors[place] = descriptor

    def _unwatch(self, channel: InboundChannel) -> None:
        for descriptor in channel.descriptors.values():
            self._loop.remove_reader(descriptor)
        channel.descriptors.clear()

    def _ready(self, channel: InboundChannel) -> None:
        if self._closed or channel.flowing or channel.again:
            return
        now_ns = time.monotonic_ns()
        count = self._pass(channel, now_ns)
        if now_ns - channel.span_start < self._span_ns:
            channel.span_datagrams += count
            return
        channel.streak = channel.streak + 1 if channel.span_datagrams >= FLOWING else 0
        channel.span_start, channel.span_datagrams = now_ns, count
        if channel.streak >= 2 and self._coalesce:
            self._unwatch(channel)
            channel.flowing, channel.streak = True, 0
            self._flowing.append(channel)
            self._ticker.start()

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        quiet: list[InboundChannel] = []
        for channel in self._flowing:
            count = self._pass(channel, now_ns)
            channel.streak = 0 if count >= FLOWING else channel.streak + 1
            if channel.streak >= 2:
                quiet.append(channel)
        for channel in quiet:
            self._flowing.remove(channel)
            channel.flowing, channel.streak, channel.span_datagrams = False, 0, 0
            self._watch(channel)
        if not self._flowing:
            self._ticker.stop()

    def _pass(self, channel: InboundChannel, now_ns: int) -> int:
        already = channel.again
        count = channel.drain(now_ns)
        if channel.again and not already:
            self._loop.call_soon(self._drain_again, channel)
        self._note_timer(channel)
        return count

    def _drain_again(self, channel: InboundChannel) -> None:
        if self._closed or not channel.again:
            return
        channel.again = False
        self._pass(channel, time.monotonic_ns())

    def _note_timer(self, channel: InboundChannel) -> None:
        due = channel.due = channel.receiver.next_timer()
        if due is not None and (self._timer is None or due < self._timer_due):
            self._arm(due)

    def _arm(self, due: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_later(max(0.0, (due - time.monotonic_ns()) / 1e9), self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns()
        earliest: int | None = None
        for channel in self._channels:
            if channel.due is not None and channel.due <= now_ns:
                # A pass, not the timer alone: what waits in a socket must not be taken for missing.
                channel.drain(now_ns)
                if channel.again:
                    self._loop.call_soon(self._drain_again, channel)
                channel.due = channel.receiver.next_timer()
            if channel.due is not None and (earliest is None or channel.due < earliest):
                earliest = channel.due
        if earliest is not None:
            self._arm(max(earliest, now_ns + 100_000))
