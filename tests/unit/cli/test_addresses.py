"""`bridge addresses`: what it prints."""

import pytest

from bridge.cli.addresses import command


@pytest.mark.parametrize(
    "text", ["224.0.0.251", "224.0.0.251:5353", "224.0.0.251:5353%eth0", "[ff02::fb]", "ff02::fb%eth0"]
)
def test_explains_a_group_with_or_without_port(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(text) == 0
    printed = capsys.readouterr().out
    assert "mDNS" in printed
    assert "never forwarded by routers" in printed
    assert ("01:00:5e:00:00:fb" if "." in text else "33:33:00:00:00:fb") in printed


def test_proposes_free_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert command() == 0
    printed = capsys.readouterr().out
    assert "224.0.0.123" in printed
    assert "239.19" in printed


@pytest.mark.parametrize(
    ("text", "error"), [("10.0.0.1", "10.0.0.1 is no multicast group"), ("x", "'x' is no IP address")]
)
def test_a_mistake_has_error_and_hint(text: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(text) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {error}\nhint: ")
