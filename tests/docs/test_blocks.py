"""The finder of fenced blocks finds them where they are."""

from tests.docs.blocks import of_text

PAGE = """\
# Page

```toml SIDE=1
[route.a]
```

- a list

  ```toml part
  x = 1
  ```

```console
$ true
```
"""


def test_blocks_have_their_line_their_words_and_their_environment() -> None:
    first, second, third = of_text(PAGE, "p.md")
    assert (first.line, first.words, first.environment, first.text) == (4, ("toml",), {"SIDE": "1"}, "[route.a]\n")
    assert (second.words, second.text) == (("toml", "part"), "x = 1\n")
    assert (third.words, str(third)) == (("console",), "p.md:14")
