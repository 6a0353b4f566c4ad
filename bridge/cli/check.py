"""`bridge check CONFIG`: validates without touching anything outside, says what each sink guarantees; `--connect` asks."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.arguments import ConfigPath, load_config
from bridge.cli.exits import Exit
from bridge.cli.output import error, out

if TYPE_CHECKING:
    from bridge.config.resolved import Config


def command(
    config: ConfigPath,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also ask interfaces and brokers; exit 69 if one is absent.")
    ] = False,
    values: Annotated[bool, typer.Option("--values", help="Also print every value in force.")] = False,
) -> int:
    """Validate a configuration and say what its sinks guarantee.

    Nothing outside the file is touched, unless `--connect` asks for it.
    """
    from bridge.config.describe import describe, guarantees

    loaded = load_config(config)
    sizes = [
        f"{len(of)} {name}{'s' * (len(of) != 1)}"
        for name, of in (("source", loaded.sources), ("sink", loaded.sinks), ("route", loaded.routes))
    ]
    out(f"{config}: valid: {', '.join(sizes)}")
    out(_addresses(loaded))
    for head, promises in guarantees(loaded).items():
        out(["", head, *(f"  {promise + ':':<11}{sentence}" for promise, sentence in promises)])
    if values:
        out(["", *describe(loaded)])
    return _connected(loaded) if connect else Exit.DONE


def _addresses(config: "Config") -> list[str]:
    from bridge.cli.addresses import one_line
    from bridge.config.checks import lines

    found: list[str] = []
    for table in (*config.sources.values(), *config.sinks.values()):
        for place, channel, address in lines(table):
            side, name, index = place[0], place[1], place[-1]
            label = chr(ord("A") + index) if isinstance(index, int) and index < 26 else str(index)
            found.append(f"  {side} {name}, channel {channel}, line {label}: {one_line(address)}")
    return ["", *found] if found else []


def _connected(config: "Config") -> int:
    from bridge.cli.connect import connect_all

    results = asyncio.run(connect_all(config))
    out(["", *(f"  {result.what}: {'absent' if result.problem else result.found}" for result in results)])
    for result in results:
        if result.problem:
            error(f"{result.what}: {result.problem}", result.hint)
    return Exit.UNAVAILABLE if any(result.problem for result in results) else Exit.DONE
