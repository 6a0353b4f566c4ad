"""Sinks. A message sink stores numbered messages; a datagram sink sends bytes that the engine packed and paced.

A message sink object is *one connection life of one sink and one channel*. It never retries and never reconnects:

1. `open(channel, listener)` connects and returns what is stored: the newest stream of the channel, its tail and
   `through`; None where nothing is. Raises `Unavailable` or `Refused`.
2. `submit(item)` takes all four items in order and does not block. It returns False when it is full: nothing was
   taken, and the next acknowledgement ends that; so only numbers can make it full. `SessionStart` claims the stream.
   A `Hole` is stored, or is otherwise remembered so that a reader can tell it from a number that is yet to come.
3. `listener.on_acknowledged(stream, through)`: everything of the stream up to `through`, holes included, is stored.
   Always a prefix; it never falls. Called on the event loop's thread.
4. `listener.on_failed(error)` at most once: everything above the acknowledged prefix is unknown; the object is dead
   and only `close` follows. The engine backs off, makes a new object, reads the tail and resends.
5. `close(drain)`: with drain, everything submitted is acknowledged first or `on_failed` says why not; without, at
   once. Idempotent, and it may be called at any moment, also while `open` is awaited and cancelled.

What is at or below the tail is skipped by a sink that `dedupes`; a sink never stores a number twice or goes backwards:
`submit` with a number at or below what was submitted before raises `ValueError`, since that is our own mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from bridge.api import options
from bridge.api.context import Context
from bridge.api.errors import ConnectorError
from bridge.api.items import Item, Stream


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a sink claims; the conformance suite demands what is claimed.

    readable_tail: `open` reads the last stored number from the system itself.
    dedupes:       the system (or the connector, in one step with the write) refuses a number that it has.
    fences:        a writer that was replaced can no longer write.
    store:         a message store of the same name reads it back by sequence.
    """

    readable_tail: bool = False
    dedupes: bool = False
    fences: bool = False
    store: bool = False


class Opened(NamedTuple):
    """What a sink found: its newest stream, the last stored number (None: claimed but empty) and what is decided.

    Everything up to `through` is decided, whether or not a message is stored at it. None means nothing is.
    """

    stream: Stream
    tail: int | None
    through: int | None


class MessageLimits(NamedTuple):
    """The largest payload in bytes that the sink takes; larger ones become `Hole(rejected)` before `submit`."""

    max_message: int


class Listener(Protocol):
    """The engine's side of a sink."""

    def on_acknowledged(self, stream: Stream, through: int) -> None: ...
    def on_failed(self, error: ConnectorError) -> None: ...


class MessageSink(Protocol):
    """Stores messages. See the module's text for the order of calls."""

    @property
    def Options(self) -> type[options.Options]: ...  # noqa: N802 - a class; read-only, so that a nested class fits

    capabilities: ClassVar[Capabilities]
    columns: ClassVar[frozenset[str]]  # the columns that it needs in a MessageBatch

    def __init__(self, options: Any, context: Context) -> None: ...
    async def open(self, channel: str, listener: Listener) -> Opened | None: ...
    def limits(self) -> MessageLimits: ...
    def submit(self, item: Item) -> bool: ...
    async def close(self, drain: bool) -> None: ...


class Outlet(Protocol):
    """One channel of a datagram sink: every datagram goes to all of its lines, identically."""

    max_datagram: int  # bytes of UDP payload that fit the MTU

    def send(self, datagrams: Sequence[bytes]) -> int:
        """Send in order to all lines; returns how many datagrams of the list all lines took (a full socket buffer
        ends early). Never raises for a network condition: a line that fails is closed, counted and opened again."""

    def poll(self) -> None:
        """About once a second: reopen lines whose interface came back."""

    @property
    def description(self) -> list[dict[str, Any]]:
        """One entry a line for start-up and `status`: address, interface, TTL, loop, source address, DSCP, up or why not."""

    def close(self) -> None: ...


class DatagramSink(Protocol):
    """Sends datagrams. Numbering, packing, heartbeats and pacing are the engine's."""

    @property
    def Options(self) -> type[options.Options]: ...  # noqa: N802 - a class; read-only, so that a nested class fits

    def __init__(self, options: Any, context: Context) -> None: ...

    async def open(self, channel: str) -> Outlet:
        """The outlet of a channel. Raises `ConfigurationError` when the sink has no line for it."""

    async def close(self) -> None: ...
