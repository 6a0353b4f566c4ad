"""What `bridge listen` does once it knows where: lines joined, one channel received, items written as they are released."""

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final

from bridge.api import DatagramLine, DatagramSource, Hole, Item, MessageBatch
from bridge.api.context import Severity
from bridge.cli import render
from bridge.cli.lines import counted, where
from bridge.cli.output import note
from bridge.cli.verification import Verification
from bridge.core.events import GapAbandoned
from bridge.core.receiver import ChannelReceiver
from bridge.core.settings import ReceiverSettings
from bridge.pipeline.core_events import report
from bridge.pipeline.receive import InboundChannel, ReceiveLoop
from bridge.telemetry.events import Events
from bridge.wire.packet import Codec

SILENCE_SECONDS: Final = 3.0
POLL_SECONDS: Final = 1.0
MAX_DELAY: Final = 0.001

CHECKS: Final = (
    "check that the sender runs and names the same group and port, that this is the interface (%NAME) on which it "
    "arrives, that its TTL reaches this far, and that no firewall and no IGMP snooping switch without querier drops it"
)


class Format(StrEnum):
    """How messages are written."""

    TEXT = "text"
    HEX = "hex"
    JSONL = "jsonl"
    RAW = "raw"


class Output:
    """Renders messages and writes them to standard output, at most `count` of them; flushed once a call."""

    def __init__(self, form: Format | None, count: int | None, session_text: Callable[[bytes], str]) -> None:
        self.messages = 0
        self._form = form
        self._count = count
        self._session_text = session_text
        self._terminal = sys.stdout.isatty()

    @property
    def full(self) -> bool:
        return self._count is not None and self.messages >= self._count

    def take(self, batch: MessageBatch) -> int:
        """Returns how many of the batch's messages were taken. The caller flushes."""
        taken = len(batch.payloads)
        if self._count is not None:
            taken = min(taken, self._count - self.messages)
        self.messages += taken
        if self._form is not None and taken:
            sys.stdout.buffer.write(b"".join(self._rendered(self._form, batch, taken)))
        return taken

    def flush(self) -> None:
        """Raises BrokenPipeError when nobody reads any more."""
        if self._form is not None:
            sys.stdout.buffer.flush()

    def _rendered(self, form: Format, batch: MessageBatch, taken: int) -> list[bytes]:
        payloads = batch.payloads[:taken]
        if form is Format.RAW:
            return payloads
        if form is Format.TEXT:
            return [render.text(payload, terminal=self._terminal) for payload in payloads]
        channel, session, time_ns = batch.stream.channel, self._session_text(batch.stream.session), batch.time_ns
        if form is Format.JSONL:
            lines = [
                render.jsonl(channel, session, batch.number(at), time_ns, payload)
                for at, payload in enumerate(payloads)
            ]
        else:
            lines = []
            for at, payload in enumerate(payloads):
                lines.append(render.hex_head(channel, session, batch.number(at), time_ns, payload))
                lines += render.hexdump(payload)
        return [f"{line}\n".encode() for line in lines]


class Listening:
    """One run of `listen`. `run()` lasts until the count is reached, the time is over, `stop()` or a closed pipe."""

    def __init__(
        self,
        source: DatagramSource,
        codec: Codec,
        channel: str,
        channel_number: int | None,
        output: Output,
        verification: Verification | None,
    ) -> None:
        self.closed_pipe = False
        self.interrupted = False
        self.lost: dict[str, int] = {}  # by the reason of the hole
        self._source = source
        self._output = output
        self._verification = verification
        self._codec = codec
        self._lines: Sequence[DatagramLine] = source.lines()
        session = time.time_ns() // 10**6 << 16 | random.SystemRandom().getrandbits(16)
        settings = ReceiverSettings(
            channel_number=channel_number, raw_session=(session & (2**64 - 1)).to_bytes(8, "big")
        )
        names = [line.name for line in self._lines]
        self.receiver = ChannelReceiver(channel, codec, names, settings)
        self._events = Events(_log)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """By a signal: not reaching the count is no failure then."""
        self.interrupted = True
        self._stopped.set()

    async def run(self, seconds: float | None) -> None:
        """Raises what the connector raises at its opening."""
        await self._source.open()
        loop = ReceiveLoop(asyncio.get_running_loop(), MAX_DELAY)
        loop.add(InboundChannel(self._lines, self.receiver, self._take, self._report))
        for line in self._lines:
            if line.description["joined"]:
                note(f"listening on {where(line.description)}")
        try:
            await self._wait(loop, seconds)
        finally:
            loop.close()
            if not self._output.full and not self.closed_pipe:
                self._take(self.receiver.close(time.monotonic_ns()))
            self._report()
            self._source.poll()
            self._events.flush(everything=True)

    async def _wait(self, loop: ReceiveLoop, seconds: float | None) -> None:
        began = time.monotonic()
        polled, told = began, False
        while not self._stopped.is_set():
            now = time.monotonic()
            if seconds is not None and now - began >= seconds:
                return
            if now - polled >= POLL_SECONDS:
                polled = now
                if self._source.poll():
                    loop.refresh()
                self._events.flush()
            if not told and now - began >= SILENCE_SECONDS:
                told = True
                self._say_if_silent()
            until = [polled + POLL_SECONDS, *([] if seconds is None else [began + seconds])]
            until += [] if told else [began + SILENCE_SECONDS]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), max(0.0, min(until) - now))

    def _take(self, items: list[Item]) -> None:
        output, verification = self._output, self._verification
        for item in items:
            if output.full:
                break
            if isinstance(item, MessageBatch):
                taken = self._write(item)
                if verification is not None:
                    verification.take(item.payloads[:taken], item.first if self._codec.numbered else None)
            elif isinstance(item, Hole):
                self.lost[item.reason] = self.lost.get(item.reason, 0) + item.last - item.first + 1
                if verification is not None and item.reason == "announced":
                    verification.announced(item.first, item.last)
        try:
            output.flush()
        except BrokenPipeError:
            self.closed_pipe = True
        if output.full or self.closed_pipe:
            self._stopped.set()

    def _write(self, batch: MessageBatch) -> int:
        try:
            return self._output.take(batch)
        except BrokenPipeError:
            self.closed_pipe = True
            return 0

    def _report(self) -> bool:
        """After each pass; False: a listener never stops at a gap."""
        if self.receiver.has_events:
            report(self._events, self.receiver, self._codec.session_text, _no_file)
        return False

    def _say_if_silent(self) -> None:
        """What to look at when no message came; also when datagrams did."""
        if self._output.messages:
            return
        states = self.receiver.lines
        if not any(state.ledger.datagrams for state in states):
            places = " and ".join(where(line.description) for line in self._lines)
            note(f"nothing in {SILENCE_SECONDS:g} s on {places}; {CHECKS}")
            return
        for state in states:
            row = state.ledger
            refused = ", ".join(f"{count} {reason}" for reason, count in {**row.malformed, **row.refused}.items())
            why = f"refused: {refused}" if refused else "they carry no message yet"
            note(
                f"line {state.name}: {counted(row.datagrams, 'datagram')} and no message in {SILENCE_SECONDS:g} s; {why}"
            )

    def summary(self) -> list[str]:
        """What came, in words, for the end of the run."""
        lost = sum(count for reason, count in self.lost.items() if reason != "announced")
        announced = self.lost.get("announced", 0)
        text = counted(self._output.messages, "message")
        if self._codec.numbered:
            text += f", {lost} lost" + (f", {announced} announced as holes" if announced else "")
        dropped = sum(line.kernel_dropped for line in self._lines)
        text += f", {counted(dropped, 'datagram')} dropped by the kernel"
        found = [text]
        if len(self._lines) > 1:
            found += [
                f"line {state.name}: {counted(state.ledger.datagrams, 'datagram')}, first with {state.first_arrivals}, "
                f"{state.lost} lost, {state.sole} by this line only"
                for state in self.receiver.lines
            ]
        return found


def _log(severity: Severity, code: str, text: str, fields: dict[str, Any]) -> None:  # noqa: ARG001 - the log's contract
    if severity in ("warning", "error"):
        note(f"{severity}: {text}")


def _no_file(record: GapAbandoned) -> None:
    """`run` writes losses to a file; here they are said and counted."""
