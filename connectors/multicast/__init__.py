"""Multicast groups as sources and sinks of datagrams, and UDP unicast and broadcast with them.

`MulticastSource(SourceOptions(lines=[…]), context)` and `MulticastSink(SinkOptions(lines=[…]), context)` take texts or
`bridge.api.Address` objects alike.
"""
