"""What every message source has to do. `SourceSuite` writes with the sink of the same system and reads with the source."""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from bridge.api import (
    ConnectorError,
    Hole,
    Item,
    MessageBatch,
    MessageSource,
    SessionEnd,
    SessionStart,
    Start,
    Stream,
)
from bridge.testing.conformance.behaviour import Place, behaviour, demand, demand_equal
from bridge.testing.conformance.message import MessageSuite
from bridge.testing.conformance.traffic import CHANNEL, SECOND_NS, Script, stream, turns

source_behaviour = functools.partial(behaviour, role="source")

Event = tuple[object, ...]


def events(items: Iterable[Item]) -> list[Event]:
    """Items in small: each message by itself, adjoining holes of one reason joined, starts without their first number."""
    found: list[Event] = []
    for item in items:
        match item:
            case SessionStart():
                found.append(("start", item.stream, item.protocol))
            case SessionEnd():
                found.append(("end", item.stream, item.next))
            case MessageBatch():
                found += [("message", item.stream, item.number(i), p) for i, p in enumerate(item.payloads)]
            case Hole():
                before = found[-1] if found else ()
                if before[:2] == ("hole", item.stream) and before[3:] == (item.first - 1, item.reason):
                    found[-1] = (*before[:3], item.last, item.reason)
                else:
                    found.append(("hole", item.stream, item.first, item.last, item.reason))
    return found


def from_number(script: Script, first: int) -> list[Event]:
    return events(script.from_number(first))


class Reader:
    """A source that is open, and all that it gave. Checks that a stream's items are announced and in order."""

    def __init__(self, source: MessageSource) -> None:
        self.source = source
        self.taken: list[tuple[Item, str]] = []
        self._begun: set[Stream] = set()
        self._last: dict[Stream, int] = {}

    @property
    def items(self) -> list[Item]:
        return [item for item, _ in self.taken]

    async def read(self, limit: int = 100) -> bool:
        """Read once; False at the end of the input."""
        found = await self.source.read(limit)
        for item, position in found:
            self._check(item)
            demand(isinstance(position, str), f"position {position!r} is no text")
            self.taken.append((item, position))
        return bool(found)

    async def until(self, done: Callable[[Sequence[Event]], bool], limit: int = 100) -> "Reader":
        """Read until `done(events)`, or to the end of the input."""
        while not done(events(self.items)) and await self.read(limit):
            pass
        return self

    async def ends(self, *scripts: Script, limit: int = 100) -> "Reader":
        """Read until the last item of every script was read."""
        last = [events(script.items)[-1] for script in scripts]
        return await self.until(lambda found: all(event in found for event in last), limit)

    def _check(self, item: Item) -> None:
        if isinstance(item, SessionStart):
            self._begun.add(item.stream)
            return
        demand(item.stream in self._begun, f"{item!r:.120} came before the SessionStart of its stream")
        if isinstance(item, MessageBatch | Hole):
            first = item.first if isinstance(item, Hole) else item.number(0)
            last = self._last.get(item.stream, -1)
            demand(first > last, f"number {first} came after {last}")
            self._last[item.stream] = item.last


class SourceSuite(MessageSuite):
    """All behaviours of a message source. Set `sink` and `source`, write `options` and, if they differ, `source_options`.

    `follows`: whether `read` waits at the end of what is stored; where it ends there instead, set it to False.
    """

    role = "source"
    follows: ClassVar[bool] = True

    async def _write(self, place: Place, *scripts: Script) -> None:
        writer = await self.writer(place, scripts[0].stream.channel)
        for script in scripts:
            await writer.write(script.items)
        await writer.drain(*scripts)
        await place.restart()

    async def _append(self, place: Place, script: Script) -> None:
        """Write what the script got since it was last written."""
        writer = await self.writer(place, script.stream.channel)
        tail = writer.opened.through if writer.opened and writer.opened.through is not None else script.first - 1
        await writer.write(script.from_number(tail + 1))
        await writer.drain(script)

    async def _open(self, place: Place, start: Start) -> Reader:
        return Reader(await self.opened_source(place, start))

    def _two(self) -> list[Script]:
        ended = Script(stream(3), first=5, seed=1).mixed(150)
        ended.end()
        return [ended, Script(stream(1, restart=2), first=0, seed=2).mixed(150)]

    @source_behaviour(
        "Streams come as they were written: starts, messages, holes with their reasons, ends, all in order."
    )
    async def test_preserves_streams(self, place: Place) -> None:
        scripts = self._two()
        await self._write(place, *scripts)
        reader = await (await self._open(place, Start("earliest"))).ends(*scripts)
        demand_equal(events(reader.items), [e for s in scripts for e in events(s.items)], "read")
        starts = {item.stream: item.first for item in reader.items if isinstance(item, SessionStart)}
        demand_equal(starts, {s.stream: s.first for s in scripts}, "first numbers of the streams")
        times = {
            i.number(n): i.time_ns for i in reader.items if isinstance(i, MessageBatch) for n in range(len(i.payloads))
        }
        off = [n for n, t in times.items() if abs(t - scripts[1].times.get(n, t)) >= SECOND_NS // 100]
        off = [n for n in off if abs(times[n] - scripts[0].times.get(n, 0)) >= SECOND_NS // 100]
        demand(not off, f"the receive time of {off[:3]} was changed")

    @source_behaviour("Several channels are read, each in its own order.")
    async def test_several_channels(self, place: Place) -> None:
        scripts = [Script(stream(channel=name), first=1, seed=i).mixed(80) for i, name in enumerate(("one", "two"))]
        for script in scripts:
            await self._write(place, script)
        reader = await (await self._open(place, Start("earliest"))).ends(*scripts)
        for script in scripts:
            found = [item for item in reader.items if item.stream == script.stream]
            demand_equal(events(found), events(script.items), f"read of {script.stream.channel}")

    @source_behaviour("start = latest: what is there is not read, what comes next is, from its first message on.")
    async def test_starts_at_latest(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=3).mixed(60)
        await self._write(place, script)
        reader = await self._open(place, Start("latest"))
        next_number = script.next
        script.mixed(30)
        await self._append(place, script)
        await reader.ends(script)
        demand_equal(events(reader.items), from_number(script, next_number), "read")

    @source_behaviour("start = N: the newest stream from number N on, a hole or a batch cut there.")
    async def test_starts_at_a_sequence(self, place: Place) -> None:
        script = Script(stream(2), first=0, seed=4)
        script.batch(10)
        script.hole(10)
        script.batch(10)
        await self._write(place, Script(stream(1), first=0).mixed(50), script)
        for first in (0, 4, 9, 10, 15, 20, 29):
            reader = await (await self._open(place, Start("sequence", first))).ends(script)
            demand_equal(events(reader.items), from_number(script, first), f"read from {first}")
            await reader.source.close()

    @source_behaviour("start = position:P: it begins with the item that has position P.")
    async def test_starts_at_a_position(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=5).mixed(100)
        await self._write(place, script)
        reader = await (await self._open(place, Start("earliest"))).ends(script)
        numbered = [(item, at) for item, at in reader.taken if isinstance(item, MessageBatch)]
        for item, position in numbered[:: max(1, len(numbered) // 5)]:
            again = await (await self._open(place, Start("position", position))).ends(script)
            demand_equal(events(again.items), from_number(script, item.number(0)), f"read from position {position}")
            await again.source.close()

    @source_behaviour("start = a time: it begins with the first batch that was not received before it.")
    async def test_starts_at_a_time(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=6)
        for count in (5, 5, 5):
            script.batch(count)
        await self._write(place, script)
        for batch in script.batches:
            for time_ns in (batch.time_ns, batch.time_ns - SECOND_NS // 2):
                reader = await (await self._open(place, Start("time", time_ns))).ends(script)
                demand_equal(events(reader.items), from_number(script, batch.first), f"read from {time_ns}")
                await reader.source.close()

    @source_behaviour(
        "It resumes after the position that was saved, whatever the start says: nothing twice, nothing lost."
    )
    async def test_resume_continues(self, place: Place) -> None:
        scripts = self._two()
        await self._write(place, *scripts)
        whole = await (await self._open(place, Start("earliest"))).ends(*scripts)
        numbered = [i for i, item in enumerate(whole.items) if isinstance(item, MessageBatch | Hole)]
        picks = scripts[0].random.sample(numbered[:-1], min(6, len(numbered) - 1))
        for place_of in picks:
            resume = {CHANNEL: whole.taken[place_of][1]}
            reader = await (await self._open(place, Start("earliest", resume=resume))).ends(scripts[1])
            found = [e for e in events(reader.items) if e[0] != "start"]
            expected = [e for e in events(whole.items[place_of + 1 :]) if e[0] != "start"]
            demand_equal(found, expected, f"read after position {resume[CHANNEL]}")
            await reader.source.close()

    @source_behaviour(
        "acknowledge may come again, for the same position or an earlier one, and changes nothing that is read."
    )
    async def test_acknowledge_repeated(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=7).mixed(200)
        await self._write(place, script)
        reader = await self._open(place, Start("earliest"))
        while events(script.items)[-1] not in events(reader.items) and await reader.read(20):
            for _, position in (*reader.taken[-3:], *reader.taken[-1:], *reader.taken[:1], *reader.taken[-1:]):
                reader.source.acknowledge(CHANNEL, position)
        demand_equal(events(reader.items), events(script.items), "read")

    @source_behaviour("read(limit) gives about as many messages as it was asked for, not all that there is.")
    async def test_limit_bounds_a_read(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=8)
        for _ in range(100):
            script.batch(20, 10)
        await self._write(place, script)
        reader = await self._open(place, Start("earliest"))
        before = 0
        while events(script.items)[-1] not in events(reader.items) and await reader.read(50):
            given, before = len(events(reader.items)) - before, len(events(reader.items))
            demand(given <= 500, f"{given} messages for a limit of 50")
        demand_equal(events(reader.items), events(script.items), "read")

    @source_behaviour("A read that is cancelled loses nothing: the next one gives what it would have given.")
    async def test_cancelled_read_loses_nothing(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=9).mixed(200)
        await self._write(place, script)
        reader = await self._open(place, Start("earliest"))
        for count in range(12):
            task = asyncio.ensure_future(reader.read(10))
            await turns(count)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await reader.ends(script, limit=10)
        demand_equal(events(reader.items), events(script.items), "read")

    @source_behaviour("At the end of what is stored read waits, and gives what is written then.")
    async def test_follows_the_writer(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=10).mixed(20)
        await self._write(place, script)
        reader = await (await self._open(place, Start("earliest"))).ends(script)
        if not self.follows:
            demand(not await reader.read(), "read at the end of the input gave something")
            return
        for _ in range(3):
            waiting = asyncio.ensure_future(reader.read())
            await turns(5)
            demand(not waiting.done(), "read returned though nothing was written")
            script.batch(5)
            await self._append(place, script)
            await waiting
            await reader.ends(script)
        demand_equal(events(reader.items), events(script.items), "read")

    @source_behaviour(
        "A system that is gone is said as ConnectorError by open or read.", needs=("break_system", "mend_system")
    )
    async def test_names_a_system_that_is_gone(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=11).mixed(50)
        await self._write(place, script)
        await self.break_system(place.path)
        try:
            await (await self._open(place, Start("earliest"))).ends(script)
        except ConnectorError:
            await self.mend_system(place.path)
        else:
            raise AssertionError("a source read from a system that is broken")
        reader = await (await self._open(place, Start("earliest"))).ends(script)
        demand_equal(events(reader.items), events(script.items), "read after it was mended")

    @source_behaviour("close may be called again, without an open, and while a read waits.")
    async def test_close_is_idempotent(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=12).mixed(20)
        await self._write(place, script)
        never_opened = self.new_source(place)
        await never_opened.close()
        await never_opened.close()
        reader = await (await self._open(place, Start("earliest"))).ends(script)
        waiting = asyncio.ensure_future(reader.read())
        await turns(3)
        await reader.source.close()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectorError):
            await waiting
        await reader.source.close()
