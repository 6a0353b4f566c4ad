"""Words for what the core reports: each of its records becomes one event of `telemetry/codes.py`, and a loss its range."""

from collections.abc import Callable

from bridge.core import events as core
from bridge.core.receiver import ChannelReceiver
from bridge.telemetry.events import Events

OnLoss = Callable[[core.GapAbandoned], None]


def report(events: Events, receiver: ChannelReceiver, session_text: Callable[[bytes], str], on_loss: OnLoss) -> None:
    """Emit everything that `receiver` has to report."""
    for record in receiver.events():
        _emit(events, record, receiver.channel, session_text)
        if isinstance(record, core.GapAbandoned):
            on_loss(record)


def _emit(events: Events, record: core.Event, channel: str, session_text: Callable[[bytes], str]) -> None:
    match record:
        case core.GapOpened(_, first, last):
            events.emit(
                "gap_opened",
                "warning",
                f"channel {channel}: {_range(first, last)} missing on all lines",
                channel=channel,
                first=first,
                last=last,
            )
        case core.GapFilled(_, first, last, by, after_ns):
            events.emit(
                "gap_filled",
                "info",
                f"channel {channel}: {_range(first, last)} filled by {by} after {after_ns / 1e6:.1f} ms",
                channel=channel,
                first=first,
                last=last,
                by=by,
            )
        case core.GapAbandoned(_, first, last, reason):
            events.emit(
                "gap_abandoned",
                "info" if reason == "announced" else "warning",
                f"channel {channel}: {_range(first, last)} lost ({reason})",
                channel=channel,
                first=first,
                last=last,
                reason=reason,
            )
        case core.StreamStarted(stream, first, cause):
            session = session_text(stream.session)
            events.emit(
                "stream_started",
                "info" if cause == "first" else "warning",
                f"channel {channel}: session {session}, restart {stream.restart}, begins at {first} ({cause})",
                channel=channel,
                session=session,
                restart=stream.restart,
                first=first,
                cause=cause,
            )
        case core.StreamEnded(stream, following, announced):
            session = session_text(stream.session)
            how = "ended by its publisher" if announced else "left for another one"
            events.emit(
                "stream_ended",
                "info",
                f"channel {channel}: session {session} {how} before {following}",
                channel=channel,
                session=session,
                next=following,
                announced=announced,
            )
        case core.SessionRefused(_, line, session_bytes, reason, pieces):
            session = session_text(session_bytes)
            events.emit(
                "session_refused",
                "warning",
                f"channel {channel} line {line}: session {session} is not believed ({reason}); {pieces} pieces refused",
                channel=channel,
                line=line,
                session=session,
                reason=reason,
                pieces=pieces,
            )
        case core.JumpConfirmed(_, first, last):
            events.emit(
                "jump_confirmed",
                "warning",
                f"channel {channel}: the sender went on behind {_range(first, last)}",
                channel=channel,
                first=first,
                last=last,
            )
        case core.Conflict(_, line, number):
            events.emit(
                "conflict",
                "error",
                f"channel {channel} line {line}: {number} came again with other bytes; the first copy was kept",
                channel=channel,
                line=line,
                number=number,
            )
        case core.FragmentsEvicted(_, number, fragments, size):
            events.emit(
                "fragments_evicted",
                "warning",
                f"channel {channel}: {number} is incomplete; {fragments} fragments ({size} bytes) given up",
                channel=channel,
                number=number,
                fragments=fragments,
                bytes=size,
            )
        case core.LateMessages(_, line, first, last):
            events.emit(
                "late_messages",
                "warning",
                f"channel {channel} line {line}: of {_range(first, last)} some came after they were given up",
                channel=channel,
                line=line,
                first=first,
                last=last,
            )
        case core.ChannelStopped(_, first, last):
            events.emit(
                "channel_stopped",
                "error",
                f"channel {channel}: stopped at {_range(first, last)}, as its gap policy says",
                channel=channel,
                first=first,
                last=last,
            )
        case _:
            _emit_line(events, record, channel)


def _emit_line(events: Events, record: core.Event, channel: str) -> None:
    match record:
        case core.LineSilent(_, line):
            events.emit(
                "line_silent", "warning", f"channel {channel} line {line}: nothing arrives", channel=channel, line=line
            )
        case core.LineBack(_, line):
            events.emit(
                "line_back", "info", f"channel {channel} line {line}: data arrive again", channel=channel, line=line
            )
        case core.SecondSender(_, line, senders):
            texts = [f"{address}:{port}" for address, port in senders]
            events.emit(
                "second_sender",
                "warning",
                f"channel {channel} line {line}: {texts[1]} sends too, after {texts[0]}",
                channel=channel,
                line=line,
                senders=texts,
            )
        case core.MalformedDatagrams(_, line, reason, detail, datagrams, sample):
            events.emit(
                "malformed_datagrams",
                "warning",
                f"channel {channel} line {line}: {datagrams} datagrams refused ({reason}): {detail}",
                channel=channel,
                line=line,
                reason=reason,
                datagrams=datagrams,
                **({} if sample is None else {"sample_hex": sample[:256].hex()}),
            )
        case core.EventsDropped(_, count):
            events.emit("events_dropped", "warning", f"channel {channel}: {count} more events at once", channel=channel)
        case _:
            raise ValueError(f"no words for {record!r}")


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}..{last}"
