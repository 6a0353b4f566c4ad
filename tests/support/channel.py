"""A channel to type tests against: words of its lines in, items out, the ledger checked after every step."""

from collections.abc import Sequence
from typing import Any

from bridge.api import Hole, Item, MessageBatch, Sample, SessionEnd, SessionStart, Stream
from bridge.core.events import Event
from bridge.core.receiver import ChannelReceiver
from bridge.core.settings import ReceiverSettings
from bridge.core.stream import StreamState
from bridge.wire import codec
from bridge.wire.native import NativeCodec
from bridge.wire.packet import Codec, Fragment

MS = 1_000_000
SECOND = 1_000 * MS
HOLD = 20 * MS
A, B, C = 0, 1, 2


def session(number: int) -> bytes:
    return number.to_bytes(8, "big")


class Channel:
    """`hold` is 20 ms or 256 packets unless told; `wire` native, channel 7. Every word is a drain of its own."""

    def __init__(self, lines: int = 1, wire: Codec | None = None, **settings: Any) -> None:
        self.wire = wire or codec("native", channel=7)
        settings = {"hold_ns": HOLD, "channel_number": 7 if self.wire.name == "native" else None} | settings
        self.settings = ReceiverSettings(**settings)
        self.names = "ABC"[:lines]
        self.receiver = ChannelReceiver("c", self.wire, list(self.names), self.settings)
        self.kept: list[tuple[int, list[bytes], int]] = []
        self.receiver.accepted_datagrams = lambda line, found, time_ns: self.kept.append((line, found, time_ns))
        self.now = 0
        self.items: list[Item] = []
        self.events: list[Event] = []
        self.session = session(1)

    # words

    def data(self, line: int, number: int, *payloads: bytes, session: bytes | None = None, sent_ns: int = 0) -> None:
        """Messages `number`…; without payloads one that says its number."""
        found = payloads or (b"%d" % number,)
        self.word(line, self.wire.encode_data(session or self.session, number, found, sent_ns))

    def run(self, line: int, first: int, stop: int, session: bytes | None = None) -> None:
        """Messages first..stop-1, each in a datagram, in one drain."""
        name = session or self.session
        self.words(line, [self.wire.encode_data(name, number, [b"%d" % number], 0) for number in range(first, stop)])

    def piece(self, line: int, number: int, offset: int, size: int, piece: bytes) -> None:
        self.word(line, self.wire.encode_fragment(self.session, number, Fragment(offset, size), piece, 0))

    def heartbeat(self, line: int, number: int, session: bytes | None = None) -> None:
        self.word(line, self.wire.encode_heartbeat(session or self.session, number, 0))

    def hole(self, line: int, first: int, last: int) -> None:
        self.word(line, self.wire.encode_hole(self.session, first, last, 0))

    def end(self, line: int, number: int, session: bytes | None = None) -> None:
        self.word(line, self.wire.encode_end(session or self.session, number, 0))

    def word(self, line: int, datagram: bytes, sample: Sample | None = None) -> None:
        self.words(line, [datagram], sample)

    def words(self, line: int, datagrams: Sequence[bytes], sample: Sample | None = None) -> None:
        self.receiver.receive(line, datagrams, self.now, self.now, sample)
        self.check()

    # time

    def end_pass(self, drained: bool = True) -> list[Item]:
        items = self.receiver.end_pass(self.now, drained)
        self.items += items
        self.check()
        return items

    def after(self, ns: int, drained: bool = True) -> list[Item]:
        """Time goes on by `ns`, and a pass ends."""
        self.now += ns
        return self.end_pass(drained)

    def settle(self) -> None:
        """The first hold of a stream is over."""
        self.after(HOLD)

    def close(self) -> list[Item]:
        items = self.receiver.close(self.now)
        self.items += items
        self.check()
        return items

    def check(self) -> None:
        assert self.receiver.problems() == []
        assert all(line.ledger.waiting >= 0 for line in self.receiver.lines)
        self.events += self.receiver.events()

    # what came out

    @property
    def out(self) -> list[int | str]:
        """Numbers of messages; holes as "first..last reason", starts as "start N", ends as "end N"."""
        found: list[int | str] = []
        for item in self.items:
            if isinstance(item, MessageBatch):
                found += range(item.first, item.last + 1)
            elif isinstance(item, Hole):
                found.append(f"{item.first}..{item.last} {item.reason}")
            elif isinstance(item, SessionStart):
                found.append(f"start {item.first}")
            elif isinstance(item, SessionEnd):
                found.append(f"end {item.next}")
        return found

    @property
    def payloads(self) -> list[bytes]:
        return [payload for item in self.items if isinstance(item, MessageBatch) for payload in item.payloads]

    @property
    def streams(self) -> list[Stream]:
        return [item.stream for item in self.items if isinstance(item, SessionStart)]

    @property
    def current(self) -> StreamState:
        stream = self.receiver.streams[-1]
        assert isinstance(stream, StreamState)
        return stream

    def said(self, kind: type) -> list[Any]:
        """The events of this kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def reborn(self, **settings: Any) -> "Channel":
        """A new process: a fresh channel that was given what the disk window of this one kept."""
        changed = {name: getattr(self.settings, name) for name in ReceiverSettings.__dataclass_fields__} | settings
        other = Channel(len(self.names), self.wire, **changed)
        other.now, other.session = self.now, self.session
        other.kept = list(self.kept)
        for line, datagrams, time_ns in self.kept:
            other.receiver.receive(line, datagrams, other.now, time_ns, restoring=True)
            other.end_pass(drained=False)
        return other


def authenticated() -> NativeCodec:
    return NativeCodec(7, keys=[b"a key"])
