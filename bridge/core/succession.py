"""The streams of a channel, one after the other: the current one, the one before it, and the rows of those that were.

    (none) --first packet--> current --another begins--> before --all closed--> left

The one *before* stays open, and keeps the current one's output back, until its gaps are decided and every live line has moved
on, or for `session_grace`, or until what waits reaches its cap, or until yet another stream begins. Then what it lacks is
decided (`session_end`), its items come out, and its session is refused from then on.
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal

from bridge.api.items import HoleReason, Item, Stream
from bridge.core import events, limits
from bridge.core.ledger import StreamLedger
from bridge.core.lines import LineState
from bridge.core.settings import ReceiverSettings
from bridge.core.stream import StreamState
from bridge.wire.packet import Packet

_SUMS = ("accepted", "restored", "read", "whole", "fragments", "joined", "evicted", "assembling", "completed")
_SUMS_OF_NUMBERS = ("missing_open", "released", "held")


class Succession:
    """The streams of one numbered channel."""

    def __init__(
        self,
        channel: str,
        protocol: str,
        lines: Sequence[LineState],
        settings: ReceiverSettings,
        log: events.EventLog,
    ) -> None:
        self.current: StreamState | None = None
        self.before: StreamState | None = None
        self.rows: deque[StreamState] = deque()
        self.older = StreamLedger(start=0, next=0)
        self.left: dict[bytes, None] = {}
        self._channel = channel
        self._protocol = protocol
        self._lines = lines
        self._settings = settings
        self._log = log
        self._closed: list[StreamState] = []  # left, but their items are not out yet
        self._changed_ns = 0  # when the current stream began
        self._asked_ns = 0
        self._settle_to = 0  # numbers below it were decided a housekeeping ago

    @property
    def stopped(self) -> bool:
        """The gap policy `stop` took effect."""
        return (self.current is not None and self.current.stopped) or (self.before is not None and self.before.stopped)

    @property
    def quiet(self) -> bool:
        """Nothing waits for housekeeping."""
        current = self.current
        if current is None:
            return True
        return self.before is None and self._settle_to == current.expected and not current.assembling

    def live(self, now_ns: int) -> list[int]:
        """The places of the lines that are not silent."""
        after = self._settings.silent_after_ns
        return [place for place, state in enumerate(self._lines) if state.ever and now_ns - state.last_ns < after]

    def in_grace(self, now_ns: int) -> bool:
        """The current stream began so recently that words of the one before it may still come."""
        return now_ns - self._changed_ns < self._settings.session_grace_ns

    def row_before(self) -> StreamState | None:
        """The stream before the current one, open or closed, while it has a row."""
        return self.rows[-2] if len(self.rows) > 1 else None

    def begin(
        self, packet: Packet, restart: int, cause: Literal["first", "session", "restart"], now_ns: int
    ) -> StreamState:
        """Another stream begins with this packet, which is not yet given to it."""
        first = packet.sequence
        stream = Stream(self._channel, packet.session, restart)
        state = StreamState(stream, self._protocol, first, now_ns, self._settings, self._log, self._lines)
        left = self.before
        if self.current is not None:
            self.before = self.current
            self.before.blocked = left is not None
            state.blocked = True
        self.current, self._changed_ns, self._settle_to = state, now_ns, first
        if left is not None:
            self._close(left, "session_end")
        self.rows.append(state)
        for line, position in zip(self._lines, state.positions, strict=True):
            line.position = position
            line.samples.clear()
        self._log.append(events.StreamStarted(stream, first, cause))
        return state

    def end_pass(self, now_ns: int, drained: bool, time_ns: int) -> list[Item]:
        """Move every stream on; returns the items whose turn has come."""
        self._asked_ns = now_ns
        current, before = self.current, self.before
        if current is None:
            return []
        live: list[int] | None = None
        items = self._take_closed(time_ns) if self._closed else []
        if before is not None:
            live = self.live(now_ns)
            before.evaluate(now_ns, drained, live)
            items += before.release(time_ns)
            if not before.stopped and self._is_over(before, now_ns, drained, live):
                items += self._leave_before("session_end", time_ns)
            elif not before.stopped and current.over_cap:
                items += self._leave_before("hold_cap", time_ns)
        if current.gaps or current.settling_until is not None:
            current.evaluate(now_ns, drained, self.live(now_ns) if live is None else live)
        if current.has_pending:
            items += current.release(time_ns)
        return items

    def next_timer(self) -> int | None:
        """When `end_pass` has something to do although nothing arrived."""
        if self.current is None or self.stopped:
            return None
        due = self.current.next_timer()
        if self.before is not None:
            over = self._changed_ns + self._settings.hold_ns
            if over <= self._asked_ns:
                over = self._changed_ns + self._settings.session_grace_ns
            due = min(time for time in (due, self.before.next_timer(), over) if time is not None)
        return due

    def housekeeping(self, now_ns: int) -> None:
        if self.before is not None:
            self.before.housekeeping(now_ns, self.before.start)
        if self.current is not None:
            self.current.housekeeping(now_ns, self._settle_to)
            self._settle_to = self.current.expected

    def resume(self, now_ns: int) -> None:
        """What a disk window kept is read back, and time goes on at `now_ns`."""
        self._changed_ns = now_ns
        for stream in (self.before, self.current):
            if stream is not None:
                stream.resume(now_ns)

    def close(self, time_ns: int) -> list[Item]:
        """The run ends. Where the gap policy `stop` took effect, what waits behind the gap stays undecided."""
        if self.current is None or self.stopped:
            return []
        items = self._take_closed(time_ns)
        if self.before is not None:
            items += self._leave_before("session_end", time_ns)
        self.current.finish("wire")
        return items + self.current.release(time_ns)

    # Inside

    def _is_over(self, before: StreamState, now_ns: int, drained: bool, live: Sequence[int]) -> bool:
        assert self.current is not None
        if before.ended or now_ns >= self._changed_ns + self._settings.session_grace_ns:
            return True
        if now_ns < self._changed_ns + self._settings.hold_ns or before.gaps or not drained:
            return False
        return all(self.current.positions[place].next is not None for place in live)

    def _leave_before(self, reason: HoleReason, time_ns: int) -> list[Item]:
        """Close the stream before; returns what there was of it."""
        assert self.before is not None
        before, self.before = self.before, None
        self._close(before, reason)
        return self._take_closed(time_ns)

    def _close(self, stream: StreamState, reason: HoleReason) -> None:
        assert self.current is not None
        stream.finish(reason)
        self._closed.append(stream)
        session = stream.stream.session
        if session not in (self.current.stream.session, self.before.stream.session if self.before else None):
            self.left.pop(session, None)
            self.left[session] = None
            if len(self.left) > limits.LEFT_SESSIONS:
                del self.left[next(iter(self.left))]

    def _take_closed(self, time_ns: int) -> list[Item]:
        """The items of the streams that were closed since the last pass. The next one may come out from now on."""
        items: list[Item] = []
        for stream in self._closed:
            items += stream.release(time_ns)
            items += stream.leave()
        self._closed.clear()
        following = self.current if self.before is None else self.before
        if following is not None:
            following.blocked = False
        while len(self.rows) > limits.STREAMS:
            self._fold(self.rows.popleft())
        return items

    def _fold(self, state: StreamState) -> None:
        """Keep the sums of a stream that gets no row of its own any more."""
        row, older = state.ledger, self.older
        for name in (*_SUMS, *_SUMS_OF_NUMBERS):
            setattr(older, name, getattr(older, name) + getattr(row, name))
        older.missing.update(row.missing)
        assert older.next is not None
        older.next += row.expected
