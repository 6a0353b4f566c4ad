"""The engine's own settings: what a table of the configuration may hold besides the options of its connector.

One class a kind of table; each field's description is what the reference prints. Durations are seconds, sizes bytes.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from bridge.api import Duration, Options, Rate, Secret, Size
from bridge.config.fields import ListenAddress, Name, Network, StartField, one_or_more, setting
from bridge.config.keys import nearest
from bridge.wire import NAMES as PROTOCOLS

_START: Any = "latest"
_ADMIN: Any = "127.0.0.1:9464"


def _protocol(value: Any) -> Any:
    if value in PROTOCOLS:
        return value
    near = nearest(str(value), PROTOCOLS)
    raise ValueError(
        f"there is no protocol {value!r}; {f'did you mean {near!r}? ' * bool(near)}there are {', '.join(PROTOCOLS)}"
    )


ProtocolName = Annotated[
    str, BeforeValidator(_protocol), WithJsonSchema({"type": "string", "enum": list(PROTOCOLS), "examples": ["native"]})
]
"""The name of a wire protocol."""


class LogSettings(Options):
    """What is logged to standard error, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least severe event that is logged"
    )
    format: Literal["text", "json"] = Field("text", description="a line for people, or one JSON object a line")


class BridgeSettings(Options):
    """`[bridge]`: this process."""

    name: Name = Field(
        "${HOSTNAME}",
        description="names this bridge in status, logs and metrics; no two that share a broker are called the same",
    )
    state: Path | None = Field(
        None,
        description="directory for spool, positions, lock and losses.jsonl; "
        "default $STATE_DIRECTORY, else ~/.local/state/multicast-bridge/NAME",
    )
    admin: ListenAddress = Field(
        _ADMIN, description='where /metrics, /status, /healthz and /readyz answer; "" turns it off'
    )
    allow: list[Network] = Field([], description="who may ask there; needed beyond loopback")
    drain: Duration = setting("10s", "how long the end waits for sinks to take what is pending; the rest stays on disk")
    log: LogSettings = Field(LogSettings(), description="logging")
    session_grace: Duration = setting("5s", "how long a session that was left may still complete")


class GapSettings(Options):
    """`gap`: when a missing number is a gap, and what happens to it."""

    hold: Duration = setting("20ms", "how long a missing number may still be a reordered one", ge=0)
    hold_packets: int = Field(256, ge=1, description="and behind how many packets at most")
    deadline: Duration = setting("0s", "how long an open gap is kept for recovery", ge=0)
    then: Literal["skip", "wait", "stop"] = Field(
        "skip", description="after the deadline: report it and go on, wait until `bytes` are held, or stop the channel"
    )
    bytes: Size = setting("64MiB", "how much may wait behind gaps; at the cap the oldest gap is decided", gt=0)


class NativeAuth(Options):
    """`auth`: keys of the native protocol."""

    keys: list[Secret] = Field(
        min_length=1, max_length=4, description="the first signs what is sent, any verifies what is received"
    )


class _DatagramSettings(Options):
    protocol: ProtocolName = Field(description="the wire protocol: raw, native or moldudp64")
    id: int | None = Field(
        None, ge=0, lt=2**32, description="the channel's number on the native wire; default: CRC-32 of its name"
    )
    auth: NativeAuth | None = Field(None, description="authentication of the native protocol")
    max_message: Size | None = Field(
        None, gt=0, description="the largest message; default: 64MiB for native, else what one datagram holds"
    )


class DatagramSourceSettings(_DatagramSettings):
    """`[source.X]` of a datagram connector, and each of its `channel` tables."""

    gap: GapSettings = Field(GapSettings(), description="gaps and what happens to them; not for raw")
    max_delay: Duration = setting(
        "1ms", "how long datagrams may wait in the socket to be taken together", ge=0.0001, le=1
    )
    max_jump: int = Field(
        1_000_000,
        ge=1,
        description="numbers that one packet may leap ahead at most without a second one; less where "
        "reordering does not explain it; not for raw",
    )
    silent_after: Duration = setting("5s", "a line without a datagram for so long is reported", gt=0)
    quarantine: bool = Field(False, description="keep a sample of datagrams that are no packets with their event")


class DatagramSinkSettings(_DatagramSettings):
    """`[sink.X]` of a datagram connector, and each of its `channel` tables."""

    rate: Rate = setting("200Mbit/s", '"N/s" messages or "Nbit/s" of UDP payload, for each channel')
    burst: Duration = setting("5ms", "how much of `rate` may be sent at once after a pause", gt=0, le=1)
    heartbeat: Duration = setting("1s", "how often the next number is announced in silence; not for raw", gt=0)
    end_count: int = Field(
        5, ge=1, le=100, description="how often the end of a session is sent, a second apart; not for raw"
    )
    holes: Literal["packet", "empty"] = Field(
        "packet", description="holes as packets of their own, or as empty messages where the protocol has none"
    )


class MessageSourceSettings(Options):
    """`[source.X]` of a message connector."""

    start: StartField = Field(
        _START,
        description="latest, earliest, a sequence, position:P or a time; the first start only, then it goes on where it was",
    )
    sequence: Literal["preserve", "position", "arrival"] = Field(
        "preserve", description="where numbers come from; preserve: as the bridge that stored them wrote them"
    )


class MessageSinkSettings(Options):
    """`[sink.X]` of a message connector: the engine has no settings of its own for it in this version."""


Destinations = Annotated[
    list[Name],
    BeforeValidator(one_or_more),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class RouteSettings(Options):
    """`[route.X]`: from one source to one or more sinks, and what waits between them."""

    source: Name = Field(alias="from", description="the name of a source")
    to: Destinations = Field(min_length=1, description="names of sinks; each has its own cursor")
    window: Literal["memory", "disk"] = Field(
        "memory", description="disk: everything received is also written at once, so that a killed bridge loses nothing"
    )
    memory: Size = setting("64MiB", "what waits in memory before it goes to disk, for each channel", ge=65536)
    spool: Size = setting("1GiB", "bytes on disk, shared by the sinks of the route", ge=0)
    keep: Duration = setting("5s", "how long what was acknowledged is kept, for a broker whose tail moves back", ge=0)
    overload: Literal["drop-oldest", "drop-newest", "stop"] = Field(
        "drop-oldest", description="what happens when the spool is full; not for routes from a message source"
    )
