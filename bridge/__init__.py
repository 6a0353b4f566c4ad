"""Multicast Bridge: UDP multicast to message brokers and back, with nothing lost silently.

Public: `bridge.api` (connectors), `bridge.testing` (their tests), `bridge.client` (receivers), the command line,
the configuration file, the metric names and the native wire format. Everything else may change.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
