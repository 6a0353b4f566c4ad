"""Blocking file work, one call at a time and in order, so that the event loop never waits for a disk."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Blocking(Protocol):
    """Runs a call in a thread: `Context.blocking`."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


class DiskQueue:
    """Runs calls one after the other through `blocking`. Its callbacks run on the loop's thread.

    A call that raises does not end the queue: what it raised is handed to `done` instead of a result.
    """

    def __init__(self, blocking: Blocking) -> None:
        self._blocking = blocking
        self._jobs: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None

    def put(self, call: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        """Run `call` after everything that was put before, then `done` with its result or its error."""
        self._jobs.append((call, done))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def run(self, call: Callable[[], T]) -> T:
        """As `put`, awaited. Raises what the call raises."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: T | Exception) -> None:
            if future.cancelled():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.put(call, done)
        return await future

    async def idle(self) -> None:
        """Wait until nothing is left to do."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._jobs:
                call, done = self._jobs.popleft()
                try:
                    result = await self._blocking(call)
                except Exception as error:
                    done(error)
                else:
                    done(result)
        finally:
            self._task = None
