"""Strangers that know nothing of us: plain Python, socat, Rust's std::net; and tcpdump as a witness."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.multicast.conftest import Running, received
from tests.support.addresses import FreeAddresses
from tests.support.process import Processes
from tests.support.tools import find, leave_out

pytestmark = pytest.mark.network

GROUP = "224.0.0.123"

PYTHON_SENDER = """
import socket, sys
group, port = sys.argv[1], int(sys.argv[2])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for word in sys.argv[3:]:
    sock.sendto(word.encode(), (group, port))
"""

PYTHON_RECEIVER = """
import socket, struct, sys
group, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(("", port))
sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4sl", socket.inet_aton(group), socket.INADDR_ANY))
print("ready", flush=True)
for _ in range(count):
    print(sock.recv(65535).decode(), flush=True)
"""

RUST = """
use std::net::{Ipv4Addr, UdpSocket};
fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let group: Ipv4Addr = args[2].parse().unwrap();
    let port: u16 = args[3].parse().unwrap();
    if args[1] == "send" {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for word in &args[4..] { socket.send_to(word.as_bytes(), (group, port))?; }
        return Ok(());
    }
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
    println!("ready");
    let mut buffer = [0u8; 65535];
    for _ in 0..args[4].parse::<usize>().unwrap() {
        let (size, _) = socket.recv_from(&mut buffer)?;
        println!("{}", String::from_utf8_lossy(&buffer[..size]));
    }
    Ok(())
}
"""


@pytest.fixture(scope="session")
def rust_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rust")
    (directory / "multicast.rs").write_text(RUST)
    built = subprocess.run(
        [find("rustc"), "-O", "multicast.rs"], cwd=directory, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return directory / "multicast"


def test_plain_python_sends_to_us(net: Running, addresses: FreeAddresses, processes: Processes) -> None:
    port = addresses.port()
    line = net.line(f"{GROUP}:{port}")
    processes.start(sys.executable, "-c", PYTHON_SENDER, GROUP, str(port), "one", "two").wait()
    assert received(line, 2) == [b"one", b"two"]


def test_plain_python_receives_from_us(net: Running, addresses: FreeAddresses, processes: Processes) -> None:
    port = addresses.port()
    receiver = processes.start(sys.executable, "-c", PYTHON_RECEIVER, GROUP, str(port), "2")
    receiver.wait_for("ready")
    assert net.outlet(f"{GROUP}:{port}").send([b"one", b"two"]) == 2
    assert receiver.wait(10) == 0
    assert receiver.stdout() == "ready\none\ntwo\n"


def test_rust_sends_to_us(net: Running, addresses: FreeAddresses, processes: Processes, rust_program: Path) -> None:
    port = addresses.port()
    line = net.line(f"{GROUP}:{port}")
    processes.start(rust_program, "send", GROUP, str(port), "one", "two").wait()
    assert received(line, 2) == [b"one", b"two"]


def test_rust_receives_from_us(
    net: Running, addresses: FreeAddresses, processes: Processes, rust_program: Path
) -> None:
    port = addresses.port()
    receiver = processes.start(rust_program, "receive", GROUP, str(port), "2")
    receiver.wait_for("ready")
    assert net.outlet(f"{GROUP}:{port}").send([b"one", b"two"]) == 2
    assert receiver.wait(10) == 0
    assert receiver.stdout() == "ready\none\ntwo\n"


def test_socat_sends_to_us(net: Running, addresses: FreeAddresses, processes: Processes) -> None:
    port = addresses.port()
    line = net.line(f"{GROUP}:{port}")
    socat = processes.start(find("socat"), "STDIO", f"UDP4-DATAGRAM:{GROUP}:{port}", pipe=True)
    socat.stdin.write(b"hello from socat\n")
    socat.stdin.flush()
    assert received(line) == [b"hello from socat\n"]


def test_socat_receives_from_us(net: Running, addresses: FreeAddresses, processes: Processes) -> None:
    port = addresses.port()
    socat = processes.start(
        find("socat"), "-d", "-d", "-u", f"UDP4-RECVFROM:{port},ip-add-membership={GROUP}:0.0.0.0,fork", "STDOUT"
    )
    socat.wait_for("receiving on")
    outlet = net.outlet(f"{GROUP}:{port}")
    assert outlet.send([b"hello to socat\n"]) == 1
    socat.wait_for("hello to socat")


def test_tcpdump_sees_what_we_send(net: Running, addresses: FreeAddresses, processes: Processes) -> None:
    port = addresses.port()
    if Path("/proc/self/setgroups").read_text().strip() == "deny":
        leave_out("tcpdump gives up its privileges, which a user namespace does not let it")
    options = ["-n", "-l", "-v", "-X", "--immediate-mode", "-c", "1"]
    tcpdump = processes.start(find("tcpdump"), *options, "-i", "line0", "udp", "port", str(port))
    tcpdump.wait_for("listening on")
    deadline = time.monotonic() + 10
    outlet = net.outlet(f"{GROUP}:{port}%line1", ttl=3, dscp="AF41")
    while tcpdump.status is None and time.monotonic() < deadline:
        outlet.send([b"witness"])
        time.sleep(0.05)
    seen = tcpdump.stdout()
    assert "ttl 3," in seen
    assert "tos 0x88," in seen
    assert re.search(rf"10\.77\.0\.2\.\d+ > 224\.0\.0\.123\.{port}: ", seen)
    dump = "".join(re.findall(r"0x[0-9a-f]{4}:  ([0-9a-f ]*?)  ", seen)).replace(" ", "")
    assert dump.endswith(b"witness".hex())
