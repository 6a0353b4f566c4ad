"""Kinds of values that the engine's own settings have beside those of `bridge.api.options`."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema

from bridge.api import Start

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
NAME_RULE = "letters, digits, `.`, `_` and `-`, at most 64, the first a letter or a digit"
_NAME = re.compile(NAME_PATTERN.replace("$", r"\Z"))


def setting(default: str, description: str, **limits: Any) -> Any:
    """A field whose default is written with its unit, as a user would write it."""
    return Field(default=default, description=description, **limits)


def is_name(text: str) -> bool:
    """Whether `text` may name a bridge, source, sink, route or channel."""
    return _NAME.match(text) is not None


def _name(value: Any) -> str:
    if isinstance(value, str) and is_name(value):
        return value
    raise ValueError(f"{value!r} is no name; names have {NAME_RULE}")


Name = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]
"""The name of a bridge, source, sink, route or channel."""


class Endpoint(NamedTuple):
    """Where a TCP listener binds."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        return self.host == "localhost" or ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(value: Any) -> Endpoint | None:
    """`127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`; empty text is None. Raises ValueError with the fix."""
    if value == "":
        return None
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+)):([0-9]{1,5})", value) if isinstance(value, str) else None
    if match is None or int(match[3]) > 65535:
        raise ValueError(f'{value!r} is no listening address; write for example "127.0.0.1:9464", or "" for none')
    host = match[1] or match[2]
    if host != "localhost":
        try:
            host = str(ip_address(host))
        except ValueError:
            raise ValueError(f'{host!r} is no IP address; write for example "127.0.0.1:9464"') from None
    return Endpoint(host, int(match[3]))


ListenAddress = Annotated[
    Endpoint | None,
    BeforeValidator(parse_endpoint),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:9464", ""]}),
]
"""Where a TCP listener binds; None for `""`, which turns it off."""

IPNetwork = IPv4Network | IPv6Network


def _network(value: Any) -> IPNetwork:
    try:
        return ip_network(str(value))
    except ValueError:
        raise ValueError(f'{value!r} is no network; write for example "10.20.0.0/16"') from None


Network = Annotated[
    IPNetwork, BeforeValidator(_network), WithJsonSchema({"type": "string", "examples": ["10.20.0.0/16"]})
]
"""Addresses that are allowed: one, or a network with its prefix length."""


def parse_time(text: str) -> int:
    """An ISO 8601 time, UTC where it names no zone, to nanoseconds since 1970; up to nine decimals. Raises ValueError."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,9}))?\s*(Z|z|[+-]\d\d:?\d\d)?", text)
    if match is None:
        raise ValueError(f'{text!r} is no time; write for example "2025-07-01T13:30:00Z"')
    moment = datetime.fromisoformat(match[1] + (match[3] or "Z").upper().replace("Z", "+00:00"))
    return int(moment.timestamp()) * 10**9 + int((match[2] or "").ljust(9, "0"))


def parse_start(value: Any) -> Start:
    """`latest`, `earliest`, a sequence, `position:P` or a time. Raises ValueError with the fix in its text."""
    if isinstance(value, Start):
        return value
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return Start("time", int(aware.timestamp()) * 10**9 + aware.microsecond * 1000)
    if isinstance(value, date):
        return Start("time", int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()) * 10**9)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Start("sequence", value)
    if isinstance(value, str):
        if value in ("latest", "earliest"):
            return Start("latest" if value == "latest" else "earliest")
        if value.isdecimal():
            return Start("sequence", int(value))
        if value.startswith("position:") and value != "position:":
            return Start("position", value.removeprefix("position:"))
        if re.match(r"\d{4}-", value):
            return Start("time", parse_time(value))
    raise ValueError(
        f'{value!r} is no start; write "latest", "earliest", a sequence number, "position:P" or a time '
        'such as "2025-07-01T13:30:00Z"'
    )


StartField = Annotated[
    Start,
    BeforeValidator(parse_start),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["latest", "earliest", 1, "2025-07-01T13:30:00Z"]}),
]
"""Where a message source begins at its first start."""


def one_or_more(value: Any) -> Any:
    """A single text stands for a list of one."""
    return [value] if isinstance(value, str) else value


def merged(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """`outer` with the keys of `inner`; tables that both have are merged key by key."""
    result = dict(outer)
    for key, value in inner.items():
        mine = result.get(key)
        result[key] = merged(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return result
