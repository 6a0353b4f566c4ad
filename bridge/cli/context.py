"""The context of connectors that a verb opens itself: events become notes, counters count for nobody."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bridge.api import Counter, Severity
from bridge.cli import failures, output

T = TypeVar("T")


class _Uncounted:
    def add(self, amount: int = 1) -> None:
        """A verb that ends at once has no metrics."""


class VerbContext:
    """`bridge.api.Context` for one table. Warnings and errors go to standard error, the rest is left out."""

    def __init__(self, name: str, state: Path, *, quiet: bool = False) -> None:
        """`quiet`: say nothing, since the verb says what it finds itself."""
        self.name = name
        self.state = state
        self._quiet = quiet
        self._shared: dict[str, Any] = {}

    def emit(self, code: str, severity: Severity, text: str, **fields: Any) -> None:  # noqa: ARG002 - the contract
        if severity in ("warning", "error") and not self._quiet:
            output.note(f"{severity}: {self.name}: {failures.redactor.clean(text)}")

    def counter(self, name: str, **labels: str) -> Counter:  # noqa: ARG002 - the contract
        return _Uncounted()

    async def blocking(self, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(call)

    def shared(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._shared:
            self._shared[key] = make()
        made: T = self._shared[key]
        return made

    async def close(self) -> None:
        """Close what was shared, last made first."""
        while self._shared:
            _, shared = self._shared.popitem()
            close = getattr(shared, "close", None)
            answer = close() if close is not None else None
            if inspect.isawaitable(answer):
                await answer
