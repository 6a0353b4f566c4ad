"""Small files of numbers by stream, beside the segments: replaced as a whole, so that a kill leaves the old or the new one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bridge.window.segments import SegmentFormatError

FORMAT: Final = 1


def write_json(directory: Path, name: str, numbers: Mapping[str, int]) -> None:
    """Write the file. Blocks; raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / (name + ".tmp")
    temporary.write_text(json.dumps({"format": FORMAT, "numbers": dict(numbers)}))
    temporary.replace(directory / name)


def read_json(directory: Path, name: str) -> dict[str, int]:
    """What was written; nothing where the file is absent or damaged: it is a hint, and the sinks' own tails decide without it.

    Blocks. Raises `SegmentFormatError` for another format.
    """
    try:
        found = json.loads((directory / name).read_text())
    except (OSError, ValueError):
        return {}
    if found.get("format") != FORMAT:
        raise SegmentFormatError(
            f"{directory / name} has format {found.get('format')}, this version reads {FORMAT}",
            hint="run the bridge version that wrote it until it has drained, or move the directory away",
        )
    return {str(key): int(value) for key, value in found.get("numbers", {}).items()}
