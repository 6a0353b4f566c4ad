"""The admin endpoint of a running bridge while data flow: metrics, status, health."""

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry.status import Status
from tests.integration.run.feed import Publisher
from tests.integration.run.running import (
    bridge_table,
    eventually,
    get,
    lines,
    sinks,
    status,
    stopped,
    summary,
    total,
    written,
)
from tests.support.addresses import FreeAddresses
from tests.support.process import BridgeProcess, Processes

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(60)]

LINE = {"channel", "line"}
CHANNEL = {"channel"}
SINK = {"route", "channel", "sink"}
PROMISED: dict[str, set[str]] = {
    "bridge_line_datagrams_total": LINE,
    "bridge_line_bytes_total": LINE,
    "bridge_line_duplicate_pieces_total": LINE,
    "bridge_line_lost_messages_total": LINE,
    "bridge_line_joined": LINE,
    "bridge_line_last_datagram_timestamp_seconds": LINE,
    "bridge_line_skew_seconds": LINE,
    "bridge_kernel_dropped_datagrams_total": LINE,
    "bridge_receive_buffer_bytes": LINE | {"kind"},
    "bridge_expected_messages_total": CHANNEL,
    "bridge_published_messages_total": SINK,
    "bridge_late_messages_total": CHANNEL,
    "bridge_lost_messages_total": CHANNEL | {"reason"},
    "bridge_pending_messages": SINK | {"tier"},
    "bridge_pending_bytes": SINK | {"tier"},
    "bridge_gaps_open": CHANNEL,
    "bridge_gap_messages_total": CHANNEL | {"state", "by"},
    "bridge_publish_latency_seconds_bucket": SINK | {"le"},
    "bridge_sink_up": SINK,
    "bridge_active": SINK,
    "bridge_ledger_balanced": set(),
    "bridge_build_info": {"version", "python"},
}
"""Of surface.md 4 what a healthy feed with one loss shows; the rest appears with its first sample."""


def metrics(admin: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    code, text = get(admin, "/metrics")
    assert code == 200, text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def started(
    directory: Path, processes: Processes, addresses: FreeAddresses, admin: str, sink: str = "journal"
) -> tuple[BridgeProcess, list[tuple[str, int]]]:
    port = addresses.port()
    groups = [(addresses.group(), port), (addresses.group(), port)]
    quoted = ", ".join(f'"{group}:{port}%lo"' for group, port in groups)
    config = written(
        directory / "config.toml",
        bridge_table(directory, admin, more='drain = "1s"'),
        f'[source.feed]\ntype = "multicast"\nprotocol = "native"\nsilent_after = "1s"\nlines = [{quoted}]',
        f'[sink.archive]\ntype = "journal"\npath = "{directory / sink}"',
        '[route.archive]\nfrom = "feed"\nto = ["archive"]',
    )
    bridge = processes.bridge("run", config, "--summary", directory / "summary.json")
    bridge.wait_for("line B of feed")
    return bridge, groups


def test_metrics_and_status_while_data_flow(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    admin = f"127.0.0.1:{addresses.port()}"
    bridge, groups = started(tmp_path, processes, addresses, admin)
    publisher = Publisher(groups, "feed")
    publisher.start()
    eventually(lambda: get(admin, "/readyz") == (200, "ready\n"))
    publisher.sent += [publisher.sent[-1]] * 5  # five numbers that are never sent
    before: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for _ in range(20):
        found = metrics(admin)
        fallen = [name for name, value in before.items() if name[0].endswith("_total") and found[name] < value]
        assert not fallen, "a counter went back"
        assert found["bridge_ledger_balanced", frozenset()] == 1
        before = found
        seen = Status.model_validate(status(admin))
        assert seen.balanced, seen.problems
    eventually(lambda: any(name == "bridge_lost_messages_total" for name, _ in metrics(admin)))
    publisher.stop()
    eventually(lambda: total(sinks(status(admin))["archive"], "published") == publisher.last - 5)

    named = metrics(admin)
    for name, labels in PROMISED.items():
        samples = [{label for label, _ in found} for metric, found in named if metric == name]
        assert samples, f"{name} is absent"
        assert all(found == labels for found in samples), f"{name} has {samples}"
    session = (1).to_bytes(8, "big").hex()
    assert not any(value in (session, *dict(groups)) for _, found in named for _, value in found)

    seen = status(admin)  # nothing flows any more: status and metrics tell the same
    archive = sinks(seen)["archive"]
    where = frozenset({"route": "archive", "channel": "feed", "sink": "archive"}.items())
    assert named["bridge_published_messages_total", where] == total(archive, "published") == publisher.last - 5
    channel = frozenset({"channel": "feed"}.items())
    assert named["bridge_expected_messages_total", channel] == publisher.last
    lost = frozenset({"channel": "feed", "reason": "wire"}.items())
    assert named["bridge_lost_messages_total", lost] == 5
    for line in lines(seen):
        labels = frozenset({"channel": "feed", "line": line["line"]}.items())
        assert named["bridge_line_datagrams_total", labels] == line["datagrams"]
        assert named["bridge_line_duplicate_pieces_total", labels] == sum(line["duplicate"].values())
    stopped(bridge)
    ended = summary(tmp_path / "summary.json")
    assert [(loss["last"] - loss["first"], loss["reason"]) for loss in ended["losses"]] == [(4, "wire")]
    assert total(sinks(ended)["archive"], "published") == publisher.last - 5


def test_who_may_ask(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    """A page in a browser that has a name of its own for this host gets nothing (DNS rebinding)."""
    admin = f"127.0.0.1:{addresses.port()}"
    bridge, _ = started(tmp_path, processes, addresses, admin)
    for path in ("/status", "/metrics", "/healthz", "/readyz"):
        assert get(admin, path, host="evil.example.com")[0] == 421
    assert get(admin, "/healthz", host="localhost") == (200, "ok\n")
    assert get(admin, "/nothing")[0] == 404
    stopped(bridge)


def test_ready_names_what_is_absent(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    admin = f"127.0.0.1:{addresses.port()}"
    (tmp_path / "blocked").write_text("a file where a directory should be")
    bridge, groups = started(tmp_path, processes, addresses, admin, sink="blocked")
    assert get(admin, "/healthz") == (200, "ok\n")
    code, text = get(admin, "/readyz")
    assert code == 503
    assert "feed receives nothing" in text
    eventually(lambda: "sink archive" in get(admin, "/readyz")[1])
    publisher = Publisher(groups, "feed")
    publisher.start()
    eventually(lambda: "receives nothing" not in get(admin, "/readyz")[1])
    assert get(admin, "/readyz")[0] == 503
    assert json.loads(get(admin, "/status")[1])["absent"] == [get(admin, "/readyz")[1].strip()]
    assert sinks(status(admin))["archive"]["up"] is False
    publisher.stop()
    eventually(lambda: "receives nothing" in get(admin, "/readyz")[1], 10, "silent after 1 s")
    stopped(bridge)
