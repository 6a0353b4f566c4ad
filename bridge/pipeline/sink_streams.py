"""The streams of one sink and channel: their accounts, their names in the sink, and where each begins.

A stream is resolved when it is taken for the first time: its name is decided (`naming.py`) and its base, the first number
that this sink is to get:

    a stream of this name was offered before (by an earlier run)   where that one ended
    the sink holds the stream                                      one past what is decided there
    neither                                                        the first number offered

Where that takes stored bytes or the sink's registry, `resolve_now` leaves it to `resolve`, which may wait.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bridge.api import Opened, Stream, StreamInfo
from bridge.core.ledger import SinkLedger
from bridge.pipeline.account import Account, Losses
from bridge.pipeline.naming import Held, Lookup, Naming
from bridge.pipeline.resume import tail_of
from bridge.pipeline.sink_rows import summed
from bridge.window.cursor import Cursor
from bridge.window.entry import WindowStream

ACCOUNTS: Final = 64
"""Streams with a row of their own; older ones that are done are summed up in one."""

Registry = Callable[[], Awaitable[Sequence[StreamInfo]]]
"""All streams of the channel that the sink holds: `MessageStore.streams`. May raise `ConnectorError`."""


class SinkStreams:
    """See the module's text. `opened` and `newest` are of the present connection."""

    def __init__(
        self,
        sink: str,
        cursor: Cursor,
        naming: Naming,
        losses: Losses,
        lookup: Lookup | None,
        registry: Registry | None,
    ) -> None:
        self.opened: Opened | None = None
        self.newest: Account | None = None  # the newest stream that the sink holds or was given
        self.unresolved: WindowStream | None = None  # `resolve` is to be called for this one
        self.older = SinkLedger(base=0, end=0)
        self._sink = sink
        self._cursor = cursor
        self._naming = naming
        self._losses = losses
        self._lookup = lookup
        self._registry = registry
        self._accounts: dict[WindowStream, Account] = {}
        self._compared: set[tuple[int, bytes]] = set()  # run and session whose name in this sink is decided
        self._older_tails: dict[Stream, int] = {}  # from the registry, once it had to be asked

    def account(self, stream: WindowStream) -> Account:
        """The stream's account, made when something happens to it first."""
        account = self._accounts.get(stream)
        if account is None:
            first, end = self._cursor.share(stream).first, self._cursor.adopted_end(stream)
            account = self._accounts[stream] = Account(stream, first, self._sink, self._losses, end)
            self._fold()
        return account

    def ordered(self) -> list[Account]:
        """All accounts in the order of their streams; a loss may have opened one early."""
        return sorted(self._accounts.values(), key=lambda account: account.stream.order)

    def named(self) -> list[Account]:
        return [account for account in self.ordered() if account.name is not None]

    def ledgers(self) -> dict[Stream, SinkLedger]:
        """L5 by stream; what two runs offered of one stream is one row."""
        for stream in self._cursor.streams:
            if stream not in self._accounts and self._cursor.pending(stream):
                self.account(stream)  # a sink that was never open has a row for what waits, too
        found: dict[Stream, SinkLedger] = {}
        for account in self.ordered():
            row = account.ledger(self._cursor.pending(account.stream))
            name = account.name or account.stream.likely
            found[name] = summed(found[name], row) if name in found else row
        return found

    def protocol(self, name: Stream) -> str:
        return next(a.stream.protocol for a in self.ordered() if (a.name or a.stream.likely) == name)

    def lost(self, stream: WindowStream, first: int, last: int, reason: str) -> None:
        self.account(stream).lose(first, last, reason)

    def finish(self) -> None:
        """The run ends: name the losses that still waited for a name."""
        for account in self._accounts.values():
            self._naming.hint(account.stream)
            account.finish()

    def resolve_now(self, stream: WindowStream) -> Account | None:
        """The stream's account with its name decided; None when that takes a look into the store first."""
        account = self.account(stream)
        if account.name is None:
            # Streams before it that were lost as a whole first: a session's first stream decides for those after it.
            order = stream.order
            for waiting in [a for a in self.ordered() if a.name is None and a.stream.order <= order]:
                held = self._held(waiting.stream)
                if self._naming.needs_bytes(waiting.stream, held) or self._needs_registry(waiting.stream):
                    self.unresolved = waiting.stream
                    return None
                self._resolve(waiting, held, None)
        newest = self.newest
        overtaken = newest is not None and newest.stream.order > stream.order and newest.name != account.name
        if overtaken or self._superseded(stream, account.name or stream.likely):
            account.left = True
        elif newest is None or newest.stream.order < stream.order:
            self.newest = account
        return account

    async def resolve(self, stream: WindowStream) -> None:
        """Resolve by stored bytes or the registry. Call when all that was submitted before is acknowledged.

        Raises `ConnectorError`.
        """
        held = self._held(stream)
        if self._needs_registry(stream):
            self._older_tails = await self.tails() or {}
        equal: bool | None = None
        if held is not None and self._naming.needs_bytes(stream, held):
            tail = -1 if held.tail is None else held.tail
            samples = [s for s in (self._cursor.sample(stream, tail), stream.sample) if s is not None]
            equal = await self._naming.compare(held, samples, self._lookup)
        account = self.account(stream)
        if account.name is None:
            self._resolve(account, held, equal)

    async def tails(self) -> dict[Stream, int] | None:
        """The highest decided number of every stream that the sink holds, -1 where there is none; None: it cannot tell."""
        if self._registry is None:
            return None
        return {
            info.stream: max((n for n in (info.tail, info.through) if n is not None), default=-1)
            for info in await self._registry()
        }

    def _held(self, stream: WindowStream) -> Held | None:
        """What the sink holds of the stream's session from another run; None where nothing, or already compared."""
        session = stream.stream.session
        if (stream.run, session) in self._compared:
            return None
        for account in reversed(self.ordered()):
            name = account.name
            if name is not None and account.stream.run != stream.run and name.session == session:
                return Held(name, max(account.base, account.end) - 1)
        opened = self.opened
        if opened is not None and opened.stream.session == session:
            return Held(opened.stream, tail_of(opened))
        return None

    def _superseded(self, stream: WindowStream, name: Stream) -> bool:
        """The sink's newest stream is a later one than this: nobody appends to this one any more."""
        if self.opened is None or self.opened.stream == name:
            return False
        newest = self.opened.stream
        if newest.session == name.session:
            return newest.restart > name.restart
        return any(
            later.stream.session == newest.session and later.stream.restart + (later.offset or 0) <= newest.restart
            for later in self._cursor.streams
            if later.order > stream.order
        )

    def _needs_registry(self, stream: WindowStream) -> bool:
        """Only the sink's registry knows how far it got with a stream that is not its newest any more."""
        return self._registry is not None and not self._older_tails and self._superseded(stream, stream.likely)

    def _resolve(self, account: Account, held: Held | None, equal: bool | None) -> None:
        stream = account.stream
        name = self._naming.decide(stream, held, equal)
        self._cursor.named(stream)
        self._compared.add((stream.run, stream.stream.session))
        known = [max(other.base, other.end) for other in self.ordered() if other.name == name][-1:]
        if self.opened is not None and self.opened.stream == name:
            tail = tail_of(self.opened)
            known += [] if tail is None else [tail + 1]
        if self._older_tails.get(name, -1) >= 0:
            known.append(self._older_tails[name] + 1)
        base = max(known, default=account.first)
        self._cursor.skip(stream, base)
        account.resolve(name, base, self._cursor.pending(stream))

    def _fold(self) -> None:
        """Sum up the oldest stream of which nothing waits."""
        if len(self._accounts) <= ACCOUNTS:
            return
        for stream, account in list(self._accounts.items())[: -ACCOUNTS // 2]:
            if account is not self.newest and not self._cursor.pending(stream):
                self.older = summed(self.older, account.ledger(0))
                del self._accounts[stream]
                return
