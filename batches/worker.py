"""Runs tasks of batches in this replica, behind the live requests.

What runs is what the store says: a task is claimed there, kept by this worker's sign of life, and ends there once. So a worker
that was frozen for long changes nothing when it wakes of tasks that others have by then.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from batches.asks import ask_of, name_of, outcome_of, superfluous
from batches.books import Books, Idle, Tally, Task
from batches.ends import Ends
from batches.news import News, rung
from batches.policy import TRIED_AGAIN, UNREADABLE, WORKER_LOST, Able, Again, Back, Fail, places, verdict
from batches.settings import BatchSettings
from core.chat import Trace
from core.clock import Clock
from core.errors import GatewayError, StoreUnavailable
from core.metrics import Metrics
from core.tasks import Tasks
from engine.service import ChatService, Outcome

log = structlog.get_logger("gempool.batches")

T = TypeVar("T")

_BEAT = 1.0
_LOOK = 2.0
"""Seconds after which a worker looks for tasks though nothing told it of any: the net under a lost message."""
_SOONEST = 0.01
_UNFIT = 0.5
"""Seconds for which a replica that cannot serve leaves tasks to those that may be able to."""
_STORE_AWAY = 1.0
"""Seconds between tries to reach a store that does not answer."""
_LAST_WORDS = 3.0
"""Seconds that results have, at the end, to reach the store."""


class _Run:
    """A task that runs here, by its claim, which a store that has forgotten it gives anew. asking: while it is asked."""

    __slots__ = ("asking", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.asking: asyncio.Task[Any] | None = None


class Worker:
    """One in every replica.

    name: this replica's, unique among the living. discard: removes a stored picture that no result names. jitter: 0 to 1, anew
    with each call.
    """

    def __init__(
        self,
        books: Books,
        news: News,
        chat: ChatService,
        settings: BatchSettings,
        metrics: Metrics,
        clock: Clock,
        name: str,
        discard: Callable[[str], Awaitable[None]],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._books = books
        self._news = news
        self._chat = chat
        self._able = Able()
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._name = name
        self._discard = discard
        self._jitter = jitter
        self._loops = Tasks("batches")
        self._runs = Tasks("batches")
        self._running: dict[tuple[str, int], _Run] = {}
        self._ends = Ends(clock.monotonic)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._closing = False
        self._away = False
        self._dead: list[str] = []
        self.tally = Tally(0, 0, 0, 0)
        """What there is to do over all replicas, as the store told last."""
        self.completed = 0
        self.failed = 0
        """Tasks that ended well and with an error in this replica."""

    # life

    def start(self, predecessors: Iterable[str] = ()) -> None:
        """Begin. predecessors: workers that are known to be dead; their tasks come back at once."""
        self._dead = list(predecessors)
        self._loops.spawn(self._keep_beating(), "beat")
        if self._settings.worker:
            self._loops.spawn(self._keep_claiming(), "claim")
            self._loops.spawn(self._keep_reminding(), "remind")

    def stop_claiming(self) -> None:
        """From now on no task begins here; those that run go on."""
        self._stop.set()
        self._wake.set()

    async def drain(self, grace: float) -> None:
        """Begin no task, and wait until none runs here, `grace` seconds at most."""
        self.stop_claiming()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._runs.settle()

    async def close(self) -> None:
        """End what runs and give it back, uncounted. Answers that are there already still reach the store."""
        self.stop_claiming()
        self._closing = True
        for run in self._running.values():
            if run.asking is not None:
                run.asking.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._runs.settle()
        await self._runs.close()
        await self._loops.close()
        with suppress(StoreUnavailable):
            await self._books.leave(self._name)

    # what it does all the time

    async def _keep_beating(self) -> None:
        # The others take the worker for dead after the whole of it, and the store for away after half of it.
        every = min(_BEAT, self._settings.worker_ttl / 4)
        while True:
            await self._heard(self._beat())
            await self._clock.sleep(every)

    async def _beat(self) -> None:
        while self._dead:
            if tasks := await self._books.leave(self._dead[-1], died=True):
                log.info("tasks of a dead replica handed back", replica=self._dead[-1], tasks=tasks)
            self._dead.pop()
        await self._look()
        self._learn(
            await self._books.beat(
                # One that runs no tasks is not among the living: these are those who may.
                self._name if self._settings.worker else "",
                self._settings.worker_ttl,
                replica=self._name,
                demand=self._able.demand,
            )
        )

    async def _look(self) -> None:
        """Learn what the accounts can do now."""
        with suppress(GatewayError):
            status = await self._chat.status(within=self._settings.worker_ttl / 4)
            self._able = Able(status.capacity if status.ready else 0, status.demand)

    async def _keep_claiming(self) -> None:
        with self._news.ringing(self._wake):
            while not self._stop.is_set():
                if not self._able.capacity:
                    await self._look()
                if not self._able.capacity:
                    # Where none can serve, the task that this one gets all the same tells why.
                    await rung(self._stop, _UNFIT)
                self._wake.clear()
                seconds = await self._heard(self._claim_all())
                await rung(self._wake, _STORE_AWAY if seconds is None else seconds)

    async def _claim_all(self) -> float:
        """Begin what may begin; seconds until there may be more though nothing tells of it."""
        while not self._stop.is_set():
            most = places(self._able.capacity, self.tally.demand, self._settings)
            found = await self._books.claim(self._name, self._settings.worker_ttl, most)
            if isinstance(found, Idle):
                return _LOOK if found.seconds is None else min(max(found.seconds, _SOONEST), _LOOK)
            self._begin(found)
        return _LOOK

    async def _heard(self, step: Awaitable[T]) -> T | None:
        """What a step of the worker's life gives; None where the store does not answer. Nothing ends that life."""
        try:
            found = await step
        except StoreUnavailable:
            self._store_answers(False)
        except Exception:
            # border: without its signs of life it would lose its tasks, and without their ends they would count as running
            log.exception("a step of batches failed")
        else:
            self._store_answers(True)
            return found
        return None

    def _begin(self, task: Task) -> None:
        key = (task.batch, task.index)
        if (run := self._running.get(key)) is not None:
            run.task = task
        elif (known := self._ends.of(task)) is not None:
            self._runs.spawn(self._written(_Run(task), known), name_of(task))
        else:
            self._runs.spawn(self._run(task), name_of(task))

    async def _keep_reminding(self) -> None:
        """Say the latest ends once more whenever the store was lost: their tasks need not run again."""
        losses = self._news.losses
        while True:
            losses = await self._news.lost(losses)
            for end in self._ends.of_late():
                if not await self._written(_Run(end.task), end.outcome):
                    task = end.task
                    log.info("a task's end is another's or not wanted", batch=task.batch, index=task.index)

    # one task

    async def _run(self, task: Task) -> None:
        began = self._clock.monotonic()
        trace = Trace()
        run, key = _Run(task), (task.batch, task.index)
        self._running[key] = run
        try:
            came_to = await self._tried(run, trace)
            kept = await self._written(run, came_to)
        finally:
            del self._running[key]
            self._wake.set()
        if kept and isinstance(came_to, Outcome):
            self._ends.add(run.task, came_to)
        seconds = self._clock.monotonic() - began
        word = _word(came_to) if kept else "lost"
        self._metrics.batch_tasks.labels(task.kind, word).inc()
        self.completed += word == "completed"
        self.failed += word == "failed"
        if word == "completed":
            self._metrics.batch_task_seconds.labels(task.kind).observe(seconds)
        if not kept and isinstance(came_to, Outcome) and came_to.link:
            await self._discard(came_to.link)
        # Where no account is free for long, tasks come back every few seconds; their batch says why.
        tell = log.debug if word == "returned" else log.info
        tell(
            "batch task",
            batch=task.batch,
            index=task.index,
            kind=task.kind,
            caller=task.caller,
            model=task.model,
            outcome=word,
            tries=came_to.tries if isinstance(came_to, Outcome) else task.tries + isinstance(came_to, Again),
            attempts=trace.attempts,
            ms=round(seconds * 1000),
            ms_queue=round(trace.queued * 1000),
            ms_upstream=round((trace.waited - trace.queued) * 1000),
            ms_pictures=round(trace.pictures * 1000),
            accounts=" ".join(f"{one.account}:{one.outcome}" for one in trace.tried),
            **_why(came_to),
        )

    async def _tried(self, run: _Run, trace: Trace) -> Outcome | Again | Back:
        task = run.task
        if self._closing:
            return Back(0.0, "")
        if task.prompt is None:
            return self._failed(task, task.tries, UNREADABLE)
        if task.tries >= self._settings.tries:
            return self._failed(task, task.tries, WORKER_LOST)
        run.asking = asyncio.current_task()
        try:
            answer = await self._chat.answer(ask_of(task, task.prompt, trace))
            for link in superfluous(task, answer):
                await self._discard(link)
            return outcome_of(task, answer, self._clock.now())
        except Exception as error:  # border: what a task stumbles over ends that run alone
            if not isinstance(error, GatewayError):
                log.exception("a batch task failed", batch=task.batch, index=task.index)
            tries = task.tries + 1
            found = verdict(error, tries, trace.failed, self._settings, self._jitter())
            return self._failed(task, tries, found) if isinstance(found, Fail) else found
        finally:
            run.asking = None

    def _failed(self, task: Task, tries: int, why: Fail) -> Outcome:
        return Outcome(task.index, tries, self._clock.now(), code=why.code, message=why.message)

    async def _written(self, run: _Run, came_to: Outcome | Again | Back) -> bool:
        """Tell the store, however long it is away; False where the task was another's by then."""
        while True:
            task = run.task
            kept = await self._heard(self._write(task, came_to))
            if kept is None:
                await self._clock.sleep(_STORE_AWAY)
            elif kept or run.task is task:
                return kept
            # Otherwise it was claimed here once more meanwhile: that claim counts.

    async def _write(self, task: Task, came_to: Outcome | Again | Back) -> bool:
        books, name = self._books, self._name
        match came_to:
            case Outcome():
                return await books.finish(name, task, came_to)
            case Again(seconds):
                return await books.again(name, task, seconds, counted=True, why=TRIED_AGAIN)
            case Back(seconds, why):
                return await books.again(name, task, seconds, counted=False, why=why)

    # what it learns

    def _learn(self, tally: Tally) -> None:
        self.tally = tally
        self._metrics.batches_open.set(tally.open)
        self._metrics.batch_tasks_pending.labels("waiting").set(tally.waiting)
        self._metrics.batch_tasks_pending.labels("running").set(tally.running)

    def _store_answers(self, answers: bool) -> None:
        """Log the change, not every try."""
        if answers and self._away:
            log.info("batches go on: the store answers again")
        elif not answers and not self._away:
            log.warning("batches wait: the store does not answer")
        self._away = not answers


def _word(came_to: Outcome | Again | Back) -> str:
    match came_to:
        case Outcome():
            return "completed" if came_to.ok else "failed"
        case Again():
            return "retried"
        case Back():
            return "returned"


def _why(came_to: Outcome | Again | Back) -> dict[str, str | float]:
    """What the log's line adds of a run that gave no result."""
    match came_to:
        case Outcome():
            return {} if came_to.ok else {"code": came_to.code}
        case Again(seconds):
            return {"again_in": round(seconds, 1)}
        case Back(_, why):
            return {"why": why}
