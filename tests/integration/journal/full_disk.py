"""A journal on a file system of 4 MiB that is filled and freed: `python -m tests.integration.journal.full_disk PATH`.

Prints one JSON object: what failed, how often opening failed while it was full, what was acknowledged and read after.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from bridge.api import ConnectorError, Data, MessageBatch, SessionStart, Stream
from bridge.testing.doubles import FakeContext, RecordingListener
from connectors.journal.options import SinkOptions
from connectors.journal.sink import JournalSink
from connectors.journal.store import JournalStore

STREAM = Stream("a", b"session1")


async def fill(options: SinkOptions, context: FakeContext, at: int, upto: int) -> tuple[int, ConnectorError | None]:
    """Write until `upto` or the failure; the first number that is not acknowledged, and the failure."""
    sink, listener = JournalSink(options, context), RecordingListener()
    try:
        opened = await sink.open("a", listener)
    except ConnectorError as error:
        await sink.close(False)
        return at, error
    if opened is not None and opened.tail is not None:
        assert opened.tail >= at - 1, f"acknowledged {at - 1}, the tail is {opened.tail}"
        at = opened.tail + 1
    sink.submit(SessionStart(STREAM, "native", 0))
    number = at
    while number < upto and not listener.failures:
        if sink.submit(MessageBatch(STREAM, number, [b"%d" % n + b"x" * 900 for n in range(number, number + 20)], 1)):
            number += 20
        if not listener.failures and (listener.through(STREAM) or at - 1) < number - 1:
            await listener.change()
    await sink.close(True)
    through = listener.through(STREAM)
    assert not listener.broken, listener.broken
    return (at if through is None else through + 1), (listener.failures or [None])[0]


async def main(path: Path) -> None:
    context = FakeContext("j", path)
    options = SinkOptions.model_validate({"path": str(path / "journal"), "segment": "512KiB"})
    told: dict[str, Any] = {}
    filler = path / "filler"
    filler.write_bytes(b"x" * 2 * 2**20)
    at, error = await fill(options, context, 0, 100_000)
    told["failed"], told["kind"], told["hint"] = str(error), type(error).__name__, error.hint if error else ""
    told["acknowledged"] = at
    again, error = await fill(options, context, at, 100_000)
    told["while_full"], told["kind_while_full"] = again - at, type(error).__name__
    filler.unlink()
    upto = again + 600
    at, error = await fill(options, context, again, upto)
    told["after"], told["error_after"] = at >= upto, str(error) if error else None
    store = JournalStore(options, context)
    await store.open()
    found = 0
    async for piece in store.read(STREAM, 0, at - 1):
        assert isinstance(piece, Data), piece
        for place, payload in enumerate(piece.batch.payloads):
            assert payload == b"%d" % found + b"x" * 900, (place, found)
            found += 1
    await store.close()
    told["read"], told["written"] = found, at
    await context.close()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
