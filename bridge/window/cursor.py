"""One sink's place in a window: what waits for it, what it has in flight, what it passed a moment ago.

    offered → backlog → in flight → passed, kept for `keep`
                 ↑         │ failed      │ the sink's tail fell
                 └─────────┴─────────────┘

Payloads are shared with the other cursors, nothing else is: no sink holds another one back.

For each stream a cursor has a *floor*, the first number that has not been passed (acknowledged, or skipped because the
sink had it), and `pending`, how many numbers above the floor wait or are in flight.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bridge.api import Item, MessageBatch, Stream
from bridge.window.backlog import Backlog, BacklogSettings, Emit, OnLost
from bridge.window.chunks import StreamOf
from bridge.window.entry import Chunk, Entry, WindowStream
from bridge.window.merge import cut, joins
from bridge.window.spool import ChunkStore

MAX_MESSAGES: Final = 4096
MAX_BYTES: Final = 2**20


@dataclass(slots=True)
class Share:
    """One stream in one cursor."""

    first: int  # the first number that this cursor was offered
    floor: int
    pending: int = 0

    def above(self, first: int, last: int) -> int:
        """How many of these numbers are at or above the floor."""
        return max(0, last - max(first, self.floor) + 1)


class Cursor:
    """See the module's text. All calls are made on the loop's thread and none waits."""

    def __init__(
        self,
        name: str,
        settings: BacklogSettings,
        keep_ns: int,
        store: ChunkStore | None,
        stream_of: StreamOf,
        clock_ns: Callable[[], int],
        emit: Emit,
    ) -> None:
        self.name = name
        self._on_lost: OnLost | None = None
        self._unheard: list[tuple[WindowStream, int, int, str]] = []
        self.stream: WindowStream | None = None  # of what `next` returned last
        self.backlog = Backlog(name, settings, store, stream_of, clock_ns, emit, self._lost)
        self.flight_messages = self.flight_bytes = 0
        self._keep_ns = keep_ns
        self._keep_bytes = settings.memory // 2
        self._clock_ns = clock_ns
        self._flight: deque[Entry] = deque()
        self._kept: deque[tuple[Entry, int]] = deque()
        self._kept_bytes = 0
        self._shares: dict[WindowStream, Share] = {}
        self._adopted: dict[WindowStream, int] = {}  # one past the last number that `adopt` saw
        self._offered: WindowStream | None = None
        self._offered_share = Share(0, 0)

    @property
    def on_ready(self) -> Callable[[], None]:
        """Called when something can be taken that could not be before, other than by an offer."""
        return self.backlog.on_ready

    @on_ready.setter
    def on_ready(self, call: Callable[[], None]) -> None:
        self.backlog.on_ready = call

    @property
    def on_lost(self) -> OnLost | None:
        """Told of everything that this sink loses, and at once of what was lost before anybody listened."""
        return self._on_lost

    @on_lost.setter
    def on_lost(self, call: OnLost) -> None:
        self._on_lost = call
        unheard, self._unheard = self._unheard, []
        for loss in unheard:
            call(*loss)

    # In

    def offer(self, entry: Entry) -> None:
        """The window appended an entry."""
        if entry.stream is not self._offered:
            self._offered = entry.stream
            self._offered_share = self.share(entry.stream, entry.first)
        share = self._offered_share
        if entry.first >= share.floor:
            share.pending += entry.last - entry.first + 1
        else:
            share.pending += share.above(entry.first, entry.last)
        self.backlog.push(entry)

    def share(self, stream: WindowStream, first: int | None = None) -> Share:
        """The account of a stream, made at its first offer."""
        share = self._shares.get(stream)
        if share is None:
            start = stream.first if first is None else first
            share = self._shares[stream] = Share(start, start)
        return share

    # Out

    def upcoming(self) -> WindowStream | None:
        """The stream of what `next` would return; None when nothing can be taken now."""
        queue = self.backlog.front()
        return queue[0].stream if queue else None

    def next(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> list[Item]:
        """What waits, of one stream, up to the limits (one entry may exceed them); consecutive batches are merged.

        Empty when nothing waits, or while it is read from disk: `on_ready` tells.
        """
        items: list[Item] = []
        stream: WindowStream | None = None
        while not items and (queue := self.backlog.front()):
            if stream is not None and queue[0].stream is not stream:
                break  # all that came of the stream was below its floor
            self._take(queue, items, max_messages, max_bytes)
            stream = self.stream
        return items

    def acknowledge(self, stream: Stream, through: int) -> None:
        """The sink has everything of the stream in flight up to `through`."""
        flight, target = self._flight, None
        while flight:
            entry = flight[0]
            if target is None and entry.stream.stream == stream:
                target = entry.stream
            if entry.stream is not target:
                if target is not None or entry.first <= entry.last:
                    return
            elif entry.last > through:
                share = self.share(target)
                if share.floor <= through:
                    share.pending -= share.above(entry.first, through)
                    share.floor = through + 1
                return
            flight.popleft()
            self.flight_messages -= entry.messages
            self.flight_bytes -= entry.size
            self._pass(entry)

    def skip(self, stream: WindowStream, below: int) -> int:
        """The sink has everything of the stream below this number. Returns how many queued numbers that spares."""
        share = self.share(stream)
        if below <= share.floor:
            return 0
        spared = 0
        for _, first, last in self._ranges(stream):
            spared += share.above(first, min(last, below - 1))
        share.pending -= spared
        share.floor = below
        return spared

    def rewind(self, falls: Mapping[WindowStream, int] | None = None) -> dict[WindowStream, list[tuple[int, int]]]:
        """Put what is in flight back, to be taken again.

        `falls` names the streams whose stored tail fell, each with the first number that is lacking now: what is kept from
        there on, and all that followed, comes back too. Returns what came back of each below its floor, in rising ranges.
        """
        falls = falls or {}
        back: list[Entry] = []
        while self._flight:
            back.append(self._flight.pop())
        self.flight_messages = self.flight_bytes = 0
        oldest = min((stream.order for stream in falls), default=None)
        while self._kept:
            entry = self._kept[-1][0]
            numbered = entry.first <= entry.last
            if oldest is None and numbered:
                break  # an end or a start has no number to be acknowledged by: it is said again
            if oldest is not None and entry.stream.order < oldest:
                break
            if oldest is not None and entry.stream.order == oldest and entry.last < falls[entry.stream] and numbered:
                break
            self._kept.pop()
            self._kept_bytes -= entry.size
            back.append(entry)
        for entry in back:
            self.backlog.put_back(entry)
        found: dict[WindowStream, list[tuple[int, int]]] = {}
        for stream, lacking in falls.items():
            share, ranges = self.share(stream), list[tuple[int, int]]()
            for _, first, last in self._ranges(stream):
                low, high = max(first, lacking), min(last, share.floor - 1)
                if low <= high:
                    share.pending += high - low + 1
                    ranges.append((low, high))
            share.floor = min(share.floor, lacking)
            found[stream] = sorted(ranges)
        return found

    # State

    @property
    def streams(self) -> list[WindowStream]:
        """The streams that this cursor was offered, oldest first."""
        return list(self._shares)

    def sample(self, stream: WindowStream, through: int) -> tuple[int, bytes] | None:
        """A message of the stream, numbered at most `through`, among what can be taken now."""
        for entry in self.backlog.front() or ():
            item = entry.item
            if entry.stream is not stream or entry.first > through:
                break
            if isinstance(item, MessageBatch):
                return next(
                    (item.number(i), item.payloads[i])
                    for i in range(len(item.payloads) - 1, -1, -1)
                    if item.number(i) <= through or i == 0
                )
        return stream.sample

    def named(self, stream: WindowStream) -> None:
        """The stream's offset was decided: what is on disk of it without one shall find it after a restart."""
        if self.backlog.store is not None and stream.offset is not None:
            self.backlog.store.name(stream)

    @property
    def oldest_ns(self) -> int | None:
        """Receive time of the oldest entry that waits or is in flight."""
        return next((entry.time_ns for entry in self._flight if entry.time_ns), None) or self.backlog.oldest_ns

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is in flight."""
        return not self._flight and not self.backlog.waiting

    def pending(self, stream: WindowStream) -> int:
        share = self._shares.get(stream)
        return share.pending if share is not None else 0

    def passed(self, stream: WindowStream) -> int:
        """Everything of the stream below this number has been passed or lost."""
        share = self._shares.get(stream)
        return stream.first if share is None else share.floor if share.pending else stream.end

    def count(self, stream: WindowStream) -> int:
        """`pending` by going through everything: for tests and doubts."""
        share = self.share(stream)
        return sum(share.above(first, last) for _, first, last in self._ranges(stream))

    def adopted_end(self, stream: WindowStream) -> int | None:
        """One past the last number that an earlier run left for this sink; None for a stream of this run."""
        return self._adopted.get(stream)

    def forget(self, stream: WindowStream) -> None:
        """The window lets go of an old stream of which nothing is pending."""
        self._shares.pop(stream, None)

    def adopt(self, chunk: Chunk) -> None:
        """Take over a chunk that an earlier run left: what is above the floor is pending."""
        for stream, first, last, _ in chunk.runs:
            share = self.share(stream, first)
            share.pending += share.above(first, last)
            after = max(self._adopted.get(stream, first), share.floor)
            if first > after:  # it was in flight when the earlier run was killed
                self._tell(stream, after, first - 1, "before_window")
            self._adopted[stream] = last + 1
        self.backlog.disk_messages += chunk.messages
        self.backlog.disk_bytes += chunk.size

    def unwritten(self) -> list[list[Entry]]:
        """What waits in memory only, oldest first, in groups between which something is on disk.

        Call when nothing is in flight and nothing is being written.
        """
        groups: list[list[Entry]] = [[]]
        for entry in self.backlog.loaded:
            if entry.chunk is not None and entry.chunk.live:
                groups.append([])
            else:
                groups[-1].append(entry)
        return [group for group in (*groups, list(self.backlog.memory)) if group]

    def lose(self, entries: Iterable[Entry], reason: str) -> None:
        """The run ends and these, of what waits, are not on disk."""
        backlog, gone = self.backlog, set(map(id, entries))
        for queue in (backlog.loaded, backlog.memory):
            found = [entry for entry in queue if id(entry) in gone]
            left = [entry for entry in queue if id(entry) not in gone]
            queue.clear()
            queue.extend(left)
            for entry in found:
                backlog.drop(entry, reason)

    def _ranges(self, stream: WindowStream) -> Iterable[tuple[WindowStream, int, int]]:
        backlog = self.backlog
        for queue in (self._flight, backlog.loaded, backlog.writing, backlog.memory):
            for entry in queue:
                if entry.stream is stream:
                    yield stream, entry.first, entry.last
        for chunk in backlog.store.chunks if backlog.store is not None else ():
            for owner, first, last, _ in chunk.runs:
                if owner is stream:
                    yield stream, first, last

    def _take(self, queue: deque[Entry], items: list[Item], max_messages: int, max_bytes: int) -> None:
        backlog, flight = self.backlog, self._flight
        messages = size = 0
        stream: WindowStream | None = None
        share = self._offered_share
        merged: MessageBatch | None = None  # the last item, if others may join it
        own = False  # its list was made here
        while queue:
            entry = queue[0]
            if stream is None:
                stream = entry.stream
                share = self.share(stream)
            elif (
                entry.stream is not stream or messages + entry.messages > max_messages or size + entry.size > max_bytes
            ):
                break
            queue.popleft()
            backlog.took(entry)
            item = entry.item
            if entry.first < share.floor and entry.first <= entry.last:
                if entry.last < share.floor:
                    self._pass(entry)
                    continue
                item = cut(item, share.floor)
            flight.append(entry)
            messages += entry.messages
            size += entry.size
            if type(item) is not MessageBatch:
                items.append(item)
                merged = None
            elif merged is None or not joins(merged, item):
                items.append(item)
                merged = item if item.numbers is None and not item.columns else None
                own = False
            elif own:
                merged.payloads += item.payloads
            else:
                merged = MessageBatch(merged.stream, merged.first, merged.payloads + item.payloads, merged.time_ns)
                items[-1] = merged
                own = True
        self.flight_messages += messages
        self.flight_bytes += size
        self.stream = stream

    def _pass(self, entry: Entry) -> None:
        stream, last = entry.stream, entry.last
        share = self.share(stream)
        if last >= share.floor:
            share.pending -= share.above(entry.first, last)
            share.floor = last + 1
        chunk = entry.chunk
        if chunk is not None and entry.ends_chunk and self.backlog.store is not None:
            self.backlog.store.release(chunk)
        now = self._clock_ns()
        kept = self._kept
        kept.append((entry, now))
        self._kept_bytes += entry.size
        oldest = now - self._keep_ns
        while kept and (kept[0][1] <= oldest or (self._kept_bytes + self.backlog.memory_bytes > self._keep_bytes)):
            self._kept_bytes -= kept.popleft()[0].size

    def _lost(self, stream: WindowStream, first: int, last: int, reason: str) -> None:
        share = self.share(stream)
        count = share.above(first, last)
        if count:
            share.pending -= count
            self._tell(stream, max(first, share.floor), last, reason)

    def _tell(self, stream: WindowStream, first: int, last: int, reason: str) -> None:
        if self._on_lost is not None:
            self._on_lost(stream, first, last, reason)
        else:
            self._unheard.append((stream, first, last, reason))
