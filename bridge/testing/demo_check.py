"""What the demo proves, from files only: the sender's report, the summaries of both bridges, the journal, the listener's output.

Each step prints what it found and says whether it holds.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.api.store import Data, MessageStore, Never, StreamInfo
from bridge.config import registry
from bridge.core.payload import Sizes, payload
from bridge.testing.doubles.context import FakeContext

SHOWN = 8
"""Ranges of a long list that are printed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where everything is. `empty_holes`: on the third group an empty message stands for each number that was lost."""

    protocol: str
    seed: int
    sizes: Sizes
    channel: str
    report: dict[str, Any]
    inbound: dict[str, Any]
    outbound: dict[str, Any]
    heard: Path
    journal: Path
    empty_holes: bool


def check(evidence: Evidence, say: Say) -> bool:
    """True if all holds."""
    return all(
        [
            _lines(evidence, say),
            _lost_on_both(evidence, say),
            _ledger("inbound", evidence.inbound, say),
            _ledger("outbound", evidence.outbound, say),
            asyncio.run(_heard(evidence, say)),
        ]
    )


def _lines(evidence: Evidence, say: Say) -> bool:
    rows = _channel(evidence)["lines"]
    say("            datagrams      lost   doubled   swapped    messages that the other line filled    kernel drops")
    for sent, row in zip(evidence.report["lines"], rows, strict=True):
        counts = "".join(f"{sent[key]:>10,}" for key in ("lost", "duplicated", "reordered"))
        say(
            f"  line {row['line']}  {sent['datagrams']:>11,}{counts}    {row['lost']:>35,}    {row['kernel_dropped']:>12,}"
        )
    arrived = all(row["datagrams"] == sent["sent"] for sent, row in zip(evidence.report["lines"], rows, strict=True))
    dropped = sum(row["kernel_dropped"] for row in rows)
    if dropped:
        granted = rows[0]["receive_buffer_granted"]
        say(f"  the kernel dropped {dropped} datagrams (receive buffer {granted} bytes): this machine was too busy")
    both = len(_numbers(evidence.report["lost_on_all"]))
    meant = [len(_numbers(sent["dropped"])) - both for sent in evidence.report["lines"]]
    filled = meant == [row["lost"] for row in rows]
    found = [
        _said(arrived, "every datagram that the sender put on a line arrived at the bridge", say),
        _said(filled, "each line lost what the sender dropped on it alone, and the other line filled it", say),
    ]
    return all(found)


def _lost_on_both(evidence: Evidence, say: Say) -> bool:
    meant = _numbers(evidence.report["lost_on_all"])
    losses = [loss for loss in evidence.inbound["losses"] if loss["sink"] is None]
    said = _numbers((loss["first"], loss["last"]) for loss in losses)
    say(f"\nlost on both lines: {len(said)} messages{': ' if said else ''}{_shown(said)}")
    complete = evidence.inbound["losses_left_out"] == 0
    same = _said(
        complete and said == meant, f"exactly the {len(meant)} that the sender dropped on both, by its report", say
    )
    if said - meant:
        say(f"  reported as lost, and not dropped on both: {_shown(said - meant)}")
    if meant - said:
        say(f"  dropped on both, and not reported as lost: {_shown(meant - said)}")
    return same


def _ledger(name: str, summary: dict[str, Any], say: Say) -> bool:
    say(f"\nledger, {name}")
    for source in summary["sources"]:
        for channel in source["channels"]:
            for row in channel["lines"]:
                _line(row, say)
            for row in channel["streams"]:
                _stream(row, say)
    for route in summary["routes"]:
        for sink in route["sinks"]:
            for row in sink["streams"]:
                gone = sum(sum(row[key].values()) for key in ("filtered", "rejected", "dropped"))
                parts = f"{row['published']:,} published + {row['present']} present + {row['missing']:,} missing"
                total = row["end"] - row["base"]
                say(f"  L5 {sink['sink']}: {total:,} numbers = {parts} + {gone} dropped + {row['pending']} pending")
    for problem in summary["problems"]:
        say(f"  {problem}")
    return _said(summary["balanced"] and not summary["problems"], "the ledger balances", say)


def _line(row: dict[str, Any], say: Say) -> None:
    """L1 and L2 with their numbers."""
    where = f"line {row['line']}"
    refused, malformed = sum(row["refused"].values()), sum(row["malformed"].values())
    say(f"  L1 {where}: {row['datagrams']:,} datagrams = {row['packets']:,} packets + {malformed} malformed")
    twice = f"{row['duplicate']['other_line']:,} + {row['duplicate']['same_line']:,} duplicate"
    rest = f"{row['late']} late + {refused} refused + {row['waiting']} waiting"
    say(f"  L2 {where}: {row['pieces']:,} pieces = {row['accepted']:,} accepted + {twice} + {rest}")


def _stream(row: dict[str, Any], say: Say) -> None:
    """L3 and L4 with their numbers."""
    pieces = row["accepted"] + row["restored"] + row["read"]
    say(f"  L3 stream: {pieces:,} pieces = {row['whole']:,} whole + {row['fragments']:,} fragments")
    joined = f"{row['joined']:,} joined + {row['evicted']:,} evicted + {row['assembling']} assembling"
    say(f"  L3 stream: {row['fragments']:,} fragments = {joined}")
    gone = f"{sum(row['missing'].values()):,} missing + {row['missing_open']} open"
    say(f"  L4 stream: {row['expected']:,} numbers = {row['received']:,} received + {gone}")


async def _heard(evidence: Evidence, say: Say) -> bool:
    """The listener's lines against the journal, message by message, and both against the generator."""
    context = FakeContext("demo")
    cls = registry.load("store", "journal")
    store: MessageStore = cls(cls.Options.model_validate({"path": str(evidence.journal)}), context)
    await store.open()
    try:
        streams = await store.streams(evidence.channel)
        problems: list[str] = []
        count, size, same_so_far = 0, 0, True
        with evidence.heard.open("rb") as heard:
            async for number, stored in _stored(store, streams, evidence.empty_holes):
                if same_so_far:
                    line = heard.readline()
                    row: dict[str, Any] = json.loads(line) if line else {"sequence": None}
                    same_so_far = row["sequence"] == number and str(row.get("payload", "")).encode() == stored
                    if not same_so_far:
                        problems.append(f"the journal has number {number}, the listener got {row['sequence']}")
                if stored and stored != payload(evidence.seed, number, evidence.sizes.of(evidence.seed, number)):
                    problems.append(f"number {number} has other bytes than the sender made")
                count += bool(stored)
                size += len(stored)
            if same_so_far and heard.readline():
                problems.append("the listener got more than the journal has")
    finally:
        await store.close()
        await context.close()
    say(f"\nthird group: {count:,} messages, {size / 1e6:.1f} MB")
    for problem in problems[:SHOWN]:
        say(f"  {problem}")
    wanted = evidence.report["messages"] - len(_numbers(evidence.report["lost_on_all"]))
    all_there = _said(count == wanted, f"the journal holds all {wanted:,} messages that came on a line", say)
    return (
        _said(not problems, "the listener got every journalled message once, in order, byte for byte", say)
        and all_there
    )


async def _stored(
    store: MessageStore, streams: list[StreamInfo], empty_holes: bool
) -> AsyncIterator[tuple[int, bytes]]:
    """Number and payload of everything in the journal, in order."""
    for info in streams:
        if info.tail is None:
            continue
        async for piece in store.read(info.stream, info.first, max(info.tail, info.through or 0)):
            if isinstance(piece, Data):
                for at, stored in enumerate(piece.batch.payloads):
                    yield piece.batch.number(at), stored
            elif isinstance(piece, Never) and empty_holes:
                for number in range(piece.first, piece.last + 1):
                    yield number, b""


def _channel(evidence: Evidence) -> dict[str, Any]:
    channel: dict[str, Any] = evidence.inbound["sources"][0]["channels"][0]
    return channel


def _numbers(ranges: Any) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def _shown(numbers: set[int]) -> str:
    ordered = sorted(numbers)
    return ", ".join(f"{number}" for number in ordered[:SHOWN]) + (", …" if len(ordered) > SHOWN else "")


def _said(holds: bool, what: str, say: Say) -> bool:
    say(f"  {'holds' if holds else 'DOES NOT HOLD'}: {what}")
    return holds
