"""`bridge run CONFIG`: the job."""

import asyncio
from pathlib import Path

from bridge.cli.arguments import load_config


def run(
    config: Path,
    *,
    until_idle: float | None = None,
    duration: float | None = None,
    summary: str | None = None,
    strict: bool = False,
    fail_fast: bool = False,
) -> int:
    """Run until SIGTERM, SIGINT, the duration or the idle time is over; returns the exit status.

    Raises `ConfigurationErrors` and `StateError`, which the command line turns into 78 and 74.
    """
    loaded = load_config(config)
    from bridge.pipeline.app import App
    from bridge.pipeline.options import RunOptions

    options = RunOptions(until_idle=until_idle, duration=duration, summary=summary, strict=strict, fail_fast=fail_fast)
    return asyncio.run(App(loaded, options).run())
