"""What all tests share: the network namespace rule, time limits, free addresses, the bridge as a process.

`BRIDGE_REQUIRE_ALL=1` (set by `.ci/run`, as is `CI=true`) turns every leaving-out into a failure.
`BRIDGE_TEST_SCALE` multiplies the sizes of simulations and long runs (`make endurance` sets 10).
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import namespace
from tests.support.addresses import FreeAddresses
from tests.support.process import BridgeProcess, Processes
from tests.support.tools import find, leave_out

UNIT_TIMEOUT = 30
"""Seconds for a test under tests/unit: far above what one needs, so that a busy machine is no failure."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "loopback: a network test that names 127.0.0.1 or lo and TTL 0: runs anywhere")


def pytest_report_header() -> str:
    if namespace.inside():
        return "network: a namespace of its own"
    return "network: none of its own, tests marked `network` are left out (make test runs them)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "unit" in item.path.parts and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(UNIT_TIMEOUT))


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around pytest-timeout: waiting for one's turn is not the test's time
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tests that share links, groups and two processors run one after the other, in whatever worker they are.

    The lock is on the namespace itself, so that runs in other namespaces do not wait for this one. (pytest-xdist 3.8 has
    groups for this, and ignores them silently under pytest 9.)
    """
    if not item.get_closest_marker("network") or not namespace.inside():
        return (yield)
    with Path("/proc/self/ns/net").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("network") and not namespace.inside() and not item.get_closest_marker("loopback"):
        leave_out("needs a network namespace: `python -m tests.support.namespace pytest …`, or the system allows none")


@pytest.fixture(scope="session")
def scale() -> int:
    """How many times the usual size a simulation or a long run has."""
    return int(os.environ.get("BRIDGE_TEST_SCALE", "1"))


@pytest.fixture(scope="session")
def addresses() -> FreeAddresses:
    """Groups and ports that no other test uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    return FreeAddresses(0 if worker is None else 1 + int(worker.removeprefix("gw")))


@pytest.fixture
def tool() -> Callable[[str], str]:
    """The path of a program; the test is left out (in CI: fails) where it is absent."""
    return find


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes for one test and ends what is left of them, each by its own id."""
    started = Processes(tmp_path)
    yield started
    started.end_all()


@pytest.fixture
def bridge(processes: Processes) -> Callable[..., BridgeProcess]:
    """`bridge("run", path, env={…})` starts the command line of this checkout."""
    return processes.bridge
