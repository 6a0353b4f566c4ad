"""The vectors of a wire: literal datagrams and what they say, from `tests/vectors/<wire>.toml`."""

import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "vectors"


def vectors(wire: str) -> list[dict[str, Any]]:
    """One table a packet; `datagram` holds its bytes."""
    tables = tomllib.loads((FOLDER / f"{wire}.toml").read_text())["packet"]
    for table in tables:
        table["datagram"] = bytes.fromhex(table["hex"])
    return list(tables)
