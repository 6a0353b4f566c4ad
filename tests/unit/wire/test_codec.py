"""The factory."""

import pytest

from bridge.api import ConfigurationError
from bridge.wire import NAMES, codec
from bridge.wire.packet import MAX_DATAGRAM


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_its_codec(name: str) -> None:
    assert codec(name).name == name
    assert codec(name, channel=9, origin=1, max_message=5).max_message == 5


def test_limits_of_the_wire_are_the_default() -> None:
    assert [codec(name).max_message for name in NAMES] == [MAX_DATAGRAM, 64 * 2**20, MAX_DATAGRAM]


def test_channel_and_origin_are_written() -> None:
    wire = codec("native", channel=9, origin=11)
    (packet,) = wire.decode([wire.encode_heartbeat(bytes(8), 1, 0)]).packets
    assert (packet.channel, packet.origin) == (9, 11)


def test_errors_name_the_value_and_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match="no protocol 'mold'") as raised:
        codec("mold")
    assert "moldudp64" in raised.value.hint
    with pytest.raises(ConfigurationError, match="cannot be authenticated"):
        codec("moldudp64", keys=[b"k"])
    with pytest.raises(ConfigurationError, match="channel number -1"):
        codec("native", channel=-1)
