"""Settings of the journal: where it is, what it keeps, how it is cut into files and commits.

A journal is one directory and belongs to one sink table. The limits hold for the whole journal, all channels together:
a channel that must not be pushed out by a busier one gets a sink, and so a journal, of its own. Retention removes whole
segments, each at most an eighth of a limit: a journal keeps at most the limit, and at least three quarters of it.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from bridge.api import Duration, Options, Size

MIN_SEGMENT = 64 * 1024  # an empty segment file is 16 KiB


def _path(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("the path is empty; write the directory of the journal")
    return Path(value).expanduser() if isinstance(value, str) else value


def _written(default: str, description: str, **limits: Any) -> Any:
    """A field whose default is written with its unit, as a user would write it."""
    return Field(default=default, description=description, **limits)


JournalPath = Annotated[Path, BeforeValidator(_path)]


class SinkOptions(Options):
    """`[sink.X]` with `type = "journal"`; the store of the same name reads with the same table."""

    path: JournalPath = Field(description="directory of the journal; made if it is not there", examples=["/var/lib/x"])
    max_age: Duration | None = Field(None, gt=0, description="remove what is older than this; default: no limit")
    max_bytes: Size | None = Field(
        None, ge=8 * MIN_SEGMENT, description="keep at most this many bytes of files; default: no limit"
    )
    max_messages: int | None = Field(None, ge=1, description="keep at most this many messages; default: no limit")
    segment: Size = _written("64MiB", "size of one file; retention removes whole files", ge=MIN_SEGMENT, le=2**30)
    commit_interval: Duration = _written(
        "5ms", "commit at most this often, or when 1,000 messages or 1 MiB wait; 0ms: as fast as the disk", ge=0, le=1
    )


class SourceOptions(Options):
    """`[source.X]` with `type = "journal"`."""

    path: JournalPath = Field(description="directory of the journal that a sink writes", examples=["/var/lib/x"])
    channels: list[str] = Field(
        ["*"], min_length=1, description='channels to read, names or patterns such as "itch-*"', examples=[["itch-*"]]
    )
    follow: bool = Field(True, description="wait at the tail for more; false ends there")
