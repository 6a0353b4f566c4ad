"""The command lines of verbs whose files know nothing of the parser: what they take, in one place each."""

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.arguments import ConfigPath, seconds


def run(
    config: ConfigPath,
    until_idle: Annotated[
        float | None,
        typer.Option(
            parser=seconds, metavar="S", help="End after so many seconds without a message; heartbeats do not count."
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(parser=seconds, metavar="S", help="End after so many seconds.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the ledger there as JSON at the end.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if something was lost, or neither delivered nor on disk.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Exit 69 if a broker or an interface is absent at the start.")
    ] = False,
) -> int:
    """Run a configuration.

    SIGTERM and SIGINT drain for at most `drain`, the rest stays on disk; a second signal ends at once.
    """
    from bridge.cli.run import run as run_until_ended

    return run_until_ended(
        config,
        until_idle=until_idle,
        duration=duration,
        summary=None if summary is None else str(summary),
        strict=strict,
        fail_fast=fail_fast,
    )


def addresses(
    group: Annotated[
        str | None, typer.Argument(metavar="[GROUP]", help="A group, with or without a port.", show_default=False)
    ] = None,
) -> int:
    """Explain a group by the IANA registries, or propose free ones."""
    from bridge.cli.addresses import command

    return command(group)
