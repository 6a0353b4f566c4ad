"""Errors that connectors raise and users read.

    BridgeError
      ConfigurationError   the user's settings are wrong; names the key; never retried
      ConnectorError       a system outside did not do what was asked
        Unavailable        not there (yet): retried with back-off, said once
        Refused            there, but it will not (permission, newer format, foreign ids): named, not ready, retried each 30 s

Messages are lower-case, state the fact and then the value, and end without a stop. `hint` says what to do.
"""


class BridgeError(Exception):
    """Base of all errors with a sentence for the user. `hint` is the remedy, one sentence, may be empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigurationError(BridgeError):
    """A setting is wrong. `key` is its dotted place in the file (`sink.cloud.topic`), may be empty."""

    def __init__(self, message: str, *, key: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.key = key


class ConnectorError(BridgeError):
    """A system outside the bridge failed."""


class Unavailable(ConnectorError):  # noqa: N818 - it states a condition, and reads so where it is raised
    """Not there now: absent interface, refused connection, full disk. The engine tries again with back-off."""


class Refused(ConnectorError):  # noqa: N818 - as above
    """There, but it will not work until somebody changes something. The engine names it and tries again each 30 s."""
