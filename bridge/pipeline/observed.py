"""What telemetry sees of the engine: `telemetry.snapshot.Observed` over the parts of an `App`."""

import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bridge import __version__
from bridge.pipeline.rows import channel_row
from bridge.telemetry.snapshot import ChannelRows
from bridge.telemetry.status import Loss, Route, Source, Status

if TYPE_CHECKING:
    from bridge.pipeline.app import App


class EngineSnapshot:
    """Reads the parts of an app; changes nothing."""

    def __init__(self, app: "App") -> None:
        self._app = app

    def absent(self) -> list[str]:
        return self._app.absent()

    def head(self) -> Status:
        app = self._app
        absent = app.absent()
        sources = [
            Source(source=name, type=inbound.config.kind, channels=[], up=not (down := inbound.down()), error=down)
            for name, inbound in app.inbound.items()
        ]
        for _, outbound in app.outbound:
            if all(source.source != outbound.name for source in sources):
                kind, error = outbound.config.kind, outbound.error
                sources.append(Source(source=outbound.name, type=kind, channels=[], up=error is None, error=error))
        return Status(
            name=app.config.bridge.name,
            version=__version__,
            pid=os.getpid(),
            started=app.started,
            time=time.time(),
            ready=not absent,
            absent=absent,
            balanced=True,
            problems=[],
            sources=sources,
            routes=[Route(route=route.name, source=route.config.source.name, sinks=[]) for route in app.routes],
            losses=[],
            losses_left_out=app.losses.left_out,
            events=dict(app.events.counts),
            connectors=app.counters.rows(),
        )

    def channels(self) -> Iterator[ChannelRows]:
        app = self._app
        for name, inbound in app.inbound.items():
            for channel, receiver in inbound.receivers.items():
                lines, wire = inbound.lines[channel], inbound.codecs[channel]
                row = channel_row(receiver, lines, wire, time.monotonic_ns(), time.time_ns())
                rows = ChannelRows(name, row, [], [f"{channel}: {text}" for text in receiver.problems()])
                for route in app.routes:
                    if route.config.source.name == name:
                        rows.sinks += [(route.name, sink) for sink in route.rows(channel)]
                        rows.problems += route.problems(channel)
                yield rows
        for route, outbound in app.outbound:
            for row in outbound.rows():
                rows = ChannelRows(outbound.name, row, [], outbound.problems())
                rows.sinks = [(route.name, sink) for sink in route.rows(row.channel)]
                rows.problems += route.problems(row.channel)
                yield rows

    def losses(self) -> Iterable[Loss]:
        return list(self._app.losses.kept)
