"""What an attempt leaves behind: the lease handed back with its outcome, and the counts."""

import asyncio
from collections.abc import Iterable

import structlog

from core.chat import Ask, Picture, Tried
from core.errors import (
    AccountThrottled,
    EgressBlocked,
    GatewayError,
    UpstreamError,
    UsageLimitReached,
)
from core.metrics import Metrics
from core.tasks import Tasks
from engine.attempt import Attempt
from engine.images import OnlyWebPictures, PicturesUnavailable, PicturesUsedUp
from engine.resting import Resting

log = structlog.get_logger("gempool.engine")

TOO_MUCH = frozenset({AccountThrottled.reason, UsageLimitReached.reason, EgressBlocked.reason})


class Accounting:
    """picture_rest: seconds for which an account that makes no more pictures is asked for none."""

    def __init__(self, metrics: Metrics, tasks: Tasks, resting: Resting, picture_rest: float) -> None:
        self._metrics = metrics
        self._tasks = tasks
        self._resting = resting
        self._picture_rest = picture_rest

    def settle(
        self, attempt: Attempt, outcome: GatewayError | None, *, cancelled: bool = False
    ) -> asyncio.Task[None]:
        """Hand the lease back with what became of it; owned here, so that no cancellation loses it."""
        attempt.settled = True
        account = attempt.lease.account
        self._count(attempt, outcome, cancelled=cancelled)
        match outcome:
            # The account is well; at most it makes no pictures, and nothing else of it is to rest for that.
            case PicturesUsedUp() | PicturesUnavailable():
                self._resting.rest(account, attempt.lease.lane, self._picture_rest, outcome.reason)
                self._metrics.pictures.labels("used_up").inc()
                outcome = None
            case OnlyWebPictures():
                self._metrics.pictures.labels("web_only").inc()
                outcome = None
        return self._tasks.spawn(attempt.lease.release(outcome, cancelled=cancelled), "release")

    def well(self, attempt: Attempt) -> None:
        """Hand the lease of an answer back, unless that was done before."""
        if not attempt.settled:
            self.settle(attempt, None)

    def downloaded(self, pictures: Iterable[Picture]) -> None:
        for picture in pictures:
            self._metrics.picture_downloads.labels("preview" if picture.preview else "full").inc()

    def failover(self, ask: Ask, account: str, error: UpstreamError) -> None:
        self._metrics.failovers.labels(error.reason).inc()
        log.info(
            "moved on to another account",
            request_id=ask.request_id,
            account=account,
            reason=error.reason,
            detail=error.detail,
            attempt=ask.trace.attempts,
        )

    def _count(self, attempt: Attempt, outcome: GatewayError | None, *, cancelled: bool) -> None:
        account, seconds = attempt.lease.account, attempt.seconds
        if cancelled:
            word = "cancelled"
        elif outcome is None:
            word = "ok"
        else:
            word = outcome.reason if isinstance(outcome, UpstreamError) else outcome.code
        attempt.ask.trace.tried.append(Tried(account, word, seconds))
        self._metrics.upstream_calls.labels(account, word).inc()
        self._metrics.upstream_seconds.labels(account).observe(seconds)
        if word in TOO_MUCH:
            self._metrics.throttled.labels(account, word).inc()
