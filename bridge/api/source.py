"""Sources. A datagram source moves raw bytes and knows no protocol; a message source reads messages that are numbered.

Datagram source, called from the event loop only:

1. `open()` once. It must not fail because an interface is absent: lines that cannot be had yet stay closed
   (`fileno()` is None) and are tried again at each `poll()`. It raises `ConfigurationError` for what can never work.
2. `lines()` gives all lines of all channels, the same objects in the same order for the whole life.
3. `drain(limit)` is called when a line's descriptor is readable or a timer says so. It never blocks and never raises
   for anything that a network peer sent.
4. `poll()` about once a second: rejoin interfaces that came, notice those that went, read kernel drops.
   True when a descriptor was opened or closed, so that the engine registers them anew.
5. `close()` is idempotent.

Message source: `open(start)`, then `read` until it returns an empty list (end of input) or is cancelled. Items arrive
numbered; per stream they are in order. `acknowledge` is called with the position of an item only when every sink of
every route has taken everything up to it; it may be called with a position that it was called with before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from bridge.api import options
from bridge.api.context import Context
from bridge.api.items import Item


class Sample(NamedTuple):
    """One sampled datagram of a drain: its place in the list, the kernel's receive time (ns, Unix epoch), its sender."""

    at: int
    kernel_ns: int
    sender: tuple[str, int]


class Drain(NamedTuple):
    """What one drain of one line returned. `empty` is True when the socket had nothing more to give."""

    datagrams: list[bytes]
    empty: bool
    sample: Sample | None = None


class DatagramLine(Protocol):
    """One line of one channel: one address, one socket."""

    channel: str
    name: str  # "A", "B", … in the order of the configuration

    def fileno(self) -> int | None:
        """The descriptor to wait on, None while the line is not joined."""

    def drain(self, limit: int) -> Drain:
        """Up to `limit` datagrams that wait in the socket, without blocking."""

    @property
    def kernel_dropped(self) -> int:
        """Datagrams that the kernel dropped at this line's socket since it was opened, as last polled."""

    @property
    def description(self) -> dict[str, Any]:
        """What a start-up line and `status` show: address, interface chosen, buffer asked and granted, joined, why not."""


class DatagramSource(Protocol):
    """Moves datagrams of several channels in. See the module's text for the order of calls."""

    @property
    def Options(self) -> type[options.Options]: ...  # noqa: N802 - a class; read-only, so that a nested class fits

    def __init__(self, options: Any, context: Context) -> None: ...
    async def open(self) -> None: ...
    def lines(self) -> Sequence[DatagramLine]: ...
    def poll(self) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Start:
    """Where a message source begins: at `earliest`, `latest`, a `sequence`, a broker `position` or a `time` (ns).

    `channel` restricts it to one; `resume` is the position that was saved last, by channel: it wins over the rest.
    """

    at: Literal["earliest", "latest", "sequence", "position", "time"] = "latest"
    value: int | str | None = None
    resume: dict[str, str] | None = None


class MessageSource(Protocol):
    """Reads messages that are stored somewhere. See the module's text for the order of calls."""

    @property
    def Options(self) -> type[options.Options]: ...  # noqa: N802 - a class; read-only, so that a nested class fits

    def __init__(self, options: Any, context: Context) -> None: ...

    async def open(self, start: Start) -> None: ...

    async def read(self, limit: int) -> Sequence[tuple[Item, str]]:
        """The next items, up to about `limit` messages, each with its position; waits for the first one.

        An empty sequence is the end of the input. Raises `Unavailable` when the system went away: the engine closes,
        backs off and opens again at the last position.
        """

    def acknowledge(self, channel: str, position: str) -> None:
        """Every sink has taken everything of `channel` up to and including `position`."""

    async def close(self) -> None: ...
