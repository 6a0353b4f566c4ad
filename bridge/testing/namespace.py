"""A network namespace of one's own: tests, benchmarks and the demo put nothing on a real network.

    python -m bridge.testing.namespace [--] COMMAND ARGUMENT...

runs the command in a new network and mount namespace: as root with `unshare --net --mount`, as an ordinary user with
`unshare --user --map-root-user --net --mount`. The process keeps its id, so that signals reach the command. Inside:

- `lo` is up with multicast on, and 224.0.0.0/4 and ff00::/8 are routed to it, so that a socket that names no interface
  stays on it;
- `line0` (10.77.0.1/24, fd77::1/64) and `line1` (10.77.0.2/24, fd77::2/64) are the two ends of a veth pair;
- `BRIDGE_TEST_NAMESPACE` is 1, and `/sys` shows the namespace's own interfaces.

Where the system does not allow it, the command runs as it is, `BRIDGE_TEST_NAMESPACE` is 0, and one line on standard error
says why; it then keeps to 127.0.0.1 and TTL 0. Inside such a namespace already, the command runs in the same one.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bridge.testing.netlink import Netlink

VARIABLE = "BRIDGE_TEST_NAMESPACE"
LINES = (("line0", "10.77.0.1/24", "fd77::1/64"), ("line1", "10.77.0.2/24", "fd77::2/64"))
"""The veth pair: name, IPv4 and IPv6 address of each end."""

_FURNISH = "--furnish"


def inside() -> bool:
    """True in a namespace that this module made."""
    return os.environ.get(VARIABLE) == "1"


def decided() -> bool:
    """True when a namespace was made, or was tried and could not be had: nothing more is to be tried."""
    return VARIABLE in os.environ


def execute(command: Sequence[str]) -> NoReturn:
    """Replace this process by `command` in a namespace, or by `command` as it is where there can be none.

    Raises `OSError` where the command cannot be started.
    """
    if decided():
        os.execvp(command[0], list(command))  # noqa: S606 - the caller's own command, and no shell wanted
    wrap, why_not = _unshare()
    if wrap is None:
        _report(f"none of our own: {why_not}; keeping to 127.0.0.1 and TTL 0")
        os.environ[VARIABLE] = "0"
        os.execvp(command[0], list(command))  # noqa: S606 - as above
    os.execvp(wrap[0], [*wrap, *command])  # noqa: S606 - as above


def _unshare() -> tuple[list[str] | None, str]:
    """The command that makes and furnishes the namespaces, found by trying it; else None and why."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    own = [sys.executable, "-m", "bridge.testing.namespace", _FURNISH, "--"]
    command = ["unshare", *user, "--net", "--mount", *own]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)  # noqa: S603 - our words
    except FileNotFoundError:
        return None, "there is no unshare command (package util-linux)"
    if tried.returncode != 0:
        return None, tried.stderr.strip().splitlines()[-1] if tried.stderr.strip() else "unshare failed"
    return command, ""


def _furnish() -> None:
    """Set up the new namespace's interfaces, addresses and routes. Raises `OSError`."""
    _sysctl("ipv6/conf/default/accept_dad", "0")  # addresses are usable at once
    _sysctl("ipv4/conf/all/rp_filter", "0")
    _sysctl("ipv4/conf/default/rp_filter", "0")
    _sysctl("ipv4/conf/all/accept_local", "1")  # both ends of the pair are our own addresses
    netlink = Netlink()
    try:
        netlink.set_up("lo")
        netlink.add_multicast_route("lo", "224.0.0.0/4")
        with contextlib.suppress(OSError):  # a kernel without IPv6
            netlink.add_multicast_route("lo", "ff00::/8")
        try:
            netlink.add_veth(LINES[0][0], LINES[1][0])
        except OSError as error:
            _report(f"no veth pair: {error.strerror}; line0 and line1 are absent")
            return
        for name, *addresses in LINES:
            for address in addresses:
                with contextlib.suppress(OSError):  # a kernel without IPv6
                    netlink.add_address(name, address)
            netlink.set_up(name)
    finally:
        netlink.close()


def _sysctl(name: str, value: str) -> None:
    with contextlib.suppress(OSError):  # read-only in some containers; only two local addresses on one link need it
        Path("/proc/sys/net", name).write_text(value)


def _show_own_sysfs() -> None:
    """/sys shows the namespace that mounted it; without a new mount it would list the machine's interfaces."""
    command = ["mount", "-t", "sysfs", "sysfs", "/sys"]
    with contextlib.suppress(OSError):
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed words


def _report(text: str) -> None:
    print(f"namespace: {text}", file=sys.stderr)  # noqa: T201 - runs before any logging is set up


def main(arguments: Sequence[str]) -> NoReturn:
    words = list(arguments)
    furnish = words[:1] == [_FURNISH]
    if furnish:
        words.pop(0)
    if words[:1] == ["--"]:
        words.pop(0)
    if not words:
        sys.exit("usage: python -m bridge.testing.namespace [--] COMMAND ARGUMENT...")
    if furnish:
        try:
            _furnish()
        except OSError as error:
            sys.exit(f"the new namespace cannot be set up: {error.strerror}")
        _show_own_sysfs()
        os.environ[VARIABLE] = "1"
    try:
        execute(words)
    except OSError as error:
        sys.exit(f"error: {words[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
