"""The command line of `send` and `listen`: what is an address, what is a file, and what a mistake looks like."""

from pathlib import Path

import pytest

from bridge.api import Address, BridgeError
from bridge.cli import main
from bridge.cli.exits import Exit
from bridge.cli.lines import native_channel, sort_arguments
from bridge.cli.send import SendOptions, parse_sizes
from bridge.core.payload import Sizes

A, B = "239.1.1.1:5000%lo", "239.1.1.2:5000%lo"


def test_what_parses_as_an_address_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("239.1.1.1:5000").touch()
    Path("log").touch()
    addresses = [Address.parse(A), Address.parse(B)]
    assert sort_arguments([A, B]) == (addresses, None)
    assert sort_arguments([A, B, "-"]) == (addresses, "-")
    assert sort_arguments(["log", A, B]) == (addresses, "log")
    assert sort_arguments([A, B, "./239.1.1.1:5000"]) == (addresses, "./239.1.1.1:5000")
    assert sort_arguments(["239.1.1.1:5000"]) == ([Address.parse("239.1.1.1:5000")], None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no address is given"),
        (["-"], "no address is given"),
        (["239.1.1.1"], "'239.1.1.1' is no address"),
        ([A, "x", "-"], "'x' is no address"),
        ([A, "./x", "-"], "'-' is a second file"),
        ([A, "239.1.1.1:5000%lo"], "is given twice"),
        ([A, "239.1.1.1:5000"], "is given twice"),
    ],
)
def test_arguments_that_cannot_be(words: list[str], said: str) -> None:
    with pytest.raises(BridgeError, match=said):
        sort_arguments(words)


def test_sizes() -> None:
    assert parse_sizes("100B") == Sizes(100, 100)
    assert parse_sizes("20B..20000B") == Sizes(20, 20_000)
    assert parse_sizes("1KiB..1MiB") == Sizes(1024, 2**20)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("100", "write for example 100B"),
        ("20B..500", "write for example 500B"),
        ("19B", "no size from 20B"),
        ("30B..20B", "no size from 20B"),
        ("20B..", "'' is no size"),
        ("20B..65MiB", "to 64MiB"),
        ("many", "'many' is no size"),
    ],
)
def test_sizes_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_sizes(text)


def test_a_channel_is_a_name_or_its_number() -> None:
    assert native_channel("a", "native") == 0xE8B7BE43
    assert native_channel("7", "native") == 7
    assert native_channel(None, "raw") is None
    with pytest.raises(BridgeError, match="4294967296 is above"):
        native_channel("4294967296", "native")
    with pytest.raises(BridgeError, match="raw has no channel"):
        native_channel("x", "raw")


@pytest.mark.parametrize(
    ("options", "generates"),
    [
        (SendOptions([]), False),
        (SendOptions([], count=5), True),
        (SendOptions([], sizes=Sizes(20, 20)), True),
        (SendOptions([], file="-", count=5), False),
        (SendOptions([], file="x", count=5), False),
    ],
)
def test_what_generates(options: SendOptions, generates: bool) -> None:
    assert options.generates is generates


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["send", "239.1.1.1"], "'239.1.1.1' is no address", "has no port"),
        (["send", A, "--size", "100"], "'100' has no unit", ""),
        (["send", A, "--rate", "5"], "'5' has no unit", ""),
        (["send", A, "--count", "1", "--protocol", "moldudp"], "no protocol 'moldudp'", "moldudp64"),
        (["send", A, "--count", "1", "--channel", "x"], "raw has no channel", "--protocol native"),
        (["send", A, "--count", "1", "--session", "1"], "raw has no session", ""),
        (["send", A, "--count", "1", "--protocol", "native", "--session", "1"], "'1' is no native session", ""),
        (["send", A, "--count", "1", "--impair", "loss=2"], "'2' is no share", ""),
        (["send", A, "--count", "1", *["--impair", "loss=2%"] * 2], "2 times --impair for 1 addresses", "each"),
        (["send", A, "-", "--size", "20B"], "--size is for generated payloads", "leave out"),
        (["send", A, "-", "--seed", "2"], "--seed has nothing to do", "--count"),
        (["send", A, "--count", "1", "--seed", str(2**64)], "is above", ""),
        (["send", "224.0.0.251:5353%lo", "--count", "1"], "is assigned to mDNS", "--allow-assigned"),
        (["send", "0.0.0.0:5000", "--count", "1"], "nothing can be sent to 0.0.0.0", ""),
        (["send", A, "--count", "0"], "invalid value for '--count'", ""),
        (["listen", A, "./file"], "'./file' is no address", ""),
        (["listen", A, "--format", "xml"], "invalid value for '--format'", ""),
        (["listen", A, "--protocol", "native", "--channel", "9999999999"], "is above", ""),
        (["listen", A, "--for", "5x"], "unknown unit", ""),
    ],
)
def test_a_mistake_is_said_and_nothing_is_sent(
    arguments: list[str], said: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == Exit.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert hint in "".join(lines[1:])
    assert all(line.startswith(("error: ", "hint: ")) for line in lines)
