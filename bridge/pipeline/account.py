"""What one sink made of every number of one stream: L5 of the ledger, and enough history to take it back.

    base ──── decided ──── frontier ──── in flight ──── next ──── waits in the window ──── end

Numbers are decided in order. A number that is lost is counted at once and noted again when the sink has passed its place.
When a sink's tail falls below the frontier, what was decided above the tail is taken back: what the window still has is
pending again, the rest of what was published is dropped{broker_lost}.

Every count here has one way in and one way back; `ledger` puts the window's own count of what is pending beside them, so L5
compares two counts that were made apart.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, get_args

from bridge.api import HoleReason, Stream
from bridge.core.ledger import SinkLedger
from bridge.window.entry import WindowStream

Kind = Literal["published", "present", "missing", "size", "only", "noted", "left"]
"""What a decided number became. `size` is rejected{size}, `only` filtered{only}; `noted` was counted when it was lost,
`left` is missing{session_end}."""

Losses = Callable[[Stream, int, int, str, str], None]
"""(stream, first, last, reason, sink): the one exit for what a sink does not get; names, counts and logs it."""

HISTORY: Final = 4096
"""Runs of equal kind that can be taken back one by one; what is older is taken back as published."""

EARLY: Final = 4096
"""Lost ranges that wait for the sink's tail to be known."""

NAMED: Final[dict[Kind, str]] = {"size": "rejected", "left": "session_end"}
"""Kinds that are losses of this sink alone, and so are reported when they are decided."""

DROPPED: Final = frozenset({"overload", "before_window", "shutdown", "broker_lost"})
REASONS: Final[dict[str, HoleReason]] = {reason: reason for reason in get_args(HoleReason)}
Span = tuple[int, int, Kind]


class Account:
    """One stream, as one run offered it, in one sink. `name` is None until the sink was opened and the name decided."""

    def __init__(self, stream: WindowStream, first: int, sink: str, losses: Losses, end: int | None = None) -> None:
        self.stream = stream
        self._end = end  # where an earlier run's part of it ends for this sink; None: as the window says
        self.first = first  # the first number that this sink's cursor was offered
        self.name: Stream | None = None
        self.base = self.frontier = self.next = first
        self.submitted = -1  # the highest number ever submitted
        self.stored = -1  # what this connection found stored already
        self.left = False  # the sink is at a newer stream: nothing more is appended
        self.counts = SinkLedger()
        self._sink = sink
        self._losses = losses
        self._finished = False
        self._named: list[tuple[int, int]] = []  # reported, and yet to be decided: they are not reported again
        self._history: deque[Span] = deque()
        self._early: list[tuple[int, int, str]] = []
        self._folded: tuple[int, int] | None = None  # lost ranges that left _early: their last number, their sum
        self._notes: deque[tuple[int, int, str]] = deque(maxlen=256)

    @property
    def end(self) -> int:
        """One past the highest number that was offered."""
        return self.stream.end if self._end is None else self._end

    def resolve(self, name: Stream, base: int, pending: int = 0) -> None:
        """The sink was opened: everything below `base` is decided there. What it lacks before our first is lost.

        `pending`: what of the stream still waits. Losses so far counted from our first number; those below `base` were none.
        """
        self.name = name
        self.base = self.frontier = self.next = base
        counts, first, end = self.counts, self.first, max(self.first, self.end)
        counts.below_base += max(0, min(base, end) - first)
        if counts.dropped or counts.missing:
            gone = max(0, end - max(base, first)) - pending
            early = [(max(low, base), high, reason) for low, high, reason in self._early if high >= base]
            dropped: Counter[str] = Counter()
            for low, high, reason in early:
                dropped[reason] += high - low + 1
            if self._folded is not None and base <= self._folded[0]:
                dropped["overload"] += min(self._folded[1], gone - dropped.total())
            counts.dropped, counts.missing = dropped, gone - dropped.total()
            self._early, self._folded = [], None
            for low, high, reason in early:
                self._report(low, high, reason)
        if base < first:
            self.lose(base, first - 1, "before_window")

    def decide(self, first: int, last: int, kind: Kind) -> None:
        """The sink has passed these numbers. What is below the frontier was decided before."""
        first = max(first, self.frontier)
        if first > last:
            return
        reason = NAMED.get(kind)
        if reason is not None:
            self._report(first, last, reason)
        self._count(kind, last - first + 1)
        self._remember(first, last, kind)
        self.frontier = last + 1

    def lose(self, first: int, last: int, reason: str) -> None:
        """These numbers will not reach the sink: counted now. A hole's own reason means that nobody had them."""
        if first > last:
            return
        if reason not in DROPPED:
            self.counts.missing += last - first + 1
            return
        self.counts.dropped[reason] += last - first + 1
        if self.name is None and not self._finished:
            self._keep_early(first, last, reason)
        else:
            self._report(first, last, reason)

    def reject(self, first: int, last: int) -> None:
        """These are too large for the sink: named before `decide` counts them."""
        self._report(first, last, "rejected")
        self._named.append((first, last))

    def fall(self, lacking: int, back: Sequence[tuple[int, int]]) -> None:
        """The sink's tail fell: it has nothing from `lacking` on. `back`: what of it is in the window, in rising ranges."""
        counts, before = self.counts, self.frontier
        self.frontier = min(back[0][0], before) if back else before
        undone = self._cut(lacking, before)
        if lacking < self.base:
            for low, high, there in _parts(lacking, self.base - 1, back):
                if not there:
                    counts.dropped["broker_lost"] += high - low + 1
                    self._report(low, high, "broker_lost")
                    if low < self.frontier:
                        self._remember(low, high, "noted")
            counts.below_base = max(0, counts.below_base - (self.base - lacking))
            self.base = lacking
        for first, last, kind in undone:
            for low, high, there in _parts(first, last, back):
                if there:
                    if kind in NAMED:
                        self._named.append((low, high))
                    self._count(kind, low - high - 1)
                    continue
                remembered = kind
                if kind in {"published", "present"}:
                    self._count(kind, low - high - 1)
                    counts.dropped["broker_lost"] += high - low + 1
                    self._report(low, high, "broker_lost")
                    remembered = "noted"
                if low < self.frontier:
                    self._remember(low, high, remembered)
        self.next = lacking

    def finish(self) -> None:
        """The run ends: name the losses that still waited for the sink's tail."""
        for low, high, reason in self._early:
            self._report(low, high, reason)
        self._early = []
        self._finished = True

    def reason(self, number: int) -> HoleReason:
        """Why a number that is neither stored nor offered is lacking, for the hole that takes its place."""
        for first, last, reason in reversed(self._notes):
            if first <= number <= last and reason in REASONS:
                return REASONS[reason]
        return "overload"

    def ledger(self, pending: int) -> SinkLedger:
        """The row of L5, with the window's count of what is pending."""
        self.counts.base = self.base
        self.counts.end = max(self.base, self.end)
        self.counts.pending = pending
        return self.counts

    def _count(self, kind: Kind, count: int) -> None:
        counts = self.counts
        if kind == "published":
            counts.published += count
        elif kind == "present":
            counts.present += count
        elif kind in {"missing", "left"}:
            counts.missing += count
        elif kind == "size":
            counts.rejected["size"] += count
        elif kind == "only":
            counts.filtered["only"] += count

    def _remember(self, first: int, last: int, kind: Kind) -> None:
        history = self._history
        if history:
            low, high, before = history[-1]
            if before == kind and high + 1 == first:
                history[-1] = (low, last, kind)
                return
        history.append((first, last, kind))
        if len(history) > HISTORY:
            history.popleft()

    def _cut(self, lacking: int, frontier: int) -> list[Span]:
        """Take the history from `lacking` on away, and return it, oldest first."""
        history, found = self._history, list[Span]()
        while history and history[-1][1] >= lacking:
            first, last, kind = history.pop()
            if first < lacking:
                history.append((first, lacking - 1, kind))
                first = lacking
            found.append((first, last, kind))
        known = found[-1][0] if found else frontier
        if not history and lacking < known:
            # Older than the history: what is not known to be something else was published.
            count = min(known - max(lacking, self.base), self.counts.published)
            if count > 0:
                found.append((known - count, known - 1, "published"))
        return found[::-1]

    def _keep_early(self, first: int, last: int, reason: str) -> None:
        early = self._early
        place = bisect_left(early, (first, last, reason))
        if place and early[place - 1][1] + 1 == first and early[place - 1][2] == reason:
            early[place - 1] = (early[place - 1][0], last, reason)
        else:
            early.insert(place, (first, last, reason))
        if len(early) > EARLY:
            low, high, reason = early.pop(0)
            before = self._folded[1] if self._folded is not None else 0
            self._folded = high, before + high - low + 1
            self._report(low, high, reason)

    def _report(self, first: int, last: int, reason: str) -> None:
        self._notes.append((first, last, reason))
        for low, high in self._unnamed(first, last):
            self._losses(self.name or self.stream.likely, low, high, reason, self._sink)

    def _unnamed(self, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of a range that were not reported before; from now on they all were."""
        left, still = [(first, last)], list[tuple[int, int]]()
        for low, high in self._named:
            if high < first or low > last:
                still.append((low, high))
                continue
            left = [
                piece
                for a, b in left
                for piece in ((a, min(b, low - 1)), (max(a, high + 1), b))
                if piece[0] <= piece[1]
            ]
            still += [piece for piece in ((low, first - 1), (last + 1, high)) if piece[0] <= piece[1]]
        self._named = still
        return left


def _parts(first: int, last: int, back: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, bool]]:
    """The range in rising pieces, each with whether it lies in `back`."""
    for low, high in back:
        if high < first or low > last:
            continue
        if first < low:
            yield first, low - 1, False
        yield max(first, low), min(high, last), True
        first = high + 1
    if first <= last:
        yield first, last, False
