"""A clock that moves only when it is told to."""


class ManualClock:
    """Nanoseconds. `monotonic_ns()` and `time_ns()` advance together; the wall clock starts at `epoch_ns`."""

    def __init__(self, epoch_ns: int = 1_700_000_000_000_000_000) -> None:
        self.now_ns = 0
        self.epoch_ns = epoch_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def time_ns(self) -> int:
        return self.epoch_ns + self.now_ns

    def advance(self, seconds: float) -> None:
        """Move forward. Raises ValueError for a negative step: time does not go back."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back, asked for {seconds} s")
        self.now_ns += round(seconds * 1e9)
