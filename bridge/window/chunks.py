"""Entries <-> one record of a segment.

A record is a head and a body. The head alone says what the body holds, so that a restart need not read it:

    head length (4), first index (8), last index (8), messages (8), size (8), time of the oldest message (8),
    streams (2): run (8), restart (4), offset (4, signed; -2^31: not decided), session length (1) and bytes,
                 protocol length (1) and text
    runs (4):    a start or an end is an empty run, last = first - 1;
                 stream (2), first (8), last (8, signed), reason (1: 0 messages, else 1 + its place in REASONS)

    body, an entry:  kind (1), stream (2), then
      start    first (8)
      batch    first (8), time (8), count (4), flags (1: 1 numbers, 2 columns), lengths (4 each), [numbers (8 each)],
               [columns: length (4) and JSON], payloads
      hole     first (8), last (8), reason (1)
      end      next (8)

Integers are little-endian. Columns are JSON; bytes in them are {"b64": …}.
"""

import base64
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any, get_args

from bridge.api import Hole, HoleReason, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.window.entry import Chunk, Entry, WindowStream

REASONS: tuple[HoleReason, ...] = get_args(HoleReason)
HEAD_BYTES = 64 * 1024
"""Enough for the head of nearly every record; a longer one is read again."""

_HEAD = struct.Struct("<IQQQQq")
_STREAM = struct.Struct("<QIi")
_RUN = struct.Struct("<HQqB")
_ENTRY = struct.Struct("<BH")
_BATCH = struct.Struct("<QqIB")
_HOLE = struct.Struct("<QQB")
_UNDECIDED = -(2**31)
_START, _BATCH_KIND, _HOLE_KIND, _END = range(4)
_JOIN_BELOW = 256 * 1024  # larger payloads are handed to the writer as they are

StreamOf = Callable[[int, bytes, int, str], WindowStream]
"""(run, session, restart, protocol) -> the window's stream."""


def encode(entries: Sequence[Entry]) -> tuple[Chunk, list[bytes]]:
    """A chunk of the entries, in order, and the parts of its record."""
    oldest = next((e.time_ns for e in entries if e.messages), entries[0].time_ns)
    chunk = Chunk(
        entries[0].index, entries[-1].index, sum(e.messages for e in entries), sum(e.size for e in entries), oldest
    )
    streams: dict[WindowStream, int] = {}
    parts: list[bytes] = []
    small: list[bytes] = []
    for entry in entries:
        place = streams.setdefault(entry.stream, len(streams))
        _note_run(chunk, entry)
        small.append(_entry_bytes(entry.item, place))
        if isinstance(entry.item, MessageBatch):
            if entry.size < _JOIN_BELOW:
                small += entry.item.payloads
            else:
                parts += [b"".join(small), *entry.item.payloads]
                small = []
    parts.append(b"".join(small))
    return chunk, [_head(chunk, list(streams)), *parts]


def head_length(data: bytes) -> int:
    """The length of the head that `data` begins with."""
    length: int = struct.unpack_from("<I", data)[0]
    return length


def decode_head(data: bytes, stream_of: StreamOf) -> Chunk:
    """The chunk that a record's head describes."""
    _, first, last, messages, size, time_ns = _HEAD.unpack_from(data)
    chunk = Chunk(first, last, messages, size, time_ns)
    streams, at = _streams(data, stream_of)
    (runs,) = struct.unpack_from("<I", data, at)
    at += 4
    for place in range(runs):
        stream, low, high, reason = _RUN.unpack_from(data, at + place * _RUN.size)
        chunk.runs.append((streams[stream], low, high, REASONS[reason - 1] if reason else ""))
    return chunk


def decode(data: bytes, stream_of: StreamOf, chunk: Chunk) -> list[Entry]:
    """The entries of a whole record, in order."""
    streams, _ = _streams(data, stream_of)
    at, end, index = head_length(data), len(data), chunk.first_index
    entries: list[Entry] = []
    while at < end:
        kind, place = _ENTRY.unpack_from(data, at)
        item, at = _item(data, at + _ENTRY.size, kind, streams[place].stream, streams[place].protocol)
        entry = Entry(item, streams[place], index, chunk.time_ns)
        entry.chunk = chunk
        entries.append(entry)
        index += 1
    entries[-1].ends_chunk = True
    return entries


def _note_run(chunk: Chunk, entry: Entry) -> None:
    reason = entry.item.reason if isinstance(entry.item, Hole) else ""
    if chunk.runs:
        stream, first, last, before = chunk.runs[-1]
        if stream is entry.stream and before == reason and last + 1 == entry.first:
            chunk.runs[-1] = (stream, first, entry.last, reason)
            return
    chunk.runs.append((entry.stream, entry.first, entry.last, reason))


def _head(chunk: Chunk, streams: Sequence[WindowStream]) -> bytes:
    places = {stream: place for place, stream in enumerate(streams)}
    rest = [struct.pack("<H", len(streams))]
    for stream in streams:
        offset = _UNDECIDED if stream.offset is None else stream.offset
        session, protocol = stream.stream.session, stream.protocol.encode()
        rest.append(_STREAM.pack(stream.run, stream.stream.restart, offset))
        rest += [bytes([len(session)]), session, bytes([len(protocol)]), protocol]
    rest.append(struct.pack("<I", len(chunk.runs)))
    for run, low, high, reason in chunk.runs:
        rest.append(_RUN.pack(places[run], low, high, REASONS.index(reason) + 1 if reason else 0))
    tail = b"".join(rest)
    fixed = (chunk.first_index, chunk.last_index, chunk.messages, chunk.size, chunk.time_ns)
    return _HEAD.pack(_HEAD.size + len(tail), *fixed) + tail


def _streams(data: bytes, stream_of: StreamOf) -> tuple[list[WindowStream], int]:
    at = _HEAD.size
    (count,) = struct.unpack_from("<H", data, at)
    at += 2
    streams: list[WindowStream] = []
    for _ in range(count):
        run, restart, offset = _STREAM.unpack_from(data, at)
        at += _STREAM.size
        session, at = data[at + 1 : at + 1 + data[at]], at + 1 + data[at]
        protocol, at = data[at + 1 : at + 1 + data[at]].decode(), at + 1 + data[at]
        stream = stream_of(run, session, restart, protocol)
        if offset != _UNDECIDED and stream.offset is None:
            stream.offset = offset
        streams.append(stream)
    return streams, at


def _entry_bytes(item: Item, place: int) -> bytes:
    if isinstance(item, MessageBatch):
        count = len(item.payloads)
        flags = (1 if item.numbers is not None else 0) | (2 if item.columns else 0)
        found = [
            _ENTRY.pack(_BATCH_KIND, place),
            _BATCH.pack(item.first, item.time_ns, count, flags),
            struct.pack(f"<{count}I", *map(len, item.payloads)),
        ]
        if item.numbers is not None:
            found.append(struct.pack(f"<{count}Q", *item.numbers))
        if item.columns:
            columns = json.dumps(item.columns, default=_plain).encode()
            found += [struct.pack("<I", len(columns)), columns]
        return b"".join(found)
    if isinstance(item, Hole):
        return _ENTRY.pack(_HOLE_KIND, place) + _HOLE.pack(item.first, item.last, REASONS.index(item.reason))
    if isinstance(item, SessionStart):
        return _ENTRY.pack(_START, place) + struct.pack("<Q", item.first)
    return _ENTRY.pack(_END, place) + struct.pack("<Q", item.next)


def _item(data: bytes, at: int, kind: int, stream: Stream, protocol: str) -> tuple[Item, int]:
    if kind == _BATCH_KIND:
        return _batch(data, at, stream)
    if kind == _HOLE_KIND:
        first, last, reason = _HOLE.unpack_from(data, at)
        return Hole(stream, first, last, REASONS[reason]), at + _HOLE.size
    (number,) = struct.unpack_from("<Q", data, at)
    return (SessionStart(stream, protocol, number) if kind == _START else SessionEnd(stream, number)), at + 8


def _batch(data: bytes, at: int, stream: Stream) -> tuple[MessageBatch, int]:
    first, time_ns, count, flags = _BATCH.unpack_from(data, at)
    at += _BATCH.size
    lengths = struct.unpack_from(f"<{count}I", data, at)
    at += 4 * count
    numbers: list[int] | None = None
    columns: dict[str, list[Any]] = {}
    if flags & 1:
        numbers = list(struct.unpack_from(f"<{count}Q", data, at))
        at += 8 * count
    if flags & 2:
        (length,) = struct.unpack_from("<I", data, at)
        columns = json.loads(data[at + 4 : at + 4 + length], object_hook=_original)
        at += 4 + length
    payloads: list[bytes] = []
    for length in lengths:
        payloads.append(data[at : at + length])
        at += length
    return MessageBatch(stream, first, payloads, time_ns, numbers, columns), at


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    raise TypeError(f"a column holds {type(value).__name__}, which the spool cannot write")


def _original(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["b64"]) if value.keys() == {"b64"} else value
