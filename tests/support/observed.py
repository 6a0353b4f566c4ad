"""An engine as the telemetry sees it, with as many channels as a test asks for."""

from collections.abc import Iterator

from bridge.telemetry.latency import Latency
from bridge.telemetry.snapshot import ChannelRows
from bridge.telemetry.status import (
    Channel,
    Gaps,
    Line,
    Loss,
    Route,
    SinkRow,
    SinkStream,
    Source,
    Status,
    StreamRow,
)


def line(name: str, **changes: object) -> Line:
    values: dict[str, object] = {
        "line": name,
        "address": "239.1.1.1:5000",
        "interface": "line0",
        "joined": True,
        "reason": None,
        "kernel_dropped": 3,
        "receive_buffer_asked": 8388608,
        "receive_buffer_granted": 4194304,
        "datagrams": 100,
        "bytes": 10_000,
        "packets": 99,
        "malformed": {"short": 1},
        "pieces": 99,
        "accepted": 60,
        "duplicate": {"same_line": 4, "other_line": 30},
        "late": 5,
        "refused": {},
        "waiting": 0,
        "first_arrivals": 60,
        "lost": 7,
        "sole": 2,
        "skew_seconds": 0.00025,
        "last_datagram": 1795406400.5,
        "silent": False,
    }
    return Line.model_validate(values | changes)


def stream_row(**changes: object) -> StreamRow:
    values: dict[str, object] = {
        "session": "17",
        "restart": 0,
        "protocol": "native",
        "ended": False,
        "accepted": 90,
        "restored": 0,
        "read": 0,
        "whole": 90,
        "fragments": 0,
        "joined": 0,
        "evicted": 0,
        "assembling": 0,
        "completed": 0,
        "received": 90,
        "start": 1,
        "next": 95,
        "expected": 94,
        "missing_open": 1,
        "missing": {"wire": 3},
        "released": 80,
        "held": 10,
        "late": 2,
        "gaps": Gaps(open=1, open_numbers=1, oldest_seconds=0.5, filled_by_line=8, filled_by_recovery=4, abandoned=3),
    }
    return StreamRow.model_validate(values | changes)


def sink_row(name: str, channel: str, **changes: object) -> SinkRow:
    latency = Latency()
    latency.observe(0.003, 70)
    values: dict[str, object] = {
        "sink": name,
        "channel": channel,
        "type": "journal",
        "up": True,
        "error": None,
        "streams": [
            SinkStream(
                session="17",
                restart=0,
                base=1,
                end=81,
                published=70,
                present=0,
                filtered={"only": 2},
                rejected={"size": 1},
                missing=3,
                dropped={"overload": 4},
                pending=0,
                below_base=0,
            )
        ],
        "pending_messages": {"memory": 5, "disk": 0, "in_flight": 2},
        "pending_bytes": {"memory": 500, "disk": 0, "in_flight": 200},
        "pending_oldest_seconds": 0.25,
        "publish_latency": latency.row(),
    }
    return SinkRow.model_validate(values | changes)


class FakeEngine:
    """`Observed`, with `channels` equal channels of one source and one route with two sinks."""

    def __init__(self, channels: int = 1) -> None:
        self.size = channels
        self.problems: list[str] = []
        self.missing: list[str] = []
        self.lost: list[Loss] = []
        self.connectors: dict[str, list[dict[str, object]]] = {}
        self.steps = 0

    def absent(self) -> list[str]:
        return self.missing

    def losses(self) -> list[Loss]:
        return self.lost

    def head(self) -> Status:
        return Status(
            name="test",
            version="0.1.0",
            pid=1,
            started=1.0,
            time=2.0,
            ready=not self.missing,
            absent=self.missing,
            balanced=True,
            problems=[],
            sources=[Source(source="feed", type="multicast", channels=[], up=True, error=None)],
            routes=[Route(route="main", source="feed", sinks=[])],
            losses=[],
            losses_left_out=0,
            events={"gap_opened": 4},
            connectors=self.connectors,
        )

    def channels(self) -> Iterator[ChannelRows]:
        for number in range(self.size):
            self.steps += 1
            name = f"channel{number}"
            channel = Channel(channel=name, lines=[line("A"), line("B", skew_seconds=None)], streams=[stream_row()])
            sinks = [("main", sink_row("archive", name)), ("main", sink_row("cloud", name, up=False))]
            yield ChannelRows("feed", channel, sinks, self.problems if number == 0 else [])
