"""The admin endpoint, on a loopback port that the kernel chooses."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from bridge.api import ConfigurationError
from bridge.telemetry import admin as module
from bridge.telemetry.admin import Admin
from bridge.telemetry.status import Status
from tests.support.observed import FakeEngine

pytestmark = [pytest.mark.network, pytest.mark.loopback]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(3)


@pytest.fixture
async def admin(engine: FakeEngine) -> AsyncIterator[Admin]:
    admin = Admin("127.0.0.1", 0, engine)
    await admin.start()
    yield admin
    await admin.close()


async def ask(admin: Admin, request: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
    try:
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    assert headers["Connection"] == "close"
    return int(first.split()[1]), headers, body


async def get(admin: Admin, path: str, host: str = "localhost") -> tuple[int, dict[str, str], bytes]:
    return await ask(admin, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


async def test_metrics(admin: Admin) -> None:
    status, headers, body = await get(admin, "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert int(headers["Content-Length"]) == len(body)
    assert b'bridge_line_datagrams_total{channel="channel2",line="A"} 100\n' in body


async def test_status(admin: Admin) -> None:
    status, headers, body = await get(admin, "/status")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert len(Status.model_validate_json(body).sources[0].channels) == 3


async def test_an_answer_larger_than_one_write(admin: Admin, engine: FakeEngine) -> None:
    engine.size = 60
    _, headers, body = await get(admin, "/status")
    assert int(headers["Content-Length"]) == len(body) > module.WRITE
    assert len(json.loads(body)["sources"][0]["channels"]) == 60


async def test_health_is_the_process_and_readiness_names_what_is_absent(admin: Admin, engine: FakeEngine) -> None:
    assert (await get(admin, "/readyz"))[::2] == (200, b"ready\n")
    engine.missing = ["channel itch1 line B: interface ens1f1 does not exist", "sink cloud: connection refused"]
    status, _, body = await get(admin, "/readyz")
    assert (status, body.decode().splitlines()) == (503, engine.missing)
    assert (await get(admin, "/healthz"))[::2] == (200, b"ok\n")


async def test_head_has_the_length_and_no_body(admin: Admin) -> None:
    status, headers, body = await ask(admin, b"HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 100


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"POST /status HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET /status HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 421),
        (b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"rubbish\r\n\r\n", 400),
    ],
)
async def test_refusals(admin: Admin, request_bytes: bytes, status: int) -> None:
    answered, _, body = await ask(admin, request_bytes)
    assert answered == status
    assert body.endswith(b"\n")


async def test_a_request_that_does_not_come_is_given_up(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_TIME", 0.01)
    assert (await ask(admin, b"GET /status HTT"))[0] == 408


async def test_a_client_that_leaves_early_disturbs_nobody(admin: Admin) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", admin.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writer.transport.abort()
    assert (await get(admin, "/healthz"))[0] == 200


async def test_clients_are_capped(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLIENTS", 2)
    waiting = [await asyncio.open_connection("127.0.0.1", admin.port) for _ in range(2)]
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    for _, opened in waiting:
        opened.transport.abort()
    while admin._clients:
        await asyncio.gather(*admin._clients)
    assert (await get(admin, "/healthz"))[0] == 200


async def test_a_client_outside_allow_is_refused(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_allowed", lambda peer: False)
    assert (await get(admin, "/status"))[0] == 403


def test_allow_is_by_network_and_loopback_always() -> None:
    admin = Admin("0.0.0.0", 0, FakeEngine(), allow=["10.20.0.0/16", "fd00::/8"])
    answers = {
        peer: admin._allowed((peer, 40000))
        for peer in ("10.20.3.4", "10.21.0.1", "127.0.0.1", "::1", "fd00::5", "fe80::1%eth0", "::ffff:10.20.0.1")
    }
    assert answers == {
        "10.20.3.4": True,
        "10.21.0.1": False,
        "127.0.0.1": True,
        "::1": True,
        "fd00::5": True,
        "fe80::1%eth0": False,
        "::ffff:10.20.0.1": True,
    }


def test_an_address_beyond_loopback_needs_allow() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Admin("0.0.0.0", 9464, FakeEngine())
    assert raised.value.key == "bridge.admin"
    assert "allow" in raised.value.hint


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"10\.20\.0\.1/16"):
        Admin("127.0.0.1", 9464, FakeEngine(), allow=["10.20.0.1/16"])


async def test_an_address_in_use_is_named(admin: Admin) -> None:
    with pytest.raises(
        ConfigurationError, match=f"127.0.0.1:{admin.port} cannot be listened on: address already in use"
    ):
        await Admin("127.0.0.1", admin.port, FakeEngine()).start()


async def test_the_loop_gets_its_turn_between_slices(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no budget each slice is followed by a turn of the loop: no two channels are ever taken in one turn."""
    monkeypatch.setattr(module, "LEAST", 0.0)
    monkeypatch.setattr(module, "MOST", 0.0)
    engine.size = 200
    admin = Admin("127.0.0.1", 0, engine)
    await admin.start()
    most, done = 0, asyncio.Event()

    async def watch() -> None:
        nonlocal most
        before = 0
        while not done.is_set():
            most = max(most, engine.steps - before)
            before = engine.steps
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(get(admin, "/metrics"), get(admin, "/status"), get(admin, "/metrics"))
    done.set()
    await watching
    await admin.close()
    assert [answer[0] for answer in answers] == [200, 200, 200]
    assert most == 1


@pytest.mark.slow
async def test_no_slice_of_200_channels_takes_two_milliseconds() -> None:
    """The median of many rounds: a busy machine may hold any one of them."""
    engine = FakeEngine(200)
    for make in (module.metrics_slices, module.status_slices):
        rounds = []
        for _ in range(7):
            longest = 0.0
            slices = make(engine)
            while True:
                began = time.thread_time()
                part = next(slices, None)
                longest = max(longest, time.thread_time() - began)
                if part is None:
                    break
            rounds.append(longest)
        assert sorted(rounds)[3] < 0.002
