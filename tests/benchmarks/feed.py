"""What is sent: datagrams of the native protocol, encoded before the clock runs, in the file that the senders read."""

import random
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.wire import codec
from bridge.wire.native_layout import channel_number

PAYLOAD = 100
"""Bytes of a message."""

PORT = 6000


@dataclass(frozen=True)
class Feed:
    """`rate` messages a second over all channels, `each` in a datagram, every datagram on every line."""

    rate: int
    each: int = 1
    lines: int = 1
    channels: int = 1

    @property
    def datagrams(self) -> float:
        """Datagrams a second, all lines."""
        return self.rate / self.each * self.lines

    def channel(self, number: int) -> str:
        return f"c{number}"

    def address(self, channel: int, line: int) -> str:
        return f"239.88.{line}.{channel + 1}:{PORT + line}"

    def addresses(self) -> list[str]:
        return [self.address(channel, line) for channel in range(self.channels) for line in range(self.lines)]


class FeedWriter:
    """Writes parts of one feed, each going on where the one before ended."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._next = [1] * feed.channels
        self._session = time.time_ns().to_bytes(8, "big")
        self._codecs = [codec("native", channel=channel_number(feed.channel(n))) for n in range(feed.channels)]
        self._random = random.Random(7)

    def write(self, path: Path, seconds: float) -> int:
        """`seconds` of the feed; the number of messages."""
        groups = max(1, int(self.feed.rate * seconds / self.feed.each))
        with path.open("wb") as file:
            for number in range(groups):
                file.writelines(self._group(number % self.feed.channels))
        return groups * self.feed.each

    def _group(self, channel: int) -> Iterator[bytes]:
        feed, first = self.feed, self._next[channel]
        payloads = [self._random.randbytes(PAYLOAD) for _ in range(feed.each)]
        datagram = self._codecs[channel].encode_data(self._session, first, payloads, 0)
        self._next[channel] = first + feed.each
        for line in range(feed.lines):
            yield struct.pack("<HH", channel * feed.lines + line, len(datagram)) + datagram
