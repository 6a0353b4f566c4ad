"""A tick while data flow: asyncio's own timer from 1 ms up, a timerfd below that.

asyncio rounds a timer up to the next millisecond, which would make 200 µs into 1 ms; a timerfd is a descriptor like any
other and keeps its time. Python has it from 3.13 on, so older versions ask the C library.
"""

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000


class Ticker:
    """Calls `on_tick` every `interval` seconds between `start()` and `stop()`. Both are idempotent and cheap."""

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, on_tick: Callable[[], None]) -> None:
        self._loop = loop
        self._interval = interval
        self._on_tick = on_tick
        self._handle: asyncio.TimerHandle | None = None
        self._fd = _timerfd() if interval < 0.001 else None
        self._running = False
        if self._fd is not None:
            loop.add_reader(self._fd, self._fd_ready)

    @property
    def running(self) -> bool:
        return self._running

    def start(self) -> None:
        if self._running:
            return
        self._running = True
        if self._fd is None:
            self._handle = self._loop.call_later(self._interval, self._fire)
        else:
            _arm(self._fd, self._interval)

    def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._fd is not None:
            _arm(self._fd, 0.0)

    def close(self) -> None:
        self.stop()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _fire(self) -> None:
        if not self._running:
            return
        self._handle = self._loop.call_later(self._interval, self._fire)
        self._on_tick()

    def _fd_ready(self) -> None:
        assert self._fd is not None
        with contextlib.suppress(BlockingIOError):  # stopped between readiness and here
            os.read(self._fd, 8)
            if self._running:
                self._on_tick()


def _timerfd() -> int | None:
    """A non-blocking monotonic timerfd, None where the system has none (then asyncio's millisecond has to do)."""
    try:
        descriptor: int = ctypes.CDLL(None, use_errno=True).timerfd_create(
            _CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC
        )
    except (OSError, AttributeError):
        return None
    return descriptor if descriptor >= 0 else None


def _arm(descriptor: int, interval: float) -> None:
    seconds, nanoseconds = divmod(int(interval * 1e9), 10**9)
    spec = struct.pack("@llll", seconds, nanoseconds, seconds, nanoseconds)  # struct itimerspec: interval, value
    if ctypes.CDLL(None, use_errno=True).timerfd_settime(descriptor, 0, spec, None) != 0:
        raise OSError(ctypes.get_errno(), "timerfd_settime failed")
