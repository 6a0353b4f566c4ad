"""What a configuration means: the lines that state every value in force, and what each sink guarantees."""

from collections.abc import Iterator

from pydantic import BaseModel

from bridge.config.protocols import channel_number
from bridge.config.resolved import (
    Config,
    DatagramSinkConfig,
    DatagramSourceConfig,
    MessageSourceConfig,
    RouteConfig,
    SinkConfig,
    SourceConfig,
)
from bridge.config.text import model_values, size_text


def describe(config: Config) -> list[str]:
    """One line a table and channel; every value in force stands in it, defaults included, secrets as stars."""
    bridge = [
        ("name", config.bridge.name),
        ("state", str(config.state)),
        *model_values(config.bridge, ("name", "state")),
    ]
    lines = [_line("bridge", bridge)]
    for source in config.sources.values():
        lines += _table("source", source)
    for sink in config.sinks.values():
        lines += _table("sink", sink)
    lines += [_line(f"route {name}", model_values(route.settings)) for name, route in config.routes.items()]
    secrets = sorted(config.secrets(), key=len, reverse=True)
    for secret in secrets:
        lines = [line.replace(secret, "***") for line in lines]
    return lines


def _line(head: str, values: list[tuple[str, str]]) -> str:
    return f"{head}: " + " ".join(f"{key}={value}" for key, value in values)


def _table(side: str, table: SourceConfig | SinkConfig) -> Iterator[str]:
    common = model_values(table.settings)
    leave_out = ("channel",) if isinstance(table, DatagramSourceConfig | DatagramSinkConfig) else ()
    yield _line(f"{side} {table.name}", [("type", table.kind), *common, *model_values(table.options, leave_out)])
    if not isinstance(table, DatagramSourceConfig | DatagramSinkConfig):
        return
    connector_channels = getattr(table.options, "channel", {})
    for name, settings in table.channels.items():
        values = [pair for pair in model_values(settings) if pair not in common and pair[0] != "id"]
        if settings.protocol == "native":
            values.insert(0, ("id", str(channel_number(name, settings.id))))
        own = connector_channels.get(name) if isinstance(connector_channels, dict) else None
        if isinstance(own, BaseModel):
            values += model_values(own)
        yield _line(f"{side} {table.name} channel {name}", values)


def guarantees(config: Config) -> dict[str, list[tuple[str, str]]]:
    """By `route → sink`, what holds there: (promise, sentence). The promises are those of the documentation."""
    return {
        f"{route.name} → {sink.name}": list(_promises(route, sink))
        for route in config.routes.values()
        for sink in route.sinks
    }


def _promises(route: RouteConfig, sink: SinkConfig) -> Iterator[tuple[str, str]]:
    raw = isinstance(route.source, DatagramSourceConfig) and any(
        settings.protocol == "raw" for settings in route.source.channels.values()
    )
    if isinstance(sink, DatagramSinkConfig):
        yield "order", "messages leave in sequence order"
        if sink.settings.protocol == "raw":
            yield "once", "a restart sends again what was not yet noted as sent; raw receivers cannot tell"
        else:
            yield (
                "once",
                "a restart sends again, under the same numbers, what was not yet noted as sent; nothing is skipped",
            )
    else:
        can = sink.capabilities
        yield "order", "per stream, messages are stored in sequence order"
        if not (can.readable_tail and can.dedupes):
            yield "once", "no: at least once; what was not confirmed before a failure or restart comes again"
        elif raw:
            yield "once", "within one run of one bridge: raw datagrams have no numbers of their own"
        else:
            yield "once", "a retry, a restart, a kill or a second line never stores a message twice"
        yield "confirmed", "a message counts as published when the store acknowledged it"
        yield "read back", "by sequence and time (`bridge read`)" if can.store else "no: this sink is no message store"
    yield "loss", _loss(route, raw)


def _loss(route: RouteConfig, raw: bool) -> str:
    settings = route.settings
    if isinstance(route.source, MessageSourceConfig):
        return "none while the source retains: reading stops while the window is full"
    room = f"{size_text(settings.memory)} of memory a channel, then {size_text(settings.spool)} of disk"
    full = {
        "drop-oldest": "the oldest goes, counted and reported",
        "drop-newest": "the newest is refused, counted and reported",
        "stop": "the channel stops",
    }[settings.overload]
    if settings.window == "disk":
        killed = "a killed bridge goes on from its disk"
    else:
        killed = "a killed bridge loses what waited in memory" + (
            "" if raw else ', reported as a range; window = "disk" keeps it'
        )
    return f"{room}; beyond that {full}; {killed}"
