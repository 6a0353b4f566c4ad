"""The window of one route and one channel: recent items, and one cursor a sink.

`append` is the only way in. What waits is each cursor's own affair (`cursor.py`, `backlog.py`); the window owns what they
share: the streams' names and ends, the order of entries, the route's budget on disk, and what is parked at the end of a run.

On disk, below `directory`: `<sink>/*.segment`, chunks that were spilled or parked; `<sink>/names.json`, restart offsets that
were decided after a chunk was written; `<sink>/passed.json`, how far each stream was passed when it was parked. After a kill
the last is missing or old: then a sink's own tail says what it has.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bridge.api import Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.window.backlog import BacklogSettings, Emit, Overload
from bridge.window.cursor import MAX_BYTES, MAX_MESSAGES, Cursor
from bridge.window.disk import Blocking, DiskQueue
from bridge.window.entry import Chunk, Entry, WindowStream
from bridge.window.merge import split
from bridge.window.numbers import read_json, write_json
from bridge.window.spool import ChunkStore, RouteSpool

STREAMS: Final = 64
"""Streams that a window remembers besides those of which something waits."""

PASSED: Final = "passed.json"


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """`memory` bytes and `keep` seconds of one window. `directory`: where it spills and parks, None for nowhere.

    `persistent`: another log keeps what is received (`window = "disk"`), so that nothing is parked and what an earlier run
    spilled is not offered again.
    """

    memory: int = 64 * 2**20
    keep: float = 5.0
    overload: Overload = "drop-oldest"
    directory: Path | None = None
    persistent: bool = False


class Window:
    """See the module's text. `spool` is shared by the windows of a route; `run` is the start time of this run in ns."""

    def __init__(
        self,
        route: str,
        channel: str,
        settings: WindowSettings,
        sinks: Sequence[str],
        *,
        spool: RouteSpool,
        blocking: Blocking,
        clock_ns: Callable[[], int],
        emit: Emit,
        run: int,
    ) -> None:
        self.route = route
        self.channel = channel
        self.run = run
        self.streams: list[WindowStream] = []  # oldest first
        self.cursors: dict[str, Cursor] = {}
        self.on_stop: Callable[[], None] = _nothing  # the overload policy `stop` took effect
        self._settings = settings
        self._emit = emit
        self._disk = DiskQueue(blocking)
        self._stores: dict[str, ChunkStore] = {}
        self._keys: dict[tuple[int, bytes, int], WindowStream] = {}
        self._forgotten: deque[tuple[int, bytes, int]] = deque(maxlen=16 * STREAMS)
        self._current: WindowStream | None = None
        self._order = 0
        self._index = 0
        self._time_ns = 0
        memory = max(settings.memory // max(1, len(sinks)), 1)
        for sink in sinks:
            store = None
            if settings.directory is not None and spool.limit > 0:
                store = self._stores[sink] = ChunkStore(settings.directory / sink, spool, self._disk)
            cursor = Cursor(
                sink,
                BacklogSettings(memory, settings.overload),
                int(settings.keep * 1e9),
                store,
                self._stream_of,
                clock_ns,
                emit,
            )
            cursor.backlog.on_stop = self._stop
            spool.add(cursor.backlog)
            self.cursors[sink] = cursor

    # In

    def append(self, items: Sequence[Item]) -> None:
        """Offer items to every cursor. The batches are kept by reference and must not be changed any more."""
        for item in items:
            stream = self._current
            if stream is None or (item.stream is not stream.stream and item.stream != stream.stream):
                stream = self._enter(item)
            if type(item) is MessageBatch:
                if not item.payloads:
                    continue
                self._time_ns = item.time_ns
                if stream.sample is None:
                    stream.sample = item.number(0), item.payloads[0]
            entry = Entry(item, stream, self._index, self._time_ns)
            if entry.messages > MAX_MESSAGES or (entry.messages > 1 and entry.size > MAX_BYTES):
                self._append_pieces(item, stream)
                continue
            self._index += 1
            if entry.last >= stream.end:
                stream.end = entry.last + 1
            for cursor in self.cursors.values():
                cursor.offer(entry)

    def _append_pieces(self, item: Item, stream: WindowStream) -> None:
        assert isinstance(item, MessageBatch)
        for piece in split(item, MAX_MESSAGES, MAX_BYTES):
            entry = Entry(piece, stream, self._index, self._time_ns)
            self._index += 1
            stream.end = max(stream.end, entry.last + 1)
            for cursor in self.cursors.values():
                cursor.offer(entry)

    def _enter(self, item: Item) -> WindowStream:
        """The window's stream of an item that is not of the same stream as the one before."""
        stream = self._keys.get((self.run, item.stream.session, item.stream.restart))
        if stream is None:
            protocol = item.protocol if isinstance(item, SessionStart) else ""
            stream = self._stream_of(self.run, item.stream.session, item.stream.restart, protocol)
            stream.first = stream.end = item.next if isinstance(item, SessionEnd) else item.first
            self._forget_old()
        self._current = stream
        return stream

    # State

    @property
    def stopped(self) -> bool:
        """The overload policy `stop` took effect: the channel takes in no more."""
        return any(cursor.backlog.stopped for cursor in self.cursors.values())

    @property
    def full(self) -> bool:
        """A source that can wait should: some cursor's memory is at its bound."""
        return any(cursor.backlog.full for cursor in self.cursors.values())

    @property
    def pending(self) -> bool:
        """Something waits or is in flight for some sink."""
        return not all(cursor.idle for cursor in self.cursors.values())

    def passed(self, stream: Stream) -> int | None:
        """Everything of a stream of this run below this number was passed by every cursor; None: all of it, long ago."""
        key = self.run, stream.session, stream.restart
        found = self._keys.get(key)
        if found is None:
            return None if key in self._forgotten else 0
        return min(cursor.passed(found) for cursor in self.cursors.values())

    # Parking

    async def park(self, seconds: float) -> None:
        """The run ends: write what waits to disk, within this time; what is not written is lost{shutdown}.

        Call when every driver is closed. Nothing may be appended after it.
        """
        left: dict[str, list[list[Entry]]] = {}
        try:
            async with asyncio.timeout(seconds):
                for sink, cursor in self.cursors.items():
                    cursor.rewind()
                    await self._disk.idle()
                    left[sink] = [] if self._settings.persistent else cursor.unwritten()
                for sink, store in self._stores.items():
                    if not self._settings.persistent and self.cursors[sink].backlog.waiting:
                        for entries in left[sink]:
                            await self._park(self.cursors[sink], store, entries)
                        with contextlib.suppress(OSError):  # only a hint, see the module's text
                            passed = {s.text: self.cursors[sink].share(s).floor for s in self.cursors[sink].streams}
                            await self._disk.run(partial(write_json, store.directory, PASSED, passed))
        except TimeoutError:
            self._emit(
                "park_timeout", "warning", f"route {self.route}: what waits was not on disk within {seconds:g} s"
            )
        await self.close()
        for sink, parts in left.items():
            self.cursors[sink].lose([entry for entries in parts for entry in entries], "shutdown")

    async def close(self) -> None:
        """Close the files. Idempotent."""
        await self._disk.idle()
        for store in self._stores.values():
            await store.close()

    async def restore(self) -> None:
        """Offer again what an earlier run parked or spilled, before anything is appended.

        Raises `SegmentFormatError` for files of a newer version. A disk that cannot be read is an event.
        """
        if self._settings.persistent:
            for store in self._stores.values():
                with contextlib.suppress(OSError):  # what stays takes space and is tried again at the next start
                    await store.clear()
        else:
            await self._restore(list(self._stores))
        await self._name_orphans()

    async def _park(self, cursor: Cursor, store: ChunkStore, left: list[Entry]) -> None:
        """Write the entries, taking from `left` what is on disk."""
        while left:
            count = size = 0
            for entry in left:
                if count and size + entry.size > MAX_BYTES:
                    break
                count, size = count + 1, size + entry.size
            if not store.budget.has_room(size):
                break
            finished = asyncio.Event()
            failed: list[Exception] = []

            def written(result: Chunk | Exception, count: int = count, finished: asyncio.Event = finished) -> None:
                if isinstance(result, Exception):
                    failed.append(result)  # noqa: B023 - read in the same turn of the loop
                else:
                    del left[:count]
                finished.set()

            store.write(left[:count], written)
            await finished.wait()
            if failed:
                self._emit("spool_failed", "error", f"sink {cursor.name}: the spool cannot be written: {failed[0]}")
                break

    async def _restore(self, sinks: Sequence[str]) -> None:
        found: list[tuple[Chunk, Cursor]] = []
        for sink in sinks:
            cursor, store = self.cursors[sink], self._stores[sink]
            try:
                passed = await self._disk.run(partial(read_json, store.directory, PASSED))
                chunks = await store.restore(self._stream_of)
            except OSError as error:
                self._emit("spool_failed", "error", f"sink {sink}: the spool {store.directory} cannot be read: {error}")
                continue
            for chunk in chunks:
                for stream, first, _, _ in chunk.runs:
                    cursor.share(stream, max(first, passed.get(stream.text, 0)))
                cursor.adopt(chunk)
                found.append((chunk, cursor))
        found.sort(key=lambda pair: pair[0].first_index)
        self._order = 0
        for chunk, _ in found:
            self._index = max(self._index, chunk.last_index + 1)
            for stream, first, last, _ in chunk.runs:
                if stream.end < 0:
                    stream.order, stream.first = self._order, first
                    self._order += 1
                stream.end = max(stream.end, last + 1)
        self.streams.sort(key=lambda stream: (stream.end < 0, stream.order))
        for stream in self.streams:
            if stream.end < 0:  # only its start or its end was left
                stream.order, stream.end = self._order, stream.first
                self._order += 1

    async def _name_orphans(self) -> None:
        directory = self._settings.directory
        if directory is None:
            return
        for name in await self._disk.run(partial(_orphans, directory, frozenset(self.cursors))):
            self._emit(
                "spool_orphaned",
                "warning",
                f"{directory / name} holds what waited for a sink {name} that route {self.route} no longer has",
            )

    # Streams

    def _stream_of(self, run: int, session: bytes, restart: int, protocol: str) -> WindowStream:
        key = run, session, restart
        stream = self._keys.get(key)
        if stream is None:
            stream = WindowStream(Stream(self.channel, session, restart), run, self._order, protocol, 0, -1)
            self._order += 1
            self._keys[key] = stream
            self.streams.append(stream)
        return stream

    def _forget_old(self) -> None:
        """Bounded: a hostile sender may begin sessions without end."""
        if len(self.streams) <= STREAMS:
            return
        for stream in self.streams[:-2]:
            if not any(cursor.pending(stream) for cursor in self.cursors.values()):
                self.streams.remove(stream)
                del self._keys[stream.key]
                self._forgotten.append(stream.key)
                for cursor in self.cursors.values():
                    cursor.forget(stream)
                return

    def _stop(self) -> None:
        self.on_stop()


def _orphans(directory: Path, sinks: frozenset[str]) -> list[str]:
    if not directory.is_dir():
        return []
    return sorted(p.name for p in directory.iterdir() if p.name not in sinks and any(p.glob("*.segment")))


def _nothing() -> None:
    """Nobody listens yet."""
