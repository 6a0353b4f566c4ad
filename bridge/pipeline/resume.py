"""After a reconnect: what the sink still has of what it was given, read from its tail and not from memory.

What the sink names as newest, against the accounts of this run:

    found                                    means
    nothing                                  all of it is gone: every account falls to its base
    a stream of ours, tail at the frontier   nothing is lost
    … tail above the frontier                acknowledgements were lost, or a peer wrote: `stored`
    … tail below the frontier                it fell: what the window has is sent again, the rest is broker_lost
    … and we had begun a newer one           that one is gone: it falls to its base
    … and an older one was not acknowledged  it has what the registry says; without one all that was submitted, since a sink
                                             stores in order and has begun a later stream
    what is older than ours                  ours are gone: every account falls to its base
    anything else                            somebody else writes there

What is older: what it named before we wrote, an earlier restart of the session, or all, where its registry lacks ours.
"""

from collections.abc import Callable, Mapping, Sequence

from bridge.api import Opened, Stream
from bridge.pipeline.account import Account
from bridge.window.cursor import Cursor
from bridge.window.entry import WindowStream


def tail_of(opened: Opened) -> int | None:
    """The highest number that is decided in the sink: stored, or passed as a hole."""
    known = [number for number in (opened.tail, opened.through) if number is not None]
    return max(known, default=None)


class Resume:
    """Compares what a sink has with what it was given. One per driver; `found` at every open."""

    def __init__(self, cursor: Cursor, on_moved: Callable[[str], None]) -> None:
        self._cursor = cursor
        self._on_moved = on_moved
        self._before: Stream | None = None  # what the sink's newest stream was before this run wrote
        self._first = True

    def unsure(self, accounts: Sequence[Account], opened: Opened | None) -> bool:
        """Whether the registry is to be asked how far an older stream got."""
        if opened is None or not accounts:
            return False
        older = any(a.name != opened.stream and a.frontier <= a.submitted for a in accounts)
        return older or accounts[-1].name != opened.stream

    def found(
        self, accounts: Sequence[Account], opened: Opened | None, tails: Mapping[Stream, int] | None = None
    ) -> Account | None:
        """`accounts`: those with a name, oldest first; `tails`: of older streams, by the registry.

        Winds the cursor back; returns the account of the newest stream.
        """
        for account in accounts:
            account.next = account.frontier
            account.stored = -1
            account.left = False
        stream = opened.stream if opened is not None else None
        ours = [account for account in accounts if account.name == stream]
        if self._first or not accounts:
            self._first = False
            self._before = stream
            self._cursor.rewind()
            return ours[-1] if ours else None
        if opened is not None and not ours and not self._gone(accounts[-1].name, opened.stream, tails):
            self._cursor.rewind()
            self._on_moved(f"its newest stream is {stream}, which this bridge did not write")
            return None
        later = [a for a in accounts if not ours or a.stream.order > ours[-1].stream.order]
        falls = {a: a.base for a in later if tails is None or a.name not in tails}
        if opened is not None and ours:
            for account in accounts:
                if account.stream.order < ours[0].stream.order and account.name is not None:
                    account.stored = account.submitted if tails is None else tails.get(account.name, -1)
            self._compare(ours, tail_of(opened), falls)
        self._fall(falls)
        return ours[-1] if ours else None

    def _gone(self, given: Stream | None, newest: Stream, tails: Mapping[Stream, int] | None) -> bool:
        """Whether the sink no longer holds the newest stream that it was given, rather than a stranger's newer one."""
        if tails is not None:
            return given not in tails
        if newest == self._before:
            return True
        return given is not None and given.session == newest.session and given.restart > newest.restart

    def _compare(self, ours: Sequence[Account], tail: int | None, falls: dict[Account, int]) -> None:
        """What one run after the other offered of the sink's newest stream, against its tail."""
        if tail is not None:
            for account in ours:
                account.stored = tail
            highest = max(account.submitted for account in ours)
            if tail > max(highest, ours[-1].frontier - 1):
                self._on_moved(f"its tail is {tail}, and this bridge submitted up to {highest}")
        lacking = 0 if tail is None else tail + 1
        for place, account in enumerate(ours):
            # Only the oldest of them knows what was there before this run: its base follows the tail.
            low = lacking if tail is not None and place == 0 else max(lacking, account.base)
            if low < account.frontier:
                falls[account] = low

    def _fall(self, falls: dict[Account, int]) -> None:
        lacking: dict[WindowStream, int] = {
            account.stream: low for account, low in falls.items() if low < account.frontier
        }
        back = self._cursor.rewind(lacking)
        lost = 0
        for account, low in falls.items():
            if low < account.frontier:
                lost += account.frontier - low
                account.fall(low, back.get(account.stream, []))
        if lost:
            self._on_moved(f"it lacks {lost} numbers that it had acknowledged")
