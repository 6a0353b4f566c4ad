"""What a configuration comes to: every table with its connector's class, its options and the engine's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.api import Capabilities, DatagramSink, DatagramSource, MessageSink, MessageSource, Options
from bridge.config.expand import References
from bridge.config.model import (
    BridgeSettings,
    DatagramSinkSettings,
    DatagramSourceSettings,
    MessageSinkSettings,
    MessageSourceSettings,
    RouteSettings,
)
from bridge.config.problems import Problem


@dataclass(frozen=True, slots=True)
class DatagramSourceConfig:
    """`[source.X]` of a datagram connector. `channels`: the settings of every channel, the table's filled in."""

    name: str
    kind: str  # the `type` of the table
    connector: type[DatagramSource]
    options: Options
    settings: DatagramSourceSettings
    channels: Mapping[str, DatagramSourceSettings]


@dataclass(frozen=True, slots=True)
class MessageSourceConfig:
    """`[source.X]` of a message connector. Its channels are known when it is opened."""

    name: str
    kind: str  # the `type` of the table
    connector: type[MessageSource]
    options: Options
    settings: MessageSourceSettings


@dataclass(frozen=True, slots=True)
class DatagramSinkConfig:
    """`[sink.X]` of a datagram connector. `channels` has the settings of the channels that the table names;
    `for_channel` those of any."""

    name: str
    kind: str  # the `type` of the table
    connector: type[DatagramSink]
    options: Options
    settings: DatagramSinkSettings
    channels: Mapping[str, DatagramSinkSettings]

    def for_channel(self, channel: str) -> DatagramSinkSettings:
        return self.channels.get(channel, self.settings)


@dataclass(frozen=True, slots=True)
class MessageSinkConfig:
    """`[sink.X]` of a message connector."""

    name: str
    kind: str  # the `type` of the table
    connector: type[MessageSink]
    options: Options
    settings: MessageSinkSettings

    @property
    def capabilities(self) -> Capabilities:
        return self.connector.capabilities


SourceConfig = DatagramSourceConfig | MessageSourceConfig
SinkConfig = DatagramSinkConfig | MessageSinkConfig


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """`[route.X]` with the tables that it names."""

    name: str
    source: SourceConfig
    sinks: tuple[SinkConfig, ...]
    settings: RouteSettings


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without errors. `warnings` are what `check` still has to say.

    `document` is the parsed file, unexpanded: what another process builds its own connectors from.
    """

    path: Path
    bridge: BridgeSettings
    state: Path
    sources: Mapping[str, SourceConfig]
    sinks: Mapping[str, SinkConfig]
    routes: Mapping[str, RouteConfig]
    warnings: tuple[Problem, ...] = ()
    references: References = field(default_factory=lambda: References({}))
    document: Mapping[str, Any] = field(default_factory=dict)

    def secrets(self) -> list[str]:
        """Values from the environment and files that no text may show: for the redactor, beside what Secret fields hold."""
        return self.references.secrets()
