from bridge.api import Stream
from bridge.core import limits
from bridge.core.events import Conflict, EventLog, EventsDropped, GapAbandoned

STREAM = Stream("c", b"s")


def test_a_flood_is_counted_and_no_loss_is_forgotten() -> None:
    log = EventLog("c")
    assert not log
    for number in range(limits.EVENTS + 5):
        log.append(Conflict(STREAM, "A", number))
    lost = GapAbandoned(STREAM, 1, 2, "wire")
    log.append(lost)
    found = log.take()
    assert found[limits.EVENTS :] == [lost, EventsDropped("c", 5)]
    assert log.take() == []
    log.append(lost)
    assert log.take() == [lost]
