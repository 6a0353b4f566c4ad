"""A sink that throws everything away and says that it has it: what is measured is the way up to it.

A connector like anybody else's: found by its entry point, imports `bridge.api` only.
"""

import asyncio
from typing import Any, ClassVar

import bridge.api
from bridge.api import Capabilities, Context, Hole, Item, Listener, MessageBatch, MessageLimits, Opened


class DiscardSink:
    """Acknowledges at the loop's next turn, one call for all that was submitted until then."""

    class Options(bridge.api.Options):
        """None."""

    capabilities: ClassVar[Capabilities] = Capabilities()
    columns: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, options: Any, context: Context) -> None:
        self._listener: Listener | None = None
        self._through: tuple[Any, int] | None = None

    async def open(self, channel: str, listener: Listener) -> Opened | None:
        self._listener = listener
        return None

    def limits(self) -> MessageLimits:
        return MessageLimits(max_message=1 << 30)

    def submit(self, item: Item) -> bool:
        if isinstance(item, MessageBatch | Hole):
            if self._through is None:
                asyncio.get_running_loop().call_soon(self._acknowledge)
            elif self._through[0] != item.stream:
                self._acknowledge()
                asyncio.get_running_loop().call_soon(self._acknowledge)
            self._through = (item.stream, item.last)
        return True

    async def close(self, drain: bool) -> None:
        if drain:
            self._acknowledge()

    def _acknowledge(self) -> None:
        if self._through is not None and self._listener is not None:
            (stream, through), self._through = self._through, None
            self._listener.on_acknowledged(stream, through)
