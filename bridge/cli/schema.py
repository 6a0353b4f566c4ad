"""`bridge schema config|summary`: JSON Schema from the declarations that the program itself reads."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from bridge.cli.output import out


class Document(StrEnum):
    """What a schema is wanted of."""

    CONFIG = "config"
    SUMMARY = "summary"


def command(
    document: Annotated[Document, typer.Argument(help="config: the configuration; summary: status and summary.")],
) -> int:
    """Print a JSON Schema."""
    from bridge.config.schema import config_schema, summary_schema

    out(json.dumps(config_schema() if document is Document.CONFIG else summary_schema(), indent=2))
    return 0
