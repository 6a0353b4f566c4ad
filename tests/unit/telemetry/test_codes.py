import ast
from functools import cache
from pathlib import Path

from bridge.telemetry.codes import CODES

ROOT = Path(__file__).parents[3]


@cache
def emitted() -> dict[str, set[tuple[str, str | None]]]:
    """code -> (place, severity) of every literal `…emit("code", "severity", …)` of the product."""
    found: dict[str, set[tuple[str, str | None]]] = {}
    for folder in ("bridge", "connectors"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or len(node.args) < 3:
                    continue
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                words = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args[:2]]
                if name.lstrip("_") == "emit" and isinstance(words[0], str):
                    severity = words[1] if isinstance(words[1], str) else None
                    found.setdefault(words[0], set()).add((f"{path.relative_to(ROOT)}:{node.lineno}", severity))
    return found


def test_every_code_that_is_emitted_is_documented() -> None:
    assert {code: places for code, places in emitted().items() if code not in CODES} == {}


def test_the_severity_that_is_documented_is_one_that_is_emitted() -> None:
    wrong = {
        code: places
        for code, places in emitted().items()
        if code in CODES
        and None not in {severity for _, severity in places}
        and CODES[code].severity not in {severity for _, severity in places}
    }
    assert wrong == {}


def test_entries_are_sentences() -> None:
    for code, entry in CODES.items():
        assert entry.meaning.endswith("."), code
        assert entry.remedy.endswith("."), code


def test_an_event_that_loses_says_what_to_do() -> None:
    assert [code for code, entry in CODES.items() if entry.lost == "yes" and entry.remedy == "Nothing."] == []
