import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry.metrics import ENGINE_METRICS, escape, metrics_slices
from tests.support.observed import FakeEngine

SURFACE = [
    "bridge_line_datagrams_total",
    "bridge_line_bytes_total",
    "bridge_line_duplicate_pieces_total",
    "bridge_line_lost_messages_total",
    "bridge_line_joined",
    "bridge_line_last_datagram_timestamp_seconds",
    "bridge_line_skew_seconds",
    "bridge_kernel_dropped_datagrams_total",
    "bridge_receive_buffer_bytes",
    "bridge_expected_messages_total",
    "bridge_published_messages_total",
    "bridge_filtered_messages_total",
    "bridge_rejected_messages_total",
    "bridge_late_messages_total",
    "bridge_lost_messages_total",
    "bridge_pending_messages",
    "bridge_pending_bytes",
    "bridge_pending_oldest_seconds",
    "bridge_gaps_open",
    "bridge_gap_oldest_seconds",
    "bridge_gap_messages_total",
    "bridge_publish_latency_seconds",
    "bridge_sink_up",
    "bridge_retention_oldest_timestamp_seconds",
    "bridge_active",
    "bridge_ledger_balanced",
    "bridge_build_info",
]
"""The contract with users, written out."""


def scrape(engine: FakeEngine) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = b"".join(metrics_slices(engine)).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_names_are_those_of_the_contract_and_the_events() -> None:
    assert sorted(ENGINE_METRICS) == sorted([*SURFACE, "bridge_events_total"])


def test_no_label_grows_without_bound() -> None:
    allowed = {"route", "channel", "line", "sink", "kind", "tier", "reason", "state", "by", "code", "version", "python"}
    assert {label for metric in ENGINE_METRICS.values() for label in metric.labels.split()} == allowed


def test_every_metric_but_the_unknown_is_there_with_its_own_labels() -> None:
    families = {f.name: f for f in text_string_to_metric_families(b"".join(metrics_slices(FakeEngine())).decode())}
    for name, metric in ENGINE_METRICS.items():
        if name == "bridge_retention_oldest_timestamp_seconds":  # no store says so here
            assert name not in families
            continue
        family = families[name.removesuffix("_total")]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} <= set(metric.labels.split())


def test_values_come_from_the_ledger() -> None:
    samples = scrape(FakeEngine())
    line = {"channel": "channel0", "line": "A"}
    sink = {"route": "main", "channel": "channel0", "sink": "archive"}
    assert value(samples, "bridge_line_datagrams_total", **line) == 100
    assert value(samples, "bridge_line_duplicate_pieces_total", **line) == 34
    assert value(samples, "bridge_line_lost_messages_total", **line) == 7
    assert value(samples, "bridge_line_last_datagram_timestamp_seconds", **line) == 1795406400.5
    assert value(samples, "bridge_kernel_dropped_datagrams_total", **line) == 3
    assert value(samples, "bridge_receive_buffer_bytes", **line, kind="granted") == 4194304
    assert value(samples, "bridge_expected_messages_total", channel="channel0") == 94
    assert value(samples, "bridge_late_messages_total", channel="channel0") == 2
    assert value(samples, "bridge_lost_messages_total", channel="channel0", reason="wire") == 3
    assert value(samples, "bridge_lost_messages_total", **sink, reason="overload") == 4
    assert value(samples, "bridge_published_messages_total", **sink) == 70
    assert value(samples, "bridge_filtered_messages_total", **sink, reason="only") == 2
    assert value(samples, "bridge_rejected_messages_total", **sink, reason="size") == 1
    assert value(samples, "bridge_pending_bytes", **sink, tier="in_flight") == 200
    assert value(samples, "bridge_gap_messages_total", channel="channel0", state="filled", by="recovery") == 4
    assert value(samples, "bridge_gap_messages_total", channel="channel0", state="abandoned", by="") == 3
    assert value(samples, "bridge_sink_up", **{**sink, "sink": "cloud"}) == 0
    assert value(samples, "bridge_publish_latency_seconds_bucket", **sink, le="0.0025") == 0
    assert value(samples, "bridge_publish_latency_seconds_bucket", **sink, le="0.005") == 70
    assert value(samples, "bridge_publish_latency_seconds_bucket", **sink, le="+Inf") == 70
    assert value(samples, "bridge_publish_latency_seconds_count", **sink) == 70
    assert value(samples, "bridge_publish_latency_seconds_sum", **sink) == pytest.approx(0.21)
    assert value(samples, "bridge_events_total", code="gap_opened") == 4
    assert value(samples, "bridge_ledger_balanced") == 1


def test_what_is_not_known_has_no_sample() -> None:
    assert ("bridge_line_skew_seconds", frozenset({("channel", "channel0"), ("line", "B")})) not in scrape(FakeEngine())


def test_a_problem_of_any_channel_shows() -> None:
    engine = FakeEngine(3)
    engine.problems = ["L1: datagrams 2 != packets 1 + malformed 0"]
    assert value(scrape(engine), "bridge_ledger_balanced") == 0


def test_samples_of_a_metric_stand_together_over_all_channels() -> None:
    text = b"".join(metrics_slices(FakeEngine(20))).decode()
    seen: list[str] = []
    for row in text.splitlines():
        name = row.split()[2] if row.startswith("#") else re.split(r"[{ ]", row)[0]
        name = re.sub(r"(?<=latency_seconds)_(bucket|sum|count)$", "", name)
        if not seen or seen[-1] != name:
            seen.append(name)
    assert len(seen) == len(set(seen))


def test_a_slice_is_a_channel_or_a_few_hundred_lines() -> None:
    engine = FakeEngine(50)
    slices = metrics_slices(engine)
    for taken in range(1, 51):
        assert next(slices) == b""
        assert engine.steps == taken
    assert max(part.count(b"\n") for part in slices) <= 200


def test_counters_of_connectors() -> None:
    engine = FakeEngine()
    engine.connectors = {"journal_commits": [{"labels": {"table": 'a"b\\c\nd'}, "value": 12}]}
    assert value(scrape(engine), "bridge_journal_commits_total", table='a"b\\c\nd') == 12


def test_labels_are_escaped_as_the_format_says() -> None:
    assert escape('a\\b"c\nd') == r"a\\b\"c\nd"


def test_large_counters_are_exact() -> None:
    engine = FakeEngine()
    engine.connectors = {"bytes_read": [{"labels": {"table": "t"}, "value": 2**53 - 1}]}
    assert f'bridge_bytes_read_total{{table="t"}} {2**53 - 1}\n' in b"".join(metrics_slices(engine)).decode()


def test_the_writer_needs_no_prometheus_client() -> None:
    source = Path(metrics_slices.__code__.co_filename).read_text()
    assert "prometheus_client" not in source
