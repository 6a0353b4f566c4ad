"""The settings of `type = "multicast"`, for sources and for sinks, and what is wrong with an address."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from bridge.api import Address, AddressField, Options, Size
from bridge.api.address import IP, overlap, parse_interface
from bridge.api.iana import explain

_DSCP = {"BE": 0, "CS0": 0, "EF": 46, "VA": 44, "LE": 1}
_DSCP |= {f"CS{n}": 8 * n for n in range(1, 8)}
_DSCP |= {f"AF{c}{d}": 8 * c + 2 * d for c in range(1, 5) for d in range(1, 4)}  # RFC 2597

_RECEIVE_BUFFER: Any = "8MiB"  # defaults are validated like values, so this is text where an int is declared
_MAX_BUFFER = 2**30 - 1  # the kernel doubles it, and keeps it in an int


def _dscp(value: Any) -> int:
    if isinstance(value, str) and value.upper() in _DSCP:
        return _DSCP[value.upper()]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 63:
        return value
    raise ValueError(f'{value!r} is no DSCP; write a number from 0 to 63 or a name such as "EF", "AF41" or "CS5"')


Dscp = Annotated[int, BeforeValidator(_dscp), WithJsonSchema({"type": ["integer", "string"], "examples": ["EF", 46]})]
Interface = Annotated[str, BeforeValidator(lambda value: parse_interface(str(value)))]


_Place = tuple[str | int, ...]


def _error(place: _Place, problem: str, value: str) -> InitErrorDetails:
    text = f"{value!r}: {problem}" if value else problem
    kind = PydanticCustomError("value_error", "{text}", {"text": text})
    return InitErrorDetails(type=kind, loc=place, input=value)


class ChannelLines(Options):
    """The lines of one channel, A first."""

    lines: list[AddressField] = Field(min_length=1, description="addresses `[S1,S2@]GROUP:PORT[%INTERFACE]`, A first")


class _LineOptions(Options):
    lines: list[AddressField] = Field(
        default_factory=list, description="the lines of the only channel, which has the name of the table"
    )
    channel: dict[str, ChannelLines] = Field(default_factory=dict, description="lines by channel name")
    interface: Interface | None = Field(
        default=None,
        description="for lines without `%`: an interface's name, index or own address; else the kernel's choice",
    )
    allow_assigned: bool = Field(
        default=False, description="use groups that IANA assigned to a protocol, such as 224.0.0.251 (mDNS)"
    )

    def channels(self, name: str) -> Mapping[str, Sequence[Address]]:
        """The lines of every channel, the table's defaults filled in; `name` is the table's own name."""
        lines = {key: value.lines for key, value in self.channel.items()} or {name: self.lines}
        return {key: [self._resolved(address) for address in value] for key, value in lines.items()}

    def _places(self) -> Iterator[tuple[_Place, Address]]:
        for number, address in enumerate(self.lines):
            yield ("lines", number), address
        for name, channel in self.channel.items():
            for number, address in enumerate(channel.lines):
                yield ("channel", name, "lines", number), address

    @model_validator(mode="after")
    def _check(self) -> Self:
        errors = []
        if bool(self.lines) == bool(self.channel):
            errors.append(_error(("lines",), "give either `lines` or `channel`", ""))
        seen: list[tuple[_Place, Address]] = []
        for place, address in self._places():
            problems = self._line_problems(address)
            meant = self._resolved(address)
            for earlier, other in seen:
                if earlier[:-1] == place[:-1] and overlap(meant, other):
                    problems.append(f"this is the same line as {'.'.join(map(str, earlier))}")
                    break
            seen.append((place, meant))
            errors += [_error(place, problem, str(address)) for problem in problems]
        if errors:  # merged by pydantic with those of other places, each under its own
            raise ValidationError.from_exception_data(type(self).__name__, errors)
        return self

    def _resolved(self, address: Address) -> Address:
        """The address with the table's defaults filled in."""
        return replace(address, interface=address.interface or self.interface)

    def _line_problems(self, address: Address) -> list[str]:
        problems = []
        if address.is_multicast:
            known = explain(address.group)
            if known.assigned_to == "protocol" and not self.allow_assigned:
                problems.append(
                    f"{address.group} is assigned to {known.assigned}; choose another (`bridge addresses`) "
                    "or set allow_assigned = true"
                )
        if address.is_link_scoped and address.is_multicast and (address.interface or self.interface) is None:
            problems.append(f"{address.group} needs an interface: {address}%NAME")
        return problems


class SourceOptions(_LineOptions):
    """Receives the datagrams of multicast groups, or of unicast or broadcast addresses of this host."""

    receive_buffer: Size = Field(
        default=_RECEIVE_BUFFER,
        le=_MAX_BUFFER,
        description="the socket's receive buffer; the start-up line says what the kernel granted",
    )
    sources: list[IP] = Field(
        default_factory=list, description="senders to accept on lines that name none; the kernel drops all others"
    )
    allow_any_source: bool = Field(
        default=False, description="join a group of the SSM ranges (232.0.0.0/8, ff3x::/32) without naming its senders"
    )

    def line_sources(self, address: Address) -> tuple[IP, ...]:
        """The senders that a line accepts: its own, else those of `sources` of its family; none means any."""
        if address.sources or not address.is_multicast:
            return address.sources
        return tuple(source for source in self.sources if source.version == address.group.version)

    def _resolved(self, address: Address) -> Address:
        return replace(super()._resolved(address), sources=self.line_sources(address))

    def _line_problems(self, address: Address) -> list[str]:
        problems = super()._line_problems(address)
        if address.is_source_specific and not self.line_sources(address) and not self.allow_any_source:
            problems.append(
                f"{address.group} is source-specific and names no sender; write SENDER@{address} "
                "or set allow_any_source = true"
            )
        if self.sources and not address.is_multicast:
            problems.append("`sources` filters multicast lines only; a firewall rule does it for this one")
        elif self.sources and not self.line_sources(address):
            problems.append(f"`sources` lists no IPv{address.group.version} sender for this line")
        return problems


class SinkOptions(_LineOptions):
    """Sends datagrams to multicast groups, or to unicast or broadcast addresses: every line gets the same."""

    ttl: int | None = Field(
        default=None,
        ge=0,
        le=255,
        description="TTL or hop limit; 1 for multicast if not given, the system's own for others",
    )
    loop: bool = Field(default=True, description="whether receivers on this host get the multicast datagrams too")
    source_address: IP | None = Field(
        default=None,
        description="the address to send from, for lines that name none before an `@`; else the interface's",
    )
    dscp: Dscp | None = Field(default=None, description="the DSCP of the datagrams: 0 to 63, or a name such as EF")
    mtu: int | None = Field(
        default=None,
        ge=576,
        le=65535,
        description="bytes of an IP packet; the interface's if not given, on loopback 1500, where nothing else fits the network",
    )
    send_buffer: Size | None = Field(
        default=None, le=_MAX_BUFFER, description="the socket's send buffer; the system's default if not given"
    )

    def line_source(self, address: Address) -> IP | None:
        """The address that a line sends from, None for the system's choice."""
        return address.sources[0] if address.sources else self.source_address

    def _line_problems(self, address: Address) -> list[str]:
        problems = super()._line_problems(address)
        if address.kind == "wildcard":
            problems.append(f"nothing can be sent to {address.group}; name a group or a host")
        if len(address.sources) > 1:
            problems.append("a sink sends from one address; name one before the @")
        source = self.line_source(address)
        if source is not None and source.version != address.group.version:
            problems.append(f"source_address {source} is IPv{source.version}, this line IPv{address.group.version}")
        return problems
