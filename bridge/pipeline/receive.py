"""The receive loop: drains the sockets of all channels of a process in the event loop's thread.

Receiving costs wake-ups, not bytes. All sockets are in an epoll of their own, and the process is *quiet* or *flowing*. Quiet:
that epoll is a descriptor of the event loop like any other, and each readiness is looked at. Flowing: it is taken out, and a
tick of `max_delay` asks it which sockets have something. So the change costs one system call, whatever the number of
channels, and a feed of many slow channels is taken together as one fast channel is.

    quiet --(3 datagrams in each of 2 spans of max_delay)--> flowing --(fewer than 3 in each of 2 ticks)--> quiet

A pass drains every line of a channel, in rotating order, up to `DRAIN_LIMIT` datagrams each, so that no step holds the
loop over about 2 ms; what is left makes a further pass, after the other channels had theirs.
"""

import asyncio
import contextlib
import select
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from bridge.api import DatagramLine, Item, Sample
from bridge.pipeline.ticker import Ticker

DRAIN_LIMIT = 256
"""Datagrams a line and pass: at 6 µs each about 1.5 ms of the loop."""

LAST_SECONDS = 0.5
"""For the last passes of a process: several times what emptying a receive buffer of 32 MiB takes."""

READY_AT_ONCE = 64
"""Channels that have their pass in one step of the loop; the others are ready in the next."""

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
        after_pass: Callable[[], bool],
    ) -> None:
        self.lines = lines
        self.receiver = receiver
        self.on_items = on_items
        self.after_pass = after_pass
        self.due: int | None = None
        self.descriptors: dict[int, int] = {}  # line's place -> descriptor that is watched
        self.turn = 0  # which line is drained first: rotates, so that no line is always first
        self.again = False  # a further pass is already scheduled
        self.stopped = False  # its gap policy said stop: nothing more is taken in

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
        self.stopped = self.after_pass()
        self.again = not drained and not self.stopped
        return count


class ReceiveLoop:
    """Drives all channels of a process. `refresh()` after a source's `poll()` said that descriptors changed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_delay: float) -> None:
        self._loop = loop
        self._channels: list[InboundChannel] = []
        self._by_descriptor: dict[int, InboundChannel] = {}
        self._epoll = select.epoll()
        self._span_ns = max(int(max_delay * 1e9), 1)
        self._ticker = Ticker(loop, max(max_delay, 1e-4), self._tick)
        self._flowing = False
        self._streak = 0  # successive spans that speak for the other mode
        self._span_start = self._span_datagrams = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._closed = False
        loop.add_reader(self._epoll.fileno(), self._readable)

    def add(self, channel: InboundChannel) -> None:
        """Takes a channel in and waits for its descriptors."""
        self._channels.append(channel)
        self._watch(channel)
        self._note_timer(channel)

    def refresh(self) -> None:
        """Descriptors were opened or closed: put right what is waited for."""
        for channel in self._channels:
            if not channel.stopped:
                self._watch(channel)

    def close(self) -> None:
        """One last pass over every channel, then nothing more is received. Idempotent.

        What waits in the sockets is taken, for at most `LAST_SECONDS`: a sender that never pauses would hold the end up.
        """
        if self._closed:
            return
        until = time.monotonic() + LAST_SECONDS
        for channel in self._channels:
            if channel.stopped:
                continue
            channel.drain(time.monotonic_ns())
            while channel.again and time.monotonic() < until:
                channel.drain(time.monotonic_ns())
        self._closed = True
        if not self._flowing:
            self._loop.remove_reader(self._epoll.fileno())
        self._ticker.close()
        self._epoll.close()
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, channel: InboundChannel) -> None:
        wanted = {place: line.fileno() for place, line in enumerate(channel.lines)}
        changed = [place for place, descriptor in wanted.items() if channel.descriptors.get(place) != descriptor]
        for place in changed:  # all of them first: a new socket may have the number of a closed one
            if place in channel.descriptors:
                self._forget(channel, place)
        for place in changed:
            descriptor = wanted[place]
            if descriptor is not None:
                self._epoll.register(descriptor, select.EPOLLIN)
                channel.descriptors[place] = descriptor
                self._by_descriptor[descriptor] = channel

    def _forget(self, channel: InboundChannel, place: int) -> None:
        descriptor = channel.descriptors.pop(place)
        if self._by_descriptor.get(descriptor) is channel:
            del self._by_descriptor[descriptor]
            with contextlib.suppress(OSError):  # a closed descriptor has left the epoll by itself
                self._epoll.unregister(descriptor)

    def _readable(self) -> None:
        """Quiet: some socket has something."""
        if self._closed:
            return
        now_ns = time.monotonic_ns()
        count = self._drain_ready(now_ns)
        if now_ns - self._span_start < self._span_ns:
            self._span_datagrams += count
            return
        self._streak = self._streak + 1 if self._span_datagrams >= FLOWING else 0
        self._span_start, self._span_datagrams = now_ns, count
        if self._streak >= 2:
            self._flowing, self._streak = True, 0
            self._loop.remove_reader(self._epoll.fileno())
            self._ticker.start()

    def _tick(self) -> None:
        """Flowing: take what has come since the last tick."""
        count = self._drain_ready(time.monotonic_ns())
        self._streak = 0 if count >= FLOWING else self._streak + 1
        if self._streak >= 2:
            self._flowing, self._streak, self._span_datagrams = False, 0, 0
            self._ticker.stop()
            self._loop.add_reader(self._epoll.fileno(), self._readable)

    def _drain_ready(self, now_ns: int) -> int:
        """A pass over every channel of which a socket has something; the number of datagrams."""
        ready = self._epoll.poll(0, READY_AT_ONCE)
        if len(ready) == 1:
            return self._pass(self._by_descriptor[ready[0][0]], now_ns)
        channels = dict.fromkeys(self._by_descriptor[descriptor] for descriptor, _ in ready)
        return sum([self._pass(channel, now_ns) for channel in channels])

    def _pass(self, channel: InboundChannel, now_ns: int) -> int:
        if channel.stopped:
            return 0
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
        if channel.stopped:
            channel.due = None
            for place in list(channel.descriptors):
                self._forget(channel, place)
            return
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
                self._pass(channel, now_ns)
            if channel.due is not None and (earliest is None or channel.due < earliest):
                earliest = channel.due
        if earliest is not None:
            self._arm(max(earliest, now_ns + 100_000))
