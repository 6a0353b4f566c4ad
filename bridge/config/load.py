"""A TOML file to a `Config`, or all of its problems at once.

file → tomllib → literal secrets refused → references expanded → tables resolved with their connectors → cross checks
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from bridge.config.checks import check
from bridge.config.expand import Expander
from bridge.config.literals import literal_secrets
from bridge.config.positions import Positions
from bridge.config.problems import ConfigurationErrors, Problem, in_order
from bridge.config.resolve import Resolver
from bridge.config.resolved import Config
from bridge.config.validate import Report


def load(path: FilePath | str, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration in `path`. `environment` stands for the process's own where given.

    Raises `ConfigurationErrors` with everything that is wrong; nothing outside the file, the environment and the
    `file:` references is looked at.
    """
    path = FilePath(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        hint = "name an existing file; `bridge init` writes one" if isinstance(error, FileNotFoundError) else ""
        problem = Problem("unreadable", f"cannot be read: {error.strerror}", hint=hint)
        raise ConfigurationErrors([problem], str(path)) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = Problem("syntax", "is no UTF-8 text", line=line, hint="save the file as UTF-8")
        raise ConfigurationErrors([problem], str(path)) from None
    return loads(text, path, environment)


def loads(text: str, path: FilePath | str = "config.toml", environment: Mapping[str, str] | None = None) -> Config:
    """The same for a document that was read already."""
    text = text.replace("\r\n", "\n")
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationErrors([_syntax(error, text)], str(path)) from None
    expander = Expander(environment)
    expanded = expander.expand(document)
    report = Report(Positions(text), expander.references)
    for place, problem in [*literal_secrets(document), *expander.problems]:
        report.add(place, problem.code, problem.text, hint=problem.hint)
    draft = Resolver(expanded, report, environment).resolve()
    check(draft, report)
    problems = in_order(report.problems)
    if any(problem.level == "error" for problem in problems):
        raise ConfigurationErrors(problems, str(path))
    return Config(
        FilePath(path),
        draft.bridge,
        draft.state,
        draft.sources,
        draft.sinks,
        draft.routes,
        tuple(problems),
        expander.references,
        document,
    )


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> Problem:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|(end of document))\)", str(error), re.DOTALL)
    if match is None:
        return Problem("syntax", f"is no TOML: {error}")
    line = int(match[2]) if match[2] else text.rstrip("\n").count("\n") + 1
    said = match[1][:1].lower() + match[1][1:]
    where = f", column {match[3]}" if match[3] else ", at the end of the file"
    hint = 'texts stand in quotes: key = "value"' if "invalid value" in said else ""
    return Problem("syntax", f"is no TOML: {said}{where}", line=line, hint=hint)
