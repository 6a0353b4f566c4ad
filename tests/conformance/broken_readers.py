"""Message stores and sources that are each wrong in one way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from bridge.api import (
    Data,
    Hole,
    Item,
    MessageBatch,
    Never,
    NotYet,
    Piece,
    SessionEnd,
    Start,
    Stream,
    StreamInfo,
    Trimmed,
)
from bridge.testing.doubles import MemorySource, MemoryStore
from tests.conformance.faults import breaks


@breaks("store", "empty")
class HasAChannelOfItsOwn(MemoryStore):
    async def channels(self) -> list[str]:
        return [*await super().channels(), "__meta"]


@breaks("store", "lists_what_it_has")
class NewestFirst(MemoryStore):
    async def streams(self, channel: str) -> list[StreamInfo]:
        return (await super().streams(channel))[::-1]


class AnswersOther(MemoryStore):
    """Gives `change(answer)` for each answer."""

    def change(self, piece: Piece) -> list[Piece]:
        return [piece]

    async def read(self, stream: Stream, first: int, last: int, *, limit: int = 4096) -> AsyncIterator[Piece]:
        async for piece in super().read(stream, first, last, limit=limit):
            for other in self.change(piece):
                yield other


@breaks("store", "reads_by_sequence")
class ReversesABatch(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        return [Data(replace(piece.batch, payloads=piece.batch.payloads[::-1]))] if isinstance(piece, Data) else [piece]


@breaks("store", "reads_by_sequence")
class AnswersTwice(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        return [piece, piece]


@breaks("store", "reads_any_range")
class IgnoresTheLimit(MemoryStore):
    def _piece(self, stream: Stream, first: int, last: int, limit: int) -> Piece:
        return super()._piece(stream, first, last, 4096)


@breaks("store", "reads_any_range")
class GivesWholeBatches(MemoryStore):
    def _piece(self, stream: Stream, first: int, last: int, limit: int) -> Piece:
        return super()._piece(stream, first, last + 5, limit)


@breaks("store", "answers_not_yet")
class SaysNeverForNotYet(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        return [Never(piece.first, piece.last, "")] if isinstance(piece, NotYet) else [piece]


@breaks("store", "answers_not_yet")
class NamesAnotherTail(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        return [replace(piece, tail=0)] if isinstance(piece, NotYet) else [piece]


@breaks("store", "answers_never")
class SaysNotYetForHoles(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        return [NotYet(piece.first, piece.last, 0)] if isinstance(piece, Never) else [piece]


@breaks("store", "answers_never", "reads_by_sequence")
class SilentAboutHoles(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        return [] if isinstance(piece, Never) else [piece]


@breaks("store", "answers_trimmed", "trimmed_under_the_reader")
class ClampsSilently(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        return [] if isinstance(piece, Trimmed) else [piece]


@breaks("store", "answers_trimmed")
class TakesTrimmedForHoles(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        return [Never(piece.first, piece.last, "")] if isinstance(piece, Trimmed) else [piece]


@breaks("store", "registry_outlives_retention")
class RegistryOfWhatIsLeft(MemoryStore):
    async def streams(self, channel: str) -> list[StreamInfo]:
        infos = await super().streams(channel)
        return [replace(info, first=self.memory.rows(info.stream)[0].number) for info in infos]


@breaks("store", "trimmed_under_the_reader")
class ReadsALowerBoundOnce(MemoryStore):
    """Asks for the lower bound before the data and believes it for ever."""

    def _piece(self, stream: Stream, first: int, last: int, limit: int) -> Piece:
        piece = super()._piece(stream, first, last, limit)
        if isinstance(piece, Trimmed):
            rest = super()._piece(stream, piece.first_left, max(last, piece.first_left), limit)
            return rest if isinstance(rest, Data) else piece
        return piece


@breaks("store", "reads_by_time")
class FindsTheNumberAfter(MemoryStore):
    async def number_at(self, stream: Stream, time_ns: int) -> int:
        return await super().number_at(stream, time_ns + 1)


@breaks("store", "several_readers")
class SharesItsPlace(MemoryStore):
    place = 0

    async def read(self, stream: Stream, first: int, last: int, *, limit: int = 4096) -> AsyncIterator[Piece]:
        type(self).place = first
        while type(self).place <= last:
            piece = self._piece(stream, type(self).place, last, limit)
            type(self).place = (piece.batch.last if isinstance(piece, Data) else piece.last) + 1
            yield piece
            await asyncio.sleep(0)


@breaks("store", "reads_while_written")
class LooksOnce(MemoryStore):
    seen: int | None = None

    def _piece(self, stream: Stream, first: int, last: int, limit: int) -> Piece:
        if self.seen is None:
            self.seen = self.memory.through(stream)
        if self.seen is None or first > self.seen:
            return NotYet(first, last, self.seen)
        return super()._piece(stream, first, min(last, self.seen), limit)


@breaks("store", "reads_can_be_left")
class ReadsToTheEndOrNeverAgain(MemoryStore):
    busy = False

    async def read(self, stream: Stream, first: int, last: int, *, limit: int = 4096) -> AsyncIterator[Piece]:
        if self.busy:
            raise RuntimeError("a read is under way")
        self.busy = True
        async for piece in super().read(stream, first, last, limit=limit):
            yield piece
        self.busy = False


@breaks("store", "reads_any_size")
class CutsAtAMegabyte(AnswersOther):
    def change(self, piece: Piece) -> list[Piece]:
        if not isinstance(piece, Data):
            return [piece]
        return [Data(replace(piece.batch, payloads=[p[: 2**20 - 1] for p in piece.batch.payloads]))]


@breaks("store", "unknown_stream")
class KnowsChannelsOnly(MemoryStore):
    def _piece(self, stream: Stream, first: int, last: int, limit: int) -> Piece:
        known = self.memory.streams(stream.channel)
        piece = super()._piece(known[0].stream if known else stream, first, last, limit)
        return Data(replace(piece.batch, stream=stream)) if isinstance(piece, Data) else piece


@breaks("store", "close_is_idempotent")
class StoreClosesOnce(MemoryStore):
    closed = False

    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class GivesOther(MemorySource):
    """Gives `change(item)` for each item that it reads."""

    def change(self, item: Item) -> list[Item]:
        return [item]

    async def read(self, limit: int) -> Sequence[tuple[Item, str]]:
        while True:
            found = await super().read(limit)
            changed = [(other, position) for item, position in found for other in self.change(item)]
            if changed or not found:
                return changed


@breaks("source", "preserves_streams")
class GivesNoHoles(GivesOther):
    def change(self, item: Item) -> list[Item]:
        return [] if isinstance(item, Hole) else [item]


@breaks("source", "preserves_streams")
class GivesNoEnds(GivesOther):
    def change(self, item: Item) -> list[Item]:
        return [] if isinstance(item, SessionEnd) else [item]


@breaks("source", "preserves_streams")
class GivesOneStream(GivesOther):
    def change(self, item: Item) -> list[Item]:
        return [replace(item, stream=item.stream._replace(restart=0))]


@breaks("source", "preserves_streams")
class GivesNewTimes(GivesOther):
    def change(self, item: Item) -> list[Item]:
        return [replace(item, time_ns=item.time_ns + 10**9)] if isinstance(item, MessageBatch) else [item]


@breaks("source", "several_channels")
class ReadsOneChannel(MemorySource):
    def _channels(self) -> list[str]:
        return super()._channels()[:1]


class StartsElsewhere(MemorySource):
    """Opens at `elsewhere(start)`."""

    def elsewhere(self, start: Start) -> Start:
        return start

    async def open(self, start: Start) -> None:
        await super().open(self.elsewhere(start))


@breaks("source", "starts_at_latest")
class StartsAtEarliest(StartsElsewhere):
    def elsewhere(self, start: Start) -> Start:
        return replace(start, at="earliest")


@breaks("source", "starts_at_latest")
class ForgetsTheStart(GivesOther):
    def change(self, item: Item) -> list[Item]:
        return [item] if isinstance(item, MessageBatch | Hole | SessionEnd) else []


@breaks("source", "starts_at_a_sequence")
class DoesNotCut(MemorySource):
    async def open(self, start: Start) -> None:
        await super().open(start)
        self._lowest.clear()


@breaks("source", "starts_at_a_position", "resume_continues")
class OneTooFar(StartsElsewhere):
    def elsewhere(self, start: Start) -> Start:
        resume = start.resume and {channel: str(int(at) + 1) for channel, at in start.resume.items()}
        return replace(start, value=int(start.value or 0) + 1, resume=resume)


@breaks("source", "starts_at_a_time")
class StartsAfterTheTime(StartsElsewhere):
    def elsewhere(self, start: Start) -> Start:
        return replace(start, value=int(start.value or 0) + 1)


@breaks("source", "resume_continues")
class ReadsTheLastAgain(StartsElsewhere):
    def elsewhere(self, start: Start) -> Start:
        return replace(start, resume=start.resume and {c: str(int(at) - 1) for c, at in start.resume.items()})


@breaks("source", "resume_continues")
class IgnoresResume(StartsElsewhere):
    def elsewhere(self, start: Start) -> Start:
        return replace(start, resume=None)


@breaks("source", "acknowledge_repeated")
class AcknowledgesOnce(MemorySource):
    def acknowledge(self, channel: str, position: str) -> None:
        if (channel, position) in self.acknowledged:
            raise ValueError("acknowledged already")
        super().acknowledge(channel, position)


@breaks("source", "limit_bounds_a_read")
class ReadsAll(MemorySource):
    async def read(self, limit: int) -> Sequence[tuple[Item, str]]:
        return await super().read(10**9)


@breaks("source", "cancelled_read_loses_nothing")
class LosesWhenCancelled(MemorySource):
    async def read(self, limit: int) -> Sequence[tuple[Item, str]]:
        found = await super().read(limit)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return found


@breaks("source", "follows_the_writer")
class EndsWhereItShouldWait(MemorySource):
    async def read(self, limit: int) -> Sequence[tuple[Item, str]]:
        self.options = self.options.model_copy(update={"follow": False})
        return await super().read(limit)


@breaks("source", "names_a_system_that_is_gone")
class RaisesWhateverComes(MemorySource):
    async def open(self, start: Start) -> None:
        if self.memory.down is not None:
            raise OSError("connection refused")
        await super().open(start)


@breaks("source", "names_a_system_that_is_gone")
class ReadsFromNothing(MemorySource):
    async def open(self, start: Start) -> None:
        down, self.memory.down = self.memory.down, None
        await super().open(start)
        self.memory.down = down

    async def read(self, limit: int) -> Sequence[tuple[Item, str]]:
        down, self.memory.down = self.memory.down, None
        found: Any = await super().read(limit)
        self.memory.down = down
        return found


@breaks("source", "close_is_idempotent")
class SourceClosesOnce(MemorySource):
    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        await super().close()
