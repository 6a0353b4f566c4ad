"""The finder of fenced blocks finds them where they are, and a session notices when a page is wrong."""

from pathlib import Path

import pytest

from tests.docs.blocks import of_text
from tests.docs.sessions import Session, pattern, plain, steps

PAGE = """\
# Page

`a.toml`:

```toml SIDE=1
[route.a]
```

- a list

  ```toml part the sink only
  x = 1
  ```

```console stays=x
$ true
```
"""

TALK = """\
```console
$ echo one; echo two
one
two
```

`said`:

```text
hello
```

```console stays=ticker
$ trap 'echo over; exit 0' INT; cat said; read -t 0.1 < <(sleep 9); cat said said; sleep 9 & wait
hello
```

```console of=ticker
hello
hello
^C
over
```
"""


def test_blocks_have_their_line_their_words_their_settings_and_their_name() -> None:
    first, second, third = of_text(PAGE, "p.md")
    assert (first.line, first.words, first.settings, first.name) == (6, ("toml",), {"SIDE": "1"}, "a.toml")
    assert first.text == "[route.a]\n"
    assert (second.words, second.text, second.name) == (("toml", "part", "the", "sink", "only"), "x = 1\n", "")
    assert (third.words, third.settings, str(third)) == (("console",), {"stays": "x"}, "p.md:16")


def test_steps_are_commands_with_what_they_print() -> None:
    first, second = steps("$ a \\\n> b\nout\n$ c\n")
    assert (first.command, first.expected) == ("a \\\nb", ["out"])
    assert (second.command, second.expected) == ("c", [])


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a ... c", "a b c", True),
        ("a ... c", "a b d", False),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a\n...\nz", "a\nb\nc", False),
        ("1   2", "1 2", True),
        ("2026-01-01T00:00:00.1Z x", "2030-02-03T04:05:06.789Z x", True),
        ("2026-01-01T00:00:00.1Z x", "2030-02-03T04:05:06.789Z y", False),
        ("session 0123456789abcdef", "session fedcba9876543210", True),
        ("pid=12", "pid=345", True),
        ("lost 12", "lost 345", False),
        ("228us  594ms ago", "3s ago", True),
    ],
)
def test_only_what_varies_is_not_compared(shown: str, printed: str, same: bool) -> None:
    assert bool(pattern(shown.splitlines()).fullmatch(plain(printed) + "\n")) is same


def session(page: str, directory: Path) -> None:
    found = of_text(page, "p.md")
    running = Session(directory, found)
    try:
        for block in found:
            running.run(block)
    finally:
        running.close()


def test_a_session_runs_what_the_page_shows(tmp_path: Path) -> None:
    session(TALK, tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"), [("one\ntwo", "one"), ("echo two", "false"), ("over\n", "other\n"), ("^C\n", "hi\n^C\n")]
)
def test_a_session_notices_what_is_wrong(
    right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.docs.sessions.PATIENCE", 2.0)
    with pytest.raises(AssertionError):
        session(TALK.replace(right, wrong), tmp_path)
