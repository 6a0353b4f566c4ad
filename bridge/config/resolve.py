"""Tables to objects: the engine's keys are taken out of each source and sink, the rest goes to its connector's options.

A `Draft` holds what could be resolved, so that the cross checks still see the good part of a bad document.
"""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeVar

from bridge.api import ConfigurationError, Options
from bridge.config import registry
from bridge.config.fields import NAME_RULE, is_name, merged
from bridge.config.keys import LATER, LATER_TYPES, PEER_TABLES, TOP
from bridge.config.model import (
    BridgeSettings,
    DatagramSinkSettings,
    DatagramSourceSettings,
    MessageSinkSettings,
    MessageSourceSettings,
    RouteSettings,
)
from bridge.config.positions import Path
from bridge.config.resolved import (
    DatagramSinkConfig,
    DatagramSourceConfig,
    MessageSinkConfig,
    MessageSourceConfig,
    RouteConfig,
    SinkConfig,
    SourceConfig,
)
from bridge.config.validate import Report, Table, keys_of, validate

S = TypeVar("S", bound=Options)
D = TypeVar("D", DatagramSourceSettings, DatagramSinkSettings)

SETTINGS: dict[registry.Role, type[Options]] = {
    "datagram_source": DatagramSourceSettings,
    "datagram_sink": DatagramSinkSettings,
    "message_source": MessageSourceSettings,
    "message_sink": MessageSinkSettings,
}
"""What the engine itself reads from a table, by the role of its connector."""


@dataclass(slots=True)
class Draft:
    """What was resolved. `declared` are the names of all tables, also of those that were not, by kind; `ends` what each
    route names: side, name and the place inside its table."""

    bridge: BridgeSettings
    state: FilePath
    sources: dict[str, SourceConfig] = field(default_factory=dict)
    sinks: dict[str, SinkConfig] = field(default_factory=dict)
    route_settings: dict[str, RouteSettings] = field(default_factory=dict)
    declared: dict[str, list[str]] = field(default_factory=dict)
    ends: dict[str, list[tuple[registry.Side, str, Path]]] = field(default_factory=dict)

    @property
    def routes(self) -> dict[str, RouteConfig]:
        """The routes all of whose tables were resolved."""
        found = {}
        for name, settings in self.route_settings.items():
            if settings.source in self.sources and all(sink in self.sinks for sink in settings.to):
                sinks = tuple(self.sinks[sink] for sink in settings.to)
                found[name] = RouteConfig(name, self.sources[settings.source], sinks, settings)
        return found


@dataclass(frozen=True, slots=True)
class _Named:
    """A source's or sink's table with its connector."""

    loaded: registry.Loaded
    settings: type[Options]
    table: Table
    data: Mapping[str, Any]

    @property
    def engine_keys(self) -> list[str]:
        return keys_of(self.settings)


class Resolver:
    """Resolves one expanded document; what is wrong goes to the report."""

    def __init__(self, document: Mapping[str, Any], report: Report, environment: Mapping[str, str] | None) -> None:
        self._document = document
        self._report = report
        self._environment = os.environ if environment is None else environment
        self._installed = registry.connectors().connectors

    def resolve(self) -> Draft:
        for key in self._document:
            if key not in TOP:
                if PEER_TABLES.get(key):
                    hint = f"did you mean `[{PEER_TABLES[key]}.NAME]`?"
                    self._report.add((key,), "unknown_key", "unknown table", hint=hint)
                else:
                    self._report.unknown((key,), "", "the configuration", TOP)
        bridge, state = self._bridge()
        draft = Draft(bridge, state)
        for name, data in self._tables("source", draft):
            if (named := self._named("source", name, data)) is not None and (source := self._source(name, named)):
                draft.sources[name] = source
        for name, data in self._tables("sink", draft):
            if (named := self._named("sink", name, data)) is not None and (sink := self._sink(name, named)):
                draft.sinks[name] = sink
        for name, data in self._tables("route", draft):
            draft.ends[name] = _ends(data)
            table = Table(("route", name), "route", "a route", keys_of(RouteSettings))
            if (settings := validate(RouteSettings, data, table, self._report)) is not None:
                draft.route_settings[name] = settings
        return draft

    def _bridge(self) -> tuple[BridgeSettings, FilePath]:
        data = self._document.get("bridge", {})
        if not isinstance(data, dict):
            self._report.add(("bridge",), "bad_value", "must be a table", hint="write `[bridge]` on a line of its own")
            data = {}
        host = self._environment.get("HOSTNAME") or socket.gethostname()
        default = {"name": re.sub(r"[^A-Za-z0-9._-]", "-", host).strip("-._")[:64] or "bridge"}
        table = Table(("bridge",), "bridge", "[bridge]", keys_of(BridgeSettings))
        bridge = validate(BridgeSettings, {**default, **data}, table, self._report) or BridgeSettings.model_validate(
            default
        )
        if (
            bridge.admin is not None
            and not bridge.admin.loopback
            and not bridge.allow
            and not self._report.has(("bridge",))
        ):
            hint = 'add `allow = ["10.20.0.0/16"]` to [bridge], or listen on 127.0.0.1'
            self._report.add(("bridge", "admin"), "contradiction", f"{bridge.admin} is beyond loopback", hint=hint)
        return bridge, bridge.state.expanduser() if bridge.state else self._state(bridge.name)

    def _state(self, name: str) -> FilePath:
        # systemd gives several directories with colons between them; the first is the unit's own
        directory = self._environment.get("STATE_DIRECTORY", "").partition(":")[0]
        if directory:
            return FilePath(directory)
        home = self._environment.get("HOME")
        return (FilePath(home) if home else FilePath.home()) / ".local" / "state" / "multicast-bridge" / name

    def _tables(self, side: str, draft: Draft) -> list[tuple[str, Mapping[str, Any]]]:
        tables = self._document.get(side, {})
        if not isinstance(tables, dict):
            self._report.add(
                (side,), "bad_value", "must hold tables", hint=f"write `[{side}.NAME]` on a line of its own"
            )
            return []
        draft.declared[side] = list(tables)
        found: list[tuple[str, Mapping[str, Any]]] = []
        for name, data in tables.items():
            if not isinstance(data, dict):
                hint = f"write `[{side}.NAME]` on a line of its own, and `{name}` below it"
                self._report.add(
                    (side, name), "bad_value", f"must be a table, the name of a {side} is missing", hint=hint
                )
                continue
            if not is_name(name):
                self._report.add((side, name), "bad_value", f"{name!r} is no name", hint=f"names have {NAME_RULE}")
            found.append((name, data))
        return found

    def _named(self, side: registry.Side, name: str, data: Mapping[str, Any]) -> _Named | None:
        place = (side, name, "type")
        kind = data.get("type")
        if not isinstance(kind, str):
            names = ", ".join(sorted({c.name for c in self._installed if c.side == side}))
            text = "is required: the connector" if kind is None else f"{kind!r} must be text"
            self._report.add(place, "missing_key" if kind is None else "bad_value", text, hint=f"installed: {names}")
            return None
        try:
            found = next((c for c in self._installed if (c.side, c.name) == (side, kind)), None)
            loaded = registry.load_connector(found or registry.find(side, kind))
        except ConfigurationError as error:
            if kind in LATER_TYPES and kind not in {c.name for c in self._installed}:
                self._report.add(
                    place, "not_yet", f"the connector {kind!r} is not in this version yet", hint=error.hint
                )
            else:
                self._report.add(place, "unknown_name", error.message, hint=error.hint)
            for key in sorted(LATER[side] & data.keys()):
                self._report.unknown((side, name, key), side, f"a {side}", ())
            return None
        settings = SETTINGS[loaded.connector.role]
        known = [*keys_of(settings), *keys_of(loaded.options), "type"]
        table = Table((side, name), side, f"a {kind} {side}", known)
        return _Named(loaded, settings, table, {key: value for key, value in data.items() if key != "type"})

    def _source(self, name: str, named: _Named) -> SourceConfig | None:
        cls, kind = named.loaded.cls, named.loaded.connector.name
        options = self._options(named)
        if named.loaded.connector.role == "message_source":
            settings = self._settings(MessageSourceSettings, named)
            return MessageSourceConfig(name, kind, cls, options, settings) if options and settings else None
        common = self._settings(DatagramSourceSettings, named)
        channels = self._channels(DatagramSourceSettings, named)
        if options is None or common is None or channels is None:
            return None
        return DatagramSourceConfig(name, kind, cls, options, common, channels or {name: common})

    def _sink(self, name: str, named: _Named) -> SinkConfig | None:
        cls, kind = named.loaded.cls, named.loaded.connector.name
        options = self._options(named)
        if named.loaded.connector.role == "message_sink":
            settings = self._settings(MessageSinkSettings, named)
            return MessageSinkConfig(name, kind, cls, options, settings) if options and settings else None
        common = self._settings(DatagramSinkSettings, named)
        channels = self._channels(DatagramSinkSettings, named)
        if options is None or common is None or channels is None:
            return None
        return DatagramSinkConfig(name, kind, cls, options, common, channels)

    def _settings(self, model: type[S], named: _Named) -> S | None:
        data = {key: value for key, value in named.data.items() if key in named.engine_keys}
        return validate(model, data, named.table, self._report)

    def _options(self, named: _Named) -> Options | None:
        data = {key: value for key, value in named.data.items() if key not in named.engine_keys}
        channels = data.get("channel")
        if isinstance(channels, dict) and "datagram" in named.loaded.connector.role:
            data["channel"] = {
                name: {key: value for key, value in table.items() if key not in named.engine_keys}
                if isinstance(table, dict)
                else table
                for name, table in channels.items()
            }
        table = named.table._replace(channel_keys=named.engine_keys)
        return validate(named.loaded.options, data, table, self._report)

    def _channels(self, model: type[D], named: _Named) -> dict[str, D] | None:
        """The engine's settings of every channel table, None where one is wrong."""
        common = {key: value for key, value in named.data.items() if key in named.engine_keys}
        tables = named.data.get("channel")
        found: dict[str, D] = {}
        failed = False
        for name, table in tables.items() if isinstance(tables, dict) else ():
            path: Path = (*named.table.path, "channel", name)
            if not is_name(name):
                self._report.add(path, "bad_value", f"{name!r} is no name", hint=f"names have {NAME_RULE}")
            own = (
                {key: value for key, value in table.items() if key in named.engine_keys}
                if isinstance(table, dict)
                else {}
            )
            place = Table(path, named.table.scope, f"channel {name}", named.engine_keys, inherited=True)
            settings = validate(model, merged(common, own), place, self._report)
            if settings is None:
                failed = True
            else:
                found[name] = settings
        return None if failed else found


def _ends(data: Mapping[str, Any]) -> list[tuple[registry.Side, str, Path]]:
    source, sinks = data.get("from"), data.get("to")
    found: list[tuple[registry.Side, str, Path]] = [("source", source, ("from",))] if isinstance(source, str) else []
    if isinstance(sinks, str):
        found.append(("sink", sinks, ("to",)))
    elif isinstance(sinks, list):
        found += [("sink", sink, ("to", index)) for index, sink in enumerate(sinks) if isinstance(sink, str)]
    return found
