"""The rows of the snapshot that the receiving half fills: lines and streams of one channel."""

from collections.abc import Sequence
from typing import Any

from bridge.api import DatagramLine
from bridge.core.gaps import GapState
from bridge.core.ledger import StreamLedger
from bridge.core.lines import LineState
from bridge.core.raw import RawStream
from bridge.core.receiver import ChannelReceiver
from bridge.core.stream import StreamState
from bridge.telemetry.status import Channel, Gaps, Line, StreamRow
from bridge.wire.packet import Codec


def channel_row(
    receiver: ChannelReceiver, lines: Sequence[DatagramLine], codec: Codec, now_ns: int, time_ns: int
) -> Channel:
    """One channel as it is now."""
    skews = [state.skew_ns for state in receiver.lines if state.skew_ns is not None]
    earliest = min(skews, default=0.0)
    return Channel(
        channel=receiver.channel,
        lines=[
            _line(line, state, earliest, time_ns - now_ns) for line, state in zip(lines, receiver.lines, strict=True)
        ],
        streams=[*_older(receiver, codec), *(_stream(row, codec, now_ns) for row in receiver.streams)],
    )


def _line(line: DatagramLine, state: LineState, earliest_skew: float, to_wall_ns: int) -> Line:
    row, told = state.ledger, line.description
    return Line(
        line=state.name,
        address=told["address"],
        interface=told["interface"],
        joined=told["joined"],
        reason=told["reason"],
        kernel_dropped=line.kernel_dropped,
        receive_buffer_asked=told.get("receive_buffer_asked"),
        receive_buffer_granted=told.get("receive_buffer_granted"),
        datagrams=row.datagrams,
        bytes=row.bytes,
        packets=row.packets,
        malformed=dict(row.malformed),
        pieces=row.pieces,
        accepted=row.accepted,
        duplicate={"same_line": row.duplicate_same_line, "other_line": row.duplicate_other_line},
        late=row.late,
        refused={reason: count for reason, count in row.refused.items() if count},
        waiting=row.waiting,
        first_arrivals=state.first_arrivals,
        lost=state.lost,
        sole=state.sole,
        skew_seconds=None if state.skew_ns is None else (state.skew_ns - earliest_skew) / 1e9,
        last_datagram=(state.last_ns + to_wall_ns) / 1e9 if state.ever else None,
        silent=state.silent,
    )


def _stream(row: StreamState | RawStream, codec: Codec, now_ns: int) -> StreamRow:
    gaps, ended = Gaps(), False
    if isinstance(row, StreamState):
        opened = [gap for gap in row.gaps.gaps if gap.state is not GapState.SUSPECTED]
        oldest = min((gap.since_ns for gap in opened), default=None)
        gaps = Gaps(
            open=len(opened),
            open_numbers=sum(gap.stop - gap.first for gap in opened),
            oldest_seconds=None if oldest is None else (now_ns - oldest) / 1e9,
            filled_by_line=row.gap_counts.filled_by_line,
            filled_by_recovery=row.gap_counts.filled_by_recovery,
            abandoned=row.gap_counts.abandoned,
        )
        ended = row.ended
    return StreamRow(
        session=codec.session_text(row.stream.session),
        restart=row.stream.restart,
        protocol=codec.name,
        ended=ended,
        gaps=gaps,
        **_counts(row.ledger),
    )


def _older(receiver: ChannelReceiver, codec: Codec) -> list[StreamRow]:
    if not receiver.older.expected:
        return []
    return [
        StreamRow(session="older", restart=0, protocol=codec.name, ended=True, gaps=Gaps(), **_counts(receiver.older))
    ]


def _counts(ledger: StreamLedger) -> dict[str, Any]:
    names = ("accepted", "restored", "read", "whole", "fragments", "joined", "evicted", "assembling", "completed")
    more = ("received", "start", "next", "expected", "missing_open", "released", "held")
    return {name: getattr(ledger, name) for name in (*names, *more)} | {"missing": dict(ledger.missing)}
