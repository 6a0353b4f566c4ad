"""Retention: which closed segments go, and how they go. Whole files only, oldest first: on a full disk DELETE fails too.

The segment that is written never goes; so that limits bite all the same, it is closed when it holds an eighth of one.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from connectors.journal.layout import segment_of, segment_path
from connectors.journal.options import SinkOptions

SHARES = 8  # of a limit that the written segment may grow to; that much is kept free for it


class Segment(NamedTuple):
    """A segment's size: bytes of its file, messages, the latest receive time in it (ns)."""

    id: int
    bytes: int
    messages: int
    newest: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a journal keeps; None is no limit. The shares say when the segment that is written is closed."""

    segment_bytes: int
    max_age_ns: int | None = None
    max_bytes: int | None = None
    max_messages: int | None = None

    @classmethod
    def of(cls, options: SinkOptions) -> "Limits":
        age = None if options.max_age is None else int(options.max_age * 1e9)
        return cls(options.segment, age, options.max_bytes, options.max_messages)

    @property
    def share_bytes(self) -> int:
        return self.segment_bytes if self.max_bytes is None else min(self.segment_bytes, self.max_bytes // SHARES)

    @property
    def share_messages(self) -> int | None:
        return None if self.max_messages is None else max(1, self.max_messages // SHARES)

    @property
    def share_age_ns(self) -> int | None:
        return None if self.max_age_ns is None else self.max_age_ns // SHARES


def expired(closed: Sequence[Segment], limits: Limits, now_ns: int) -> int:
    """How many of `closed` (oldest first) must go so that they and a written segment of full size keep within the limits."""
    size = limits.share_bytes + sum(s.bytes for s in closed)
    messages = (limits.share_messages or 0) + sum(s.messages for s in closed)
    for count, segment in enumerate(closed):
        old = limits.max_age_ns is not None and segment.newest < now_ns - limits.max_age_ns
        large = limits.max_bytes is not None and size > limits.max_bytes
        many = limits.max_messages is not None and messages > limits.max_messages
        if not (old or large or many):
            return count
        size -= segment.bytes
        messages -= segment.messages
    return len(closed)


def unlink(path: Path, segment: int) -> None:
    """Remove the files of a segment; those that are gone are no error. Readers that have it open keep what they read."""
    file = segment_path(path, segment)
    for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path / name)


def unlink_orphans(path: Path, known: Iterable[int], below: int) -> None:
    """Remove files of segments under `below` that the registry does not know: a kill left them between two steps."""
    kept = set(known)
    for name in os.listdir(path):
        segment = segment_of(name)
        if segment is not None and segment < below and segment not in kept:
            unlink(path, segment)
