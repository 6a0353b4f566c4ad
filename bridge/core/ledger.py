"""The ledger: where every datagram, piece and number of a run went. Five equations, one row a line, stream and sink.

Units are never mixed: L1 counts datagrams, L2 pieces (whole messages or fragments), L3 pieces that become messages,
L4 and L5 numbers. Each row knows its own equation; `problems()` names what does not hold, so that a test can say why.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

RefusedReason = Literal[
    "old_session",  # a session that this channel has left
    "far_ahead",  # a jump that was never confirmed
    "unconfirmed",  # a new session or restart that was never confirmed
    "other_channel",
    "source",  # a sender that `sources` does not list
    "origin",  # sent by this bridge itself
    "conflict",  # a fragment that contradicts the ones before it
    "cap",  # a named cap was reached
]

MissingReason = Literal["wire", "reassembly", "hold_cap", "session_end", "announced"]


@dataclass(slots=True)
class LineLedger:
    """One line, or one recovery source. L1 in datagrams, L2 in pieces; the rest is evidence and in no sum."""

    datagrams: int = 0
    bytes: int = 0
    packets: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    pieces: int = 0
    accepted: int = 0
    duplicate_same_line: int = 0
    duplicate_other_line: int = 0
    late: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    waiting: int = 0

    def problems(self) -> list[str]:
        """What does not hold of L1 and L2, in words; empty when both do."""
        found = []
        malformed = sum(self.malformed.values())
        if self.datagrams != self.packets + malformed:
            found.append(f"L1: datagrams {self.datagrams} != packets {self.packets} + malformed {malformed}")
        decided = self.accepted + self.duplicate_same_line + self.duplicate_other_line + self.late
        decided += sum(self.refused.values()) + self.waiting
        if self.pieces != decided:
            found.append(f"L2: pieces {self.pieces} != {decided} decided and waiting ({self})")
        return found


@dataclass(slots=True)
class StreamLedger:
    """One stream. L3 in pieces, L4 in numbers. `start` and `next` are None until a number is known."""

    accepted: int = 0  # sum over lines and recovery sources
    restored: int = 0  # pieces read back from a disk window
    read: int = 0  # messages read from a message source
    whole: int = 0
    fragments: int = 0
    joined: int = 0  # fragments of completed messages
    evicted: int = 0
    assembling: int = 0
    completed: int = 0  # messages made from fragments
    start: int | None = None
    next: int | None = None
    missing_open: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    released: int = 0
    held: int = 0

    @property
    def received(self) -> int:
        """Messages that are complete: whole + completed."""
        return self.whole + self.completed

    @property
    def expected(self) -> int:
        """Numbers of the stream so far: next - start."""
        return 0 if self.start is None or self.next is None else self.next - self.start

    def problems(self) -> list[str]:
        """What does not hold of L3 and L4, in words; empty when both do."""
        found = []
        if self.accepted + self.restored + self.read != self.whole + self.fragments:
            found.append(f"L3: accepted + restored + read != whole + fragments ({self})")
        if self.fragments != self.joined + self.evicted + self.assembling:
            found.append(f"L3: fragments != joined + evicted + assembling ({self})")
        if self.expected != self.received + self.missing_open + sum(self.missing.values()):
            found.append(f"L4: next - start != received + missing ({self})")
        if self.received != self.released + self.held:
            found.append(f"L4: received != released + held ({self})")
        return found


@dataclass(slots=True)
class SinkLedger:
    """One sink of one stream, in numbers: L5. `base` and `end` are None until the first item is offered."""

    base: int | None = None
    end: int | None = None
    published: int = 0
    present: int = 0  # above base, written by a peer
    filtered: Counter[str] = field(default_factory=Counter)  # only, stale
    rejected: Counter[str] = field(default_factory=Counter)  # size, field, unroutable
    missing: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # overload, before_window, shutdown, broker_lost
    pending: int = 0  # memory + disk + in flight
    below_base: int = 0  # outside the sum: offered, but the sink had it already

    def problems(self) -> list[str]:
        """What does not hold of L5, in words; empty when it does."""
        if self.base is None or self.end is None:
            return []
        gone = self.published + self.present + self.missing + self.pending
        gone += sum(self.filtered.values()) + sum(self.rejected.values()) + sum(self.dropped.values())
        return [] if self.end - self.base == gone else [f"L5: end - base = {self.end - self.base} != {gone} ({self})"]
