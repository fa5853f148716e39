"""Leases: who gets which account, and what comes back with it. This replica's side of the store's scripts."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from core.clock import Clock
from core.errors import GatewayError, ModelUnavailable, StoreUnavailable, UpstreamError
from core.metrics import Metrics
from core.tasks import Tasks
from pool.account import NO_EFFECT, OK, Effect, effect_of
from pool.demand import Demand
from pool.member import Held, Member
from pool.members import Members
from pool.models import DEFAULT_LANE
from pool.queue import Queues
from pool.settings import PoolSettings
from pool.settling import Settling
from pool.store import Refused, Store
from pool.upstream import Session
from pool.waiting import Waiting, Wish

log = structlog.get_logger("gempool.pool")

_BLIND = 64
"""At most so many accounts without a session here are left out beforehand; others are found one by one."""
_ROSTERS_MEET = 5.0
"""Seconds within which all replicas have taken in a changed accounts file."""
_RECOVERIES = 2
"""How often one request may find that the store has lost its data."""


_MODEL_GONE = ModelUnavailable.reason


class Lease:
    """The right to send one generation to `account`. `model` is what to ask the session for, None for the
    account's default. Whoever holds it releases it, whatever happens."""

    __slots__ = (
        "_background",
        "_held",
        "_id",
        "_leasing",
        "_member",
        "_since",
        "account",
        "lane",
        "model",
        "session",
    )

    def __init__(
        self,
        leasing: "Leasing",
        id: str,
        member: Member,
        held: Held,
        lane: str,
        since: float,
        background: bool,
    ) -> None:
        self.account = member.config.id
        self.lane = lane
        self.model = None if lane == DEFAULT_LANE else lane
        self.session: Session = held.session
        self._leasing = leasing
        self._id = id
        self._member = member
        self._held: Held | None = held
        self._since = since
        self._background = background

    async def release(self, outcome: GatewayError | None = None, *, cancelled: bool = False) -> None:
        """Give the account back with what came of it: None for a good answer, or the error. `cancelled`
        says that the caller went away, which tells nothing about the account.

        Never raises; a second call does nothing. If the store is away, or this call is cancelled, the
        release is finished in the background."""
        held, self._held = self._held, None
        if held is not None:
            await self._leasing.end(
                self._id, self._member, held, outcome, cancelled, self._since, self._background
            )


class Leasing:
    """Gives leases and takes them back for one replica.

    queues: who waits; woken also by whoever learns that an account may be free.
    lost: tells a store that has lost its data the accounts again.
    """

    def __init__(
        self,
        replica: str,
        store: Store,
        members: Members,
        queues: Queues,
        settings: PoolSettings,
        metrics: Metrics,
        clock: Clock,
        tasks: Tasks,
        lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._replica = replica
        self._store = store
        self._members = members
        self._queues = queues
        self._settings = settings
        self._clock = clock
        self._settling = Settling(replica, store, tasks, self._ended)
        self._demand = Demand(clock.monotonic)
        self._waiting = Waiting(queues, members, settings, metrics, clock)
        self._lost = lost
        self._idle = asyncio.Event()
        self._idle.set()
        self.in_flight = 0
        self._rosters_differ_until = 0.0
        self.strangers: set[str] = set()
        """Accounts in the store that are not in this replica's roster."""

    @property
    def capacity(self) -> int:
        """The pool's, as the store told last: what an expected wait is reckoned from."""
        return self._waiting.capacity

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        self._waiting.capacity = capacity

    @property
    def demand(self) -> int:
        """The most live requests that had an account here at once, in the last seconds."""
        return self._demand.peak()

    def refuse(self) -> None:
        """From now on nobody gets a lease; who waits for one is told that we are shutting down."""
        self._settling.closing = True
        self._waiting.refuse()

    async def idle(self) -> None:
        """Wait until nothing runs here and no live request waits."""
        while self.in_flight or len(self._queues.live):
            await self._idle.wait()
            if len(self._queues.live):
                await self._clock.sleep(0.05)

    async def reconcile(self) -> None:
        """Bring our books and the store's into step: see `Settling`. Raises StoreUnavailable."""
        await self._settling.reconcile()

    async def lease(
        self,
        lanes: Sequence[str],
        *,
        exclude: Collection[str] = (),
        deadline: float = math.inf,
        patience: float | None = None,
        only: str = "",
        background: bool = False,
    ) -> Lease:
        """The least recently used account that can serve one of `lanes`, in order of preference.

        exclude: accounts that this request has tried. deadline: in seconds of the clock's `monotonic()`.
        Waits in order of arrival where all are busy or cooling, `patience` seconds at most, or else `queue_timeout`.
        only: this account or none; it is waited for while it is busy, not while it cools or fails.
        background: behind every live request, in a line of its own that `queue_size` does not bound: nothing while one
        waits in any replica, and only an account that leaves another ready for the next one, or that is the last to
        serve its lanes. Cooling accounts are not used. Not to be had together with `only`.

        Raises PoolBusy (the queue is full, or the wait was too long), NotWell (with `only`), AllTried, NoAccount,
        DeadlineExceeded, ShuttingDown, StoreUnavailable.
        """
        wish = Wish(tuple(lanes), frozenset(exclude), only, background)
        return await self._waiting.turn(wish, self._try, deadline, patience)

    async def _try(self, wish: Wish, soft: int, be_woken: bool) -> Lease | Refused:
        """Ask the store once; an account that has no session here is given back and left out."""
        lanes, exclude, only, _ = wish
        if only and ((alone := self._members.get(only)) is None or alone.held is None):
            return Refused("none", None, "no session")
        blind = [a for a in self.strangers if self._members.get(a) is None]
        if self._members.without_session:
            blind += [a for a in self._members.without_session if a not in exclude]
        del blind[_BLIND:]
        recoveries = 0
        while True:
            lease = self._settling.ask()
            try:
                answer = await self._store.pick(
                    self._replica,
                    lease,
                    lanes,
                    exclude=tuple(exclude),
                    blind=blind,
                    lease_ttl=self._settings.lease_ttl,
                    soft=soft,
                    jitter=random.random(),  # noqa: S311 -- spreads load, guards nothing
                    be_woken=be_woken,
                    only=only,
                    background=wish.background,
                )
            except asyncio.CancelledError:
                # The store runs it all the same, and what is sent now is run after it.
                self._settling.end_soon(lease, "", NO_EFFECT)
                raise
            except StoreUnavailable:
                self._settling.unanswered(lease)
                raise
            if isinstance(answer, Refused):
                self._settling.refused(lease)
                if answer.reason == "lost" and recoveries < _RECOVERIES:
                    recoveries += 1
                    await self._lost()
                    continue
                return answer if only else self._seen_from_here(answer, bool(exclude), bool(blind))
            member = self._members.get(answer.account)
            if member is None or member.held is None:
                if member is None:
                    self.strangers.add(answer.account)
                    self._rosters_differ_until = self._clock.monotonic() + _ROSTERS_MEET
                blind.append(answer.account)
                await self._settling.end(lease, answer.account, NO_EFFECT)
                if only:
                    return Refused("none", None, "no session")
                continue
            held = self._members.hold(member)
            self._settling.granted(lease, answer.account, answer.lane)
            self.in_flight += 1
            self._idle.clear()
            if not wish.background:
                self._demand.begin()
            return Lease(self, lease, member, held, answer.lane, self._clock.monotonic(), wish.background)

    def _seen_from_here(self, refused: Refused, excluding: bool, blind: bool) -> Refused:
        """The store's verdict is about all replicas; this one may lack sessions."""
        if refused.verdict in ("none", "tried") and self._members.starting:
            return Refused("busy", None, "starting")
        if refused.verdict in ("none", "tried") and not excluding and self._rosters_are_changing():
            return Refused("busy", None, "roster")
        if refused.verdict == "tried" and blind:
            return Refused("tried" if excluding else "none", None, "no session")
        return refused

    def _rosters_are_changing(self) -> bool:
        """The store has accounts that our roster lacks, which another replica's has lately gained: ours is about to
        follow, and who asks meanwhile waits for that."""
        return self._clock.monotonic() < self._rosters_differ_until

    async def end(
        self,
        lease: str,
        member: Member,
        held: Held,
        outcome: GatewayError | None,
        cancelled: bool,
        since: float,
        background: bool = False,
    ) -> None:
        self._members.let_go(member, held)
        self.in_flight -= 1
        if not background:
            self._demand.end()
        if not self.in_flight:
            self._idle.set()
        self._waiting.held(self._clock.monotonic() - since)
        if cancelled:
            effect = NO_EFFECT
        elif outcome is None:
            effect = OK
        elif isinstance(outcome, UpstreamError):
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 -- spreads load, guards nothing
            effect = effect_of(outcome, self._clock.now(), self._settings.policy, jitter)
        else:
            effect = NO_EFFECT
        await self._settling.end(lease, member.config.id, effect)

    def _ended(self, account: str, effect: Effect) -> None:
        self._queues.wake()
        if effect.kind == "hard":
            log.warning("account quarantined", account=account, reason=effect.reason)
            self._members.quarantined(account)
        elif effect.kind == "suspect" or effect.reason == _MODEL_GONE:
            # Models also go when a session has fallen to a guest's: a probe tells.
            self._members.suspect(account)
