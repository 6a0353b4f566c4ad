"""`bridge listen ADDR…`: looks at a group, in any protocol; several addresses are lines of one channel."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.api import Address, BridgeError, DatagramSource
from bridge.cli.arguments import seconds
from bridge.cli.context import VerbContext
from bridge.cli.exits import Exit
from bridge.cli.lines import connector, native_channel, on_signals, progress, protocol_codec, sort_arguments
from bridge.cli.listening import Format, Listening, Output
from bridge.cli.output import note
from bridge.cli.verification import Verification

DEFAULT_CHANNEL = "listen"


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """What is listened to and how it is shown; values as on the command line, parsed. `form` None writes nothing."""

    addresses: Sequence[Address]
    protocol: str = "raw"
    channel: str | None = None
    count: int | None = None
    seconds: float | None = None
    form: Format | None = Format.TEXT
    verify: bool = False


def command(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="ADDR",
            help="[SENDERS@]GROUP:PORT[%INTERFACE]; several are lines of one channel.",
            show_default=False,
        ),
    ],
    protocol: Annotated[str, typer.Option(metavar="NAME", help="raw, native or moldudp64.")] = "raw",
    channel: Annotated[
        str | None, typer.Option(metavar="NAME", help="native: only this channel, by name or number; default: all.")
    ] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many messages.")] = None,
    for_: Annotated[
        float | None,
        typer.Option("--for", parser=seconds, metavar="S", help="End after so many seconds; 1 if --count is not met."),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="text: a message a line; raw: the bytes as they are; hex as tcpdump -X; jsonl.",
            show_default="text, nothing with --verify",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check generated payloads: order, each once, every byte.")
    ] = False,
) -> int:
    """Print the messages of a group.

    Ends by Ctrl-C, --count or --for. Exits 1 if --count is not reached within --for, or --verify fails.
    """
    addresses, file = sort_arguments(arguments)
    if file is not None:
        raise BridgeError(f"{file!r} is no address", hint="write for example 239.1.1.1:5000%eth0")
    if form is None and not verify:
        form = Format.TEXT
    return listen(ListenOptions(addresses, protocol, channel, count, for_, form, verify))


def listen(options: ListenOptions) -> int:
    """Listen until `count`, `seconds`, a signal or a closed pipe; the exit status. Raises `BridgeError`."""
    number = native_channel(options.channel, options.protocol)
    return asyncio.run(_listen(options, number))


async def _listen(options: ListenOptions, number: int | None) -> int:
    settings: dict[str, Any] = {
        "lines": [str(address) for address in options.addresses],
        "allow_assigned": True,  # looking at what others send disturbs nobody
        "allow_any_source": True,
    }
    for address in options.addresses:
        if address.is_source_specific and not address.sources:
            note(
                f"{address.group} is source-specific and no sender is named: routers may not forward it; SENDER@{address}"
            )
    wire = protocol_codec(options.protocol)
    cls, checked = connector("datagram_source", settings, {})
    context = VerbContext(options.channel or DEFAULT_CHANNEL, Path())
    source: DatagramSource = cls(checked, context)
    output = Output(options.form, options.count, wire.session_text)
    verification = Verification() if options.verify else None
    listening = Listening(source, wire, context.name, number, output, verification)
    on_signals(listening.stop)
    try:
        # what comes is not shown then, so say how much it is
        async with progress(lambda: f"{output.messages} messages", wanted=options.form is None):
            await listening.run(options.seconds)
        note(listening.summary())
    finally:
        source.close()
        await context.close()
    if listening.closed_pipe:
        raise BrokenPipeError
    if verification is not None:
        note(verification.lines())
        if verification.failed:
            return Exit.LOST
    short = options.count is not None and output.messages < options.count and not listening.interrupted
    return Exit.LOST if short else Exit.DONE
