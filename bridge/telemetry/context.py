"""What the engine gives each connector table: `bridge.api.Context`."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from bridge.api import Counter, Severity
from bridge.telemetry.counters import Counters
from bridge.telemetry.events import Events

T = TypeVar("T")

THREADS = 8
"""Threads for calls that block. They release the GIL for their whole length, so more of them cost the loop nothing; a
stuck disk takes one a table that writes to it."""


class BlockingCalls:
    """The threads of a process for calls that block. A call that was begun runs to its end, also when its caller is
    cancelled."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="blocking")

    async def run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """No new calls. Those that run go on; the process waits for them at its end. Idempotent."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class EngineContext:
    """One source or sink table's context. `close()` after the table's last object was closed."""

    def __init__(self, name: str, state: Path, events: Events, counters: Counters, calls: BlockingCalls) -> None:
        self.name = name
        self.state = state
        self._events = events
        self._counters = counters
        self._calls = calls
        self._shared: dict[str, Any] = {}

    def emit(self, code: str, severity: Severity, text: str, **fields: Any) -> None:
        """Count and log an event of this table."""
        self._events.emit(code, severity, text, **{"table": self.name, **fields})

    def counter(self, name: str, **labels: str) -> Counter:
        """A counter, shown as `bridge_<name>_total{table="<this>"}`. Raises ValueError as `Counters.counter` does."""
        return self._counters.counter(self.name, name, labels)

    async def blocking(self, call: Callable[[], T]) -> T:
        """Run a call that blocks and releases the GIL in a thread; raises what it raises."""
        return await self._calls.run(call)

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """The object made for `key` by the first caller."""
        if key not in self._shared:
            self._shared[key] = make()
        made: T = self._shared[key]
        return made

    async def close(self) -> None:
        """Close what was shared, last made first. One that fails is an event, and the others are closed all the same."""
        while self._shared:
            key, shared = self._shared.popitem()
            close: Callable[[], Awaitable[None] | None] | None = getattr(shared, "close", None)
            if close is None:
                continue
            try:
                answer = close()
                if inspect.isawaitable(answer):
                    await answer
            except Exception as error:
                self.emit("internal_error", "error", f"{self.name}: closing {key} failed: {error!r}")
