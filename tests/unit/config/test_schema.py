"""The JSON Schemas: complete, self-contained, and of the same declarations that parse."""

import json
from typing import Any

from bridge.config.model import BridgeSettings, DatagramSourceSettings, RouteSettings
from bridge.config.schema import config_schema, summary_schema
from bridge.config.validate import keys_of


def references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*(references(value) for value in schema.values()))
    return set().union(*map(references, schema)) if isinstance(schema, list) else set()


def table(kind: str, title: str) -> dict[str, Any]:
    tables = config_schema()["properties"][kind]["additionalProperties"]["oneOf"]
    return next(one for one in tables if one["title"] == title)


def test_all_references_lead_somewhere() -> None:
    for schema in (config_schema(), summary_schema()):
        json.dumps(schema)
        for reference in references(schema):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_tables_have_the_keys_of_engine_and_connector() -> None:
    properties = config_schema()["properties"]
    assert set(properties["bridge"]["properties"]) == set(keys_of(BridgeSettings))
    assert set(properties["route"]["additionalProperties"]["properties"]) == set(keys_of(RouteSettings))
    multicast = table("source", "multicast source")
    assert multicast["properties"]["type"] == {"const": "multicast"}
    assert set(keys_of(DatagramSourceSettings)) | {"lines", "channel", "type"} <= set(multicast["properties"])
    assert {"type", "protocol"} <= set(multicast["required"])
    assert multicast["additionalProperties"] is False
    channel = multicast["properties"]["channel"]["additionalProperties"]
    assert {"lines", "gap", "id"} <= set(channel["properties"])
    assert "protocol" not in channel["required"]


def test_the_summary_is_the_status() -> None:
    schema = summary_schema()
    assert schema["properties"]["format"]["const"] == 1
    assert "balanced" in schema["required"]
