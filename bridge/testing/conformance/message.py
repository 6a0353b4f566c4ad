"""What the suites of message sinks, sources and stores ask their author for."""

from pathlib import Path
from typing import Any, ClassVar, cast

from bridge.api import Data, MessageSink, MessageSource, MessageStore, Start, Stream
from bridge.testing.conformance.behaviour import Place, Suite
from bridge.testing.conformance.traffic import CHANNEL, Message, Writer
from bridge.testing.doubles import RecordingListener


class MessageSuite(Suite):
    """Set `sink` (and `store`, `source` where the connector has them) and write `options`; the rest is optional.

    All hooks get the directory `path` of the behaviour that runs: empty, and unique to it.
    """

    sink: ClassVar[type[Any]]
    store: ClassVar[type[Any] | None] = None
    source: ClassVar[type[Any] | None] = None

    def options(self, path: Path) -> dict[str, Any]:
        """The options of a sink at a fresh place, as a configuration would give them."""
        raise NotImplementedError("say in options(path) how the connector is configured for a fresh place")

    def store_options(self, path: Path) -> dict[str, Any]:
        """The options of the store that reads what the sink writes; those of the sink by default."""
        return self.options(path)

    def source_options(self, path: Path) -> dict[str, Any]:
        """The options of the source that reads what the sink writes; those of the sink by default."""
        return self.options(path)

    async def stored(self, path: Path, channel: str) -> list[tuple[Stream, int, bytes]]:
        """All messages of a channel as the system has them, stream after stream in the order in which they are stored,
        read by other means than the sink's; by the store if this is not overridden."""
        place = Place(path)
        store = await self.reader(place)
        found: list[tuple[Stream, int, bytes]] = []
        for info in await store.streams(channel):
            if info.tail is None:
                continue
            async for piece in store.read(info.stream, info.first, info.tail):
                if isinstance(piece, Data):
                    batch = piece.batch
                    found += [(info.stream, batch.number(i), p) for i, p in enumerate(batch.payloads)]
        await place.close()
        return found

    async def break_system(self, path: Path) -> None:
        """Make the system fail while a sink writes to it (stop the broker, fill the disk, cut the connection)."""

    async def mend_system(self, path: Path) -> None:
        """Undo `break_system`."""

    async def trim(self, path: Path, stream: Stream) -> None:
        """Have retention remove some of the oldest messages of the stream, not all of them."""

    # What the behaviours use.

    def claims(self, claim: str) -> bool:
        return bool(getattr(self.sink.capabilities, claim))

    async def writer(self, place: Place, channel: str = CHANNEL) -> Writer:
        """A new sink object, opened."""
        sink = self.new_sink(place)
        listener = RecordingListener()
        return Writer(sink, listener, await sink.open(channel, listener))

    def new_sink(self, place: Place) -> MessageSink:
        options = self.sink.Options.model_validate(self.options(place.path))
        sink = cast("MessageSink", self.sink(options, place.context))
        place.on_close(lambda: sink.close(False))
        return sink

    async def reader(self, place: Place) -> MessageStore:
        """A new store object, opened."""
        store = self.new_store(place)
        await store.open()
        return store

    def new_store(self, place: Place) -> MessageStore:
        if self.store is None:
            raise AssertionError(
                "the sink claims a store, or nothing else reads it back: set `store` or write `stored`"
            )
        options = self.store.Options.model_validate(self.store_options(place.path))
        store = cast("MessageStore", self.store(options, place.context))
        place.on_close(store.close)
        return store

    async def opened_source(self, place: Place, start: Start) -> MessageSource:
        """A new source object, opened."""
        source = self.new_source(place)
        await source.open(start)
        return source

    def new_source(self, place: Place) -> MessageSource:
        if self.source is None:
            raise AssertionError("set `source` to the class of the message source")
        options = self.source.Options.model_validate(self.source_options(place.path))
        source = cast("MessageSource", self.source(options, place.context))
        place.on_close(source.close)
        return source

    async def found(self, place: Place, channel: str = CHANNEL) -> list[Message]:
        """What `stored` says, as messages."""
        return [Message(*row) for row in await self.stored(place.path, channel)]
