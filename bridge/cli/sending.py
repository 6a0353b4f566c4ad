"""What `bridge send` does once it knows what: messages in, datagrams out on every line, each impaired on its own.

    messages ─→ StreamSender (packs, splits, beats) ─→ TokenBucket (paces) ─→ ImpairedLine per line ─→ Outlet per line

With a rate in messages a second the input waits, so that one message a second is one datagram a second and heartbeats
fill the pauses; with a rate in bits the datagrams wait.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.api import MessageBatch, Outlet, SessionEnd, SessionStart, Stream
from bridge.api.options import RateValue
from bridge.cli.impairment import ImpairedLine
from bridge.core.pacing import TokenBucket
from bridge.core.ranges import RangeSet
from bridge.core.sender import StreamSender, Unsendable
from bridge.wire.packet import Codec, Kind

ENCODE: Final = 64
"""Datagrams that are made at a time: less than 2 ms of the loop."""

RETRY_SECONDS: Final = 0.001
"""A full socket buffer empties at line rate."""

POLL_SECONDS: Final = 1.0


@dataclass(slots=True)
class Line:
    """One line: where it sends, what it does to datagrams, and what happened."""

    name: str
    outlet: Outlet
    impaired: ImpairedLine
    sent: int = 0
    missed: int = 0  # not sent because the line was down
    dropped: RangeSet = field(default_factory=RangeSet)  # messages of which at least a piece was lost on this line

    @property
    def description(self) -> dict[str, Any]:
        return self.outlet.description[0]


class Sending:
    """One run of `send`. `run(batches)` lasts until the input has ended or `stop()`; then everything is on the wire."""

    def __init__(self, codec: Codec, sender: StreamSender, lines: Sequence[Line], rate: RateValue) -> None:
        self.lines = lines
        self.messages = 0
        self.bytes = 0
        self.datagrams = 0
        self.unsendable: list[Unsendable] = []
        self.lost_on_all = RangeSet()
        self._codec = codec
        self._sender = sender
        self._bucket = TokenBucket(rate)
        self._paces_input = rate.messages is not None
        self._stopped = asyncio.Event()
        self._polled = time.monotonic()

    def stop(self) -> None:
        """Take no more input; the session is ended properly."""
        self._stopped.set()

    async def run(self, batches: AsyncIterator[list[bytes]], stream: Stream, protocol: str) -> None:
        """Send everything as `stream`, whose session's bytes are of `protocol`. Raises what the input raises."""
        self._add(SessionStart(stream, protocol, 1))
        following = 1
        reading: asyncio.Future[list[bytes] | None] = asyncio.ensure_future(anext(batches, None))
        stopping: asyncio.Future[bool] = asyncio.ensure_future(self._stopped.wait())
        try:
            while not self._stopped.is_set():
                await self._pump()
                if reading.done():
                    batch = reading.result()
                    if batch is None:
                        break
                    if self._room_for(batch):
                        self._add(MessageBatch(stream, following, batch, time.time_ns()))
                        following += len(batch)
                        reading = asyncio.ensure_future(anext(batches, None))
                        continue
                waiting: set[asyncio.Future[Any]] = {stopping} if reading.done() else {stopping, reading}
                await asyncio.wait(waiting, timeout=self._timeout(reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            reading.cancel()
        self._add(SessionEnd(stream, following))
        await self._pump()
        while not self._sender.finished or self._next_time() is not None:
            await asyncio.sleep(self._timeout(None))
            await self._pump()

    def _add(self, item: SessionStart | MessageBatch | SessionEnd) -> None:
        self._sender.add(item, time.monotonic_ns(), time.time_ns())
        if isinstance(item, MessageBatch):
            self.messages += len(item.payloads)
            self.bytes += sum(map(len, item.payloads))

    def _room_for(self, batch: list[bytes]) -> bool:
        now = time.monotonic_ns()
        return not self._paces_input or self._bucket.next_time(len(batch), now) <= now

    def _timeout(self, reading: "asyncio.Future[list[bytes] | None] | None") -> float:
        now = time.monotonic_ns()
        times = [due for due in (self._sender.next_timer(), self._next_time()) if due is not None]
        if reading is not None and reading.done() and (batch := reading.result()) is not None and self._paces_input:
            times.append(self._bucket.next_time(len(batch), now))
        return max(0.0, (min(times, default=now + 10**9) - now) / 1e9)

    def _next_time(self) -> int | None:
        return min((due for line in self.lines if (due := line.impaired.next_time()) is not None), default=None)

    async def _pump(self) -> None:
        """Send what is there, as fast as the bucket allows."""
        while datagrams := self._sender.datagrams(time.monotonic_ns(), time.time_ns(), ENCODE):
            start = 0
            while start < len(datagrams):
                now = time.monotonic_ns()
                end, wait_ns = self._bucket.take(datagrams, start, now)
                self._offer([datagram for datagram, _ in datagrams[start:end]], now)
                start = end
                await self._put_all()
                if wait_ns:
                    due = self._next_time()
                    until = now + wait_ns if due is None else min(due, now + wait_ns)
                    await asyncio.sleep(max(0, until - time.monotonic_ns()) / 1e9)
        self.unsendable += self._sender.events()
        await self._put_all()
        if time.monotonic() - self._polled >= POLL_SECONDS:
            self._polled = time.monotonic()
            for line in self.lines:
                line.outlet.poll()

    def _offer(self, datagrams: list[bytes], now_ns: int) -> None:
        lost = [line.impaired.offer(datagrams, now_ns) for line in self.lines]
        everywhere = set(lost[0]).intersection(*lost[1:])
        for line, places in zip(self.lines, lost, strict=True):
            for place in places:
                for first, stop in self._numbers(datagrams[place], self.datagrams + place):
                    line.dropped.add(first, stop)
                    if place in everywhere:
                        self.lost_on_all.add(first, stop)
        self.datagrams += len(datagrams)

    def _numbers(self, datagram: bytes, place: int) -> list[tuple[int, int]]:
        """The messages, as a range, that a datagram has a piece of; a raw one's number is its place."""
        if not self._codec.numbered:
            return [(place + 1, place + 2)]
        packet = self._codec.decode([datagram]).packets[0]
        return [(packet.sequence, packet.sequence + len(packet.payloads))] if packet.kind == Kind.DATA else []

    async def _put_all(self) -> None:
        now = time.monotonic_ns()
        for line in self.lines:
            await self._put(line, line.impaired.take(now))

    async def _put(self, line: Line, datagrams: list[bytes]) -> None:
        done = 0
        while done < len(datagrams):
            taken = line.outlet.send(datagrams[done:] if done else datagrams)
            done += taken
            line.sent += taken
            if done == len(datagrams):
                return
            if not line.description["up"]:
                line.missed += len(datagrams) - done
                return
            await asyncio.sleep(RETRY_SECONDS)

    def report(self) -> dict[str, Any]:
        """What was sent and what was dropped; ranges of message numbers include both ends."""
        return {
            "messages": self.messages,
            "bytes": self.bytes,
            "datagrams": self.datagrams,
            "lost_on_all": ranges(self.lost_on_all),
            "unsendable": [
                {"first": event.first, "last": event.last, "reason": event.reason, "detail": event.detail}
                for event in self.unsendable
            ],
            "lines": [self._line(line) for line in self.lines],
        }

    def _line(self, line: Line) -> dict[str, Any]:
        impaired = line.impaired
        return {
            "line": line.name,
            "address": line.description["address"],
            "interface": line.description["interface"],
            "datagrams": impaired.offered,
            "sent": line.sent,
            "lost": impaired.lost,
            "duplicated": impaired.duplicated,
            "reordered": impaired.reordered,
            "missed": line.missed,
            "dropped": ranges(line.dropped),
        }


def ranges(numbers: RangeSet) -> list[list[int]]:
    """[first, last] of each range, both included."""
    return [[first, stop - 1] for first, stop in numbers]
