"""Processes of a test: started with their output in files, waited for with a limit, ended by their own id.

bridge = processes.bridge("run", str(config))
bridge.wait_for("ready")
status = bridge.stop()          # SIGTERM, then its exit status
print(bridge.stderr())
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

POLL = 0.02


class BridgeProcess:
    """One running process. `stdin` is a pipe if `pipe=True` was asked for, else empty."""

    def __init__(
        self, command: Sequence[str], out: Path, err: Path, env: Mapping[str, str], cwd: Path, pipe: bool
    ) -> None:
        self.command = list(command)
        self.out, self.err = out, err
        with out.open("wb") as stdout, err.open("wb") as stderr:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=dict(env),
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None, "started without pipe=True"
        return self._process.stdin

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def stdout(self) -> str:
        return self.out.read_text(errors="replace")

    def stderr(self) -> str:
        return self.err.read_text(errors="replace")

    def wait_for(self, text: str, timeout: float = 20) -> None:
        """Wait until `text` was written to either output. Fails the test when it ended or time is up."""
        deadline = time.monotonic() + timeout
        while text not in self.stdout() and text not in self.stderr():
            if self.status is not None and text not in self.stdout() + self.stderr():
                raise AssertionError(f"{self} ended with {self.status} and never said {text!r}\n{self.outputs()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self} did not say {text!r} within {timeout} s\n{self.outputs()}")
            time.sleep(POLL)

    def wait(self, timeout: float = 60) -> int:
        """Wait for the end; its exit status. Fails the test when time is up."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} did not end within {timeout} s\n{self.outputs()}") from None

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        """Send a signal and wait for the end; its exit status."""
        self.signal(number)
        return self.wait(timeout)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """`kill -9`, and reap it."""
        self.signal(signal.SIGKILL)
        self._process.wait(10)

    def outputs(self) -> str:
        """The end of both outputs, for a failure's text."""
        return f"--- stdout\n{self.stdout()[-4000:]}\n--- stderr\n{self.stderr()[-4000:]}"

    def __str__(self) -> str:
        return " ".join(self.command[-6:])


class Processes:
    """Starts processes whose output goes into a test's own directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[BridgeProcess] = []

    def start(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pipe: bool = False,
    ) -> BridgeProcess:
        """Any command; `env` is added to the test's own environment."""
        number = len(self._started)
        name = f"{number:02d}-{Path(command[0]).name}"
        process = BridgeProcess(
            [str(word) for word in command],
            self._directory / f"{name}.out",
            self._directory / f"{name}.err",
            {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            cwd or self._directory,
            pipe,
        )
        self._started.append(process)
        return process

    def bridge(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pipe: bool = False,
    ) -> BridgeProcess:
        """`bridge ARGUMENTS…` of this checkout."""
        return self.start(sys.executable, "-m", "bridge", *arguments, env=env, cwd=cwd, pipe=pipe)

    def run_bridge(
        self, *arguments: str | Path, timeout: float = 30, env: Mapping[str, str] | None = None
    ) -> BridgeProcess:
        """The same, waited for."""
        process = self.bridge(*arguments, env=env)
        process.wait(timeout)
        return process

    def end_all(self) -> None:
        for process in self._started:
            if process.status is None:
                process.kill()
