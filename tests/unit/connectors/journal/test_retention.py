"""What retention removes, as a decision and as files."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from connectors.journal.retention import Limits, Segment, expired, unlink, unlink_orphans

SEGMENTS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100)), max_size=12)
LIMIT = st.none() | st.integers(1, 400)


@given(SEGMENTS, LIMIT, LIMIT, LIMIT)
def test_exactly_what_must_go_goes(
    sizes: list[tuple[int, int, int]], size: int | None, messages: int | None, age: int | None
) -> None:
    closed = [Segment(i, *numbers) for i, numbers in enumerate(sizes)]
    limits = Limits(64, age, size, messages)
    room = Segment(99, limits.share_bytes, limits.share_messages or 0, 100)

    def kept_within(left: list[Segment]) -> bool:
        """What is left is within the limits, or nothing closed is left; the oldest that is left is not too old."""
        if not left:
            return True
        fits = size is None or sum(s.bytes for s in [*left, room]) <= size
        fits = fits and (messages is None or sum(s.messages for s in [*left, room]) <= messages)
        return fits and (age is None or left[0].newest >= 100 - age)

    count = expired(closed, limits, now_ns=100)
    assert kept_within(closed[count:])
    assert not any(kept_within(closed[fewer:]) for fewer in range(count))


def test_unlink_takes_the_logs_along_and_minds_nothing(tmp_path: Path) -> None:
    for name in ("00000003.sqlite", "00000003.sqlite-wal", "00000003.sqlite-shm", "00000004.sqlite"):
        (tmp_path / name).touch()
    unlink(tmp_path, 3)
    unlink(tmp_path, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["00000004.sqlite"]


def test_orphans_are_what_the_registry_does_not_know_below_the_written_one(tmp_path: Path) -> None:
    for name in ("00000001.sqlite-wal", "00000002.sqlite", "00000003.sqlite", "00000004.sqlite", "lock", "9.txt"):
        (tmp_path / name).touch()
    unlink_orphans(tmp_path, [3], below=4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000003.sqlite", "00000004.sqlite", "9.txt", "lock"]
