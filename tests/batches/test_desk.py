"""The desk: batches are taken in, found, watched and cancelled, in whichever replica."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from core.chat import Answer, Ask
from core.errors import Conflict, IdempotencyKeyReused, NotFound, PromptRefused, ShuttingDown
from engine.service import Batch, Numbered, Outcome
from storage import name_of
from tests.fakes.decided import words
from tests.support.crew import Crew, Hand, ended, new, outcomes, until
from tests.support.files import PNG


@pytest.fixture
async def crew(empty_valkey: str, tmp_path: Path) -> AsyncIterator[Crew]:
    """Starts replicas on one empty store."""
    crew = Crew(empty_valkey, tmp_path)
    yield crew
    await crew.close()


def echo(ask: Ask) -> Answer | Exception:
    text = ask.messages[-1].text
    return PromptRefused("No.") if text.endswith(" 3") else words(f"answer to {text}")


async def watched(changes: AsyncGenerator[Batch | Numbered, None]) -> list[Batch | Numbered]:
    async with aclosing(changes):
        return [change async for change in changes]


def true_to_its_word(changes: list[Batch | Numbered], after: int = 0) -> None:
    """What every watcher may rely on."""
    first, *rest = changes
    assert isinstance(first, Batch)
    number = after
    for change in rest:
        if isinstance(change, Numbered):
            number += 1
            assert change.number == number
        else:
            assert change.outcomes <= max(number, after)
            assert change.completed + change.failed + change.cancelled + change.pending == change.total
    last = changes[-1]
    assert isinstance(last, Batch)
    assert last.ended
    assert number == max(after, last.outcomes)


async def test_every_replica_tells_the_same(crew: Crew) -> None:
    """One takes the batch in, another runs it, a third is asked for it."""
    first, second, third = crew.hand(worker=False), crew.hand(), crew.hand(worker=False)
    second.chat.decide = echo
    batch = await new(first, 5)
    found = await ended(third, batch)
    assert (found.completed, found.failed) == (4, 1)
    assert [one.index for one in await outcomes(third, found)] == [0, 1, 2, 4]
    assert [one.index for one in await outcomes(third, found, ok=False)] == [3]
    page = await third.desk.listed("ann", limit=5)
    assert page.batches == (await first.desk.find(batch.id, "ann"),)
    assert first.value("gempool_batches_created_total", kind="chat") == 1


async def test_a_watcher_is_told_everything_in_order(crew: Crew) -> None:
    """How it stands at once, then every outcome before the first count of it, and at last the end."""
    hand, other = crew.hand(), crew.hand(worker=False)
    batch = await new(hand, 10, concurrency=3)
    watching = [asyncio.create_task(watched(one.desk.watch(batch.id, "ann"))) for one in (hand, other, other)]
    await until(lambda: len(hand.chat.open) == 3)
    hand.chat.decide = echo
    hand.chat.end_all()
    for changes in await asyncio.gather(*watching):
        true_to_its_word(changes)
        first = changes[0]
        assert isinstance(first, Batch)
        assert not first.ended
        told = [change.outcome for change in changes if isinstance(change, Numbered)]
        assert sorted(outcome.index for outcome in told) == list(range(10))
        assert [outcome.code for outcome in told if not outcome.ok] == ["content_filter"]


async def test_a_change_is_told_at_once(crew: Crew) -> None:
    """A watcher does not wait for its next look."""
    hand, other = crew.hand(), crew.hand(worker=False)
    batch = await new(hand, 5)
    await until(lambda: len(hand.chat.open) == 5)
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    async with aclosing(other.desk.watch(batch.id, None)) as changes:
        told = await anext(changes)
        for request_id in sorted(hand.chat.open):
            await asyncio.sleep(0.3)  # past the pause between two looks
            began = loop.time()
            hand.chat.end(request_id, words())
            while not isinstance(told, Numbered):
                told = await anext(changes)
            waits.append(loop.time() - began)
            told = await anext(changes)
    assert sorted(waits)[2] < 0.2


@pytest.mark.parametrize("after", [0, 1, 7, 250, 300])
async def test_a_watcher_goes_on_where_it_was(crew: Crew, after: int) -> None:
    """After that number, also in a batch that has ended, and through more outcomes than are read at a time."""
    hand = crew.hand()
    hand.chat.decide = echo
    batch = await new(hand, 300)
    end = await ended(hand, batch)
    changes = await watched(hand.desk.watch(batch.id, "ann", after))
    true_to_its_word(changes, after)
    assert len(changes) == 300 - after + 2
    assert changes[0] == changes[-1] == end


async def test_a_watcher_of_what_is_not_there_is_told_so(crew: Crew) -> None:
    """Before anything else; another owner's batch is not there either."""
    hand = crew.hand()
    batch = await new(hand)
    for id, owner in (("batch_unknown", "ann"), (batch.id, "bob")):
        with pytest.raises(NotFound):
            await anext(hand.desk.watch(id, owner))


async def test_a_watcher_that_goes_takes_nobody_with_it(crew: Crew) -> None:
    """Others who watch the same batch are told on."""
    hand = crew.hand()
    batch = await new(hand)
    going = hand.desk.watch(batch.id, "ann")
    await anext(going)
    staying = asyncio.create_task(watched(hand.desk.watch(batch.id, "ann")))
    await going.aclose()
    await until(lambda: hand.chat.open)
    hand.chat.end_all()
    true_to_its_word(await staying)


async def test_a_stop_ends_all_watching(crew: Crew) -> None:
    """At once, so that it waits for nobody; each goes on at another replica from where it was."""
    hand, other = crew.hand(), crew.hand(worker=False)
    batch = await new(hand, 2)
    await until(lambda: len(hand.chat.open) == 2)
    changes = hand.desk.watch(batch.id, "ann")
    await anext(changes)
    waiting = asyncio.ensure_future(anext(changes))
    hand.desk.interrupt()
    with pytest.raises(ShuttingDown):
        async with asyncio.timeout(1):
            await waiting
    hand.chat.end_all()
    true_to_its_word(await watched(other.desk.watch(batch.id, "ann")))


async def test_a_cancelled_batch_runs_no_further(crew: Crew) -> None:
    """What runs may finish and counts; the watcher is told the end; a second cancel is no error, but one of an ended batch is."""
    hand = crew.hand()
    batch = await new(hand, 10, concurrency=2)
    await until(lambda: len(hand.chat.open) == 2)
    watching = asyncio.create_task(watched(hand.desk.watch(batch.id, "ann")))
    found, now = await hand.desk.cancel(batch.id, "ann")
    assert (found.state, found.cancelled, found.pending, now) == ("cancelling", 8, 2, True)
    assert not (await hand.desk.cancel(batch.id, "ann"))[1]
    hand.chat.end_all()
    changes = await watching
    true_to_its_word(changes)
    end = await hand.desk.find(batch.id, "ann")
    assert changes[-1] == end
    assert (end.state, end.completed, end.cancelled) == ("cancelled", 2, 8)
    assert len(hand.chat.asks) == 2
    hand.chat.decide = echo
    whole = await ended(hand, await new(hand))
    with pytest.raises(Conflict):
        await hand.desk.cancel(whole.id, "ann")


async def test_a_key_stands_for_one_batch(crew: Crew) -> None:
    """The same order again is the same batch, in another replica too, and is counted once; another order is refused."""
    hand, other = crew.hand(), crew.hand()
    batch = await new(hand, 2, key="k")
    assert (await new(other, 2, key="k")).id == batch.id
    with pytest.raises(IdempotencyKeyReused):
        await new(other, 3, key="k")
    assert other.value("gempool_batches_created_total", kind="chat") == 0


async def stored(hand: Hand) -> Outcome:
    link = await hand.local.put(name_of("a fox", "image/png", 0.0), PNG, "image/png")
    return Outcome(0, 1, 1.0, link=link, mime="image/png")


async def test_a_results_picture_is_read_and_linked(crew: Crew) -> None:
    """Its bytes as stored; a link of the gateway's own stays as it is. What was swept meanwhile, or never was a picture, is
    None."""
    hand = crew.hand(start=False)
    outcome = await stored(hand)
    assert await hand.desk.picture(outcome) == PNG
    assert await hand.desk.link(outcome) == outcome.link
    assert await hand.desk.picture(Outcome(0, 1, 1.0, text="words")) is None
    gone = Outcome(0, 1, 1.0, link=f"/files/{name_of('gone', 'image/png', 0.0)}")
    assert await hand.desk.picture(gone) is None
