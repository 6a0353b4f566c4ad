"""Counters that connectors ask for, shown in the metrics as `bridge_<name>_total{table="…"}` and in status."""

import re
from typing import Any

from bridge.telemetry.metrics import ENGINE_METRICS

MAX_SERIES = 1_000
"""Different counters (name, table, labels) of a process; what comes after shares one without labels a name."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FORBIDDEN = frozenset({"session", "address", "source_address", "table", "le"})


class Cell:
    """One counter. To be used from the event loop's thread."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        if amount < 0:
            raise ValueError(f"a counter only rises, and was given {amount}")
        self.value += amount


class Counters:
    """All connectors' counters of a process."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[tuple[tuple[str, str], ...], Cell]] = {}
        self._series = 0

    def counter(self, table: str, name: str, labels: dict[str, str]) -> Cell:
        """The counter of this name, table and labels; the same object for the same ones.

        Raises ValueError for a name that is not `[a-z][a-z0-9_]*` or is one of the engine's metrics, and for labels that
        grow without bound (session, address).
        """
        if not _NAME.fullmatch(name) or f"bridge_{name}_total" in ENGINE_METRICS:
            raise ValueError(f"{name!r} cannot be a counter's name: lower case, digits and _, and none of the engine's")
        wrong = [label for label in labels if label in _FORBIDDEN or not _NAME.fullmatch(label)]
        if wrong:
            raise ValueError(f"counter {name!r} cannot have the label {wrong[0]!r}")
        key = (("table", table), *sorted(labels.items()))
        cells = self._cells.setdefault(name, {})
        if key not in cells:
            if self._series >= MAX_SERIES:
                key = (("table", table),)
            if key not in cells:
                cells[key] = Cell()
                self._series += 1
        return cells[key]

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """name -> [{labels, value}], as in `Status.connectors`."""
        return {
            name: [{"labels": dict(key), "value": cell.value} for key, cell in cells.items()]
            for name, cells in self._cells.items()
        }
