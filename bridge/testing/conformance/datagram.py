"""What datagram sources and sinks have to do: move bytes without a word about what they mean, and never wait."""

import asyncio
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from bridge.api import ConfigurationError, DatagramLine, DatagramSink, DatagramSource, Drain
from bridge.testing.conformance.behaviour import Place, Suite, behaviour, demand, demand_equal

source_behaviour = functools.partial(behaviour, role="datagram source")
sink_behaviour = functools.partial(behaviour, role="datagram sink")

T = TypeVar("T")
LINES: Mapping[str, int] = {"one": 2, "two": 1}
"""The channels of a suite and how many lines each has."""
PATIENCE = 2.0
"""Seconds to wait for what must come, where a network may be between."""


async def promptly(call: Callable[[], T], what: str) -> T:
    """The answer of a call that must not block. It runs in a thread, so that one that blocks fails and does not hang."""
    answers: list[T | BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as error:
            answers.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    demand(bool(answers), f"{what} blocked for {PATIENCE} s")
    if isinstance(answers[0], BaseException):
        raise AssertionError(f"{what} raised {answers[0]!r}") from answers[0]
    return answers[0]


class DatagramSourceSuite(Suite):
    """All behaviours of a datagram source. Set `source`, write `options` and `feed`; the last two hooks are optional."""

    role = "datagram source"
    source: ClassVar[type[Any]]

    def options(self, path: Path, lines: Mapping[str, int]) -> dict[str, Any]:
        """Options with these channels, each with so many lines (A, B, …)."""
        raise NotImplementedError("say in options(path, lines) how the connector is configured")

    async def feed(self, path: Path, source: Any, channel: str, line: str, datagrams: Sequence[bytes]) -> None:
        """Send datagrams to a line, as a publisher would."""
        raise NotImplementedError("say in feed(…) how datagrams get to a line")

    def absent_options(self, path: Path) -> dict[str, Any]:
        """Options like those of `options`, but line B of channel one cannot be had yet."""
        raise NotImplementedError

    async def appear(self, path: Path, source: Any) -> None:
        """From now on line B of `absent_options` can be had."""

    def _new(self, place: Place, options: dict[str, Any] | None = None) -> DatagramSource:
        given = self.options(place.path, LINES) if options is None else options
        source = cast("DatagramSource", self.source(self.source.Options.model_validate(given), place.context))

        async def close() -> None:
            source.close()

        place.on_close(close)
        return source

    async def _opened(self, place: Place) -> DatagramSource:
        source = self._new(place)
        await source.open()
        return source

    def _line(self, source: DatagramSource, channel: str = "one", name: str = "A") -> DatagramLine:
        found = [line for line in source.lines() if (line.channel, line.name) == (channel, name)]
        demand_equal(len(found), 1, f"lines {name} of channel {channel}")
        return found[0]

    async def _readable(self, line: DatagramLine) -> None:
        """Wait until the line's descriptor is readable."""
        loop, descriptor, ready = asyncio.get_running_loop(), line.fileno(), asyncio.Event()
        demand(descriptor is not None, f"line {line.name} has no descriptor")
        assert descriptor is not None
        loop.add_reader(descriptor, ready.set)
        try:
            await asyncio.wait_for(ready.wait(), PATIENCE)
        except TimeoutError:
            raise AssertionError("datagrams wait and the descriptor is not readable") from None
        finally:
            loop.remove_reader(descriptor)

    async def _received(self, line: DatagramLine, count: int, limit: int = 64) -> list[bytes]:
        """Drain until `count` datagrams came."""
        found: list[bytes] = []
        while len(found) < count:
            await self._readable(line)
            drain = line.drain(limit)
            demand(bool(drain.datagrams), "the descriptor is readable and drain gives nothing")
            self._check(drain, limit)
            found += drain.datagrams
        return found

    def _check(self, drain: Drain, limit: int) -> None:
        demand(len(drain.datagrams) <= limit, f"{len(drain.datagrams)} datagrams for a limit of {limit}")
        if drain.sample is not None:
            demand(
                0 <= drain.sample.at < len(drain.datagrams), f"the sample is at {drain.sample.at}, outside the drain"
            )

    @source_behaviour("lines() has every line of every channel, A first, the same objects for the whole life.")
    async def test_lines_stay(self, place: Place) -> None:
        source = await self._opened(place)
        lines = list(source.lines())
        found = [(line.channel, line.name) for line in lines]
        demand_equal(sorted(found), [("one", "A"), ("one", "B"), ("two", "A")], "lines")
        for line in lines:
            line.drain(10)
        source.poll()
        same = [a is b for a, b in zip(lines, source.lines(), strict=True)]
        demand(all(same), "lines() gave other objects")

    @source_behaviour("What was sent to a line is drained in order, bytes unchanged, also datagrams of no bytes.")
    async def test_drains_in_order(self, place: Place) -> None:
        source = await self._opened(place)
        sent = [b"", b"a", b"\x00\xff\n", b"", *(bytes([n]) * (n * 7 % 1400) for n in range(100)), b"x" * 1472]
        await self.feed(place.path, source, "one", "A", sent)
        demand_equal(await self._received(self._line(source), len(sent)), sent, "drained")

    @source_behaviour("A line gets what was sent to it and nothing of other lines and channels.")
    async def test_lines_apart(self, place: Place) -> None:
        source = await self._opened(place)
        sent = {
            (line.channel, line.name): [f"{line.channel} {line.name} {n}".encode() for n in range(5)]
            for line in source.lines()
        }
        for (channel, name), datagrams in sent.items():
            await self.feed(place.path, source, channel, name, datagrams)
        for (channel, name), datagrams in sent.items():
            demand_equal(
                await self._received(self._line(source, channel, name), 5),
                datagrams,
                f"drained from {name} of {channel}",
            )
        for line in source.lines():
            demand_equal(line.drain(10).datagrams, [], f"more from {line.name} of {line.channel}")

    @source_behaviour("drain of a line where nothing waits gives nothing, at once, and says empty.")
    async def test_drain_never_blocks(self, place: Place) -> None:
        source = await self._opened(place)
        for line in source.lines():
            drain = await promptly(functools.partial(line.drain, 100), "drain")
            demand_equal((drain.datagrams, drain.empty), ([], True), "drain of a quiet line")

    @source_behaviour("drain(limit) gives no more than limit, and says empty only when nothing waits.")
    async def test_empty_is_honest(self, place: Place) -> None:
        source = await self._opened(place)
        line = self._line(source)
        sent = [b"%d" % n for n in range(10)]
        await self.feed(place.path, source, "one", "A", sent)
        await self._readable(line)
        found: list[bytes] = []
        for _ in range(20):
            drain = line.drain(4)
            self._check(drain, 4)
            found += drain.datagrams
            demand(not drain.empty or len(found) == 10, f"said empty after {len(found)} of 10 datagrams")
            if drain.empty:
                break
        else:
            raise AssertionError("never said empty")
        demand_equal(found, sent, "drained")

    @source_behaviour("A line without a socket has fileno() None, and its drain gives nothing and raises nothing.")
    async def test_without_a_socket(self, place: Place) -> None:
        source = await self._opened(place)
        demand(all(line.fileno() is not None for line in source.lines()), "an open line has no descriptor")
        source.close()
        for line in source.lines():
            demand_equal(line.fileno(), None, "fileno of a closed line")
            drain = await promptly(functools.partial(line.drain, 10), "drain")
            demand_equal((drain.datagrams, drain.empty), ([], True), "drain of a closed line")

    @source_behaviour(
        "A line that cannot be had yet does not keep open from working; a poll joins it when it can be had.",
        needs=("absent_options", "appear"),
    )
    async def test_joins_later(self, place: Place) -> None:
        source = self._new(place, self.absent_options(place.path))
        await source.open()
        late = self._line(source, "one", "B")
        demand_equal(late.fileno(), None, "fileno of a line that cannot be had")
        demand(not late.description.get("joined"), "a line that cannot be had is described as joined")
        demand_equal(late.drain(5).datagrams, [], "drain of a line that cannot be had")
        await self.feed(place.path, source, "one", "A", [b"meanwhile"])
        demand_equal(await self._received(self._line(source), 1), [b"meanwhile"], "drained from the other line")
        await self.appear(place.path, source)
        polls = 0
        while not source.poll():
            polls += 1
            demand(polls < 100, "no poll says that a descriptor was opened")
            await asyncio.sleep(PATIENCE / 100)
        await self.feed(place.path, source, "one", "B", [b"at last"])
        demand_equal(await self._received(late, 1), [b"at last"], "drained from the line that came late")

    @source_behaviour("A line describes itself, and counts what the kernel dropped.")
    async def test_describes_itself(self, place: Place) -> None:
        source = await self._opened(place)
        source.poll()
        for line in source.lines():
            demand(isinstance(line.description.get("address"), str), f"description has no address: {line.description}")
            demand_equal(line.description.get("joined"), True, "joined, in the description")
            demand_equal(line.kernel_dropped, 0, "kernel_dropped of a quiet line")

    @source_behaviour("poll says True only when a descriptor was opened or closed.")
    async def test_poll_is_quiet(self, place: Place) -> None:
        source = await self._opened(place)
        source.poll()
        for _ in range(3):
            before = [line.fileno() for line in source.lines()]
            changed = source.poll()
            demand_equal(changed, before != [line.fileno() for line in source.lines()], "poll")

    @source_behaviour("close may be called again, and without an open.")
    async def test_close_is_idempotent(self, place: Place) -> None:
        never_opened = self._new(place)
        never_opened.close()
        never_opened.close()
        source = await self._opened(place)
        source.close()
        source.close()


class DatagramSinkSuite(Suite):
    """All behaviours of a datagram sink. Set `sink`, write `options` and `received`, and `listen` where receivers must be
    there before something is sent."""

    role = "datagram sink"
    sink: ClassVar[type[Any]]

    def options(self, path: Path, lines: Mapping[str, int]) -> dict[str, Any]:
        """Options with these channels, each with so many lines (A, B, …)."""
        raise NotImplementedError("say in options(path, lines) how the connector is configured")

    async def listen(self, path: Path, lines: Mapping[str, int]) -> None:
        """Called before the sink is made."""

    async def received(self, path: Path, sink: Any, channel: str, line: str, count: int) -> list[bytes]:
        """What came out of a line since the last call: `count` datagrams, or what came within a second or two."""
        raise NotImplementedError("say in received(…) how to get what a line sent")

    async def _new(self, place: Place) -> DatagramSink:
        await self.listen(place.path, LINES)
        options = self.sink.Options.model_validate(self.options(place.path, LINES))
        sink = cast("DatagramSink", self.sink(options, place.context))
        place.on_close(sink.close)
        return sink

    async def _demand_received(self, place: Place, sink: DatagramSink, channel: str, sent: list[bytes]) -> None:
        for line in "AB"[: LINES[channel]]:
            found = await self.received(place.path, sink, channel, line, len(sent))
            demand_equal(found, sent, f"received from line {line} of {channel}")

    @sink_behaviour("All lines of a channel send the same datagrams, in order, bytes unchanged.")
    async def test_sends_on_all_lines(self, place: Place) -> None:
        sink = await self._new(place)
        outlet = await sink.open("one")
        sent = [b"", b"a", b"\x00\xff\n", *(bytes([n]) * (n * 7 % 1400) for n in range(60))]
        for i in range(0, len(sent), 10):
            demand_equal(outlet.send(sent[i : i + 10]), len(sent[i : i + 10]), "send into empty buffers")
        await self._demand_received(place, sink, "one", sent)

    @sink_behaviour("send returns how many it took, never more than it was given, and leaves the list as it is.")
    async def test_counts_what_it_took(self, place: Place) -> None:
        sink = await self._new(place)
        outlet = await sink.open("two")
        demand_equal(outlet.send([]), 0, "send of nothing")
        datagrams = [b"%d" % n for n in range(8)]
        given = list(datagrams)
        taken = outlet.send(given)
        demand(0 <= taken <= len(datagrams), f"send took {taken} of {len(datagrams)}")
        demand_equal(given, datagrams, "the list after send")
        await self._demand_received(place, sink, "two", datagrams[:taken])

    @sink_behaviour("A datagram of max_datagram bytes goes out whole.")
    async def test_sends_the_largest(self, place: Place) -> None:
        sink = await self._new(place)
        outlet = await sink.open("one")
        demand(508 <= outlet.max_datagram <= 65_507, f"max_datagram is {outlet.max_datagram}")
        sent = [bytes(range(256)) * (outlet.max_datagram // 256) + b"x" * (outlet.max_datagram % 256)]
        demand_equal(outlet.send(sent), 1, "send of the largest")
        await self._demand_received(place, sink, "one", sent)

    @sink_behaviour("Channels do not mix; each has its own outlet.")
    async def test_channels_apart(self, place: Place) -> None:
        sink = await self._new(place)
        outlets = {channel: await sink.open(channel) for channel in LINES}
        sent = {channel: [f"{channel} {n}".encode() for n in range(5)] for channel in LINES}
        for channel, outlet in outlets.items():
            demand_equal(outlet.send(sent[channel]), 5, "send")
        for channel in LINES:
            await self._demand_received(place, sink, channel, sent[channel])

    @sink_behaviour("A channel that it has no line for is a ConfigurationError.")
    async def test_refuses_an_unknown_channel(self, place: Place) -> None:
        sink = await self._new(place)
        try:
            await sink.open("unknown")
        except ConfigurationError:
            return
        raise AssertionError("open of a channel without a line gave an outlet")

    @sink_behaviour("An outlet describes its lines, and a poll while nothing changed disturbs nothing.")
    async def test_describes_itself(self, place: Place) -> None:
        sink = await self._new(place)
        outlet = await sink.open("one")
        for line in outlet.description:
            demand(isinstance(line.get("address"), str), f"description has no address: {line}")
            demand_equal(line.get("up"), True, "up, in the description")
        demand_equal(len(outlet.description), 2, "lines described")
        outlet.send([b"before"])
        outlet.poll()
        outlet.send([b"after"])
        await self._demand_received(place, sink, "one", [b"before", b"after"])

    @sink_behaviour("close may be called again, of the outlet, of the sink, and without an open.")
    async def test_close_is_idempotent(self, place: Place) -> None:
        sink = await self._new(place)
        outlet = await sink.open("one")
        outlet.close()
        outlet.close()
        await sink.close()
        await sink.close()
        never_opened = await self._new(place)
        await never_opened.close()
