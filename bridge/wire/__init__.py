"""Bytes to packets and back, without state: one file per protocol, found by name through `codec`."""

from collections.abc import Sequence
from difflib import get_close_matches

from bridge.api.errors import ConfigurationError
from bridge.wire.packet import MAX_DATAGRAM, Codec

NAMES = ("raw", "native", "moldudp64")
"""The protocols that a source or a sink may name."""


def codec(
    name: str,
    *,
    channel: int = 0,
    keys: Sequence[bytes] = (),
    max_message: int | None = None,
    origin: int | None = None,
) -> Codec:
    """The codec of protocol `name` for one channel.

    `channel` and `origin` are the numbers of channel and bridge on wires that have a place for them (native).
    `keys` authenticate (native only): the first signs, any verifies. `max_message` is in bytes; None is the wire's
    own limit (native: 64 MiB, else what one datagram holds). Raises ConfigurationError for what cannot be.
    """
    if name not in NAMES:
        close = get_close_matches(name, NAMES, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"the protocols are {', '.join(NAMES)}"
        raise ConfigurationError(f"there is no protocol {name!r}", key="protocol", hint=hint)
    if keys and name != "native":
        raise ConfigurationError(
            f"{name} cannot be authenticated", key="keys", hint='only protocol = "native" has a place for a MAC'
        )
    try:
        if name == "native":
            from bridge.wire.native import DEFAULT_MAX_MESSAGE, NativeCodec

            largest = DEFAULT_MAX_MESSAGE if max_message is None else max_message
            return NativeCodec(channel, keys=keys, max_message=largest, origin=origin)
        largest = MAX_DATAGRAM if max_message is None else max_message
        if name == "moldudp64":
            from bridge.wire.moldudp64 import MoldUDP64Codec

            return MoldUDP64Codec(max_message=largest)
        from bridge.wire.raw import RawCodec

        return RawCodec(max_message=largest)
    except ValueError as error:
        raise ConfigurationError(f"protocol {name}: {error}") from None
