"""Errors of SQLite and the system, as errors that a user can act on."""

import errno
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge.api import ConnectorError, Refused, Unavailable
from connectors.journal.faults import connector_error


def sqlite_error(code: int, text: str = "as SQLite says it") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    free = {"blocks": 10**6}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free["blocks"], f_frsize=1024))
    return free


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), Unavailable, "no space left for journal /j, 1024000000 bytes free"),
        (OSError(errno.ENOSPC, "x"), Unavailable, "no space left for journal /j"),
        (OSError(errno.EDQUOT, "x"), Unavailable, "no space left for journal /j"),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), Refused, "journal /j is damaged: as SQLite says it"),
        (sqlite_error(sqlite3.SQLITE_NOTADB), Refused, "journal /j is damaged"),
        (sqlite_error(sqlite3.SQLITE_READONLY | 8 << 8), Refused, "journal /j cannot be opened"),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), Refused, "journal /j cannot be opened"),
        (PermissionError(errno.EACCES, "x"), Refused, "journal /j cannot be opened: Permission denied"),
        (OSError(errno.EROFS, "x"), Refused, "journal /j cannot be opened: Read-only file system"),
        (sqlite_error(sqlite3.SQLITE_IOERR | 3 << 8), Unavailable, "journal /j failed: as SQLite says it"),
        (ValueError("odd"), Unavailable, "journal /j failed: odd"),
    ],
)
def test_named(error: Exception, kind: type[ConnectorError], text: str, disk: dict[str, int]) -> None:
    told = connector_error(error, Path("/j"))
    assert type(told) is kind
    assert told.message.startswith(text)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR | 3 << 8, sqlite3.SQLITE_CANTOPEN])
def test_an_unexplained_error_on_a_full_disk_is_put_down_to_the_disk(code: int, disk: dict[str, int]) -> None:
    disk["blocks"] = 12
    told = connector_error(sqlite_error(code), Path("/j"))
    assert type(told) is Unavailable
    assert told.message == "no space left for journal /j, 12288 bytes free"
    assert "max_bytes" in told.hint


def test_what_is_named_already_stays() -> None:
    error = Refused("so")
    assert connector_error(error, Path("/j")) is error
