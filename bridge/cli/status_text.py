"""A status snapshot as text, in the order in which messages travel: lines → kernel → gaps → window → sinks."""

import time
from collections.abc import Iterator, Mapping

from bridge.cli.output import columns
from bridge.config.text import duration_text, size_text
from bridge.telemetry.status import Channel, Line, SinkRow, SinkStream, Status, StreamRow


def lines(status: Status) -> list[str]:
    """The lines of `bridge status`."""
    up = "ready" if status.ready else f"not ready: {'; '.join(status.absent) or 'no reason given'}"
    text = [f"{status.name}  {status.version}  pid {status.pid}  up {_age(status.time - status.started)}  {up}"]
    for source in status.sources:
        text += ["", f"source {source.source} ({source.type}){'' if source.up else f'  DOWN: {source.error}'}"]
        for channel in source.channels:
            text += _channel(channel, status.time)
    for route in status.routes:
        text += ["", f"route {route.route}  {route.source} → {', '.join(dict.fromkeys(s.sink for s in route.sinks))}"]
        text += _sinks(route.sinks)
    text += ["", *_ledger(status)]
    return text


def _channel(channel: Channel, now: float) -> Iterator[str]:
    yield f"  channel {channel.channel}"
    if channel.lines:
        rows: list[tuple[str, ...]] = [
            ("LINE", "ADDRESS", "JOINED", "DATAGRAMS", "KERNEL DROPS", "BUFFER", "FIRST", "LOST", "SKEW", "LAST")
        ]
        rows += [_line(line, now) for line in channel.lines]
        yield from (f"    {row}" for row in columns(rows))
        for line in channel.lines:
            yield from (f"    line {line.line}: {said}" for said in _oddities(line))
    for stream in channel.streams:
        yield from _stream(stream)


def _line(line: Line, now: float) -> tuple[str, ...]:
    buffer = "-" if line.receive_buffer_granted is None else size_text(line.receive_buffer_granted)
    if line.receive_buffer_asked and (line.receive_buffer_granted or 0) < line.receive_buffer_asked:
        buffer += f" of {size_text(line.receive_buffer_asked)}"
    return (
        line.line,
        line.address,
        f"yes ({line.interface})" if line.joined and line.interface else "yes" if line.joined else "NO",
        f"{line.datagrams:,}",
        f"{line.kernel_dropped:,}",
        buffer,
        f"{line.first_arrivals:,}",
        f"{line.lost:,}",
        "-" if line.skew_seconds is None else _short(line.skew_seconds),
        "never" if line.last_datagram is None else f"{_short(max(0.0, now - line.last_datagram))} ago",
    )


def _oddities(line: Line) -> Iterator[str]:
    if not line.joined and line.reason:
        yield f"not joined: {line.reason}"
    if line.silent:
        yield "silent"
    if line.malformed:
        yield f"no packets of this protocol: {_counts(line.malformed)}"
    if line.refused:
        yield f"refused: {_counts(line.refused)}"
    if line.late:
        yield f"late: {line.late:,}"


def _stream(stream: StreamRow) -> Iterator[str]:
    restart = f"/{stream.restart}" if stream.restart else ""
    ended = ", ended" if stream.ended else ""
    span = "no number yet" if stream.start is None or stream.next is None else f"{stream.start} to {stream.next - 1}"
    name = f"{stream.session}{restart} ({stream.protocol}{ended})"
    yield f"    session {name}  {span}  received {stream.received:,}  held {stream.held:,}"
    gaps = stream.gaps
    parts = [f"open {gaps.open_numbers:,} in {gaps.open} gap{'s' * (gaps.open != 1)}"]
    if gaps.oldest_seconds is not None:
        parts[0] += f" (oldest {_short(gaps.oldest_seconds)})"
    parts += [
        f"filled by line {gaps.filled_by_line:,}",
        f"by recovery {gaps.filled_by_recovery:,}",
        f"abandoned {gaps.abandoned:,}",
    ]
    yield f"      gaps: {', '.join(parts)}"
    if stream.missing:
        yield f"      missing: {_counts(stream.missing)}"


def _sinks(sinks: list[SinkRow]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        ("SINK", "CHANNEL", "UP", "PUBLISHED", "PENDING", "MEMORY", "DISK", "OLDEST", "LOST")
    ]
    for sink in sinks:
        oldest = "-" if sink.pending_oldest_seconds is None else _short(sink.pending_oldest_seconds)
        held = [size_text(sink.pending_bytes.get(tier, 0)) for tier in ("memory", "disk")]
        published = sum(stream.published for stream in sink.streams)
        lost = sum(stream.missing + sum(stream.dropped.values()) for stream in sink.streams)
        pending = sum(sink.pending_messages.values())
        rows.append(
            (
                f"{sink.sink} ({sink.type})",
                sink.channel,
                "yes" if sink.up else "NO",
                f"{published:,}",
                f"{pending:,}",
                *held,
                oldest,
                f"{lost:,}",
            )
        )
    yield from (f"  {row}" for row in columns(rows))
    for sink in sinks:
        if sink.error:
            yield f"  {sink.sink}, channel {sink.channel}: {sink.error}"
        for stream in sink.streams:
            yield from (f"  {sink.sink}, channel {sink.channel}: {said}" for said in _left_out(stream))


def _left_out(stream: SinkStream) -> Iterator[str]:
    for name, counts in (("dropped", stream.dropped), ("rejected", stream.rejected), ("filtered", stream.filtered)):
        if any(counts.values()):
            yield f"{name}: {_counts(counts)}"


def _ledger(status: Status) -> Iterator[str]:
    yield "ledger: balanced" if status.balanced else "ledger: NOT BALANCED"
    yield from (f"  {problem}" for problem in status.problems)
    if status.losses:
        shown = status.losses[-10:]
        left_out = status.losses_left_out + len(status.losses) - len(shown)
        yield f"losses{f' (the last {len(shown)}; {left_out:,} older ones are in losses.jsonl)' if left_out else ''}:"
        for loss in shown:
            where = f"sink {loss.sink}" if loss.sink else "every sink"
            yield f"  {loss.channel} {loss.session} {loss.first} to {loss.last}: {loss.reason} ({where})"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()) if count)


def _short(seconds: float) -> str:
    """Three digits are enough to look at: 12.3ms, 4.56s, 3m."""
    if seconds < 60:
        for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
            if seconds >= size:
                return f"{seconds / size:.3g}{unit}"
        return "0s"
    return _age(seconds)


def _age(seconds: float) -> str:
    whole = int(max(0.0, seconds))
    if whole < 120:
        return duration_text(whole)
    days, rest = divmod(whole, 86400)
    clock = time.strftime("%H:%M:%S", time.gmtime(rest))
    return f"{days}d {clock}" if days else clock
