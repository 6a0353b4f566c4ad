"""Where `send` has its messages from: lines of a file or of standard input, or the payload generator."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final

from bridge.api import BridgeError
from bridge.core.payload import MAX_NUMBER, Sizes, payload

READ_BYTES: Final = 65_536
MAX_LINE: Final = 64 * 2**20
"""The largest message of any protocol; a longer line is no line but a file that has none."""

BATCH_BYTES: Final = 65_536
"""Generated at a time: well below a millisecond of the loop."""


async def lines(descriptor: int, count: int | None, most: int) -> AsyncIterator[list[bytes]]:
    """Lines without their newline, up to `most` at a time and `count` in all, as they come.

    Raises `BridgeError` for a line that is longer than any message.
    """
    left = MAX_NUMBER if count is None else count
    parts: list[bytes] = []
    waiting = 0
    while left > 0:
        data = await _read(descriptor)
        if not data:
            if parts:
                yield [b"".join(parts)]
            return
        first, *others = data.split(b"\n")
        parts.append(first)
        waiting += len(first)
        if waiting > MAX_LINE:
            raise BridgeError(
                f"a line is longer than {MAX_LINE} bytes", hint="each line is one message; cut the input into lines"
            )
        if not others:
            continue
        found = [b"".join(parts), *others[:-1]][:left]
        parts, waiting = [others[-1]] if others[-1] else [], len(others[-1])
        left -= len(found)
        for start in range(0, len(found), most):
            yield found[start : start + most]


async def generated(
    seed: int, sizes: Sizes, count: int | None, most: int, most_bytes: int = BATCH_BYTES
) -> AsyncIterator[list[bytes]]:
    """Generated payloads from number 1 on: up to `most` or about `most_bytes` at a time, `count` in all."""
    last = MAX_NUMBER if count is None else count
    number = 1
    while number <= last:
        batch: list[bytes] = []
        size = 0
        while number <= last and len(batch) < most and size < most_bytes:
            batch.append(payload(seed, number, sizes.of(seed, number)))
            size += len(batch[-1])
            number += 1
        yield batch


async def _read(descriptor: int) -> bytes:
    """What there is, after waiting for it; empty at the end. A file is always ready, and no selector takes it."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(descriptor, _set, ready)
    except PermissionError:
        return os.read(descriptor, READ_BYTES)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, READ_BYTES)


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
