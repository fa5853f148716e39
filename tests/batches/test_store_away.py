"""A store that stands still or dies under workers and watchers: they wait, say so once, and go on by themselves."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.chat import Answer, Ask
from core.errors import PoolBusy
from engine.service import Batch, Numbered
from tests.fakes.decided import pictures, words
from tests.support.crew import Crew, ended, new, outcomes, pictures_wanted, until
from tests.support.store import valkey

QUICK = {"timeout": 0.3}


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A store of the test's own."""
    with valkey(tmp_path) as found:
        yield found


@pytest.fixture
async def crew(process: tuple[subprocess.Popen[bytes], str], tmp_path: Path) -> AsyncIterator[Crew]:
    """Starts workers on that store."""
    crew = Crew(process[1], tmp_path / "pictures")
    yield crew
    await crew.close()


@contextmanager
def standing_still(process: subprocess.Popen[bytes]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def echo(ask: Ask) -> Answer:
    return words(f"answer to {ask.messages[-1].text}")


@pytest.mark.parametrize("key", ["", "a key"])
async def test_a_result_waits_for_the_store(
    crew: Crew, process: tuple[subprocess.Popen[bytes], str], key: str
) -> None:
    """What was made while the store stood still is told once it is back: exactly once, though it was said several times, and
    its picture is kept."""
    hand = crew.hand(key=key, books=QUICK)
    batch = await pictures_wanted(hand)
    await until(lambda: hand.chat.open)
    with standing_still(process[0]), capture_logs() as logs:
        hand.chat.end_all(pictures("/files/one.png"))
        await until(lambda: any(line["event"] == "batches wait: the store does not answer" for line in logs))
        await asyncio.sleep(1.5)  # so that it is said a second time
    found = await ended(hand, batch)
    [result] = await outcomes(hand, found)
    assert (result.link, result.tries, found.completed) == ("/files/one.png", 1, 1)
    await until(lambda: hand.runs("completed", "images") == 1)
    assert hand.discarded == []
    assert len(hand.chat.asks) == 1


async def test_a_claim_whose_answer_was_lost_is_nobodys_task(
    crew: Crew, process: tuple[subprocess.Popen[bytes], str]
) -> None:
    """The store gave a task to a worker that had stopped waiting for the answer: the worker gets it all the same."""
    hand = crew.hand(books=QUICK, worker_ttl=3600)
    busy = PoolBusy("Busy.", retry_after=1.0)
    hand.chat.decide = lambda ask: echo(ask) if len(hand.chat.asks) > 1 else busy
    batch = await new(hand)
    await until(lambda: hand.runs("returned") == 1)
    with standing_still(process[0]):
        await asyncio.sleep(
            2.0
        )  # the task is due meanwhile, and the worker waits for an answer no longer than 0.3 s
    found = await ended(hand, batch)
    assert [one.tries for one in await outcomes(hand, found)] == [1]
    assert len(hand.chat.asks) == 2


async def test_a_store_that_stood_still_makes_nobody_dead(
    crew: Crew, process: tuple[subprocess.Popen[bytes], str]
) -> None:
    """Longer than a worker's time to live; what ran goes on, and is asked once."""
    hands = [crew.hand(books=QUICK, worker_ttl=0.6) for _ in range(2)]
    batch = await new(hands[0], 4)
    await until(lambda: sum(len(hand.chat.open) for hand in hands) == 4)
    with standing_still(process[0]):
        await asyncio.sleep(1.0)  # the store's clock goes on
    await until(lambda: all(hand.worker.tally.running == 4 for hand in hands))
    for hand in hands:
        hand.chat.end_all()
    found = await ended(hands[0], batch)
    assert [one.tries for one in await outcomes(hands[0], found)] == [1] * 4
    assert sum(len(hand.chat.asks) for hand in hands) == 4


async def test_the_log_tells_changes_only(crew: Crew, process: tuple[subprocess.Popen[bytes], str]) -> None:
    """However long the store is away: one line that batches wait, one that they go on."""
    hand = crew.hand(books=QUICK, worker_ttl=0.4)
    hand.chat.decide = echo
    await until(lambda: hand.value("gempool_batches_open") == 0)
    with capture_logs() as logs:
        with standing_still(process[0]):
            await asyncio.sleep(2.5)  # beats, claims and the listener have all failed several times
        await ended(hand, await new(hand))
    events = [line["event"] for line in logs if line["log_level"] in ("info", "warning", "error")]
    assert events.count("batches wait: the store does not answer") == 1
    assert events.count("batches go on: the store answers again") == 1
    assert len(events) < 8, events


async def test_a_watcher_goes_on_after_the_store_was_away(
    crew: Crew, process: tuple[subprocess.Popen[bytes], str]
) -> None:
    """It misses nothing and sees nothing twice."""
    hand = crew.hand(books=QUICK)
    batch = await new(hand, 6)
    await until(lambda: len(hand.chat.open) == 6)
    seen: list[Batch | Numbered] = []

    async def watch() -> None:
        async for change in hand.desk.watch(batch.id, "ann"):
            seen.append(change)  # noqa: PERF401 -- the test reads it meanwhile

    watching = asyncio.create_task(watch())
    first, *others = sorted(hand.chat.open)
    hand.chat.end(first, words())
    await until(lambda: any(isinstance(change, Numbered) for change in seen))
    with standing_still(process[0]):
        hand.chat.end_all()
        await asyncio.sleep(1.0)  # the watcher's looks fail meanwhile
    await asyncio.wait_for(watching, 10)
    assert [change.number for change in seen if isinstance(change, Numbered)] == [1, 2, 3, 4, 5, 6]
    last = seen[-1]
    assert isinstance(last, Batch)
    assert (last.state, last.completed) == ("completed", 6)
    assert others


async def test_a_worker_closes_though_the_store_is_away(
    crew: Crew, process: tuple[subprocess.Popen[bytes], str]
) -> None:
    """A stop does not wait for a store that does not answer."""
    hand = crew.hand(books=QUICK)
    await new(hand)
    await until(lambda: hand.chat.open)
    with standing_still(process[0]):
        async with asyncio.timeout(5):
            await hand.worker.close()
    assert hand.chat.cancelled == 1
