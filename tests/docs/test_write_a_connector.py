"""The connector of docs/how-to/write-a-connector.md, from the page alone: packaged, installed, found, held to the suite."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bridge.testing.conformance import SinkSuite
from bridge.testing.conformance.behaviour import of_suite

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-connector.md"
FILES = dict(
    re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
)
CODE = FILES["file_lines.py"]
PATIENCE = 100


def run(*command: str, cwd: Path, **environment: str) -> str:
    """What a command of the checkout's Python prints; fails the test with all that it said."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package installed, without a network: by pip where the page's build backend is there, else with
    the metadata that it would write."""
    project, target = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site")
    for name in ("file_lines.py", "pyproject.toml"):
        (project / name).write_text(FILES[name])
    if importlib.util.find_spec("hatchling") and importlib.util.find_spec("pip"):
        flags = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
        run("-m", "pip", "install", *flags, "--target", str(target), str(project), cwd=project)
        return target
    told = tomllib.loads(FILES["pyproject.toml"])["project"]
    (target / "file_lines.py").write_text(CODE)
    info = target / f"{told['name'].replace('-', '_')}-{told['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n")
    groups = (
        "\n".join([f"[{group}]", *(f"{name} = {point}" for name, point in points.items())])
        for group, points in told["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups) + "\n")
    return target


def test_the_connector_is_at_most_60_lines_and_imports_bridge_api_alone() -> None:
    lines = [line for line in CODE.splitlines() if line.strip()]
    assert len(lines) <= 60
    imports = [node for node in ast.walk(ast.parse(CODE)) if isinstance(node, ast.Import | ast.ImportFrom)]
    ours = [ast.unparse(node) for node in imports if "bridge" in ast.unparse(node) or "connectors" in ast.unparse(node)]
    assert ours == ["from bridge import api"]


def test_the_bridge_finds_it_by_its_entry_point(site: Path) -> None:
    code = (
        "from bridge.config import registry\n"
        "connector = registry.find('sink', 'file-lines')\n"
        "loaded = registry.load_connector(connector)\n"
        "print(connector.role, connector.distribution, connector.version, loaded.cls.__name__)"
    )
    found = run("-c", code, cwd=site, PYTHONPATH=str(site))
    assert found.split() == ["message_sink", "bridge-file-lines", "1.0", "LinesSink"]


def test_the_command_line_lists_it(site: Path) -> None:
    listed = run("-m", "bridge.cli.main", "connectors", cwd=site, PYTHONPATH=str(site))
    row = next(row for row in listed.splitlines() if row.startswith("file-lines "))
    assert "message sink" in row
    assert "readable_tail" in row


def test_it_passes_the_suite_and_the_table_says_so(site: Path, tmp_path: Path) -> None:
    (tmp_path / "test_file_lines.py").write_text(FILES["test_file_lines.py"])
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path), "-c", os.devnull)
    environment = {"PYTHONPATH": str(site), "BRIDGE_CONFORMANCE_RECORD": str(tmp_path / "record.jsonl")}
    run("-m", "pytest", *options, str(tmp_path / "test_file_lines.py"), cwd=tmp_path, **environment)
    shown = run("-m", "bridge.testing.table", "record.jsonl", cwd=tmp_path)
    cells = {row.split("**")[1]: row.rsplit("|", 2)[1].strip() for row in shown.splitlines() if row.startswith("| **")}
    claims = {behaviour.name.replace("_", " "): behaviour.claim for behaviour in of_suite(SinkSuite)}
    expected = {name: "yes" if claim in (None, "readable_tail") else "—" for name, claim in claims.items()}
    assert cells == expected


def test_it_is_strictly_typed(site: Path, tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(
        "from file_lines import LinesSink\nfrom bridge.api import MessageSink\nsink: type[MessageSink] = LinesSink\n"
    )
    (tmp_path / "file_lines.py").write_text(CODE)
    root = str(PAGE.parents[2])
    run("-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", str(tmp_path / "cache"),
        "check.py", "file_lines.py", cwd=tmp_path, MYPYPATH=root)  # fmt: skip


def test_the_listing_of_behaviours_works() -> None:
    block = next(
        b for b in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL) if "behaviours" in b
    )
    code = re.search(r'-c "(.*?)"', block, re.DOTALL)
    assert code is not None
    printed = run("-c", code[1], cwd=PAGE.parent)
    assert "sink: acknowledged_is_stored: What was acknowledged is stored" in printed
