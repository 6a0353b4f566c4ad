"""The set-up scripts on machines that lack something, played by a PATH of our own."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def machine(tmp_path: Path, **programs: str) -> dict[str, str]:
    """An environment whose only programs are these shell scripts."""
    for name, body in programs.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    return {"PATH": str(tmp_path), "HOME": str(tmp_path)}


def run(script: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["/bin/bash", str(ROOT / ".ci" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize("required", [{}, {"CI": "true"}, {"BRIDGE_REQUIRE_ALL": "1"}])
def test_tools_that_are_missing_are_named_and_in_ci_an_error(tmp_path: Path, required: dict[str, str]) -> None:
    env = machine(tmp_path, id="echo 1000") | required
    ran = run("tools", env=env)
    assert "left out: the tests that need" in ran.stderr
    assert "socat" in ran.stderr
    assert ran.returncode == (1 if required else 0)


def test_tools_are_installed_by_root_where_there_is_apt(tmp_path: Path) -> None:
    log = tmp_path / "log"
    make = "for tool in tshark tcpdump socat cc unshare ip; do echo > $HOME/$tool; /bin/chmod +x $HOME/$tool; done"
    env = machine(tmp_path, id="echo 0", **{"apt-get": f'echo "$@" >> {log}; [ "$1" = update ] || {{ {make}; }}'})
    ran = run("tools", env=env)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert log.read_text().splitlines()[0] == "update -qq"
    assert "socat" in log.read_text().splitlines()[1]


def test_no_python_is_said_with_the_remedy(tmp_path: Path) -> None:
    env = machine(tmp_path, python3="exit 1")
    ran = run("venv", str(tmp_path / "v"), ".", env=env)
    assert ran.returncode == 1
    assert ran.stderr == (
        "error: there is no Python 3.11 or newer\nhint: on Debian 12: apt-get install python3 python3-venv\n"
    )


def test_a_python_without_ensurepip_is_said_with_the_remedy(tmp_path: Path) -> None:
    env = machine(tmp_path, python3='case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac', id="echo 1000")
    ran = run("venv", str(tmp_path / "v"), ".", env=env)
    assert ran.returncode == 1
    assert "hint: sudo apt-get install python3-venv" in ran.stderr


def test_the_help_names_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    [phony] = [line for line in text.splitlines() if line.startswith(".PHONY:")]
    shown = subprocess.run(["make", "-C", str(ROOT), "-s", "help"], capture_output=True, text=True, check=True).stdout
    for target in set(phony.split()[1:]) - {"help", "tools"}:
        assert f"make {target} " in shown
