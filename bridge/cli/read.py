"""`bridge read CONFIG SINK CHANNEL`: what a sink's retention holds, by sequence or by time."""

import asyncio
import sys
from enum import StrEnum
from typing import Annotated, NamedTuple

import typer

from bridge.api import Data, MessageStore, Never, NotYet, Piece, StreamInfo, Trimmed
from bridge.cli.arguments import ConfigPath, load_config
from bridge.cli.context import VerbContext
from bridge.cli.exits import Exit
from bridge.cli.output import note
from bridge.cli.render import hex_head, hexdump, jsonl, text
from bridge.config import registry
from bridge.config.fields import parse_time
from bridge.config.keys import nearest
from bridge.config.resolved import Config, MessageSinkConfig
from bridge.wire import NAMES, codec


class Format(StrEnum):
    """How messages are written."""

    JSONL = "jsonl"
    TEXT = "text"
    HEX = "hex"


class Bound(NamedTuple):
    """One end of what is wanted: a sequence number, or a time in ns."""

    number: int | None = None
    time_ns: int | None = None

    @classmethod
    def parse(cls, value: str | None) -> "Bound":
        """Raises `typer.BadParameter`."""
        if value is None:
            return cls()
        if value.isdecimal():
            return cls(number=int(value))
        try:
            return cls(time_ns=parse_time(value))
        except ValueError as error:
            raise typer.BadParameter(f"{error}, or a sequence number") from None


class Wanted(NamedTuple):
    """What of a channel is to be read."""

    first: Bound
    last: Bound
    session: str | None


def command(
    config: ConfigPath,
    sink: Annotated[str, typer.Argument(metavar="SINK", help="The sink's name.", show_default=False)],
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name.", show_default=False)],
    first: Annotated[
        str | None, typer.Option("--from", metavar="N", help="From this sequence number or time; default: the oldest.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="M", help="Up to this one, included; default: the newest.")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(metavar="S", help="SESSION or SESSION/RESTART; default: by time all, by number the newest."),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help="How messages are written: jsonl, text or hex.")
    ] = Format.JSONL,
) -> int:
    """Print what retention holds, by sequence or time.

    Messages go to standard output; holes and what retention removed are said on standard error. Exits 1 if it met
    numbers that retention removed.
    """
    wanted = Wanted(Bound.parse(first), Bound.parse(last), session)
    for low, high in zip(wanted.first, wanted.last, strict=False):
        if isinstance(low, int) and isinstance(high, int) and low > high:
            raise typer.BadParameter(f"--from {first} is behind --to {last}")
    loaded = load_config(config)
    return asyncio.run(_read(loaded, _sink(loaded, sink), channel, wanted, form))


def session_text(info: StreamInfo) -> str:
    """A stored stream's session as its protocol writes it."""
    protocol = info.protocol if info.protocol in NAMES else "raw"
    return codec(protocol).session_text(info.stream.session)


def _sink(config: Config, name: str) -> MessageSinkConfig:
    table = config.sinks.get(name)
    if table is None:
        near = nearest(name, config.sinks)
        meant = f"; did you mean {near!r}?" if near else ""
        raise typer.BadParameter(f"no sink is called {name!r}, there are {', '.join(config.sinks)}{meant}")
    if not isinstance(table, MessageSinkConfig) or not table.capabilities.store:
        raise typer.BadParameter(f"sink {name!r} ({table.kind}) is no message store")
    return table


async def _read(config: Config, sink: MessageSinkConfig, channel: str, wanted: Wanted, form: Format) -> int:
    context = VerbContext(sink.name, config.state / sink.name)
    store: MessageStore = registry.load("store", sink.kind)(sink.options, context)
    try:
        await store.open()
        streams = await store.streams(channel)
        if not streams:
            channels = ", ".join(sorted(await store.channels())) or "none"
            raise typer.BadParameter(f"sink {sink.name!r} holds no channel {channel!r}; it holds {channels}")
        trimmed = False
        for info in _chosen(streams, wanted):
            lowest, highest = await _range(store, info, wanted)
            if lowest is None or highest is None or lowest > highest:
                continue
            async for piece in store.read(info.stream, lowest, highest):
                trimmed |= isinstance(piece, Trimmed)
                _write(piece, info, form)
        return Exit.LOST if trimmed else Exit.DONE
    finally:
        await store.close()
        await context.close()


def _chosen(streams: list[StreamInfo], wanted: Wanted) -> list[StreamInfo]:
    if wanted.session is not None:
        names = [f"{session_text(info)}/{info.stream.restart}" for info in streams]
        name, _, restart = wanted.session.partition("/")
        chosen = [i for i in streams if session_text(i) == name and restart in ("", str(i.stream.restart))]
        if not chosen:
            raise typer.BadParameter(f"there is no session {wanted.session!r}, there are {', '.join(names)}")
        return chosen if restart or wanted.first.time_ns or wanted.last.time_ns else chosen[-1:]
    by_number = wanted.first.number is not None or wanted.last.number is not None
    by_time = wanted.first.time_ns is not None or wanted.last.time_ns is not None
    return streams if by_time and not by_number else streams[-1:]


async def _range(store: MessageStore, info: StreamInfo, wanted: Wanted) -> tuple[int | None, int | None]:
    """The first and last number to ask for; None where the stream holds nothing."""
    decided = [number for number in (info.tail, info.through) if number is not None]
    first = info.first if info.first_left is None else info.first_left
    last = max(decided) if decided else None
    if wanted.first.number is not None:
        first = wanted.first.number
    elif wanted.first.time_ns is not None:
        first = await store.number_at(info.stream, wanted.first.time_ns)
    if wanted.last.number is not None:
        last = wanted.last.number
    elif wanted.last.time_ns is not None:
        last = await store.number_at(info.stream, wanted.last.time_ns + 1) - 1
    return first, last


def _write(piece: Piece, info: StreamInfo, form: Format) -> None:
    if isinstance(piece, Data):
        _write_messages(piece, info, form)
    elif isinstance(piece, Trimmed):
        note(f"trimmed: {_numbers(piece.first, piece.last)}; the first left is {piece.first_left}")
    elif isinstance(piece, Never):
        note(f"hole: {_numbers(piece.first, piece.last)} ({piece.reason})")
    elif isinstance(piece, NotYet):
        stored = "nothing is stored" if piece.tail is None else f"the last is {piece.tail}"
        note(f"not yet: {_numbers(piece.first, piece.last)}; {stored}")


def _write_messages(piece: Data, info: StreamInfo, form: Format) -> None:
    batch, session = piece.batch, session_text(info)
    channel, terminal, out = info.stream.channel, sys.stdout.isatty(), sys.stdout.buffer
    for index, payload in enumerate(batch.payloads):
        number = batch.number(index)
        if form is Format.TEXT:
            out.write(text(payload, terminal=terminal))
        elif form is Format.HEX:
            lines = [hex_head(channel, session, number, batch.time_ns, payload), *hexdump(payload)]
            out.write("".join(f"{line}\n" for line in lines).encode())
        else:
            identity = f"{info.epoch}-{number}"
            position = piece.position if index == 0 else None  # a store says where its answer begins, not each message
            line = jsonl(channel, session, number, batch.time_ns, payload, identity=identity, position=position)
            out.write(line.encode() + b"\n")
    out.flush()


def _numbers(first: int, last: int) -> str:
    return f"number {first}" if first == last else f"numbers {first} to {last}"
