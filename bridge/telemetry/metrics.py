"""The metrics: one table of names, and the text that `/metrics` answers with (Prometheus exposition format 0.0.4).

Written by hand since a scrape must never hold the event loop: samples are gathered a channel a step, then written a few
hundred lines a step. Labels are route, channel, line, sink and small closed sets; never a session or an address, which
grow without bound.
"""

import platform
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from bridge.telemetry.snapshot import ChannelRows, Observed
from bridge.telemetry.status import Line, SinkRow, Status, StreamRow

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SLICE = 200
"""Lines that one step joins."""

_PART = "\n"
"""Between the labels and `sum` or `count` of a histogram; escaped in labels, so never inside one."""

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """One metric: its type, the labels that it can have, and its help text."""

    kind: Kind
    labels: str
    help: str


ENGINE_METRICS: dict[str, Metric] = {
    "bridge_line_datagrams_total": Metric("counter", "channel line", "Datagrams received on a line."),
    "bridge_line_bytes_total": Metric("counter", "channel line", "Bytes of UDP payload received on a line."),
    "bridge_line_duplicate_pieces_total": Metric(
        "counter", "channel line", "Messages or fragments that had come before, on this line or another."
    ),
    "bridge_line_lost_messages_total": Metric(
        "counter", "channel line", "Messages that another line brought and this one never did."
    ),
    "bridge_line_joined": Metric("gauge", "channel line", "1 while the line's group is joined."),
    "bridge_line_last_datagram_timestamp_seconds": Metric("gauge", "channel line", "When the last datagram came."),
    "bridge_line_skew_seconds": Metric(
        "gauge", "channel line", "How much later than the earliest line this one brings a message, sampled."
    ),
    "bridge_kernel_dropped_datagrams_total": Metric(
        "counter", "channel line", "Datagrams that the kernel dropped because the receive buffer was full."
    ),
    "bridge_receive_buffer_bytes": Metric("gauge", "channel line kind", "Receive buffer, asked for and granted."),
    "bridge_expected_messages_total": Metric(
        "counter", "channel", "Numbers from the first one seen to the highest one known."
    ),
    "bridge_published_messages_total": Metric(
        "counter", "route channel sink", "Messages that the sink's system acknowledged."
    ),
    "bridge_filtered_messages_total": Metric(
        "counter", "route channel sink reason", "Messages that the configuration keeps out of a sink."
    ),
    "bridge_rejected_messages_total": Metric(
        "counter", "route channel sink reason", "Messages that a sink cannot take."
    ),
    "bridge_late_messages_total": Metric("counter", "channel", "Messages that came after they had been given up."),
    "bridge_lost_messages_total": Metric(
        "counter",
        "route channel sink reason",
        "Messages that are missing (no sink named) or were dropped before a sink.",
    ),
    "bridge_pending_messages": Metric("gauge", "route channel sink tier", "Messages that wait for a sink."),
    "bridge_pending_bytes": Metric("gauge", "route channel sink tier", "Bytes that wait for a sink."),
    "bridge_pending_oldest_seconds": Metric("gauge", "route channel sink", "Age of the oldest message that waits."),
    "bridge_gaps_open": Metric("gauge", "channel", "Gaps that may still be filled."),
    "bridge_gap_oldest_seconds": Metric("gauge", "channel", "Age of the oldest open gap."),
    "bridge_gap_messages_total": Metric(
        "counter", "channel state by", "Messages of gaps that ended: filled by a line or by recovery, or abandoned."
    ),
    "bridge_publish_latency_seconds": Metric(
        "histogram", "route channel sink", "Time from receive to acknowledgement."
    ),
    "bridge_sink_up": Metric("gauge", "route channel sink", "1 while the sink is open and takes messages."),
    "bridge_retention_oldest_timestamp_seconds": Metric(
        "gauge", "route channel sink", "Receive time of the oldest message that the store holds."
    ),
    "bridge_active": Metric("gauge", "route channel sink", "1 while this bridge writes; 0 as a standby."),
    "bridge_ledger_balanced": Metric("gauge", "", "1 while all equations of the ledger hold."),
    "bridge_events_total": Metric("counter", "code", "Events by code; see the reference of events."),
    "bridge_build_info": Metric("gauge", "version python", "1; the labels say what runs."),
}
"""All metrics of the engine. Connectors add counters of their own, `bridge_<name>_total` with the label `table`."""


class _Samples:
    """Samples by metric; two of the same labels are added up, since the format allows each only once."""

    def __init__(self) -> None:
        self.families: dict[str, dict[str, float]] = {name: {} for name in ENGINE_METRICS}

    def add(self, name: str, labels: str, value: float | None) -> None:
        if value is not None:
            family = self.families[name]
            family[labels] = family.get(labels, 0) + value

    def add_each(self, name: str, labels: str, label: str, values: Mapping[str, float]) -> None:
        """One sample for each entry, with `label` in addition."""
        for key, value in values.items():
            self.add(name, f'{labels},{label}="{escape(key)}"', value)


def metrics_slices(observed: Observed) -> Iterator[bytes]:
    """The exposition in slices that each take well under a millisecond to make; the empty ones only gather."""
    samples = _Samples()
    problems = 0
    head = observed.head()
    for rows in observed.channels():
        _add_channel(samples, rows)
        problems += len(rows.problems)
        yield b""
    _add_process(samples, head, balanced=problems == 0)
    for name, metric in ENGINE_METRICS.items():
        yield from _family(name, metric, samples.families[name])
    for name, series in head.connectors.items():
        full = f"bridge_{name}_total"
        values = {_labels(entry["labels"]): entry["value"] for entry in series}
        yield from _family(full, Metric("counter", "table", "Counted by a connector."), values)


def escape(value: str) -> str:
    """A label's value as the format wants it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())


def _add_channel(samples: _Samples, rows: ChannelRows) -> None:
    channel = f'channel="{escape(rows.channel.channel)}"'
    for line in rows.channel.lines:
        _add_line(samples, f'{channel},line="{escape(line.line)}"', line)
    oldest: float | None = None
    samples.add("bridge_gaps_open", channel, 0)
    for stream in rows.channel.streams:
        _add_stream(samples, channel, stream)
        if stream.gaps.oldest_seconds is not None:
            oldest = max(oldest or 0.0, stream.gaps.oldest_seconds)
    samples.add("bridge_gap_oldest_seconds", channel, oldest)
    for route, sink in rows.sinks:
        _add_sink(samples, f'route="{escape(route)}",{channel},sink="{escape(sink.sink)}"', sink)


def _add_line(samples: _Samples, labels: str, line: Line) -> None:
    add = samples.add
    add("bridge_line_datagrams_total", labels, line.datagrams)
    add("bridge_line_bytes_total", labels, line.bytes)
    add("bridge_line_duplicate_pieces_total", labels, sum(line.duplicate.values()))
    add("bridge_line_lost_messages_total", labels, line.lost)
    add("bridge_line_joined", labels, int(line.joined))
    add("bridge_line_last_datagram_timestamp_seconds", labels, line.last_datagram)
    add("bridge_line_skew_seconds", labels, line.skew_seconds)
    add("bridge_kernel_dropped_datagrams_total", labels, line.kernel_dropped)
    add("bridge_receive_buffer_bytes", f'{labels},kind="asked"', line.receive_buffer_asked)
    add("bridge_receive_buffer_bytes", f'{labels},kind="granted"', line.receive_buffer_granted)


def _add_stream(samples: _Samples, channel: str, stream: StreamRow) -> None:
    add, gaps = samples.add, stream.gaps
    add("bridge_expected_messages_total", channel, stream.expected)
    add("bridge_late_messages_total", channel, stream.late)
    samples.add_each("bridge_lost_messages_total", channel, "reason", stream.missing)
    add("bridge_gaps_open", channel, gaps.open)
    add("bridge_gap_messages_total", f'{channel},state="filled",by="line"', gaps.filled_by_line)
    add("bridge_gap_messages_total", f'{channel},state="filled",by="recovery"', gaps.filled_by_recovery)
    add("bridge_gap_messages_total", f'{channel},state="abandoned",by=""', gaps.abandoned)


def _add_sink(samples: _Samples, labels: str, sink: SinkRow) -> None:
    add, add_each = samples.add, samples.add_each
    add("bridge_sink_up", labels, int(sink.up))
    add("bridge_active", labels, int(sink.active))
    add("bridge_retention_oldest_timestamp_seconds", labels, sink.retention_oldest)
    add("bridge_published_messages_total", labels, 0)
    for stream in sink.streams:
        add("bridge_published_messages_total", labels, stream.published)
        add_each("bridge_filtered_messages_total", labels, "reason", stream.filtered)
        add_each("bridge_rejected_messages_total", labels, "reason", stream.rejected)
        add_each("bridge_lost_messages_total", labels, "reason", stream.dropped)
    add_each("bridge_pending_messages", labels, "tier", sink.pending_messages)
    add_each("bridge_pending_bytes", labels, "tier", sink.pending_bytes)
    add("bridge_pending_oldest_seconds", labels, sink.pending_oldest_seconds)
    for bound, count in sink.publish_latency.items():
        part = f"{_PART}{bound}" if bound in ("sum", "count") else f',le="{bound}"'
        add("bridge_publish_latency_seconds", labels + part, count)


def _add_process(samples: _Samples, head: Status, *, balanced: bool) -> None:
    samples.add("bridge_ledger_balanced", "", int(balanced))
    for code, count in head.events.items():
        samples.add("bridge_events_total", f'code="{escape(code)}"', count)
    build = {"version": head.version, "python": platform.python_version()}
    samples.add("bridge_build_info", _labels(build), 1)


def _family(name: str, metric: Metric, values: Mapping[str, float]) -> Iterator[bytes]:
    if not values:
        return
    lines = [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
    suffix = "_bucket" if metric.kind == "histogram" else ""
    for labels, value in values.items():
        inner, _, part = labels.partition(_PART)
        full = f"{name}_{part}" if part else name + suffix
        lines.append(f"{full}{{{inner}}} {_number(value)}" if inner else f"{full} {_number(value)}")
        if len(lines) >= SLICE:
            yield _text(lines)
            lines = []
    if lines:
        yield _text(lines)


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _number(value: float) -> str:
    """Integers exactly; floats so that they read back the same."""
    return str(int(value)) if value == int(value) else repr(value)
