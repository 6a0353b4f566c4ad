"""Which stream of a sink continues in what the core received: the restart offset (design: "restart").

The core of every run counts a session's restarts from 0. A sink may hold the session from an earlier run. When a sink meets a
stream for the first time in a run, what it holds of the same session (restart R, tail T) is compared with the stream's first
number and, where both have a number, with its bytes:

    the sink holds                        the core's restart k becomes
    nothing of the session                k + what another sink made of it, else k
    a tail below our first number         R        it goes on
    a number of ours, bytes equal         R        it goes on
    a number of ours, bytes different     R + 1    it began again: an event says so
    a number of ours, not comparable      R + 1    as above: a gap is better than two meanings of one number

The first answer for a session holds for all sinks of the process. Only a sink that holds a higher restart than that answer
raises it, for itself and those that come later, with an event: it can not go backwards.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from bridge.api import Data, MessageStore, Severity, Stream
from bridge.window.entry import WindowStream

Lookup = Callable[[Stream, int], Awaitable[bytes | None]]
"""The stored bytes of one number, None where the store has none. Raises `ConnectorError`."""

Emit = Callable[[str, Severity, str], None]


class Held(NamedTuple):
    """The newest stream of a session in a sink, and its highest number that is decided."""

    stream: Stream
    tail: int | None


class Naming:
    """One per channel and process; `run` is the run that the core's own streams have in the window."""

    def __init__(self, channel: str, run: int, emit: Emit) -> None:
        self.channel = channel
        self.run = run
        self._emit = emit
        self._offsets: dict[tuple[int, bytes], int] = {}  # by run and session

    def settled(self, stream: WindowStream) -> bool:
        """An earlier run decided the name and wrote it beside what it left on disk."""
        return stream.run != self.run and stream.offset is not None

    def needs_bytes(self, stream: WindowStream, held: Held | None) -> bool:
        """Whether only the bytes of a number can tell."""
        if held is None or held.tail is None or self.settled(stream):
            return False
        return held.tail >= stream.first

    def hint(self, stream: WindowStream) -> None:
        """Give a stream that no sink was offered yet the offset of its session, where that is known."""
        if stream.offset is None:
            stream.offset = self._offsets.get((stream.run, stream.stream.session))

    async def compare(self, held: Held, samples: Sequence[tuple[int, bytes]], lookup: Lookup | None) -> bool | None:
        """Whether numbers that both have are equal; None when none can be compared. Raises what `lookup` raises."""
        if lookup is None or held.tail is None:
            return None
        for number, payload in samples:
            if number <= held.tail:
                stored = await lookup(held.stream, number)
                if stored is not None:
                    return stored == payload
        return None

    def decide(self, stream: WindowStream, held: Held | None, equal: bool | None) -> Stream:
        """The stream's name in a sink that holds this. `equal`: what `compare` said, where `needs_bytes`."""
        key = stream.run, stream.stream.session
        known = stream.offset if self.settled(stream) else self._offsets.get(key)
        needed: int | None = None
        if held is not None and not self.settled(stream):
            begins_again = held.tail is not None and held.tail >= stream.first and equal is not True
            needed = held.stream.restart - stream.stream.restart + begins_again
            if begins_again and (known is None or needed > known):
                how = "it was compared and differs" if equal is False else "it cannot be compared"
                self._emit(
                    "stream_restarted",
                    "warning",
                    f"channel {self.channel}: session {stream.stream.session.hex()} begins at {stream.first}, the sink's "
                    f"tail is {held.tail} and {how}: it goes on as restart {held.stream.restart + 1}",
                )
        if known is not None and needed is not None and needed > known:
            self._emit(
                "restart_differs",
                "warning",
                f"channel {self.channel}: session {stream.stream.session.hex()} has restart {needed} in one sink and "
                f"{known} in another",
            )
        offset = max(known, needed) if known is not None and needed is not None else needed if known is None else known
        self._offsets[key] = stream.offset = offset or 0
        return stream.stream._replace(restart=max(0, stream.stream.restart + stream.offset))


def store_lookup(store: MessageStore) -> Lookup:
    """Looks numbers up in a message store."""

    async def lookup(stream: Stream, number: int) -> bytes | None:
        async for piece in store.read(stream, number, number, limit=1):
            if isinstance(piece, Data) and piece.batch.payloads:
                return piece.batch.payloads[0]
        return None

    return lookup
