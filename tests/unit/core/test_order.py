from hypothesis import given
from hypothesis import strategies as st

from bridge.api import Hole, MessageBatch, Stream
from bridge.core import limits
from bridge.core.order import Order

STREAM = Stream("c", b"s")


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_everything_comes_out_once_in_order(arrival: list[int], holes: set[int], takes: list[bool]) -> None:
    order, found = Order(0), []
    waiting: set[int] = set()
    for number, take in zip(arrival, takes, strict=True):
        if number in holes:
            order.pass_over(number, number + 1, "wire")
        else:
            order.hold(number, [b"%d" % number])
            waiting.add(number)
        if take:
            found += order.take(STREAM, 0)
        else:
            order.advance()
        waiting = {n for n in waiting if n >= order.expected}
        assert order.held == len(waiting)
        assert order.held_bytes == sum(len(b"%d" % n) for n in waiting)
        assert order.known(number) == (None if number in holes else b"%d" % number)
    found += order.take(STREAM, 0)
    out: list[object] = []
    for item in found:
        if isinstance(item, MessageBatch):
            assert item.payloads == [b"%d" % n for n in range(item.first, item.last + 1)]
            out += range(item.first, item.last + 1)
        elif isinstance(item, Hole):
            out += [("hole", n) for n in range(item.first, item.last + 1)]
    assert out == [("hole", n) if n in holes else n for n in range(12)]
    assert not order.waits
    assert order.bytes_ready == 0


def test_bytes_that_may_go_out_are_counted_as_they_come() -> None:
    order = Order(0)
    order.out += [b"abc", b"de"]
    order.expected = 2
    assert order.bytes_ready == 5
    order.out.append(b"f")
    order.expected = 3
    order.pass_over(3, 5, "wire")
    order.hold(5, [b"gh"])
    order.advance()
    assert order.bytes_ready == 8
    order.take(STREAM, 0)
    assert order.bytes_ready == 0


def test_what_went_out_is_remembered_for_a_while() -> None:
    order = Order(0)
    for number in range(limits.RECENT_BATCHES + 1):
        order.hold(number, [b"%d" % number])
        order.take(STREAM, 0)
    assert order.known(0) is None
    assert order.known(1) == b"1"
    order.hold(order.expected, [bytes(limits.RECENT_BYTES + 1)])
    order.take(STREAM, 0)
    assert order.known(order.expected - 1) is not None, "the last one is always known"
    assert order.known(order.expected - 2) is None
