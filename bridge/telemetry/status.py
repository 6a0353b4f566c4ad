"""The snapshot: one model that `/status`, `/metrics` and the summary file are written from, so they cannot disagree.

Times are Unix seconds as float, durations are seconds, sizes are bytes, sequences and counts are integers.
`format` rises when a field changes its meaning or goes; new fields may come without.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Loss(_Row):
    """A range of numbers that did not reach a sink (or any), and why."""

    channel: str
    session: str
    restart: int
    first: int
    last: int
    reason: str
    sink: str | None = None  # None: lost before any sink


class Gaps(_Row):
    """Numbers of a stream's gaps by final state, and those that are open now."""

    open: int = 0
    open_numbers: int = 0
    oldest_seconds: float | None = None
    filled_by_line: int = 0
    filled_by_recovery: int = 0
    abandoned: int = 0


class Line(_Row):
    """One line of a channel: L1 and L2 of the ledger under their own names, and its evidence."""

    line: str
    address: str
    interface: str | None
    joined: bool
    reason: str | None  # why it is not joined
    kernel_dropped: int
    receive_buffer_asked: int | None
    receive_buffer_granted: int | None
    datagrams: int
    bytes: int
    packets: int
    malformed: dict[str, int]
    pieces: int
    accepted: int
    duplicate: dict[str, int]  # same_line, other_line
    late: int
    refused: dict[str, int]
    waiting: int
    first_arrivals: int  # numbers that this line brought first
    lost: int  # numbers that others brought and this line never did
    sole: int  # numbers that only this line brought
    skew_seconds: float | None  # how much later than the earliest line, sampled
    last_datagram: float | None
    silent: bool


class StreamRow(_Row):
    """One stream of a channel: L3 and L4 of the ledger under their own names."""

    session: str
    restart: int
    protocol: str
    ended: bool
    accepted: int
    restored: int
    read: int
    whole: int
    fragments: int
    joined: int
    evicted: int
    assembling: int
    completed: int
    received: int
    start: int | None
    next: int | None
    expected: int
    missing_open: int
    missing: dict[str, int]
    released: int
    held: int
    late: int = 0  # messages that came after they had been given up; in no sum
    gaps: Gaps


class Channel(_Row):
    channel: str
    lines: list[Line]
    streams: list[StreamRow]


class Source(_Row):
    source: str
    type: str
    channels: list[Channel]
    up: bool
    error: str | None


class SinkRow(_Row):
    """One sink for one channel: L5 of the ledger, summed over the streams of the run, and where what waits is."""

    sink: str
    channel: str
    type: str
    up: bool
    error: str | None
    streams: list["SinkStream"]
    pending_messages: dict[str, int]  # memory, disk, in_flight
    pending_bytes: dict[str, int]
    pending_oldest_seconds: float | None
    publish_latency: dict[str, float]  # upper bound in seconds as text -> cumulative count; also sum and count
    retention_oldest: float | None = None  # receive time of the oldest message that the store holds, where it says so
    active: bool = True  # False: a standby that follows another bridge


class SinkStream(_Row):
    session: str
    restart: int
    base: int | None
    end: int | None
    published: int
    present: int
    filtered: dict[str, int]
    rejected: dict[str, int]
    missing: int
    dropped: dict[str, int]
    pending: int
    below_base: int


class Route(_Row):
    route: str
    source: str
    sinks: list[SinkRow]


class Status(_Row):
    """The whole snapshot of one process."""

    format: Literal[1] = 1
    name: str
    version: str
    pid: int
    started: float
    time: float
    ready: bool
    absent: list[str]  # what is missing for ready, in words
    balanced: bool
    problems: list[str]  # which equation does not hold, in words; empty when balanced
    sources: list[Source]
    routes: list[Route]
    losses: list[Loss]
    losses_left_out: int  # older ranges that the list no longer holds; losses.jsonl in `state` has them all
    events: dict[str, int]  # how often each event code was emitted
    connectors: dict[str, Any] = {}  # counters of connectors: name -> [{labels, value}]


SinkRow.model_rebuild()
