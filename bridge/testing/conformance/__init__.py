"""Conformance suites: named behaviours that every connector of a kind has to show. Subclass one in a pytest module.

    class TestLinesSink(SinkSuite):
        sink = LinesSink
        def options(self, path): return {"path": str(path / "lines")}
        async def stored(self, path, channel): ...      # read back by other means than the sink's

The suites demand what the connector's `capabilities` claim, and skip what they do not. `behaviours()` lists them all.
"""

from bridge.testing.conformance.behaviour import RECORD, Behaviour, Place, Suite, of_suite
from bridge.testing.conformance.datagram import DatagramSinkSuite, DatagramSourceSuite
from bridge.testing.conformance.sink import SinkSuite
from bridge.testing.conformance.source import SourceSuite
from bridge.testing.conformance.store import StoreSuite

__all__ = [
    "RECORD",
    "Behaviour",
    "DatagramSinkSuite",
    "DatagramSourceSuite",
    "Place",
    "SinkSuite",
    "SourceSuite",
    "StoreSuite",
    "Suite",
    "behaviours",
]

SUITES: tuple[type[Suite], ...] = (SinkSuite, SourceSuite, StoreSuite, DatagramSourceSuite, DatagramSinkSuite)


def behaviours() -> list[Behaviour]:
    """All behaviours of all suites, in the order in which the table shows them."""
    return [described for suite in SUITES for described in of_suite(suite)]
