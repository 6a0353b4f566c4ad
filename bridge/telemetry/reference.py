"""The reference pages that are generated from the tables of this package."""

from bridge.telemetry.codes import CODES
from bridge.telemetry.metrics import ENGINE_METRICS

_LOST = {"no": "No.", "yes": "Yes; the ranges are in losses.jsonl.", "perhaps": "Perhaps; the ledger tells."}


def events_page() -> str:
    """`docs/reference/events.md`."""
    lines = [
        "# Events",
        "",
        "Every event is logged and counted in one place: `bridge_events_total{code}` counts all of them, the log shows at most",
        "ten of one code in ten seconds and says how many it left out. Codes are stable. A connector of somebody else emits",
        "codes of its own.",
        "",
    ]
    for code, entry in CODES.items():
        lines += [f"## {code}", "", f"*{entry.severity}.* {entry.meaning}", ""]
        lines += [f"- Messages lost: {_LOST[entry.lost]}", f"- What to do: {entry.remedy}", ""]
    return "\n".join(lines)


def metrics_page() -> str:
    """`docs/reference/metrics.md`."""
    lines = [
        "# Metrics",
        "",
        "`/metrics` of the admin address, in the Prometheus text format. No label ever holds a session or an address.",
        "`lost` is what is missing on all lines (no sink named) and what was dropped before a sink. Counters of connectors are",
        "named `bridge_<name>_total` and carry the label `table`, the name of their source or sink table.",
        "",
        "| metric | type | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, metric in ENGINE_METRICS.items():
        lines.append(f"| `{name}` | {metric.kind} | {metric.labels.replace(' ', ', ')} | {metric.help} |")
    return "\n".join(lines) + "\n"
