"""What the verb `run` adds to a configuration."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of the verb `run`. Times in seconds."""

    until_idle: float | None = None
    duration: float | None = None
    summary: str | None = None
    strict: bool = False
    fail_fast: bool = False
