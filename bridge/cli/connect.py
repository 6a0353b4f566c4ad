"""`check --connect`: opens each connector for a moment and says what was there.

Nothing is written, sent or acknowledged, and a bridge that runs with the same configuration does not notice: what
connectors keep goes to a directory that is thrown away.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.api import BridgeError, ConnectorError, MessageStore, Start, Stream, StreamInfo
from bridge.cli.context import VerbContext
from bridge.cli.read import session_text
from bridge.config import registry
from bridge.config.resolved import (
    Config,
    DatagramSinkConfig,
    DatagramSourceConfig,
    MessageSinkConfig,
    MessageSourceConfig,
    SinkConfig,
    SourceConfig,
)
from bridge.config.text import size_text

PATIENCE = 10.0
"""Seconds that one connector may take to open: longer than a broker's handshake, shorter than a user's patience."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one table, or one of its channels or lines, found; `problem` says why it is absent."""

    what: str
    found: str = "there"
    problem: str = ""
    hint: str = ""


class _Deaf:
    """A sink that is only opened acknowledges and fails nothing."""

    def on_acknowledged(self, stream: Stream, through: int) -> None: ...
    def on_failed(self, error: ConnectorError) -> None: ...


async def connect_all(config: Config) -> list[Result]:
    """One result for each line of a source, each channel of a datagram sink and each message table, in the file's order."""
    with tempfile.TemporaryDirectory(prefix="bridge-check-") as scratch:
        return await _all(config, Path(scratch))


async def _all(config: Config, scratch: Path) -> list[Result]:
    results: list[Result] = []
    for table in (*config.sources.values(), *config.sinks.values()):
        side = "source" if isinstance(table, DatagramSourceConfig | MessageSourceConfig) else "sink"
        context = VerbContext(table.name, scratch / table.name, quiet=True)
        what = f"{side} {table.name}"
        try:
            async with asyncio.timeout(PATIENCE):
                results += await _opened(table, what, context, config)
        except TimeoutError:
            results.append(Result(what, problem=f"no answer within {PATIENCE:g} s"))
        except BridgeError as error:
            results.append(Result(what, problem=error.message, hint=error.hint))
        finally:
            await context.close()
    return results


async def _opened(table: SourceConfig | SinkConfig, what: str, context: VerbContext, config: Config) -> list[Result]:
    if isinstance(table, DatagramSourceConfig):
        return await _datagram_source(table, what, context)
    if isinstance(table, DatagramSinkConfig):
        return await _datagram_sink(table, what, context, config)
    if isinstance(table, MessageSourceConfig):
        source = table.connector(table.options, context)
        try:
            await source.open(Start("earliest"))
        finally:
            await source.close()
        return [Result(what)]
    return await _message_sink(table, what, context, config)


async def _datagram_source(table: DatagramSourceConfig, what: str, context: VerbContext) -> list[Result]:
    source = table.connector(table.options, context)
    try:
        await source.open()
        return [_line(f"{what}, channel {line.channel}, line {line.name}", line.description) for line in source.lines()]
    finally:
        source.close()


async def _datagram_sink(table: DatagramSinkConfig, what: str, context: VerbContext, config: Config) -> list[Result]:
    sink = table.connector(table.options, context)
    results: list[Result] = []
    try:
        for channel in table.channels or _channels(table, config) or [table.name]:
            outlet = await sink.open(channel)
            results += [
                _line(f"{what}, channel {channel}, line {line.get('line', '')}", line) for line in outlet.description
            ]
            outlet.close()
    finally:
        await sink.close()
    return results


async def _message_sink(table: MessageSinkConfig, what: str, context: VerbContext, config: Config) -> list[Result]:
    """Through the sink's message store where it has one: a second writer would be refused, or would push out the first."""
    path = getattr(table.options, "path", None)
    if isinstance(path, Path) and not path.exists():
        return [_to_be_made(what, path.absolute())]
    channels = _channels(table, config) or [table.name]
    if not table.capabilities.store:
        for channel in channels:
            sink = table.connector(table.options, context)
            try:
                await sink.open(channel, _Deaf())
            finally:
                await sink.close(drain=False)
        return [Result(what)]
    store: MessageStore = registry.load("store", table.kind)(table.options, context)
    try:
        await store.open()
        return [Result(f"{what}, channel {channel}", _stored(await store.streams(channel))) for channel in channels]
    finally:
        await store.close()


def _to_be_made(what: str, path: Path) -> Result:
    parent = next(parent for parent in path.parents if parent.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return Result(what, f"{path} is not there yet, the first run makes it")
    return Result(what, problem=f"{path} cannot be made: {parent} is not writable for this user")


def _stored(streams: Sequence[StreamInfo]) -> str:
    if not streams or streams[-1].tail is None:
        return "nothing stored yet"
    newest = streams[-1]
    return f"stored up to {newest.tail} of session {session_text(newest)}"


def _channels(table: SinkConfig, config: Config) -> list[str]:
    """The channels that the routes bring to a sink, as far as the configuration knows them."""
    found: dict[str, None] = {}
    for route in config.routes.values():
        if table.name in [sink.name for sink in route.sinks] and isinstance(route.source, DatagramSourceConfig):
            found |= dict.fromkeys(route.source.channels)
    return list(found)


def _line(what: str, description: dict[str, Any]) -> Result:
    """A line by its own description: where it is, or why it is not."""
    address, interface = str(description.get("address", "")), description.get("interface")
    if not description.get("joined", description.get("up", True)):
        return Result(f"{what} ({address})", problem=str(description.get("reason") or "not there"))
    found = f"{address}, interface {interface}" if interface else address
    asked, granted = description.get("receive_buffer_asked"), description.get("receive_buffer_granted")
    if asked and granted:
        clamped = f" of {size_text(asked)} asked for" if granted < asked else ""
        found += f", receive buffer {size_text(granted)}{clamped}"
    for key in ("ttl", "mtu"):
        if description.get(key) is not None:
            found += f", {key} {description[key]}"
    return Result(what, found)
