"""The summary of a run: the last snapshot as a JSON file, and its schema."""

import json
import sys
from pathlib import Path
from typing import Any

from bridge.telemetry.status import Status


def summary_text(status: Status) -> str:
    """The snapshot as indented JSON, ending in a newline."""
    return status.model_dump_json(indent=2) + "\n"


def write_summary(path: str, status: Status) -> None:
    """Write to `path`, whole or not at all; `-` is standard output. Raises OSError."""
    text = summary_text(status)
    if path == "-":
        sys.stdout.write(text)
        return
    if Path(path).exists() and not Path(path).is_file():  # /dev/stderr, a pipe
        Path(path).write_text(text, encoding="utf-8")
        return
    temporary = Path(path + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def summary_schema() -> dict[str, Any]:
    """The JSON Schema of `summary` and `status`."""
    schema = Status.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Multicast Bridge status", **schema}


def schema_text() -> str:
    return json.dumps(summary_schema(), indent=2) + "\n"
