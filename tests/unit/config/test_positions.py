"""Lines of keys, each case typed by hand."""

from textwrap import dedent

import pytest

from bridge.config.positions import Positions


def lines_of(text: str) -> dict[str, int]:
    return {".".join(map(str, path)): line for path, line in Positions(dedent(text).lstrip("\n")).items()}


def test_tables_and_dotted_keys() -> None:
    found = lines_of("""
        [bridge]
        name = "a"   # a comment with [brackets] and "quotes"
        log.level = "info"

        [sink.lan.channel]
        orders-0.lines = ["a"]
        "or.ders".lines = ["b"]
    """)
    assert found["bridge"] == 1
    assert found["bridge.name"] == 2
    assert found["bridge.log"] == found["bridge.log.level"] == 3
    assert found["sink"] == found["sink.lan"] == found["sink.lan.channel"] == 5
    assert found["sink.lan.channel.orders-0.lines.0"] == 6
    assert found["sink.lan.channel.or.ders.lines"] == 7


def test_inline_tables_and_arrays_over_several_lines() -> None:
    found = lines_of("""
        gap = { hold = "20ms", then = "skip" }
        lines = [
          "a",  # first, with ] and }
          # nothing
          "b",
          { c = [1,
                 2] },
        ]
        after = 1979-05-27 07:32:00
    """)
    assert found["gap.hold"] == found["gap.then"] == 1
    assert found["lines"] == 2
    assert found["lines.0"] == 3
    assert found["lines.1"] == 5
    assert found["lines.2.c.0"] == 6
    assert found["lines.2.c.1"] == 7
    assert found["after"] == 9


def test_arrays_of_tables_and_what_hangs_below_them() -> None:
    found = lines_of("""
        [[a]]
        x = 1
        [a.b]
        y = 2
        [[a.c]]
        [[a]]
        x = 3
        [[a.c]]
        z = 4
        [[a.c]]
        z = 5
    """)
    assert found["a.0.x"] == 2
    assert found["a.0.b.y"] == 4
    assert found["a.0.c.0"] == 5
    assert found["a.1.x"] == 7
    assert found["a.1.c.0.z"] == 9
    assert found["a.1.c.1.z"] == 11


@pytest.mark.parametrize(
    "value",
    [
        '"""\na = 1\n"""',
        '"""\\\n  x = 1 \\"""\n"""',
        '""""quoted" and ""two"" """',
        "'''\n[b]\n'''",
        "''''x''''",
        r'"\" = ["',
        r"'C:\'",
        '""',
        "''",
        '""""""',
    ],
)
def test_a_string_hides_what_looks_like_keys(value: str) -> None:
    found = lines_of(f"first = {value}\nsecond = 2\n")
    assert found == {"first": 1, "second": 2 + value.count("\n")}


def test_a_place_that_is_not_written_has_the_line_of_what_is_around_it() -> None:
    positions = Positions("[a]\nb = 1\n")
    assert positions.line(("a", "b", 0, "c")) == 2
    assert positions.line(("a", "missing")) == 1
    assert positions.line(("nothing",)) is None
    assert ("a", "b") in positions
    assert ("a", "missing") not in positions
