"""The engine's own kinds of values: what is accepted, what the refusal says, how they are written back."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.api import Start
from bridge.api.options import SecretValue, parse_duration, parse_size
from bridge.config.fields import is_name, merged, parse_endpoint, parse_start, parse_time
from bridge.config.model import BridgeSettings, DatagramSourceSettings, NativeAuth, RouteSettings
from bridge.config.text import duration_text, model_values, size_text, unit_of, value_text

NOON = 1_751_371_200 * 10**9  # 2025-07-01T12:00:00Z


@pytest.mark.parametrize("name", ["a", "A9", "orders-0", "x.y_z", "9", "a" * 64])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "é", "a" * 65, "a\n"])
def test_no_names(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ("latest", Start("latest")),
        ("earliest", Start("earliest")),
        (7, Start("sequence", 7)),
        ("7", Start("sequence", 7)),
        ("position:0-1", Start("position", "0-1")),
        ("2025-07-01T12:00:00Z", Start("time", NOON)),
        ("2025-07-01 14:00:00.000000001+02:00", Start("time", NOON + 1)),
        (datetime(2025, 7, 1, 12, tzinfo=UTC), Start("time", NOON)),
        (datetime(2025, 7, 1, 12), Start("time", NOON)),
        (date(2025, 7, 1), Start("time", NOON - 12 * 3600 * 10**9)),
    ],
)
def test_starts(value: Any, start: Start) -> None:
    assert parse_start(value) == start


@pytest.mark.parametrize("value", [-1, True, "newest", "position:", 1.5, None, "2025-13-01T00:00:00Z"])
def test_no_starts(value: Any) -> None:
    with pytest.raises(ValueError):
        parse_start(value)


def test_times_keep_nanoseconds() -> None:
    assert parse_time("2025-07-01T12:00:00.123456789Z") == NOON + 123_456_789
    assert parse_time("2025-07-01T12:00Z") == parse_time("2025-07-01T12:00:00") == NOON


def test_endpoints() -> None:
    assert str(parse_endpoint("127.0.0.1:9464")) == "127.0.0.1:9464"
    six = parse_endpoint("[::1]:1")
    assert six is not None
    assert str(six) == "[::1]:1"
    assert six.loopback
    assert parse_endpoint("") is None
    local, far = parse_endpoint("localhost:1"), parse_endpoint("0.0.0.0:1")
    assert local is not None
    assert local.loopback
    assert far is not None
    assert not far.loopback


@pytest.mark.parametrize("value", [9464, "9464", "host:1", "127.0.0.1", "127.0.0.1:65536", ":1", "::1:1", "[127.0.0.1"])
def test_no_endpoints(value: Any) -> None:
    with pytest.raises(ValueError):
        parse_endpoint(value)


def test_inner_tables_are_merged_key_by_key() -> None:
    outer = {"gap": {"hold": "1ms", "then": "skip"}, "id": 1}
    assert merged(outer, {"gap": {"hold": "2ms"}}) == {"gap": {"hold": "2ms", "then": "skip"}, "id": 1}
    assert outer["gap"] == {"hold": "1ms", "then": "skip"}


@given(st.integers(0, 10**18))
def test_a_duration_survives_being_written(nanoseconds: int) -> None:
    seconds = nanoseconds / 1e9
    assert parse_duration(duration_text(seconds)) == pytest.approx(seconds, rel=1e-9)


@given(st.integers(0, 2**50))
def test_a_size_survives_being_written(size: int) -> None:
    assert parse_size(size_text(size)) == size


def test_units_are_known_from_the_declaration() -> None:
    assert unit_of(BridgeSettings.model_fields["drain"]) == "duration"
    assert unit_of(DatagramSourceSettings.model_fields["max_message"]) == "size"  # optional ones too
    assert unit_of(DatagramSourceSettings.model_fields["max_jump"]) == ""


def test_values_in_force_are_written_as_a_user_would() -> None:
    settings = DatagramSourceSettings.model_validate({"protocol": "native", "gap": {"hold": "1.5ms"}})
    values = dict(model_values(settings))
    assert values["gap"] == "{ hold = 1500us, hold_packets = 256, deadline = 0s, then = skip, bytes = 64MiB }"
    assert values["quarantine"] == "false"
    assert values["max_message"] == "none"


def test_no_value_shows_a_secret() -> None:
    auth = NativeAuth.model_validate({"keys": [SecretValue("hunter2")]})
    assert "hunter2" not in value_text(auth)
    assert value_text("redis://u:hunter2@host/0") == "redis://u:***@host/0"
    assert "hunter2" not in repr(auth)


def test_a_route_is_written_with_from_and_one_sink_may_be_text() -> None:
    route = RouteSettings.model_validate({"from": "a", "to": "b"})
    assert (route.source, route.to) == ("a", ["b"])
    assert dict(model_values(route))["from"] == "a"
