"""Passwords that are written into the file: as a key of that name, in a URL, in a table of client properties."""

import re
from collections.abc import Iterator
from typing import Any

from bridge.config.positions import Path
from bridge.config.problems import Problem

HINT = 'write "${NAME}" for the environment or "file:PATH"'

_KEY = re.compile(r"(?:^|[._-])(?:password|passwd|passphrase|secret|token)$", re.IGNORECASE)
_USERINFO = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s:]*:([^/?#@\s]+)@")
_QUERY = re.compile(r"[?&;](?:password|passwd|pass|secret|token)=([^&;#\s]+)", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:\$\{[^}]*\})+\Z|file:")
_DEFAULT = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*:-([^}]+)\}")


def literal_secrets(value: Any, path: Path = ()) -> Iterator[tuple[Path, Problem]]:
    """Problems for all passwords that the unexpanded document `value` holds. Their texts never hold the password."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from literal_secrets(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from literal_secrets(item, (*path, index))
    elif isinstance(value, str):
        found = _what(value, path)
        if found:
            yield path, Problem("literal_secret", found, hint=HINT)


def _what(text: str, path: Path) -> str:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    if _KEY.search(name) and text and _is_literal(text):
        return "a secret is not written into the file"
    if any(_is_literal(match[1]) for match in _USERINFO.finditer(text)):
        return "a password is not written into a URL"
    if any(_is_literal(match[1]) for match in _QUERY.finditer(text)):
        return "a secret is not written into a URL"
    return ""


def _is_literal(text: str) -> bool:
    return not _REFERENCE.match(text) or _DEFAULT.search(text) is not None
