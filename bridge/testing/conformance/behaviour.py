"""Behaviours: named sentences that a connector must make true, written as tests that need nothing but pytest's `tmp_path`.

A suite is a class with one method per behaviour. An author subclasses it in a test module, says how to make the connector,
and pytest collects the methods. Each runs in an event loop of its own, under a limit of time, and must leave no task
running. Nothing here imports pytest: a skipped behaviour raises `unittest.SkipTest`, which pytest knows.

With the environment variable `BRIDGE_CONFORMANCE_RECORD` set to a file, each behaviour appends its outcome to it as one
line of JSON; `python -m bridge.testing.table FILE` makes the table "what holds where" of it.
"""

import asyncio
import contextlib
import json
import os
import unittest
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from bridge.testing.doubles import FakeContext

RECORD = "BRIDGE_CONFORMANCE_RECORD"
Outcome = Literal["holds", "fails", "not claimed", "not tried"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One behaviour: its stable name, what it demands in a sentence, the capability without which it is not demanded,
    and the hooks of the suite without which it cannot be tried."""

    role: str
    name: str
    sentence: str
    claim: str | None = None
    needs: tuple[str, ...] = ()


class Place:
    """One fresh place in the system under test, as long as one behaviour runs.

    `path` is an empty directory of its own and unique, so that a name on a broker can be made of it. `context` is what the
    connectors get; `restart()` is the end of one process and the begin of the next.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.context = FakeContext("conformance", path / "state")
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        self._closers.append(closer)

    async def restart(self) -> None:
        await self.close()
        self.context = FakeContext("conformance", self.path / "state")

    async def close(self) -> None:
        while self._closers:
            await self._closers.pop()()
        await self.context.close()


def demand(condition: bool, text: str) -> None:
    """What a behaviour demands. A plain `assert` would vanish under `python -O`, and pytest rewrites none in this kit."""
    if not condition:
        raise AssertionError(text)


def demand_equal(found: object, expected: object, what: str) -> None:
    """Demand that two things are equal; sequences are compared item by item, so that the text stays short."""
    if found == expected:
        return
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        at = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
        if at is None:
            at = min(len(found), len(expected))
            text = f"has {len(found)} entries for {len(expected)}"
            odd = (found if len(found) > at else expected)[at]
            raise AssertionError(
                f"{what} {text}; the first that is {'too many' if found[at:] else 'missing'}: {_short(odd)}"
            )
        raise AssertionError(f"{what}: entry {at} is {_short(found[at])}, expected {_short(expected[at])}")
    raise AssertionError(f"{what}: {_short(found)}, expected {_short(expected)}")


def _short(value: object) -> str:
    """A value in a line of text: payloads may be megabytes."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]} … {text[-60:]}"


class Suite:
    """The base of all suites. `name` is the connector's name in the table; `timeout` the seconds that one behaviour may take."""

    role: ClassVar[str] = ""
    name: ClassVar[str] = ""
    timeout: ClassVar[float] = 20.0

    def claims(self, claim: str) -> bool:
        """Whether the connector claims a capability. Message sinks override it."""
        raise NotImplementedError(claim)

    def _offers(self, hook: str) -> bool:
        """Whether the author has overridden a hook (a method), or set it (an attribute that is None by default)."""
        base = next(cls for cls in reversed(type(self).__mro__) if hook in vars(cls))
        own = getattr(type(self), hook)
        return own is not None and own is not vars(base)[hook]

    def _run(self, behaviour: Behaviour, test: Callable[[Any, Place], Awaitable[None]], path: Path) -> None:
        if behaviour.claim is not None and not self.claims(behaviour.claim):
            self._record(behaviour, "not claimed")
            raise unittest.SkipTest(f"does not claim {behaviour.claim}")
        absent = [hook for hook in behaviour.needs if not self._offers(hook)]
        if absent:
            self._record(behaviour, "not tried")
            raise unittest.SkipTest(f"the suite was not given {', '.join(absent)}")
        try:
            asyncio.run(self._guarded(behaviour, test, path))
        except unittest.SkipTest:
            self._record(behaviour, "not tried")
            raise
        except BaseException:
            self._record(behaviour, "fails")
            raise
        self._record(behaviour, "holds")

    async def _guarded(self, behaviour: Behaviour, test: Callable[[Any, Place], Awaitable[None]], path: Path) -> None:
        place = Place(path)
        try:
            async with asyncio.timeout(self.timeout):
                await test(self, place)
                await place.close()
        except TimeoutError as error:
            raise AssertionError(f"not done after {self.timeout} s, but: {behaviour.sentence}") from error
        finally:
            # After a failure the place is in any state; what matters then is the failure, not what closing says.
            with contextlib.suppress(Exception):
                await asyncio.wait_for(place.close(), 1)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        demand(not left, f"tasks still run after everything was closed: {left}")

    def _record(self, behaviour: Behaviour, outcome: Outcome) -> None:
        path = os.environ.get(RECORD)
        if not path:
            return
        connector = self.name or type(self).__name__.removeprefix("Test")
        row = {"connector": connector, "role": behaviour.role, "behaviour": behaviour.name, "outcome": outcome}
        # One write of one line in append mode: processes that test in parallel do not mix their lines.
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


S = TypeVar("S", bound=Suite)


def behaviour(
    sentence: str, *, role: str, claim: str | None = None, needs: tuple[str, ...] = ()
) -> Callable[[Callable[[S, Place], Awaitable[None]]], Callable[[S, Path], None]]:
    """Make a coroutine `test_<name>(self, place)` of a suite the behaviour <name>, a test that pytest runs as it is."""

    def decorate(test: Callable[[S, Place], Awaitable[None]]) -> Callable[[S, Path], None]:
        described = Behaviour(role, test.__name__.removeprefix("test_"), sentence, claim, needs)

        def run(self: S, tmp_path: Path) -> None:
            self._run(described, test, tmp_path)

        run.__name__, run.__qualname__, run.__module__ = test.__name__, test.__qualname__, test.__module__
        run.__doc__ = sentence
        run.behaviour = described  # type: ignore[attr-defined]  # how `behaviours()` finds it
        return run

    return decorate


def of_suite(suite: type[Suite]) -> list[Behaviour]:
    """The behaviours of a suite in the order in which they are written."""
    found: dict[str, Behaviour] = {}
    for cls in reversed(suite.__mro__):
        for method in vars(cls).values():
            described = getattr(method, "behaviour", None)
            if isinstance(described, Behaviour):
                found[described.name] = described
    return list(found.values())
