"""Workers: what they ask, what becomes of a task, and that no task is lost or told twice, whoever goes in between."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from batches.books import Books, Task
from core.chat import Answer, Ask
from core.errors import NoAccount, PoolBusy, PromptRefused, UpstreamFailed
from engine.service import Batch, Outcome
from tests.fakes.decided import pictures, words
from tests.support.books import Backup
from tests.support.crew import Crew, Hand, ended, new, outcomes, pictures_wanted, until


@pytest.fixture
async def crew(empty_valkey: str, tmp_path: Path) -> AsyncIterator[Crew]:
    """Starts workers on one empty store."""
    crew = Crew(empty_valkey, tmp_path)
    yield crew
    await crew.close()


def echo(ask: Ask) -> Answer:
    return words(f"answer to {ask.messages[-1].text}")


async def asked(hand: Hand, count: int = 1) -> list[str]:
    """The request ids of what the chat service is asked now, once there are so many."""
    await until(lambda: len(hand.chat.open) == count)
    return sorted(hand.chat.open)


async def test_every_prompt_gets_its_answer(crew: Crew) -> None:
    """By its index, whichever came first; each is asked once, behind live requests and in nobody's conversation."""
    hand = crew.hand()
    batch = await new(hand, 5)
    first, *others = await asked(hand, 5)
    for request_id in [*others, first]:
        hand.chat.end(request_id, words(f"answer to {request_id}"))
    found = await ended(hand, batch)
    assert (found.state, found.completed) == ("completed", 5)
    assert [(one.index, one.text, one.tries) for one in await outcomes(hand, found)] == [
        (index, f"answer to {batch.id}-{index}", 1) for index in range(5)
    ]
    ask = next(ask for ask in hand.chat.asks if ask.request_id == f"{batch.id}-3")
    assert ask.messages[-1].text == "prompt 3"
    assert (ask.model, ask.caller, ask.background) == ("gemini-3-flash-preview", "ann's key", True)
    assert (ask.picture, ask.conversation, ask.stream) == (None, "temporary", False)
    assert len(hand.chat.asks) == 5
    assert hand.runs("completed") == 5
    assert hand.value("gempool_batch_task_duration_seconds_count", kind="chat") == 5


async def test_a_pictures_result_is_its_link(crew: Crew) -> None:
    """It is stored whatever form was wished, measured, and a second one that came along is let go of."""
    hand = crew.hand()
    hand.chat.decide = lambda ask: pictures("/files/one.png", "/files/two.png")
    found = await ended(hand, await pictures_wanted(hand))
    [result] = await outcomes(hand, found)
    assert (result.link, result.mime, result.watermark) == ("/files/one.png", "image/png", "removed")
    assert (result.width, result.height) == (640, 480)
    assert hand.discarded == ["/files/two.png"]
    wish = hand.chat.asks[0].picture
    assert wish is not None
    assert (wish.link, wish.pixels) == (True, 2048)


async def test_pictures_that_nobody_asked_for_stand_in_the_text(crew: Crew) -> None:
    """A chat's answer may hold some: they are linked, and an answer of a picture alone is no empty one."""
    hand = crew.hand()
    hand.chat.decide = lambda ask: pictures("/files/a (1).png", "/files/b.png")
    found = await ended(hand, await new(hand))
    [result] = await outcomes(hand, found)
    assert result.text == "![image](/files/a%20%281%29.png)\n\n![image](/files/b.png)"
    assert hand.discarded == []


async def test_a_picture_that_was_not_stored_is_made_again(crew: Crew) -> None:
    """Its bytes would be lost; so this is a failure that may pass."""
    hand = crew.hand()
    answers = iter([pictures(""), pictures("/files/one.png")])
    hand.chat.decide = lambda ask: next(answers)
    [result] = await outcomes(hand, await ended(hand, await pictures_wanted(hand)))
    assert (result.link, result.tries) == ("/files/one.png", 2)


async def test_what_may_heal_is_tried_again(crew: Crew) -> None:
    """Later, and the result says how often; the others are not held up."""
    hand = crew.hand(backoff=0.1)
    failures = iter([UpstreamFailed(), ValueError("a fault of ours")])

    def fail_first(ask: Ask) -> Answer | Exception:
        return next(failures, echo(ask)) if ask.request_id.endswith("-1") else echo(ask)

    hand.chat.decide = fail_first
    found = await ended(hand, await new(hand, 3))
    assert [one.tries for one in await outcomes(hand, found)] == [1, 3, 1]
    assert (hand.runs("retried"), hand.runs("completed")) == (2, 3)


async def test_a_batch_that_waits_for_a_next_try_says_so(crew: Crew) -> None:
    """Nothing of it runs meanwhile, and nothing else would tell why."""
    hand = crew.hand(backoff=3600.0)
    hand.chat.decide = lambda ask: UpstreamFailed()
    batch = await new(hand)
    found = await until(lambda: _why(hand, batch))
    assert found == "A task failed, and waits for its next try."


async def _why(hand: Hand, batch: Batch) -> str:
    return (await hand.desk.find(batch.id, None)).why


async def test_tries_are_bounded(crew: Crew) -> None:
    """Then the task has failed, with the error's code; a batch without any result has failed as a whole."""
    hand = crew.hand(tries=3)
    hand.chat.decide = lambda ask: UpstreamFailed()
    found = await ended(hand, await new(hand))
    assert (found.state, found.failed) == ("failed", 1)
    [error] = await outcomes(hand, found, ok=False)
    assert (error.code, error.tries, error.message) == ("upstream_failed", 3, UpstreamFailed().message)
    assert len(hand.chat.asks) == 3


async def test_a_run_that_put_the_accounts_to_rest_is_a_try(crew: Crew) -> None:
    """What fails on every account would otherwise be asked for ever, and hold up the tasks behind it."""
    hand = crew.hand(tries=3)

    def decide(ask: Ask) -> Answer | Exception:
        if ask.messages[-1].text != "prompt 0":
            return words()
        ask.trace.failed = 2
        return PoolBusy("All accounts are busy. Please try again in 30 seconds.", retry_after=30.0)

    hand.chat.decide = decide
    batch = await new(hand, 3)
    found = await ended(hand, batch)
    [error] = await outcomes(hand, found, ok=False)
    assert (found.completed, error.index, error.code, error.tries) == (2, 0, "upstream_failed", 3)


async def test_live_requests_are_left_what_they_use(crew: Crew) -> None:
    """What they used at once of late in any replica is left to them, and one more."""
    one, other = crew.hand(start=False), crew.hand(start=False)
    for hand, demand in ((one, 2), (other, 3)):
        hand.capacity, hand.demand = 10, demand
        hand.worker.start()
    await until(lambda: one.worker.tally.demand == other.worker.tally.demand == 5)
    await new(one, 20)
    await until(lambda: len(one.chat.open) + len(other.chat.open) == 4)
    for hand in (one, other):
        hand.demand = 0
    await until(lambda: len(one.chat.open) + len(other.chat.open) == 9)
    one.chat.end_all()
    other.chat.end_all()


async def test_what_cannot_heal_fails_at_once(crew: Crew) -> None:
    """A refused prompt is not sent a second time."""
    hand = crew.hand()
    hand.chat.decide = lambda ask: PromptRefused("I cannot.") if ask.request_id.endswith("-0") else echo(ask)
    found = await ended(hand, await new(hand, 2))
    assert (found.state, found.completed, found.failed) == ("completed", 1, 1)
    [error] = await outcomes(hand, found, ok=False)
    assert (error.code, error.message, error.tries) == ("content_filter", "I cannot.", 1)


async def test_a_task_without_an_account_waits(crew: Crew) -> None:
    """It is pending, the batch says for what, and the wait is no try, however often it is made."""
    hand = crew.hand(tries=1)
    busy = PoolBusy("All accounts are busy. Please try again in 1 seconds.", retry_after=0.01)
    hand.chat.decide = lambda ask: busy
    batch = await new(hand)
    await until(lambda: hand.runs("returned") >= 2)
    waiting = await hand.desk.find(batch.id, "ann")
    assert (waiting.state, waiting.pending, waiting.failed) == ("running", 1, 0)
    assert waiting.why == "All accounts are busy."
    hand.chat.decide = echo
    found = await ended(hand, batch)
    [result] = await outcomes(hand, found)
    assert (result.tries, found.why) == (1, "")


@pytest.mark.parametrize(
    ("capacity", "concurrency", "share", "most"), [(8, 100, 50, 4), (100, 3, 100, 3), (1, 100, 50, 1)]
)
async def test_all_workers_together_run_no_more_than_may(
    crew: Crew, capacity: int, concurrency: int, share: int, most: int
) -> None:
    """The percentage of what all accounts can do at once, and the configured bound, hold over all replicas; one may always
    run."""
    hands = [crew.hand(concurrency=concurrency, share=share) for _ in range(2)]
    for hand in hands:
        hand.capacity = capacity
    peaks: list[int] = []

    def seen(ask: Ask) -> None:
        peaks.append(sum(len(hand.chat.open) for hand in hands))

    for hand in hands:
        hand.chat.decide = seen
    batch = await new(hands[0], 20)
    await until(lambda: sum(len(hand.chat.open) for hand in hands) == most)
    while not (await hands[0].desk.find(batch.id, None)).ended:
        for hand in hands:
            hand.chat.end_all()
    assert max(peaks) == most
    assert len(peaks) == 20


async def test_a_replica_that_cannot_serve_holds_up_no_other(crew: Crew) -> None:
    """It has no session, say, and would give every task back at once: those that can serve go first."""
    sick, well = crew.hand(), crew.hand()
    sick.capacity = 0
    sick.chat.decide = lambda ask: NoAccount("No account has an open session.", retry_after=5)
    batch = await new(well, 40, concurrency=1)
    await asked(well)
    well.chat.decide = echo
    well.chat.end_all()
    found = await ended(well, batch)
    assert found.completed == 40
    assert len(sick.chat.asks) <= 2


async def test_where_no_replica_can_serve_the_batch_says_why(crew: Crew) -> None:
    """One task is tried now and then, and goes on soon after an account is back."""
    hand = crew.hand()
    hand.capacity = 0
    hand.chat.decide = lambda ask: NoAccount("All are quarantined.", retry_after=0.5)
    batch = await new(hand, 3)
    await until(lambda: hand.runs("returned") == 1)
    assert (await hand.desk.find(batch.id, None)).why == "All are quarantined."
    hand.capacity = 100
    hand.chat.decide = echo
    assert (await ended(hand, batch)).completed == 3


async def test_batches_take_turns(crew: Crew) -> None:
    """A small one does not wait for the end of a large one."""
    hand = crew.hand(concurrency=2)
    large = await new(hand, 50)
    await asked(hand, 2)
    small = await new(hand, 1)
    hand.chat.decide = echo
    hand.chat.end_all()
    found = await ended(hand, small)
    assert (await ended(hand, large)).completed == 50
    names = [ask.request_id for ask in hand.chat.asks]
    assert names.index(f"{found.id}-0") <= 3


async def test_a_worker_that_ends_gives_its_tasks_back(crew: Crew) -> None:
    """What runs is stopped and is another replica's at once; the broken run is no try."""
    leaving = crew.hand(tries=1)
    batch = await new(leaving, 3)
    await asked(leaving, 3)
    staying = crew.hand(tries=1)
    await leaving.worker.close()
    assert leaving.chat.cancelled == 3
    await asked(staying, 3)
    staying.chat.end_all()
    found = await ended(staying, batch)
    assert [one.tries for one in await outcomes(staying, found)] == [1, 1, 1]


async def test_a_worker_that_drains_finishes_what_runs(crew: Crew) -> None:
    """It begins nothing more, and what was begun is asked once."""
    leaving = crew.hand(concurrency=2)
    batch = await new(leaving, 4)
    running = await asked(leaving, 2)
    draining = asyncio.create_task(leaving.worker.drain(5))
    for request_id in running:
        leaving.chat.end(request_id, words())
    await draining
    assert (await leaving.desk.find(batch.id, None)).completed == 2
    staying = crew.hand()
    staying.chat.decide = echo
    await ended(staying, batch)
    assert len(leaving.chat.asks) == 2
    assert {ask.request_id for ask in staying.chat.asks}.isdisjoint(running)


async def test_a_drain_does_not_wait_for_ever(crew: Crew) -> None:
    """A task that is not done by the end of the grace runs on until the worker is closed."""
    hand = crew.hand()
    await new(hand)
    await asked(hand)
    await hand.worker.drain(0.05)
    assert len(hand.chat.open) == 1


async def test_a_silent_workers_tasks_go_to_the_others(crew: Crew) -> None:
    """As soon as it was not heard of for its time to live; the run counts as a try."""
    hand = crew.hand(start=False, worker_ttl=0.4)
    batch = await new(hand, 2)
    await hand.books.claim("silent", 0.4, 100)
    hand.chat.decide = echo
    hand.worker.start()
    found = await ended(hand, batch)
    assert sorted(one.tries for one in await outcomes(hand, found)) == [1, 2]


async def test_a_dead_predecessors_tasks_come_back_at_once(crew: Crew) -> None:
    """Who starts on the data of a killed one does not wait until that is missed."""
    hand = crew.hand(start=False, worker_ttl=3600)
    batch = await new(hand)
    await hand.books.claim("dead", 3600, 100)
    hand.chat.decide = echo
    hand.worker.start(predecessors=["dead", "never heard of"])
    [result] = await outcomes(hand, await ended(hand, batch))
    assert result.tries == 2


async def test_a_task_that_workers_die_of_is_given_up(crew: Crew) -> None:
    """After its tries nobody asks it again, and its error says why."""
    hand = crew.hand(start=False, tries=2)
    batch = await new(hand)
    for _ in range(2):
        await hand.books.claim("dying", 60, 100)
        await hand.books.leave("dying", died=True)
    hand.worker.start()
    found = await ended(hand, batch)
    [error] = await outcomes(hand, found, ok=False)
    assert (error.code, error.tries) == ("worker_lost", 2)
    assert hand.chat.asks == []


async def test_an_answer_that_comes_too_late_changes_nothing(crew: Crew) -> None:
    """A worker that was frozen, and whose tasks went to another, throws its results away, pictures included."""
    frozen = crew.hand("frozen")
    batch = await pictures_wanted(frozen, 2)
    late = await asked(frozen, 2)
    frozen.worker.stop_claiming()
    awake = crew.hand("awake")
    awake.chat.decide = lambda ask: pictures(f"/files/{ask.request_id}.png")
    await awake.books.leave("frozen", died=True)
    found = await ended(awake, batch)
    frozen.chat.end(late[0], pictures("/files/late.png"))
    frozen.chat.end(late[1], UpstreamFailed())
    await until(lambda: frozen.runs("lost", "images") == 2)
    await until(lambda: frozen.discarded == ["/files/late.png"])
    results = await outcomes(frozen, await frozen.desk.find(batch.id, None))
    assert [one.link for one in results] == [f"/files/{batch.id}-{index}.png" for index in range(2)]
    assert await frozen.desk.find(batch.id, None) == found


async def test_a_killed_store_has_nothing_run_again(crew: Crew) -> None:
    """It comes back without its last words: what ran then is still this worker's, and what had ended is told once more."""
    hand = crew.hand()
    batch = await new(hand, 3)
    ended_one, *running = await asked(hand, 3)
    store = redis.asyncio.Redis.from_url(crew.url)
    before = await Backup.made(store)
    hand.chat.end(ended_one, words("the first"))
    await until(lambda: hand.runs("completed") == 1)
    await before.restore(store)
    await until(lambda: _counted(hand, batch, 1))
    for request_id in running:
        hand.chat.end(request_id, words())
    found = await ended(hand, batch)
    await store.aclose()
    assert (found.completed, len(hand.chat.asks)) == (3, 3)
    assert [one.tries for one in await outcomes(hand, found)] == [1, 1, 1]


async def test_a_killed_store_that_has_forgotten_the_claims_too_has_nothing_run_again(crew: Crew) -> None:
    """The tasks are claimed once more, by a worker that runs them still or has their results."""
    hand = crew.hand(start=False)
    batch = await new(hand, 3)
    store = redis.asyncio.Redis.from_url(crew.url)
    before = await Backup.made(store)
    hand.worker.start()
    ended_one, *running = await asked(hand, 3)
    hand.chat.end(ended_one, words("the first"))
    await until(lambda: hand.runs("completed") == 1)
    await before.restore(store)
    await until(lambda: _counted(hand, batch, 1))
    await until(lambda: _running(hand, batch, 2))
    for request_id in running:
        hand.chat.end(request_id, words())
    found = await ended(hand, batch)
    await store.aclose()
    assert (found.completed, len(hand.chat.asks)) == (3, 3)


async def _counted(hand: Hand, batch: Batch, completed: int) -> bool:
    return (await hand.desk.find(batch.id, None)).completed == completed


async def _running(hand: Hand, batch: Batch, running: int) -> bool:
    return (await hand.desk.find(batch.id, None)).running == running


class SlowBooks(Books):
    """The first end that is told takes until `go` to reach the store."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.told = asyncio.Event()
        self.go = asyncio.Event()

    async def finish(self, worker: str, task: Task, outcome: Outcome) -> bool:
        self.told.set()
        await self.go.wait()
        return await super().finish(worker, task, outcome)


async def test_a_task_that_is_claimed_anew_while_its_end_is_told_ends(crew: Crew) -> None:
    """A worker that was frozen, wakes, and claims what it still runs: the new claim counts, and is not kept for ever."""
    hand = crew.hand("waking", kind=SlowBooks)
    assert isinstance(hand.books, SlowBooks)
    batch = await new(hand)
    [request_id] = await asked(hand)
    hand.chat.end(request_id, words())
    await hand.books.told.wait()
    await hand.books.leave("waking", died=True)
    await until(lambda: _running(hand, batch, 1))
    await asyncio.sleep(0.1)  # the store has given the claim; its answer has to reach the worker
    hand.books.go.set()
    found = await ended(hand, batch)
    assert (found.completed, hand.runs("completed"), hand.runs("lost")) == (1, 1, 0)
    assert len(hand.chat.asks) == 1


async def test_a_prompt_that_cannot_be_read_fails(crew: Crew) -> None:
    """Where the operator has changed the key, the task says so, and nothing is asked."""
    writer = crew.hand(start=False, key="old")
    batch = await new(writer)
    reader = crew.hand(key="new")
    found = await ended(reader, batch)
    [error] = await outcomes(reader, found, ok=False)
    assert error.code == "prompt_unreadable"
    assert reader.chat.asks == []


async def test_a_replica_without_a_worker_only_looks(crew: Crew) -> None:
    """It takes batches in and knows how much there is to do, which it also tells as metrics; nothing runs there."""
    looking = crew.hand(worker=False, worker_ttl=1)
    batch = await new(looking, 3)
    await until(lambda: looking.worker.tally.waiting == 3)
    assert looking.value("gempool_batches_open") == 1
    assert looking.value("gempool_batch_tasks_pending", state="waiting") == 3
    running = crew.hand(worker_ttl=1, concurrency=1)
    await asked(running)
    await until(lambda: looking.worker.tally.running == 1)
    assert looking.value("gempool_batch_tasks_pending", state="running") == 1
    running.chat.decide = echo
    running.chat.end_all()
    await ended(running, batch)
    assert looking.chat.asks == []
