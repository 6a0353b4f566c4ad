"""Cutting and joining items."""

from typing import Final

from bridge.api import Hole, Item, MessageBatch

MERGE_SPAN_NS: Final = 100_000_000
"""Batches that waited become one when their receive times are this close: receive times stay exact to it."""


def joins(batch: MessageBatch, item: MessageBatch) -> bool:
    """Whether the messages of `item` can be appended to `batch`, which has neither numbers nor columns."""
    return (
        item.first == batch.first + len(batch.payloads)
        and item.numbers is None
        and not item.columns
        and -MERGE_SPAN_NS <= item.time_ns - batch.time_ns <= MERGE_SPAN_NS
    )


def cut(item: Item, first: int) -> Item:
    """The part of a batch or hole with numbers of at least `first`."""
    if isinstance(item, MessageBatch):
        return item.from_number(first)
    assert isinstance(item, Hole)  # a start and an end have no numbers
    return Hole(item.stream, first, item.last, item.reason)


def split(batch: MessageBatch, max_messages: int, max_bytes: int) -> list[MessageBatch]:
    """The batch in pieces of at most so many messages and payload bytes; a message larger than that is a piece of its own."""
    pieces: list[MessageBatch] = []
    start = size = 0
    for place, payload in enumerate(batch.payloads):
        if place > start and (place - start >= max_messages or size + len(payload) > max_bytes):
            pieces.append(part(batch, start, place))
            start, size = place, 0
        size += len(payload)
    pieces.append(part(batch, start, len(batch.payloads)))
    return pieces


def part(batch: MessageBatch, start: int, stop: int) -> MessageBatch:
    """The messages at places start..stop of a batch."""
    numbers = batch.numbers[start:stop] if batch.numbers is not None else None
    columns = {name: values[start:stop] for name, values in batch.columns.items()}
    return MessageBatch(batch.stream, batch.number(start), batch.payloads[start:stop], batch.time_ns, numbers, columns)
