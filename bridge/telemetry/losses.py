"""Every loss as a range of numbers with its reason: a bounded ring in memory for status, all of them in `losses.jsonl`.

Ranges that continue each other become one. The file is appended to by a blocking call, at most every `PAUSE` seconds, and
is turned over at `MAX_BYTES` to `losses.jsonl.1`, so that a hostile sender cannot fill the disk with it. While the file
cannot be written, up to `MAX_WAITING` ranges wait.
"""

import asyncio
import contextlib
import datetime
import json
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

from bridge.telemetry.events import Events
from bridge.telemetry.status import Loss

KEPT = 1_000
"""Ranges in memory."""

MAX_WAITING = 50_000
MAX_BYTES = 64 * 2**20
PAUSE = 0.05

FILE = "losses.jsonl"

Blocking = Callable[[Callable[[], None]], Awaitable[None]]


class Losses:
    """To be used from the event loop's thread. `record` never waits."""

    def __init__(
        self,
        directory: Path | None,
        blocking: Blocking,
        events: Events,
        *,
        now: Callable[[], float] = time.time,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`directory` None: nothing is written to disk."""
        self.kept: deque[Loss] = deque(maxlen=KEPT)
        self.left_out = 0
        self._path = directory / FILE if directory is not None else None
        self._blocking = blocking
        self._events = events
        self._now = now
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[float, Loss]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._failing = False

    def record(self, loss: Loss) -> None:
        """Keep a range, and write it soon."""
        if self.kept and _continues(self.kept[-1], loss):
            self.kept[-1].last = loss.last
        else:
            if len(self.kept) == KEPT:
                self.left_out += 1
            self.kept.append(loss.model_copy())
        if self._path is None:
            return
        if self._waiting and _continues(self._waiting[-1][1], loss):
            self._waiting[-1][1].last = loss.last
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append((self._now(), loss.model_copy()))
        else:
            self._events.emit("losses_not_written", "error", f"too many ranges wait for {self._path}; one was left out")
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """Write what waits, once; it is not tried again."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        if self._waiting:
            await self._append()

    async def _write(self) -> None:
        while self._waiting:
            wrote = await self._append()
            await asyncio.sleep(PAUSE if wrote else 1.0)

    async def _append(self) -> bool:
        """Write what waits now; it stays where the disk refuses."""
        path, limit = self._path, self._max_bytes
        assert path is not None
        taken, self._waiting = self._waiting, deque()
        call = asyncio.ensure_future(self._blocking(lambda: append(path, taken, limit)))
        try:
            await asyncio.shield(call)
        except asyncio.CancelledError:  # the thread goes on: its lines must be neither lost nor written twice
            with contextlib.suppress(OSError):
                await call
                raise
            self._waiting.extendleft(reversed(taken))
            raise
        except OSError as error:
            self._waiting.extendleft(reversed(taken))
            if not self._failing:
                self._events.emit("losses_not_written", "error", f"{path} cannot be written: {error.strerror}")
            self._failing = True
            return False
        self._failing = False
        return True


def append(path: Path, losses: "deque[tuple[float, Loss]]", max_bytes: int) -> None:
    """Append lines, turning the file over first where it is full. Blocks on the disk; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size >= max_bytes:
            path.replace(path.with_suffix(path.suffix + ".1"))
    lines = []
    for moment, loss in losses:
        text = datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="milliseconds")
        lines.append(json.dumps({"time": text.replace("+00:00", "Z"), **loss.model_dump()}))
    with path.open("ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        torn = size and os.pread(file.fileno(), 1, size - 1) != b"\n"  # a kill in the middle of a line
        try:
            file.write((b"\n" if torn else b"") + "\n".join(lines).encode() + b"\n")
        except OSError:
            file.truncate(size)
            raise


def _continues(before: Loss, loss: Loss) -> bool:
    return (
        before.last + 1 == loss.first
        and before.channel == loss.channel
        and before.session == loss.session
        and before.restart == loss.restart
        and before.reason == loss.reason
        and before.sink == loss.sink
    )
