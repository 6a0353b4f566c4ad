"""The journal with real processes: killed writers, a full disk, readers beside the writer, a second writer."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.api import Data, Hole, MessageBatch, Refused, SessionStart, Start
from bridge.testing.doubles import FakeContext, RecordingListener
from connectors.journal.options import SinkOptions, SourceOptions
from connectors.journal.sink import JournalSink
from connectors.journal.source import JournalSource
from connectors.journal.store import JournalStore
from tests.integration.journal.writer import STREAM, is_hole, payload
from tests.support.tools import find, leave_out

ROOT = Path(__file__).parents[3]
KILLS = 20


def spawn(module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"tests.integration.journal.{module}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)


def run_and_kill(path: Path, after: float) -> int:
    """Let a writer run, `after` seconds past its opening kill it; the last number that it said is acknowledged."""
    writer = spawn("writer", str(path), str(10**9))
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == b"open\n"
        time.sleep(after)  # where in its work it is hit is the point of the test
    finally:
        os.kill(writer.pid, signal.SIGKILL)
    lines = writer.stdout.read().split(b"\n")[:-1]  # what follows the last newline was torn by the kill
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    return int(lines[-1]) if lines else -1


async def holds(path: Path) -> int:
    """Check every number that the journal holds; the last one that is decided."""
    store = JournalStore(SinkOptions(path=path), FakeContext("check", path))
    await store.open()
    [info] = await store.streams("a")
    through = -1 if info.through is None else info.through
    following = 0
    async for piece in store.read(STREAM, 0, through):
        if isinstance(piece, Data):
            assert piece.batch.first == following
            for place, found in enumerate(piece.batch.payloads):
                number = piece.batch.first + place
                assert found == payload(number), number
                assert not is_hole(number)
            following = piece.batch.last + 1
        else:
            assert piece.first == following
            assert all(is_hole(number) for number in range(piece.first, piece.last + 1)), piece
            following = piece.last + 1
    assert following == through + 1
    await store.close()
    return through


async def test_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Twenty lives, each killed at a random moment: nothing twice, nothing missing, nothing out of order."""
    chance, acknowledged = random.Random(5), -1
    for _ in range(KILLS):
        acknowledged = max(acknowledged, run_and_kill(tmp_path / "j", chance.random() * 0.08))
        assert await holds(tmp_path / "j") >= acknowledged
    assert acknowledged > 1_000
    assert len(list((tmp_path / "j").glob("[0-9]*.sqlite"))) > 3


async def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    writer = spawn("writer", str(tmp_path / "j"), str(10**9))
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"open\n"
    assert writer.stdout.readline().endswith(b"\n")  # something is acknowledged, and so in the journal
    options = SinkOptions(path=tmp_path / "j")
    with pytest.raises(Refused, match=f"written already, by process {writer.pid}"):
        await JournalSink(options, FakeContext("second", tmp_path)).open("a", RecordingListener())
    os.kill(writer.pid, signal.SIGKILL)
    writer.stdout.close()
    writer.wait()
    sink = JournalSink(options, FakeContext("second", tmp_path))
    opened = await sink.open("a", RecordingListener())
    assert opened is not None
    await sink.close(False)


async def test_a_source_follows_a_writer_in_another_process(tmp_path: Path) -> None:
    count = 30_000
    writer = spawn("writer", str(tmp_path / "j"), str(count))
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"open\n"
    source = JournalSource(SourceOptions(path=tmp_path / "j"), FakeContext("reader", tmp_path / "state"))
    await source.open(Start("earliest"))
    following = 0
    while following < count:
        for item, _ in await source.read(1000):
            if isinstance(item, SessionStart):
                continue
            assert isinstance(item, MessageBatch | Hole)
            assert item.first == following
            if isinstance(item, MessageBatch):
                assert item.payloads == [payload(number) for number in range(item.first, item.last + 1)]
            following = item.last + 1
    await source.close()
    await asyncio.to_thread(writer.communicate)
    assert writer.returncode == 0


def mount_namespace() -> list[str]:
    """A command that runs the rest in a mount namespace of its own, as root or as a user who becomes one in it."""
    unshare = find("unshare")
    for options in (["--mount"], ["--mount", "--map-root-user"]):
        command = [unshare, *options]
        probe = subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
        if probe.returncode == 0:
            return command
    leave_out("needs to mount a small file system in a namespace of its own, which this system does not allow")
    raise AssertionError


def test_a_full_disk_is_named_and_freeing_space_recovers(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=4m none "$1" && exec "$2" -m tests.integration.journal.full_disk "$1"'
    command = [*mount_namespace(), "sh", "-c", script, "sh", str(tmp_path), sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["kind"] == told["kind_while_full"] == "Unavailable"
    assert told["failed"].startswith(f"no space left for journal {tmp_path}/journal, ")
    assert told["failed"].endswith(" bytes free")
    assert "free space" in told["hint"]
    assert told["acknowledged"] > 0
    assert (told["after"], told["error_after"]) == (True, None)
    assert told["read"] == told["written"]
