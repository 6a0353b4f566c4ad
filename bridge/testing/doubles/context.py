"""The engine's side of a connector, for tests: a `Context` and a `Listener` that remember what they were told."""

import asyncio
import inspect
import threading
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bridge.api import ConnectorError, Counter, Severity, Stream

T = TypeVar("T")


class Emitted(NamedTuple):
    """One event that a connector emitted."""

    code: str
    severity: Severity
    text: str
    fields: dict[str, Any]


class _Cell:
    def __init__(self, tally: "Tally[str]", key: str) -> None:
        self._tally, self._key = tally, key

    def add(self, amount: int = 1) -> None:
        if amount < 0:
            raise ValueError(f"counter {self._key} only rises, was given {amount}")
        self._tally[self._key] += amount


class FakeContext:
    """A `Context`: `events` and `counts` hold what the connector said. `close()` does what the engine does at the end.

    `inline` runs `blocking` calls on the loop after one turn of it, so that a test needs no threads.
    """

    def __init__(self, name: str = "test", state: Path | None = None, *, inline: bool = False) -> None:
        self.name = name
        self.state = state if state is not None else Path("state-of-a-test-that-must-not-need-one")
        self.events: list[Emitted] = []
        self.counts: Tally[str] = Tally()  # key: name, or name{label=value,…}
        self._inline = inline
        self._shared: dict[str, Any] = {}

    def emit(self, code: str, severity: Severity, text: str, **fields: Any) -> None:
        self.events.append(Emitted(code, severity, text, fields))

    def counter(self, name: str, **labels: str) -> Counter:
        inner = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
        return _Cell(self.counts, f"{name}{{{inner}}}" if inner else name)

    async def blocking(self, call: Callable[[], T]) -> T:
        if self._inline:
            await asyncio.sleep(0)
            return call()
        return await asyncio.to_thread(call)

    def shared(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._shared:
            self._shared[key] = make()
        made: T = self._shared[key]
        return made

    async def close(self) -> None:
        """Close what the connector shared, last made first; the context can be used again after it."""
        while self._shared:
            _, shared = self._shared.popitem()
            close = getattr(shared, "close", None)
            answer = close() if close is not None else None
            if inspect.isawaitable(answer):
                await answer


class RecordingListener:
    """A `Listener` that keeps all acknowledgements and failures, and holds the sink to the contract.

    A call that breaks it (an acknowledgement that falls or follows a failure, a second failure, a call from another
    thread) is kept in `broken`, in words: raising here would end up inside the sink.
    """

    def __init__(self) -> None:
        self.acknowledged: list[tuple[Stream, int]] = []
        self.failures: list[ConnectorError] = []
        self.broken: list[str] = []
        self._through: dict[Stream, int] = {}
        self._thread = threading.get_ident()
        self._changed: asyncio.Event | None = None

    def through(self, stream: Stream) -> int | None:
        """The last number of the stream that was acknowledged, None when none was."""
        return self._through.get(stream)

    def on_acknowledged(self, stream: Stream, through: int) -> None:
        before = self._through.get(stream)
        if before is not None and through < before:
            self.broken.append(f"acknowledgement fell from {before} to {through}")
        if self.failures:
            self.broken.append(f"acknowledged {through} after it had failed")
        self._through[stream] = through
        self.acknowledged.append((stream, through))
        self._wake("on_acknowledged")

    def on_failed(self, error: Exception) -> None:
        if self.failures:
            self.broken.append(f"failed a second time: {error}")
        if not isinstance(error, ConnectorError):
            self.broken.append(f"failed with {error!r}, which is no ConnectorError")
            error = ConnectorError(str(error))
        self.failures.append(error)
        self._wake("on_failed")

    async def reaches(self, stream: Stream, through: int) -> None:
        """Wait until the stream is acknowledged up to `through`. Raises the failure if that comes instead."""
        while self._through.get(stream, -1) < through:
            if self.failures:
                raise self.failures[0]
            await self.change()

    async def fails(self) -> ConnectorError:
        """Wait for the failure."""
        while not self.failures:
            await self.change()
        return self.failures[0]

    async def change(self) -> None:
        """Wait for the next call of either kind."""
        if self._changed is None:
            self._changed = asyncio.Event()
        self._changed.clear()
        await self._changed.wait()

    def _wake(self, what: str) -> None:
        if threading.get_ident() != self._thread:
            self.broken.append(f"{what} was called from another thread than the event loop's")
        elif self._changed is not None:
            self._changed.set()
