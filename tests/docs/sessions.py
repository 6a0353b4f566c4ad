"""Runs the ```` ```console ```` blocks of a page as a reader does, and compares what is printed.

A page is one session in a directory of its own. A line "`NAME`:" above a block makes the block a file of that name there. Of
a console block, lines that begin with `$ ` are commands (`> ` continues one), the others are what they print, standard error
included. What stands behind the word `console`:

    (nothing)         each command runs, ends with status 0 and prints just that
    stays=NAME        the last command goes on running; what is shown of it is the beginning of what it prints
    of=NAME           what the command called NAME prints next; a line `^C` interrupts it, and what follows is the rest
    unprivileged      without CAP_NET_ADMIN, as a user who is not root
    elsewhere WHY     is not run, because …

`...` stands for anything in a line, alone on a line for any number of lines. Not compared: runs of spaces, points in time,
process and session numbers, how long ago something was. A line about the size of a receive buffer counts only where the page
shows one, since it depends on the machine. Commands share the directory, not the shell: variables and `cd` end with a command.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import Block
from tests.support.tools import find

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
POLL = 0.02
INTERRUPT = "^C"

_NOT_COMPARED = (
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?Z"), "<time>"),
    (re.compile(r"(?:\b[\d.]+(?:ns|us|ms|s)\s+)?\b[\d.]+(?:ns|us|ms|s|m|h) ago"), "<span> ago"),
    (re.compile(r"\bup [\d.]+(?:ms|s|m|h)"), "up <span>"),
    (re.compile(r"\b(pid[ =])\d+"), r"\1<pid>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<session>"),
    (re.compile(r"[ \t]+"), " "),
)
_TOOLS = {"ip", "ss"}
"""What pages use and a bare system may lack: without them the test of the page is left out."""
_MACHINE = "asked for a receive buffer"


@dataclass
class Step:
    """One command of a block, or what a running one says next."""

    command: str
    expected: list[str] = field(default_factory=list)


def steps(text: str) -> list[Step]:
    """The commands of a block with what each prints; lines above the first command make a step without one."""
    found: list[Step] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:]))
        elif line.startswith("> ") and found and found[-1].command and not found[-1].expected:
            found[-1].command += "\n" + line[2:]
        else:
            if not found:
                found.append(Step(""))
            found[-1].expected.append(line)
    return found


def plain(text: str) -> str:
    """The text without what is not compared."""
    for pattern, instead in _NOT_COMPARED:
        text = pattern.sub(instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def pattern(expected: Sequence[str]) -> re.Pattern[str]:
    """Matches the beginning of what has to be printed, with the newline that ends it."""
    parts = []
    for line in plain("\n".join(expected)).splitlines():
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append("[^\n]*?".join(map(re.escape, line.split("..."))) + r"\n")
    return re.compile("".join(parts))


def without_machine(text: str) -> str:
    """Without the lines that depend on the machine."""
    return "".join(line for line in text.splitlines(keepends=True) if _MACHINE not in line)


class Session:
    """The commands of one page, run in `directory`. `close` ends what still runs."""

    def __init__(self, directory: Path, page: Sequence[Block]) -> None:
        self._clean: Callable[[str], str] = str if any(_MACHINE in block.text for block in page) else without_machine
        self._directory = directory / "page"
        self._directory.mkdir()
        self._outputs = directory / "outputs"
        self._outputs.mkdir()
        self._environment = _environment(directory)
        self._running: dict[str, _Running] = {}
        self._count = 0

    def run(self, block: Block) -> None:
        """Runs or continues what the block shows; raises AssertionError with both texts where they differ."""
        if block.name:
            (self._directory / block.name).write_text(block.text)
        if block.words[:1] != ("console",) or "elsewhere" in block.words:
            return
        todo = steps(block.text)
        if name := block.settings.get("of"):
            assert name in self._running, f"{block}: nothing that stays is called {name}"
            assert len(todo) == 1, f"{block}: shows commands"
            assert not todo[0].command, f"{block}: shows a command"
            self._continue(block, self._running[name], todo[0].expected)
            return
        for number, step in enumerate(todo):
            assert step.command, f"{block}: output without a command"
            started = self._start(step.command, "unprivileged" in block.words)
            if number == len(todo) - 1 and (name := block.settings.get("stays")):
                self._running[name] = started
                started.says(step.expected, f"{block}: {step.command}")
            else:
                started.ends(step.expected, f"{block}: {step.command}")

    def close(self) -> None:
        for started in self._running.values():
            started.kill()

    def _continue(self, block: Block, running: "_Running", expected: list[str]) -> None:
        if INTERRUPT not in expected:
            running.says(expected, str(block))
            return
        place = expected.index(INTERRUPT)
        running.says(expected[:place], str(block))
        running.interrupt()
        running.ends(expected[place + 1 :], str(block))

    def _start(self, command: str, unprivileged: bool) -> "_Running":
        self._count += 1
        for program in _TOOLS.intersection(re.findall(r"\w+", command)):
            find(program)
        words = ["bash", "-c", command]
        if unprivileged and os.geteuid() == 0:
            words = [find("setpriv"), "--bounding-set=-net_admin", "--inh-caps=-net_admin", *words]
        return _Running(words, self._outputs / f"{self._count:02d}", self._directory, self._environment, self._clean)


class _Running:
    def __init__(
        self,
        words: Sequence[str],
        output: Path,
        directory: Path,
        environment: dict[str, str],
        clean: Callable[[str], str],
    ) -> None:
        self._output = output
        self._clean = clean
        self._seen = 0
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                words,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def says(self, expected: Sequence[str], what: str) -> None:
        """Waits until it has printed this next."""
        wanted = pattern(expected)
        for text in self._printed(expected, what):
            if match := wanted.match(text):
                self._seen += match.end()
                return

    def ends(self, expected: Sequence[str], what: str) -> None:
        """Waits for its end, which has to be a good one, and compares the rest of what it printed."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{what} did not end\n{self._text()}") from None
        text = self._text()
        assert status == 0, f"{what} ended with {status}\n{text}"
        shown = "\n".join(expected)
        assert pattern(expected).fullmatch(text), f"{what}\n--- the page shows\n{shown}\n--- it printed\n{text}"

    def interrupt(self) -> None:
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _text(self) -> str:
        """What it printed and no block has shown yet, complete lines only while it runs."""
        printed = self._output.read_text("utf-8", errors="replace")
        if printed and not printed.endswith("\n"):
            printed = printed + "\n" if self._process.poll() is not None else printed[: printed.rfind("\n") + 1]
        text = plain(self._clean(printed))
        return (text + "\n" if text else "")[self._seen :]

    def _printed(self, expected: Sequence[str], what: str) -> Iterator[str]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            yield self._text()
            if ended:
                break
            time.sleep(POLL)
        shown = "\n".join(expected)
        raise AssertionError(f"{what}\n--- the page shows\n{shown}\n--- it printed\n{self._text()}")


def _environment(directory: Path) -> dict[str, str]:
    """A home of its own, and this checkout's program first on PATH under both its names."""
    programs, home = directory / "bin", directory / "home"
    programs.mkdir()
    home.mkdir()
    for name in ("bridge", "multicast-bridge"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m bridge "$@"\n')
        program.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    own = {
        "PATH": path,
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "COLUMNS": "200",
        "LC_ALL": "C.UTF-8",
    }
    return {**os.environ, **own}
