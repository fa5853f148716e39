"""How accounts are asked: whose turn it is, within which bounds, and what ends early."""

from collections.abc import Collection, Sequence

import structlog
from msgspec import Struct, field

from core.chat import Ask
from core.clock import Clock
from core.errors import PlaceLost, PoolBusy, UpstreamError, UpstreamUnstable
from engine.attempt import Attempt, Staying
from engine.prompt import Flat
from engine.settings import EngineSettings
from pool import Lease, Pool
from pool.upstream import Bounds

log = structlog.get_logger("gempool.engine")

ENOUGH = 0.05
"""Seconds of the deadline below which no further attempt is begun."""


class Round(Struct):
    """What all times that one request asks have in common. deadline: by the monotonic clock. account: the one that was asked
    last. wrong: those whose answers had not the form that was asked for; others are asked first."""

    deadline: float
    account: str = ""
    wrong: set[str] = field(default_factory=set)


class Asking:
    """Makes attempts. Whoever runs one says so, so that a stop reaches it."""

    def __init__(self, pool: Pool, settings: EngineSettings, clock: Clock) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._now = clock.monotonic
        self._running: set[Attempt] = set()

    async def lease(
        self,
        ask: Ask,
        lanes: Sequence[str],
        exclude: frozenset[str],
        deadline: float,
        patience: float,
        avoid: frozenset[str] = frozenset(),
    ) -> Lease:
        """The next account, counted as an attempt of the ask. A background ask gets one only where live requests leave it.

        avoid: accounts that are taken only where no other is free within the time that a text waits for one, or half
        of what is left.
        Raises what `Pool.lease` raises.
        """
        before = self._now()
        try:
            if avoid:
                bound = min(patience, self.patience(ask, deadline))
                try:
                    return await self._take(ask, lanes, exclude | avoid, deadline, bound)
                except PoolBusy:
                    patience -= self._now() - before
            return await self._take(ask, lanes, exclude, deadline, patience)
        finally:
            self._queued(ask, before)

    def longest(self, ask: Ask) -> float:
        """Seconds that an ask waits for accounts in all."""
        s = self._settings
        if ask.background:
            return s.background_patience
        return s.queue_timeout if ask.picture is None else s.deadline

    def patience(self, ask: Ask, deadline: float) -> float:
        """Seconds to wait for an account where one can do without: as long as a text waits, or half of what is left."""
        s = self._settings
        bound = s.background_patience if ask.background else s.queue_timeout
        return min(bound, (deadline - self._now()) / 2)

    async def lease_to_stay(self, ask: Ask, staying: Staying, deadline: float) -> Lease | None:
        """The account that the conversation stands on, waited for a moment where it is busy; None where it is not well, or
        busy for longer. Raises what concerns no account."""
        before = self._now()
        patience = max(0.0, min(self._settings.patience, self.patience(ask, deadline)))
        try:
            lease = await self._pool.lease(
                (staying.lane,), deadline=deadline, patience=patience, only=staying.place.account
            )
        except PoolBusy:
            return None
        finally:
            self._queued(ask, before)
        ask.trace.attempts += 1
        return lease

    async def pause(self, ask: Ask, seconds: float) -> None:
        """Wait until accounts that failed may be asked again."""
        before = self._now()
        try:
            await self._clock.sleep(seconds)
        finally:
            self._queued(ask, before)

    def lost(self, ask: Ask, error: PlaceLost) -> None:
        log.info("a conversation is told anew", request_id=ask.request_id, why=error.detail)

    def attempt(
        self,
        ask: Ask,
        flat: Flat,
        lease: Lease,
        deadline: float,
        *,
        keep: bool = False,
        staying: Staying | None = None,
    ) -> Attempt:
        """keep, staying: see `Attempt`; another account than the place's begins a new chat."""
        bounds = self._bounds(ask, deadline - self._now())
        if staying is not None and (lease.account, lease.lane) != (staying.place.account, staying.lane):
            staying = None
        return Attempt(ask, flat, lease, bounds, self._now, self._settings.forget, keep, staying)

    def begun(self, attempt: Attempt) -> None:
        self._running.add(attempt)

    def ended(self, attempt: Attempt) -> None:
        self._running.discard(attempt)

    def interrupt(self) -> None:
        """End every running attempt with ShuttingDown."""
        for attempt in set(self._running):
            attempt.interrupt()

    def cut_short(self, error: UpstreamError, attempt: Attempt, deadline: float) -> bool:
        """It was our deadline that ended the attempt, not a bound that the account has broken."""
        if self._now() <= deadline - ENOUGH:
            return False
        if not isinstance(error, UpstreamUnstable) or error.kind not in {"slow_first_content", "stalled"}:
            return False
        if attempt.begun or (attempt.held and error.kind == "stalled"):
            return True
        return attempt.bounds.first_content < self._first_content(attempt.ask)

    def _queued(self, ask: Ask, since: float) -> None:
        spent = self._now() - since
        ask.trace.waited += spent
        ask.trace.queued += spent

    async def _take(
        self, ask: Ask, lanes: Sequence[str], exclude: Collection[str], deadline: float, patience: float
    ) -> Lease:
        lease = await self._pool.lease(
            lanes,
            exclude=exclude,
            deadline=deadline,
            patience=max(0.0, patience),
            background=ask.background,
        )
        ask.trace.attempts += 1
        return lease

    def _bounds(self, ask: Ask, left: float) -> Bounds:
        s = self._settings
        silence = s.silence_timeout if ask.picture is None else max(s.silence_timeout, s.picture_timeout)
        return Bounds(s.connect_timeout, min(self._first_content(ask), left), silence, left)

    def _first_content(self, ask: Ask) -> float:
        s = self._settings
        return s.first_content_timeout if ask.picture is None else s.picture_timeout
