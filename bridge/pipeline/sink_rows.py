"""The snapshot's row of one sink and channel."""

from collections.abc import Sequence

from bridge.api import Stream
from bridge.core.ledger import SinkLedger
from bridge.telemetry.status import SinkRow, SinkStream
from bridge.window.cursor import Cursor
from bridge.wire import codec


def sink_row(
    sink: str,
    channel: str,
    kind: str,
    error: str | None,
    streams: Sequence[tuple[Stream, str, SinkLedger]],
    older: SinkLedger,
    cursor: Cursor,
    oldest_seconds: float | None,
    latency: dict[str, float],
) -> SinkRow:
    """One row: `streams` are (name, protocol, ledger), `older` the sum of those that have no row of their own any more."""
    backlog = cursor.backlog
    rows = [_stream(codec(protocol or "raw").session_text(s.session), s.restart, row) for s, protocol, row in streams]
    if older.end:
        rows.insert(0, _stream("older", 0, older))
    return SinkRow(
        sink=sink,
        channel=channel,
        type=kind,
        up=error is None,
        error=error,
        streams=rows,
        pending_messages={
            "memory": backlog.memory_messages,
            "disk": backlog.disk_messages,
            "in_flight": cursor.flight_messages,
        },
        pending_bytes={"memory": backlog.memory_bytes, "disk": backlog.disk_bytes, "in_flight": cursor.flight_bytes},
        pending_oldest_seconds=None if oldest_seconds is None else max(0.0, oldest_seconds),
        publish_latency=latency,
    )


def summed(before: SinkLedger, row: SinkLedger) -> SinkLedger:
    """Two rows in one. Where the second does not continue the first's numbers, only the span is that of both."""
    assert before.base is not None
    assert before.end is not None
    assert row.base is not None
    assert row.end is not None
    return SinkLedger(
        base=before.base,
        end=before.end + row.end - row.base,
        published=before.published + row.published,
        present=before.present + row.present,
        filtered=before.filtered + row.filtered,
        rejected=before.rejected + row.rejected,
        missing=before.missing + row.missing,
        dropped=before.dropped + row.dropped,
        pending=before.pending + row.pending,
        below_base=before.below_base + row.below_base,
    )


def _stream(session: str, restart: int, row: SinkLedger) -> SinkStream:
    return SinkStream(
        session=session,
        restart=restart,
        base=row.base,
        end=row.end,
        published=row.published,
        present=row.present,
        filtered=_counted(row.filtered),
        rejected=_counted(row.rejected),
        missing=row.missing,
        dropped=_counted(row.dropped),
        pending=row.pending,
        below_base=row.below_base,
    )


def _counted(reasons: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.items() if count}
