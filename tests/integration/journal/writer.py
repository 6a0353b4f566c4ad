"""A process that writes a journal until it is killed: `python -m tests.integration.journal.writer PATH COUNT [SEGMENT]`.

It goes on from the tail, submits batches of 1 to 50 messages whose bytes tell their number, with holes between them, and
prints each acknowledged number on a line of its own before it submits more.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from bridge.api import ConnectorError, Hole, MessageBatch, SessionStart, Stream
from bridge.testing.doubles import FakeContext
from connectors.journal.options import SinkOptions
from connectors.journal.sink import JournalSink

STREAM = Stream("a", b"session1")


def payload(number: int) -> bytes:
    return b"%d " % number * (number % 60)


def is_hole(number: int) -> bool:
    """Which numbers are holes, the same in every life."""
    return number % 97 < 3


class Printing:
    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def on_acknowledged(self, _: Stream, through: int) -> None:
        os.write(1, b"%d\n" % through)
        self.changed.set()

    def on_failed(self, error: ConnectorError) -> None:
        os.write(1, f"failed {error}\n".encode())
        os._exit(3)


async def main(path: str, count: int, segment: str) -> None:
    sink = JournalSink(SinkOptions.model_validate({"path": path, "segment": segment}), FakeContext("w", Path(path)))
    listener = Printing()
    opened = await sink.open("a", listener)
    os.write(1, b"open\n")
    at = 0 if opened is None or opened.through is None else opened.through + 1
    sink.submit(SessionStart(STREAM, "native", 0))
    chance = random.Random(at)
    while at < count:
        last = at
        while last + 1 < count and is_hole(last + 1) == is_hole(at) and last - at < chance.randint(0, 50):
            last += 1
        item: Hole | MessageBatch = Hole(STREAM, at, last, "wire")
        if not is_hole(at):
            item = MessageBatch(STREAM, at, [payload(n) for n in range(at, last + 1)], time.time_ns())
        while not sink.submit(item):
            listener.changed.clear()
            await listener.changed.wait()
        at = last + 1
    await sink.close(True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "256KiB"))
