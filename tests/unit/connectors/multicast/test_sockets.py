"""What needs no network: buffers explained, structures laid out, batches that survive an error in their middle."""

import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from bridge.api import Address, ConfigurationError
from bridge.testing.doubles.context import FakeContext
from connectors.multicast import platform, sockets
from connectors.multicast.options import SourceOptions
from connectors.multicast.source import MulticastSource, line_name
from tests.unit.connectors.multicast.fakes import ETH0, LO, FakeHost


class Scripted:
    """A socket that returns what a test says, then raises."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self._answers: Iterator[bytes | OSError] = iter(answers)

    def recv(self, size: int) -> bytes:
        assert size == 65535
        answer = next(self._answers, BlockingIOError())
        if isinstance(answer, OSError):
            raise answer
        return answer


def receive(opened: Scripted, limit: int) -> tuple[list[bytes], bool]:
    datagrams = [b"first"]
    empty = sockets.receive_batch(opened, limit, datagrams)  # type: ignore[arg-type] # a socket in shape
    return datagrams, empty


def test_a_batch_keeps_what_came_before_the_socket_was_empty() -> None:
    assert receive(Scripted(b"1", b"", b"3"), 10) == ([b"first", b"1", b"", b"3"], True)


def test_a_batch_ends_at_its_limit_and_leaves_the_rest() -> None:
    opened = Scripted(b"1", b"2", b"3")
    assert receive(opened, 2) == ([b"first", b"1", b"2"], False)
    assert receive(opened, 2) == ([b"first", b"3"], True)


def test_an_error_that_a_peer_caused_ends_the_batch_only() -> None:
    opened = Scripted(b"1", ConnectionRefusedError(), b"2")
    assert receive(opened, 10) == ([b"first", b"1"], True)
    assert receive(opened, 10) == ([b"first", b"2"], True)


def test_a_clamped_buffer_is_explained_with_the_exact_sysctl() -> None:
    text = sockets.clamp_text(sockets.Granted(32 * 2**20, 4 * 2**20), receive=True)
    assert text is not None
    assert "asked for a receive buffer of 33554432 bytes, the kernel granted 4194304" in text
    assert "sysctl -w net.core.rmem_max=33554432" in text
    assert "wmem_max=1000" in (sockets.clamp_text(sockets.Granted(1000, 1), receive=False) or "")
    assert sockets.clamp_text(sockets.Granted(1000, 1000), receive=True) is None


@pytest.mark.skipif(struct.calcsize("P") != 8 or sys.byteorder != "little", reason="written for 64 bits, little-endian")
def test_structures_are_those_of_the_kernels_headers() -> None:
    request = platform.group_source_req(7, socket.inet_aton("232.1.1.1"), socket.inet_aton("10.0.0.1"))
    assert len(request) == 8 + 128 + 128
    assert request[:16] == bytes.fromhex("0700000000000000 02000000 e8010101")
    assert request[136:144] == bytes.fromhex("02000000 0a000001")
    request = platform.group_req(7, socket.inet_pton(socket.AF_INET6, "ff15::1"))
    assert len(request) == 8 + 128
    assert request[8:32] == bytes.fromhex("0a000000 00000000 ff15 0000000000000000000000000001")
    assert platform.mreqn(7) == bytes.fromhex("00000000 00000000 07000000")


def test_lines_are_named_in_order() -> None:
    assert [line_name(n) for n in (0, 1, 25, 26, 99)] == ["A", "B", "Z", "L27", "L100"]


async def test_an_absent_interface_is_waited_for_and_said_once() -> None:
    context = FakeContext("floor")
    source = MulticastSource(SourceOptions(lines=["239.1.1.1:5000%eth9"]), context, FakeHost(LO, ETH0).interfaces)
    await source.open()
    (line,) = source.lines()
    assert line.fileno() is None
    assert line.drain(10) == ([], True, None)
    assert line.description["joined"] is False
    assert line.description["reason"] == "there is no interface eth9 (did you mean eth0?)"
    assert not source.poll()
    assert not source.poll()
    assert [event.code for event in context.events] == ["line_not_joined"]
    source.close()
    source.close()


async def test_a_port_in_use_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: object) -> None:
        raise sockets.PortInUse(
            "port 5000 of 239.1.1.1 is in use by a socket that does not share it", hint="`ss -lunp`"
        )

    monkeypatch.setattr("connectors.multicast.source.MulticastLine._open", taken)
    source = MulticastSource(
        SourceOptions(lines=["239.1.1.1:5000"]), FakeContext("floor"), FakeHost(LO, ETH0).interfaces
    )
    with pytest.raises(ConfigurationError, match=r"239\.1\.1\.1:5000: port 5000 .* is in use") as caught:
        await source.open()
    assert (caught.value.key, caught.value.hint) == ("source.floor", "`ss -lunp`")


def test_where_a_link_scoped_address_is_bound_the_interface_is_part_of_it() -> None:
    assert sockets.endpoint(Address.parse("[ff12::1]:5000%eth0"), ETH0) == ("ff12::1", 5000, 0, 2)
    assert sockets.endpoint(Address.parse("[ff15::1]:5000%eth0"), ETH0) == ("ff15::1", 5000, 0, 0)
    assert sockets.endpoint(Address.parse("239.1.1.1:5000"), ETH0) == ("239.1.1.1", 5000)
