"""`status`: the text of a snapshot, and whom it asks."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bridge.api import Unavailable
from bridge.cli import status as verb
from bridge.cli.main import main
from bridge.cli.status_text import lines
from bridge.telemetry.status import Channel, Loss, Route, Source, Status
from tests.support.observed import line, sink_row, stream_row


def snapshot(**changes: object) -> Status:
    channel = Channel(
        channel="itch1", lines=[line("A"), line("B", joined=False, reason="no interface ens9")], streams=[stream_row()]
    )
    values: dict[str, object] = {
        "name": "plant7",
        "version": "0.1.0",
        "pid": 42,
        "started": 1795400000.0,
        "time": 1795406401.0,
        "ready": False,
        "absent": ["line B of itch1"],
        "balanced": True,
        "problems": [],
        "sources": [Source(source="itch", type="multicast", channels=[channel], up=True, error=None)],
        "routes": [Route(route="in", source="itch", sinks=[sink_row("store", "itch1")])],
        "losses": [Loss(channel="itch1", session="17", restart=0, first=5, last=7, reason="wire")],
        "losses_left_out": 0,
        "events": {},
    }
    return Status.model_validate(values | changes)


def test_the_text_follows_the_messages_from_line_to_sink() -> None:
    text = "\n".join(lines(snapshot()))
    places = [
        text.index(part)
        for part in ("source itch", "channel itch1", "KERNEL DROPS", "gaps:", "route in", "PENDING", "ledger:")
    ]
    assert places == sorted(places)
    assert "plant7  0.1.0  pid 42  up 01:46:41  not ready: line B of itch1" in text
    assert "4MiB of 8MiB" in text
    assert "line B: not joined: no interface ens9" in text
    assert "session 17 (native)  1 to 94  received 90  held 10" in text
    assert "gaps: open 1 in 1 gap (oldest 500ms), filled by line 8, by recovery 4, abandoned 3" in text
    assert "missing: wire 3" in text
    assert "ledger: balanced" in text
    assert "  itch1 17 5 to 7: wire (every sink)" in text


def test_an_unbalanced_ledger_is_shouted() -> None:
    text = lines(snapshot(balanced=False, problems=["L4: next - start != received + missing"]))
    assert "ledger: NOT BALANCED" in text
    assert "  L4: next - start != received + missing" in text


def test_only_the_last_losses_are_shown() -> None:
    losses = [Loss(channel="c", session="1", restart=0, first=n, last=n, reason="wire") for n in range(30)]
    text = "\n".join(lines(snapshot(losses=losses, losses_left_out=5)))
    assert "losses (the last 10; 25 older ones are in losses.jsonl):" in text
    assert text.count("every sink") == 10


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (None, "http://127.0.0.1:9464/status"),
        ("http://h:1", "http://h:1/status"),
        ("https://h:1/status", "https://h:1/status"),
        ("10.0.0.1:9464", "http://10.0.0.1:9464/status"),
    ],
)
def test_whom_it_asks(target: str | None, url: str) -> None:
    assert verb._url(target) == url


def test_a_configuration_says_where_its_bridge_answers(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    rest = '[source.a]\ntype = "multicast"\nprotocol = "raw"\nlines = ["239.1.1.1:5000"]\n'
    rest += '[sink.b]\ntype = "journal"\npath = "/j"\n[route.r]\nfrom = "a"\nto = "b"\n'
    path.write_text('[bridge]\nadmin = "0.0.0.0:99"\nallow = ["10.0.0.0/8"]\n' + rest)
    assert verb._url(str(path)) == "http://127.0.0.1:99/status"
    path.write_text('[bridge]\nadmin = "[::]:99"\nallow = ["10.0.0.0/8"]\n' + rest)
    assert verb._url(str(path)) == "http://[::1]:99/status"
    path.write_text('[bridge]\nadmin = ""\n' + rest)
    with pytest.raises(Unavailable):
        verb._url(str(path))


def answer(monkeypatch: pytest.MonkeyPatch, body: dict[str, object]) -> None:
    monkeypatch.setattr(verb, "_fetch", lambda _: body)


def test_json_is_the_snapshot_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answer(monkeypatch, {"format": 1, "anything": [1]})
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"format": 1, "anything": [1]}


def test_a_newer_bridge_is_understood_or_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, {**snapshot().model_dump(), "a_new_field": 1})
    assert main(["status"]) == 0
    answer(monkeypatch, {**snapshot().model_dump(), "format": 2})
    assert main(["status"]) == 69
    assert "status format 2, this version reads 1" in capsys.readouterr().err


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = {"/status": (200, b'{"format": 1}'), "/no/status": (403, b""), "/x/status": (200, b"hello")}.get(
            self.path, (404, b"")
        )
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.network
@pytest.mark.loopback
def test_it_asks_over_http(server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert main(["status", server, "--json"]) == 0
    assert main(["status", f"{server}/no"]) == 69
    said = capsys.readouterr().err
    assert "answers 403" in said
    assert "`allow`" in said
    assert main(["status", f"{server}/other"]) == 69
    assert "is it a bridge that answers there?" in capsys.readouterr().err
    assert main(["status", f"{server}/x"]) == 69
    assert main(["status", "http://127.0.0.1:1"]) == 69
    assert "is the bridge running?" in capsys.readouterr().err
