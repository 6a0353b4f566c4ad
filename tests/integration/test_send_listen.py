"""`send` and `listen` as a user runs them: every protocol over bad lines, pipes, and strangers that know nothing of us."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.core.payload import Sizes, payload
from tests.integration.multicast.test_interop import PYTHON_RECEIVER, PYTHON_SENDER
from tests.support.addresses import FreeAddresses
from tests.support.process import BridgeProcess, Processes

pytestmark = pytest.mark.network

GROUP = "224.0.0.123"
Bridge = Callable[..., BridgeProcess]


def listening(bridge: Bridge, *arguments: str) -> BridgeProcess:
    """A `listen` that has joined."""
    process = bridge("listen", *arguments)
    process.wait_for("listening on")
    return process


def feed(bridge: Bridge, text: bytes, *arguments: str) -> BridgeProcess:
    """`send` with `text` on its standard input, to its end."""
    process = bridge("send", *arguments, pipe=True)
    process.stdin.write(text)
    process.stdin.close()
    assert process.wait() == 0, process.outputs()
    return process


def numbers(ranges: list[list[int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@pytest.mark.parametrize("protocol", ["raw", "native", "moldudp64"])
def test_a_pipe_through_a_group(protocol: str, bridge: Bridge, addresses: FreeAddresses) -> None:
    """`echo hi | bridge send 239.1.1.1:5000%lo`, with no interface named by the listener."""
    address = addresses.address()
    heard = listening(bridge, address, "--protocol", protocol, "--count", "3", "--for", "20")
    sent = feed(bridge, b"hi\n\nho", f"{address}%lo", "--protocol", protocol)
    assert heard.wait() == 0, heard.outputs()
    assert heard.stdout() == "hi\n\nho\n"
    assert f"{address}%lo on lo, TTL 1" in sent.stderr()
    assert f"listening on {address} on lo (the kernel's choice)" in heard.stderr()


@pytest.mark.parametrize(("protocol", "sizes"), [("native", Sizes(20, 20_000)), ("moldudp64", Sizes(20, 1400))])
def test_two_bad_lines_lose_only_what_both_lost(
    protocol: str, sizes: Sizes, bridge: Bridge, addresses: FreeAddresses, tmp_path: Path
) -> None:
    lines = [addresses.address(), addresses.address()]
    count, report = 1500, tmp_path / "report.json"
    heard = listening(bridge, *lines, "--protocol", protocol, "--format", "jsonl")
    size = f"{sizes.least}B..{sizes.most}B"
    what = ["--count", str(count), "--size", size, "--seed", "9", "--protocol", protocol, "--rate", "30Mbit/s"]
    bad = ["--impair", "loss=5%,duplicate=1%,reorder=3%", "--report", str(report)]
    assert bridge("send", *lines, *what, *bad).wait() == 0
    heard.wait_for("missing on all lines")
    assert heard.stop() == 0, heard.outputs()
    told = json.loads(report.read_text())
    rows = [json.loads(line) for line in heard.stdout().splitlines()]
    lost = numbers(told["lost_on_all"])
    assert lost
    assert [row["sequence"] for row in rows] == [n for n in range(1, count + 1) if n not in lost]
    for row in rows:
        number = row["sequence"]
        assert row["payload"].encode() == payload(9, number, sizes.of(9, number))
        assert row["session"] == told["session"]
    assert f"{count - len(lost)} messages, {len(lost)} lost, 0 datagrams dropped by the kernel" in heard.stderr()


def test_raw_over_two_lines_is_matched_by_content(bridge: Bridge, addresses: FreeAddresses, tmp_path: Path) -> None:
    lines = [addresses.address(), addresses.address()]
    report = tmp_path / "report.json"
    heard = listening(bridge, *lines, "--format", "text")
    bad = ["--impair", "loss=10%", "--report", str(report)]
    assert bridge("send", *lines, "--count", "500", "--rate", "2000/s", *bad).wait() == 0
    lost = numbers(json.loads(report.read_text())["lost_on_all"])
    heard.wait_for("0000000500") if 500 not in lost else heard.wait_for("0000000499")
    assert heard.stop() == 0
    found = [int(line[:10]) for line in heard.stdout().splitlines()]
    assert lost
    assert sorted(found) == [n for n in range(1, 501) if n not in lost]


@pytest.mark.parametrize("protocol", ["raw", "native", "moldudp64"])
def test_verify_holds_for_a_good_line(protocol: str, bridge: Bridge, addresses: FreeAddresses) -> None:
    address = addresses.address()
    heard = listening(bridge, address, "--protocol", protocol, "--verify", "--count", "800", "--for", "30")
    assert bridge("send", address, "--protocol", protocol, "--count", "800", "--rate", "5000/s").wait() == 0
    assert heard.wait() == 0, heard.outputs()
    assert heard.stdout() == ""
    assert "verification holds: 800 messages, numbers 1 to 800" in heard.stderr()


@pytest.mark.parametrize(
    ("protocol", "impairment"), [("raw", "duplicate=5%"), ("raw", "reorder=5%"), ("native", "loss=5%")]
)
def test_verify_fails_for_a_bad_line(protocol: str, impairment: str, bridge: Bridge, addresses: FreeAddresses) -> None:
    address = addresses.address()
    heard = listening(bridge, address, "--protocol", protocol, "--verify")
    what = ["--protocol", protocol, "--count", "800", "--size", "1000B", "--rate", "5000/s", "--impair", impairment]
    assert bridge("send", address, *what).wait() == 0
    assert heard.stop() == 1, heard.outputs()
    assert "verification failed" in heard.stderr()


def test_the_count_is_met_exactly_or_the_status_is_1(bridge: Bridge, addresses: FreeAddresses) -> None:
    address = addresses.address()
    enough = listening(bridge, address, "--count", "2", "--for", "20")
    feed(bridge, b"a\nb\nc\n", address)
    assert enough.wait() == 0
    assert enough.stdout() == "a\nb\n"
    few = listening(bridge, address, "--count", "2", "--for", "2")
    feed(bridge, b"a\n", address)
    assert few.wait() == 1
    assert few.stdout() == "a\n"


def test_interrupted_it_is_done(bridge: Bridge, addresses: FreeAddresses) -> None:
    import signal

    heard = listening(bridge, addresses.address(), "--count", "5")
    assert heard.stop(signal.SIGINT) == 0
    endless = bridge("send", addresses.address(), "--size", "100B", "--rate", "100/s", "--protocol", "native")
    endless.wait_for("sending native")
    assert endless.stop(signal.SIGINT) == 0, endless.outputs()
    assert re.search(r"sent \d+ messages? in", endless.stderr())


def test_a_closed_pipe_is_an_end(processes: Processes, bridge: Bridge, addresses: FreeAddresses) -> None:
    address = addresses.address()
    line = f"{sys.executable} -m bridge listen {address}; echo status $? >&2"
    shell = processes.start("bash", "-c", f"({line}) | head -n 1")
    shell.wait_for("listening on")
    feed(bridge, b"1\n2\n3\n", address, "--rate", "2/s")
    shell.wait_for("status 0")
    assert shell.wait() == 0
    assert shell.stdout() == "1\n"
    assert "Traceback" not in shell.stderr()
    assert "BrokenPipe" not in shell.stderr()


def test_silence_says_where_and_what_to_check(bridge: Bridge, addresses: FreeAddresses) -> None:
    address = addresses.address()
    heard = listening(bridge, address, "--for", "3.5")
    heard.wait_for("nothing in 3 s")
    assert heard.wait() == 0
    told = [line for line in heard.stderr().splitlines() if line.startswith("nothing in 3 s")]
    assert len(told) == 1
    assert f"{address} on lo (the kernel's choice)" in told[0]
    assert "TTL" in told[0]
    assert "firewall" in told[0]


def test_the_wrong_protocol_is_said(bridge: Bridge, addresses: FreeAddresses) -> None:
    address = addresses.address()
    heard = listening(bridge, address, "--protocol", "native", "--for", "4")
    feed(bridge, b"GET / HTTP/1.1\n", address)
    heard.wait_for("no message in 3 s; refused: 1 magic")
    assert heard.wait() == 0


def test_hex_is_what_tcpdump_prints(
    bridge: Bridge, processes: Processes, tool: Callable[[str], str], addresses: FreeAddresses, tmp_path: Path
) -> None:
    """The dump of tcpdump -X begins with the IP and UDP headers: 28 bytes. tshark reads the payload from the same file."""
    capture = tmp_path / "a.pcap"
    port = addresses.port()
    dump = processes.start(tool("tcpdump"), "-n", "-i", "lo", "-U", "-c", "3", "-w", str(capture), f"udp port {port}")
    dump.wait_for("listening on")
    heard = listening(bridge, f"{GROUP}:{port}", "--format", "hex", "--count", "3", "--for", "20")
    feed(bridge, b"hello multicast world\n\x01\xff binary\n\n", f"{GROUP}:{port}")
    assert heard.wait() == 0
    assert dump.wait() == 0
    ours = dumped(heard.stdout())
    printed = subprocess.run([tool("tcpdump"), "-n", "-X", "-r", capture], capture_output=True, text=True, check=True)
    assert ours == [datagram[28:] for datagram in dumped(printed.stdout)]
    assert ours == [b"hello multicast world", b"\x01\xff binary", b""]
    fields = subprocess.run(
        [tool("tshark"), "-r", capture, "-T", "fields", "-e", "udp.payload"], capture_output=True, text=True, check=True
    )
    assert [bytes.fromhex(line) for line in fields.stdout.splitlines()] == ours


def dumped(text: str) -> list[bytes]:
    """The bytes of each packet of a hex dump in the manner of `tcpdump -X`."""
    found: list[bytes] = []
    for line in text.splitlines():
        match = re.match(r"\s+0x[0-9a-f]{4}:  ((?:[0-9a-f]{2,4} ?)+) ", line)
        if match is None:
            found.append(b"")
        else:
            found[-1] += bytes.fromhex(match[1])
    return found


def test_socat_hears_us_and_we_hear_socat(
    bridge: Bridge, processes: Processes, tool: Callable[[str], str], addresses: FreeAddresses
) -> None:
    port = addresses.port()
    socat = processes.start(tool("socat"), "-v", "-u", f"UDP4-RECVFROM:{port},ip-add-membership={GROUP}:0.0.0.0", "-")
    members = Path("/proc/net/igmp")
    wait_until(lambda: "7B0000E0" in members.read_text())
    feed(bridge, b"to socat\n", f"{GROUP}:{port}")
    assert socat.wait(10) == 0
    assert socat.stdout() == "to socat"
    heard = listening(bridge, f"{GROUP}:{port}", "--count", "1", "--for", "20", "--format", "raw")
    script = f"printf 'from socat' | {tool('socat')} STDIO UDP4-DATAGRAM:{GROUP}:{port}"
    subprocess.run(["bash", "-c", script], check=True, timeout=20)
    assert heard.wait() == 0
    assert heard.stdout() == "from socat"


def test_plain_python_hears_us_and_we_hear_it(
    bridge: Bridge, processes: Processes, addresses: FreeAddresses, tmp_path: Path
) -> None:
    port = str(addresses.port())
    receiver, sender = tmp_path / "receiver.py", tmp_path / "sender.py"
    receiver.write_text(PYTHON_RECEIVER)
    sender.write_text(PYTHON_SENDER)
    plain = processes.start(sys.executable, str(receiver), GROUP, port, "2")
    plain.wait_for("ready")
    feed(bridge, b"one\ntwo\n", f"{GROUP}:{port}")
    assert plain.wait(10) == 0
    assert plain.stdout() == "ready\none\ntwo\n"
    heard = listening(bridge, f"{GROUP}:{port}", "--count", "2", "--for", "20")
    subprocess.run([sys.executable, sender, GROUP, port, "three", "four"], check=True, timeout=20)
    assert heard.wait() == 0
    assert heard.stdout() == "three\nfour\n"


def test_ipv6(bridge: Bridge, addresses: FreeAddresses) -> None:
    address = f"[{addresses.group6()}]:{addresses.port()}%lo"
    heard = listening(bridge, address, "--count", "1", "--for", "20", "--format", "jsonl", "--protocol", "native")
    feed(bridge, "grüße\n".encode(), address, "--protocol", "native")
    assert heard.wait() == 0
    row = json.loads(heard.stdout())
    assert row["payload"] == "grüße"
    assert (row["channel"], row["sequence"]) == ("listen", 1)
    assert re.fullmatch(r"[0-9a-f]{16}", row["session"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", row["time"])


def test_a_channel_is_told_from_another_on_the_same_group(bridge: Bridge, addresses: FreeAddresses) -> None:
    address = addresses.address()
    heard = listening(bridge, address, "--protocol", "native", "--channel", "mine", "--count", "1", "--for", "20")
    feed(bridge, b"no\n", address, "--protocol", "native", "--channel", "other")
    feed(bridge, b"yes\n", address, "--protocol", "native", "--channel", "mine")
    assert heard.wait() == 0
    assert heard.stdout() == "yes\n"


def wait_until(holds: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
