"""What a protocol asks of the settings around it: numbers of channels, holes, keys, and what raw cannot have."""

from bridge.api import ConfigurationError
from bridge.config.model import DatagramSinkSettings, DatagramSourceSettings
from bridge.config.positions import Path
from bridge.config.resolve import Draft
from bridge.config.resolved import DatagramSinkConfig, DatagramSourceConfig
from bridge.config.validate import Report
from bridge.wire import codec
from bridge.wire.native_layout import channel_number as native_channel_number
from bridge.wire.packet import Codec

_RAW = ("gap", "max_jump", "heartbeat", "end_count", "holes")
_NATIVE = ("id", "auth")


def channel_number(channel: str, settings_id: int | None) -> int:
    """The number of a channel on the native wire: `id`, else the CRC-32 of its name."""
    return native_channel_number(channel) if settings_id is None else settings_id


def check_protocols(draft: Draft, report: Report) -> None:
    """Add what is wrong with the protocol of every datagram source and sink."""
    for source in draft.sources.values():
        if isinstance(source, DatagramSourceConfig):
            _table(source, ("source", source.name), report)
    for sink in draft.sinks.values():
        if isinstance(sink, DatagramSinkConfig):
            _table(sink, ("sink", sink.name), report)


def _table(table: DatagramSourceConfig | DatagramSinkConfig, path: Path, report: Report) -> None:
    channels: dict[str, DatagramSourceSettings | DatagramSinkSettings] = {**table.channels}
    channels = channels or {table.name: table.settings}
    numbers: dict[int, str] = {}
    for channel, settings in channels.items():
        own = (*path, "channel", channel)
        found = _codec(settings.protocol, settings.max_message, _place(own, path, "max_message", report), report)
        if found is None:
            continue
        for key in (*(_RAW if not found.numbered else ()), *(_NATIVE if found.name != "native" else ())):
            if key in settings.model_fields_set:
                place = _place(own, path, key, report)
                why = "has no numbers on the wire" if key in _RAW else "has no place for it"
                if not report.has(place):
                    report.add(
                        place, "contradiction", f"does not apply: {settings.protocol} {why}", hint="remove the key"
                    )
        if isinstance(table, DatagramSinkConfig):
            _holes(table, channel, found, own, path, report)
        if found.name == "native":
            number = channel_number(channel, settings.id)
            other = numbers.setdefault(number, channel)
            if other != channel:
                place = _place(own, path, "id", report) if settings.id is not None else own
                text = f"channel {channel} has the number {number:#010x} on the wire, as channel {other} has"
                report.add(place, "collision", text, hint="give each an `id` of its own, from 0 to 4294967295")


def _holes(sink: DatagramSinkConfig, channel: str, found: Codec, own: Path, path: Path, report: Report) -> None:
    settings = sink.for_channel(channel)
    if not found.numbered:
        return
    if not found.holes and settings.holes == "packet":
        place = _place(own, path, "protocol", report)
        if not report.has(place):
            text = (
                f"{settings.protocol} cannot say that a number will never come, and what is routed here can have holes"
            )
            report.add(
                place, "contradiction", text, hint='add `holes = "empty"`: an empty message stands for each of them'
            )
    elif found.holes and settings.holes == "empty":
        text = f"{settings.protocol} announces holes itself"
        report.add(_place(own, path, "holes", report), "contradiction", text, hint="remove the key")


def _codec(name: str, max_message: int | None, place: Path, report: Report) -> Codec | None:
    try:
        return codec(name, max_message=max_message)
    except ConfigurationError as error:
        if not report.has(place):
            report.add(place, "bad_value", error.message, hint=error.hint)
        return None


def _place(own: Path, path: Path, key: str, report: Report) -> Path:
    """Where `key` is written: in the channel's table, else in the one around it."""
    return (*own, key) if report.written((*own, key)) else (*path, key)
