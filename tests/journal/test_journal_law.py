"""The journal against a model of it, over any course of events."""

import asyncio
import math
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from journal import Asked, Facts, Mark, Minute
from tests.support.journals import START, Written, happened, served, written

AHEAD = {"one": 0.0, "two": 45.0, "three": -3600.0}
"""Replicas' clocks, in seconds before the store's."""
OUTCOMES = ("ok", "no_account", "cancelled")

EVENTS = st.one_of(
    *[
        st.tuples(
            st.just("serve"),
            st.sampled_from(sorted(AHEAD)),
            st.sampled_from(OUTCOMES),
            st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(("ok", "throttled"))), max_size=3),
            st.sampled_from((0.01, 0.5, 3.0, 1000.0)),
        )
    ]
    * 4,
    st.tuples(st.just("happen"), st.sampled_from(sorted(AHEAD)), st.sampled_from(("well", "expired"))),
    *[st.tuples(st.just("flush"), st.sampled_from(sorted(AHEAD)), st.booleans())] * 2,
    st.tuples(st.just("look"), st.integers(0, 1)),
    *[st.tuples(st.just("pass"), st.sampled_from((0.25, 1.0, 31.0, 95.0)))] * 2,
)


class Model:
    """What was noted: when, by the store's clock, and what it counts."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, float]] = []
        self.happened: list[tuple[str, float]] = []
        self.counts: dict[int, Counter[tuple[str, ...]]] = {}
        self.marks: dict[int, Mark] = {}
        self.read: dict[int, tuple[set[str], dict[int, Minute]]] = {0: (set(), {}), 1: (set(), {})}


async def _step(model: Model, book: Written, event: tuple[Any, ...]) -> None:
    match event:
        case "serve", replica, outcome, asked, seconds:
            id = str(len(model.noted))
            model.noted.append((id, book.now))
            attempts = tuple(Asked(account, how, 0.1) for account, how in asked)
            book.journal(replica, ahead=AHEAD[replica])
            entry = served(
                book.now_of(replica), id, outcome, asked=attempts, seconds=seconds, first_content=None
            )
            book.journal(replica).served(entry)
            counts = model.counts.setdefault(math.floor(book.now / 60) * 60, Counter())
            counts["served", outcome] += 1
            for account, how in asked:
                counts["asked", account, how] += 1
            if outcome == "ok":
                counts["seconds", {0.01: "0.01", 0.5: "0.5", 3.0: "5", 1000.0: "+Inf"}[seconds]] += 1
        case "happen", replica, outcome:
            detail = str(len(model.happened))
            model.happened.append((detail, book.now))
            book.journal(replica, ahead=AHEAD[replica])
            book.journal(replica).happened(
                happened(book.now_of(replica), detail, kind="probe", account="a", outcome=outcome)
            )
        case "flush", replica, answered:
            journal = book.journal(replica, ahead=AHEAD[replica])
            if not answered:
                # What was written, but whose answer was lost, is sent again.
                journal._underway = journal._underway or journal._cut()
                await journal._written(journal._underway, Facts(), 10.0)
            else:
                await journal.flush()
        case "look", reader:
            await _read_on(model, book, reader)
        case "pass", seconds:
            await book.pass_(seconds)


async def _read_on(model: Model, book: Written, reader: int) -> None:
    news = await book.journal("one").look(model.marks.get(reader, Mark()))
    model.marks[reader] = news.mark
    ids, minutes = model.read[reader]
    new = {entry.id for entry in news.served} | {f"h{entry.detail}" for entry in news.happened}
    assert not new & ids  # nothing is told twice
    ids |= new
    minutes.update((minute.start, minute) for minute in news.minutes)


def _flat(minute: Minute) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for outcome, number in minute.served.items():
        counts["served", outcome] += number
    for account, outcomes in minute.asked.items():
        for outcome, number in outcomes.items():
            counts["asked", account, outcome] += number
    for bound, number in minute.seconds.items():
        counts["seconds", bound] += number
    return counts


@given(st.lists(EVENTS, min_size=20, max_size=70))
@examples(max_examples=40)
def test_every_request_is_counted_once_in_its_minute(valkey_url: str, events: list[tuple[Any, ...]]) -> None:
    """Whatever replica noted it, whenever it was written and however often it was sent: each request stands in the list once,
    with its time by the store's clock, and in its minute's counts once; and who reads on is told everything once."""

    async def run() -> None:
        async with written(valkey_url) as book:
            await book.store.flushall()
            await book.pass_(0)
            model = Model()
            for event in events:
                await _step(model, book, event)
            for replica, ahead in AHEAD.items():
                await book.journal(replica, ahead=ahead).flush()
            found = await book.journal("one").look()
            assert [entry.at for entry in found.served] == sorted((at for _, at in model.noted), reverse=True)
            assert {(entry.id, entry.at) for entry in found.served} == set(model.noted)
            assert {(entry.detail, entry.at) for entry in found.happened} == set(model.happened)
            assert len(found.happened) == len(model.happened)
            known = {minute.start: _flat(minute) for minute in found.minutes}
            oldest = math.floor(book.now / 60) * 60 - 89 * 60
            assert known == {start: counts for start, counts in model.counts.items() if start >= oldest}
            for reader in model.read:
                await _read_on(model, book, reader)
                ids, minutes = model.read[reader]
                assert ids == {id for id, _ in model.noted} | {f"h{id}" for id, _ in model.happened}
                assert {start: _flat(minute) for start, minute in minutes.items() if start >= oldest} == known

    asyncio.run(run())


async def test_the_lists_are_capped(book: Written) -> None:
    """The last 500 requests and 1,000 happenings stay, newest first, however many came; counts are of all."""
    journal = book.journal()
    for number in range(1200):
        if number % 400 == 0:
            await journal.flush()
        await book.pass_(0.01)
        journal.served(served(book.now, str(number)))
        journal.happened(happened(book.now, str(number)))
    await journal.flush()
    assert [entry.id for entry in await journal.recent()] == [str(n) for n in range(1199, 699, -1)]
    assert [entry.detail for entry in await journal.happenings()] == [str(n) for n in range(1199, 199, -1)]
    assert sum(minute.served["ok"] for minute in await journal.minutes()) == 1200


async def test_minutes_are_kept_for_ninety(book: Written) -> None:
    """Older ones are told no more, and leave the store by themselves."""
    journal = book.journal()
    for _ in range(100):
        journal.served(served(book.now))
        await journal.flush()
        await book.pass_(60)
    minutes = await journal.minutes()
    assert len(minutes) == 89
    assert minutes[-1].start == START + 99 * 60
    lives = [await book.store.pttl(key) for key in await book.store.keys("{gempool-journal}:m:*")]
    assert all(0 < life <= 91 * 60_000 for life in lives)
