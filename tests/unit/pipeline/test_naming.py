"""Naming: every row of the table in `bridge.pipeline.naming`."""

import pytest

from bridge.api import Data, MessageBatch, Stream, Trimmed
from bridge.pipeline.naming import Held, Lookup, Naming, store_lookup
from bridge.window.entry import WindowStream

RUN = 9


def stream(restart: int = 0, first: int = 100, run: int = RUN) -> WindowStream:
    return WindowStream(Stream("c", b"s", restart), run, restart, "native", first, first + 10)


def held(restart: int, tail: int | None) -> Held:
    return Held(Stream("c", b"s", restart), tail)


class Said:
    def __init__(self) -> None:
        self.codes: list[str] = []

    def __call__(self, code: str, severity: str, text: str) -> None:
        self.codes.append(code)


def naming() -> tuple[Naming, Said]:
    said = Said()
    return Naming("c", RUN, said), said


@pytest.mark.parametrize(
    ("holds", "equal", "restart", "codes"),
    [
        (None, None, 0, []),
        (held(0, None), None, 0, []),
        (held(0, 99), None, 0, []),
        (held(3, 99), None, 3, []),
        (held(3, 100), True, 3, []),
        (held(3, 100), False, 4, ["stream_restarted"]),
        (held(3, 100), None, 4, ["stream_restarted"]),
        (held(0, 500), False, 1, ["stream_restarted"]),
    ],
)
def test_the_table(holds: Held | None, equal: bool | None, restart: int, codes: list[str]) -> None:
    names, said = naming()
    assert names.decide(stream(), holds, equal).restart == restart
    assert said.codes == codes


def test_bytes_are_needed_only_where_numbers_overlap() -> None:
    names, _ = naming()
    assert not names.needs_bytes(stream(), None)
    assert not names.needs_bytes(stream(), held(0, None))
    assert not names.needs_bytes(stream(), held(0, 99))
    assert names.needs_bytes(stream(), held(0, 100))


def test_later_restarts_of_a_run_follow_the_first_answer() -> None:
    names, _ = naming()
    names.decide(stream(0), held(2, 400), False)
    assert names.decide(stream(1, first=1), None, None).restart == 4


def test_another_sink_that_holds_nothing_gets_the_same_name() -> None:
    names, _ = naming()
    names.decide(stream(), held(2, 99), None)
    assert names.decide(stream(), None, None).restart == 2


def test_another_sink_that_holds_a_higher_restart_raises_it() -> None:
    names, said = naming()
    assert names.decide(stream(), None, None).restart == 0
    assert names.decide(stream(), held(2, 99), None).restart == 2
    assert said.codes == ["restart_differs"]


def test_what_an_earlier_run_decided_stays() -> None:
    names, said = naming()
    old = stream(1, run=3)
    old.offset = 4
    assert names.settled(old)
    assert not names.needs_bytes(old, held(7, 500))
    assert names.decide(old, held(7, 500), None).restart == 5
    assert said.codes == []


def test_a_hint_is_what_the_session_got() -> None:
    names, _ = naming()
    later = stream(1)
    names.hint(later)
    assert later.likely.restart == 1
    names.decide(stream(0), held(2, 99), None)
    names.hint(later)
    assert later.likely.restart == 3


async def test_numbers_are_compared_until_one_can_be() -> None:
    names, _ = naming()
    stored = {100: b"a", 102: b"c"}
    asked: list[int] = []

    async def lookup(_: Stream, number: int) -> bytes | None:
        asked.append(number)
        return stored.get(number)

    compare: Lookup = lookup
    assert await names.compare(held(0, 102), [(103, b"d"), (101, b"b"), (102, b"c")], compare) is True
    assert asked == [101, 102], "103 is above the tail"
    assert await names.compare(held(0, 102), [(100, b"x")], compare) is False
    assert await names.compare(held(0, 102), [(101, b"b")], compare) is None
    assert await names.compare(held(0, 102), [(100, b"a")], None) is None


async def test_a_store_is_asked_for_one_number() -> None:
    class Store:
        async def read(self, asked: Stream, first: int, last: int, *, limit: int) -> object:
            assert (first, last, limit) == (5, 5, 1)
            if asked.restart:
                yield Trimmed(5, 5, 9)
            else:
                yield Data(MessageBatch(asked, 5, [b"five"], 0))

    lookup = store_lookup(Store())
    assert await lookup(Stream("c", b"s"), 5) == b"five"
    assert await lookup(Stream("c", b"s", 1), 5) is None
