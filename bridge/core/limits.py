"""Every bound of the receiving core: what a network peer can grow, how far, why, and what goes first."""

MAX_JUMP = 1_000_000
"""Numbers that one packet may leap ahead. Above it, and above what reordering within the hold explains, a second packet is
needed. Default of `max_jump`."""

MAX_GAPS = 4096
"""Gaps of one stream at a time. A sender that skips every other number would grow the list; the oldest gap is decided."""

ABANDONED_RANGES = 4096
"""Ranges of given-up numbers that are remembered to tell late from duplicate. The lowest goes first."""

LINE_RANGES = 4096
"""Ranges that one line is known to lack. The lowest goes first: if such a number still comes, it is a duplicate."""

GAP_BYTES = 64 * 2**20
"""Bytes that wait behind a gap: 64 MiB is 5 s of 100 Mbit/s. At the cap the oldest gap is decided. Default of `gap.bytes`."""

HELD_MESSAGES = 1_000_000
"""Messages that wait behind a gap, for streams of tiny messages: each costs about 100 bytes beside its payload."""

PARTIAL_MESSAGES = 1024
"""Messages of a stream that are being put together. At the cap the lowest is given up."""

PARTIAL_PIECES = 131_072
"""Pieces of one message: 64 MiB in pieces of 512 bytes. More are refused. Also the pieces of unfinished messages that are
remembered of one line, to tell whose copy a piece is; the oldest message goes first."""

PIECE_COST = 200
"""Bytes that each piece costs beside its payload. Counted with it against `gap.bytes`: pieces of one byte are no way around."""

PARTIAL_AGE_NS = 30 * 10**9
"""How long a message may take to arrive whole, however steadily its pieces come: 64 MiB at 20 Mbit/s is 27 s."""

LEFT_SESSIONS = 256
"""Sessions that a channel has left and refuses. The design asks for 64; each costs about 100 bytes. The oldest goes first."""

CANDIDATES = 16
"""Unconfirmed sessions at a time. A forger invents them freely; the oldest goes first and its pieces are refused."""

CANDIDATE_PACKETS = 64
"""Packets that one candidate holds; two that fit each other confirm it, so more than that are noise. The oldest goes first:
noise under the name of a session that is to come must not shut it out."""

CANDIDATE_AGE_NS = 5 * 10**9
"""How long a candidate waits for its second packet: several heartbeats of the usual 1 s."""

RECENT_BATCHES = 64
"""Passes whose payloads are remembered (by reference) to compare the bytes of a number that comes again."""

RECENT_BYTES = 4 * 2**20
"""And their bytes. The oldest goes first."""

EVENTS = 1024
"""Events that wait for the engine between two passes; what is more is counted in one `EventsDropped`."""

STREAMS = 8
"""Streams of a channel that have a ledger row of their own, the current one among them; older ones are added up."""

RAW_COPIES = 65_536
"""Copies of raw messages that another line is still expected to bring. The oldest goes first."""

RAW_COPIES_BYTES = 16 * 2**20
"""And their bytes."""

RAW_COPIES_AGE_NS = 2 * 10**9
"""How much later the other line may bring its copy before the same bytes are a new message."""

CONSTANT_LOAD_NS = 50_000_000
"""Under load that never lets a pass drain all sockets empty, a gap is declared this much later (design 5.3)."""

SKEW_SAMPLES = 64
"""Sampled (number, kernel time) points of a line, between which the other lines' are interpolated."""

START_MAY_FALL = 65_536
"""How far below the first number seen a stream may turn out to begin, until its first release: a reordered first packet, not a
restart."""

HOUSEKEEPING_NS = 1_000_000_000
"""How often silence, line loss and ages are looked at. A number that a line has not brought one to two of these after the
others, far beyond any skew of two lines, counts as lost on it until it comes."""

CANDIDATE_REPEAT_NS = 100_000_000
"""An equal packet on the same line within this time is a copy that the network made, later it is the next heartbeat."""

WIDEST = 1024
"""Messages in a packet that count for what reordering explains: a forged packet of 20,000 empty messages must not widen it."""
