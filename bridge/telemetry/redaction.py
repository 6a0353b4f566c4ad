"""Takes secrets out of texts that others wrote: log lines of client libraries, error texts, URLs."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from bridge.api.options import SecretValue

STARS = "***"

_IN_URL = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<user>[^\s/@:]*):(?P<password>[^\s/@]+)@")
_NAMED = re.compile(
    r"(?P<name>\b(?:password|passwd|secret|token|api[_-]?key)\b[\"']?\s*[=:]\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)",
    re.IGNORECASE,
)


class Redactor:
    """Knows the secrets of a configuration; `clean(text)` shows stars for them, for passwords in URLs and for
    `password=…` and its like. A secret of fewer than four characters is not looked for: it would hit everything."""

    def __init__(self, secrets: Iterable[str | SecretValue] = ()) -> None:
        self._secrets: list[str] = []
        for secret in secrets:
            self.add(secret.reveal() if isinstance(secret, SecretValue) else secret)

    def add(self, secret: str) -> None:
        """One secret's text."""
        if len(secret) >= 4 and secret not in self._secrets:
            self._secrets.append(secret)
            self._secrets.sort(key=len, reverse=True)  # the longest first: one may be a part of another

    def learn(self, value: Any) -> None:
        """Every `SecretValue` in options, lists and dictionaries."""
        if isinstance(value, SecretValue):
            self.add(value.reveal())
        elif isinstance(value, BaseModel):
            for name in type(value).model_fields:
                self.learn(getattr(value, name))
        elif isinstance(value, dict):
            for inner in value.values():
                self.learn(inner)
        elif isinstance(value, list | tuple | set | frozenset):
            for inner in value:
                self.learn(inner)

    def clean(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, STARS)
        if "://" in text:
            text = _IN_URL.sub(rf"\g<scheme>\g<user>:{STARS}@", text)
        return _NAMED.sub(rf"\g<name>{STARS}", text)

    def clean_value(self, value: Any) -> Any:
        """The same for a field of an event: texts are cleaned, numbers stay, anything else becomes its text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, SecretValue):
            return STARS
        if isinstance(value, list | tuple):
            return [self.clean_value(inner) for inner in value]
        return self.clean(str(value))
