"""Where `send` has its messages from."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api import BridgeError
from bridge.cli import messages
from bridge.core.payload import Sizes, payload


def joined(batches: list[list[bytes]]) -> list[bytes]:
    return [message for batch in batches for message in batch]


async def collected(batches: AsyncIterator[list[bytes]]) -> list[list[bytes]]:
    return [batch async for batch in batches]


def from_file(path: Path, content: bytes, count: int | None = None, most: int = 512) -> list[list[bytes]]:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return asyncio.run(collected(messages.lines(descriptor, count, most)))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"hi\n", [b"hi"]),
        (b"hi", [b"hi"]),
        (b"a\n\nb\n", [b"a", b"", b"b"]),
        (b"\n", [b""]),
        (b"a\r\nb\x00\xff\n", [b"a\r", b"b\x00\xff"]),
    ],
)
def test_lines_of_a_file(tmp_path: Path, content: bytes, expected: list[bytes]) -> None:
    assert joined(from_file(tmp_path / "f", content)) == expected


def test_lines_longer_than_one_read(tmp_path: Path) -> None:
    wanted = [b"x" * 200_000, b"", b"y" * 70_000, b"z" * 65_536]
    assert joined(from_file(tmp_path / "f", b"\n".join(wanted))) == wanted


def test_count_and_batches(tmp_path: Path) -> None:
    found = from_file(tmp_path / "f", b"".join(b"%d\n" % n for n in range(100)), count=25, most=10)
    assert [len(batch) for batch in found] == [10, 10, 5]
    assert found[-1][-1] == b"24"


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_LINE", 100_000)
    with pytest.raises(BridgeError, match="longer than 100000 bytes"):
        from_file(tmp_path / "f", b"x" * 300_000)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_lines_of_a_pipe_come_as_they_are_written(parts: list[bytes]) -> None:
    """Wherever the writer happens to stop, the lines are the same."""

    async def through_a_pipe() -> list[bytes]:
        reader, writer = os.pipe()
        reading = asyncio.ensure_future(collected(messages.lines(reader, None, 512)))
        for part in parts:
            os.write(writer, part)
            await asyncio.sleep(0)
        os.close(writer)
        try:
            return joined(await reading)
        finally:
            os.close(reader)

    expected = b"".join(parts).split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert asyncio.run(through_a_pipe()) == expected


def test_generated() -> None:
    sizes = Sizes(20, 2000)
    found = asyncio.run(collected(messages.generated(5, sizes, 1000, 512, 10_000)))
    assert joined(found) == [payload(5, number, sizes.of(5, number)) for number in range(1, 1001)]
    assert all(sum(map(len, batch[:-1])) < 10_000 for batch in found)
