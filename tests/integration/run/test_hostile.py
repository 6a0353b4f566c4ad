"""A running bridge beside whom somebody sends rubbish: the real stream arrives whole, and nothing grows."""

import os
import socket
import threading
import time
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from bridge.wire import codec
from bridge.wire.native_layout import CRC, channel_number
from bridge.wire.packet import Fragment
from tests.integration.run.feed import Publisher
from tests.integration.run.running import (
    bridge_table,
    eventually,
    lines,
    read_journal,
    sinks,
    status,
    stopped,
    summary,
    total,
    written,
)
from tests.support.addresses import FreeAddresses
from tests.support.process import BridgeProcess, Processes

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(120)]

COUNT = 100_000
RATE = 12_000  # a second: with the real stream well below what fills a receive buffer while the bridge has no processor
GROWTH = 64 * 2**20
"""Bytes that a run may take beyond its start: the caps of one channel (holds, reassembly, window) with little in them."""

WIRE = codec("native", channel=channel_number("feed"))
SESSION = (1).to_bytes(8, "big")  # the publisher's


class Feed:
    """A bridge with a native feed on two lines, and its publisher's addresses."""

    def __init__(self, directory: Path, processes: Processes, addresses: FreeAddresses) -> None:
        port = addresses.port()
        self.lines = [(addresses.group(), port), (addresses.group(), port)]
        self.admin = f"127.0.0.1:{addresses.port()}"
        self.summary = directory / "summary.json"
        quoted = ", ".join(f'"{group}:{port}%lo"' for group, port in self.lines)
        self.config = written(
            directory / "config.toml",
            bridge_table(directory, self.admin),
            f'[source.feed]\ntype = "multicast"\nprotocol = "native"\nlines = [{quoted}]',
            f'[sink.archive]\ntype = "journal"\npath = "{directory / "journal"}"',
            '[route.archive]\nfrom = "feed"\nto = ["archive"]',
        )
        self.processes = processes
        self.bridge: BridgeProcess = processes.bridge("run", self.config, "--summary", self.summary)
        self.bridge.wait_for("line B of feed")
        self.publisher = Publisher(self.lines, "feed", 3000)

    def finish(self) -> list[int]:
        """End the publisher and the bridge; the numbers in the journal, whose payloads are the publisher's."""
        self.publisher.stop()
        time.sleep(0.3)
        stopped(self.bridge)
        assert "Traceback" not in self.bridge.stderr()
        assert "internal_error" not in self.bridge.stderr()
        stored = read_journal(self.processes, self.config, "archive", "feed")
        mine = [row for row in stored if row["session"] == SESSION.hex()]
        assert [row["payload"] for row in mine] == [Publisher.payload(row["sequence"]).decode() for row in mine]
        assert len(mine) == len(stored), f"{len(stored) - len(mine)} messages of others"
        return [row["sequence"] for row in mine]


def sender() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    return made


def correct(random: Random) -> bytes:
    """A correct datagram of a session that nobody else has: two of one session would rightly begin it."""
    session, now, payloads = random.randbytes(8), time.time_ns(), [b"x" * size for size in (0, 1, 20, 300)]
    match random.randrange(5):
        case 0:
            return WIRE.encode_data(session, 5, payloads, now)
        case 1:
            return WIRE.encode_fragment(session, 5, Fragment(0, 2**20), bytes(100), now)
        case 2:
            return WIRE.encode_heartbeat(session, 77, now)
        case 3:
            return WIRE.encode_hole(session, 5, 9, now)
        case _:
            return codec("moldudp64").encode_data(bytes(10), 5, payloads, now)


def rubbish(random: Random) -> bytes:
    """Random bytes; or a correct datagram with bytes changed, cut or added, half of them with the CRC put right again."""
    if random.random() < 0.3:
        return random.randbytes(random.choice([0, 1, 3, 20, 40, 60, 200, 1400]))
    data = bytearray(correct(random))
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(data)) if data else 0
        match random.randrange(4):
            case 0 if data:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = random.randbytes(random.randrange(40))
            case _:
                data[at : at + 8] = random.choice([bytes(8), b"\xff" * 8, random.randbytes(8)])
    return bytes(data) if random.random() < 0.5 else bytes(data[:-4]) + CRC.pack(crc32(data[:-4]))


def forged(random: Random) -> bytes:
    """A correct datagram that lies: a session of its own, or the publisher's at a number far away."""
    now, far = time.time_ns(), random.randrange(2**30, 2**53 - 10)
    session = random.randbytes(8)
    match random.randrange(8):
        case 0:
            return WIRE.encode_data(session, random.randrange(1, 2**50), [b"forged"], now)
        case 1:
            return WIRE.encode_data(SESSION, far, [b"forged"], now)
        case 2:
            return WIRE.encode_heartbeat(session, far, now)
        case 3:
            return WIRE.encode_heartbeat(SESSION, far, now)
        case 4:
            return WIRE.encode_end(session, far, now)
        case 5:
            return WIRE.encode_fragment(session, far, Fragment(0, 2**26 - 1), b"forged", now)
        case 6:
            return WIRE.encode_hole(session, 1, far, now)
        case _:
            return above(random.choice([SESSION, session]), random.choice([2**53, 2**63, 2**64 - 1]))


def above(session: bytes, sequence: int) -> bytes:
    """A data packet with a number that no encoder of ours makes, and the right CRC."""
    made = WIRE.encode_data(session, 0x0123456789AB, [b"forged"], time.time_ns())
    body = made[:-4].replace((0x0123456789AB).to_bytes(8, "big"), sequence.to_bytes(8, "big"), 1)
    assert body != made[:-4]
    return body + CRC.pack(crc32(body))


class Attacker(threading.Thread):
    """Sends `COUNT` datagrams to one line, `RATE` a second."""

    def __init__(self, line: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        self._line = line
        self._random = Random(7)

    def run(self) -> None:
        began, random = time.monotonic(), self._random
        with sender() as sock:
            for number in range(COUNT):
                made = forged(random) if random.random() < 0.2 else rubbish(random)
                sock.sendto(made, self._line)
                if number % 20 == 0 and (ahead := began + number / RATE - time.monotonic()) > 0:
                    time.sleep(ahead)


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_real_stream_is_undisturbed(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    feed = Feed(tmp_path, processes, addresses)
    feed.publisher.start()
    time.sleep(1)
    before = memory(feed.bridge.pid)
    attacker = Attacker(feed.lines[0])
    attacker.start()
    largest = before
    while attacker.is_alive():
        attacker.join(0.25)
        assert feed.bridge.status is None, feed.bridge.outputs()
        largest = max(largest, memory(feed.bridge.pid))
        assert status(feed.admin)["balanced"]
    assert largest - before < GROWTH, f"grew by {(largest - before) / 2**20:.0f} MiB"
    stored = feed.finish()
    ended = summary(feed.summary)
    assert stored == list(range(1, feed.publisher.last + 1)), f"{feed.publisher.last - len(stored)} are missing"
    attacked, _ = lines(ended)
    arrived = attacked["datagrams"] + attacked["kernel_dropped"]
    assert arrived >= COUNT, "the attack did not reach the bridge"
    assert sum(attacked["malformed"].values()) > COUNT / 4
    assert sum(attacked["refused"].values()) > COUNT / 20
    assert not ended["losses"]
    assert len(feed.bridge.stderr()) < 200_000, "events are rate-limited"


def test_one_forged_datagram_changes_nothing(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    """Each kind once, between real packets: numbers beyond all, new sessions, an end and holes far ahead."""
    feed = Feed(tmp_path, processes, addresses)
    feed.publisher.start()
    time.sleep(0.5)
    now = time.time_ns()
    lies = [above(SESSION, 2**63), above(b"new     ", 2**63), above(SESSION, 2**53)]
    for session in (SESSION, b"another "):
        lies += [
            WIRE.encode_data(session, 2**52, [b"forged"], now),
            WIRE.encode_heartbeat(session, 2**51, now),
            WIRE.encode_hole(session, 2**49, 2**50, now),
            WIRE.encode_fragment(session, 2**48, Fragment(0, 2**26 - 1), b"forged", now),
            WIRE.encode_end(session, 2**47, now),
        ]
    with sender() as sock:
        for place, lie in enumerate(lies):
            sock.sendto(lie, feed.lines[place % 2])
            time.sleep(0.05)
    stored = feed.finish()
    assert stored == list(range(1, feed.publisher.last + 1))
    ended = summary(feed.summary)
    assert not ended["losses"]
    assert total(sinks(ended)["archive"], "published") == len(stored)


def test_two_packets_of_a_new_session_begin_it(tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    feed = Feed(tmp_path, processes, addresses)
    feed.publisher.start()
    time.sleep(0.5)
    feed.publisher.stop()
    other = Publisher(feed.lines, "feed", 3000, session=2)
    other.start()
    time.sleep(0.5)
    other.stop()
    time.sleep(0.3)
    stopped(feed.bridge)
    stored = read_journal(processes, feed.config, "archive", "feed")
    assert [(row["session"], row["sequence"]) for row in stored] == [
        (session.to_bytes(8, "big").hex(), number)
        for session, publisher in ((1, feed.publisher), (2, other))
        for number in range(1, publisher.last + 1)
    ]
    summary(feed.summary)


@pytest.mark.parametrize("protocol", ["raw", "native"])
def test_the_largest_datagram(protocol: str, tmp_path: Path, processes: Processes, addresses: FreeAddresses) -> None:
    group, port, admin = addresses.group(), addresses.port(), f"127.0.0.1:{addresses.port()}"
    config = written(
        tmp_path / "config.toml",
        bridge_table(tmp_path, admin),
        f'[source.feed]\ntype = "multicast"\nprotocol = "{protocol}"\nlines = ["{group}:{port}%lo"]',
        f'[sink.archive]\ntype = "journal"\npath = "{tmp_path / "journal"}"',
        '[route.archive]\nfrom = "feed"\nto = ["archive"]',
    )
    bridge = processes.bridge("run", config, "--summary", tmp_path / "summary.json")
    bridge.wait_for("line A of feed")
    room = 65_507
    if protocol == "native":
        room -= WIRE.header_bytes() + WIRE.message_bytes()
    payload = b"L" * room
    datagram = payload if protocol == "raw" else WIRE.encode_data(SESSION, 1, [payload], time.time_ns())
    assert len(datagram) == 65_507
    with sender() as sock:
        sock.sendto(datagram, (group, port))
        if protocol == "native":
            sock.sendto(b"\0" * 65_507, (group, port))
            sock.sendto(datagram[:-1] + b"\0", (group, port))
    eventually(lambda: total(sinks(status(admin))["archive"], "published") == 1)
    stopped(bridge)
    (row,) = read_journal(processes, config, "archive", "feed")
    assert row["payload"] == payload.decode()
    (line,) = lines(summary(tmp_path / "summary.json"))
    assert line["datagrams"] == (1 if protocol == "raw" else 3)
    assert sum(line["malformed"].values()) == line["datagrams"] - 1
