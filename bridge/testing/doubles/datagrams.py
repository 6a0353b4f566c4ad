"""Datagram doubles: lines that a test feeds, and outlets that keep what was sent."""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field

from bridge import api
from bridge.api import ConfigurationError, Context, Drain, Sample
from bridge.testing.doubles.context import FakeContext


class MemoryLine:
    """One line. `feed` puts datagrams into its socket; its descriptor is readable while some wait, as a socket's is."""

    def __init__(self, channel: str, name: str, *, capacity: int = 10_000) -> None:
        self.channel = channel
        self.name = name
        self.kernel_dropped = 0
        self._capacity = capacity
        self._waiting: deque[tuple[bytes, Sample | None]] = deque()
        self._descriptor: int | None = None

    def feed(self, datagrams: Iterable[bytes], *, sender: tuple[str, int] | None = None, kernel_ns: int = 0) -> None:
        """Datagrams arrive: dropped where the line is not joined, counted as dropped where the buffer is full.

        With `sender`, a drain that begins with one of them samples it.
        """
        if self._descriptor is None:
            return
        for datagram in datagrams:
            if len(self._waiting) >= self._capacity:
                self.kernel_dropped += 1
                continue
            sample = None if sender is None else Sample(0, kernel_ns, sender)
            self._waiting.append((datagram, sample))
        if self._waiting:
            os.eventfd_write(self._descriptor, 1)

    def join(self) -> None:
        """The line's interface is there: it has a descriptor from now on."""
        if self._descriptor is None:
            self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def leave(self) -> None:
        """The line's interface is gone, and what waited with it."""
        self._waiting.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def fileno(self) -> int | None:
        return self._descriptor

    def drain(self, limit: int) -> Drain:
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        if not self._waiting and taken and self._descriptor is not None:
            os.eventfd_read(self._descriptor)
        sample = taken[0][1] if taken else None
        return Drain([datagram for datagram, _ in taken], not self._waiting, sample)

    @property
    def description(self) -> dict[str, Any]:
        return {"address": f"memory:{self.channel}.{self.name}", "joined": self._descriptor is not None}


class MemoryDatagramSource:
    """A datagram source whose lines a test feeds: `lines = {"itch": 2}` gives the channel itch the lines A and B.

    `absent` names lines (`itch.B`) whose interface is not there; `appear` lets one come, seen at the next `poll`.
    """

    class Options(api.Options):
        lines: dict[str, int] = Field(default_factory=lambda: {"test": 1})
        absent: tuple[str, ...] = ()
        capacity: int = 10_000

    def __init__(self, options: "MemoryDatagramSource.Options", context: Context | None = None) -> None:
        self.options = options
        self.context = context or FakeContext()
        self.closed = False
        self._absent = set(options.absent)
        self._lines = [
            MemoryLine(channel, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i], capacity=options.capacity)
            for channel, count in options.lines.items()
            for i in range(count)
        ]

    def line(self, channel: str, name: str = "A") -> MemoryLine:
        """The line to feed."""
        return next(line for line in self._lines if (line.channel, line.name) == (channel, name))

    def appear(self, name: str) -> None:
        self._absent.discard(name)

    def vanish(self, name: str) -> None:
        self._absent.add(name)

    async def open(self) -> None:
        self.poll()

    def lines(self) -> Sequence[MemoryLine]:
        return self._lines

    def poll(self) -> bool:
        changed = False
        for line in self._lines:
            wanted = f"{line.channel}.{line.name}" not in self._absent and not self.closed
            if wanted == (line.fileno() is not None):
                continue
            changed = True
            if wanted:
                line.join()
            else:
                line.leave()
        return changed

    def close(self) -> None:
        self.closed = True
        for line in self._lines:
            line.leave()


class MemoryOutlet:
    """Keeps what was sent in `sent`. `room`: how many datagrams it still takes, None for all of them."""

    def __init__(self, channel: str, *, max_datagram: int = 1472) -> None:
        self.channel = channel
        self.max_datagram = max_datagram
        self.sent: list[bytes] = []
        self.room: int | None = None
        self.polls = 0
        self.closed = False

    def send(self, datagrams: Sequence[bytes]) -> int:
        if self.closed:
            return 0
        taken = len(datagrams) if self.room is None else min(self.room, len(datagrams))
        oversize = next((d for d in datagrams[:taken] if len(d) > self.max_datagram), None)
        if oversize is not None:
            raise ValueError(f"a datagram of {len(oversize)} bytes; the engine must not pass {self.max_datagram}")
        self.sent += datagrams[:taken]
        if self.room is not None:
            self.room -= taken
        return taken

    def poll(self) -> None:
        self.polls += 1

    @property
    def description(self) -> list[dict[str, Any]]:
        return [{"line": line, "address": f"memory:{self.channel}.{line}", "up": not self.closed} for line in "AB"]

    def close(self) -> None:
        self.closed = True


class MemoryDatagramSink:
    """A datagram sink; `outlets` holds the outlet of each channel that was opened. `channels`: None takes any name."""

    class Options(api.Options):
        channels: list[str] | None = None
        max_datagram: int = 1472

    def __init__(self, options: "MemoryDatagramSink.Options", context: Context | None = None) -> None:
        self.options = options
        self.context = context or FakeContext()
        self.outlets: dict[str, MemoryOutlet] = {}

    async def open(self, channel: str) -> MemoryOutlet:
        if self.options.channels is not None and channel not in self.options.channels:
            raise ConfigurationError(f"no line for channel {channel!r}", hint="name it in `channels`")
        outlet = self.outlets[channel] = MemoryOutlet(channel, max_datagram=self.options.max_datagram)
        return outlet

    async def close(self) -> None:
        for outlet in self.outlets.values():
            outlet.close()
