"""Programs that some tests need, and what happens where one is absent."""

import os
import shutil
from typing import NoReturn

import pytest

REQUIRE_ALL = os.environ.get("BRIDGE_REQUIRE_ALL") == "1" or os.environ.get("CI") == "true"
"""True where leaving a test out is a failure."""


def leave_out(reason: str) -> NoReturn:
    """Skip the running test, saying why; fail it where everything is required."""
    if REQUIRE_ALL:
        pytest.fail(f"left out, and nothing may be in CI: {reason}", pytrace=False)
    pytest.skip(reason)


def find(program: str) -> str:
    """The path of a program, or leave the test out."""
    path = shutil.which(program)
    if path is None:
        leave_out(f"{program} is not installed")
    return path
