"""Any document that the writer below can make: the scanner finds every key and element in the line it was written in.

The writer is the oracle: it notes the line when it writes a key, in whatever style it draws, and `tomllib` confirms that
the paths are those of the parsed data.
"""

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config.positions import Path, Positions

BARE = st.text("abcXYZ019_-", min_size=1, max_size=5)
QUOTED = st.text("ab .=#[]{}'\"é", min_size=1, max_size=5)
SCALARS = st.one_of(
    st.integers(-99, 99).map(str),
    st.sampled_from(["true", "1.5e3", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "07:32:00", "inf"]),
    st.sampled_from(
        ['"x = 1"', "'[a]'", '"#"', '"""\n\\"\nb = 2 """', "'''\n[c]\n''\n'''", '"\\\\"', "''''\n'''", '"é}"']
    ),
)


class Writer:
    """Writes a document and notes in which line everything begins."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.line)

    def put(self, text: str) -> None:
        self.text += text

    def blank(self) -> None:
        self.put(self.draw(st.sampled_from(["", "\n", "# a = [1\n", ' \n\t# "\n'])))

    def name(self) -> tuple[str, str]:
        if self.draw(st.booleans()):
            bare = self.draw(BARE)
            return bare, bare
        text = self.draw(QUOTED)
        if "'" not in text and self.draw(st.booleans()):
            return text, f"'{text}'"
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return text, f'"{escaped}"'

    def table(self, path: Path, depth: int) -> None:
        """Key-value pairs, each under a first name of its own, so that no key is defined twice."""
        for _ in range(self.draw(st.integers(0, 3))):
            self.blank()
            self.pair(path, depth)
            self.put(self.draw(st.sampled_from(["\n", "  # = [\n"])))

    def pair(self, path: Path, depth: int) -> None:
        parts = [self.name() for _ in range(self.draw(st.integers(1, 3)))]
        here: Path = path
        if (*path, parts[0][0]) in self.lines:
            number = len(self.lines)
            parts[0] = (f"n{number}", f"n{number}")
        for key, _ in parts:
            here = (*here, key)
            self.note(here)
        dot = self.draw(st.sampled_from([".", " . "]))
        self.put(dot.join(written for _, written in parts) + self.draw(st.sampled_from(["=", " = "])))
        self.value(here, depth)

    def value(self, path: Path, depth: int) -> None:
        kind = self.draw(st.sampled_from(["scalar", "array", "inline"])) if depth else "scalar"
        if kind == "scalar":
            self.put(self.draw(SCALARS))
        elif kind == "array":
            self.put("[")
            for index in range(self.draw(st.integers(0, 3))):
                self.blank()
                self.note((*path, index))
                self.value((*path, index), depth - 1)
                self.blank()
                self.put(",")
            self.blank()
            self.put("]")
        else:
            self.put("{ ")
            for index in range(self.draw(st.integers(0, 3))):
                self.put(", " if index else "")
                self.pair(path, depth - 1)
            self.put(" }")

    def document(self) -> None:
        self.table((), 2)
        counts: dict[str, int] = {}
        for number in range(self.draw(st.integers(0, 4))):
            self.blank()
            if self.draw(st.booleans()):
                name = self.draw(st.sampled_from(["rows", "more rows"]))
                written = name if " " not in name else f'"{name}"'
                counts[name] = counts.get(name, 0) + 1
                here: Path = (name, counts[name] - 1)
                self.note((name,))
                self.note(here)
                self.put(f"[[{written}]]\n")
            elif counts and self.draw(st.booleans()):
                name = self.draw(st.sampled_from(sorted(counts)))
                written = name if " " not in name else f'"{name}"'
                here = (name, counts[name] - 1, f"sub{number}")
                self.note(here)
                self.put(f"[ {written} . sub{number} ]\n")
            else:
                here = (f"table{number}", "inner")
                self.note(here[:1])
                self.note(here)
                self.put(f"[table{number}.inner] # ]\n")
            self.table(here, 2)


def paths(value: Any, path: Path = ()) -> set[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {path} if path else set()
    for key, item in items:
        found |= paths(item, (*path, key))
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_key_is_found_in_the_line_where_it_was_written(data: st.DataObject) -> None:
    writer = Writer(data.draw)
    writer.document()
    parsed = tomllib.loads(writer.text)
    found = dict(Positions(writer.text).items())
    assert set(found) == paths(parsed)
    assert found == writer.lines
