"""The sink's side of the contract: what it takes, skips, refuses, acknowledges; failures and the channels beside it."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bridge.api import Opened, Refused, SessionEnd, Unavailable
from bridge.testing.doubles import FakeContext
from connectors.journal.client import COMMIT_MESSAGES, JournalWriter
from connectors.journal.segment import WrittenSegment
from tests.unit.connectors.journal.helpers import A2, A, B, Writing, batch, hole, opened_store, start, told, write


async def test_an_empty_journal_opens_as_nothing(tmp_path: Path) -> None:
    writing = await Writing(tmp_path / "j").open()
    assert writing.opened is None
    await writing.done()
    writing = await Writing(tmp_path / "j").open()
    await writing.put([start()])
    await writing.done()
    again = await Writing(tmp_path / "j").open()
    assert again.opened == Opened(A, None, None)
    await again.done()


async def test_open_tells_tail_and_what_is_decided(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(A), batch(0, [b"x"]), start(A2, 7), batch(7, [b"y"], A2), hole(8, 9, A2)])
    again = await Writing(tmp_path / "j").open()
    assert again.opened == Opened(A2, 7, 9)
    await again.done()


async def test_what_is_stored_is_skipped_and_acknowledged(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(), batch(0, [b"0", b"1", b"2"]), hole(3, 4)])
    again = await Writing(tmp_path / "j").open()
    other = [batch(0, [b"?"]), batch(1, [b"?", b"?"]), hole(3, 6), batch(7, [b"7"])]
    await again.put([start(), *other])
    await again.done()
    assert again.listener.acknowledged[:2] == [(A, 0), (A, 2)]
    assert again.listener.acknowledged[-1] == (A, 7)
    store = await opened_store(tmp_path / "j")
    expected = {
        0: b"0",
        1: b"1",
        2: b"2",
        3: "never: wire",
        4: "never: wire",
        5: "never: wire",
        6: "never: wire",
        7: b"7",
    }
    assert await told(store, A, 0, 7) == expected
    await store.close()


async def test_a_batch_is_cut_where_the_tail_is(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(), batch(0, [b"0", b"1"])])
    await write(tmp_path / "j", [start(), batch(0, [b"?", b"?", b"2"]), batch(5, [b"5", b"8"], numbers=[5, 8])])
    await write(tmp_path / "j", [start(), batch(5, [b"?", b"?", b"9"], numbers=[5, 8, 9])])
    store = await opened_store(tmp_path / "j")
    gap = "never: filtered"
    assert await told(store, A, 0, 10) == {
        0: b"0", 1: b"1", 2: b"2", 3: gap, 4: gap, 5: b"5", 6: gap, 7: gap, 8: b"8", 9: b"9", 10: "not yet",
    }  # fmt: skip
    await store.close()


async def test_backwards_is_our_own_mistake(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(A), batch(0, [b"x"])])
    writing = await Writing(tmp_path / "j").open()
    submit = writing.sink.submit
    with pytest.raises(ValueError, match="was not begun"):
        submit(batch(1, [b"x"]))
    submit(start(A2, 5))
    submit(batch(5, [b"x", b"y"], A2))
    for wrong in (batch(6, [b"x"], A2), hole(0, 4, A2), batch(2**63, [b"x"], A2)):
        with pytest.raises(ValueError, match="must rise"):
            submit(wrong)
    with pytest.raises(ValueError, match="begun already"):
        submit(start(A2))
    with pytest.raises(ValueError, match="is epoch 1, the channel is at 2"):
        submit(start(A))
    await writing.done()
    with pytest.raises(ValueError, match="closed"):
        submit(batch(9, [b"x"], A2))


async def test_two_commits_worth_in_flight_are_full(tmp_path: Path) -> None:
    writing = await Writing(tmp_path / "j", commit_interval="1s").open()
    await writing.put([start()])
    payloads = [b"x"] * (COMMIT_MESSAGES // 4)
    taken = 0
    while writing.sink.submit(batch(taken * len(payloads), payloads)):
        taken += 1
    assert taken == 8
    await writing.listener.change()
    assert writing.sink.submit(batch(taken * len(payloads), payloads))
    await writing.done()
    assert writing.listener.through(A) == 9 * len(payloads) - 1


async def test_two_large_batches_are_full_and_one_is_not(tmp_path: Path) -> None:
    writing = await Writing(tmp_path / "j", commit_interval="1s").open()
    await writing.put([start()])
    huge = [b"x" * (3 * 2**20)]
    assert [writing.sink.submit(batch(n, huge)) for n in range(3)] == [True, True, False]
    await writing.done()
    assert writing.listener.through(A) == 1


async def test_channels_share_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    real = WrittenSegment.append

    def counted(self: WrittenSegment, rows: list[object]) -> None:
        commits.append(len(rows))
        real(self, rows)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(WrittenSegment, "append", counted)
    context = FakeContext("j", tmp_path)
    one = await Writing(tmp_path / "j", context, commit_interval="20ms").open("a")
    two = await Writing(tmp_path / "j", context, commit_interval="20ms").open("b")
    await one.put([start()])
    await two.put([start(B)])
    await one.sink.close(True)  # claims are in
    one = await Writing(tmp_path / "j", context, commit_interval="20ms").open("a")
    await one.put([start()])
    for n in range(3):
        await one.put([batch(n, [b"x"])])
        await two.put([batch(n, [b"y"], B)])
    await asyncio.gather(one.listener.reaches(A, 2), two.listener.reaches(B, 2))
    assert commits == [6]
    await one.done()
    await two.done()
    await context.close()


async def test_ends_and_later_streams_are_in_the_registry(tmp_path: Path) -> None:
    await write(tmp_path / "j", [start(A), batch(0, [b"x"]), SessionEnd(A, 1), start(A2), batch(0, [b"y"], A2)])
    store = await opened_store(tmp_path / "j")
    found = [(i.epoch, i.stream, i.end, i.tail) for i in await store.streams("a")]
    assert found == [(1, A, 1, 0), (2, A2, None, 0)]
    await store.close()


async def test_a_failed_commit_fails_every_channel_and_a_new_object_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = FakeContext("j", tmp_path)
    one, two = Writing(tmp_path / "j", context), Writing(tmp_path / "j", context)
    await one.open("a")
    await two.open("b")
    await one.put([start(), batch(0, [b"0"])])
    await two.put([start(B), batch(0, [b"0"], B)])
    await asyncio.gather(one.listener.reaches(A, 0), two.listener.reaches(B, 0))

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(WrittenSegment, "append", full)
        await one.put([batch(1, [b"1"])])
        failures = [await one.listener.fails(), await two.listener.fails()]
    assert {type(failure) for failure in failures} == {Unavailable}
    assert all("no space left for journal" in str(failure) for failure in failures)
    assert not one.sink.submit(batch(2, [b"2"]))
    new = await Writing(tmp_path / "j", context).open("a")  # before the dead ones are closed
    await one.sink.close(True)
    await two.sink.close(False)
    assert new.opened == Opened(A, 0, 0)
    await new.put([start(first=1), batch(1, [b"1"])])
    await new.done()
    assert new.listener.through(A) == 1
    assert one.listener.broken == two.listener.broken == []
    await context.close()


async def test_a_second_table_on_the_same_path_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    first = await Writing(tmp_path / "j").open()
    second = Writing(tmp_path / "j")
    with pytest.raises(Refused, match="written already"):
        await second.open()
    await second.sink.close(False)
    await first.done()
    third = await Writing(tmp_path / "j").open()
    await third.done()


async def test_a_cancelled_open_gives_the_lock_back(tmp_path: Path) -> None:
    for turns in range(4):
        writing = Writing(tmp_path / "j")
        opening = asyncio.ensure_future(writing.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await writing.sink.close(False)
        again = await Writing(tmp_path / "j").open()
        await again.done()


async def test_close_without_drain_is_a_prefix(tmp_path: Path) -> None:
    writing = await Writing(tmp_path / "j", commit_interval="20ms").open()
    await writing.put([start(), batch(0, [b"x"])])
    await writing.listener.reaches(A, 0)
    await writing.put([batch(1, [b"y"])])
    await writing.sink.close(False)
    again = await Writing(tmp_path / "j").open()
    assert again.opened is not None
    assert again.opened.tail in (0, 1)
    await again.done()


async def test_age_is_looked_at_while_nothing_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()
    real = JournalWriter._removed

    def removed(self: JournalWriter, messages: int) -> None:
        real(self, messages)
        if messages:
            looked.set()

    monkeypatch.setattr(JournalWriter, "_removed", removed)
    writing = await Writing(tmp_path / "j", max_age="100ms").open()
    await writing.put([start(), batch(0, [b"x"] * 7)])
    await writing.listener.reaches(A, 6)
    await looked.wait()
    assert writing.context.counts["journal_trimmed_messages"] == 7
    store = await opened_store(tmp_path / "j")
    assert await told(store, A, 5, 8) == {5: "trimmed", 6: "trimmed", 7: "not yet", 8: "not yet"}
    await store.close()
    await writing.done()


async def test_the_shared_writer_can_be_closed_first(tmp_path: Path) -> None:
    context = FakeContext("j", tmp_path)
    writing = await Writing(tmp_path / "j", context).open()
    assert isinstance(context.shared("journal", lambda: None), JournalWriter)  # type: ignore[arg-type, return-value]  # it is there
    await context.close()
    await writing.sink.close(False)
    other = await Writing(tmp_path / "j").open()
    await other.done()
