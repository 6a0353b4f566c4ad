"""The public test kit, for authors of connectors and for the bridge's own tests.

`bridge.testing.conformance`: what every connector has to do, as suites of named behaviours to subclass in pytest.
`bridge.testing.doubles`: sinks, sources, stores and lines in memory, with faults that a test puts into them.
`bridge.testing.clock`, `bridge.testing.network`: a manual clock and a simulated network with seeds.
"""
