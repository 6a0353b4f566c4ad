"""What waits for one sink: memory, then disk, then the declared overload policy.

    pushed → memory ─────────────────────────────→ taken
               │ above half of its bound             ↑
               └→ writing → chunks on disk → loaded ─┘

Strictly first in, first out: chunks are older than what is being written, which is older than memory. `loaded` is in front:
the chunk read last, and what came back after a failure. What the disk cannot take is decided by the policy:

    drop-oldest  the route's largest holder gives its oldest chunk; without a disk, the oldest of this backlog's memory goes,
                 but not what came back after a failure: the sink may have stored that already
    drop-newest  what is pushed goes
    stop         as drop-newest, from then on for good, and the channel is told
    wait         nothing goes: whoever reads the source looks at `full` first, and no disk is used, the source has it

Whatever goes is named at once.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from bridge.api import Severity
from bridge.window.chunks import StreamOf
from bridge.window.entry import Chunk, Entry, WindowStream
from bridge.window.spool import ChunkStore

Overload = Literal["drop-oldest", "drop-newest", "stop", "wait"]
Emit = Callable[[str, Severity, str], None]
OnLost = Callable[[WindowStream, int, int, str], None]
"""(stream, first, last, reason): the policy's reason for messages, a hole's own reason for a hole."""

CHUNK_BYTES: Final = 2**20
DISK_RETRY_NS: Final = 10_000_000_000


@dataclass(frozen=True, slots=True)
class BacklogSettings:
    """`memory`: bytes before overload; with a disk, spilling begins at half of it."""

    memory: int
    overload: Overload


class Backlog:
    """See the module's text. On the loop's thread only; the disk is reached through the store's queue."""

    def __init__(
        self,
        name: str,
        settings: BacklogSettings,
        store: ChunkStore | None,
        stream_of: StreamOf,
        clock_ns: Callable[[], int],
        emit: Emit,
        on_lost: OnLost,
    ) -> None:
        self.name = name
        self.on_ready: Callable[[], None] = _nothing
        self.on_stop: Callable[[], None] = _nothing
        self.memory: deque[Entry] = deque()
        self.writing: list[Entry] = []
        self.loaded: deque[Entry] = deque()
        self.store = None if settings.overload == "wait" else store
        self.memory_messages = self.memory_bytes = 0
        self.disk_messages = self.disk_bytes = 0
        self.stopped = False
        self._settings = settings
        self._high = settings.memory // 2 if self.store is not None else settings.memory
        self._stream_of = stream_of
        self._clock_ns = clock_ns
        self._emit = emit
        self._on_lost = on_lost
        self._loading: Chunk | None = None
        self._disk_failed_ns: int | None = None
        self._overloaded = False  # said, until the backlog is below half again

    # In

    def push(self, entry: Entry) -> None:
        """Queue an entry behind everything else. May lose it, or others, as the policy says."""
        if self.stopped:
            self._lose(entry, "overload")
            return
        self.memory.append(entry)
        self.memory_messages += entry.messages
        self.memory_bytes += entry.size
        if self.memory_bytes > self._high:
            self._relieve()

    def put_back(self, entry: Entry) -> None:
        """An entry that was taken comes back, in front of everything."""
        self.loaded.appendleft(entry)
        self._count(entry, 1)

    # Out

    def front(self) -> deque[Entry] | None:
        """The queue to take from, never empty; None when nothing can be taken now. Starts reading a chunk if it must."""
        if self.loaded:
            return self.loaded
        if self.store is not None and self.store.chunks:
            self._load()
            return None
        return None if self.writing else self.memory or None

    def took(self, entry: Entry) -> None:
        """The caller has removed this entry from the front."""
        if entry.chunk is None or not entry.chunk.live:
            self.memory_messages -= entry.messages
            self.memory_bytes -= entry.size
            if self._overloaded and self.memory_bytes <= self._high // 2:
                self._overloaded = False
        else:
            self.disk_messages -= entry.messages
            self.disk_bytes -= entry.size
            if not self.loaded and self.store is not None and self.store.chunks:
                self._load()

    # State

    @property
    def waiting(self) -> bool:
        """Something is queued, whether or not it can be taken now."""
        return bool(self.memory or self.loaded or self.writing or (self.store is not None and self.store.chunks))

    @property
    def full(self) -> bool:
        return self.memory_bytes >= self._settings.memory

    @property
    def spooled(self) -> int:
        return self.store.spooled if self.store is not None else 0

    @property
    def oldest_ns(self) -> int | None:
        """Receive time of the oldest entry that has one: holes have that of what came before, the first of all has none."""
        for queue in (self.loaded, self.store.chunks if self.store is not None else (), self.writing, self.memory):
            for entry in queue:
                if entry.time_ns:
                    return entry.time_ns
        return None

    # Overload

    def drop_oldest_chunk(self) -> bool:
        """Lose the oldest chunk that is not being read. False when there is none."""
        for chunk in self.store.chunks if self.store is not None else ():
            if chunk is not self._loading:
                self._overload()
                self.lose_chunk(chunk, "overload")
                return True
        return False

    def lose_chunk(self, chunk: Chunk, reason: str) -> None:
        """Name what a chunk holds as lost and give its space back."""
        assert self.store is not None
        self.store.chunks.remove(chunk)
        self.disk_messages -= chunk.messages
        self.disk_bytes -= chunk.size
        self.store.release(chunk)
        for stream, first, last, hole in chunk.runs:
            self._on_lost(stream, first, last, hole or reason)

    def drop(self, entry: Entry, reason: str) -> None:
        """The caller has removed this entry from memory: it is lost."""
        self._count(entry, -1)
        self._lose(entry, reason)

    def _relieve(self) -> None:
        """Memory is above its mark: begin a write, and if it is above its bound too, let the policy decide."""
        if self.store is not None and not self.writing:
            self._spill(self.store)
        policy = self._settings.overload
        if self.memory_bytes <= self._settings.memory or policy == "wait":
            return
        self._overload()
        if policy == "drop-oldest":
            self._drop_oldest()
            return
        if self.memory:
            self.drop(self.memory.pop(), "overload")
        if policy == "stop":
            self.stopped = True
            self.on_stop()

    def _drop_oldest(self) -> None:
        """Make room for a while at once, so that what goes is named in few ranges."""
        bound = self._settings.memory - min(CHUNK_BYTES, self._settings.memory // 16)
        gone: list[tuple[WindowStream, int, int, str]] = []
        while self.memory and self.memory_bytes > bound:
            entry = self.memory.popleft()
            self._count(entry, -1)
            if entry.first > entry.last:
                continue
            reason = getattr(entry.item, "reason", "overload")
            if gone and gone[-1][0] is entry.stream and gone[-1][2] + 1 == entry.first and gone[-1][3] == reason:
                gone[-1] = (entry.stream, gone[-1][1], entry.last, reason)
            else:
                gone.append((entry.stream, entry.first, entry.last, reason))
        for stream, first, last, reason in gone:
            self._on_lost(stream, first, last, reason)

    def _overload(self) -> None:
        if not self._overloaded:
            self._overloaded = True
            how = {"drop-oldest": "the oldest goes", "drop-newest": "the newest goes"}.get(
                self._settings.overload, "the channel stops"
            )
            where = "memory and the spool are" if self.store is not None else "memory is"
            self._emit("overload", "warning", f"sink {self.name} is too slow or absent, {where} full: {how}")

    def _lose(self, entry: Entry, reason: str) -> None:
        if entry.first <= entry.last:
            self._on_lost(entry.stream, entry.first, entry.last, getattr(entry.item, "reason", reason))

    def _count(self, entry: Entry, sign: int) -> None:
        if entry.chunk is None or not entry.chunk.live:
            self.memory_messages += sign * entry.messages
            self.memory_bytes += sign * entry.size
        else:
            self.disk_messages += sign * entry.messages
            self.disk_bytes += sign * entry.size

    # Disk

    def _spill(self, store: ChunkStore) -> None:
        if self._disk_failed_ns is not None and self._clock_ns() - self._disk_failed_ns < DISK_RETRY_NS:
            return
        count = size = 0
        for entry in self.memory:
            if count and size + entry.size > CHUNK_BYTES:
                break
            count += 1
            size += entry.size
        if not count:
            return
        room = store.budget.has_room(size)
        if not room and (self._settings.overload != "drop-oldest" or not store.budget.make_room(size)):
            return
        self.writing = [self.memory.popleft() for _ in range(count)]
        store.write(self.writing, self._written)

    def _written(self, result: Chunk | Exception) -> None:
        entries, self.writing = self.writing, []
        if isinstance(result, Exception):
            self.memory.extendleft(reversed(entries))
            if self._disk_failed_ns is None:
                self._emit("spool_failed", "error", f"sink {self.name}: the spool cannot be written: {result}")
            self._disk_failed_ns = self._clock_ns()
        else:
            if self._disk_failed_ns is not None:
                self._disk_failed_ns = None
                self._emit("spool_recovered", "info", f"sink {self.name}: the spool is written again")
            for entry in entries:
                self._count(entry, -1)
            assert self.store is not None
            self.store.chunks.append(result)
            self.disk_messages += result.messages
            self.disk_bytes += result.size
        if self.memory_bytes > self._high:
            self._relieve()
        self.on_ready()

    def _load(self) -> None:
        if self._loading is not None or self.store is None:
            return
        chunk = self._loading = self.store.chunks[0]
        self.store.read(chunk, self._stream_of, self._read)

    def _read(self, result: list[Entry] | Exception) -> None:
        chunk, self._loading = self._loading, None
        assert chunk is not None
        assert self.store is not None
        if isinstance(result, Exception):
            self._emit("spool_damaged", "error", f"sink {self.name}: {result}; what it held is lost")
            self.lose_chunk(chunk, "before_window")
        else:
            self.store.chunks.remove(chunk)
            self.loaded.extend(result)
        self.on_ready()


def _nothing() -> None:
    """Nobody listens yet."""
