"""What lines take and miss, with sockets that fill up and fail as a test says."""

import errno
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api import ConfigurationError
from bridge.testing.doubles.context import FakeContext
from connectors.multicast import sockets
from connectors.multicast.options import SinkOptions
from connectors.multicast.sink import MulticastOutlet, MulticastSink
from tests.unit.connectors.multicast.fakes import ETH0, ETH1, LO, FakeHost, FakeSocket

LINES = ["239.1.1.1:5000%eth0", "239.1.1.2:5000%eth1"]


class Bench:
    """An outlet over fake sockets; `now[place]` is the present socket of a line, `all[place]` all that it had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *lines: str, **options: object) -> None:
        self.host = FakeHost(LO, ETH0, ETH1)
        self.context = FakeContext()
        self.opened: list[FakeSocket] = []
        monkeypatch.setattr(sockets, "new_socket", self._new)
        table = {"lines": list(lines or LINES), **options}
        made = SinkOptions.model_validate(table)
        self.outlet = MulticastOutlet("c", made.channels("c")["c"], made, self.host.interfaces, self.context)

    def _new(self, address: object) -> FakeSocket:
        self.opened.append(FakeSocket())
        return self.opened[-1]

    def missed(self) -> list[int]:
        return [line["missed"] for line in self.outlet.description]

    def codes(self) -> list[str]:
        return [event.code for event in self.context.events]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_every_line_gets_every_datagram(bench: Bench) -> None:
    assert bench.outlet.send([b"1", b"2"]) == 2
    assert [s.sent for s in bench.opened] == [[b"1", b"2"]] * 2


def test_a_full_line_holds_the_list_and_the_other_gets_nothing_twice(bench: Bench) -> None:
    a, b = bench.opened
    b.room = 1
    assert bench.outlet.send([b"1", b"2", b"3"]) == 1
    assert bench.outlet.send([b"2", b"3", b"4"]) == 0
    b.room = 9
    assert bench.outlet.send([b"2", b"3", b"4"]) == 3
    assert a.sent == b.sent == [b"1", b"2", b"3", b"4"]
    assert bench.missed() == [0, 0]


def test_what_the_engine_gave_up_is_not_mistaken_for_sent(bench: Bench) -> None:
    a, b = bench.opened
    b.room = 0
    assert bench.outlet.send([b"1", b"2"]) == 0
    b.room = 9
    assert bench.outlet.send([b"8", b"9"]) == 2
    assert a.sent == [b"1", b"2", b"8", b"9"]
    assert b.sent == [b"8", b"9"]


def test_a_line_that_fails_is_counted_said_once_and_opened_again(bench: Bench) -> None:
    a, b = bench.opened
    a.error = errno.ENETUNREACH
    assert bench.outlet.send([b"1", b"2"]) == 2
    assert bench.outlet.send([b"3"]) == 1
    assert a.closed
    assert bench.missed() == [3, 0]
    assert bench.context.counts == {"multicast_missed_datagrams{channel=c,line=A}": 3}
    bench.outlet.poll()
    bench.opened[-1].error = errno.ENETUNREACH
    bench.outlet.send([b"4"])
    assert bench.codes() == ["outlet_down"]  # the same reason again is not said again
    bench.outlet.poll()
    assert bench.outlet.send([b"5"]) == 1
    assert bench.codes() == ["outlet_down", "outlet_up"]
    assert bench.opened[-1].sent == [b"5"]
    assert b.sent == [b"1", b"2", b"3", b"4", b"5"]


def test_with_no_line_up_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, LINES[0])
    first = bench.opened[0]
    assert bench.outlet.send([b"1"]) == 1
    first.error = errno.EPERM
    assert bench.outlet.send([b"2", b"3"]) == 0
    assert bench.outlet.send([b"2", b"3"]) == 0
    bench.outlet.poll()
    assert bench.outlet.send([b"2", b"3"]) == 2
    assert first.sent + bench.opened[-1].sent == [b"1", b"2", b"3"]
    assert bench.missed() == [0]


def test_a_full_queue_of_the_interface_is_waited_for(bench: Bench) -> None:
    bench.opened[0].error = errno.ENOBUFS
    assert bench.outlet.send([b"1"]) == 0
    assert bench.outlet.send([b"1"]) == 1
    assert [s.sent for s in bench.opened] == [[b"1"], [b"1"]]


def test_a_datagram_that_can_never_be_sent_is_left_out_and_counted(bench: Bench) -> None:
    bench.opened[0].error = errno.EMSGSIZE
    assert bench.outlet.send([b"1", b"2"]) == 2
    assert [s.sent for s in bench.opened] == [[b"2"], [b"1", b"2"]]
    assert bench.missed() == [1, 0]
    assert [line["sent"] for line in bench.outlet.description] == [1, 2]


def test_a_line_whose_interface_goes_and_comes_back(bench: Bench) -> None:
    bench.host.set(LO, ETH0)
    bench.outlet.poll()
    down = bench.outlet.description[1]
    assert (down["up"], down["reason"]) == (False, "there is no interface eth1 (did you mean eth0?)")
    assert bench.outlet.send([b"1"]) == 1
    bench.host.set(LO, ETH0, replace(ETH1, index=9))
    bench.outlet.poll()
    assert bench.outlet.send([b"2"]) == 1
    assert bench.opened[-1].sent == [b"2"]
    assert bench.missed() == [0, 1]


def test_an_interface_that_is_down_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, LINES[0])
    bench.host.set(LO, replace(ETH0, up=False))
    bench.outlet.poll()
    assert bench.outlet.send([b"1"]) == 0
    assert bench.outlet.description[0]["reason"] == "interface eth0 is down"


@pytest.mark.parametrize(
    ("lines", "options", "largest"),
    [
        (["239.1.1.1:1%eth0"], {}, 1500 - 28),
        (["239.1.1.1:1%eth1"], {}, 9000 - 28),
        (["239.1.1.1:1%eth0", "239.1.1.1:1%eth1"], {}, 1500 - 28),
        (["[ff15::1]:1%eth0"], {}, 1500 - 48),
        (["239.1.1.1:1%lo"], {}, 1500 - 28),
        (["239.1.1.1:1%lo"], {"mtu": 65535}, 65507),
        (["239.1.1.1:1%absent"], {}, 1500 - 28),
        (["239.1.1.1:1%eth1"], {"mtu": 1280}, 1280 - 28),
    ],
)
def test_the_largest_datagram_fits_the_mtu(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], options: dict[str, object], largest: int
) -> None:
    assert Bench(monkeypatch, *lines, **options).outlet.max_datagram == largest


async def test_a_channel_without_lines_is_a_configuration_error() -> None:
    options = SinkOptions.model_validate({"channel": {"a": {"lines": ["239.1.1.1:5000"]}}})
    sink = MulticastSink(options, FakeContext("lan"), FakeHost(LO, ETH0).interfaces)
    with pytest.raises(ConfigurationError, match="sink lan has no line for channel b"):
        await sink.open("b")
    await sink.close()


@given(st.data())
def test_whatever_is_full_when_each_line_gets_the_sequence_once(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        bench = Bench(patch, "239.1.1.1:1%eth0", "239.1.1.2:1%eth0", "239.1.1.3:1%eth0")
        wanted = [bytes([n]) for n in range(20)]
        waiting = list(wanted)
        for _ in range(10):
            for opened in bench.opened:
                opened.room = data.draw(st.integers(0, 6))
            del waiting[: bench.outlet.send(waiting[: data.draw(st.integers(0, 8))])]
        for opened in bench.opened:
            opened.room = 100
        assert bench.outlet.send(waiting) == len(waiting)
        assert [s.sent for s in bench.opened] == [wanted] * 3
