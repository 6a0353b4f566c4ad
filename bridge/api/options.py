"""Options: one declaration per setting drives the parser, the error, the sample config, the reference and the schema.

A connector declares `class Options(bridge.api.Options)` with one field per setting: `Duration`, `Size`, `Rate`, `Secret`
and plain types, each with a description. Unknown keys are errors. Units are part of the value (`250ms`, `64MiB`,
`200Mbit/s`, `5000/s`); a bare number is an error that shows the fix.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

_DURATION = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_SIZE = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_BITS = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
_NUMBER_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([^\s0-9.][^\s]*)?\s*\Z")


def _split(value: Any, what: str, example: str) -> tuple[float, str]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f'{value!r} is no {what}; write for example "{example}"')
    match = _NUMBER_UNIT.match(str(value))
    if match is None:
        raise ValueError(f'{value!r} is no {what}; write for example "{example}"')
    if match[2] is None:
        unit = example.lstrip("0123456789.")
        raise ValueError(f'{value!r} has no unit; write for example "{value}{unit}"')
    return float(match[1]), match[2]


def parse_duration(value: Any) -> float:
    """`250ms`, `5s`, `30d` → seconds. Raises ValueError with the fix in its text."""
    number, unit = _split(value, "duration", "5s")
    if unit not in _DURATION:
        raise ValueError(f"{value!r} has an unknown unit {unit!r}; durations are in ns, us, ms, s, m, h or d")
    return number * _DURATION[unit]


def parse_size(value: Any) -> int:
    """`64MiB`, `1500B` → bytes. Raises ValueError with the fix in its text."""
    number, unit = _split(value, "size", "64MiB")
    if unit not in _SIZE:
        raise ValueError(
            f"{value!r} has an unknown unit {unit!r}; sizes are in B, KiB, MiB, GiB, TiB, kB, MB, GB or TB"
        )
    return int(number * _SIZE[unit])


@dataclass(frozen=True, slots=True)
class RateValue:
    """A limit: `messages` a second, or `bits` a second (of UDP payload); the other one is None."""

    messages: float | None = None
    bits: float | None = None

    def __str__(self) -> str:
        if self.bits is None:
            return f"{self.messages:g}/s"
        unit = next(u for u, n in reversed(_BITS.items()) if self.bits >= n or n == 1)
        return f"{self.bits / _BITS[unit]:g}{unit}"


def parse_rate(value: Any) -> RateValue:
    """`5000/s` messages, `200Mbit/s` bandwidth. Raises ValueError with the fix in its text."""
    if isinstance(value, RateValue):
        return value
    number, unit = _split(value, "rate", "200Mbit/s")
    if number <= 0:
        raise ValueError(f"{value!r} must be above zero")
    if unit == "/s":
        return RateValue(messages=number)
    if unit in _BITS:
        return RateValue(bits=number * _BITS[unit])
    raise ValueError(f"{value!r} has an unknown unit {unit!r}; rates are in /s (messages), kbit/s, Mbit/s or Gbit/s")


class SecretValue:
    """A value that never shows: its text, repr and JSON are stars. `reveal()` where it is handed to a client library."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretValue) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Referenced(str):
    """Text that the loader took from the environment or from a file, not from the configuration itself.

    It becomes plain text in every field but `Secret`, where it is the only text that is accepted.
    """

    __slots__ = ()


def _secret(value: Any) -> SecretValue:
    if isinstance(value, SecretValue):
        return value
    if isinstance(value, Referenced):
        return SecretValue(str(value))
    raise ValueError('a secret is not written into the file; use "${NAME}" for the environment or "file:PATH"')


def _text_schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Duration = Annotated[float, BeforeValidator(parse_duration), _text_schema(r"^[0-9.]+(ns|us|ms|s|m|min|h|d)$", "250ms")]
"""Seconds as float, written with a unit. A default is written as text too (validate_default is on)."""
Size = Annotated[int, BeforeValidator(parse_size), _text_schema(r"^[0-9.]+(B|[kKMGT]B|[KMGT]iB)$", "64MiB")]
"""Bytes as int, written with a unit."""
Rate = Annotated[RateValue, BeforeValidator(parse_rate), _text_schema(r"^[0-9.]+(/s|[kMG]?bit/s)$", "200Mbit/s")]
"""A `RateValue`, written with a unit."""
Secret = Annotated[SecretValue, BeforeValidator(_secret), WithJsonSchema({"type": "string", "format": "password"})]
"""A `SecretValue`, only from `${NAME}` or `file:PATH`."""


class Options(BaseModel):
    """Base of all option declarations: unknown keys are errors, defaults are validated, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, arbitrary_types_allowed=True)
