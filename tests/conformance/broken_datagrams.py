"""Datagram sources and sinks that are each wrong in one way."""

import threading
from collections.abc import Sequence
from typing import Any

from bridge.api import Drain, Sample
from bridge.testing.conformance import datagram
from bridge.testing.doubles import MemoryDatagramSink, MemoryDatagramSource, MemoryLine, MemoryOutlet
from tests.conformance.faults import breaks


class WithLines(MemoryDatagramSource):
    """A source whose lines are of the class `line_class`."""

    line_class: type[MemoryLine] = MemoryLine

    def __init__(self, options: Any, context: Any = None) -> None:
        super().__init__(options, context)
        self._lines = [self.line_class(line.channel, line.name) for line in self._lines]


@breaks("datagram source", "lines_stay")
class MakesLinesAnew(MemoryDatagramSource):
    def lines(self) -> Sequence[MemoryLine]:
        return [MemoryLine(line.channel, line.name) for line in self._lines]


@breaks("datagram source", "lines_stay")
class ForgetsLineB(MemoryDatagramSource):
    def lines(self) -> Sequence[MemoryLine]:
        return [line for line in self._lines if line.name == "A"]


@breaks("datagram source", "drains_in_order")
class DropsEmptyDatagrams(WithLines):
    class line_class(MemoryLine):  # noqa: N801 - stands where the attribute stands
        def drain(self, limit: int) -> Drain:
            found = super().drain(limit)
            return found._replace(datagrams=[d for d in found.datagrams if d])


@breaks("datagram source", "drains_in_order", "empty_is_honest")
class Reverses(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        def drain(self, limit: int) -> Drain:
            found = super().drain(limit)
            return found._replace(datagrams=found.datagrams[::-1])


@breaks("datagram source", "drains_in_order")
class IsNeverReadable(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        def feed(self, datagrams: Any, **rest: Any) -> None:
            super().feed(datagrams, **rest)
            if self._waiting:
                import os

                os.eventfd_read(self._descriptor or 0)

        def drain(self, limit: int) -> Drain:
            taken = [self._waiting.popleft()[0] for _ in range(min(limit, len(self._waiting)))]
            return Drain(taken, not self._waiting)


@breaks("datagram source", "drains_in_order")
class SamplesWhatIsNotThere(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        def drain(self, limit: int) -> Drain:
            found = super().drain(limit)
            return found._replace(sample=Sample(len(found.datagrams), 0, ("10.0.0.1", 1)))


@breaks("datagram source", "lines_apart")
class MixesLines(MemoryDatagramSource):
    def line(self, channel: str, name: str = "A") -> MemoryLine:
        return self._lines[0]


@breaks("datagram source", "drain_never_blocks")
class Blocks(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        def drain(self, limit: int) -> Drain:
            if not self._waiting:
                threading.Event().wait(datagram.PATIENCE * 2)
            return super().drain(limit)


@breaks("datagram source", "drain_never_blocks")
class SaysThatMoreWaits(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        def drain(self, limit: int) -> Drain:
            return super().drain(limit)._replace(empty=False)


@breaks("datagram source", "empty_is_honest")
class AlwaysEmpty(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        def drain(self, limit: int) -> Drain:
            return super().drain(limit)._replace(empty=True)


@breaks("datagram source", "empty_is_honest")
class GivesMoreThanTheLimit(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        def drain(self, limit: int) -> Drain:
            return super().drain(limit + 1)


@breaks("datagram source", "without_a_socket")
class KeepsItsDescriptor(MemoryDatagramSource):
    def close(self) -> None:
        self.closed = True


@breaks("datagram source", "without_a_socket")
class RaisesWithoutASocket(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        def drain(self, limit: int) -> Drain:
            if self._descriptor is None:
                raise OSError("bad file descriptor")
            return super().drain(limit)


@breaks("datagram source", "joins_later")
class NeedsAllAtOnce(MemoryDatagramSource):
    async def open(self) -> None:
        if self._absent:
            raise OSError("no such device")
        await super().open()


@breaks("datagram source", "joins_later")
class NeverLooksAgain(MemoryDatagramSource):
    looked = False

    def poll(self) -> bool:
        if self.looked:
            return False
        self.looked = True
        return super().poll()


@breaks("datagram source", "joins_later")
class SilentAboutNewDescriptors(MemoryDatagramSource):
    def poll(self) -> bool:
        super().poll()
        return False


@breaks("datagram source", "describes_itself")
class DescribesNothing(WithLines):
    class line_class(MemoryLine):  # noqa: N801
        @property
        def description(self) -> dict[str, Any]:
            return {}


@breaks("datagram source", "poll_is_quiet")
class AlwaysChanged(MemoryDatagramSource):
    def poll(self) -> bool:
        super().poll()
        return True


@breaks("datagram source", "close_is_idempotent")
class SourceClosesOnce(MemoryDatagramSource):
    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        super().close()


class WithOutlets(MemoryDatagramSink):
    """A sink whose outlets are of the class `outlet_class`."""

    outlet_class: type[MemoryOutlet] = MemoryOutlet

    async def open(self, channel: str) -> MemoryOutlet:
        await super().open(channel)
        outlet = self.outlets[channel] = self.outlet_class(channel)
        return outlet


@breaks("datagram sink", "sends_on_all_lines")
class SendsBackwards(WithOutlets):
    class outlet_class(MemoryOutlet):  # noqa: N801
        def send(self, datagrams: Sequence[bytes]) -> int:
            return super().send(datagrams[::-1])


@breaks("datagram sink", "sends_on_all_lines", "counts_what_it_took")
class CountsWhatItDidNotSend(WithOutlets):
    class outlet_class(MemoryOutlet):  # noqa: N801
        def send(self, datagrams: Sequence[bytes]) -> int:
            super().send(datagrams[:3])
            return len(datagrams)


@breaks("datagram sink", "counts_what_it_took")
class EmptiesTheList(WithOutlets):
    class outlet_class(MemoryOutlet):  # noqa: N801
        def send(self, datagrams: Sequence[bytes]) -> int:
            count = super().send(datagrams)
            if isinstance(datagrams, list):
                datagrams.clear()
            return count


@breaks("datagram sink", "sends_the_largest")
class CutsTheLargest(WithOutlets):
    class outlet_class(MemoryOutlet):  # noqa: N801
        def send(self, datagrams: Sequence[bytes]) -> int:
            return super().send([d[: self.max_datagram - 1] for d in datagrams])


@breaks("datagram sink", "channels_apart")
class HasOneOutlet(MemoryDatagramSink):
    async def open(self, channel: str) -> MemoryOutlet:
        first = next(iter(self.outlets.values()), None)
        outlet = self.outlets[channel] = first or await super().open(channel)
        return outlet


@breaks("datagram sink", "refuses_an_unknown_channel")
class TakesAnyChannel(MemoryDatagramSink):
    async def open(self, channel: str) -> MemoryOutlet:
        outlet = self.outlets[channel] = MemoryOutlet(channel)
        return outlet


@breaks("datagram sink", "describes_itself")
class OutletDescribesNothing(WithOutlets):
    class outlet_class(MemoryOutlet):  # noqa: N801
        @property
        def description(self) -> list[dict[str, Any]]:
            return []


@breaks("datagram sink", "describes_itself")
class PollBreaks(WithOutlets):
    class outlet_class(MemoryOutlet):  # noqa: N801
        def poll(self) -> None:
            self.room = 0


@breaks("datagram sink", "close_is_idempotent")
class OutletClosesOnce(WithOutlets):
    class outlet_class(MemoryOutlet):  # noqa: N801
        def close(self) -> None:
            if self.closed:
                raise RuntimeError("closed already")
            super().close()
