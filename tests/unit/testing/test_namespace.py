import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.testing.namespace import LINES, VARIABLE

HERE = [sys.executable, "-m", "bridge.testing.namespace"]


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != VARIABLE} | environment
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def without_namespaces(tmp_path: Path) -> str:
    """A PATH whose `unshare` answers as a system that forbids namespaces does."""
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def test_falls_back_to_plain_execution_and_says_so(tmp_path: Path) -> None:
    ran = run([*HERE, "--", "sh", "-c", f"echo ${VARIABLE}; exit 7"], PATH=without_namespaces(tmp_path))
    assert (ran.returncode, ran.stdout) == (7, "0\n")
    assert ran.stderr.count("\n") == 1
    assert "Operation not permitted" in ran.stderr


def test_does_not_try_again_where_it_was_decided() -> None:
    ran = run([*HERE, "sh", "-c", f"echo ${VARIABLE}"], **{VARIABLE: "0"})
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_names_a_command_that_does_not_exist() -> None:
    ran = run([*HERE, "no-such-command"], **{VARIABLE: "0", "PATH": "/usr/bin:/bin"})
    assert ran.returncode == 1
    assert ran.stderr == "error: no-such-command cannot be started: No such file or directory\n"


def test_says_how_it_is_used() -> None:
    assert "usage:" in run(HERE, **{VARIABLE: "0"}).stderr


@pytest.mark.network
def test_sysfs_shows_the_namespaces_own_interfaces() -> None:
    assert {path.name for path in Path("/sys/class/net").iterdir()} == {"lo", "line0", "line1"}


@pytest.mark.network
@pytest.mark.parametrize(("sent_on", "joined_on"), [("lo", "lo"), ("line0", "line1"), ("line1", "line0"), (None, None)])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_multicast_goes_where_it_was_sent(family: int, sent_on: str | None, joined_on: str | None, addresses) -> None:
    group, port = (addresses.group() if family == socket.AF_INET else addresses.group6()), addresses.port()
    packed = socket.inet_pton(family, group)
    out, into = (socket.if_nametoindex(name) if name else 0 for name in (sent_on, joined_on))
    with socket.socket(family, socket.SOCK_DGRAM) as receiver, socket.socket(family, socket.SOCK_DGRAM) as sender:
        receiver.settimeout(5)
        receiver.bind((group, port))
        if family == socket.AF_INET:
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, packed + struct.pack("=4xi", into))
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4x4xi", out))
        else:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, packed + struct.pack("=i", into))
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, out)
        sender.sendto(b"over", (group, port))
        payload, source = receiver.recvfrom(16)
    assert payload == b"over"
    if sent_on and sent_on != "lo":
        ends = {name: [text.partition("/")[0] for text in texts] for name, *texts in LINES}
        assert source[0] in ends[sent_on]
