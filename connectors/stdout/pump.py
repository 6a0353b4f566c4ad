"""Writes to one descriptor in the order of submission, for all channels of a table."""

import asyncio
import os
import select
import stat
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from bridge.api import ConnectorError, Context, Refused, Unavailable

STEP: Final = 4096  # PIPE_BUF: a pipe that polls writable takes so much without blocking
LOOK_MS: Final = 200  # how soon a thread that waits for a slow reader notices that it is to give up


class Owner(Protocol):
    """A sink, as the pump sees it."""

    def on_written(self, item: Any) -> None: ...
    def on_lost(self, error: ConnectorError) -> None: ...


class Written(NamedTuple):
    """What is to be written: of whom, the item it stands for, its bytes piece by piece."""

    owner: Owner
    item: Any
    pieces: Iterator[bytes]


class Pump:
    """Runs a task while there is something to write. All methods are called on the event loop."""

    def __init__(self, context: Context, descriptor: int) -> None:
        self._context = context
        self._descriptor = descriptor
        self._waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._queue: deque[Written] = deque()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def put(self, written: Written) -> None:
        self._queue.append(written)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def drop(self, owner: Owner) -> None:
        """Forget what waits of `owner`."""
        self._queue = deque(written for written in self._queue if written.owner is not owner)

    async def _run(self) -> None:
        try:
            while self._queue:
                written = self._queue.popleft()
                try:
                    for piece in written.pieces:
                        await self._context.blocking(partial(self._write, piece))
                except OSError as error:
                    self._lose(written.owner, _connector_error(error))
                else:
                    written.owner.on_written(written.item)
        finally:
            self._task = None

    def _lose(self, owner: Owner, error: ConnectorError) -> None:
        owners = {id(waiting.owner): waiting.owner for waiting in self._queue} | {id(owner): owner}
        self._queue.clear()
        for lost in owners.values():
            lost.on_lost(error)

    def _write(self, piece: bytes) -> None:
        """In a thread. Waits for the reader in short steps, so that the end of the process does not wait for it."""
        left = memoryview(piece)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while left:
            if self._waits:
                while not poll.poll(LOOK_MS):
                    if self._stopped:
                        return
            left = left[os.write(self._descriptor, left[:STEP] if self._waits else left) :]

    async def close(self) -> None:
        """The engine's last call: what a full pipe holds up is given up."""
        self._stopped = True
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _connector_error(error: OSError) -> ConnectorError:
    if isinstance(error, BrokenPipeError):
        return Refused("standard output was closed by its reader")
    return Unavailable(f"standard output failed: {error.strerror}")
