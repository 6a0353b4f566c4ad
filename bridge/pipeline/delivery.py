"""One connection life of one sink and one channel: what is taken, submitted, in flight, acknowledged.

    cursor.next → cut, split, name → outgoing → sink.submit → flight → on_acknowledged → decided, cursor.acknowledge

`pump` is called when items came, when an acknowledgement came, and when a chunk was read from disk. It submits in the
caller's turn of the loop, so a pass costs no task switch. It takes at most two sink batches ahead of the acknowledgements,
and nothing while the sink is Full.

For each stream what goes to a sink is contiguous: a number that is neither stored there nor in the window becomes part of a
hole. Numbers that this connection found stored are decided without being sent: `published` where we had submitted them before,
else `present`, a peer's.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from bridge.api import ConnectorError, Hole, Item, MessageBatch, MessageSink, SessionEnd, SessionStart, Stream
from bridge.pipeline.account import Account, Kind
from bridge.window.cursor import MAX_BYTES, MAX_MESSAGES, Cursor
from bridge.window.entry import WindowStream
from bridge.window.merge import part

SINK_BATCHES: Final = 2
"""Unacknowledged sink batches: one is written while the next one gathers."""

TURNS: Final = 4
"""Sink batches in one turn of the loop where a sink acknowledges at once: about 2 ms."""

Piece = tuple[int, int, Kind]


class Owner(Protocol):
    """The driver's side of a delivery."""

    def account(self, stream: WindowStream) -> Account: ...
    def resolve_now(self, stream: WindowStream) -> Account | None:
        """The stream's account with its name decided; None when that takes longer: `pump` is called again."""

    def published(self, time_ns: int, messages: int) -> None: ...
    def failed(self, delivery: "Delivery", error: Exception) -> None: ...
    def later(self, call: Callable[[], None]) -> None: ...
    def advanced(self) -> None:
        """Something was decided."""


class _Sent:
    """What becomes of some numbers. `waits`: they were submitted, and only an acknowledgement decides them."""

    __slots__ = ("account", "closes", "pieces", "through", "time_ns", "waits")

    def __init__(self, account: Account, pieces: list[Piece], through: int, waits: bool, time_ns: int) -> None:
        self.account = account
        self.pieces = pieces
        self.through = through  # the highest number, or the one before for an item without numbers
        self.waits = waits
        self.time_ns = time_ns  # receive time, 0 where there is none
        self.closes = False  # the last of its sink batch


class Delivery:
    """See the module's text. It is the sink's `Listener`."""

    def __init__(self, owner: Owner, cursor: Cursor, sink: MessageSink, in_flight_bytes: int | None = None) -> None:
        self.sink = sink
        self.error: Exception | None = None
        self.taking = True  # False: only what was taken is still submitted
        self._owner = owner
        self._cursor = cursor
        self._in_flight_bytes = in_flight_bytes
        self._limit = 0
        self._stream: WindowStream | None = None
        self._account: Account | None = None
        self._begun: Stream | None = None
        self._outgoing: deque[tuple[Item | None, _Sent]] = deque()
        self._flight: deque[_Sent] = deque()
        self._batches = 0
        self._full = False
        self._through: dict[Stream, int] = {}
        self._busy = False
        self._scheduled = False
        self._again = False

    def start(self) -> None:
        """The sink is open."""
        self._limit = self.sink.limits().max_message

    @property
    def over(self) -> bool:
        return self.error is not None

    @property
    def idle(self) -> bool:
        """Nothing that was taken is undecided."""
        return not self._flight and not self._outgoing

    # Listener

    def on_acknowledged(self, stream: Stream, through: int) -> None:
        if self.error is not None:
            return
        self._through[stream] = through
        self._full = False
        if self._busy:
            self._again = True  # acknowledged within submit
            return
        self._settle()
        self.pump()

    def on_failed(self, error: ConnectorError) -> None:
        self.fail(error)

    def fail(self, error: Exception) -> None:
        """The connection is over; what is in flight is unknown."""
        if self.error is None:
            self.error = error
            self._outgoing.clear()
            self._flight.clear()
            self._owner.failed(self, error)

    # Pump

    def pump(self) -> None:
        """Submit what waits, as far as the sink takes it. Never waits, never raises."""
        if self._busy or self.error is not None or self._full:
            return
        self._busy = True
        try:
            self._pump()
        except Exception as error:  # a connector's own mistake ends its connection, not the bridge
            self.fail(error)
        finally:
            self._busy = False

    def _pump(self) -> None:
        for _ in range(TURNS):
            submitted = not self._outgoing or self._submit()
            if self.error is None and (self._again or (self._flight and not self._flight[0].waits)):
                self._settle()
            if self.error is not None or not submitted or not self._take():
                return
        if not self._scheduled:
            self._scheduled = True
            self._owner.later(self._resume)

    def _resume(self) -> None:
        self._scheduled = False
        self.pump()

    def _take(self) -> bool:
        """Take a sink batch; False when none may be taken or none waits."""
        if not self.taking or not self._may_take():
            return False
        cursor = self._cursor
        stream = cursor.upcoming()
        if stream is None:
            return False
        if stream is not self._stream:
            account = self._owner.resolve_now(stream)
            if account is None:
                return False
            self._stream, self._account = stream, account
        account = self._account
        assert account is not None
        items = cursor.next(MAX_MESSAGES, MAX_BYTES)
        if not items:
            return cursor.upcoming() is not None
        for item in items:
            if type(item) is MessageBatch:
                self._batch(account, item)
            elif isinstance(item, Hole):
                self._hole(account, item)
            elif isinstance(item, SessionStart | SessionEnd):
                self._bound(account, item)
        self._outgoing[-1][1].closes = True
        self._batches += 1
        return True

    def _may_take(self) -> bool:
        if self._batches < SINK_BATCHES:
            return True
        return self._in_flight_bytes is not None and self._cursor.flight_bytes < self._in_flight_bytes

    def _submit(self) -> bool:
        """Hand over what was prepared; False when the sink is full."""
        outgoing, flight, sink = self._outgoing, self._flight, self.sink
        while outgoing:
            item, sent = outgoing[0]
            if item is not None and not sink.submit(item):
                self._full = self.error is None
                return False
            if self.error is not None:
                return False
            outgoing.popleft()
            flight.append(sent)
            if sent.waits and sent.through > sent.account.submitted:
                sent.account.submitted = sent.through
        return True

    def _settle(self) -> None:
        """Decide what is acknowledged, and what needed no acknowledgement and has come to the front."""
        self._again = False
        flight, account, through = self._flight, None, -1
        while flight:
            sent = flight[0]
            if account is not None and sent.account is not account:
                self._cursor.acknowledge(account.stream.stream, through)
                through = -1
            if sent.waits:
                assert sent.account.name is not None
                acknowledged = self._through.get(sent.account.name, -1)
                if acknowledged < sent.through:
                    if acknowledged >= sent.pieces[0][0]:
                        account, through = sent.account, max(through, acknowledged)
                        self._decide_part(sent, acknowledged)
                    break
            flight.popleft()
            account, through = sent.account, max(through, sent.through)
            for first, last, kind in sent.pieces:
                account.decide(first, last, kind)
                if kind == "published" and sent.waits:
                    self._owner.published(sent.time_ns, last - first + 1)
            if sent.closes:
                self._batches -= 1
        if account is not None:
            self._cursor.acknowledge(account.stream.stream, through)
            self._owner.advanced()

    def _decide_part(self, sent: _Sent, acknowledged: int) -> None:
        rest: list[Piece] = []
        for first, last, kind in sent.pieces:
            sent.account.decide(first, min(last, acknowledged), kind)
            if kind == "published" and first <= acknowledged:
                self._owner.published(sent.time_ns, min(last, acknowledged) - first + 1)
            if last > acknowledged:
                rest.append((max(first, acknowledged + 1), last, kind))
        sent.pieces = rest

    # What becomes of an item

    def _batch(self, account: Account, item: MessageBatch) -> None:
        first, last = item.first, item.last
        if first > account.next:
            self._gap(account, first - 1)
        elif first < account.next:
            if last < account.next:
                self._put(account, None, [], last)
                return
            item = item.from_number(account.next)
            first = account.next
        account.next = last + 1
        if account.stored >= first:
            self._stored(account, pieces_of(item.first, item), min(last, account.stored))
            if account.stored >= last:
                return
            item = item.from_number(account.stored + 1)
            first = item.first
        if account.left:
            self._put(account, None, [(first, last, "left")], last)
            return
        if max(map(len, item.payloads)) > self._limit:
            self._split(account, item)
        elif item.numbers is None:
            self._put(account, item, [(first, last, "published")], last, item.time_ns)
        else:
            self._put(account, item, pieces_of(first, item), last, item.time_ns)

    def _split(self, account: Account, item: MessageBatch) -> None:
        """Some messages are larger than the sink takes: those become holes."""
        payloads, limit, start = item.payloads, self._limit, 0
        low = item.first
        while start < len(payloads):
            large = len(payloads[start]) > limit
            stop = start + 1
            while stop < len(payloads) and (len(payloads[stop]) > limit) == large:
                stop += 1
            piece = part(item, start, stop)
            if not large:
                self._put(account, piece, pieces_of(low, piece), piece.last, item.time_ns)
            else:
                name = account.name
                assert name is not None
                pieces: list[Piece] = [(f, n, "size" if k == "published" else k) for f, n, k in pieces_of(low, piece)]
                self._put(account, Hole(name, low, piece.last, "rejected"), pieces, piece.last)
            start, low = stop, piece.last + 1

    def _hole(self, account: Account, item: Hole) -> None:
        first, last = item.first, item.last
        if first > account.next:
            self._gap(account, first - 1)
        first = max(first, account.next)
        if first > last:
            self._put(account, None, [], last)
            return
        account.next = last + 1
        if account.stored >= first:
            high = min(last, account.stored)
            self._put(account, None, [(first, high, "missing")], high)
            first = high + 1
        if first > last:
            return
        if account.left:
            self._put(account, None, [(first, last, "missing")], last)
        else:
            self._put(account, Hole(item.stream, first, last, item.reason), [(first, last, "missing")], last)

    def _bound(self, account: Account, item: SessionStart | SessionEnd) -> None:
        """A start or an end: neither has numbers."""
        number = item.first if isinstance(item, SessionStart) else item.next
        if number > account.next and isinstance(item, SessionEnd):
            self._gap(account, number - 1)
        if account.left:
            self._put(account, None, [], number - 1)
            return
        self._begin(account)
        self._put(account, item if isinstance(item, SessionEnd) else None, [], number - 1)
        if number > account.next:
            self._gap(account, number - 1)

    def _gap(self, account: Account, last: int) -> None:
        """Numbers up to `last` are neither stored nor in the window; they were counted when they were lost."""
        first = account.next
        account.next = last + 1
        if account.left or account.stored >= last:
            self._put(account, None, [(first, last, "noted")], last)
            return
        if account.stored >= first:
            self._put(account, None, [(first, account.stored, "noted")], account.stored)
            first = account.stored + 1
        reason = account.reason(first)
        name = account.name
        assert name is not None
        self._put(account, Hole(name, first, last, reason), [(first, last, "noted")], last)

    def _stored(self, account: Account, pieces: list[Piece], through: int) -> None:
        """These numbers were found stored: ours if we submitted them, else a peer's."""
        found: list[Piece] = []
        for first, last, kind in pieces:
            last = min(last, through)
            if kind != "published":
                found.append((first, last, kind))
                continue
            ours = min(last, account.submitted)
            if first <= ours:
                found.append((first, ours, "published"))
            if max(first, ours + 1) <= last:
                found.append((max(first, ours + 1), last, "present"))
        self._put(account, None, [piece for piece in found if piece[0] <= piece[1]], through)

    def _begin(self, account: Account) -> None:
        """The sink's first item of a stream in this connection is its start."""
        name = account.name
        assert name is not None
        if self._begun != name:
            self._begun = name
            start = SessionStart(name, account.stream.protocol, account.next)
            self._outgoing.append((start, _Sent(account, [], -1, False, 0)))

    def _put(self, account: Account, item: Item | None, pieces: list[Piece], through: int, time_ns: int = 0) -> None:
        if item is not None:
            if self._begun != account.name:
                self._begin(account)
            if item.stream is not account.name and item.stream != account.name:
                assert account.name is not None
                item = replace(item, stream=account.name)
        sent = _Sent(account, pieces, through, item is not None and bool(pieces), time_ns)
        self._outgoing.append((item, sent))


def pieces_of(first: int, batch: MessageBatch) -> list[Piece]:
    """What the numbers from `first` to the batch's last are: messages, and between them what the engine took out."""
    if batch.numbers is None:
        return [(first, batch.last, "published")]
    found: list[Piece] = []
    for number in batch.numbers:
        if number > first:
            found.append((first, number - 1, "only"))
        if found and found[-1][2] == "published" and found[-1][1] + 1 == number:
            found[-1] = (found[-1][0], number, "published")
        else:
            found.append((number, number, "published"))
        first = number + 1
    return found
