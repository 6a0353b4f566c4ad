"""The admin endpoint: `/metrics`, `/status`, `/healthz`, `/readyz`, in the event loop, never holding it.

An answer is made in slices (`snapshot.py`, `metrics.py`); when the budget is used up, the loop gets its turn. The budget is a
tenth of what the loop's last turn took, between `LEAST` and `MOST` seconds: an idle loop is hardly touched, and a busy one,
whose turns are long, does not starve the scrape. One answer is made at a time whatever the number of clients, so that the
receive path waits for one slice, never for several.

Bounds: `MAX_CLIENTS` connections (more are refused at once), `MAX_REQUEST` bytes and `REQUEST_TIME` for a request,
`ANSWER_TIME` for the making and the client's reading of an answer. A client outside `allow` is answered 403; one on the
loopback interface is always allowed.
"""

import asyncio
import contextlib
import ipaddress
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bridge.api import ConfigurationError
from bridge.telemetry.http import (
    MAX_REQUEST,
    BadRequest,
    Request,
    host_is_known,
    known_hosts,
    parse_request,
    response_head,
)
from bridge.telemetry.metrics import CONTENT_TYPE, metrics_slices
from bridge.telemetry.snapshot import Observed, status_slices

LEAST = 0.0005
MOST = 0.0015
SHARE = 0.1
MAX_CLIENTS = 16
REQUEST_TIME = 5.0
ANSWER_TIME = 30.0
WRITE = 64 * 1024
"""Bytes that are handed to the transport in one step."""

_TEXT = "text/plain; charset=utf-8"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Admin:
    """`await start()`, `await close()`. `observed` is asked at each request."""

    def __init__(
        self,
        host: str,
        port: int,
        observed: Observed,
        *,
        allow: Sequence[str] = (),
        hosts: Iterable[str] = (),
    ) -> None:
        """`allow`: networks as text, `10.0.0.0/8`. `hosts`: further names that a Host header may have.

        Raises `ConfigurationError` for an address beyond loopback without `allow`, and for an `allow` that is none.
        """
        self.host, self.port = host, port
        self._observed = observed
        self._allow = _networks(allow)
        self._hosts = known_hosts([host, *hosts])
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()
        if not allow and not _is_loopback(host):
            raise ConfigurationError(
                f"admin = {_address(host, port)!r} is open beyond this host and says nothing of who may ask",
                key="bridge.admin",
                hint='add `allow = ["10.0.0.0/8"]` with the networks of your scrapers, or listen on 127.0.0.1',
            )

    async def start(self) -> None:
        """Listen; `port` is then the one that is listened on. Raises `ConfigurationError` where it cannot be had."""
        try:
            self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=MAX_REQUEST)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise ConfigurationError(
                f"the admin address {_address(self.host, self.port)} cannot be listened on: {reason.lower()}",
                key="bridge.admin",
                hint='set `admin` in [bridge] to a free address, or to "" for none',
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end what is being answered. Idempotent."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            writer.transport.abort()
            return
        client = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError):  # a client that went away or reads nothing
                async with asyncio.timeout(REQUEST_TIME + ANSWER_TIME):
                    request, status, text = await self._request(reader, writer)
                    if request is None:
                        await self._send(writer, status, _TEXT, [text.encode() + b"\n"], body=True)
                    else:
                        await self._answer(writer, request)
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Request | None, int, str]:
        """The request; or None, a status and a sentence."""
        try:
            async with asyncio.timeout(REQUEST_TIME):
                request = parse_request((await reader.readuntil(b"\r\n\r\n"))[:-4])
        except BadRequest as error:
            return None, error.status, error.text
        except asyncio.LimitOverrunError:
            return None, 431, f"a request has at most {MAX_REQUEST} bytes"
        except asyncio.IncompleteReadError:
            return None, 400, "the request has no end"
        except TimeoutError:
            return None, 408, f"the request did not come within {REQUEST_TIME:g} s"
        if not self._allowed(writer.get_extra_info("peername")):
            return None, 403, "this address is not in `allow`"
        if not host_is_known(request.host, self._hosts):
            return None, 421, "this host has another name; ask by its address"
        return request, 200, ""

    async def _answer(self, writer: asyncio.StreamWriter, request: Request) -> None:
        make = self._routes().get(request.path)
        if make is None:
            paths = " ".join(self._routes())
            await self._send(writer, 404, _TEXT, [f"there are {paths}\n".encode()], body=request.method == "GET")
            return
        status, content_type, slices = make()
        body = await self._make(slices)
        await self._send(writer, status, content_type, body, body=request.method == "GET")

    def _routes(self) -> dict[str, Callable[[], tuple[int, str, Iterator[bytes]]]]:
        return {
            "/metrics": lambda: (200, CONTENT_TYPE, metrics_slices(self._observed)),
            "/status": lambda: (200, "application/json", status_slices(self._observed)),
            "/healthz": lambda: (200, _TEXT, iter([b"ok\n"])),
            "/readyz": self._ready,
        }

    def _ready(self) -> tuple[int, str, Iterator[bytes]]:
        absent = self._observed.absent()
        if not absent:
            return 200, _TEXT, iter([b"ready\n"])
        return 503, _TEXT, iter(["".join(f"{what}\n" for what in absent).encode()])

    async def _make(self, slices: Iterator[bytes]) -> list[bytes]:
        """All slices; the loop gets its turn whenever the budget is used up."""
        made: list[bytes] = []
        async with self._making:
            until = await _turn()
            for part in slices:
                if part:
                    made.append(part)
                if time.perf_counter() >= until:
                    until = await _turn()
        return made

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, content_type: str, parts: list[bytes], *, body: bool
    ) -> None:
        writer.write(response_head(status, content_type, sum(map(len, parts))))
        waiting: list[bytes] = []
        size = 0
        for part in parts if body else ():
            waiting.append(part)
            size += len(part)
            if size >= WRITE:
                writer.write(b"".join(waiting))
                waiting, size = [], 0
                await writer.drain()
                await asyncio.sleep(0)
        writer.write(b"".join(waiting))
        await writer.drain()
        await _sent(writer)

    def _allowed(self, peer: Any) -> bool:
        if not isinstance(peer, tuple):
            return False
        address = _plain(ipaddress.ip_address(peer[0].partition("%")[0]))
        return address.is_loopback or any(address in network for network in self._allow)


async def _turn() -> float:
    """Give the loop its turn; until when the next slice may take, on the clock of `perf_counter`."""
    began = time.perf_counter()
    await asyncio.sleep(0)
    now = time.perf_counter()
    return now + min(max((now - began) * SHARE, LEAST), MOST)


async def _sent(writer: asyncio.StreamWriter) -> None:
    """Wait until the transport's own buffer is empty: closing after that loses nothing."""
    writer.transport.set_write_buffer_limits(high=0)
    await writer.drain()


def _networks(allow: Sequence[str]) -> list[Network]:
    networks: list[Network] = []
    for text in allow:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ConfigurationError(
                f"allow has {text!r}, which is no network: {error}",
                key="bridge.allow",
                hint='write an address and a prefix length, for example "10.20.0.0/16"',
            ) from None
    return networks


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 client of an IPv6 socket has a mapped address (RFC 4291 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
