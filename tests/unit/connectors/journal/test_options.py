"""The journal's settings: defaults, units, and what is no setting."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.journal.options import SinkOptions, SourceOptions
from connectors.journal.retention import Limits


def test_defaults_keep_everything() -> None:
    options = SinkOptions.model_validate({"path": "/j"})
    assert options.path == Path("/j")
    assert (options.segment, options.commit_interval) == (64 * 2**20, 0.005)
    assert Limits.of(options) == Limits(64 * 2**20)
    assert Limits.of(options).share_messages is None


def test_limits_are_shared_by_eight_segments() -> None:
    given = {"path": "/j", "max_age": "30d", "max_bytes": "80MiB", "max_messages": 100}
    limits = Limits.of(SinkOptions.model_validate(given))
    assert limits.max_age_ns == 30 * 86_400 * 10**9
    assert (limits.share_bytes, limits.share_messages) == (10 * 2**20, 12)
    assert limits.share_age_ns == limits.max_age_ns // 8


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"path": ""}, "the path is empty"),
        ({}, "Field required"),
        ({"path": "/j", "max_age": 30}, "has no unit"),
        ({"path": "/j", "max_bytes": "1KiB"}, "greater than or equal to 524288"),
        ({"path": "/j", "segment": "1KiB"}, "greater than or equal to 65536"),
        ({"path": "/j", "max_messages": 0}, "greater than or equal to 1"),
        ({"path": "/j", "commit_interval": "2s"}, "less than or equal to 1"),
        ({"path": "/j", "retention": "1d"}, "Extra inputs are not permitted"),
    ],
)
def test_mistakes_are_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        SinkOptions.model_validate(given)


def test_a_source_reads_every_channel_and_follows() -> None:
    options = SourceOptions.model_validate({"path": "~/j"})
    assert (options.channels, options.follow) == (["*"], True)
    assert options.path == Path("~/j").expanduser()
    with pytest.raises(ValidationError, match="at least 1"):
        SourceOptions.model_validate({"path": "/j", "channels": []})
