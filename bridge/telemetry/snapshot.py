"""A snapshot is taken and written a channel a slice, so that no scrape holds the event loop.

The engine implements `Observed`: `head()` is everything that is not of a channel, `channels()` yields one channel at a
time. What one step yields belongs together (its ledgers balance); between two steps the engine may receive. From these
`/status`, `/metrics` and the summary are all written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from bridge.telemetry.status import Channel, Loss, Route, SinkRow, Source, Status


@dataclass(slots=True)
class ChannelRows:
    """One channel of one source, and its sinks: (route, row). `problems`: what does not hold of its equations."""

    source: str
    channel: Channel
    sinks: list[tuple[str, SinkRow]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Observed(Protocol):
    """What the admin endpoints and the summary see of the engine."""

    def absent(self) -> list[str]:
        """What is missing for ready, in words; empty when ready."""

    def head(self) -> Status:
        """The process: sources without channels, routes without sinks, no losses; `balanced` and `problems` are not
        yet decided."""

    def channels(self) -> Iterator[ChannelRows]:
        """Each step builds the rows of one channel, as they are at that moment."""

    def losses(self) -> Iterable[Loss]:
        """The ranges that are kept in memory, oldest first."""


def assemble(observed: Observed) -> Status:
    """The whole snapshot at once: for the summary at the end of a run, not for a scrape."""
    status = observed.head()
    sources = {source.source: source for source in status.sources}
    routes = {route.route: route for route in status.routes}
    problems: list[str] = []
    for rows in observed.channels():
        sources[rows.source].channels.append(rows.channel)
        for route, sink in rows.sinks:
            routes[route].sinks.append(sink)
        problems += rows.problems
    status.losses = list(observed.losses())
    status.problems, status.balanced = problems, not problems
    return status


def status_slices(observed: Observed) -> Iterator[bytes]:
    """The snapshot as JSON, in slices that each take well under a millisecond to make; some are empty.

    First all channels are taken, one a step; the text follows in the order of the model.
    """
    head = observed.head()
    channels: dict[str, list[bytes]] = {source.source: [] for source in head.sources}
    sinks: dict[str, list[bytes]] = {route.route: [] for route in head.routes}
    problems: list[str] = []
    for rows in observed.channels():
        channels[rows.source].append(rows.channel.model_dump_json().encode())
        for route, sink in rows.sinks:
            sinks[route].append(sink.model_dump_json().encode())
        problems += rows.problems
        yield b""
    head.problems, head.balanced = problems, not problems
    rest = head.model_dump_json(exclude={"sources", "routes", "losses"}).encode()
    yield rest[:-1] + b',"sources":['
    for number, source in enumerate(head.sources):
        yield from _with_list(number, source, "channels", channels[source.source])
    yield b'],"routes":['
    for number, way in enumerate(head.routes):
        yield from _with_list(number, way, "sinks", sinks[way.route])
    yield b'],"losses":['
    for number, loss in enumerate(list(observed.losses())):  # it may grow while this is written
        yield (b"," if number else b"") + loss.model_dump_json().encode()
    yield b"]}\n"


def _with_list(number: int, row: Source | Route, name: str, members: list[bytes]) -> Iterator[bytes]:
    """One row whose list `name` is written member by member."""
    text = row.model_dump_json(exclude={name}).encode()
    yield (b"," if number else b"") + text[:-1] + f',"{name}":['.encode()
    for place, member in enumerate(members):
        yield (b"," if place else b"") + member
    yield b"]}"
