"""A seeded simulation of one channel: a publisher, bad lines, forgers, and an oracle that knows what was sent.

    python -m tests.property.simulation --seed 4711           # replay one run, with its story
    python -m tests.property.simulation --runs 10000          # many; a failure prints the line above

The invariant. What comes out, stream by stream, is what was sent: in order, each number at most once, its own bytes; every
number that is missing has a hole with a reason; L1 to L4 hold after every step; and a number that reached the receiver whole
on any line, within the hold, is not missing.
"""

import argparse
import sys
from dataclasses import dataclass, field
from random import Random

from bridge.api import Hole, Item, MessageBatch, SessionEnd, SessionStart, Stream
from bridge.core.receiver import ChannelReceiver
from bridge.core.settings import ReceiverSettings
from bridge.testing.network import Impairment, SimulatedNetwork
from bridge.wire import codec
from bridge.wire.packet import MAX_SEQUENCE, Codec, Fragment

MS = 1_000_000
HOLD = 20 * MS
HOLD_PACKETS = 48


@dataclass
class SentStream:
    """One run of the publisher's numbering, as it was sent."""

    session: bytes
    first: int
    payloads: dict[int, bytes] = field(default_factory=dict)
    pieces: dict[int, list[int]] = field(default_factory=dict)  # number -> the sends that carried it
    announced: set[int] = field(default_factory=set)
    ended: bool = False


@dataclass
class Plan:
    """What one seed means."""

    seed: int
    protocol: str
    streams: list[SentStream]
    network: SimulatedNetwork
    settings: ReceiverSettings
    wire: Codec
    forged: int
    killed_at: int | None  # step
    strict: bool  # nothing in this run excuses a missing number that was delivered


class InvariantError(AssertionError):
    """The invariant does not hold."""


def make(seed: int) -> Plan:
    random = Random(seed)
    protocol = random.choice(["native", "native", "moldudp64"])
    wire = codec(protocol, channel=7)
    lines = [_impairment(random) for _ in range(random.choice([1, 2, 2, 3]))]
    network = SimulatedNetwork(seed, lines)
    settings = ReceiverSettings(
        hold_ns=HOLD,
        hold_packets=HOLD_PACKETS,
        session_grace_ns=200 * MS,
        channel_number=7 if protocol == "native" else None,
    )
    plan = Plan(seed, protocol, [], network, settings, wire, 0, None, True)
    at, count = 0, random.choice([1, 1, 1, 2, 3])
    for place in range(count):
        at = _send_stream(plan, random, place, at, last=place == count - 1)
    if random.random() < 0.5:
        _forge(plan, random, at)
    killer = Random(f"{seed}/kill")
    if killer.random() < 0.3:
        plan.killed_at = killer.randrange(max(1, at // MS))
    return plan


def _impairment(random: Random) -> Impairment:
    bad = random.choice([0.0, 0.02, 0.1, 0.3])
    dead = []
    if random.random() < 0.2:
        start = random.randrange(0, 100 * MS)
        dead.append((start, start + random.randrange(1, 80 * MS)))
    return Impairment(
        bad, random.choice([0, 0.05]), random.choice([0, 0.05, 0.3]), random.randrange(3 * MS), 5 * MS, dead
    )


def _session(protocol: str, place: int) -> bytes:
    return (1000 + place).to_bytes(8, "big") if protocol == "native" else b"SESS%06d" % place


def _send_stream(plan: Plan, random: Random, place: int, at: int, last: bool) -> int:
    """Send one stream; the next one may be a new session or the same session begun again lower."""
    wire, network = plan.wire, plan.network
    first = random.choice([0, 1, 1, 5000]) if plan.protocol == "native" else random.choice([1, 1, 5000])
    session = _session(plan.protocol, place)
    if plan.streams and random.random() < 0.5:
        before = plan.streams[-1]
        highest = max([before.first, *before.payloads, *before.announced])
        if highest > HOLD_PACKETS * 7 + 250:
            session, first = before.session, 1
    sent = SentStream(session, first)
    plan.streams.append(sent)
    number = first
    for _ in range(random.choice([40, 120, 200])):
        at += random.choice([MS // 4, MS, MS])
        roll = random.random()
        if roll < 0.10 and plan.protocol == "native":
            message = random.randbytes(random.randrange(300, 1500))
            sent.payloads[number] = message
            cuts = list(range(0, len(message), 200))
            random.shuffle(cuts)
            for offset in cuts:
                piece = message[offset : offset + 200]
                data = wire.encode_fragment(session, number, Fragment(offset, len(message)), piece, at)
                sent.pieces.setdefault(number, []).append(network.send(data, at))
            number += 1
        elif roll < 0.13 and plan.protocol == "native":
            hole = random.randrange(1, 4)
            network.send(wire.encode_hole(session, number, number + hole - 1, at), at)
            sent.announced.update(range(number, number + hole))
            number += hole
        elif roll < 0.16:
            network.send(wire.encode_heartbeat(session, number, at), at)
        else:
            payloads = [
                b"%d/%d/" % (place, number + i) + random.randbytes(random.randrange(20))
                for i in range(random.randrange(1, 8))
            ]
            send = network.send(wire.encode_data(session, number, payloads, at), at)
            for i, payload in enumerate(payloads):
                sent.payloads[number + i] = payload
                sent.pieces[number + i] = [send]
            number += len(payloads)
    sent.ended = last and random.random() < 0.5
    for _ in range(8):
        at += 10 * MS
        encode = wire.encode_end if sent.ended else wire.encode_heartbeat
        network.send(encode(session, number, at), at)
    return at + random.choice([1, 60]) * MS


def _forge(plan: Plan, random: Random, until: int) -> None:
    """Single datagrams of a stranger: none of them may end, jump or poison the stream."""
    wire = plan.wire
    session = plan.streams[0].session
    start = (
        next((arrival.at_ns for arrival in plan.network.arrivals()), 0) + 2 * MS
    )  # the first word is believed at once
    for place in range(random.randrange(1, 5)):
        other = _session(plan.protocol, 500 + place)
        far = random.choice([MAX_SEQUENCE - 10 - place * 3_000_000, 2_000_000 + place * 3_000_000])
        forged = random.choice(
            [
                wire.encode_data(other, random.randrange(1, 10_000), [b"forged"], 0),
                wire.encode_data(session, far, [b"forged"], 0),
                wire.encode_heartbeat(session, far, 0),
                wire.encode_end(session, far, 0),
                wire.encode_end(other, 17, 0),
                random.randbytes(random.randrange(80)),
            ]
        )
        plan.network.send_on(
            random.randrange(len(plan.network.lines)), forged, random.randrange(start, max(until, start + 1))
        )
        plan.forged += 1


def run(plan: Plan) -> ChannelReceiver:
    """Feed a receiver as the engine would: passes of 1 ms, lines drained in turn, timers when they are due."""
    names = "ABC"[: len(plan.network.lines)]
    kept: list[tuple[int, list[bytes], int]] = []
    receiver = _receiver(plan, names, kept)
    items: list[Item] = []
    arrivals = list(plan.network.arrivals())
    now, place, turn = 0, 0, 0
    while place < len(arrivals):
        now += MS
        batch: dict[int, list[bytes]] = {}
        while place < len(arrivals) and arrivals[place].at_ns <= now:
            batch.setdefault(arrivals[place].line, []).append(arrivals[place].datagram)
            place += 1
        order = sorted(batch, key=lambda line: (line + turn) % len(names))
        turn += 1
        for line in order:
            receiver.receive(line, batch[line], now, now)
            _check(receiver)
        items += receiver.end_pass(now, True)
        _check(receiver)
        due = receiver.next_timer()
        if due is not None and due <= now:
            items += receiver.handle_timer(now)
            _check(receiver)
            if (again := receiver.next_timer()) is not None and again <= now:
                raise InvariantError(f"at {now} the timer of {again} was handled and asks again")
        if turn == plan.killed_at:
            probe, restored = _restore(plan, names, kept, now)
            restored += probe.close(now)
            _same(items + receiver.close(now), restored)
            receiver, items = _restore(plan, names, kept, now)
    for _ in range(400):
        now += MS
        items += receiver.handle_timer(now)
    items += receiver.close(now)
    _check(receiver)
    oracle = Oracle(plan, receiver)
    oracle.check(items)
    if plan.killed_at is None:
        oracle.check_lines()
    return receiver


def _receiver(plan: Plan, names: str, kept: list[tuple[int, list[bytes], int]]) -> ChannelReceiver:
    receiver = ChannelReceiver("c", plan.wire, list(names), plan.settings)
    receiver.accepted_datagrams = lambda line, datagrams, time_ns: kept.append((line, datagrams, time_ns))
    return receiver


def _restore(
    plan: Plan, names: str, kept: list[tuple[int, list[bytes], int]], now: int
) -> tuple[ChannelReceiver, list[Item]]:
    """A fresh receiver that was given what the disk window kept, as the engine does it: at one time, never drained."""
    receiver = _receiver(plan, names, kept)
    items: list[Item] = []
    for line, datagrams, time_ns in list(kept):
        receiver.receive(line, datagrams, now, time_ns, restoring=True)
        _check(receiver)
        items += receiver.end_pass(now, False)
        _check(receiver)
    return receiver, items


def _same(before: list[Item], restored: list[Item]) -> None:
    """Both released the same messages and holes; when, and for what reason a number is missing, may differ."""
    one, other = _flat(before), _flat(restored)
    if one != other:
        at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        raise InvariantError(f"released {one[at : at + 3]}…, after a restart {other[at : at + 3]}… (place {at})")


def _flat(items: list[Item]) -> list[tuple[Stream, int, bytes | None]]:
    found: list[tuple[Stream, int, bytes | None]] = []
    for item in items:
        if isinstance(item, MessageBatch):
            found += [(item.stream, number, payload) for number, payload in enumerate(item.payloads, item.first)]
        elif isinstance(item, Hole):
            found += [
                (item.stream, number, None) for number in range(item.first, min(item.last, item.first + 9999) + 1)
            ]
    return found


def _check(receiver: ChannelReceiver) -> None:
    problems = receiver.problems()
    problems += [f"{name} is negative" for name in _negative(receiver)]
    if problems:
        raise InvariantError("; ".join(problems))
    receiver.events()


def _negative(receiver: ChannelReceiver) -> list[str]:
    found = [f"line {line.name}: waiting" for line in receiver.lines if line.ledger.waiting < 0]
    found += [f"line {line.name}: lost" for line in receiver.lines if line.lost < 0]
    return found + [f"{row.stream}: held" for row in receiver.streams if row.ledger.held < 0]


class Oracle:
    """Knows what was sent and what arrived."""

    def __init__(self, plan: Plan, receiver: ChannelReceiver) -> None:
        self.plan = plan
        self.receiver = receiver
        self.at = -1  # the sent stream that we are in
        self.expected = 0
        self.stream: Stream | None = None
        self.out: dict[int, set[int]] = {}
        self.holes: dict[int, dict[int, str]] = {}

    def check(self, items: list[Item]) -> None:
        for item in items:
            self._item(item)
        for place, sent in enumerate(self.plan.streams):
            self._complete(place, sent)

    def check_lines(self) -> None:
        """What each line lost: the numbers that came out and that it did not bring whole."""
        if len(self.plan.streams) > 1 or self.plan.forged:
            return  # words of another stream at the same numbers cannot be told apart by the lines' positions
        sent, out = self.plan.streams[0], self.out.get(0, set())
        start = min([*out, *self.holes.get(0, {})], default=0)
        for place, line in enumerate(self.receiver.lines):
            delivered = self.plan.network.delivered[place]
            brought = [n for n, sends in sent.pieces.items() if delivered.issuperset(sends)]
            if not brought or min(brought) - start > HOLD_PACKETS:
                continue  # it joined late: its losses count from its first word
            lost = len(out.difference(brought))
            if line.lost != lost:
                raise InvariantError(
                    f"line {line.name} counts {line.lost} lost, {lost} of what came out it did not bring"
                )
            if line.ledger.waiting:
                raise InvariantError(f"line {line.name} has {line.ledger.waiting} pieces waiting at the end")

    def _item(self, item: Item) -> None:
        if isinstance(item, SessionStart):
            self._start(item)
            return
        if item.stream != self.stream:
            raise InvariantError(f"{item} outside its stream, we are in {self.stream}")
        if isinstance(item, SessionEnd):
            if item.next != self.expected:
                raise InvariantError(f"the stream ends at {item.next}, expected {self.expected}")
            return
        if item.first != self.expected:
            raise InvariantError(f"{type(item).__name__} begins at {item.first}, expected {self.expected}")
        sent = self.plan.streams[self.at]
        if isinstance(item, Hole):
            self.holes.setdefault(self.at, {}).update(
                dict.fromkeys(range(item.first, min(item.last + 1, item.first + 10_000)), item.reason)
            )
            self.expected = item.last + 1
            return
        assert isinstance(item, MessageBatch)
        for number, payload in enumerate(item.payloads, item.first):
            if sent.payloads.get(number) != payload:
                raise InvariantError(f"{number} of {self.stream} has other bytes than were sent")
            self.out.setdefault(self.at, set()).add(number)
        self.expected = item.last + 1

    def _start(self, item: SessionStart) -> None:
        for place in range(self.at + 1, len(self.plan.streams)):
            if self.plan.streams[place].session == item.stream.session:
                self.at, self.stream, self.expected = place, item.stream, item.first
                return
        raise InvariantError(f"a stream that nobody sent: {item}")

    def _complete(self, place: int, sent: SentStream) -> None:
        out = self.out.get(place, set())
        holes = self.holes.get(place, {})
        if not out and not holes:
            if self._delivered_packets(sent) >= 4:
                raise InvariantError(f"nothing came of stream {place}, though it was delivered")
            return
        low = min([*out, *holes])
        whole = [n for n, sends in sent.pieces.items() if self._whole(sends)]
        missing = [n for n in whole if n >= low and n not in out]
        lost_at_boundary = [n for n in missing if n > max([*out, *holes])]
        missing = [n for n in missing if n not in lost_at_boundary]
        if missing and self.plan.strict:
            raise InvariantError(
                f"stream {place}: {missing[:10]} were delivered but did not come out: {[holes.get(n) for n in missing[:10]]}"
            )
        if len(lost_at_boundary) > 0 and place == len(self.plan.streams) - 1:
            raise InvariantError(f"stream {place}: the tail {lost_at_boundary[:10]} was delivered but did not come out")
        before = [n for n in whole if n < low]
        if before and self.plan.strict and place == 0 and len(before) > 8:
            raise InvariantError(f"stream {place}: the head {before[:10]} was delivered but did not come out")
        unknown = [n for n in out if n not in sent.payloads]
        if unknown:
            raise InvariantError(f"numbers that were never sent: {unknown[:10]}")

    def _whole(self, sends: list[int]) -> bool:
        return all(any(send in line for line in self.plan.network.delivered) for send in sends)

    def _delivered_packets(self, sent: SentStream) -> int:
        sends = {send for sends in sent.pieces.values() for send in sends}
        return max(len(sends & line) for line in self.plan.network.delivered)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.runs)
    failed = 0
    for seed in seeds:
        try:
            run(make(seed))
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}\n  python -m tests.property.simulation --seed {seed}")
            if options.seed is not None and not isinstance(error, InvariantError):
                raise
            if failed >= 10:
                break
    print(f"{len(seeds)} runs, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
