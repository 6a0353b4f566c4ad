"""Where the deliberately broken connectors are listed, each under the behaviour that it must fail."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=type[Any])

BROKEN: dict[tuple[str, str], list[type[Any]]] = {}
"""Broken connectors by role and behaviour."""


def breaks(role: str, *behaviours: str) -> Callable[[T], T]:
    """Say that a class must fail these behaviours."""

    def register(cls: T) -> T:
        for behaviour in behaviours:
            BROKEN.setdefault((role, behaviour), []).append(cls)
        return cls

    return register
