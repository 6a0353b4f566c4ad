"""What went wrong on disk, as an error that a user can act on. SQLite says "disk I/O error"; the user needs the path."""

import errno
import os
import sqlite3
from pathlib import Path

from bridge.api import ConnectorError, Refused, Unavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
NEARLY_FULL = 1024 * 1024  # with less than this free, an error that SQLite does not explain is put down to the disk


def connector_error(error: Exception, path: Path) -> ConnectorError:
    """The `ConnectorError` for `error` that was met at the journal `path`; a ConnectorError stays what it is."""
    if isinstance(error, ConnectorError):
        return error
    free = _free(path)
    if isinstance(error, sqlite3.Error):
        # The low byte is the kind, the rest its detail: SQLITE_IOERR_WRITE is 0x30A.
        kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        squeezed = kind in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and free is not None and free < NEARLY_FULL
        if kind == sqlite3.SQLITE_FULL or squeezed:
            return _full(path, free)
        if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Refused(
                f"journal {path} is damaged: {error}",
                hint="move the directory away; a new journal is begun in its place",
            )
        if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
            return _forbidden(path, str(error))
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return _full(path, free)
        if error.errno in _FORBIDDEN:
            return _forbidden(path, os.strerror(error.errno))
    return Unavailable(f"journal {path} failed: {error}")


def _full(path: Path, free: int | None) -> Unavailable:
    left = "" if free is None else f", {free} bytes free"
    return Unavailable(
        f"no space left for journal {path}{left}",
        hint="free space on this file system or lower the sink's max_bytes; the journal goes on by itself",
    )


def _forbidden(path: Path, text: str) -> Refused:
    return Refused(f"journal {path} cannot be opened: {text}", hint="check the path and who may read and write it")


def _free(path: Path) -> int | None:
    for place in (path, *path.parents):
        try:
            stat = os.statvfs(place)
        except OSError:
            continue
        return stat.f_bavail * stat.f_frsize
    return None
