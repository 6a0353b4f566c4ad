"""Which connectors are installed, and their classes: ours and those of others come through the same door, entry points.

The group says the role, the entry point's name is the `type` of a table in the configuration. Listing imports nothing;
a class is imported when a configuration names it. A plug-in that is broken disturbs nobody who does not use it.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal, NamedTuple, get_args

from bridge.api import ConfigurationError, Options

Role = Literal["datagram_source", "message_source", "datagram_sink", "message_sink", "store"]
Side = Literal["source", "sink", "store"]

ROLES: tuple[Role, ...] = get_args(Role)
OWN = "multicast-bridge"

_METHODS: dict[Role, tuple[str, ...]] = {
    "datagram_source": ("open", "lines", "poll", "close"),
    "message_source": ("open", "read", "acknowledge", "close"),
    "datagram_sink": ("open", "close"),
    "message_sink": ("capabilities", "columns", "open", "limits", "submit", "close"),
    "store": ("open", "channels", "streams", "read", "number_at", "close"),
}
_REQUIREMENT = re.compile(r"""\s*([A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True, slots=True)
class Connector:
    """One installed connector: what it is, where its class is, who brought it. Nothing of it is imported."""

    role: Role
    name: str
    target: str  # "package.module:Class"
    distribution: str
    version: str

    @property
    def side(self) -> Side:
        """The kind of table that may name it."""
        return "source" if self.role.endswith("source") else "sink" if self.role.endswith("sink") else "store"


class Listing(NamedTuple):
    """What is installed, by role and name, and what is odd about it, in words."""

    connectors: list[Connector]
    warnings: list[str]


class Loaded(NamedTuple):
    """A connector with its class and the declaration of its options."""

    connector: Connector
    cls: type[Any]
    options: type[Options]


def group(role: Role) -> str:
    """The entry-point group of a role."""
    return f"bridge.{role}s"


def connectors() -> Listing:
    """All installed connectors, without importing any. Of two with one role and name ours is taken, else the first
    by distribution; a warning names both."""
    found: dict[tuple[Role, str], Connector] = {}
    warnings = []
    for role in ROLES:
        for connector in sorted(_installed(role), key=lambda c: (c.distribution != OWN, c.distribution)):
            taken = found.setdefault((role, connector.name), connector)
            if taken is not connector:
                warnings.append(
                    f"{_words(role)} {connector.name!r} is brought by {taken.distribution} and by "
                    f"{connector.distribution}; the one of {taken.distribution} is used"
                )
    return Listing(sorted(found.values(), key=lambda c: (ROLES.index(c.role), c.name)), warnings)


def find(side: Side, name: str, *, key: str = "") -> Connector:
    """The connector that `type = "name"` of a table means; its `role` says which of the two kinds of source or sink it is.

    Raises `ConfigurationError`, with `key` as its place, which lists what is installed and suggests the nearest name.
    """
    matches = [c for c in connectors().connectors if c.side == side and c.name == name]
    if not matches:
        raise _unknown([c for c in connectors().connectors if c.side == side], side, name, key)
    return matches[0]


def load(role: Role, name: str, *, key: str = "") -> type[Any]:
    """The class of a connector. Raises `ConfigurationError` where there is none, or where it cannot be imported: a client
    library that is missing is named with the extra that brings it."""
    listed = [c for c in connectors().connectors if c.role == role]
    chosen = next((c for c in listed if c.name == name), None)
    if chosen is None:
        raise _unknown(listed, _words(role), name, key)
    return load_connector(chosen, key=key).cls


def load_connector(connector: Connector, *, key: str = "") -> Loaded:
    """Import a connector and check that its class has what its role needs. Raises `ConfigurationError`."""
    label = f"{_words(connector.role)} {connector.name!r} of {connector.distribution} {connector.version}"
    point = metadata.EntryPoint(connector.name, connector.target, group(connector.role))
    try:
        cls = point.load()
    except ModuleNotFoundError as error:
        extra = _extra(connector, error.name or "")
        hint = f"pip install '{connector.distribution}[{extra}]'" if extra else f"{connector.target} needs it"
        raise ConfigurationError(f"{label} needs the module {error.name!r}", key=key, hint=hint) from error
    except Exception as error:
        # The plug-in is somebody else's code: whatever it raises while it is imported is its own failure, not ours.
        text = f"{label} cannot be imported from {connector.target}: {type(error).__name__}: {error}"
        raise ConfigurationError(text, key=key, hint=f"update or remove {connector.distribution}") from error
    options = getattr(cls, "Options", None)
    absent = [name for name in _METHODS[connector.role] if not hasattr(cls, name)]
    if not isinstance(cls, type) or not isinstance(options, type) or not issubclass(options, Options) or absent:
        lacks = ", ".join(absent) or "Options, a class derived from bridge.api.Options"
        raise ConfigurationError(
            f"{label} is no {_words(connector.role)}: {connector.target} lacks {lacks}",
            key=key,
            hint=f"update or remove {connector.distribution}",
        )
    return Loaded(connector, cls, options)


def load_all() -> tuple[list[Loaded], list[str]]:
    """Every connector that can be imported, and a warning for each that cannot: for the reference and the schema."""
    listing = connectors()
    loaded, warnings = [], list(listing.warnings)
    for connector in listing.connectors:
        try:
            loaded.append(load_connector(connector))
        except ConfigurationError as error:
            warnings.append(f"{error.message}; {error.hint}")
    return loaded, warnings


def _installed(role: Role) -> Iterator[Connector]:
    for point in metadata.entry_points(group=group(role)):
        dist = point.dist
        name, version = (dist.name, dist.version) if dist is not None else ("an unknown distribution", "")
        yield Connector(role, point.name, point.value, name, version)


def _words(role: Role) -> str:
    return "message store" if role == "store" else role.replace("_", " ")


def _unknown(listed: Iterable[Connector], what: str, name: str, key: str) -> ConfigurationError:
    names = sorted({connector.name for connector in listed})
    elsewhere = sorted({_words(c.role) for c in connectors().connectors if c.name == name})
    near = difflib.get_close_matches(name, names, n=1)
    installed = f"installed: {', '.join(names)}" if names else "none is installed"
    hint = f"did you mean {near[0]!r}? {installed}" if near else installed
    if elsewhere:
        hint = f"{name!r} is a {' and a '.join(elsewhere)}; {installed}"
    return ConfigurationError(f"no {what} is called {name!r}", key=key, hint=hint)


def _extra(connector: Connector, module: str) -> str | None:
    """The extra of the connector's distribution that brings a missing module, by the distribution's own metadata.

    Distribution and module are usually called the same but for `-` and `_`; else an extra named as the connector is it.
    """
    try:
        dist = metadata.distribution(connector.distribution)
    except metadata.PackageNotFoundError:
        return None
    package = _plain(module.partition(".")[0])
    for requirement in dist.requires or ():
        match = _REQUIREMENT.match(requirement)
        if match and _plain(match[1]) == package and match[2] != "dev":
            return match[2]
    extras = dist.metadata.get_all("Provides-Extra") or []
    return connector.name if connector.name in extras else None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
