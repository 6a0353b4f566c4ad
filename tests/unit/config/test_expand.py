"""References: what they become, what is said when they cannot, and that values never show."""

from pathlib import Path

import pytest

from bridge.api.options import Referenced
from bridge.config.expand import MAX_FILE, Expander

ENVIRONMENT = {"A": "alpha", "EMPTY": "", "SIDE": "1", "TRICK": '"]\n[bridge]\nx = "${A}', "FILE": "file:/etc/passwd"}


def expanded(text: str) -> str:
    expander = Expander(ENVIRONMENT)
    value = expander.expand({"k": text})["k"]
    assert not expander.problems
    return str(value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${A}", "alpha"),
        ("x${A}y${SIDE}", "xalphay1"),
        ("${NOPE:-default text}", "default text"),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY}", ""),
        ("${A:?needed}", "alpha"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A and $ and }", "$A and $ and }"),
        ("${TRICK}", ENVIRONMENT["TRICK"]),
        ("${FILE}", "file:/etc/passwd"),
        ("${NOPE:-}", ""),
    ],
)
def test_what_a_reference_becomes(written: str, value: str) -> None:
    assert expanded(written) == value


def test_only_strings_are_expanded_and_keys_are_not() -> None:
    document = {"${A}": [1, True, "${A}", {"x": "${SIDE}"}]}
    assert Expander(ENVIRONMENT).expand(document) == {"${A}": [1, True, "alpha", {"x": "1"}]}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${NOPE}", "NOPE is not set"),
        ("${NOPE:?set it to the broker's key}", "set it to the broker's key"),
        ("${EMPTY:?needed}", "EMPTY is not set: needed"),
        ("${}", "${} is no reference"),
        ("${A", "${A is no reference"),
        ("${a b}", "is no reference"),
        ("${A:+x}", "is no reference"),
        ("file:/nonexistent/file", "cannot be read: No such file or directory"),
        ("file:/", "cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_expanded_is_said_and_stays_as_written(written: str, said: str) -> None:
    expander = Expander(ENVIRONMENT)
    assert expander.expand({"k": [written]}) == {"k": [written]}
    [(place, problem)] = expander.problems
    assert place == ("k", 0)
    assert problem.code == "bad_reference"
    assert said in problem.text
    assert problem.hint


def test_the_host_name_is_the_environment_s_or_the_system_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "from-the-system")
    assert Expander({}).expand("${HOSTNAME}") == "from-the-system"
    assert Expander({"HOSTNAME": "given"}).expand("${HOSTNAME}") == "given"


def test_a_file_gives_what_it_holds_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret \n")
    expander = Expander({"DIR": str(tmp_path)})
    value = expander.expand("file:${DIR}/key")
    assert value == "s3cret "
    assert isinstance(value, Referenced)
    assert not expander.problems
    assert expander.references.secrets()[-1] == "s3cret "


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "is no UTF-8")])
def test_a_file_without_a_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "key").write_bytes(content)
    expander = Expander({})
    expander.expand(f"file:{tmp_path}/key")
    assert said in expander.problems[0][1].text


def test_a_file_that_is_too_large_is_not_a_secret(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * (MAX_FILE + 1))
    expander = Expander({})
    expander.expand(f"file:{tmp_path}/log")
    assert "larger than 64 KiB" in expander.problems[0][1].text


def test_plain_text_is_not_marked_as_read_from_outside() -> None:
    assert type(Expander({}).expand("plain $${x}")) is str


def test_values_are_masked_in_errors_about_their_place() -> None:
    expander = Expander({"NIC": "ens1f0", "SIDE": "1", "KEY": "hunter22"})
    expander.expand({"a": {"line": "239.20.${SIDE}.10:5000%${NIC}"}, "b": "${KEY}"})
    mask = expander.references.mask
    assert mask("no interface ens1f0, line 1", ("a", "line")) == "no interface ${NIC}, line ${SIDE}"
    assert mask("'239.20.1.10:5000%ens1f0' is bad", ("a",)) == "'239.20.${SIDE}.10:5000%${NIC}' is bad"
    assert mask("hunter22 elsewhere", ("a",)) == "hunter22 elsewhere"
    assert mask("hunter22", ("b", 0)) == "${KEY}"


def test_what_is_confidential_by_its_name_or_its_file() -> None:
    names = {
        "DB_PASSWORD": "one-value",
        "KAFKA_KEY": "two-value",
        "MY_TOKEN": "3-value",
        "KEYBOARD": "qwerty",
        "NIC": "eth0",
    }
    expander = Expander(names)
    expander.expand([f"${{{name}}}" for name in names])
    assert expander.references.secrets() == ["one-value", "two-value", "3-value"]
