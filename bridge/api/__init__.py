"""What a connector may import: everything here is public and versioned; nothing else of the bridge is.

Items (what flows), sources, sinks, stores (the contracts), options (the declaration of settings), errors, and the
context that gives a connector its metrics, events, secrets and a place for blocking calls.
"""

from bridge.api.address import Address, AddressError, AddressField
from bridge.api.context import Context, Counter, Severity
from bridge.api.errors import (
    BridgeError,
    ConfigurationError,
    ConnectorError,
    Refused,
    Unavailable,
)
from bridge.api.items import Hole, HoleReason, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.api.options import Duration, Options, Rate, Secret, Size
from bridge.api.sink import (
    Capabilities,
    DatagramSink,
    Listener,
    MessageLimits,
    MessageSink,
    Opened,
    Outlet,
)
from bridge.api.source import DatagramLine, DatagramSource, Drain, MessageSource, Sample, Start
from bridge.api.store import Data, MessageStore, Never, NotYet, Piece, StreamInfo, Trimmed

__all__ = [
    "Address",
    "AddressError",
    "AddressField",
    "BridgeError",
    "Capabilities",
    "ConfigurationError",
    "ConnectorError",
    "Context",
    "Counter",
    "Data",
    "DatagramLine",
    "DatagramSink",
    "DatagramSource",
    "Drain",
    "Duration",
    "Hole",
    "HoleReason",
    "Item",
    "Listener",
    "MessageBatch",
    "MessageLimits",
    "MessageSink",
    "MessageSource",
    "MessageStore",
    "Never",
    "NotYet",
    "Opened",
    "Options",
    "Outlet",
    "Piece",
    "Rate",
    "Refused",
    "Sample",
    "Secret",
    "SessionEnd",
    "SessionStart",
    "Severity",
    "Size",
    "Start",
    "Stream",
    "StreamInfo",
    "Trimmed",
    "Unavailable",
]
