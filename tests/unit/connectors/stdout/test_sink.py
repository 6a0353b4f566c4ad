"""Standard output as a sink: the conformance suite over a file, and pipes that are slow, closed and never read."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.api import MessageBatch, Refused, SessionStart, Stream, Unavailable
from bridge.testing.conformance import SinkSuite
from bridge.testing.doubles import FakeContext, RecordingListener
from connectors.stdout.sink import StdoutSink

A = Stream("a", b"session1")
B = Stream("b", b"session2")


@contextmanager
def stdout_as_pipe() -> Iterator[tuple[int, int]]:
    """Standard output is a pipe; its ends. Not a fixture: pytest sets its own standard output between set-up and call."""
    reader, writer = os.pipe()
    before = sys.stdout
    with open(writer, "w", closefd=False) as file:
        sys.stdout = file
        try:
            yield reader, writer
        finally:
            sys.stdout = before
            for descriptor in (reader, writer):
                with suppress(OSError):
                    os.close(descriptor)


@contextmanager
def stdout_as_file(path: Path) -> Iterator[None]:
    before = sys.stdout
    with path.open("a") as file:
        sys.stdout = file
        try:
            yield
        finally:
            sys.stdout = before


async def opened(context: FakeContext, channel: str = "a", **options: Any) -> tuple[StdoutSink, RecordingListener]:
    sink, listener = StdoutSink(StdoutSink.Options(**options), context), RecordingListener()
    assert await sink.open(channel, listener) is None
    return sink, listener


async def test_forms_and_fields() -> None:
    with stdout_as_pipe() as pipe:
        context = FakeContext()
        fields = [{"kind": "P"}, {"kind": "Q", "sequence": "no field replaces what is there"}]
        for form in ("jsonl", "text", "hex"):
            sink, listener = await opened(context, format=form)
            sink.submit(SessionStart(A, "native", 4))
            sink.submit(MessageBatch(A, 4, [b"x", b"\xff"], 0, columns={"fields": fields}))
            await sink.close(True)
            assert listener.acknowledged == [(A, 5)]
        lines = os.read(pipe[0], 65536).split(b"\n")
        known = {"channel": "a", "session": "73657373696f6e31", "time": "1970-01-01T00:00:00.000000000Z"}
        assert json.loads(lines[0]) == {**known, "sequence": 4, "payload": "x", "kind": "P"}
        assert json.loads(lines[1]) == {**known, "sequence": 5, "payload_hex": "ff", "kind": "Q"}
        assert lines[2:4] == [b"x", b"\xff"]
        assert lines[4] == b"1970-01-01T00:00:00.000000000Z a 73657373696f6e31 4 length 1"
        assert lines[5].startswith(b"\t0x0000:  78 ")
        await context.close()


async def test_a_slow_reader_makes_the_sink_full_and_channels_take_turns() -> None:
    with stdout_as_pipe() as pipe:
        context = FakeContext()
        (one, heard), (two, also) = await opened(context, format="text"), await opened(context, "b", format="text")
        large = [b"a" * 1000] * 300
        one.submit(SessionStart(A, "native", 0))
        two.submit(SessionStart(B, "native", 0))
        assert [one.submit(MessageBatch(A, n * 300, large, 0)) for n in range(3)] == [True, True, False]
        assert two.submit(MessageBatch(B, 0, [b"b" * 1000] * 5, 0))
        loop, lines, rest = asyncio.get_running_loop(), list[bytes](), b""
        while len(lines) < 605:
            *whole, rest = (rest + await loop.run_in_executor(None, os.read, pipe[0], 65536)).split(b"\n")
            lines += whole
        assert lines == [b"a" * 1000] * 600 + [b"b" * 1000] * 5
        await one.close(True)
        await two.close(True)
        assert (heard.through(A), also.through(B), heard.broken, also.broken) == (599, 4, [], [])
        await context.close()


async def test_a_closed_pipe_is_refused_for_every_channel() -> None:
    with stdout_as_pipe() as pipe:
        context = FakeContext()
        (one, heard), (two, also) = await opened(context), await opened(context, "b")
        os.close(pipe[0])
        one.submit(SessionStart(A, "native", 0))
        two.submit(SessionStart(B, "native", 0))
        one.submit(MessageBatch(A, 0, [b"x"], 0))
        two.submit(MessageBatch(B, 0, [b"x"], 0))
        failures = [await heard.fails(), await also.fails()]
        assert {type(failure) for failure in failures} == {Refused}
        assert "standard output was closed by its reader" in str(failures[0])
        assert one.submit(MessageBatch(A, 1, [b"x"], 0)) is False
        await one.close(True)
        await two.close(False)
        await context.close()


async def test_nobody_reads_and_the_end_comes_all_the_same() -> None:
    with stdout_as_pipe():
        context = FakeContext()
        sink, listener = await opened(context)
        sink.submit(SessionStart(A, "native", 0))
        sink.submit(MessageBatch(A, 0, [b"x" * 10_000] * 100, 0))
        await asyncio.sleep(0)
        await sink.close(False)
        await context.close()
        assert listener.acknowledged == []


async def test_a_full_disk_is_named() -> None:
    with stdout_as_file(Path("/dev/full")):
        context = FakeContext()
        sink, listener = await opened(context)
        sink.submit(SessionStart(A, "native", 0))
        sink.submit(MessageBatch(A, 0, [b"x"], 0))
        error = await listener.fails()
        assert type(error) is Unavailable
        assert str(error) == "standard output failed: No space left on device"
        await sink.close(False)
        await context.close()


class TestStdoutSink(SinkSuite):
    name = "stdout"
    sink = StdoutSink

    @pytest.fixture(autouse=True)
    def _restored(self) -> Iterator[None]:
        before, self.opened = sys.stdout, list[Any]()
        yield
        sys.stdout = before
        for file in self.opened:
            file.close()

    def options(self, path: Path) -> dict[str, Any]:
        self.opened.append((path / "out").open("a"))
        sys.stdout = self.opened[-1]
        return {"format": "jsonl"}

    async def stored(self, path: Path, channel: str) -> list[tuple[Stream, int, bytes]]:
        """A line names no restart: one that begins at a lower number again is the next."""
        found: list[tuple[Stream, int, bytes]] = []
        for line in (path / "out").read_text().splitlines():
            told = json.loads(line)
            datetime.fromisoformat(told["time"][:26])
            if told["channel"] != channel:
                continue
            payload = told["payload"].encode() if "payload" in told else bytes.fromhex(told["payload_hex"])
            stream = Stream(channel, bytes.fromhex(told["session"]))
            before = [entry for entry in found if entry[0].session == stream.session]
            if before:
                stream = before[-1][0]
                if told["sequence"] <= before[-1][1]:
                    stream = stream._replace(restart=stream.restart + 1)
            found.append((stream, told["sequence"], payload))
        return found
