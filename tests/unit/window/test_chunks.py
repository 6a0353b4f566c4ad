"""A chunk on disk gives back the entries that were written, and its head alone says what they are."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.api import Hole, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.window.chunks import decode, decode_head, encode, head_length
from bridge.window.entry import Entry, WindowStream

STREAM = Stream("c", b"session8")
OTHER = Stream("c", b"other", 3)


def window_streams() -> dict[tuple[int, bytes, int], WindowStream]:
    return {(7, s.session, s.restart): WindowStream(s, 7, o, "native", 0, 0) for o, s in enumerate((STREAM, OTHER))}


def items_of(draw_sizes: list[int], start: int) -> list[Item]:
    payloads = [bytes([n % 251]) * size for n, size in enumerate(draw_sizes)]
    return [
        SessionStart(STREAM, "native", start),
        MessageBatch(STREAM, start, payloads, 1234567890123456789),
        Hole(STREAM, start + len(payloads), start + len(payloads) + 4, "reassembly"),
        MessageBatch(OTHER, 5, [b"x", b""], -1, [5, 9], {"key": [b"\x00\xff", None], "name": ["a", "b"]}),
        SessionEnd(STREAM, start + len(payloads) + 5),
    ]


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=4), st.integers(0, 2**53 - 100))
def test_what_was_written_comes_back(sizes: list[int], start: int) -> None:
    known = window_streams()
    items = items_of(sizes, start)
    entries = [
        Entry(item, known[7, item.stream.session, item.stream.restart], 40 + i, 5) for i, item in enumerate(items)
    ]
    chunk, parts = encode(entries)
    record = b"".join(parts)

    def stream_of(run: int, session: bytes, restart: int, protocol: str) -> WindowStream:
        assert protocol == "native"
        return known[run, session, restart]

    head = decode_head(record[: head_length(record)], stream_of)
    back = decode(record, stream_of, head)
    assert [entry.item for entry in back] == items
    assert [entry.stream for entry in back] == [entry.stream for entry in entries]
    assert (head.first_index, head.last_index, head.messages, head.size) == (40, 44, len(sizes) + 2, chunk.size)
    assert head.runs == chunk.runs
    assert [entry.ends_chunk for entry in back] == [False] * 4 + [True]


def test_the_head_names_every_run_with_its_reason() -> None:
    known = window_streams()
    items = items_of([1, 1], 10)
    entries = [Entry(item, known[7, item.stream.session, item.stream.restart], i, 5) for i, item in enumerate(items)]
    chunk, _ = encode(entries)
    first, second = known.values()
    assert chunk.runs == [(first, 10, 11, ""), (first, 12, 16, "reassembly"), (second, 5, 9, ""), (first, 17, 16, "")]


def test_an_offset_decided_before_the_write_comes_back_with_it() -> None:
    known = window_streams()
    stream = known[7, b"session8", 0]
    stream.offset = -2
    _, parts = encode([Entry(SessionStart(STREAM, "native", 1), stream, 0, 0)])
    fresh = WindowStream(STREAM, 7, 0, "native", 0, 0)
    decode_head(parts[0], lambda *_: fresh)
    assert fresh.offset == -2
