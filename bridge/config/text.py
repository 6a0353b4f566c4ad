"""Values as a user would write them: 0.02 of a Duration is `20ms`, 67108864 of a Size is `64MiB`."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bridge.api import Address, Start
from bridge.api.options import parse_duration, parse_size
from bridge.config.fields import Endpoint

Unit = Literal["duration", "size", ""]

_DURATIONS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
_SIZES = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
_USERINFO = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s:]*):[^/?#@\s]+@")


def duration_text(seconds: float) -> str:
    """The largest unit that leaves a whole number, `90s` for 90 and `1.5ms` for 0.0015."""
    if seconds == 0:
        return "0s"
    nanoseconds = round(seconds * 1e9)
    for unit, size in _DURATIONS:
        count, rest = divmod(nanoseconds, round(size * 1e9))
        if count and not rest:
            return f"{count}{unit}"
    return f"{seconds:g}s"


def size_text(size: int) -> str:
    """The largest binary unit that leaves a whole number."""
    for unit, factor in _SIZES:
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def unit_of(field: FieldInfo) -> Unit:
    """Whether a field is a duration or a size, by what parses it."""
    for piece in [*field.metadata, *_metadata(field.annotation)]:
        parser = getattr(piece, "func", None)
        if parser is parse_duration:
            return "duration"
        if parser is parse_size:
            return "size"
    return ""


def _metadata(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for argument in get_args(annotation):
        yield from _metadata(argument)


def value_text(value: Any, unit: Unit = "") -> str:
    """One value for a start-up line. Secrets are stars, and so is a password in a URL."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if unit == "duration" and isinstance(value, int | float):
        return duration_text(value)
    if unit == "size" and isinstance(value, int):
        return size_text(value)
    if isinstance(value, Endpoint | Address | Path | IPv4Address | IPv6Address | IPv4Network | IPv6Network):
        return str(value)
    if isinstance(value, Start):
        return value.at if value.value is None else f"{value.at}:{value.value}"
    if isinstance(value, BaseModel):
        return "{ " + ", ".join(f"{key} = {text}" for key, text in model_values(value)) + " }"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {value_text(item)}" for key, item in value.items()) + " }"
    return _USERINFO.sub(r"\1:***@", str(value)) if isinstance(value, str) else str(value)


def model_values(model: BaseModel, leave_out: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Every key of a table with its value in force, as text."""
    return [
        (field.alias or name, value_text(getattr(model, name), unit_of(field)))
        for name, field in type(model).model_fields.items()
        if name not in leave_out
    ]
