"""The books in a real store against a model of them, over any course of events."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from batches.books import Idle, Task
from core.errors import Conflict
from tests.support.books import TTL, Kept, fault, kept, result
from tests.support.hostile import examples

WORKERS = ("a", "b")
OWNERS = ("ann", "bob")
LIMIT = 4

EVENTS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(OWNERS), st.integers(1, 5), st.integers(1, 4)),
    *[st.tuples(st.just("claim"), st.sampled_from(WORKERS))] * 5,
    *[st.tuples(st.just("finish"), st.integers(0, 9), st.booleans())] * 2,
    st.tuples(st.just("late"), st.integers(0, 9), st.booleans()),
    *[st.tuples(st.just("again"), st.integers(0, 9), st.sampled_from((0.0, 1.0, 4.0)), st.booleans())] * 2,
    *[st.tuples(st.just("beat"), st.sampled_from(WORKERS))] * 2,
    st.tuples(st.just("leave"), st.sampled_from(WORKERS), st.booleans()),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    *[st.tuples(st.just("pass"), st.sampled_from((0.5, 1.0, 2.0, 2.6)))] * 2,
)


@dataclass
class ModelBatch:
    id: str
    owner: str
    total: int
    concurrency: int
    turn: int
    fresh: list[int]
    back: set[int] = field(default_factory=set)
    later: dict[int, float] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    tries: dict[int, int] = field(default_factory=dict)
    good: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    dead: int = 0
    hold: float = 0.0
    begun: bool = False
    cancelled: bool = False

    @property
    def waiting(self) -> int:
        return len(self.fresh) + len(self.back) + len(self.later)

    @property
    def ended(self) -> bool:
        return len(self.good) + len(self.bad) + self.dead == self.total

    def due(self, now: float) -> bool:
        some = self.fresh or self.back or any(at <= now for at in self.later.values())
        return bool(some) and len(self.running) < self.concurrency and self.hold <= now

    def take(self, now: float) -> int:
        if self.back:
            index = min(self.back)
            self.back.discard(index)
        elif ready := [(at, str(index)) for index, at in self.later.items() if at <= now]:
            index = int(min(ready)[1])
            del self.later[index]
        else:
            index = self.fresh.pop(0)
        self.running.add(index)
        self.begun = True
        return index

    def bring_back(self, index: int) -> None:
        if self.cancelled:
            self.dead += 1
        else:
            self.back.add(index)

    def anybodys(self, index: int) -> bool:
        """It waits, so that an end of it counts, whoever's."""
        return index in self.back or index in self.later or index in self.fresh

    def end(self, index: int, *, ok: bool) -> None:
        self.running.discard(index)
        self.back.discard(index)
        self.later.pop(index, None)
        if index in self.fresh:
            self.back |= {other for other in self.fresh if other < index}
            self.fresh = [other for other in self.fresh if other > index]
        (self.good if ok else self.bad).append(index)
        self.order.append(index)

    @property
    def state(self) -> str:
        if self.cancelled:
            return "cancelled" if self.ended else "cancelling"
        if self.ended:
            return "completed" if self.good else "failed"
        return "running" if self.begun else "queued"


class Model:
    """What the books should do, in as few words as possible."""

    def __init__(self) -> None:
        self.batches: dict[str, ModelBatch] = {}
        self.claims: dict[str, list[Task]] = {worker: [] for worker in WORKERS}
        self.lost: list[tuple[str, Task]] = []
        self.expiry: dict[str, float] = {}
        self.heard: float | None = None
        self.turns = 0

    def turn(self) -> int:
        self.turns += 1
        return self.turns

    @property
    def running(self) -> int:
        return sum(len(tasks) for tasks in self.claims.values())

    def hear(self, worker: str, now: float) -> None:
        if self.heard is not None and now - self.heard > TTL / 2:
            self.expiry = dict.fromkeys(self.expiry, now + TTL)
        self.heard = now
        self.expiry[worker] = now + TTL
        silent = min(self.expiry.items(), key=lambda one: (one[1], one[0]))
        if silent[1] < now:
            self.strip(silent[0], counted=True)

    def strip(self, worker: str, *, counted: bool) -> int:
        tasks, self.claims[worker] = self.claims[worker], []
        self.expiry.pop(worker, None)
        for task in tasks:
            self.lost.append((worker, task))
            batch = self.batches[task.batch]
            batch.running.discard(task.index)
            if counted:
                batch.tries[task.index] = batch.tries.get(task.index, 0) + 1
            batch.bring_back(task.index)
        return len(tasks)

    def next(self, now: float) -> tuple[ModelBatch, int] | None:
        due = [batch for batch in self.batches.values() if batch.due(now)]
        if not due:
            return None
        batch = min(due, key=lambda one: one.turn)
        batch.turn = self.turn()
        return batch, batch.take(now)

    def held(self, n: int) -> tuple[str, Task] | None:
        all_ = [(worker, task) for worker, tasks in self.claims.items() for task in tasks]
        return all_[n % len(all_)] if all_ else None


async def _step(model: Model, books: Kept, event: tuple[Any, ...]) -> None:
    verb, *arguments = event
    now = books.now
    match verb, arguments:
        case "create", [owner, total, concurrency]:
            made = await books.batch(total, owner=owner, concurrency=concurrency)
            model.batches[made.id] = ModelBatch(
                made.id, owner, total, concurrency, model.turn(), list(range(total))
            )
        case "claim", [worker]:
            model.hear(worker, now)
            found = await books.books.claim(worker, TTL, LIMIT)
            if model.running >= LIMIT:
                assert isinstance(found, Idle)
                assert found.full
                return
            expected = model.next(now)
            if expected is None:
                assert isinstance(found, Idle)
                assert not found.full
                return
            batch, index = expected
            assert isinstance(found, Task)
            assert (found.batch, found.index, found.tries) == (batch.id, index, batch.tries.get(index, 0))
            assert found.prompt == f"prompt {index}"
            model.claims[worker].append(found)
        case "finish", [n, ok]:
            if (held := model.held(n)) is not None:
                worker, task = held
                assert await books.finish(task, worker, ok=ok)
                model.claims[worker].remove(task)
                model.batches[task.batch].end(task.index, ok=ok)
        case "late", [n, ok]:
            if model.lost:
                worker, task = model.lost.pop(n % len(model.lost))
                batch = model.batches[task.batch]
                counts = batch.anybodys(task.index)
                assert await books.finish(task, worker, ok=ok) is counts
                if counts:
                    batch.end(task.index, ok=ok)
        case "again", [n, seconds, counted]:
            if (held := model.held(n)) is not None:
                worker, task = held
                assert await books.books.again(worker, task, seconds, counted=counted)
                model.claims[worker].remove(task)
                batch = model.batches[task.batch]
                batch.running.discard(task.index)
                if counted:
                    batch.tries[task.index] = batch.tries.get(task.index, 0) + 1
                else:
                    batch.hold = max(batch.hold, now + seconds)
                if counted and not batch.cancelled:
                    batch.later[task.index] = now + seconds
                else:
                    batch.bring_back(task.index)
        case "beat", [worker]:
            model.hear(worker, now)
            await books.books.beat(worker, TTL)
        case "leave", [worker, died]:
            assert await books.books.leave(worker, died=died) == model.strip(worker, counted=died)
        case "cancel", [n]:
            if not model.batches:
                return
            batch = list(model.batches.values())[n % len(model.batches)]
            if batch.ended and not batch.cancelled:
                try:
                    await books.books.cancel(batch.id, batch.owner)
                except Conflict:
                    return
                raise AssertionError
            assert (await books.books.cancel(batch.id, None))[1] is not batch.cancelled
            if not batch.cancelled:
                batch.cancelled = True
                batch.dead += batch.waiting
                batch.fresh, batch.back, batch.later = [], set(), {}
        case "pass", [seconds]:
            await books.pass_(seconds)


async def _agree(model: Model, books: Kept) -> None:
    listed = await books.books.listed(None, limit=1000)
    assert {found.id for found in listed.batches} == set(model.batches)
    for found in listed.batches:
        batch = model.batches[found.id]
        assert (found.completed, found.failed, found.cancelled, found.running) == (
            len(batch.good), len(batch.bad), batch.dead, len(batch.running),
        )  # fmt: skip
        assert found.pending == batch.waiting + len(batch.running)
        assert found.state == batch.state
    tally = await books.books.beat("", 0)
    unfinished = [batch for batch in model.batches.values() if not batch.ended]
    assert (tally.open, tally.waiting, tally.running) == (
        len(unfinished), sum(batch.waiting for batch in unfinished), model.running,
    )  # fmt: skip
    # What was lost stays lost, whoever says what, once it is another's.
    for worker, task in model.lost[-3:]:
        assert not await books.books.again(worker, task, 0.0, counted=True)
        if not model.batches[task.batch].anybodys(task.index):
            assert not await books.books.finish(worker, task, fault(task))
            assert not await books.books.finish(worker, task, result(task))


@given(st.lists(EVENTS, min_size=60, max_size=150))
@settings(max_examples=examples(25), phases=(Phase.reuse, Phase.generate))  # to shrink takes minutes
def test_the_books_agree_with_the_model(valkey_url: str, events: list[tuple[Any, ...]]) -> None:
    """Whatever happens in whatever order: every task stands in one place, ends once and is counted once; the turns, the
    waits, the bounds and the ends of workers are the model's."""

    async def run() -> None:
        async with kept(valkey_url) as books:
            await books.store.flushall()
            await books.pass_(0)
            model = Model()
            for event in events:
                await _step(model, books, event)
                await _agree(model, books)
            for batch in model.batches.values():
                found = await books.books.find(batch.id, batch.owner)
                assert [outcome.index for outcome in await books.results(found)] == sorted(batch.good)
                assert [outcome.index for outcome in await books.errors(found)] == sorted(batch.bad)
                since = await books.books.since(batch.id, 0)
                assert [entry.outcome.index for entry in since] == batch.order
            # And whatever has happened, everything comes to an end.
            for batch in model.batches.values():
                batch.hold = 0.0
            await books.pass_(100)
            for worker in WORKERS:
                await books.books.leave(worker)
            while isinstance(task := await books.books.claim("end", TTL, 100), Task):
                assert await books.finish(task, "end")
            for batch in model.batches.values():
                found = await books.books.find(batch.id, None)
                assert found.ended
                assert len(await books.results(found)) + len(await books.errors(found)) == found.outcomes
            tally = await books.books.beat("", 0)
            assert (tally.open, tally.waiting, tally.running) == (0, 0, 0)
            left = {key.partition(":")[0] for key in await books.keys()}
            assert not left & {"prompts", "back", "later", "tries", "claims", "open", "parked", "mine"}

    asyncio.run(run())
