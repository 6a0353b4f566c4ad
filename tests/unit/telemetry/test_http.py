import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.telemetry.http import BadRequest, Request, host_is_known, parse_request, response_head


def test_a_request() -> None:
    head = b"GET /metrics?x=1 HTTP/1.1\r\nUser-Agent: Prometheus\r\nHost: 127.0.0.1:9464"
    assert parse_request(head) == Request("GET", "/metrics", "127.0.0.1:9464")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET / SPDY/3", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x", 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: a", 400),
        (b"POST / HTTP/1.1\r\nHost: a", 405),
        (b"GET  / HTTP/1.1\r\nHost: a", 400),
    ],
)
def test_bad_requests(head: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as raised:
        parse_request(head)
    assert raised.value.status == status


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(head: bytes) -> None:
    with contextlib.suppress(BadRequest):
        request = parse_request(head)
        assert request.path.startswith("/")
        host_is_known(request.host, frozenset())


@pytest.mark.parametrize(
    ("host", "known"),
    [
        (None, True),
        ("127.0.0.1", True),
        ("127.0.0.1:9464", True),
        ("10.20.1.5:9464", True),
        ("[::1]:9464", True),
        ("localhost:9464", True),
        ("LOCALHOST", True),
        ("bridge.", True),
        ("bridge:1", True),
        ("evil.example.com", False),
        ("127.0.0.1.evil.example.com:9464", False),
        ("[::1", False),
        ("[::1]evil", False),
        ("", False),
    ],
)
def test_hosts(host: str | None, known: bool) -> None:
    assert host_is_known(host, frozenset({"localhost", "bridge"})) is known


def test_a_response_closes_and_says_its_length() -> None:
    assert response_head(503, "text/plain", 12).split(b"\r\n") == [
        b"HTTP/1.1 503 Service Unavailable",
        b"Content-Type: text/plain",
        b"Content-Length: 12",
        b"Cache-Control: no-store",
        b"X-Content-Type-Options: nosniff",
        b"Connection: close",
        b"",
        b"",
    ]
