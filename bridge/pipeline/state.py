"""The state directory: a lock so that two processes never share it, and small values that survive a restart.

`positions.json` holds, by route and channel, how far a message source was passed on. It is replaced as a whole (write,
then rename), so that a kill leaves the old file or the new one. It says what was passed on, never what will be: a
restart repeats, it does not skip.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from bridge.api import BridgeError


class StateError(BridgeError):
    """The state directory cannot be used; exit status 74."""


class State:
    """Owns one state directory for the life of a process. Raises `StateError` at `open()`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: int | None = None
        self._positions: dict[str, dict[str, str]] = {}

    def open(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"the state directory {self.directory} cannot be written: {error.strerror}",
                hint="set `state` in [bridge] to a directory that this user may write",
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            self._lock = None
            raise StateError(
                f"the state directory {self.directory} is in use by process {holder}",
                hint="give each bridge its own `name` or `state`",
            ) from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, str(os.getpid()).encode())
        self._positions = self._load()

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def positions(self, route: str) -> dict[str, str]:
        """The saved position of each channel of a route."""
        return dict(self._positions.get(route, {}))

    def note_position(self, route: str, channel: str, position: str) -> None:
        """Keep in memory what `positions_text` writes next."""
        self._positions.setdefault(route, {})[channel] = position

    def positions_text(self) -> str:
        """What `write_positions` is to write: made on the loop's thread, written on another."""
        return json.dumps({"format": 1, "routes": self._positions})

    def write_positions(self, text: str) -> None:
        """Replace the file. Blocks on the disk; raises OSError."""
        path = self.directory / "positions.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(path)

    def _load(self) -> dict[str, dict[str, str]]:
        path = self.directory / "positions.json"
        try:
            loaded: Any = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StateError(
                f"{path} cannot be read: {error}",
                hint="move the file away to start again from the configured `start`",
            ) from None
        if loaded.get("format") != 1:
            raise StateError(
                f"{path} has format {loaded.get('format')}, this version reads 1",
                hint="use the bridge version that wrote it, or move the file away",
            )
        routes = loaded.get("routes", {})
        return {str(r): {str(c): str(p) for c, p in channels.items()} for r, channels in routes.items()}
