"""One request from its question to its last word. The only place that tries again.

Until the first content has been handed out, a failure that another account could cure moves the request
on at once and without a word. Afterwards it is the caller's to know.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence, Set
from typing import Any

import structlog
from msgspec import Struct

from core.chat import Answer, Ask, Delta, Event, Finish, ModelInfo, Picture, Usage
from core.clock import Clock
from core.errors import (
    AccountThrottled,
    CallerError,
    DeadlineExceeded,
    EgressBlocked,
    GatewayError,
    PoolBusy,
    ShuttingDown,
    UpstreamError,
    UpstreamFailed,
    UpstreamUnstable,
    UsageLimitReached,
)
from core.metrics import Metrics
from core.tasks import Tasks
from core.tokens import estimate
from engine.prompt import Flat, flatten
from engine.service import Status
from engine.waits import busy
from pool import AllTried, Lease, Pool, PoolStatus
from pool.upstream import Bounds, Done, Prompt

log = structlog.get_logger("gempool.engine")

_ENOUGH = 0.05
"""Seconds of the deadline below which no further attempt is begun."""
_PAUSE = 0.1
"""Seconds before the accounts that failed are asked again, doubled with every round."""
_ROUNDS = 2
"""How often all accounts are asked anew after each has failed once."""
_RETRY_AFTER = 5.0
_TOO_MUCH = frozenset({AccountThrottled.reason, UsageLimitReached.reason, EgressBlocked.reason})
_BROKEN_OFF = (
    "The answer broke off: the upstream failed after it had begun. What was sent is incomplete; ask again."
)


class EngineSettings(Struct, frozen=True):
    """All in seconds but `attempts`: how many failures of accounts that stay in rotation one request may
    see. Failures that take an account out of rotation (expired, throttled, usage limit, blocked) do not
    count: each makes the pool smaller, so they end by themselves.

    queue_timeout: how long a request waits for accounts in all, also for such as it has tried already.
    """

    deadline: float = 300.0
    attempts: int = 16
    connect_timeout: float = 10.0
    first_content_timeout: float = 60.0
    silence_timeout: float = 60.0
    queue_timeout: float = 30.0


class Engine:
    """Implements `engine.service.ChatService` over the pool."""

    def __init__(self, pool: Pool, settings: EngineSettings, metrics: Metrics, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._tasks = Tasks("engine")
        self._running: set[_Attempt] = set()
        self._looking: asyncio.Task[PoolStatus] | None = None

    async def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        now = self._clock.monotonic
        deadline = now() + self._settings.deadline
        flat = flatten(ask.messages)
        lanes = await self._pool.lanes_for(ask.model)
        tried: set[str] = set()
        reasons: set[str] = set()
        left, rounds, patience = self._settings.attempts, 0, self._settings.queue_timeout
        last: UpstreamError | None = None
        while True:
            before = now()
            try:
                lease = await self._lease(ask, lanes, tried, deadline, patience)
            except AllTried as error:
                # Every account had its turn. Those that failed softly may do better the next time, and
                # those that cool are waited for in the queue, which knows when they come or go for good.
                pause = _PAUSE * 2**rounds
                wait = max(pause, error.retry_after or 0.0)
                if rounds == _ROUNDS or wait > patience or now() + wait > deadline - _ENOUGH:
                    raise self._nobody_left(ask, error, last, reasons) from last
                ask.trace.waited += pause
                await self._clock.sleep(pause)
                tried.clear()
                reasons.clear()
                rounds += 1
                continue
            except PoolBusy as error:
                raise busy(error, ask.model, error.reason, self._clock.now()) from last
            finally:
                patience -= now() - before
            attempt = _Attempt(ask, flat, lease, self._bounds(deadline - now()), now)
            events = attempt.run()
            self._running.add(attempt)
            try:
                async for event in events:
                    yield event
                if attempt.rewritten:
                    self._metrics.stream_rewrites.inc()
                self._settle(attempt, None)
                return
            except UpstreamError as error:
                if now() > deadline - _ENOUGH and self._cut_short(error, attempt):
                    self._settle(attempt, None, cancelled=True)
                    raise _out_of_time(self._settings.deadline) from error
                await asyncio.shield(self._settle(attempt, error))
                if attempt.begun:
                    raise UpstreamFailed(_BROKEN_OFF) from error
                last = error
            except CallerError as error:
                self._settle(attempt, error)
                raise
            finally:
                self._running.discard(attempt)
                await events.aclose()
                if not attempt.settled:
                    self._settle(attempt, None, cancelled=True)
            tried.add(lease.account)
            reasons.add(last.reason)
            left -= not _leaves_rotation(last)
            self._note_failover(ask, lease.account, last)
            if now() > deadline - _ENOUGH:
                raise _out_of_time(self._settings.deadline) from last
            if left <= 0:
                raise UpstreamFailed(retry_after=_RETRY_AFTER) from last

    async def answer(self, ask: Ask) -> Answer:
        texts: list[str] = []
        thoughts: list[str] = []
        pictures: list[Picture] = []
        finish: Finish | None = None
        events = self.stream(ask)
        try:
            async for event in events:
                if isinstance(event, Delta):
                    texts.append(event.text)
                    thoughts.append(event.thoughts)
                elif isinstance(event, Picture):
                    pictures.append(event)
                else:
                    finish = event
        finally:
            await events.aclose()
        assert finish is not None  # noqa: S101  `stream` ends with a Finish or raises
        return Answer("".join(texts), "".join(thoughts), tuple(pictures), finish)

    async def check_model(self, model: str) -> None:
        await self._pool.lanes_for(model)

    async def models(self) -> tuple[ModelInfo, ...]:
        return await self._pool.models()

    async def status(self, within: float | None = None) -> Status:
        if self._looking is None or self._looking.done():
            self._looking = self._tasks.spawn(self._pool.status(), "status")
        looking = self._looking
        await asyncio.wait({looking}, timeout=within)
        pool = looking.result() if looking.done() else self._pool.last_status()
        return Status(
            ready=pool.ready,
            why=pool.why,
            store_ok=pool.store_ok,
            accounts=pool.accounts,
            in_flight=pool.in_flight,
            waiting=pool.waiting,
            capacity=pool.capacity,
            retry_after=pool.retry_after,
        )

    def interrupt(self) -> None:
        """End every running answer with ShuttingDown, also those that have begun."""
        for attempt in set(self._running):
            attempt.interrupt()

    async def close(self) -> None:
        """Wait until every lease has been handed back."""
        await self._tasks.settle()

    def _bounds(self, left: float) -> Bounds:
        s = self._settings
        return Bounds(s.connect_timeout, min(s.first_content_timeout, left), s.silence_timeout, left)

    def _count(self, account: str, outcome: GatewayError | None, *, cancelled: bool) -> None:
        if cancelled:
            word = "cancelled"
        elif outcome is None:
            word = "ok"
        else:
            word = outcome.reason if isinstance(outcome, UpstreamError) else outcome.code
        self._metrics.upstream_calls.labels(account, word).inc()
        if word in _TOO_MUCH:
            self._metrics.throttled.labels(account, word).inc()

    def _settle(
        self, attempt: "_Attempt", outcome: GatewayError | None, *, cancelled: bool = False
    ) -> asyncio.Task[None]:
        """Hand the lease back with what became of it; owned here, so that no cancellation loses it."""
        attempt.settled = True
        self._count(attempt.lease.account, outcome, cancelled=cancelled)
        return self._tasks.spawn(attempt.lease.release(outcome, cancelled=cancelled), "release")

    def _cut_short(self, error: UpstreamError, attempt: "_Attempt") -> bool:
        """It was our deadline that ended the attempt, not a bound that the account has broken."""
        if not isinstance(error, UpstreamUnstable) or error.kind not in {"slow_first_content", "stalled"}:
            return False
        return attempt.begun or attempt.bounds.first_content < self._settings.first_content_timeout

    def _nobody_left(
        self, ask: Ask, error: AllTried, last: UpstreamError | None, reasons: Set[str]
    ) -> GatewayError:
        """Every account was asked: a wait where they had too much, a failure of theirs otherwise."""
        if last is None or last.reason in _TOO_MUCH:
            (reason,) = reasons if len(reasons) == 1 else ("",)
            return busy(error, ask.model, reason, self._clock.now())
        return UpstreamFailed(retry_after=max(error.retry_after or 0.0, _RETRY_AFTER))

    async def _lease(
        self, ask: Ask, lanes: Sequence[str], tried: Set[str], deadline: float, patience: float
    ) -> Lease:
        before = self._clock.monotonic()
        try:
            lease = await self._pool.lease(
                lanes, exclude=frozenset(tried), deadline=deadline, patience=max(0.0, patience)
            )
        finally:
            ask.trace.waited += self._clock.monotonic() - before
        ask.trace.attempts += 1
        return lease

    def _note_failover(self, ask: Ask, account: str, error: UpstreamError) -> None:
        self._metrics.failovers.labels(error.reason).inc()
        log.info(
            "moved on to another account",
            request_id=ask.request_id,
            account=account,
            reason=error.reason,
            detail=error.detail,
            attempt=ask.trace.attempts,
        )


class _Attempt:
    """One account asked once. `begun` turns True with the first content that was handed out."""

    def __init__(
        self, ask: Ask, flat: Flat, lease: Lease, bounds: Bounds, monotonic: Callable[[], float]
    ) -> None:
        self.ask = ask
        self.lease = lease
        self.begun = False
        self.rewritten = False
        self.settled = False
        self._flat = flat
        self.bounds = bounds
        self._monotonic = monotonic
        self._waiting: asyncio.Task[Any] | None = None
        self._interrupted = False

    def interrupt(self) -> None:
        """Raise ShuttingDown from `run`: at once where it waits for the upstream, otherwise when its
        reader asks for the next event."""
        self._interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> AsyncGenerator[Event, None]:
        ask, lease, flat = self.ask, self.lease, self._flat
        prompt = Prompt(flat.text, flat.files, model=lease.model, thinking=ask.thinking, stream=ask.stream)
        texts: list[str] = []
        thoughts: list[str] = []
        events = lease.session.generate(prompt, self.bounds)
        try:
            while True:
                before = self._monotonic()
                if self._interrupted:
                    raise _shutting_down()
                self._waiting = asyncio.current_task()
                try:
                    event = await anext(events)
                except StopAsyncIteration:
                    raise UpstreamUnstable("the session ended without an end", kind="truncated") from None
                except asyncio.CancelledError:
                    if self._interrupted and self._waiting is not None and not self._waiting.uncancel():
                        raise _shutting_down() from None
                    raise
                finally:
                    self._waiting = None
                    ask.trace.waited += self._monotonic() - before
                if isinstance(event, Done):
                    self.rewritten = event.rewritten
                    break
                if isinstance(event, Delta):
                    texts.append(event.text)
                    thoughts.append(event.thoughts)
                self.begun = True
                yield event
        finally:
            await events.aclose()
        if not self.begun:
            raise UpstreamUnstable("the answer has no content", kind="empty")
        usage = Usage(estimate(flat.text), estimate("".join(texts)), estimate("".join(thoughts)))
        yield Finish(usage, lease.lane, ask.trace.attempts)


def _leaves_rotation(error: UpstreamError) -> bool:
    return error.hard or error.reason in {
        "throttled",
        "usage_limit",
        "ip_blocked",
        "model_unavailable",
        "suspect",
    }


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("The gateway is shutting down. Please ask again.", retry_after=1.0)


def _out_of_time(deadline: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"No account answered within {deadline:g} seconds. Try again, or ask for a shorter answer."
    )
