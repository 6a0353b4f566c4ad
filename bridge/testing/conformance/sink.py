"""What every message sink has to do: what it stores and what it says about it. `SinkSuite` is the whole suite.

How it opens, fails and closes is in `sink_life.py`.
"""

import copy
import functools

from bridge.api import Hole, MessageBatch, Never, SessionEnd, SessionStart
from bridge.testing.conformance.behaviour import Place, behaviour, demand, demand_equal
from bridge.testing.conformance.message import MessageSuite
from bridge.testing.conformance.sink_life import SinkLife
from bridge.testing.conformance.traffic import CHANNEL, Script, all_messages, stream

sink_behaviour = functools.partial(behaviour, role="sink")


class SinkStoring(MessageSuite):
    """What a sink stores, and what it says about it."""

    @sink_behaviour("What was submitted is stored in the order of its numbers, each message once, bytes unchanged.")
    async def test_order_per_stream(self, place: Place) -> None:
        script = Script(stream(), first=1, seed=1).mixed(600)
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.drain(script)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour("An acknowledgement is a prefix: it never falls, covers holes, never passes what was submitted.")
    async def test_acknowledged_prefix(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=2).mixed(200)
        script.hole(5)
        writer = await self.writer(place)
        submitted = -1
        for item in script.items:
            await writer.write([item])
            if isinstance(item, MessageBatch | Hole):
                submitted = item.last
            highest = max((through for _, through in writer.listener.acknowledged), default=-1)
            demand(highest <= submitted, f"acknowledged {highest} when {submitted} was the last submitted")
        await writer.drain(script)
        streams = {of for of, _ in writer.listener.acknowledged}
        demand_equal(streams, {script.stream}, "acknowledged streams")

    @sink_behaviour("Acknowledgements come by themselves, also for a hole that nothing follows, not only at a drain.")
    async def test_acknowledges_unasked(self, place: Place) -> None:
        script = Script(stream(), first=7)
        writer = await self.writer(place)
        await writer.write(script.items)
        for item in (script.batch(3), script.hole(2), script.batch(1)):
            await writer.write([item])
            await writer.listener.reaches(script.stream, item.last)
        writer.check()

    @sink_behaviour("What was acknowledged is stored, even if the sink is closed at once without a drain.")
    async def test_acknowledged_is_stored(self, place: Place) -> None:
        script = Script(stream(), seed=3).mixed(300)
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.listener.reaches(script.stream, 20)
        await writer.sink.close(False)
        through = writer.listener.through(script.stream) or 0
        await place.restart()
        found = await self.found(place)
        demand_equal(found, script.messages[: len(found)], "stored")
        missing = [m.number for m in script.messages[len(found) :] if m.number <= through]
        demand(not missing, f"{missing[:5]} … were acknowledged (up to {through}) and are not stored")

    @sink_behaviour(
        "A number at or below the last one submitted is refused with ValueError, and nothing of it is taken."
    )
    async def test_refuses_to_go_backwards(self, place: Place) -> None:
        script = Script(stream(), first=0)
        writer = await self.writer(place)
        first = script.batch(10)
        script.hole(3)
        await writer.write(script.items)
        back = (
            MessageBatch(script.stream, 9, [b"again", b"and on"], first.time_ns),
            MessageBatch(script.stream, 0, [b"from the beginning"], first.time_ns),
            MessageBatch(script.stream, 11, [b"into", b"the", b"hole"], first.time_ns),
            Hole(script.stream, 12, 14, "wire"),
        )
        for item in back:
            try:
                writer.sink.submit(item)
            except ValueError:
                continue
            raise AssertionError(f"{item} was taken after {script.last} was submitted")
        await writer.write([script.batch(4)])
        await writer.drain(script)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour("Full means that nothing was taken; an acknowledgement ends it, so that nobody waits for ever.")
    async def test_full_ends_with_an_acknowledgement(self, place: Place) -> None:
        script = Script(stream(), seed=4)
        writer = await self.writer(place)
        demand(writer.sink.submit(script.items[0]), "a sink that has nothing to acknowledge said Full")
        full = 0
        for _ in range(500):
            item = script.batch(8, 2000)
            if not writer.sink.submit(item):
                full += 1
                await writer.listener.change()
                demand(writer.sink.submit(item), f"still full after an acknowledgement ({full}. time)")
            if full == 5:
                break
        await writer.drain(script)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour(
        "Several streams follow each other on one channel: sessions, restarts of one, the last one is newest."
    )
    async def test_several_streams(self, place: Place) -> None:
        scripts = [
            Script(stream(9), first=1, seed=5).mixed(40),
            Script(stream(2), first=0, seed=6).mixed(40),  # a session number has no order
            Script(stream(2, restart=1), first=0, seed=7).mixed(40),
            Script(stream(5), first=1_000, seed=8).mixed(40),
        ]
        writer = await self.writer(place)
        for script in scripts[:2]:
            script.end()
            await writer.write(script.items)
        await writer.drain(*scripts[:2])
        await place.restart()
        writer = await self.writer(place)
        for script in scripts[2:]:
            await writer.write(script.items)
        await writer.drain(*scripts[2:])
        demand_equal(await self.found(place), all_messages(scripts), "stored")

    @sink_behaviour("Two channels that are written at once do not mix.")
    async def test_channels_apart(self, place: Place) -> None:
        names = ("one", "two.B")
        scripts = [Script(stream(i, channel=name), seed=i).mixed(120) for i, name in enumerate(names)]
        writers = [await self.writer(place, name) for name in names]
        for i in range(max(len(script.items) for script in scripts)):
            for script, writer in zip(scripts, writers, strict=True):
                await writer.write(script.items[i : i + 1])
        for script, writer in zip(scripts, writers, strict=True):
            await writer.drain(script)
        for name, script in zip(names, scripts, strict=True):
            demand_equal(await self.found(place, name), script.messages, f"stored of {name}")

    @sink_behaviour("Messages of no bytes and of many are stored as they are.")
    async def test_payloads_of_any_size(self, place: Place) -> None:
        script = Script(stream(), first=0)
        writer = await self.writer(place)
        largest = min(writer.sink.limits().max_message, 2**20)
        for size in (0, 1, 2, 255, 256, 1400, 65_507, 65_536, largest, 0):
            script.batch(2, min(size, largest))
        await writer.write(script.items)
        await writer.drain(script)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour("limits() is known once it is open, and a message of exactly that size is stored.")
    async def test_limits_hold(self, place: Place) -> None:
        writer = await self.writer(place)
        largest = writer.sink.limits().max_message
        demand(largest > 0, f"max_message is {largest}")
        script = Script(stream())
        script.batch(1, min(largest, 64 * 2**20))
        await writer.write(script.items)
        await writer.drain(script)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour("A stream may begin at any number up to 2^53 - 2.")
    async def test_numbers_begin_anywhere(self, place: Place) -> None:
        scripts = []
        for i, first in enumerate((0, 1, 2**31 - 2, 2**32 - 2, 2**53 - 5)):
            script = Script(stream(i), first=first)
            script.batch(4)
            scripts.append(script)
        writer = await self.writer(place)
        for script in scripts:
            await writer.write(script.items)
        await writer.drain(*scripts)
        demand_equal(await self.found(place), all_messages(scripts), "stored")

    @sink_behaviour("A batch that the engine took messages out of keeps its numbers, and what comes next follows.")
    async def test_numbers_left_out(self, place: Place) -> None:
        script = Script(stream(), first=0)
        script.batch(3, numbers=[2, 5, 6])
        script.next = 20
        script.batch(2)
        script.batch(2, numbers=[22, 900])
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.drain(script)
        demand_equal(await self.found(place), script.messages, "stored")

    @sink_behaviour("A batch is not changed: several sinks share it.")
    async def test_batches_unchanged(self, place: Place) -> None:
        script = Script(stream(), seed=9).mixed(60)
        before = copy.deepcopy(script.items)
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.drain(script)
        demand_equal(script.items, before, "items after they were submitted")

    @sink_behaviour(
        "Holes are kept: the store answers Never for them, with their reason where it gives one.", claim="store"
    )
    async def test_holes_kept(self, place: Place) -> None:
        script = Script(stream(), first=10)
        script.batch(5)
        holes = [script.hole(1, "wire"), script.hole(1000, "announced")]
        script.batch(5)
        holes.append(script.hole(4, "overload"))
        writer = await self.writer(place)
        await writer.write(script.items)
        await writer.drain(script)
        await place.restart()
        store = await self.reader(place)
        reasons: dict[int, str] = {}
        async for piece in store.read(script.stream, script.first, script.last):
            if isinstance(piece, Never):
                reasons |= dict.fromkeys(range(piece.first, piece.last + 1), piece.reason)
        expected = {n: hole.reason for hole in holes for n in range(hole.first, hole.last + 1)}
        demand_equal(sorted(reasons), sorted(expected), "numbers that will never come")
        wrong = [n for n, reason in reasons.items() if reason not in ("", expected[n])]
        demand(not wrong, f"the hole at {wrong[:1]} was stored with another reason")

    @sink_behaviour(
        "The registry keeps each stream: protocol, first number, end, its tail, and how far it is decided.",
        claim="store",
    )
    async def test_streams_registered(self, place: Place) -> None:
        ended, open_ = Script(stream(1), first=5), Script(stream(1, restart=1), first=0)
        for script in (ended, open_):
            script.batch(4)
            script.hole(2)
        ended.end()
        writer = await self.writer(place)
        await writer.write([*ended.items, *open_.items])
        await writer.drain(ended, open_)
        store = await self.reader(place)
        infos = await store.streams(CHANNEL)
        found = [(i.stream, i.protocol, i.first, i.tail, i.through, i.end) for i in infos]
        expected = [(ended.stream, "native", 5, 8, 10, 11), (open_.stream, "native", 0, 3, 5, None)]
        demand_equal(found, expected, "registry")
        epochs = [info.epoch for info in infos]
        demand(epochs == sorted(set(epochs)), f"epochs do not rise: {epochs}")

    @sink_behaviour("A start or an end alone is taken and kept by a drain.", claim="store")
    async def test_start_and_end_alone(self, place: Place) -> None:
        of = stream(3)
        writer = await self.writer(place)
        await writer.write([SessionStart(of, "native", 4), SessionEnd(of, 4)])
        await writer.drain()
        await place.restart()
        infos = await (await self.reader(place)).streams(CHANNEL)
        demand_equal([(i.stream, i.first, i.tail, i.end) for i in infos], [(of, 4, None, 4)], "registry")


class SinkSuite(SinkStoring, SinkLife):
    """All behaviours of a message sink. Subclass it, set `sink`, write `options` and `stored`; see `MessageSuite`."""

    role = "sink"
