"""Exit statuses: part of the surface that scripts rely on. From 64 on they are those of sysexits.h."""

from enum import IntEnum


class Exit(IntEnum):
    """What the process says at its end; `MEANINGS` has the words for the reference."""

    DONE = 0
    LOST = 1
    USAGE = 64
    UNAVAILABLE = 69
    INTERNAL = 70
    STATE = 74
    CONFIGURATION = 78


MEANINGS = {
    Exit.DONE: "done; also after SIGINT, SIGTERM or a closed pipe",
    Exit.LOST: "`--strict` and something was lost, or neither delivered nor on disk; `--verify` failed; `--count` was not "
    "reached within `--for`; `read` met numbers that retention removed",
    Exit.USAGE: "the command line is wrong",
    Exit.UNAVAILABLE: "a broker, an interface or a running bridge is absent: `run --fail-fast`, `check --connect`, `read`, "
    "`status`",
    Exit.INTERNAL: "an internal error: one line on standard error, the trace in the state directory",
    Exit.STATE: "the state directory cannot be written",
    Exit.CONFIGURATION: "the configuration is wrong; every mistake was named",
}
