"""JSON Schemas, made from the same declarations that parse: of the configuration, and of status and summary."""

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from bridge.api import Options
from bridge.config import registry
from bridge.config.model import BridgeSettings, RouteSettings
from bridge.config.resolve import SETTINGS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def config_schema() -> Schema:
    """The schema of a configuration file, with the connectors that are installed."""
    definitions: Schema = {}
    loaded, _ = registry.load_all()
    sides: dict[str, list[Schema]] = {"source": [], "sink": []}
    for one in loaded:
        if one.connector.role in SETTINGS:
            sides[one.connector.side].append(_connector(one, definitions))
    properties = {
        "bridge": _of(BridgeSettings, definitions),
        "source": _named({"oneOf": sides["source"]}),
        "sink": _named({"oneOf": sides["sink"]}),
        "route": _named(_of(RouteSettings, definitions)),
    }
    return {
        "$schema": DIALECT,
        "title": "Multicast Bridge configuration",
        "type": "object",
        "properties": properties,
        "required": ["source", "sink", "route"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def summary_schema() -> Schema:
    """The schema of `/status`, `status --json` and `run --summary`."""
    from bridge.telemetry.status import Status

    return {"$schema": DIALECT, **Status.model_json_schema(mode="serialization")}


def _named(schema: Schema) -> Schema:
    from bridge.config.fields import NAME_PATTERN

    return {"type": "object", "propertyNames": {"pattern": NAME_PATTERN}, "additionalProperties": schema}


def _of(model: type[BaseModel], definitions: Schema, prefix: str = "") -> Schema:
    """The schema of a table; what it refers to goes into `definitions`, under names that begin with `prefix`."""
    template = f"#/$defs/{prefix}{{model}}"
    schema = model.model_json_schema(by_alias=True, schema_generator=_Generator, ref_template=template)
    definitions.update({prefix + name: inner for name, inner in schema.pop("$defs", {}).items()})
    schema.pop("title", None)
    return schema


def _connector(one: registry.Loaded, definitions: Schema) -> Schema:
    """One table of a connector: its `type`, the engine's keys, its own, and both again in its channel tables."""
    engine = _of(SETTINGS[one.connector.role], definitions)
    prefix = f"{one.connector.name}.{one.connector.side}."
    own = _of(one.options, definitions, prefix)
    properties = {"type": {"const": one.connector.name}, **own.get("properties", {}), **engine.get("properties", {})}
    required = ["type", *own.get("required", []), *engine.get("required", [])]
    channel = channel_model(one.options)
    if "datagram" in one.connector.role and channel is not None:
        inner = _of(channel, definitions, prefix)
        inner["properties"] = {**inner.get("properties", {}), **engine.get("properties", {})}
        properties["channel"] = {
            **_named(inner),
            "description": "settings by channel name; what is absent is the table's",
        }
    return {
        "type": "object",
        "title": f"{one.connector.name} {one.connector.side}",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def channel_model(options: type[Options]) -> type[Options] | None:
    """The declaration of a connector's `channel.NAME` tables, None where it has none."""
    field = options.model_fields.get("channel")
    inner = next((a for a in reversed(get_args(field.annotation))), None) if field else None
    return inner if isinstance(inner, type) and issubclass(inner, Options) else None


class _Generator(GenerateJsonSchema):
    """Values that have no JSON form (a `Start`, an `Endpoint`) are described by their text; their defaults are left out."""

    def emit_warning(self, kind: Any, detail: str) -> None:
        pass
