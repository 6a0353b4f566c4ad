"""`bridge send ADDR… [FILE]`: a sender for any protocol, and for trying out what bad lines do."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.api import Address, BridgeError, DatagramSink, Stream, Unavailable
from bridge.api.options import RateValue, parse_rate, parse_size
from bridge.cli import messages
from bridge.cli.context import VerbContext
from bridge.cli.exits import Exit
from bridge.cli.impairment import ImpairedLine, Impairment
from bridge.cli.lines import (
    connector,
    counted,
    native_channel,
    on_signals,
    progress,
    protocol_codec,
    session_bytes,
    sort_arguments,
    where,
)
from bridge.cli.output import note
from bridge.cli.sending import Line, Sending
from bridge.core.numbering import session_from_time
from bridge.core.payload import LARGEST, MAX_NUMBER, MAX_SEED, SMALLEST, Sizes
from bridge.core.sender import SenderSettings, StreamSender
from bridge.wire.packet import Codec

DEFAULT_CHANNEL = "send"
DEFAULT_RATE = RateValue(bits=200e6)
DEFAULT_SEED = 1
DEFAULT_SIZE = "100B"
END_INTERVAL_NS = 100_000_000
"""Ends of a session follow each other faster than in `run`: who types a command waits for them."""

BATCH_MESSAGES = 512


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What is sent where; values as on the command line, parsed. `file`: "-" is standard input, None too unless
    `count` or `sizes` asks for generated payloads. `impairments`: none, one for all lines, or one a line."""

    addresses: Sequence[Address]
    file: str | None = None
    protocol: str = "raw"
    channel: str | None = None
    session: str | None = None
    count: int | None = None
    rate: RateValue = DEFAULT_RATE
    sizes: Sizes | None = None
    seed: int = DEFAULT_SEED
    impairments: Sequence[Impairment] = ()
    report: Path | None = None
    ttl: int | None = None
    interface: str | None = None
    allow_assigned: bool = False

    @property
    def generates(self) -> bool:
        return self.file is None and (self.count is not None or self.sizes is not None)


def parse_sizes(text: str) -> Sizes:
    """`100B`, `20B..20000B`. Raises ValueError."""
    least, dots, most = text.partition("..")
    for part in (least, most):
        if part.isdecimal():
            raise ValueError(f"{text!r} has no unit; write for example {part}B")
    sizes = Sizes(parse_size(least), parse_size(most if dots else least))
    if not SMALLEST <= sizes.least <= sizes.most <= LARGEST:
        raise ValueError(f"{text!r} is no size from {SMALLEST}B to 64MiB, nor a range of them such as 20B..20000B")
    return sizes


def command(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="ADDR [FILE]",
            help="Groups or hosts, GROUP:PORT[%INTERFACE]; all get the same. FILE: a message a line; - or nothing: "
            "standard input.",
            show_default=False,
        ),
    ],
    protocol: Annotated[str, typer.Option(metavar="NAME", help="raw, native or moldudp64.")] = "raw",
    channel: Annotated[
        str | None, typer.Option(metavar="NAME", help="native: the channel's name or number; default: send.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="S", help="The session as `listen` shows it; default: from the time.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=MAX_NUMBER, help="So many messages; without FILE generated.")
    ] = None,
    rate: Annotated[str, typer.Option(metavar="R", help="N/s messages, or Nbit/s.")] = str(DEFAULT_RATE),
    size: Annotated[
        str | None, typer.Option(metavar="S", help="Generated payloads of 100B, or of 20B..20000B spread evenly.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="For generated payloads and --impair.", show_default="1")
    ] = None,
    impair: Annotated[
        list[str] | None,
        typer.Option(metavar="I", help="loss=1%,duplicate=1%,reorder=2%,delay=5ms on every line; or once for each."),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what was dropped there, as JSON.")] = None,
    ttl: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=255, help="TTL or hop limit; default: 1 for multicast.")
    ] = None,
    interface: Annotated[str | None, typer.Option(metavar="I", help="For addresses that name none with %.")] = None,
    allow_assigned: Annotated[
        bool, typer.Option("--allow-assigned", help="Send to groups that IANA assigned to a protocol.")
    ] = False,
) -> int:
    """Send messages to groups.

    Each line of the input is a message. With --count or --size and without FILE, payloads are generated that
    `listen --verify` can check.
    """
    addresses, file = sort_arguments(arguments)
    try:
        options = SendOptions(
            addresses=addresses,
            file=file,
            protocol=protocol,
            channel=channel,
            session=session,
            count=count,
            rate=parse_rate(rate),
            sizes=None if size is None else parse_sizes(size),
            seed=DEFAULT_SEED if seed is None else seed,
            impairments=[Impairment.parse(text) for text in impair or ()],
            report=report,
            ttl=ttl,
            interface=interface,
            allow_assigned=allow_assigned,
        )
    except ValueError as error:
        raise BridgeError(str(error)) from None
    if seed is not None and not options.generates and not options.impairments:
        raise BridgeError("--seed has nothing to do", hint="it is for generated payloads (--count) and for --impair")
    return send(options)


def send(options: SendOptions) -> int:
    """Send until the input ends, `count` is reached or a signal comes; the exit status. Raises `BridgeError`."""
    if options.sizes is not None and options.file is not None:
        raise BridgeError("--size is for generated payloads", hint=f"leave out --size or {options.file}")
    if len(options.impairments) not in (0, 1, len(options.addresses)):
        raise BridgeError(
            f"{len(options.impairments)} times --impair for {len(options.addresses)} addresses",
            hint="give it once for all lines, or once for each",
        )
    if options.seed > MAX_SEED:
        raise BridgeError(f"seed {options.seed} is above {MAX_SEED}", hint="give a smaller one")
    number = native_channel(options.channel, options.protocol)
    if number is None and options.protocol == "native":
        number = native_channel(DEFAULT_CHANNEL, "native")
    wire = protocol_codec(options.protocol, number or 0)
    session = session_from_time(time.time_ns(), wire)
    if options.session is not None:
        session = session_bytes(options.session, wire)
    return asyncio.run(_send(options, wire, session))


async def _send(options: SendOptions, wire: Codec, session: bytes) -> int:
    names = [chr(ord("A") + place) if place < 26 else f"L{place + 1}" for place in range(len(options.addresses))]
    settings: dict[str, Any] = {
        "channel": {f"send.{name}": {"lines": [str(a)]} for name, a in zip(names, options.addresses, strict=True)},
        "allow_assigned": options.allow_assigned,
        "ttl": options.ttl,
        "interface": options.interface,
    }
    cls, checked = connector("datagram_sink", settings, {"set allow_assigned = true": "give --allow-assigned"})
    context = VerbContext("send", Path())
    sink: DatagramSink = cls(checked, context)
    try:
        impairments = list(options.impairments) or [Impairment()]
        impairments *= len(names) if len(impairments) == 1 else 1
        lines = [
            Line(name, await sink.open(f"send.{name}"), ImpairedLine(impairments[place], options.seed, place))
            for place, name in enumerate(names)
        ]
        sending = _prepared(options, wire, lines)
        on_signals(sending.stop)
        began = time.monotonic()
        stream = Stream(options.channel or DEFAULT_CHANNEL, session)
        with _input(options) as batches:
            _say_where(options, wire, session, lines)
            async with progress(lambda: f"{sending.messages} messages, {sending.datagrams} datagrams"):
                await sending.run(batches, stream, wire.name)
        seconds = time.monotonic() - began
        report = {
            "format": 1,
            "protocol": wire.name,
            "channel": stream.channel,
            "session": wire.session_text(session),
            "seed": options.seed,
            "seconds": round(seconds, 3),
            **sending.report(),
        }
        if options.report is not None:
            _write_report(options.report, report)
        return _ended(options, sending, seconds)
    finally:
        await sink.close()
        await context.close()


def _prepared(options: SendOptions, wire: Codec, lines: list[Line]) -> Sending:
    if not any(line.description["up"] for line in lines):
        reasons = "; ".join(f"{line.description['address']}: {line.description['reason']}" for line in lines)
        raise Unavailable(f"nothing can be sent: {reasons}", hint="name an interface with %, for example %lo")
    settings = SenderSettings(
        max_datagram=min(line.outlet.max_datagram for line in lines), end_interval_ns=END_INTERVAL_NS
    )
    sender = StreamSender(wire, settings)
    if options.generates:
        sizes = options.sizes or parse_sizes(DEFAULT_SIZE)
        if sizes.most > sender.max_message:
            raise BridgeError(
                f"messages of {sizes.most} bytes do not fit: {wire.name} carries {sender.max_message} here",
                hint="give a smaller --size" + ("" if wire.fragments else ", or --protocol native, which splits them"),
            )
    return Sending(wire, sender, lines, options.rate)


@contextlib.contextmanager
def _input(options: SendOptions) -> Iterator[AsyncIterator[list[bytes]]]:
    """The messages, in batches no larger than what the rate lets out in 20 ms, so that an end need not wait."""
    most, size = BATCH_MESSAGES, messages.BATCH_BYTES
    if options.rate.messages is not None:
        most = max(1, min(most, int(options.rate.messages * 0.005)))
    elif options.rate.bits is not None:
        size = max(1, min(size, int(options.rate.bits / 8 * 0.02)))
    if options.generates:
        sizes = options.sizes or parse_sizes(DEFAULT_SIZE)
        yield messages.generated(options.seed, sizes, options.count, most, size)
    elif options.file is None or options.file == "-":
        if sys.stdin.isatty():
            note("each line is a message; Ctrl-D ends")
        yield messages.lines(sys.stdin.fileno(), options.count, most)
    else:
        try:
            descriptor = os.open(options.file, os.O_RDONLY | os.O_CLOEXEC)
            os.read(descriptor, 0)
        except OSError as error:
            raise BridgeError(f"{options.file} cannot be read: {error.strerror}") from None
        try:
            yield messages.lines(descriptor, options.count, most)
        finally:
            os.close(descriptor)


def _say_where(options: SendOptions, wire: Codec, session: bytes, lines: list[Line]) -> None:
    shown = f" session {wire.session_text(session)}" if wire.numbered else ""
    for line in lines:
        told = line.description
        ttl = "" if told["ttl"] is None else f", TTL {told['ttl']}"
        up = "" if told["up"] else f" (not now: {told['reason']})"
        note(f"sending {wire.name}{shown} to {where(told)}{ttl}, at most {options.rate}{up}")


def _write_report(path: Path, report: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(report) + "\n")
    except OSError as error:
        raise BridgeError(f"the report cannot be written to {path}: {error.strerror}") from None


def _ended(options: SendOptions, sending: Sending, seconds: float) -> int:
    for event in sending.unsendable:
        which = f"message {event.first}" if event.first == event.last else f"messages {event.first} to {event.last}"
        note(f"error: {which} could not be sent: {event.detail}")
    for line in sending.lines:
        if line.missed:
            note(f"error: line {line.name} was down for {counted(line.missed, 'datagram')}")
    if options.generates or options.impairments:
        done = f"{counted(sending.messages, 'message')} in {counted(sending.datagrams, 'datagram')}"
        note(f"sent {done} in {seconds:.1f} s")
    if options.impairments:
        for line in sending.lines:
            i = line.impaired
            note(f"line {line.name}: {i.lost} lost, {i.duplicated} duplicated, {i.reordered} reordered")
        if len(sending.lines) > 1:
            note(f"{counted(sending.lost_on_all.size, 'message')} lost on all lines")
    return Exit.LOST if sending.unsendable or any(line.missed for line in sending.lines) else Exit.DONE
