"""What `send` and `listen` share: addresses on the command line, and the multicast connector opened for them."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from bridge.api import Address, AddressError, BridgeError, ConfigurationError
from bridge.api.address import overlap
from bridge.config.registry import Role, load
from bridge.wire import codec
from bridge.wire.native_layout import channel_number
from bridge.wire.packet import Codec

CONNECTOR: Final = "multicast"


def sort_arguments(words: Sequence[str]) -> tuple[list[Address], str | None]:
    """Addresses and at most one FILE, in any order. An argument that parses as an address is one; `./x` is a file.

    Raises `BridgeError` for what is neither, for a second file and for no address at all.
    """
    addresses: list[Address] = []
    files: list[str] = []
    for word in words:
        try:
            addresses.append(Address.parse(word))
        except AddressError as error:
            if word != "-" and "/" not in word and not Path(word).exists():
                hint = f"{error.message}; {error.hint}; and there is no file of this name"
                raise BridgeError(f"{word!r} is no address", hint=hint) from None
            files.append(word)
    if not addresses:
        raise BridgeError("no address is given", hint="write for example 239.1.1.1:5000%eth0; `bridge addresses` helps")
    if len(files) > 1:
        raise BridgeError(f"{files[1]!r} is a second file", hint="give one; `cat` joins several")
    for place, address in enumerate(addresses):
        if any(overlap(address, other) for other in addresses[:place]):
            raise BridgeError(f"{address} is given twice", hint="each address is a line of its own")
    return addresses, files[0] if files else None


def connector(role: Role, options: dict[str, Any], flags: dict[str, str]) -> tuple[type[Any], Any]:
    """The connector's class and its options, validated. `flags`: what a hint about a key of a file is called here.

    Raises `BridgeError`.
    """
    cls = load(role, CONNECTOR)
    try:
        return cls, cls.Options.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        text = first["msg"].removeprefix("Value error, ")
    for key, flag in flags.items():
        text = text.replace(key, flag)
    what, _, hint = text.partition("; ")
    raise BridgeError(what, hint=hint) from None


def protocol_codec(name: str, channel: int = 0) -> Codec:
    """`--protocol`. Raises `BridgeError`."""
    try:
        return codec(name, channel=channel)
    except ConfigurationError as error:
        raise BridgeError(error.message, hint=error.hint) from None


def counted(count: int, what: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def native_channel(text: str | None, codec_name: str) -> int | None:
    """`--channel`: a name, or the channel's number; None where it is not given. Raises `BridgeError`."""
    if text is None:
        return None
    if codec_name != "native":
        raise BridgeError(f"{codec_name} has no channel on the wire", hint="leave --channel out, or --protocol native")
    if not text.isdecimal():
        return channel_number(text)
    if int(text) >= 2**32:
        raise BridgeError(f"channel {text} is above {2**32 - 1}", hint="a channel is a name or its number")
    return int(text)


def session_bytes(text: str, codec: Codec) -> bytes:
    """`--session`. Raises `BridgeError`."""
    if not codec.numbered:
        raise BridgeError(f"{codec.name} has no session on the wire", hint="leave --session out")
    try:
        return codec.parse_session(text)
    except ValueError as error:
        raise BridgeError(str(error)) from None


def on_signals(stop: Callable[[], None]) -> None:
    """The first SIGINT or SIGTERM calls `stop`, the second ends at once."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, first)


def where(description: dict[str, Any]) -> str:
    """`239.1.1.1:5000 on eth0 (the kernel's choice)`."""
    interface = description["interface"]
    chosen = "" if description["interface_named"] else " (the kernel's choice)"
    return str(description["address"]) + (f" on {interface}{chosen}" if interface else "")


@contextlib.asynccontextmanager
async def progress(text: Callable[[], str], wanted: bool = True) -> AsyncIterator[None]:
    """While the block runs, from two seconds on and on a terminal only: how far it is, on a line that goes at the end."""
    if not wanted or not sys.stderr.isatty():
        yield
        return
    telling = asyncio.ensure_future(_tell(text))
    try:
        yield
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        sys.stderr.write("\x1b[K")
        sys.stderr.flush()


async def _tell(text: Callable[[], str]) -> None:
    await asyncio.sleep(2)
    while True:
        sys.stderr.write(f"\r{text()}\x1b[K\r")
        sys.stderr.flush()
        await asyncio.sleep(0.5)
