"""A message whose sender pauses between two of its fragments is not lost: nothing says that the rest was sent."""

from bridge.api import Hole, Item, MessageBatch
from bridge.core.receiver import ChannelReceiver
from bridge.core.settings import ReceiverSettings
from bridge.wire import codec
from bridge.wire.packet import Fragment

MS = 1_000_000
SESSION = (7).to_bytes(8, "big")
WIRE = codec("native", channel=1)


def receiver() -> ChannelReceiver:
    made = ChannelReceiver("c", WIRE, ["A"], ReceiverSettings(channel_number=1, hold_ns=20 * MS))
    made.receive(0, [WIRE.encode_data(SESSION, 1, [b"first"], 0)], 0, 0)
    return made


def piece(offset: int) -> bytes:
    return WIRE.encode_fragment(SESSION, 2, Fragment(offset, 20), b"x" * 10, 0)


def test_a_pause_within_a_message_is_no_loss() -> None:
    bridge = receiver()
    bridge.receive(0, [piece(0)], 1 * MS, 0)
    items: list[Item] = []
    for at in range(25, 2000, 25):
        items += bridge.end_pass(at * MS, True)
    assert not any(isinstance(item, Hole) for item in items)
    bridge.receive(0, [piece(10)], 2000 * MS, 0)
    items += bridge.end_pass(2001 * MS, True)
    assert [item.payloads for item in items if isinstance(item, MessageBatch)] == [[b"first"], [b"x" * 20]]


def test_a_heartbeat_behind_it_begins_the_hold() -> None:
    bridge = receiver()
    bridge.receive(0, [piece(0)], 1 * MS, 0)
    assert not [i for i in bridge.end_pass(500 * MS, True) if isinstance(i, Hole)]
    bridge.receive(0, [WIRE.encode_heartbeat(SESSION, 3, 0)], 501 * MS, 0)
    assert not [i for i in bridge.end_pass(515 * MS, True) if isinstance(i, Hole)]
    holes = [i for i in bridge.end_pass(522 * MS, True) if isinstance(i, Hole)]
    assert [(hole.first, hole.last, hole.reason) for hole in holes] == [(2, 2, "reassembly")]


def test_a_higher_number_begins_the_hold() -> None:
    bridge = receiver()
    bridge.receive(0, [piece(10)], 1 * MS, 0)
    bridge.end_pass(400 * MS, True)
    bridge.receive(0, [WIRE.encode_data(SESSION, 3, [b"third"], 0)], 401 * MS, 0)
    items = [*bridge.end_pass(402 * MS, True), *bridge.end_pass(422 * MS, True)]
    assert [i.first for i in items if isinstance(i, Hole)] == [2]


def test_a_sender_that_never_finishes_is_given_up_in_the_end() -> None:
    bridge = receiver()
    bridge.receive(0, [piece(0)], 1 * MS, 0)
    items = [i for at in range(1, 40) for i in bridge.end_pass(at * 1000 * MS, True)]
    assert [i.reason for i in items if isinstance(i, Hole)] == ["reassembly"]
