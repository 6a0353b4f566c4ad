"""What every message store has to do. `StoreSuite` writes with the sink of the same system and reads with the store."""

import asyncio
import functools
from typing import NamedTuple

from bridge.api import Data, MessageStore, Never, NotYet, Piece, Stream, Trimmed
from bridge.testing.conformance.behaviour import Place, behaviour, demand, demand_equal
from bridge.testing.conformance.message import MessageSuite
from bridge.testing.conformance.traffic import CHANNEL, EPOCH_NS, SECOND_NS, Script, all_messages, payload, stream

store_behaviour = functools.partial(behaviour, role="store")


class Answer(NamedTuple):
    """What a store said of one number: `kind` is data, never, trimmed or not yet; `detail` what belongs to it."""

    kind: str
    detail: object = None


class Reading:
    """The answers for one range, checked as they come: they cover it once, in order, in batches within the limit."""

    def __init__(self, of: Stream, first: int, last: int, limit: int) -> None:
        self.stream, self.first, self.last, self.limit = of, first, last, limit
        self.next = first
        self.pieces: list[Piece] = []
        self.answers: dict[int, Answer] = {}
        self.times: dict[int, int] = {}

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        first, last = (
            (piece.batch.number(0), piece.batch.last) if isinstance(piece, Data) else (piece.first, piece.last)
        )
        demand(first == self.next, f"the answer after {self.next - 1} is for {first} to {last}: {piece!r:.200}")
        demand(first <= last <= self.last, f"the answer {first} to {last} leaves {self.first} to {self.last}")
        self.next = last + 1
        if isinstance(piece, Data):
            batch = piece.batch
            demand_equal(batch.stream, self.stream, "stream of the batch")
            demand(len(batch.payloads) <= self.limit, f"{len(batch.payloads)} messages for a limit of {self.limit}")
            for i, content in enumerate(batch.payloads):
                self.answers[batch.number(i)] = Answer("data", content)
                self.times[batch.number(i)] = batch.time_ns
            return
        answer = {
            Never: lambda p: Answer("never", p.reason),
            NotYet: lambda p: Answer("not yet", p.tail),
            Trimmed: lambda p: Answer("trimmed", p.first_left),
        }[type(piece)](piece)
        for number in range(first, min(last, first + 100_000) + 1):
            self.answers[number] = answer

    def finish(self) -> None:
        demand(self.next == self.last + 1, f"the answers end at {self.next - 1}, asked was up to {self.last}")

    def kinds(self) -> list[str]:
        """The kinds of answer in order, repetitions left out."""
        kinds = [answer.kind for _, answer in sorted(self.answers.items())]
        return [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]


class StoreSuite(MessageSuite):
    """All behaviours of a message store. Set `sink` and `store`, write `options`; `trim` lets it try retention."""

    role = "store"
    trimmed_messages = 600
    """How many messages of `trimmed_bytes` are stored before `trim` is called."""
    trimmed_bytes = 1000

    async def _write(self, place: Place, *scripts: Script) -> None:
        writer = await self.writer(place, scripts[0].stream.channel)
        for script in scripts:
            await writer.write(script.items)
        await writer.drain(*scripts)
        await place.restart()

    async def _read(self, store: MessageStore, of: Stream, first: int, last: int, limit: int = 4096) -> Reading:
        reading = Reading(of, first, last, limit)
        async for piece in store.read(of, first, last, limit=limit):
            reading.add(piece)
        reading.finish()
        return reading

    def _demand_script(self, reading: Reading, script: Script) -> None:
        """The answers of a reading are what the script says, for every number of it."""
        data = {m.number: m.payload for m in script.messages}
        reasons = {n: hole.reason for hole in script.holes for n in range(hole.first, hole.last + 1)}
        for number, answer in reading.answers.items():
            if number in data:
                demand_equal(answer, Answer("data", data[number]), f"number {number}")
            elif number <= script.last:
                demand_equal(answer.kind, "never", f"number {number}")
                demand(answer.detail in ("", reasons.get(number, answer.detail)), f"hole {number} has reason {answer}")
            else:
                demand_equal(answer, Answer("not yet", script.last), f"number {number}")

    @store_behaviour("A system that a sink has opened and written nothing to has no channels and no streams.")
    async def test_empty(self, place: Place) -> None:
        await self.writer(place)
        await place.restart()
        store = await self.reader(place)
        demand_equal(await store.channels(), [], "channels")
        demand_equal(await store.streams(CHANNEL), [], "streams of an unknown channel")

    @store_behaviour("The channels are listed by name, the streams of each oldest first.")
    async def test_lists_what_it_has(self, place: Place) -> None:
        first = [Script(stream(9), first=3, seed=1).mixed(20), Script(stream(2), first=0, seed=2).mixed(20)]
        other = Script(stream(9, channel="other"), first=1, seed=3).mixed(20)
        first[0].end()
        await self._write(place, *first)
        await self._write(place, other)
        store = await self.reader(place)
        demand_equal(sorted(await store.channels()), sorted([CHANNEL, "other"]), "channels")
        infos = await store.streams(CHANNEL)
        found = [(i.stream, i.first, i.first_left, i.tail, i.through, i.end) for i in infos]
        expected = [
            (s.stream, s.first, s.first, s.last, s.last, e) for s, e in zip(first, (first[0].next, None), strict=True)
        ]
        demand_equal(found, expected, "streams")
        demand([i.epoch for i in infos] == sorted({i.epoch for i in infos}), "epochs do not rise")

    @store_behaviour("A range by sequence gives its messages in order, bytes unchanged, and nothing twice.")
    async def test_reads_by_sequence(self, place: Place) -> None:
        scripts = [Script(stream(1), first=4, seed=4).mixed(400), Script(stream(1, restart=1), seed=5).mixed(300)]
        await self._write(place, *scripts)
        store = await self.reader(place)
        for script in scripts:
            reading = await self._read(store, script.stream, script.first, script.last)
            self._demand_script(reading, script)
            found = [number for number, answer in reading.answers.items() if answer.kind == "data"]
            demand_equal(found, [m.number for m in script.messages], "numbers read")

    @store_behaviour(
        "Any range has the same answers as the whole, for any limit of a batch; below a stream's first number is Never."
    )
    async def test_reads_any_range(self, place: Place) -> None:
        script = Script(stream(), first=100, seed=6).mixed(500)
        await self._write(place, script)
        store = await self.reader(place)
        for _ in range(60):
            first = script.random.randint(script.first - 10, script.last + 10)
            last = first + script.random.choice((0, 1, 7, 50, 400))
            limit = script.random.choice((1, 2, 10, 4096))
            self._demand_script(await self._read(store, script.stream, first, last, limit), script)

    @store_behaviour("Numbers above the last decided one are NotYet, and say which that is; of an empty stream, none.")
    async def test_answers_not_yet(self, place: Place) -> None:
        script, empty = Script(stream(1), first=1), Script(stream(2), first=5)
        script.batch(10)
        script.hole(5)
        writer = await self.writer(place)
        await writer.write([*script.items, *empty.items])
        await writer.drain(script)
        store = await self.reader(place)
        reading = await self._read(store, script.stream, 9, 40)
        demand_equal(reading.kinds(), ["data", "never", "not yet"], "kinds of answer")
        demand_equal(reading.pieces[-1], NotYet(16, 40, 15), "the last answer")
        reading = await self._read(store, empty.stream, 5, 9)
        demand_equal(reading.pieces, [NotYet(5, 9, None)], "answers of a stream that is empty")

    @store_behaviour("A hole is Never, with its reason where it was kept; so is a number that the engine left out.")
    async def test_answers_never(self, place: Place) -> None:
        script = Script(stream(), first=0)
        script.batch(4)
        script.hole(3, "announced")
        script.hole(2, "wire")
        script.batch(3, numbers=[10, 12, 15])
        script.next = 20
        script.batch(2)
        await self._write(place, script)
        store = await self.reader(place)
        reading = await self._read(store, script.stream, 0, script.last)
        self._demand_script(reading, script)
        never = [number for number, answer in reading.answers.items() if answer.kind == "never"]
        demand_equal(never, [*range(4, 10), 11, 13, 14, *range(16, 20)], "numbers that will never come")

    @store_behaviour(
        "What retention removed is Trimmed and names the first that is left; it is never silence.", needs=("trim",)
    )
    async def test_answers_trimmed(self, place: Place) -> None:
        script = await self._trimmed(place)
        store = await self.reader(place)
        left = await self._first_left(store, script)
        reading = await self._read(store, script.stream, script.first, script.last + 10)
        demand_equal(reading.kinds(), ["trimmed", "data", "not yet"], "kinds of answer")
        demand_equal(reading.pieces[0], Trimmed(script.first, left - 1, left), "the first answer")
        found = {number: answer.detail for number, answer in reading.answers.items() if answer.kind == "data"}
        demand_equal(found, {m.number: m.payload for m in script.messages if m.number >= left}, "what is left")

    @store_behaviour("The registry outlives retention: first number, tail and what is decided stay.", needs=("trim",))
    async def test_registry_outlives_retention(self, place: Place) -> None:
        script = await self._trimmed(place)
        info = (await (await self.reader(place)).streams(CHANNEL))[0]
        demand_equal((info.first, info.tail, info.through), (script.first, script.last, script.last), "registry")

    @store_behaviour("A read that retention overtakes says Trimmed for what it lost, and goes on.", needs=("trim",))
    async def test_trimmed_under_the_reader(self, place: Place) -> None:
        script = await self._long(place)
        store = await self.reader(place)
        reading = Reading(script.stream, script.first, script.last, 10)
        answers = store.read(script.stream, script.first, script.last, limit=10)
        reading.add(await anext(answers))
        await self.trim(place.path, script.stream)
        async for piece in answers:
            reading.add(piece)
        reading.finish()
        contents = {m.number: m.payload for m in script.messages}
        for number, answer in reading.answers.items():
            demand(answer.kind in ("data", "trimmed"), f"number {number}, which was stored, is {answer.kind}")
            demand(answer.kind == "trimmed" or answer.detail == contents[number], f"number {number} has other bytes")
        # A store may go on to read what it had open; asked anew it must see what retention did.
        left = await self._first_left(store, script)
        again = await self._read(store, script.stream, script.first, script.last)
        demand_equal(again.pieces[0], Trimmed(script.first, left - 1, left), "the first answer after retention")

    async def _long(self, place: Place) -> Script:
        script = Script(stream(), first=1)
        for _ in range(self.trimmed_messages // 20):
            script.batch(20, self.trimmed_bytes)
        await self._write(place, script)
        return script

    async def _trimmed(self, place: Place) -> Script:
        script = await self._long(place)
        await self.trim(place.path, script.stream)
        return script

    async def _first_left(self, store: MessageStore, script: Script) -> int:
        left = (await store.streams(CHANNEL))[0].first_left
        demand(left is not None and left > script.first, f"trim removed nothing, first_left is {left}")
        return left or 0

    @store_behaviour("number_at finds the first number not before a time: at, between, before and after all times.")
    async def test_reads_by_time(self, place: Place) -> None:
        script = Script(stream(), first=10, seed=8)
        for count in (5, 1, 20, 3):
            script.batch(count)
        script.hole(4)
        await self._write(place, script)
        store = await self.reader(place)
        reading = await self._read(store, script.stream, script.first, script.last)
        off = [n for n, time_ns in reading.times.items() if abs(time_ns - script.times[n]) >= SECOND_NS // 100]
        demand(not off, f"the receive time of {off[:3]} was changed")
        for batch in script.batches:
            for time_ns in (batch.time_ns, batch.time_ns - SECOND_NS // 2):
                demand_equal(await store.number_at(script.stream, time_ns), batch.first, f"number at {time_ns}")
        demand_equal(await store.number_at(script.stream, EPOCH_NS - SECOND_NS), 10, "number before all")
        after = script.batches[-1].time_ns + SECOND_NS
        demand_equal(await store.number_at(script.stream, after), script.batches[-1].last + 1, "number after all")

    @store_behaviour("Several readers read at once, each its own range, without disturbing each other.")
    async def test_several_readers(self, place: Place) -> None:
        scripts = [Script(stream(i), first=i, seed=i).mixed(300) for i in (1, 2)]
        await self._write(place, *scripts)
        stores = [await self.reader(place), await self.reader(place)]

        async def read(n: int) -> None:
            script = scripts[n % 2]
            reading = await self._read(stores[n % 3 % 2], script.stream, script.first + n, script.last, limit=7)
            self._demand_script(reading, script)

        await asyncio.gather(*(read(n) for n in range(8)))

    @store_behaviour("It reads while a sink writes: what is acknowledged is there at the next question.")
    async def test_reads_while_written(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=10)
        writer = await self.writer(place)
        store = await self.reader(place)
        await writer.write(script.items)
        for _ in range(10):
            item = script.batch(15)
            await writer.write([item])
            await writer.listener.reaches(script.stream, item.last)
            reading = await self._read(store, script.stream, 0, item.last + 5)
            self._demand_script(reading, script)
            demand_equal((await store.streams(CHANNEL))[0].tail, item.last, "tail")
        await writer.drain(script)

    @store_behaviour("A read may be left between two answers, or cancelled in one; the store answers on.")
    async def test_reads_can_be_left(self, place: Place) -> None:
        script = Script(stream(), first=0, seed=11).mixed(300)
        await self._write(place, script)
        store = await self.reader(place)
        for count in range(6):
            answers = store.read(script.stream, 0, script.last, limit=5)
            for _ in range(count):
                await anext(answers)
            task = asyncio.ensure_future(anext(answers))
            for _ in range(count):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            close = getattr(answers, "aclose", None)
            if close is not None:
                await close()
        self._demand_script(await self._read(store, script.stream, 0, script.last), script)

    @store_behaviour("Messages of no bytes and of many are read as they were written.")
    async def test_reads_any_size(self, place: Place) -> None:
        script = Script(stream(), first=0)
        for size in (0, 1, 65_536, 0, 2**20, 3):
            script.batch(2, size)
        await self._write(place, script)
        reading = await self._read(await self.reader(place), script.stream, 0, script.last)
        for number, answer in reading.answers.items():
            demand_equal(
                answer, Answer("data", payload(number, len(all_messages([script])[number].payload))), str(number)
            )

    @store_behaviour("A stream that it does not know is NotYet, not another stream's messages.")
    async def test_unknown_stream(self, place: Place) -> None:
        script = Script(stream(1), first=0)
        script.batch(5)
        await self._write(place, script)
        store = await self.reader(place)
        for unknown in (stream(2), stream(1, restart=1), stream(1, channel="nowhere")):
            reading = await self._read(store, unknown, 0, 4)
            demand_equal(reading.pieces, [NotYet(0, 4, None)], f"answers for the unknown {unknown}")

    @store_behaviour("close may be called again, and without an open.")
    async def test_close_is_idempotent(self, place: Place) -> None:
        script = Script(stream(), first=0)
        script.batch(1)
        await self._write(place, script)
        store = await self.reader(place)
        await self._read(store, script.stream, 0, 0)
        await store.close()
        await store.close()
        never_opened = self.new_store(place)
        await never_opened.close()
        await never_opened.close()
