"""Tables against declarations: what pydantic says, in our words, with key and line and without confidential values."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bridge.api import Options
from bridge.api.address import AddressError
from bridge.config.expand import References
from bridge.config.keys import LATER, dotted, nearest
from bridge.config.positions import Path, Positions
from bridge.config.problems import Code, Problem

M = TypeVar("M", bound=Options)


class Report:
    """Collects problems of one document; it knows lines and what must not be shown."""

    def __init__(self, positions: Positions, references: References) -> None:
        self._positions = positions
        self._references = references
        self._found: list[Problem] = []
        self._places: list[Path] = []

    @property
    def problems(self) -> list[Problem]:
        return list(self._found)

    def add(
        self, path: Path, code: Code, text: str, *, hint: str = "", suggestion: str = "", warn: bool = False
    ) -> None:
        """A problem at `path`, whose text may hold values of that place: they are masked here."""
        self._places.append(path)
        self._found.append(
            Problem(
                code,
                self._references.mask(text, path),
                key=dotted(path),
                line=self._positions.line(path),
                hint=self._references.mask(hint, path),
                suggestion=suggestion,
                level="warning" if warn else "error",
            )
        )

    def has(self, path: Path) -> bool:
        """Whether something at `path` or below was reported before."""
        return any(place[: len(path)] == path for place in self._places)

    def written(self, path: Path) -> bool:
        """Whether the document has something at exactly this path."""
        return path in self._positions

    def unknown(self, path: Path, scope: str, what: str, known: Iterable[str], elsewhere: str = "") -> None:
        """An unknown key: of a later version, a misspelt one, one of a peer, or none that we know."""
        name = str(path[-1])
        if name in LATER.get(scope, ()):
            self.add(path, "not_yet", "not in this version yet", hint="remove the key, or use a version that has it")
            return
        names = sorted(known)
        suggestion = nearest(name, names)
        hint = elsewhere or ("" if suggestion or not names else f"its keys are {', '.join(names)}")
        self.add(path, "unknown_key", f"unknown key of {what}", hint=hint, suggestion=suggestion)


class Table(NamedTuple):
    """One table of the document: where it is, what kind it is, how it is called in errors, which keys it may have.

    `inherited`: its data were merged with those of the table around it, which reports its own problems. `channel_keys`: what
    its `channel.NAME` tables may have besides their declaration.
    """

    path: Path
    scope: str
    what: str
    known: Iterable[str]
    inherited: bool = False
    channel_keys: Iterable[str] = ()


def validate(model: type[M], data: Mapping[str, Any], table: Table, report: Report) -> M | None:
    """`data` as a `model`; None after adding to the report what is wrong with it."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            _add(details, data, table, report, model)
        return None


def keys_of(model: type[Options]) -> list[str]:
    """The keys that a table of this declaration may have, as users write them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _add(details: ErrorDetails, data: Mapping[str, Any], table: Table, report: Report, model: type[Options]) -> None:
    missing = details["type"] == "missing"
    location = _real(details["loc"][:-1] if missing else details["loc"], data)
    place = (*table.path, *location)
    if table.inherited and not (location and report.written(place)):
        return
    if missing:
        place = (*place, details["loc"][-1])
    if report.has(place):
        return
    if missing:
        described = _field(model, [*location, details["loc"][-1]])
        text = f"is required: {described.description}" if described and described.description else "is required"
        report.add(place, "missing_key", text)
    elif details["type"] == "extra_forbidden":
        inner = _model(model, location[:-1])
        names = list(table.known) if len(location) == 1 else keys_of(inner) if inner else []
        if len(location) == 3 and location[0] == "channel":
            names += table.channel_keys
        what = table.what if len(location) == 1 else f"`{dotted(location[:-1])}`"
        report.unknown(place, table.scope, what, names)
    else:
        text, hint = _words(details, _written(data, location, details["input"]))
        report.add(place, "literal_secret" if text.startswith("a secret ") else "bad_value", text, hint=hint)


def _real(location: tuple[str | int, ...], data: Any) -> Path:
    """`location` without what pydantic adds for unions and functions: only parts that lead into the data."""
    real: list[str | int] = []
    for part in location:
        inside = part in data if isinstance(data, dict) else isinstance(data, list) and part in range(len(data))
        if inside:
            real.append(part)
            data = data[part]
    return tuple(real)


def _written(data: Any, location: Path, value: Any) -> Any:
    """The value as the document has it, where `value` was made from a text."""
    for part in location:
        data = data[part]
    return data if isinstance(data, str) else value


def _words(details: ErrorDetails, value: Any) -> tuple[str, str]:
    """Text and hint of a value that is not accepted."""
    raised = details.get("ctx", {}).get("error")
    if isinstance(raised, AddressError):
        return raised.message, raised.hint
    if raised is not None or details["type"] == "value_error":
        text, _, hint = (str(raised) if raised is not None else details["msg"]).partition("; ")
        return text, hint
    message = details["msg"].replace("Input should be", "must be").removeprefix("Input ")
    message = message[:1].lower() + message[1:]
    if details["type"] == "too_short":
        message = "must not be empty"
    if details["type"] == "literal_error":
        message = f"must be one of {details['ctx']['expected']}".replace(" or ", ", ").replace("'", '"')
    shown = f"{value!r} " if isinstance(value, str | int | float) else ""
    return f"{shown}{message}", ""


def _field(model: type[Options], location: Iterable[str | int]) -> FieldInfo | None:
    *before, name = location
    inner = _model(model, before)
    return next((f for n, f in inner.model_fields.items() if name in (n, f.alias)), None) if inner else None


def _model(model: type[Options], location: Iterable[str | int]) -> type[Options] | None:
    """The declaration that a place inside a table has, None where there is none."""
    current: type[Options] | None = model
    for part in location:
        if current is None or isinstance(part, int):
            continue
        field = next((f for n, f in current.model_fields.items() if part in (n, f.alias)), None)
        if field is not None:
            current = _inner(field.annotation)
    return current


def _inner(annotation: Any) -> type[Options] | None:
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner(argument)
        if found is not None:
            return found
    return None
