"""The writer that all channels of one journal table share: it gathers what waits and commits it together.

The loop only builds rows; SQLite runs in one thread of its own, which is in calls that release the GIL for nearly all of
its time. It is not `Context.blocking`, since a name lookup that hangs there must not hold up commits, and since SQLite
wants one thread at a time. One commit serves all channels that wait: it costs 30 to 100 µs whatever it holds, and
200 channels with files of their own would need 200 of them.

A commit starts when `commit_interval` has passed since the last one started, or when 1,000 messages or 1 MiB wait,
never two at once. After a failure everything is closed and every channel is told; the next `attach` opens anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from bridge.api import ConnectorError, Context, Unavailable
from connectors.journal.faults import connector_error
from connectors.journal.options import SinkOptions
from connectors.journal.retention import Limits
from connectors.journal.segment import Row, StreamRow
from connectors.journal.storage import Storage
from connectors.journal.worker import Worker

T = TypeVar("T")
COMMIT_MESSAGES: Final = 1_000
COMMIT_BYTES: Final = 1024 * 1024
RETENTION_PERIOD: Final = 10.0  # seconds between looks at the age of what is kept, besides those at each new segment


@dataclass(slots=True, frozen=True)
class Claim:
    """Enter a stream in the registry."""

    row: StreamRow


@dataclass(slots=True, frozen=True)
class End:
    """Enter a stream's end."""

    row: StreamRow
    following: int


Write = Row | Claim | End


class Channel(Protocol):
    """A sink, as the writer sees it. Called on the loop."""

    def on_committed(self, writes: Sequence[Write]) -> None: ...
    def on_lost(self, error: ConnectorError) -> None: ...


class JournalWriter:
    """Shared by the sinks of one table. Every method is called on the event loop."""

    def __init__(self, options: SinkOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._storage = Storage(options.path, Limits.of(options))
        self._channels: dict[str, Channel] = {}
        self._users = 0  # channels that are attached or about to be
        self._worker: Worker | None = None
        self._pending: list[tuple[Channel, Write]] = []
        self._messages = 0
        self._bytes = 0
        self._committing = False
        self._started = 0.0  # loop time when the last commit started
        self._timer: asyncio.TimerHandle | None = None
        self._retention: asyncio.TimerHandle | None = None
        self._looking = False

    async def attach(self, name: str, channel: Channel) -> list[StreamRow]:
        """Open the journal if nobody did and give `name` to `channel`, taking it from the object that had it.

        Returns the streams of the channel, oldest first. Raises `Unavailable` and `Refused`; may be cancelled.
        """
        former = self._channels.pop(name, None)
        if former is not None:
            self._users -= 1
            self._drop(former)
            former.on_lost(Unavailable(f"channel {name!r} of journal {self._options.path} was opened anew"))
        self._users += 1
        try:
            streams = await self._run(lambda: self._open(name))
            if name in self._channels:
                raise Unavailable(f"channel {name!r} of journal {self._options.path} was opened twice at once")
        except BaseException as error:
            await self._leave()
            if isinstance(error, Exception):
                raise connector_error(error, self._options.path) from error
            raise
        self._channels[name] = channel
        if self._retention is None and not self._looking:
            self._watch_retention()
        return streams

    def _open(self, name: str) -> list[StreamRow]:
        self._storage.open()
        return self._storage.streams(name)

    async def detach(self, name: str, channel: Channel) -> None:
        """Forget what `channel` has not committed. The journal is closed with its last channel. Idempotent."""
        if self._channels.get(name) is not channel:
            return
        del self._channels[name]
        self._drop(channel)
        await self._leave()

    def _drop(self, channel: Channel) -> None:
        self._pending = [entry for entry in self._pending if entry[0] is not channel]
        rows = [write for _, write in self._pending if isinstance(write, Row)]
        self._messages = sum(row.messages for row in rows)
        self._bytes = sum(len(row.data or b"") for row in rows)

    async def _leave(self) -> None:
        self._users -= 1
        if self._users or self._worker is None:
            return
        self._stop_timers()
        worker, self._worker = self._worker, None
        closing = worker.run(self._storage.close)
        worker.stop()
        await asyncio.shield(closing)

    def append(self, channel: Channel, write: Write) -> None:
        """Take one write; `on_committed` or `on_lost` follows."""
        self._pending.append((channel, write))
        if isinstance(write, Row):
            self._messages += write.messages
            self._bytes += len(write.data or b"")
        self._schedule()

    def flush(self) -> None:
        """Commit what waits without waiting for the interval."""
        self._schedule(at_once=True)

    def _schedule(self, at_once: bool = False) -> None:
        if self._committing or not self._pending:
            return
        loop = asyncio.get_running_loop()
        due = self._started + self._options.commit_interval
        if at_once or self._messages >= COMMIT_MESSAGES or self._bytes >= COMMIT_BYTES or loop.time() >= due:
            self._commit()
        elif self._timer is None:
            self._timer = loop.call_at(due, self._commit)

    def _commit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._committing or not self._pending:
            return
        group, self._pending = self._pending, []
        self._messages = self._bytes = 0
        self._committing = True
        self._started = asyncio.get_running_loop().time()
        future = self._run(lambda: apply(self._storage, [write for _, write in group]))
        future.add_done_callback(lambda done: self._committed(group, done))

    def _committed(self, group: list[tuple[Channel, Write]], done: "asyncio.Future[int]") -> None:
        self._committing = False
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._lose(error if isinstance(error, Exception) else OSError("the commit was cancelled"))
            return
        writes: dict[Channel, list[Write]] = {}
        for channel, write in group:
            writes.setdefault(channel, []).append(write)
        for channel, own in writes.items():
            channel.on_committed(own)
        self._removed(done.result())
        self._schedule()

    def _removed(self, messages: int) -> None:
        if messages:
            self._context.counter("journal_trimmed_messages").add(messages)

    def _lose(self, error: Exception) -> None:
        told = connector_error(error, self._options.path)
        self._pending.clear()
        self._messages = self._bytes = 0
        channels, self._channels = self._channels, {}
        self._users -= len(channels)
        if not self._users:
            self._stop_timers()
            worker, self._worker = self._worker, None
            if worker is not None:
                worker.stop()
        for channel in channels.values():
            channel.on_lost(told)

    def _watch_retention(self) -> None:
        age = self._options.max_age
        if age is not None:
            period = min(RETENTION_PERIOD, max(0.1, age / 16))
            self._retention = asyncio.get_running_loop().call_later(period, self._look_at_age)

    def _look_at_age(self) -> None:
        self._retention, self._looking = None, True
        self._run(self._storage.retain).add_done_callback(self._looked)

    def _looked(self, done: "asyncio.Future[int]") -> None:
        self._looking = False
        error = None if done.cancelled() else done.exception()
        if self._worker is None or done.cancelled():
            return
        if isinstance(error, Exception):
            self._lose(error)
            return
        self._removed(done.result())
        self._watch_retention()

    def _run(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        """`call` in the thread. Where it fails the journal is closed before anything else runs there, so that what comes
        next begins from what is on disk."""

        def guarded() -> T:
            try:
                return call()
            except BaseException:
                self._storage.close()
                raise

        if self._worker is None:
            self._worker = Worker(f"journal-{self._context.name}")
        return self._worker.run(guarded)

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._retention):
            if timer is not None:
                timer.cancel()
        self._timer = self._retention = None

    async def close(self) -> None:
        """The engine's last call, after `close` of the sinks: ends the thread, whoever is still attached."""
        self._stop_timers()
        worker, self._worker = self._worker, None
        if worker is not None:
            closing = worker.run(self._storage.close)
            worker.stop()
            await closing


def apply(storage: Storage, writes: list[Write]) -> int:
    """Put writes on disk in their order, rows that follow each other in one transaction; returns the messages that
    retention removed. In the writer's thread. Raises sqlite3.Error, OSError and `Refused`."""
    removed, rows = 0, list[Row]()
    for write in writes:
        if isinstance(write, Row):
            rows.append(write)
            continue
        if rows:
            removed += storage.append(rows)
            rows = []
        if isinstance(write, Claim):
            storage.claim(write.row)
        else:
            storage.end(write.row, write.following)
    if rows:
        removed += storage.append(rows)
    return removed
