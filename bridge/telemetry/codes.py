"""Every event code of the bridge: what it means, whether data was lost, what to do.

`docs/reference/events.md` is generated from this table, and a test holds every `emit` of the code to it. A code is stable:
people alert on it. Connectors of others emit codes of their own; those are counted under their own name.
"""

from typing import Literal, NamedTuple

from bridge.api.context import Severity

Lost = Literal["no", "yes", "perhaps"]


class Code(NamedTuple):
    """One event code. `meaning` and `remedy` are sentences for the reference; `lost`: were messages lost by it?"""

    severity: Severity
    lost: Lost
    meaning: str
    remedy: str


NOTHING = "Nothing."

CODES: dict[str, Code] = {
    # --- the run -----------------------------------------------------------------------------------------------------
    "configured": Code("info", "no", "A value in force, as the configuration or its default says it.", NOTHING),
    "started": Code("info", "no", "The bridge runs.", NOTHING),
    "ready": Code("info", "no", "All lines are joined and all sinks acknowledge: `/readyz` answers 200.", NOTHING),
    "not_ready": Code(
        "warning", "no", "Something that the configuration names is absent; the event says what.", "See what it names."
    ),
    "draining": Code("info", "no", "The run ends: what is pending is delivered for at most `drain`.", NOTHING),
    "stopped": Code(
        "info", "no", "The run has ended. What could not be delivered is on disk or was reported as lost.", NOTHING
    ),
    "ledger_unbalanced": Code(
        "error",
        "perhaps",
        "An equation of the ledger does not hold: the bridge miscounted. The event names the equation and its numbers.",
        "Report it with the summary; compare the store with the sender.",
    ),
    "internal_error": Code(
        "error",
        "perhaps",
        "A part of the bridge failed in a way that it should not; the trace is in the state directory.",
        "Report it with the trace.",
    ),
    "library_message": Code(
        "warning", "no", "A library that the bridge uses said this; secrets are taken out.", "See what it says."
    ),
    "events_dropped": Code(
        "warning", "no", "So many events came at once that some were counted and not kept.", "See the events beside it."
    ),
    "admin_unavailable": Code(
        "warning",
        "no",
        "The admin address cannot be listened on: no metrics, status or health of this process.",
        "Set `admin` in `[bridge]` to a free address, or to an empty string.",
    ),
    "losses_not_written": Code(
        "error",
        "no",
        "losses.jsonl cannot be written. Ranges are kept in memory, up to a cap, and written when it can be again.",
        "Free space in the state directory, or let this user write to it.",
    ),
    "positions_not_written": Code(
        "error",
        "no",
        "The position of a source cannot be saved: after a restart it repeats from the last one that was.",
        "Free space in the state directory, or let this user write to it.",
    ),
    "summary_not_written": Code(
        "error", "no", "The summary of the run cannot be written.", "Name a file that this user may write."
    ),
    # --- lines -------------------------------------------------------------------------------------------------------
    "line_joined": Code("info", "no", "A line's group is joined on its interface.", NOTHING),
    "line_not_joined": Code(
        "warning",
        "perhaps",
        "A line's group is not joined: its interface is absent or down. It is tried again each second.",
        "Bring the interface up. Nothing is lost while another line of the channel delivers.",
    ),
    "line_silent": Code(
        "warning",
        "perhaps",
        "Nothing came on a line for `silent_after`, not even a heartbeat.",
        "Look at the sender, the switch (IGMP snooping without a querier) and the interface; see the ten checks.",
    ),
    "line_back": Code("info", "no", "A silent line receives again.", NOTHING),
    "kernel_dropped": Code(
        "warning",
        "perhaps",
        "The kernel dropped datagrams because a line's receive buffer was full. Another line may have had them.",
        "Raise `receive_buffer` and net.core.rmem_max; give the process more CPU.",
    ),
    "receive_buffer_clamped": Code(
        "warning",
        "no",
        "The kernel granted a smaller receive buffer than was asked for.",
        "Set the sysctl that the event names.",
    ),
    "malformed_datagrams": Code(
        "warning",
        "perhaps",
        "Datagrams that are not of the channel's protocol were counted under a reason and thrown away.",
        "See the reason; another publisher may use the same group and port. `quarantine` keeps samples.",
    ),
    "second_sender": Code(
        "warning",
        "perhaps",
        "Two senders take turns on one line.",
        "Name the right one in `sources`, or give each its own group.",
    ),
    # --- sessions and numbers ----------------------------------------------------------------------------------------
    "stream_started": Code(
        "info", "no", "A stream begins: the first of the run, a new session, or a restart.", NOTHING
    ),
    "stream_ended": Code("info", "no", "A stream is complete, or its channel went on to another.", NOTHING),
    "session_refused": Code(
        "warning",
        "no",
        "Packets of a session that is not believed were thrown away: one that was left, or never confirmed.",
        "Look for an old or foreign sender on the group.",
    ),
    "jump_confirmed": Code(
        "warning",
        "yes",
        "The sender went forward by more than reordering explains or `max_jump` allows; the numbers between are missing.",
        "Ask the publisher.",
    ),
    "conflict": Code(
        "error",
        "perhaps",
        "One number came with two different contents; the first was kept.",
        "Look for a second publisher with the same session, or a broken one.",
    ),
    "fragments_evicted": Code(
        "warning",
        "yes",
        "A message was given up because some of its fragments never came.",
        "As for gap_abandoned; raise the reassembly caps if they were reached.",
    ),
    "gap_opened": Code(
        "warning",
        "no",
        "Numbers are missing on all lines after the hold. They may still come.",
        "See gap_abandoned, if it comes to that.",
    ),
    "gap_filled": Code("info", "no", "Numbers of an open gap came, by a line or by recovery.", NOTHING),
    "gap_abandoned": Code(
        "warning",
        "yes",
        "Numbers are given up; a hole with the reason stands in every sink, and the ranges in losses.jsonl.",
        "See what each line lost and the kernel dropped; add a line or a recovery source.",
    ),
    "late_messages": Code(
        "warning",
        "yes",
        "Messages came after their gap had been given up.",
        "Raise `gap.hold` or `gap.deadline`; a `late` sink keeps them.",
    ),
    "channel_stopped": Code(
        "error",
        "yes",
        'A gap with `then = "stop"` was reached: the channel takes in no more.',
        "Repair the gap at its source and start the bridge again.",
    ),
    # --- window and sinks --------------------------------------------------------------------------------------------
    "sink_up": Code("info", "no", "A sink is open and takes messages.", NOTHING),
    "sink_unavailable": Code(
        "warning",
        "no",
        "A sink's system is not there. Messages wait in memory, then on disk; it is tried again with back-off.",
        "Bring it back before the window is full.",
    ),
    "sink_refused": Code(
        "error",
        "no",
        "A sink's system is there and refuses. Messages wait; it is tried again each 30 s.",
        "Do what the event says.",
    ),
    "sink_failed": Code(
        "error", "no", "A sink broke its contract and was closed; it is opened again with back-off.", "Report it."
    ),
    "stream_restarted": Code(
        "warning",
        "no",
        "A session began again at numbers that a sink holds already, with other contents or not comparable: it goes on as "
        "a new restart.",
        "Nothing, if the publisher was started again with the same session.",
    ),
    "restart_differs": Code(
        "warning",
        "no",
        "Two sinks of one channel hold different restarts of a session; the higher one is used for both.",
        "Nothing; the streams' names in the sinks differ for what was stored before.",
    ),
    "tail_moved": Code(
        "error",
        "perhaps",
        "The store's tail is not where this bridge left it: it fell back, or somebody else writes.",
        "Look for a second writer, or a store that was restored from a backup.",
    ),
    "overload": Code(
        "warning",
        "yes",
        "A sink's window is full, memory and disk: the route's `overload` decides what goes.",
        "See why the sink is slow or absent; raise `memory` or `spool`.",
    ),
    "spool_failed": Code(
        "error",
        "perhaps",
        "The spool cannot be written: messages wait in memory, and when that is full `overload` decides.",
        "Free space in the state directory, or let this user write to it. It is tried again.",
    ),
    "spool_recovered": Code("info", "no", "The spool is written again.", NOTHING),
    "spool_damaged": Code(
        "error",
        "perhaps",
        "A part of the spool failed its checksum and was left out.",
        "Look at the disk. After a power cut the last few milliseconds are expected.",
    ),
    "spool_orphaned": Code(
        "warning",
        "perhaps",
        "The spool holds messages for a sink that the route no longer has.",
        "Name the sink again to deliver them, or remove the directory that the event names.",
    ),
    "park_timeout": Code(
        "warning",
        "yes",
        "The run ended before all that waited was on disk.",
        "Raise `drain`; look at the disk. The ranges are in losses.jsonl.",
    ),
    "arrivals_damaged": Code(
        "error",
        "perhaps",
        "A part of the disk window failed its checksum; what came after it was not read back.",
        "Look at the disk. After a power cut the last few milliseconds are expected.",
    ),
    "arrivals_failed": Code(
        "error",
        "no",
        "What arrives is not written to the disk window; a kill now would lose it.",
        "Free space in the state directory, or let this user write to it. It is tried again.",
    ),
    "arrivals_recovered": Code("info", "no", "What arrives is written to the disk window again.", NOTHING),
    "arrivals_trimmed": Code(
        "warning",
        "no",
        "The disk window is full: its oldest part goes, and could not be rebuilt after a kill.",
        "Raise `spool`; see why the sink is slow.",
    ),
    "messages_dropped": Code(
        "error",
        "yes",
        "Numbers did not reach a sink: overload, before_window, shutdown or broker_lost.",
        "See the reason; the ranges are in losses.jsonl.",
    ),
    "message_rejected": Code(
        "warning",
        "yes",
        "Messages that a sink cannot take became holes: too large, a field missing, unroutable.",
        "See the reason; raise the sink's limit, or give the field a default.",
    ),
    # --- message sources ---------------------------------------------------------------------------------------------
    "source_up": Code("info", "no", "A source is open and read.", NOTHING),
    "source_unavailable": Code(
        "warning", "no", "A source's system is not there; it is tried again with back-off.", "Bring it back."
    ),
    "source_refused": Code(
        "error", "no", "A source's system refuses; it is tried again each 30 s.", "Do what the event says."
    ),
    "position_unknown": Code(
        "warning",
        "no",
        "What a source reads was replaced or fell back behind the position that was saved: it is read from its beginning.",
        "Expect messages again that were passed on before; if it was not replaced on purpose, see what happened to it.",
    ),
    "source_ended": Code("info", "no", "A source has no more messages.", NOTHING),
    # --- datagram sinks ----------------------------------------------------------------------------------------------
    "outlet_up": Code("info", "no", "A line of a multicast sink sends.", NOTHING),
    "outlet_down": Code(
        "warning",
        "perhaps",
        "A line of a multicast sink sends nothing: its interface is absent or down.",
        "Bring the interface up.",
    ),
    "send_buffer_clamped": Code(
        "warning",
        "no",
        "The kernel granted a smaller send buffer than was asked for.",
        "Set the sysctl that the event names.",
    ),
    "datagram_too_long": Code(
        "error", "yes", "A datagram is longer than the interface can send; it was left out.", "Lower `mtu`."
    ),
}
"""All codes, in the order of a message's way."""

OTHER = "other"
"""Where codes of third-party connectors are counted once there are too many different ones."""
