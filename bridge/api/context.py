"""What the engine gives a connector: its name, events and metrics, a place for blocking calls, shared clients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

T = TypeVar("T")
Severity = Literal["debug", "info", "warning", "error"]


class Counter(Protocol):
    """A number that only rises."""

    def add(self, amount: int = 1) -> None: ...


class Context(Protocol):
    """One per source or sink table of the configuration; all objects made from that table share it."""

    name: str  # the table's own name: "cloud" of [sink.cloud]
    state: Path  # a directory that this table may keep files in; made on first use by the connector

    def emit(self, code: str, severity: Severity, text: str, **fields: Any) -> None:
        """An event: logged and counted in one place, rate-limited by code. `code` is stable, documented in
        `docs/reference/events.md`; `fields` never hold a secret."""

    def counter(self, name: str, **labels: str) -> Counter:
        """A counter of this connector, shown as `bridge_<name>_total` in the metrics."""

    async def blocking(self, call: Callable[[], T]) -> T:
        """Run a call that blocks but releases the GIL for its whole length (disk, DNS, a C client's flush) in a thread."""

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """The object made for `key` by the first caller of this table: a client or a writer that several channels share.
        The engine calls its `close()`, if it has one, after the last object of the table was closed."""
