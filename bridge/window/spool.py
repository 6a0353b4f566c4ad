"""The disk tier: the route's budget, and what one cursor has on disk."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from bridge.window.chunks import HEAD_BYTES, StreamOf, decode, decode_head, encode, head_length
from bridge.window.disk import DiskQueue
from bridge.window.entry import Chunk, Entry, WindowStream
from bridge.window.numbers import read_json, write_json
from bridge.window.segments import DamagedRecord, Position, Segments

SEGMENT_BYTES: Final = 16 * 2**20
"""Space comes back by whole segments, so the files may exceed the budget by one segment a cursor."""


NAMES: Final = "names.json"


class SpoolHolder(Protocol):
    """Who has chunks on disk and can be asked to give its oldest up."""

    @property
    def spooled(self) -> int: ...
    def drop_oldest_chunk(self) -> bool: ...


class RouteSpool:
    """Bytes on disk that all cursors of a route share. Who holds most gives first, so that no channel starves another."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._holders: list[SpoolHolder] = []

    def add(self, holder: SpoolHolder) -> None:
        self._holders.append(holder)

    def has_room(self, size: int) -> bool:
        return self.used + size <= self.limit

    def make_room(self, size: int) -> bool:
        """Drop oldest chunks of the largest holder until `size` fits; False when nothing is left to drop."""
        while not self.has_room(size):
            holder = max(self._holders, key=lambda h: h.spooled, default=None)
            if holder is None or not holder.drop_oldest_chunk():
                return False
        return True


class ChunkStore:
    """The chunks of one cursor, oldest first, in segments of their own directory."""

    def __init__(self, directory: Path, budget: RouteSpool, disk: DiskQueue) -> None:
        self.chunks: deque[Chunk] = deque()  # on disk and not read yet
        self.spooled = 0
        self.budget = budget
        self.directory = directory
        self._disk = disk
        self._segments = Segments(directory, min(SEGMENT_BYTES, max(budget.limit // 8, 2**16)))
        self._live: Counter[int] = Counter()  # chunks that are still needed, by segment
        self._names: dict[str, int] = {}
        self._writing = 0

    def write(self, entries: Sequence[Entry], done: Callable[[Chunk | Exception], None]) -> None:
        """Append the entries as one chunk."""
        chunk, parts = encode(entries)
        chunk.stored = sum(map(len, parts))
        self._writing += 1
        self.budget.used += chunk.stored
        self.spooled += chunk.stored

        def written(result: Position | Exception) -> None:
            self._writing -= 1
            if isinstance(result, Exception):
                self._give_back(chunk)
                done(result)
            else:
                chunk.position = result
                self._live[result.segment] += 1
                done(chunk)
            self._sweep()

        self._disk.put(partial(self._segments.append, parts), written)

    def read(self, chunk: Chunk, stream_of: StreamOf, done: Callable[[list[Entry] | Exception], None]) -> None:
        """Read a chunk back; it stays on disk until `release`."""

        def found(result: bytes | Exception) -> None:
            if isinstance(result, Exception):
                done(result)
                return
            try:
                entries = decode(result, stream_of, chunk)
            except (ValueError, IndexError, KeyError) as error:  # whole by its CRC, and yet no chunk
                done(DamagedRecord(f"a chunk in {self.directory} cannot be read: {error}"))
                return
            done(entries)

        self._disk.put(partial(self._segments.read, chunk.position), found)

    def release(self, chunk: Chunk) -> None:
        """Nobody needs the chunk any more."""
        if chunk.live:
            chunk.live = False
            self._live[chunk.position.segment] -= 1
            self._give_back(chunk)
            self._sweep()

    def name(self, stream: WindowStream) -> None:
        """Keep a stream's offset beside chunks that were written before it was decided."""
        if self.spooled and stream.offset is not None and self._names.get(stream.text) != stream.offset:
            self._names[stream.text] = stream.offset
            self._disk.put(partial(write_json, self.directory, NAMES, dict(self._names)), _ignore)

    async def restore(self, stream_of: StreamOf) -> list[Chunk]:
        """Find what an earlier run left, oldest first. Raises OSError, `SegmentFormatError`."""
        self._names = await self._disk.run(partial(read_json, self.directory, NAMES))
        heads = await self._disk.run(self._scan)
        chunks = []
        for position, size, head in heads:
            chunk = decode_head(head, stream_of)
            chunk.position, chunk.stored = position, size
            chunks.append(chunk)
            self._live[position.segment] += 1
            self.spooled += size
            self.budget.used += size
            for stream, _, _, _ in chunk.runs:
                if stream.offset is None:
                    stream.offset = self._names.get(stream.text)
        self.chunks.extend(self._newest(chunks))
        return list(self.chunks)

    def _newest(self, chunks: list[Chunk]) -> list[Chunk]:
        """The chunks in order. A chunk that was done with stays in its segment until that goes; where its entries came back
        and were parked again, both are found, and the one that was written later counts."""
        kept: list[Chunk] = []
        for chunk in sorted(chunks, key=lambda chunk: (chunk.first_index, chunk.position)):
            while kept and kept[-1].last_index >= chunk.first_index:
                if kept[-1].position > chunk.position:
                    self.release(chunk)
                    break
                self.release(kept.pop())
            else:
                kept.append(chunk)
        return kept

    async def clear(self) -> None:
        """Remove everything that an earlier run left. Raises OSError."""
        await self._disk.run(self._remove_all)

    async def close(self) -> None:
        await self._disk.idle()
        await self._disk.run(self._segments.close)

    def _give_back(self, chunk: Chunk) -> None:
        self.budget.used -= chunk.stored
        self.spooled -= chunk.stored

    def _sweep(self) -> None:
        if self._writing:
            return  # a write may go to the segment that looks empty now; it sweeps when it is done
        for segment in [number for number, live in self._live.items() if live <= 0]:
            del self._live[segment]
            self._disk.put(partial(self._segments.unlink, segment), _ignore)

    def _scan(self) -> list[tuple[Position, int, bytes]]:
        self._segments.open()
        found = []
        for position, size, head in self._segments.heads(HEAD_BYTES):
            if len(head) >= 4 and head_length(head) <= size:
                whole = head if head_length(head) <= len(head) else self._segments.read(position)
                found.append((position, size, whole[: head_length(head)]))
        keep = {position.segment for position, _, _ in found}
        for number in self._segments.numbers:
            if number not in keep:
                self._segments.unlink(number)
        return found

    def _remove_all(self) -> None:
        self._segments.open()
        for number in self._segments.numbers:
            self._segments.unlink(number)


def _ignore(_: object) -> None:
    """An unlink that failed leaves a file that the next start removes."""
