"""How a failed verb ends: the exit status and the lines for each kind of error, and the trace of what should not happen."""

import os
import time
import traceback
from pathlib import Path

from bridge.api import BridgeError, ConfigurationError, ConnectorError
from bridge.api.address import AddressError
from bridge.cli.exits import Exit
from bridge.cli.output import error, note
from bridge.config.problems import ConfigurationErrors
from bridge.pipeline.state import StateError
from bridge.telemetry.redaction import Redactor

redactor = Redactor()
"""Knows the secrets of every configuration that this process has loaded."""

_state: list[Path] = []


def state_is(directory: Path) -> None:
    """From now on traces go to this directory."""
    _state.append(directory)


def ended_by(failure: BaseException) -> Exit:
    """Say what `failure` means and return the exit status."""
    if isinstance(failure, ConfigurationErrors):
        note(failure.lines())
        return Exit.CONFIGURATION
    if isinstance(failure, ConfigurationError):
        error(f"{failure.key}: {failure.message}" if failure.key else failure.message, failure.hint)
        return Exit.CONFIGURATION
    if isinstance(failure, StateError):
        error(failure.message, failure.hint)
        return Exit.STATE
    if isinstance(failure, ConnectorError):
        error(redactor.clean(failure.message), failure.hint)
        return Exit.UNAVAILABLE
    if isinstance(failure, AddressError):
        error(failure.message, failure.hint)
        return Exit.USAGE
    if isinstance(failure, BridgeError):
        error(redactor.clean(failure.message), failure.hint)
        return Exit.USAGE
    _internal(failure)
    return Exit.INTERNAL


def _internal(failure: BaseException) -> None:
    where = write_trace(failure)
    summary = redactor.clean(f"{type(failure).__name__}: {failure}".partition("\n")[0])
    hint = f"report it with the trace in {where}" if where else "report it; the trace could not be written"
    error(f"internal error: {summary}", hint)


def write_trace(failure: BaseException) -> Path | None:
    """Write the trace of `failure` to the state directory and return its path; None where nothing can be written."""
    directory = _state[-1] if _state else _default_state()
    path = directory / f"trace-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.txt"
    text = redactor.clean("".join(traceback.format_exception(failure)))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError:
        return None
    return path


def _default_state() -> Path:
    directory = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(directory) if directory else Path.home() / ".local" / "state" / "multicast-bridge"
