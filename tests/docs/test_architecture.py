"""The page on architecture names what is there: modules, classes, the receiver's contract."""

import builtins
import re
from pathlib import Path

from bridge.core.receiver import ChannelReceiver

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")


def test_the_modules_that_it_names_exist() -> None:
    missing, package = [], ""
    for name in re.findall(r"`((?:bridge/)?(?:\w+/)?\w+\.py)`", PAGE):
        path = name.removeprefix("bridge/")
        if "/" in path:
            package = path.rpartition("/")[0]
        else:
            path = f"{package}/{path}"  # a file beside the one that was named before
        if not (ROOT / "bridge" / path).is_file():
            missing.append(name)
    assert missing == []


def test_every_package_has_its_row() -> None:
    packages = {path.parent.name for path in (ROOT / "bridge").glob("*/__init__.py")}
    assert packages == {name for name in packages if f"`bridge/{name}`" in PAGE}


def test_the_classes_that_it_names_exist() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "bridge").rglob("*.py"))
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", PAGE))
    assert {"ReceiveLoop", "SinkDriver"} <= named
    assert [name for name in sorted(named) if f"class {name}" not in code and not hasattr(builtins, name)] == []


def test_the_contract_of_the_core_is_whole() -> None:
    contract = PAGE.partition("## The core's contract")[2].partition("\n## ")[0]
    own = {"channel", "codec", "settings"}  # what it was made with
    receiver = {name for name in dir(ChannelReceiver) if not name.startswith("_")}
    attributes = set(
        re.findall(r"self\.([a-z]\w*)(?::[^=\n]*)? = ", (ROOT / "bridge/core/receiver.py").read_text("utf-8"))
    )
    assert (receiver | attributes) - own == set(re.findall(r"(?<=[ ,]\.)(\w+)", contract))
