"""What the user sets for a channel, in the units of the core: nanoseconds, bytes, counts."""

from dataclasses import dataclass
from typing import Literal

from bridge.core import limits


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """Settings of one `ChannelReceiver`.

    hold_ns, hold_packets   how long, and behind how many packets, a missing number may still be a reordered one
    deadline_ns             how long an open gap is kept for recovery; 0 decides it when it opens
    then                    what happens after the deadline: skip it, wait for ever, or stop the channel
    recovery                there is somebody to ask: gaps become `requested`
    own_origin              datagrams with this mark were sent by this bridge and are refused
    authenticated           a new session must also be later than the current one by its send time
    raw_session             the session that raw messages are numbered under, raw_next its first number
    """

    hold_ns: int = 20_000_000
    hold_packets: int = 256
    deadline_ns: int = 0
    then: Literal["skip", "wait", "stop"] = "skip"
    recovery: bool = False
    gap_bytes: int = limits.GAP_BYTES
    max_jump: int = limits.MAX_JUMP
    silent_after_ns: int = 5_000_000_000
    session_grace_ns: int = 5_000_000_000
    channel_number: int | None = None
    own_origin: int | None = None
    authenticated: bool = False
    quarantine: bool = False
    raw_session: bytes = b"\0" * 8
    raw_next: int = 1
