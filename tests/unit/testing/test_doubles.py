"""The engine's side among the doubles: what it remembers, and what it calls broken."""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest

from bridge.api import Stream, Unavailable
from bridge.testing.conformance.traffic import Script, Writer, stream
from bridge.testing.doubles import FailingSink, FakeContext, Memory, MemoryLine, MemoryOutlet, RecordingListener

STREAM = Stream("c", b"12345678")


def test_context_remembers_events_and_counts() -> None:
    context = FakeContext("cloud", Path("x"))
    context.emit("frob_lost", "warning", "a frob is gone", frob=3)
    context.counter("frobs", kind="a", at="b").add(2)
    context.counter("frobs", at="b", kind="a").add()
    context.counter("plain").add()
    assert context.events == [("frob_lost", "warning", "a frob is gone", {"frob": 3})]
    assert context.counts == {"frobs{at=b,kind=a}": 3, "plain": 1}
    with pytest.raises(ValueError, match="only rises"):
        context.counter("plain").add(-1)


async def test_context_shares_one_object_and_closes_it() -> None:
    closed: list[str] = []

    class Client:
        async def close(self) -> None:
            closed.append("client")

    context = FakeContext()
    first = context.shared("client", Client)
    assert context.shared("client", Client) is first
    context.shared("no close", dict)
    await context.close()
    assert closed == ["client"]
    assert context.shared("client", Client) is not first


@pytest.mark.parametrize("inline", [True, False])
async def test_context_runs_blocking_calls(inline: bool) -> None:
    ran = await FakeContext(inline=inline).blocking(threading.get_ident)
    assert (ran == threading.get_ident()) is inline


async def test_listener_waits_for_a_number_also_for_zero() -> None:
    listener = RecordingListener()
    waiting = asyncio.ensure_future(listener.reaches(STREAM, 0))
    await asyncio.sleep(0)
    assert not waiting.done()
    listener.on_acknowledged(STREAM, 0)
    await waiting
    await listener.reaches(STREAM, 0)
    assert listener.through(STREAM) == 0


async def test_listener_raises_a_failure_to_who_waits_for_a_number() -> None:
    listener = RecordingListener()
    waiting = asyncio.ensure_future(listener.reaches(STREAM, 5))
    await asyncio.sleep(0)
    listener.on_failed(Unavailable("gone"))
    with pytest.raises(Unavailable):
        await waiting
    assert listener.broken == []


def test_listener_names_what_breaks_the_contract() -> None:
    listener = RecordingListener()
    listener.on_acknowledged(STREAM, 5)
    listener.on_acknowledged(STREAM, 4)
    listener.on_failed(ValueError("no connector's error"))
    listener.on_failed(Unavailable("again"))
    listener.on_acknowledged(STREAM, 6)
    thread = threading.Thread(target=listener.on_acknowledged, args=(STREAM, 7))
    thread.start()
    thread.join()
    assert [text.split(":")[0] for text in listener.broken] == [
        "acknowledgement fell from 5 to 4",
        'failed with ValueError("no connector\'s error"), which is no ConnectorError',
        "failed a second time",
        "acknowledged 6 after it had failed",
        "acknowledged 7 after it had failed",
        "on_acknowledged was called from another thread than the event loop's",
    ]


def test_line_counts_what_its_buffer_drops() -> None:
    line = MemoryLine("c", "A", capacity=2)
    line.feed([b"before it joined"])
    line.join()
    line.feed([b"1", b"2", b"3"], sender=("10.0.0.1", 9), kernel_ns=7)
    drain = line.drain(10)
    assert (drain.datagrams, drain.empty, line.kernel_dropped) == ([b"1", b"2"], True, 1)
    assert drain.sample is not None
    assert (drain.sample.at, drain.sample.kernel_ns, drain.sample.sender) == (0, 7, ("10.0.0.1", 9))
    line.leave()
    assert line.fileno() is None


def test_outlet_takes_what_it_has_room_for_and_nothing_too_large() -> None:
    outlet = MemoryOutlet("c", max_datagram=4)
    outlet.room = 3
    assert outlet.send([b"1", b"2"]) == 2
    assert outlet.send([b"3", b"4"]) == 1
    assert outlet.sent == [b"1", b"2", b"3"]
    outlet.room = None
    with pytest.raises(ValueError, match="5 bytes"):
        outlet.send([b"12345"])


async def test_a_sink_that_fails_by_seed_still_keeps_the_contract() -> None:
    """An engine that opens anew and resends from the tail stores everything once, whatever the seed; and seeds do fail."""
    lives = 0
    for seed in range(40):
        memory, script = Memory(), Script(stream(), first=1, seed=seed).mixed(150)
        through = 0
        while through < script.last:
            lives += 1
            sink = FailingSink(FailingSink.Options(memory=memory, seed=seed * 1000 + lives, capacity=4))
            listener = RecordingListener()
            opened = await sink.open(script.stream.channel, listener)
            resume = (opened.through if opened and opened.through is not None else 0) + 1
            writer = Writer(sink, listener, opened)
            with contextlib.suppress(Unavailable):
                await writer.write(script.from_number(resume))
            await sink.close(True)
            assert listener.broken == []
            assert (listener.through(script.stream) or 0) <= (memory.through(script.stream) or 0)
            through = memory.through(script.stream) or 0
        assert memory.messages(script.stream.channel) == script.messages
        assert memory.holes(script.stream) == script.holes
    assert lives > 80
