"""One channel's receiver: datagrams of its lines in, items, events and the next timer out. No I/O, no clock.

    receiver.py      the ordinary run of packets, and the contract with the engine
    arbitration.py   which stream any other packet belongs to; `candidates.py`: what one datagram alone may not decide
    succession.py    the current stream, the one before it, those that were
    delivery.py      what a packet is to its stream, and what it says of its line (`lines.py`)
    stream.py        one stream: hold, gaps (`gaps.py`), fragments (`reassembly.py`), what goes out (`order.py`)
    raw.py           instead of all that, for datagrams without numbers

The hot path is the loop in `_receive_numbered`: packets that continue their line and the stream in order cost a comparison and
a list append each, and so do copies of what another line brought. Counters are written once a run of them. Positions are kept
by line: a line that lags does not step back, and a line that returns does not leap.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter

from bridge.api.items import Item, Stream
from bridge.api.source import Sample
from bridge.core import events, limits
from bridge.core.arbitration import Arbitration
from bridge.core.candidates import pieces_of
from bridge.core.events import Event, EventLog, Request
from bridge.core.ledger import StreamLedger
from bridge.core.lines import LineState
from bridge.core.raw import RawStream
from bridge.core.settings import ReceiverSettings
from bridge.core.stream import StreamState
from bridge.wire.packet import Codec, Malformed, Packet

AcceptedHook = Callable[[int, list[bytes], int], None]
"""(line, datagrams that brought something, wall time in ns): what a disk window has to keep, in order of arrival."""

_LONG_AGO_NS = 2**62
"""Where the clock of a disk window begins, so that it cannot overtake the real one."""


class ChannelReceiver:
    """Receives one channel. `now_ns` is monotonic, `time_ns` the wall clock; both are the caller's."""

    def __init__(self, channel: str, codec: Codec, lines: Sequence[str], settings: ReceiverSettings) -> None:
        self.channel = channel
        self.codec = codec
        self.settings = settings
        self.lines = [LineState(name) for name in lines]
        self.accepted_datagrams: AcceptedHook | None = None
        self._log = EventLog(channel)
        self._time_ns = 0
        self._restored_ns: int | None = (
            None  # while a disk window is read back: when its datagrams came, on a clock of its own
        )
        self._restored_offset = 0
        self._restored_items: list[Item] = []
        self._house_due: int | None = None
        self._raw: RawStream | None = None
        self._arbitration = Arbitration(channel, codec.name, self.lines, settings, self._log)
        if not codec.numbered:
            self._raw = RawStream(Stream(channel, settings.raw_session), settings.raw_next, self.lines)

    # In

    def receive(
        self,
        line: int,
        datagrams: Sequence[bytes],
        now_ns: int,
        time_ns: int,
        sample: Sample | None = None,
        restoring: bool = False,
    ) -> None:
        """Take in what one drain of one line gave. With `restoring` the datagrams come from a disk window: they were
        received by an earlier run, and no line's ledger counts them. Between the first of them and the first that are not,
        or the first pass with `drained`, it is `time_ns` that moves holds and deadlines, as it did when they came; then
        what still waits has its whole time again."""
        state = self.lines[line]
        packets, malformed = self.codec.decode(datagrams)
        if restoring:
            now_ns = self._restored_time(now_ns, time_ns)
            self._restored_items = self.end_pass(now_ns, False)  # what was decided before these came
        else:
            if self._restored_ns is not None:
                self._resume(now_ns)
            self._arrived(state, datagrams, packets, malformed, now_ns)
            if sample is not None:
                self._sampled(line, packets, sample)
        self._time_ns = time_ns
        if self._raw is not None:
            self._receive_raw(line, packets, datagrams, now_ns, time_ns, restoring)
            return
        kept = self._receive_numbered(line, packets, now_ns, restoring)
        if self.accepted_datagrams is not None and kept and not restoring:
            self.accepted_datagrams(line, [datagrams[at] for at in kept], time_ns)

    def _receive_numbered(self, line: int, packets: Sequence[Packet], now_ns: int, restoring: bool) -> list[int]:
        arbitration, settings = self._arbitration, self.settings
        arbitration.delivery.restoring = restoring
        keep = self.accepted_datagrams is not None
        kept: list[int] = []
        state = self.lines[line]
        number, origin = settings.channel_number, settings.own_origin
        rest = iter(packets)
        strange = next(rest, None)  # the packet that the hot path may not take
        while strange is not None:
            stream, position = arbitration.succession.current, state.position.next
            if restoring or stream is None or arbitration.candidates.of_lines or position is None:
                if arbitration.packet(line, strange, now_ns):
                    kept.append(strange.at)
                strange = next(rest, None)
                continue
            # The run of packets that continue this line, and either continue the stream or repeat what it released.
            session, order, began_at = stream.stream.session, stream.order, position
            in_order, expected, out = stream.in_order, order.expected, order.out
            known_from = max(stream.abandoned.stop, stream.start)
            taken = accepted = repeated = 0
            last = first_repeated = None
            for packet in chain((strange,), rest):
                payloads = packet.payloads
                if (
                    packet.kind
                    or packet.sequence != position
                    or packet.session != session
                    or packet.fragment is not None
                    or (number is not None and packet.channel is not None and packet.channel != number)
                    or (origin is not None and packet.origin == origin)
                ):
                    strange = packet
                    break
                messages = len(payloads)
                if position == expected and in_order:
                    if messages == 1:
                        out.append(payloads[0])
                    else:
                        out += payloads
                        if messages > stream.widest:
                            stream.widest = messages
                    expected += messages
                    accepted += messages
                    if keep:
                        kept.append(packet.at)
                elif position + messages <= expected and position >= known_from:
                    repeated += messages
                    if first_repeated is None:
                        first_repeated = packet
                else:
                    strange = packet
                    break
                position += messages
                taken += 1
                last = packet
            else:
                strange = None
            if last is not None:
                state.position.bring(began_at, position)
                stream.packets += taken
                arbitration.sent(last)
                self._settle_run(line, stream, expected, accepted, repeated, first_repeated)
            if strange is not None:
                if arbitration.packet(line, strange, now_ns):
                    kept.append(strange.at)
                strange = next(rest, None)
        return kept

    def _settle_run(
        self,
        line: int,
        stream: StreamState,
        expected: int,
        accepted: int,
        repeated: int,
        first_repeated: Packet | None,
    ) -> None:
        """Write down what a run of ordinary packets brought."""
        state, ledger, delivery = self.lines[line], stream.ledger, self._arbitration.delivery
        row = state.ledger
        if accepted:
            stream.order.expected = stream.next = ledger.next = expected
            ledger.accepted += accepted
            ledger.whole += accepted
            ledger.held += accepted
            row.accepted += accepted
            state.first_arrivals += accepted
        row.pieces += accepted + repeated
        if first_repeated is not None:
            row.duplicate_other_line += repeated
            delivery.echo(line, first_repeated.sequence, repeated, stream)
            delivery.compare(line, stream, first_repeated)

    def _receive_raw(
        self,
        line: int,
        packets: Sequence[Packet],
        datagrams: Sequence[bytes],
        now_ns: int,
        time_ns: int,
        restoring: bool,
    ) -> None:
        raw = self._raw
        assert raw is not None
        raw.restoring = restoring
        new = raw.receive(line, [packet.payloads[0] for packet in packets], now_ns)
        if self.accepted_datagrams is not None and not restoring:
            chosen = packets if new is None else [p for p, is_new in zip(packets, new, strict=True) if is_new]
            if chosen:
                self.accepted_datagrams(line, [datagrams[p.at] for p in chosen], time_ns)

    # Out

    def end_pass(self, now_ns: int, drained: bool) -> list[Item]:
        """All lines had their turn; `drained`: every socket was empty. Returns the items whose turn has come."""
        if self._restored_ns is not None:
            if drained:
                self._resume(now_ns)
            else:
                now_ns = self._restored_ns
        if self._house_due is not None and now_ns >= self._house_due:
            self._housekeeping(now_ns)
        items, self._restored_items = self._restored_items, []
        if self._raw is not None:
            return items + self._raw.release(self._time_ns)
        return items + self._arbitration.end_pass(now_ns, drained, self._time_ns)

    def handle_timer(self, now_ns: int) -> list[Item]:
        """The time that `next_timer` gave has come. The caller drains first: nothing waits in a socket."""
        return self.end_pass(now_ns, True)

    def next_timer(self) -> int | None:
        """When `handle_timer` wants to be called, monotonic ns; None while nothing waits for time."""
        due = None if self._raw is not None else self._arbitration.succession.next_timer()
        house = self._house_due
        return house if due is None else due if house is None else min(due, house)

    def close(self, now_ns: int) -> list[Item]:
        """The run ends: decide every gap and candidate, release everything. Call once. Where the gap policy `stop` took
        effect, the gap stays open and what waits behind it stays held: the ledger shows both, nothing comes out."""
        items, self._restored_items = self._restored_items, []
        if self._raw is not None:
            self._raw.age(now_ns + 2 * limits.RAW_COPIES_AGE_NS)
            return items + self._raw.release(self._time_ns)
        return items + self._arbitration.close(now_ns, self._time_ns)

    def abandon_now(self, now_ns: int) -> list[Item]:
        """Give up every gap at once, whatever the policy: what an operator asks for to release a `wait`."""
        if self._raw is None:
            succession = self._arbitration.succession
            for stream in (succession.before, succession.current):
                if stream is not None:
                    stream.abandon(stream.expected, stream.next, "wire")
        return self.end_pass(now_ns, True)

    @property
    def has_events(self) -> bool:
        return bool(self._log)

    def events(self) -> list[Event]:
        """What happened since the last call."""
        return self._log.take()

    def requests(self) -> list[Request]:
        """What the gap machine wants from the recovery sources, lowest numbers first."""
        return [] if self._raw is not None else self._arbitration.requests()

    @property
    def stopped(self) -> bool:
        """The gap policy `stop` took effect."""
        return self._arbitration.succession.stopped

    @property
    def streams(self) -> list[StreamState | RawStream]:
        """The streams of this run that still have a row of their own, newest last."""
        return [self._raw] if self._raw is not None else list(self._arbitration.succession.rows)

    @property
    def older(self) -> StreamLedger:
        """The sum of the streams that have no row of their own any more."""
        return self._arbitration.succession.older

    @property
    def current_stream(self) -> Stream | None:
        if self._raw is not None:
            return self._raw.stream
        current = self._arbitration.succession.current
        return current.stream if current else None

    def problems(self) -> list[str]:
        """Which equations of the ledger (L1 to L4) do not hold, in words."""
        found = [f"line {line.name}: {problem}" for line in self.lines for problem in line.ledger.problems()]
        found += [f"{row.stream}: {problem}" for row in self.streams for problem in row.ledger.problems()]
        return found

    # Inside

    def _restored_time(self, now_ns: int, time_ns: int) -> int:
        if self._restored_ns is None:
            self._restored_ns = now_ns - _LONG_AGO_NS
            self._restored_offset = self._restored_ns - time_ns
        self._restored_ns = max(self._restored_ns, min(now_ns, time_ns + self._restored_offset))
        return self._restored_ns

    def _resume(self, now_ns: int) -> None:
        self._restored_ns = None
        self._arbitration.succession.resume(now_ns)

    def _arrived(
        self,
        state: LineState,
        datagrams: Sequence[bytes],
        packets: Sequence[Packet],
        malformed: Sequence[Malformed],
        now_ns: int,
    ) -> None:
        row = state.ledger
        row.datagrams += len(datagrams)
        row.bytes += sum(map(len, datagrams))
        row.packets += len(packets)
        if malformed:
            self._malformed(state, datagrams, malformed)
        if packets:
            state.last_ns = now_ns
            state.ever = True
            if state.silent:
                state.silent = False
                self._log.append(events.LineBack(self.channel, state.name))
            if self._house_due is None:
                self._house_due = now_ns + limits.HOUSEKEEPING_NS

    def _malformed(self, state: LineState, datagrams: Sequence[bytes], malformed: Sequence[Malformed]) -> None:
        by_reason: dict[str, list[Malformed]] = {}
        for bad in malformed:
            by_reason.setdefault(bad.reason, []).append(bad)
        for reason, found in by_reason.items():
            state.ledger.malformed[reason] += len(found)
            sample = datagrams[found[0].at] if self.settings.quarantine else None
            record = events.MalformedDatagrams(self.channel, state.name, reason, found[0].detail, len(found), sample)
            self._log.append(record)

    def _sampled(self, line: int, packets: Sequence[Packet], sample: Sample) -> None:
        state = self.lines[line]
        if state.sender is not None and state.sender != sample.sender:
            self._log.append(events.SecondSender(self.channel, state.name, (state.sender, sample.sender)))
        state.sender = sample.sender
        if self._raw is not None or len(self.lines) < 2:
            return
        place = bisect_left(packets, sample.at, key=attrgetter("at"))
        if place == len(packets) or packets[place].at != sample.at or not pieces_of(packets[place]):
            return  # malformed, or no data
        packet, stream = packets[place], self.current_stream
        if stream is not None and packet.session == stream.session:
            self._arbitration.delivery.sample(line, packet, sample.kernel_ns)

    def _housekeeping(self, now_ns: int) -> None:
        self._house_due = now_ns + limits.HOUSEKEEPING_NS
        silent_after = self.settings.silent_after_ns
        for state in self.lines:
            if not state.silent and state.ever and now_ns - state.last_ns >= silent_after:
                state.silent = True
                self._log.append(events.LineSilent(self.channel, state.name))
        if self._raw is not None:
            self._raw.age(now_ns)
        else:
            self._arbitration.housekeeping(now_ns)
        if all(state.silent or not state.ever for state in self.lines) and self._arbitration.quiet:
            self._house_due = None
