"""How a message sink opens, resumes, fails and closes."""

import asyncio
import contextlib
import functools

from bridge.api import ConnectorError, MessageBatch
from bridge.testing.conformance.behaviour import Place, behaviour, demand, demand_equal
from bridge.testing.conformance.message import MessageSuite
from bridge.testing.conformance.traffic import Script, Writer, all_messages, stream, turns
from bridge.testing.doubles import RecordingListener

sink_behaviour = functools.partial(behaviour, role="sink")


class SinkLife(MessageSuite):
    """One connection life after another: what a sink knows when it opens, and what is left when it ends."""

    @sink_behaviour("A channel that nothing was ever written to opens as None.")
    async def test_opens_empty_as_none(self, place: Place) -> None:
        writer = await self.writer(place)
        demand_equal(writer.opened, None, "open of a fresh channel")

    @sink_behaviour("A stream that was begun and has no message opens with it and no tail.", claim="readable_tail")
    async def test_opens_a_claim_without_tail(self, place: Place) -> None:
        script = Script(stream(4), first=8)
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.drain()
        await place.restart()
        opened = (await self.writer(place)).opened
        # A system that keeps nothing but messages does not know the claim, and says that it has nothing.
        if opened is not None or self.claims("store"):
            demand(opened is not None, "a stream that was claimed opens as None")
            demand_equal(opened and opened[:2], (script.stream, None), "opened")

    @sink_behaviour(
        "It opens with the newest stream and its last stored number, read from the system.", claim="readable_tail"
    )
    async def test_resumes_from_the_stored_tail(self, place: Place) -> None:
        script = Script(stream(1), first=1, seed=1)
        other = Script(stream(2), first=0, seed=2)
        expected: list[tuple[Script, int]] = []
        for current in (script, script, other, other):
            writer = await self.writer(place)
            if expected:
                self._demand_tail(writer, *expected[-1])
            written = len(current.items)
            current.mixed(40)
            await writer.write([current.items[0], *current.items[max(1, written) :]])
            await writer.drain(current)
            expected.append((current, current.messages[-1].number))
            await place.restart()
        self._demand_tail(await self.writer(place), *expected[-1])
        demand_equal(await self.found(place), all_messages([script, other]), "stored")

    def _demand_tail(self, writer: Writer, script: Script, tail: int) -> None:
        demand(writer.opened is not None, "what was stored opens as None")
        opened = writer.opened
        assert opened is not None
        demand_equal(opened[:2], (script.stream, tail), "newest stream and tail")
        demand((opened.through or 0) >= tail, f"through is {opened.through}, below the tail {tail}")

    @sink_behaviour(
        "After a hole at the end the tail is the last message; what is decided reaches to the hole's end.",
        claim="store",
    )
    async def test_tail_before_a_hole(self, place: Place) -> None:
        script = Script(stream(), first=3)
        script.batch(5)
        script.hole(100, "announced")
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.drain(script)
        await place.restart()
        demand_equal((await self.writer(place)).opened, (script.stream, 7, 107), "opened")

    @sink_behaviour(
        "What is stored already is skipped, also where a batch overlaps the tail, and is acknowledged.", claim="dedupes"
    )
    async def test_skips_what_is_stored(self, place: Place) -> None:
        script = Script(stream(), first=5)
        for _ in range(10):
            script.batch(10)
        writer = await self.writer(place)
        await writer.write(script.items[:6])
        await writer.drain()
        await place.restart()
        again = await self.writer(place)
        shifted = [item.from_number(8) if isinstance(item, MessageBatch) else item for item in script.items]
        merged = MessageBatch(script.stream, 45, [p for b in script.batches[4:7] for p in b.payloads], 1)
        await again.write([*shifted[:5], merged, *script.items[8:]])
        await again.drain(script)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour("A writer that was replaced can no longer write, and learns it.", claim="fences")
    async def test_fences_the_writer_before(self, place: Place) -> None:
        script = Script(stream(), first=0)
        old = await self.writer(place)
        await old.write([*script.items, script.batch(5)])
        await old.listener.reaches(script.stream, 4)
        new = await self.writer(place)
        await new.write(script.from_number(5))
        stray = MessageBatch(script.stream, 5, [b"stray 5", b"stray 6"], 1)
        with contextlib.suppress(ConnectorError):
            await old.write([stray])
        await old.settle()
        demand(bool(old.listener.failures), "the writer that was replaced was not told")
        await new.write([script.batch(5)])
        await new.drain(script)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour(
        "A failing batch ends one object with one on_failed; a new object goes on: nothing twice, nothing missing.",
        needs=("break_system", "mend_system"),
    )
    async def test_survives_a_failing_batch(self, place: Place) -> None:
        script = Script(stream(), first=1, seed=11).mixed(60)
        reached = script.last
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.listener.reaches(script.stream, reached)
        await self.break_system(place.path)
        script.mixed(120)
        with contextlib.suppress(ConnectorError):
            await writer.write(script.from_number(reached + 1)[1:])
        await writer.listener.fails()
        through = writer.listener.through(script.stream)
        await writer.sink.close(True)
        writer.check()
        demand_equal(writer.listener.through(script.stream), through, "acknowledged after the failure")
        await self.mend_system(place.path)
        again = await self.writer(place)
        if self.claims("readable_tail"):
            demand(again.opened is not None, "opens as None after a failure")
            assert again.opened is not None
            tail = max(n for n in (again.opened.tail, again.opened.through) if n is not None)
            demand(tail >= max(m.number for m in script.messages if m.number <= (through or 0)), f"tail fell to {tail}")
        else:
            tail = through or 0
        await again.write(script.from_number(tail + 1))
        await again.drain(script)
        found = await self.found(place)
        if not self.claims("readable_tail"):
            found = list(dict.fromkeys(found))  # at least once: what was sent again may be there twice
        demand_equal(found, script.messages, "stored")

    @sink_behaviour(
        "After on_failed the object is dead: it takes nothing more, and a drain does not wait for it.",
        needs=("break_system", "mend_system"),
    )
    async def test_stays_dead(self, place: Place) -> None:
        script = Script(stream())
        writer = await self.writer(place)
        await self.break_system(place.path)
        with contextlib.suppress(ConnectorError):
            await writer.write([*script.items, script.batch(3)])
        await writer.listener.fails()
        with contextlib.suppress(ValueError):
            demand(not writer.sink.submit(script.batch(3)), "a sink that has failed took an item")
        await self.mend_system(place.path)
        await writer.sink.close(True)
        await writer.sink.close(False)
        demand_equal(len(writer.listener.failures), 1, "calls of on_failed")
        writer.check()
        demand_equal(await self.found(place), [], "stored by a sink that has failed")

    @sink_behaviour("close(drain=True) returns when everything that was submitted is acknowledged and stored.")
    async def test_drains(self, place: Place) -> None:
        script = Script(stream(), seed=12).mixed(100)
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.drain(script)
        await place.restart()
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour(
        "After close(drain=False) nothing more is acknowledged; a prefix is stored, and writing can go on after it."
    )
    async def test_closes_without_drain(self, place: Place) -> None:
        script = Script(stream(), seed=13).mixed(200)
        writer = await self.writer(place)
        for item in script.items:
            if not writer.sink.submit(item):
                break
        await writer.sink.close(False)
        said = len(writer.listener.acknowledged)
        await turns(10)
        demand_equal(len(writer.listener.acknowledged), said, "acknowledgements after it was closed")
        await place.restart()
        await self._goes_on(place, script)

    @sink_behaviour("A drain that is cancelled leaves a prefix and can be followed by close(drain=False).")
    async def test_drain_can_be_cancelled(self, place: Place) -> None:
        script = Script(stream(), seed=14).mixed(200)
        writer = await self.writer(place)
        for item in script.items:
            if not writer.sink.submit(item):
                break
        drain = asyncio.create_task(writer.sink.close(True))
        await turns(1)
        drain.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drain
        await writer.sink.close(False)
        writer.check()
        await place.restart()
        await self._goes_on(place, script)

    async def _goes_on(self, place: Place, script: Script) -> None:
        """What is stored is a prefix of the script, and a new object stores the rest."""
        found = await self.found(place)
        demand_equal(found, script.messages[: len(found)], "stored, as a prefix")
        writer = await self.writer(place)
        rest = len(found) < len(script.messages)
        await writer.write(script.from_number(found[-1].number + 1 if found else 0))
        await writer.drain(*[script] * rest)
        if self.claims("readable_tail"):
            demand_equal(await self.found(place), script.messages, "stored in the end")
            return
        # At least once: what the object that was closed still had under way may come before what is sent again.
        payloads = [message.payload for message in await self.found(place)]
        wanted = [message.payload for message in script.messages]
        known = len(found)
        demand_equal(payloads[:known], wanted[:known], "stored before")
        demand_equal(payloads[known - len(wanted) :] if rest else [], wanted[known:], "stored in the end")

    @sink_behaviour("close may be called again, in any way, and without an open.")
    async def test_close_is_idempotent(self, place: Place) -> None:
        for drain in (False, True):
            never_opened = self.new_sink(place)
            await never_opened.close(drain)
            await never_opened.close(not drain)
        writer = await self.writer(place)
        script = Script(stream())
        await writer.write([*script.items, script.batch(2)])
        await writer.drain(script)
        for drain in (True, False, True):
            await writer.sink.close(drain)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour(
        "An open that is cancelled, or closed while it is awaited, leaves nothing behind and disturbs nobody."
    )
    async def test_close_during_open(self, place: Place) -> None:
        for count in range(8):
            sink = self.new_sink(place)
            opening = asyncio.create_task(sink.open("interrupted", RecordingListener()))
            await turns(count)
            if count % 2:
                opening.cancel()
            await sink.close(bool(count % 3))
            with contextlib.suppress(asyncio.CancelledError, ConnectorError):
                await opening
            await sink.close(False)
        await place.restart()
        script = Script(stream(channel="interrupted"), seed=15).mixed(20)
        writer = await self.writer(place, "interrupted")
        demand_equal(writer.opened, None, "open of a channel that nothing was written to")
        await writer.write(script.items)
        await writer.drain(script)
        demand_equal(await self.found(place, "interrupted"), script.messages, "stored")
