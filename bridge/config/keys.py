"""Names of keys: what peers call ours, what later versions will have, and the nearest name to a misspelt one."""

import difflib
from collections.abc import Iterable

PEERS = {
    "bootstrap_servers": "servers",
    "bootstrap": "servers",
    "brokers": "servers",
    "seed_brokers": "servers",
    "hosts": "servers",
    "multicast_groups": "lines",
    "multicast_group": "lines",
    "service_address": "lines",
    "groups": "lines",
    "group": "lines",
    "addresses": "lines",
    "address": "lines",
    "uri": "url",
    "codec": "protocol",
    "format": "protocol",
    "decoding": "protocol",
    "inputs": "from",
    "input": "from",
    "source": "from",
    "outputs": "to",
    "output": "to",
    "sink": "to",
    "sinks": "to",
    "iface": "interface",
    "nic": "interface",
    "read_buffer_size": "receive_buffer",
    "receive_buffer_bytes": "receive_buffer",
    "rcvbuf": "receive_buffer",
    "hop_limit": "ttl",
    "hops": "ttl",
    "multicast_ttl": "ttl",
    "loopback": "loop",
    "allowed_sources": "sources",
    "multicast_source": "sources",
    "data_dir": "state",
    "state_dir": "state",
    "directory": "path",
    "retention": "max_age",
    "buffer": "spool",
    "when_full": "overload",
}
"""What other programs call the setting that we call so: it is suggested where our name is a key of the table."""

TOP = ("bridge", "source", "sink", "route")
PEER_TABLES = {"sources": "source", "inputs": "source", "input": "source", "sinks": "sink", "outputs": "sink"}
PEER_TABLES |= {"output": "sink", "routes": "route", "pipeline": "route", "global": "bridge", "agent": "bridge"}

LATER: dict[str, frozenset[str]] = {
    "": frozenset({"serve"}),
    "bridge": frozenset({"pair", "workers", "token", "tls"}),
    "source": frozenset({"recover", "fields", "key", "partition", "only", "reassembly", "late", "stale_after"}),
    "sink": frozenset(
        {"only", "fields", "key", "partition", "max_names", "in_flight", "stale_after", "latest", "recover", "late"}
    ),
    "route": frozenset({"late", "recover", "serve", "store", "only", "fields", "workers"}),
}
"""Keys of the documented surface that this version does not have: an error of its own, not an unknown key."""

LATER_TYPES = frozenset({"kafka", "rabbitmq", "redis", "pcap"})
"""Connectors that the documentation names and that this version may not have installed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The key of `known` that was probably meant by `name`; empty where none comes near."""
    names = sorted(set(known))
    lowered = name.lower().replace("-", "_")
    if lowered in names:
        return lowered
    peer = PEERS.get(lowered)
    if peer in names:
        return peer
    return next(iter(difflib.get_close_matches(lowered, names, n=1, cutoff=0.6)), "")


def dotted(path: Iterable[str | int]) -> str:
    """`source.itch.lines[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
