"""Message sinks that are each wrong in one way."""

import asyncio
from dataclasses import replace
from typing import Any

from bridge.api import (
    Hole,
    Item,
    Listener,
    MessageBatch,
    MessageLimits,
    Opened,
    SessionEnd,
    SessionStart,
    Stream,
)
from bridge.testing.doubles import MemorySink
from bridge.testing.doubles.memory import last_number
from tests.conformance.faults import breaks


class WritesOther(MemorySink):
    """Writes something else than what it acknowledges: `change` says what, straight into the log."""

    def change(self, item: Item) -> list[Item]:
        return [item]

    def _write(self, items: list[Item]) -> None:
        changed = [other for item in items for other in self.change(item)]
        self.memory.log.setdefault(self.channel, []).extend(changed)


@breaks("sink", "order_per_stream", "drains")
class Reorders(WritesOther):
    def _write(self, items: list[Item]) -> None:
        numbered = [item for item in items if isinstance(item, MessageBatch)]
        rest = [item for item in items if not isinstance(item, MessageBatch)]
        super()._write([*rest, *reversed(numbered)])


@breaks("sink", "order_per_stream")
class LosesABatch(WritesOther):
    def change(self, item: Item) -> list[Item]:
        return [] if isinstance(item, MessageBatch) and item.number(0) > 200 and item.number(0) % 2 else [item]


@breaks("sink", "order_per_stream", "skips_what_is_stored")
class StoresTwice(WritesOther):
    def change(self, item: Item) -> list[Item]:
        return [item, item] if isinstance(item, MessageBatch) else [item]


@breaks("sink", "skips_what_is_stored")
class StoresAgainAfterARestart(WritesOther):
    pass


@breaks("sink", "acknowledged_prefix")
class AcknowledgementsFall(MemorySink):
    def _acknowledge(self, items: list[Item]) -> None:
        super()._acknowledge(items)
        for item in items:
            if isinstance(item, MessageBatch):
                self._listener.on_acknowledged(item.stream, item.first)


@breaks("sink", "acknowledged_prefix")
class AcknowledgesTooFar(MemorySink):
    def submit(self, item: Item) -> bool:
        if isinstance(item, MessageBatch) and self._listener is not None:
            self._listener.on_acknowledged(item.stream, item.last + 1)
        return super().submit(item)


@breaks("sink", "acknowledged_prefix", "acknowledges_unasked")
class ForgetsToAcknowledgeHoles(MemorySink):
    def _acknowledge(self, items: list[Item]) -> None:
        super()._acknowledge([item for item in items if not isinstance(item, Hole)])


@breaks("sink", "acknowledges_unasked")
class AcknowledgesAtADrainOnly(MemorySink):
    def commit(self, count: int | None = None) -> None:
        pass

    async def close(self, drain: bool) -> None:
        if drain and not self.closed:
            super().commit()
        await super().close(drain)


@breaks("sink", "acknowledged_is_stored")
class AcknowledgesEarly(MemorySink):
    class Options(MemorySink.Options):
        turns: int = 500
        capacity: int = 10_000

    def submit(self, item: Item) -> bool:
        taken = super().submit(item)
        if taken and last_number(item) is not None:
            super()._acknowledge([item])
        return taken

    def _acknowledge(self, items: list[Item]) -> None:
        pass


@breaks("sink", "refuses_to_go_backwards")
class GoesBackwards(MemorySink):
    def _check(self, item: Item) -> None:
        pass


@breaks("sink", "refuses_to_go_backwards")
class RefusesAndTakesAllTheSame(WritesOther):
    def submit(self, item: Item) -> bool:
        try:
            return super().submit(item)
        except ValueError:
            self._write([item])
            raise


@breaks("sink", "full_ends_with_an_acknowledgement")
class StaysFull(MemorySink):
    class Options(MemorySink.Options):
        capacity: int = 3

    full = False

    def submit(self, item: Item) -> bool:
        taken = not self.full and super().submit(item)
        self.full = not taken
        return taken


@breaks("sink", "full_ends_with_an_acknowledgement")
class FullAndTakenAllTheSame(WritesOther):
    class Options(MemorySink.Options):
        capacity: int = 3

    def submit(self, item: Item) -> bool:
        if super().submit(item):
            return True
        self._pending.append(item)
        return False


@breaks("sink", "full_ends_with_an_acknowledgement")
class FullWithNothingToAcknowledge(MemorySink):
    def submit(self, item: Item) -> bool:
        return False


@breaks("sink", "several_streams")
class ForgetsRestarts(WritesOther):
    def change(self, item: Item) -> list[Item]:
        return [replace(item, stream=item.stream._replace(restart=0))]


@breaks("sink", "channels_apart")
class MixesChannels(MemorySink):
    def _write(self, items: list[Item]) -> None:
        self.memory.write("one", items)


@breaks("sink", "payloads_of_any_size")
class DropsEmptyMessages(WritesOther):
    def change(self, item: Item) -> list[Item]:
        if not isinstance(item, MessageBatch):
            return [item]
        kept = [i for i, payload in enumerate(item.payloads) if payload]
        numbers = [item.number(i) for i in kept]
        if not kept:
            return []
        return [MessageBatch(item.stream, numbers[0], [item.payloads[i] for i in kept], item.time_ns, numbers)]


@breaks("sink", "limits_hold")
class CutsAtItsLimit(WritesOther):
    def limits(self) -> MessageLimits:
        return MessageLimits(1000)

    def change(self, item: Item) -> list[Item]:
        if isinstance(item, MessageBatch):
            return [replace(item, payloads=[payload[:999] for payload in item.payloads])]
        return [item]


@breaks("sink", "numbers_begin_anywhere")
class CountsIn32Bits(WritesOther):
    def change(self, item: Item) -> list[Item]:
        return [replace(item, first=item.first & 0xFFFFFFFF)] if isinstance(item, MessageBatch) else [item]


@breaks("sink", "numbers_left_out")
class IgnoresNumbers(WritesOther):
    def change(self, item: Item) -> list[Item]:
        return [replace(item, numbers=None)] if isinstance(item, MessageBatch) else [item]


@breaks("sink", "batches_unchanged")
class EmptiesBatches(MemorySink):
    def _write(self, items: list[Item]) -> None:
        kept = [replace(i, payloads=list(i.payloads)) if isinstance(i, MessageBatch) else i for i in items]
        self.memory.write(self.channel, kept)
        for item in items:
            if isinstance(item, MessageBatch):
                item.payloads.clear()


@breaks("sink", "holes_kept", "tail_before_a_hole")
class LosesHoles(WritesOther):
    def change(self, item: Item) -> list[Item]:
        return [] if isinstance(item, Hole) else [item]


@breaks("sink", "holes_kept")
class ChangesReasons(WritesOther):
    def change(self, item: Item) -> list[Item]:
        return [replace(item, reason="stale")] if isinstance(item, Hole) else [item]


@breaks("sink", "streams_registered")
class ForgetsEnds(WritesOther):
    def change(self, item: Item) -> list[Item]:
        return [] if isinstance(item, SessionEnd) else [item]


@breaks("sink", "start_and_end_alone", "opens_a_claim_without_tail")
class ClaimsWithTheFirstMessage(WritesOther):
    def _write(self, items: list[Item]) -> None:
        if any(isinstance(item, MessageBatch) for item in items):
            super()._write(items)


class OpensWrong(MemorySink):
    """Opens with something else than what is stored."""

    def found(self, opened: Opened | None) -> Opened | None:
        return opened

    async def open(self, channel: str, listener: Listener) -> Opened | None:
        return self.found(await super().open(channel, listener))


@breaks("sink", "opens_empty_as_none", "close_during_open")
class OpensEmptyAsSomething(OpensWrong):
    def found(self, opened: Opened | None) -> Opened | None:
        return opened or Opened(Stream(self.channel, b""), None, None)


@breaks("sink", "opens_a_claim_without_tail")
class OpensAClaimWithATail(OpensWrong):
    def found(self, opened: Opened | None) -> Opened | None:
        return opened and opened._replace(tail=opened.tail or 0)


@breaks("sink", "resumes_from_the_stored_tail", "survives_a_failing_batch")
class ForgetsTheTail(OpensWrong):
    def found(self, opened: Opened | None) -> Opened | None:
        return None


@breaks("sink", "resumes_from_the_stored_tail")
class OpensWithTheOldestStream(OpensWrong):
    def found(self, opened: Opened | None) -> Opened | None:
        oldest = (self.memory.streams(self.channel) or [None])[0]
        return oldest and Opened(oldest.stream, oldest.tail, oldest.through)


@breaks("sink", "resumes_from_the_stored_tail")
class TailIsOneTooFar(OpensWrong):
    def found(self, opened: Opened | None) -> Opened | None:
        return opened and opened._replace(tail=(opened.tail or 0) + 1)


@breaks("sink", "tail_before_a_hole")
class TakesTheHoleForTheTail(OpensWrong):
    def found(self, opened: Opened | None) -> Opened | None:
        return opened and opened._replace(tail=opened.through)


@breaks("sink", "fences_the_writer_before")
class FencesNobody(MemorySink):
    def commit(self, count: int | None = None) -> None:
        self.memory.claim(self.channel, self)
        super().commit(count)


@breaks("sink", "survives_a_failing_batch", "stays_dead")
class SwallowsFailures(MemorySink):
    def fail(self, error: Any = None) -> None:
        self._pending.clear()
        self._settle()


@breaks("sink", "survives_a_failing_batch", "stays_dead")
class FailsTwice(MemorySink):
    def fail(self, error: Any = None) -> None:
        super().fail(error)
        self._listener.on_failed(error)


@breaks("sink", "survives_a_failing_batch")
class AcknowledgesWhatFailed(MemorySink):
    def _write(self, items: list[Item]) -> None:
        if self.memory.down is None:
            super()._write(items)
        else:
            self._acknowledge(items)
            raise self.memory.down


@breaks("sink", "stays_dead")
class RisesAgain(MemorySink):
    def submit(self, item: Item) -> bool:
        self.failed = False
        return super().submit(item)


@breaks("sink", "drains", "acknowledged_prefix", "opens_a_claim_without_tail")
class DrainsNothing(MemorySink):
    async def close(self, drain: bool) -> None:
        await super().close(False)


@breaks("sink", "closes_without_drain")
class AcknowledgesAfterClose(MemorySink):
    async def close(self, drain: bool) -> None:
        items, self._pending = list(self._pending), type(self._pending)()
        await super().close(drain)
        if items:
            asyncio.get_running_loop().call_soon(super()._acknowledge, items)


@breaks("sink", "closes_without_drain")
class StoresTheLastWhenItCloses(WritesOther):
    class Options(MemorySink.Options):
        manual: bool = True

    async def close(self, drain: bool) -> None:
        if self._pending:
            self._write([self._pending[0], *list(self._pending)[-1:]])
        await super().close(False)


@breaks("sink", "drain_can_be_cancelled")
class WritesTheLastWhenCancelled(WritesOther):
    class Options(MemorySink.Options):
        turns: int = 100
        capacity: int = 10_000

    async def close(self, drain: bool) -> None:
        try:
            await super().close(drain)
        except asyncio.CancelledError:
            self._write([self._pending[0], self._pending[-1]])
            raise


@breaks("sink", "drain_can_be_cancelled")
class CannotCloseAfterACancelledDrain(MemorySink):
    drained = False

    async def close(self, drain: bool) -> None:
        if self.drained:
            raise RuntimeError("a drain is under way")
        self.drained = drain
        await asyncio.sleep(0)
        await super().close(drain)
        self.drained = False


@breaks("sink", "close_is_idempotent")
class ClosesOnce(MemorySink):
    async def close(self, drain: bool) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        await super().close(drain)


@breaks("sink", "close_is_idempotent", "close_during_open")
class ClosesOnlyWhatIsOpen(MemorySink):
    async def close(self, drain: bool) -> None:
        if self._listener is None:
            raise RuntimeError("not open")
        await super().close(drain)


@breaks("sink", "close_during_open")
class LeavesSomethingBehind(MemorySink):
    async def open(self, channel: str, listener: Listener) -> Opened | None:
        opened = await super().open(channel, listener)
        if opened is None:
            self.memory.write(channel, [SessionStart(Stream(channel, b"mark"), "raw", 0)])
        return opened


@breaks("sink", "closes_without_drain", "drains")
class LeavesATaskRunning(MemorySink):
    async def open(self, channel: str, listener: Listener) -> Opened | None:
        self.task = asyncio.ensure_future(asyncio.sleep(60))
        return await super().open(channel, listener)
