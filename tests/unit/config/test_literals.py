"""Passwords in the file are refused wherever they stand, and the refusal does not repeat them."""

from typing import Any

import pytest

from bridge.config.literals import literal_secrets


@pytest.mark.parametrize(
    "document",
    [
        {"auth": {"password": "hunter2"}},
        {"properties": {"sasl.password": "hunter2"}},
        {"properties": {"ssl.key.passphrase": "hunter2"}},
        {"token": "${A:-hunter2}"},
        {"secret": "${A}hunter2"},
        {"url": "redis://user:hunter2@host:6379/0"},
        {"url": "redis://:hunter2@host"},
        {"servers": ["kafka:9092", "amqps://a:hunter2${B}@host/"]},
        {"recover": ["http://host/?user=a&password=hunter2"]},
        {"passwords": {"password": ["hunter2"]}},
    ],
)
def test_a_literal_password_is_found(document: dict[str, Any]) -> None:
    [(path, problem)] = literal_secrets(document)
    assert path
    assert problem.code == "literal_secret"
    assert "${NAME}" in problem.hint
    assert "hunter2" not in problem.text + problem.hint


@pytest.mark.parametrize(
    "document",
    [
        {"auth": {"password": "${PASSWORD}", "username": "bridge"}},
        {"auth": {"password": "file:/run/secrets/x"}},
        {"password": "${A}${B}"},
        {"password": ""},
        {"url": "redis://user:${PASSWORD}@host"},
        {"url": "rediss://redis.example.com:6379/0"},
        {"lines": ["10.80.1.10@233.54.12.1:26401%ens1f0", "[ff15::1]:5000%eth0"]},
        {"recover": ["http://host/?user=a&password=file:/run/x"]},
        {"key": "{stock}", "passwordless": "yes", "token_bucket": "x"},
    ],
)
def test_a_reference_or_something_else_is_not(document: dict[str, Any]) -> None:
    assert list(literal_secrets(document)) == []
