"""What the admin endpoint needs of HTTP/1.1: one GET or HEAD a connection, bounded in size.

No I/O: `parse_request` takes the bytes up to the empty line. The Host header is checked, so that a web page that a browser
inside the network shows cannot read the endpoint by a name of its own (DNS rebinding): an address, `localhost`, this host's
names and the names that the caller adds are accepted, any other name is not (RFC 9110 7.4: 421).
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import NamedTuple

MAX_REQUEST = 8 * 1024
"""Bytes of request line and headers."""

REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Request(NamedTuple):
    method: str
    path: str
    host: str | None


class BadRequest(Exception):  # noqa: N818 - named as the status
    """The request cannot be answered: `status` and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def parse_request(head: bytes) -> Request:
    """Request line and headers, up to and including the empty line. Raises `BadRequest`."""
    try:
        line, *fields = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise BadRequest(400, "the request is not ASCII") from None
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400, "not an HTTP/1.1 request")
    method, target, version = words
    if method not in ("GET", "HEAD"):
        raise BadRequest(405, "only GET and HEAD are answered")
    if not target.startswith("/"):
        raise BadRequest(400, "the path must begin with /")
    hosts = [
        value.strip() for name, colon, value in (field.partition(":") for field in fields) if name.lower() == "host"
    ]
    if len(hosts) > 1 or (not hosts and version != "HTTP/1.0"):
        raise BadRequest(400, "one Host header is needed")
    return Request(method, target.partition("?")[0], hosts[0] if hosts else None)


def known_hosts(more: Iterable[str] = ()) -> frozenset[str]:
    """Names that a Host header may have: localhost, this host's names, and `more`."""
    own = socket.gethostname().lower()
    return frozenset({"localhost", own, own.partition(".")[0], *(name.lower() for name in more)})


def host_is_known(host: str | None, names: frozenset[str]) -> bool:
    """True for no header (HTTP/1.0), an address, or one of `names`; a port is ignored."""
    if host is None:
        return True
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return False
    else:
        name, _, port = host.partition(":")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower().rstrip(".") in names
    return True


def response_head(status: int, content_type: str, length: int) -> bytes:
    """Status line and headers; the connection is closed after the body."""
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {length}\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii")
