"""One request from its question to its last word. The only place that tries again.

Until the first content has been handed out, a failure that another account could cure moves the request
on at once and without a word. Afterwards it is the caller's to know.
"""

import asyncio
import functools
from collections.abc import AsyncGenerator, Sequence, Set

from core.chat import Answer, Ask, Delta, Event, Finish, ModelInfo, Picture, PictureWish, ToolCall
from core.clock import Clock
from core.errors import (
    CallerError,
    DeadlineExceeded,
    GatewayError,
    InvalidRequest,
    PlaceLost,
    PoolBusy,
    PromptRefused,
    UpstreamError,
    UpstreamFailed,
)
from core.metrics import Metrics
from core.tasks import Tasks
from engine.accounting import TOO_MUCH, Accounting
from engine.asking import ENOUGH, Asking, Round
from engine.attempt import Attempt, Staying
from engine.conversing import TEMPORARY, Conversations, Thread, news
from engine.images import OnlyWebPictures, picture_prompt
from engine.originals import Originals
from engine.prompt import PLAIN, Frame, flatten
from engine.resting import NOBODY, Resting
from engine.service import Status
from engine.settings import EngineSettings
from engine.shaping import Shaping, shaped
from engine.studio import Studio
from engine.waits import busy
from pool import AllTried, Lease, Pool, PoolStatus

_PAUSE = 0.1
"""Seconds before the accounts that failed are asked again, doubled with every round."""
_ROUNDS = 2
"""How often all accounts are asked anew after each has failed once."""
_RETRY_AFTER = 5.0
_UNASKED = PictureWish(pixels=2048, link=True)
"""How a picture is finished that the model made though text was asked for."""
_SHOWN_FROM_WEB = 2
"""So often a request may be answered with pictures from the web before that counts as a refusal."""
_BROKEN_OFF = (
    "The answer broke off: the upstream failed after it had begun. What was sent is incomplete; ask again."
)


class Engine:
    """Implements `engine.service.ChatService` over the pool.

    studio: finishes pictures; None hands them out as they were downloaded. conversations: knows them again; None asks
    everything in temporary chats.
    """

    def __init__(
        self,
        pool: Pool,
        settings: EngineSettings,
        metrics: Metrics,
        clock: Clock,
        studio: Studio | None = None,
        conversations: Conversations | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._studio = studio
        self._conversations = conversations
        self._shaping = Shaping(metrics, settings.reasks)
        self._resting = Resting(clock)
        self._tasks = Tasks("engine")
        self._accounting = Accounting(metrics, self._tasks, self._resting, settings.usage_limit)
        self._asking = Asking(pool, settings, clock)
        self._originals = Originals(self._asking, self._accounting, clock)
        self._looking: asyncio.Task[PoolStatus] | None = None

    def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        if ask.picture is not None:
            return self._counted(ask)
        # A chat that nobody goes on with would only stay behind, and its account is waited for out of turn.
        if self._conversations is not None and not ask.background and self._conversations.sticky(ask):
            return self._conversations.stream(ask, self._shaped)
        return self._shaped(ask)

    def _shaped(self, ask: Ask, thread: Thread = TEMPORARY) -> AsyncGenerator[Event, None]:
        if not shaped(ask):
            return self._stream(ask, thread)
        round_ = Round(self._clock.monotonic() + self._settings.deadline)
        return self._shaping.stream(ask, thread, round_, functools.partial(self._stream, round_=round_))

    async def _counted(self, ask: Ask) -> AsyncGenerator[Event, None]:
        events = self._stream(ask)
        try:
            async for event in events:
                yield event
        except GatewayError as error:
            self._metrics.pictures.labels("refused" if isinstance(error, PromptRefused) else "failed").inc()
            raise
        finally:
            await events.aclose()

    async def _stream(
        self, ask: Ask, thread: Thread = TEMPORARY, frame: Frame = PLAIN, *, round_: Round | None = None
    ) -> AsyncGenerator[Event, None]:
        """Ask once, with failover. round_: of the times that the request asks, where it may ask more than once."""
        now, wish = self._clock.monotonic, ask.picture
        round_ = Round(now() + self._settings.deadline) if round_ is None else round_
        deadline = round_.deadline
        flat = flatten(ask.messages, frame=frame) if wish is None else picture_prompt(ask.messages, wish)
        lanes = await self._pool.lanes_for(ask.model)
        staying = _staying(ask, thread, frame) if thread.lane in lanes else None
        own_first = staying is not None
        tried: set[str] = set()
        reasons: set[str] = set()
        left, rounds, from_web = self._settings.attempts, 0, 0
        patience = self._asking.longest(ask)
        last: UpstreamError | None = None
        while True:
            before = now()
            lease: Lease | None = None
            if staying is not None and own_first:
                own_first = False
                lease = await self._asking.lease_to_stay(ask, staying, deadline)
            resting, avoided = NOBODY, frozenset(round_.wrong)
            if wish is not None:
                resting, avoided = self._resting.accounts(lanes), self._originals.avoided(lanes)
            try:
                if lease is None:
                    lease = await self._asking.lease(
                        ask, lanes, resting.union(tried), deadline, patience, avoided
                    )
            except AllTried as error:
                if resting and tried <= resting:
                    raise self._no_pictures(ask, lanes, last) from last
                # Every account had its turn. Those that failed softly may do better the next time, and
                # those that cool are waited for in the queue, which knows when they come or go for good.
                pause = _PAUSE * 2**rounds
                wait = max(pause, error.retry_after or 0.0)
                if rounds == _ROUNDS or wait > patience or now() + wait > deadline - ENOUGH:
                    raise self._nobody_left(ask, error, last, reasons) from last
                await self._asking.pause(ask, pause)
                tried.clear()
                reasons.clear()
                rounds += 1
                continue
            except PoolBusy as error:
                raise busy(error, ask.model, error.reason, self._clock.now()) from last
            finally:
                patience -= now() - before
            round_.account = lease.account
            attempt = self._asking.attempt(ask, flat, lease, deadline, keep=thread.keep, staying=staying)
            events = attempt.run()
            self._asking.begun(attempt)
            try:
                async for event in events:
                    yield event
                if attempt.rewritten:
                    self._metrics.stream_rewrites.inc()
                given, finished = attempt, []
                if attempt.pictures:
                    self._accounting.downloaded(attempt.pictures)
                    given = await self._originals.best(attempt, lanes, resting.union(tried), deadline)
                    finished = await self._finished(given)
                else:
                    self._accounting.settle(attempt, None)
                break
            except UpstreamError as error:
                if self._asking.cut_short(error, attempt, deadline):
                    self._accounting.settle(attempt, None, cancelled=True)
                    raise _out_of_time(self._settings.deadline, ask) from error
                ask.trace.failed += error.may_be_the_asks
                await asyncio.shield(self._accounting.settle(attempt, error))
                if attempt.begun:
                    raise UpstreamFailed(_BROKEN_OFF) from error
                last = error
            except CallerError as error:
                self._accounting.settle(attempt, error)
                raise
            finally:
                self._asking.ended(attempt)
                await events.aclose()
                if not attempt.settled:
                    self._accounting.settle(attempt, None, cancelled=True)
            if attempt.staying is not None:
                staying = None  # the prompt may stand in that chat by now, so it is told anew in another
            if isinstance(last, PlaceLost):
                self._asking.lost(ask, last)
                last = None
                continue
            tried.add(lease.account)
            reasons.add(last.reason)
            left -= not last.leaves_rotation
            self._accounting.failover(ask, lease.account, last)
            if isinstance(last, OnlyWebPictures):
                from_web += 1
                if from_web == _SHOWN_FROM_WEB:
                    raise last.refusal()
            if now() > deadline - ENOUGH:
                raise _out_of_time(self._settings.deadline, ask) from last
            if left <= 0:
                raise UpstreamFailed(retry_after=_RETRY_AFTER) from last
        if (text := given.whole()) is not None:
            yield text
        for picture in finished:
            yield picture
        yield given.finish()

    async def answer(self, ask: Ask) -> Answer:
        texts: list[str] = []
        thoughts: list[str] = []
        pictures: list[Picture] = []
        calls: list[ToolCall] = []
        finish: Finish | None = None
        events = self.stream(ask)
        try:
            async for event in events:
                if isinstance(event, Delta):
                    texts.append(event.text)
                    thoughts.append(event.thoughts)
                elif isinstance(event, Picture):
                    pictures.append(event)
                elif isinstance(event, ToolCall):
                    calls.append(event)
                else:
                    finish = event
        finally:
            await events.aclose()
        assert finish is not None  # noqa: S101  `stream` ends with a Finish or raises
        return Answer("".join(texts), "".join(thoughts), tuple(pictures), finish, tuple(calls))

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
            demand=pool.demand,
        )

    def interrupt(self) -> None:
        """End every running answer with ShuttingDown, also those that have begun."""
        self._asking.interrupt()

    async def close(self) -> None:
        """Wait until every lease has been handed back."""
        await self._tasks.settle()

    async def _finished(self, attempt: Attempt) -> list[Picture]:
        """The answer's pictures as they go out. Their account is free again before the work on them begins."""
        ask, finished = attempt.ask, attempt.pictures
        before = self._clock.monotonic()
        if self._studio is None:
            self._accounting.well(attempt)
        else:
            finished = []
            try:
                async with self._studio.place():
                    self._accounting.well(attempt)
                    while attempt.pictures:
                        picture = attempt.pictures.pop(0)
                        wish = ask.picture or _UNASKED
                        finished.append(await self._studio.finish(picture, wish, _words(ask)))
            finally:
                ask.trace.pictures += self._clock.monotonic() - before
                if not attempt.settled:
                    self._accounting.settle(attempt, None, cancelled=True)
        self._metrics.pictures.labels("ok").inc(len(finished))
        return finished

    def _no_pictures(self, ask: Ask, lanes: Sequence[str], last: UpstreamError | None) -> GatewayError:
        """Every account that could be asked makes no pictures for now."""
        if isinstance(last, OnlyWebPictures):
            return last.refusal()
        wait, reason = self._resting.first_back(lanes)
        message = (
            f"No account makes pictures for '{ask.model[:80]}' now. Please try again in {wait:.0f} seconds."
        )
        return busy(PoolBusy(message, retry_after=wait), ask.model, reason, self._clock.now())

    def _nobody_left(
        self, ask: Ask, error: AllTried, last: UpstreamError | None, reasons: Set[str]
    ) -> GatewayError:
        """Every account was asked: a wait where they had too much, a failure of theirs otherwise."""
        if isinstance(last, OnlyWebPictures):
            return last.refusal()
        if last is None or last.reason in TOO_MUCH:
            (reason,) = reasons if len(reasons) == 1 else ("",)
            return busy(error, ask.model, reason, self._clock.now())
        return UpstreamFailed(retry_after=max(error.retry_after or 0.0, _RETRY_AFTER))


def _staying(ask: Ask, thread: Thread, frame: Frame) -> Staying | None:
    """What is new in the conversation's chat; None where it has none, or where nothing is new. The preamble stands in it."""
    if thread.place is None:
        return None
    try:
        return Staying(
            thread.place,
            thread.lane,
            flatten(news(ask.messages, thread.seen), frame=Frame(closing=frame.closing)),
        )
    except InvalidRequest:
        return None


def _out_of_time(deadline: float, ask: Ask) -> DeadlineExceeded:
    less = "a shorter answer" if ask.picture is None else "fewer pictures at once"
    return DeadlineExceeded(f"No account answered within {deadline:g} seconds. Try again, or ask for {less}.")


def _words(ask: Ask) -> str:
    """What was asked for last."""
    asked = (message.text for message in reversed(ask.messages) if message.role == "user")
    return next((text for text in asked if text.strip()), "")
