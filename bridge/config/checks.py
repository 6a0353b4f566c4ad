"""What no single table can tell: names that lead nowhere, two users of one thing, circles, and what a protocol lacks."""

from collections.abc import Iterator
from pathlib import Path as FilePath

from bridge.api.address import Address, Flow, cycles, overlaps
from bridge.config.keys import nearest
from bridge.config.positions import Path
from bridge.config.protocols import check_protocols
from bridge.config.resolve import Draft
from bridge.config.resolved import (
    DatagramSinkConfig,
    DatagramSourceConfig,
    MessageSourceConfig,
    RouteConfig,
    SinkConfig,
    SourceConfig,
)
from bridge.config.validate import Report


def check(draft: Draft, report: Report) -> None:
    """Add to the report what is wrong between the tables of `draft`, which may lack those that are wrong themselves."""
    _names(draft, report)
    _unused(draft, report)
    check_protocols(draft, report)
    for route in draft.routes.values():
        _route(route, report)
    _channels(draft, report)
    _paths(draft, report)
    _overlaps(draft, report)
    _cycles(draft, report)


def _names(draft: Draft, report: Report) -> None:
    if not draft.declared.get("route") and not report.has(("route",)):
        hint = 'add `[route.NAME]` with `from = "SOURCE"` and `to = ["SINK"]`'
        report.add(("route",), "missing_key", "is required: nothing flows without a route", hint=hint)
    for name, ends in draft.ends.items():
        seen = set()
        for side, wants, inside in ends:
            place = ("route", name, *inside)
            declared = draft.declared.get(side, [])
            if wants not in declared:
                other = "sink" if side == "source" else "source"
                there = f"the {side}s are {', '.join(declared)}" if declared else f"there is no [{side}.NAME]"
                hint = f"{wants!r} is a {other}; {there}" if wants in draft.declared.get(other, []) else there
                text = f"no {side} is called {wants!r}"
                report.add(place, "unknown_name", text, hint=hint, suggestion=nearest(wants, declared))
            elif (side, wants) in seen:
                report.add(place, "collision", f"{wants!r} is named twice", hint="name each sink once")
            seen.add((side, wants))


def _unused(draft: Draft, report: Report) -> None:
    used = {(side, name) for ends in draft.ends.values() for side, name, _ in ends}
    for side in ("source", "sink"):
        declared = draft.declared.get(side, [])
        if any(of == side and name not in declared for of, name in used):
            continue  # a misspelt name was reported, which may mean the one that seems unused
        for name in declared:
            if (side, name) not in used:
                hint = "name it in a route, or remove the table"
                report.add((side, name), "unused", f"no route uses this {side}; it is not opened", hint=hint, warn=True)


def _route(route: RouteConfig, report: Report) -> None:
    if not isinstance(route.source, MessageSourceConfig):
        return
    for key, why in (
        ("overload", "reading stops while the window is full, and nothing is dropped"),
        ("window", "what was not passed on is read again after a restart"),
    ):
        if key in route.settings.model_fields_set and (key == "overload" or route.settings.window == "disk"):
            text = f"does not apply to a route from the message source {route.source.name}: {why}"
            report.add(("route", route.name, key), "contradiction", text, hint="remove the key")
    if route.source.settings.sequence != "preserve":
        text = f'sequence = "{route.source.settings.sequence}" is not in this version yet'
        place = ("source", route.source.name, "sequence")
        if not report.has(place):
            report.add(place, "not_yet", text, hint='write sequence = "preserve", or use a version that has it')


def _channels(draft: Draft, report: Report) -> None:
    """Two routes may not write one channel of one sink, and a channel must have a line where it goes."""
    writers: dict[tuple[str, str], str] = {}
    for route in draft.routes.values():
        names = list(route.source.channels) if isinstance(route.source, DatagramSourceConfig) else []
        for sink in route.sinks:
            for channel in names or [f"every channel of {route.source.name}"]:
                other = writers.setdefault((sink.name, channel), route.name)
                if other != route.name:
                    text = f"sink {sink.name} gets {channel} from route {other} too"
                    hint = "a channel of a sink has one writer: rename a channel, or use another sink"
                    report.add(("route", route.name, "to"), "collision", text, hint=hint)
            if isinstance(sink, DatagramSinkConfig) and sink.channels:
                for channel in names:
                    if channel not in sink.channels:
                        text = f"there is no line for channel {channel} of source {route.source.name}"
                        hint = f'add `{channel} = {{ lines = ["GROUP:PORT"] }}`'
                        report.add(("sink", sink.name, "channel"), "missing_key", text, hint=hint)


def _paths(draft: Draft, report: Report) -> None:
    users: dict[FilePath, str] = {}
    for sink in draft.sinks.values():
        path = _path(sink)
        if path is None:
            continue
        other = users.setdefault(path, sink.name)
        if other != sink.name:
            text = f"{path} is the path of sink {other} too"
            hint = "a journal has one writer: give each sink a path of its own, or route both sources to one sink"
            report.add(("sink", sink.name, "path"), "collision", text, hint=hint)


def _path(table: SourceConfig | SinkConfig) -> FilePath | None:
    path = getattr(table.options, "path", None)
    return path.expanduser().absolute() if isinstance(path, FilePath) else None


def lines(table: SourceConfig | SinkConfig) -> Iterator[tuple[Path, str, Address]]:
    """Every address of a datagram table: its place in the document, its channel, the address."""
    if not isinstance(table, DatagramSourceConfig | DatagramSinkConfig):
        return
    channels = getattr(table.options, "channels", None)
    if not callable(channels):
        return
    side = "source" if isinstance(table, DatagramSourceConfig) else "sink"
    own = "channel" in table.options.model_fields_set
    for channel, addresses in channels(table.name).items():
        before: Path = (side, table.name, "channel", channel, "lines") if own else (side, table.name, "lines")
        for index, address in enumerate(addresses):
            yield (*before, index), channel, address


def _overlaps(draft: Draft, report: Report) -> None:
    """Receiving one group twice is legal and rarely meant; within a channel the connector refuses it."""
    places = [
        (place, channel, address) for source in draft.sources.values() for place, channel, address in lines(source)
    ]
    named = [(str(index), address) for index, (_, _, address) in enumerate(places)]
    for found in overlaps(named):
        first, second = places[int(found.first)], places[int(found.second)]
        if first[0][:2] == second[0][:2] and first[1] == second[1]:
            continue
        what = f"{first[0][0]} {first[0][1]}, channel {first[1]}"
        text = f"receives the same datagrams as {what} ({found.first_address})"
        hint = "leave one of them out, or name different senders or interfaces"
        report.add(second[0], "overlap", text, hint=hint, warn=True)


def _cycles(draft: Draft, report: Report) -> None:
    flows = []
    for route in draft.routes.values():
        writes = [place for sink in route.sinks for place in _ends(sink)]
        flows.append(Flow(route.name, _ends(route.source), writes))
    for ring in cycles(flows):
        names = " → ".join([*ring, ring[0]])
        text = f"what it sends comes back to it ({names})" if len(ring) > 1 else "what it sends comes back to it"
        report.add(
            ("route", ring[0]), "cycle", text, hint="send to another group or port than the one that is received"
        )


def _ends(table: SourceConfig | SinkConfig) -> list[Address | str]:
    path = _path(table)
    return [f"{table.kind}:{path}"] if path else [address for _, _, address in lines(table)]
