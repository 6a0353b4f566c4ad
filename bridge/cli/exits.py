"""Exit statuses: part of the surface that scripts rely on. From 64 on they are those of sysexits.h."""

from enum import IntEnum


class Exit(IntEnum):
    """What the process says at its end."""

    DONE = 0
    """Also after SIGINT, SIGTERM or a closed pipe."""
    LOST = 1
    """`--strict` and something lost or undelivered; `--verify` failed; `--count` not reached; `read` met trimmed."""
    USAGE = 64
    """The command line is wrong."""
    UNAVAILABLE = 69
    """A broker, an interface or a bridge is absent: `run --fail-fast`, `check --connect`, `read`, `status`."""
    INTERNAL = 70
    """A mistake of ours: one line, the trace in `state`."""
    STATE = 74
    """The state directory cannot be written."""
    CONFIGURATION = 78
    """The configuration is wrong."""
