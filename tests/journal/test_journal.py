"""The journal on a real store."""

import asyncio

import pytest

from core.clock import SystemClock
from core.errors import StoreUnavailable
from core.masking import hiding
from journal import Asked, Facts, Journal, Minute
from tests.support.journals import START, Written, happened, served


async def test_what_any_replica_noted_is_told_by_all(book: Written) -> None:
    """Requests and happenings of two replicas are in one list, newest first, with the store's time."""
    one, two = book.journal("one"), book.journal("two", ahead=30.0)
    one.served(served(START, "a"))
    await book.pass_(0.25)
    two.served(served(book.now_of("two"), "b"))
    two.happened(happened(book.now_of("two"), "c"))
    await book.pass_(0.5)
    for journal in (one, two):
        await journal.flush()
    for journal in (one, two):
        assert {(entry.id, entry.at) for entry in await journal.recent()} == {
            ("a", START),
            ("b", START + 0.25),
        }
        [entry] = await journal.happenings()
        assert (entry.detail, entry.at, entry.replica) == ("c", START + 0.25, "two")


async def test_a_minute_counts_accounts_outcomes_and_durations(book: Written) -> None:
    """Attempts by account and outcome, requests by outcome, and well requests' durations by the bound of their bucket."""
    journal = book.journal()
    tried = (Asked("alice", "throttled", 0.2), Asked("bob", "ok", 1.1))
    journal.served(served(seconds=1.3, first_content=0.05, asked=tried))
    journal.served(served(seconds=400.0, first_content=None, asked=()))
    journal.served(served(outcome="no_account", asked=()))
    await journal.flush()
    assert await journal.minutes() == (
        Minute(
            start=int(START),
            asked={"alice": {"throttled": 1}, "bob": {"ok": 1}},
            served={"ok": 2, "no_account": 1},
            seconds={"2.5": 1, "+Inf": 1},
            first_content={"0.05": 1},
        ),
    )


async def test_a_reader_gets_what_is_new_since_it_looked(book: Written) -> None:
    """Entries that were told once are not told again, and of the minutes only those that changed, whole."""
    journal = book.journal()
    journal.served(served(START, "a"))
    await journal.flush()
    first = await journal.look()
    assert [entry.id for entry in first.served] == ["a"]
    await book.pass_(60)
    journal.served(served(START + 60, "b"))
    journal.happened(happened(START + 60, "x"))
    await journal.flush()
    news = await journal.look(first.mark)
    assert [entry.id for entry in news.served] == ["b"]
    assert [entry.detail for entry in news.happened] == ["x"]
    assert [minute.start for minute in news.minutes] == [START + 60]
    nothing = await journal.look(news.mark)
    assert (nothing.served, nothing.happened, nothing.minutes) == ((), (), ())
    assert nothing.mark == news.mark


async def test_a_reader_of_a_store_that_lost_its_data_gets_all(book: Written) -> None:
    """What is there then is told, though the reader had seen more entries before."""
    journal = book.journal()
    for _ in range(3):
        journal.served(served())
    await journal.flush()
    mark = (await journal.look()).mark
    await book.store.flushall()
    await book.pass_(0)
    journal.served(served(id="new"))
    await journal.flush()
    news = await journal.look(mark)
    assert [entry.id for entry in news.served] == ["new"]
    assert [minute.served for minute in news.minutes] == [{"ok": 1}]


async def test_what_happens_all_day_crowds_nothing_out(book: Written) -> None:
    """Well probes and rotations have a list of their own; all of an account's are in its history."""
    journal = book.journal()
    journal.happened(happened(detail="seldom"))
    journal.happened(happened(kind="probe", account="alice", outcome="expired"))
    for _ in range(1500):
        journal.happened(happened(kind="probe", account="alice", outcome="well"))
    await journal.flush()
    found = await journal.happenings()
    assert len(found) == 202
    assert {entry.outcome for entry in found} == {"told", "expired", "well"}
    history = await journal.history("alice")
    assert len(history) == 100
    assert {entry.kind for entry in history} == {"probe"}
    assert await journal.history("bob") == ()


async def test_nothing_secret_reaches_the_store(book: Written) -> None:
    """What looks like a cookie or a key, or is one that this very request brought, is masked; long words are cut."""
    journal = book.journal()
    with hiding(["my-own-secret-key"]):
        journal.served(served(model="my-own-secret-key", caller="x" * 500))
    journal.happened(happened(detail="__Secure-1PSID=g.a000abcdef; was refused " + "y" * 500))
    await journal.flush()
    [entry], [note] = await journal.recent(), await journal.happenings()
    assert entry.model == "***"
    assert len(entry.caller) == 120
    assert note.detail.startswith("__Secure-1PSID=***; was refused")
    assert len(note.detail) == 240


async def test_text_that_is_no_unicode_is_written(book: Written) -> None:
    """Half a surrogate in a model's name stands in nobody's way."""
    journal = book.journal()
    journal.served(served(model="half \ud83d"))
    journal.served(served(id="next"))
    await journal.flush()
    assert len(await journal.recent()) == 2


async def test_a_store_that_is_away_loses_the_oldest_entries_only(empty_valkey: str) -> None:
    """They are kept up to the bound; the newest reach the store when it is back."""
    away = Journal("unix:///nowhere/s", SystemClock(), "one", timeout=0.1, waiting=3)
    for number in range(5):
        away.served(served(id=str(number)))
    with pytest.raises(StoreUnavailable):
        await away.flush()
    away.served(served(id="last"))
    assert away.dropped == {"requests": 2}
    await away.close()


async def test_close_writes_what_is_left(empty_valkey: str) -> None:
    """A replica that ends loses nothing, and is among the living no more."""
    clock = SystemClock()
    one, two = (Journal(empty_valkey, clock, name, every=3600) for name in ("one", "two"))
    one.facts = lambda: Facts(alerts_pending=2)
    for journal in (one, two):
        journal.start()
        await journal.flush()
    assert (await two.look()).replicas == {"one": Facts(alerts_pending=2), "two": Facts()}
    one.served(served(clock.now()))
    await asyncio.wait_for(one.close(), 2)
    news = await two.look()
    assert len(news.served) == 1
    assert set(news.replicas) == {"two"}
    await two.close()


async def test_a_replica_that_died_is_not_told_for_long(book: Written) -> None:
    """What it told of itself holds for ten seconds."""
    one, two = book.journal("one"), book.journal("two")
    await one.flush()
    await book.pass_(9)
    await two.flush()
    assert set((await two.look()).replicas) == {"one", "two"}
    await book.pass_(2)
    await two.flush()
    assert set((await two.look()).replicas) == {"two"}
