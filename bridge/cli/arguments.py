"""Arguments that several verbs share, and how their texts are read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bridge.config.resolved import Config

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.", show_default=False)]


def seconds(text: str) -> float:
    """A span on the command line: `5` and `5s` are five seconds, `250ms` a quarter of one."""
    from bridge.api.options import parse_duration

    try:
        value = float(text)
    except ValueError:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    if not 0 <= value < float("inf"):
        raise typer.BadParameter(f"{text!r} is no span of time")
    return value


def load_config(path: Path) -> "Config":
    """The configuration of a verb. Its secrets are known to the redactor and its warnings said when this returns.

    Raises `ConfigurationErrors`.
    """
    from bridge.cli import failures, output
    from bridge.config.load import load
    from bridge.config.problems import render

    config = load(path)
    for secret in config.secrets():
        failures.redactor.add(secret)
    for table in (*config.sources.values(), *config.sinks.values()):
        failures.redactor.learn(table.options)
        failures.redactor.learn(table.settings)
    failures.state_is(config.state)
    if config.warnings:
        output.note(render(config.warnings, str(path)))
    return config
