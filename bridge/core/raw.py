"""Raw datagrams have no numbers of their own: the bridge numbers them by arrival, and matches lines by content.

With one line every datagram is a message. With several, the k-th copy of some bytes on line B belongs to the k-th copy on
line A: each message that one line brings first is owed by every other line, once, for `RAW_COPIES_AGE_NS`. A datagram that
a line owes is a duplicate; any other is a new message. What is never paid was lost on that line.
"""

from collections import deque
from collections.abc import Sequence

from bridge.api.items import Item, MessageBatch, SessionStart, Stream
from bridge.core import limits
from bridge.core.ledger import StreamLedger
from bridge.core.lines import LineState

Debt = tuple[int, int, bytes]  # when it ages out, which line owes it, its bytes


class RawStream:
    """Numbers and releases raw messages of one channel."""

    def __init__(self, stream: Stream, first: int, lines: Sequence[LineState]) -> None:
        self.stream = stream
        self.ledger = StreamLedger(start=first, next=first)
        self.next = first
        self.restoring = False
        self._lines = lines
        self._out: list[bytes] = []
        self._started = False
        self._owed: list[dict[bytes, deque[int]]] = [{} for _ in lines]  # when each owed copy ages out, oldest first
        self._debts: deque[Debt] = deque()
        self._debt_bytes = 0

    def receive(self, line: int, payloads: Sequence[bytes], now_ns: int) -> list[bool] | None:
        """Take messages in; which of them were new, None for all of them."""
        state = self._lines[line]
        new: list[bool] | None = None
        fresh = payloads
        if len(self._lines) > 1 and not self.restoring:  # a disk window kept each message once
            new = self._match(line, payloads, now_ns)
            if all(new):
                new = None
            else:
                fresh = [payload for payload, is_new in zip(payloads, new, strict=True) if is_new]
        accepted = len(fresh)
        self._out += fresh
        self.next += accepted
        ledger = self.ledger
        ledger.next = self.next
        ledger.whole += accepted
        ledger.held += accepted
        if self.restoring:
            ledger.restored += accepted
        else:
            ledger.accepted += accepted
            state.ledger.pieces += len(payloads)
            state.ledger.accepted += accepted
            state.ledger.duplicate_other_line += len(payloads) - accepted
            state.first_arrivals += accepted
            if accepted < len(payloads) and len(self._lines) == 2:
                self._lines[1 - line].echoed += len(payloads) - accepted
        return new

    def release(self, time_ns: int) -> list[Item]:
        if not self._out:
            return []
        items: list[Item] = []
        first = self.next - len(self._out)
        if not self._started:
            self._started = True
            items.append(SessionStart(self.stream, "raw", first))
        items.append(MessageBatch(self.stream, first, self._out, time_ns))
        self.ledger.held -= len(self._out)
        self.ledger.released += len(self._out)
        self._out = []
        return items

    def age(self, now_ns: int) -> None:
        """Forget debts that were not paid in time: line loss."""
        while self._debts and self._debts[0][0] <= now_ns:
            self._forget_oldest()

    def _match(self, line: int, payloads: Sequence[bytes], now_ns: int) -> list[bool]:
        self.age(now_ns)
        owed = self._owed[line]
        due = now_ns + limits.RAW_COPIES_AGE_NS
        new = []
        for payload in payloads:
            debts = owed.get(payload)
            new.append(debts is None)
            if debts is None:
                self._owe(line, payload, due)
                continue
            debts.popleft()
            if not debts:
                del owed[payload]
        while self._debts and self._is_paid(self._debts[0]):
            self._debt_bytes -= len(self._debts.popleft()[2])
        while len(self._debts) > limits.RAW_COPIES or self._debt_bytes > limits.RAW_COPIES_BYTES:
            self._forget_oldest()
        return new

    def _owe(self, line: int, payload: bytes, due: int) -> None:
        """Every other line owes a copy of what `line` brought first, a silent one too: its next word may be that copy."""
        for other in range(len(self._lines)):
            if other != line:
                self._owed[other].setdefault(payload, deque()).append(due)
                self._debts.append((due, other, payload))
                self._debt_bytes += len(payload)

    def _is_paid(self, debt: Debt) -> bool:
        due, line, payload = debt
        debts = self._owed[line].get(payload)
        return debts is None or debts[0] > due

    def _forget_oldest(self) -> None:
        debt = self._debts.popleft()
        _, line, payload = debt
        self._debt_bytes -= len(payload)
        if self._is_paid(debt):
            return
        debts = self._owed[line][payload]
        debts.popleft()
        if self._lines[line].ever:
            self._lines[line].lost += 1
        if not debts:
            del self._owed[line][payload]
