"""Where the channels of a journal stood at the first start with `start = "latest"`.

The engine saves a position when a sink has taken something. A channel that is quiet at first has none, and at the next
start `latest` would skip what came for it meanwhile. One small file in the table's state closes that gap.
"""

import json
import os
from pathlib import Path

from bridge.api import Unavailable


class Starts:
    """Blocking. The file names the journal: with another `path` in the configuration it is a first start again."""

    def __init__(self, state: Path, journal: Path) -> None:
        self._file = state / "journal-starts.json"
        self._journal = str(journal.absolute())

    def load(self) -> dict[str, str] | None:
        """Channel to position; None before the first start. A file that cannot be understood counts as none."""
        try:
            found = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return None
        if not isinstance(found, dict) or found.get("journal") != self._journal:
            return None
        channels = found.get("channels")
        return {str(name): str(at) for name, at in channels.items()} if isinstance(channels, dict) else None

    def save(self, channels: dict[str, str]) -> None:
        """Replace the file in one step. Raises `Unavailable` naming it."""
        text = json.dumps({"journal": self._journal, "channels": channels}, indent=1)
        fresh = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with open(fresh, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._file)
        except OSError as error:
            raise Unavailable(f"cannot keep {self._file}: {error.strerror}") from error
