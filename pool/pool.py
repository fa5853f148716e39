"""The pool: who serves next. Leases, the queue in front of them, and this replica's sign of life."""

import asyncio
import math
import random
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress

import structlog
from msgspec import Struct

from core.chat import ModelInfo
from core.clock import Clock
from core.errors import (
    DeadlineExceeded,
    GatewayError,
    NoAccount,
    PoolBusy,
    ShuttingDown,
    StoreUnavailable,
    UnknownModel,
    UpstreamError,
)
from core.metrics import Metrics
from core.tasks import Tasks
from pool.account import NO_EFFECT, OK, AccountConfig, Effect, Record, State, effect_of, state_of
from pool.members import Held, Member, Members, offered_by
from pool.models import DEFAULT_LANE, PublicModel, catalogue, resolve
from pool.queue import Queue
from pool.settings import PoolSettings
from pool.store import Counts, Event, Refused, Store
from pool.upstream import Offered, Session, SessionFactory

log = structlog.get_logger("gempool.pool")

_POLL = 2.0
"""Seconds after which a waiting head asks again though nobody woke it: the net under a lost wake."""
_BLIND = 64
"""At most so many accounts without a session here are left out beforehand; others are found one by one."""


class AllTried(PoolBusy):
    """Only accounts that the caller left out could serve; `retry_after` says when the first is free again."""


class PoolStatus(Struct, frozen=True):
    """How the pool stands in this replica. `in_flight` and `waiting` are this replica's own."""

    ready: bool
    why: str
    store_ok: bool
    accounts: dict[str, int]
    in_flight: int
    waiting: int
    capacity: int


class AccountView(Struct, frozen=True):
    """An account as the operator sees it."""

    record: Record
    state: State
    reason: str
    in_flight_here: int
    session_open: bool
    next_try: float | None
    """Seconds until this replica tries to open a session, where one is wanted."""


class Lease:
    """The right to send one generation to `account`. `model` is what to ask the session for, None for the
    account's default. Whoever holds it releases it, whatever happens."""

    __slots__ = ("_held", "_id", "_member", "_pool", "_since", "account", "lane", "model", "session")

    def __init__(self, pool: "Pool", id: str, member: Member, held: Held, lane: str, since: float) -> None:
        self.account = member.config.id
        self.lane = lane
        self.model = None if lane == DEFAULT_LANE else lane
        self.session: Session = held.session
        self._pool = pool
        self._id = id
        self._member = member
        self._held: Held | None = held
        self._since = since

    async def release(self, outcome: GatewayError | None = None, *, cancelled: bool = False) -> None:
        """Give the account back with what came of it: None for a good answer, or the error. `cancelled`
        says that the caller went away, which tells nothing about the account.

        Never raises; a second call does nothing. If the store is away, or this call is cancelled, the
        release is finished in the background."""
        held, self._held = self._held, None
        if held is not None:
            await self._pool._end(self._id, self._member, held, outcome, cancelled, self._since)


class Pool:
    """Knows the roster, holds a session per account, and leases accounts to the engine.

    store: shared by all replicas. factory: opens sessions. table: the public models, the default first.
    replica: this process's name in the store; unique among the living.
    """

    def __init__(
        self,
        store: Store,
        factory: SessionFactory,
        accounts: Sequence[AccountConfig],
        table: Sequence[PublicModel],
        settings: PoolSettings,
        metrics: Metrics,
        clock: Clock,
        replica: str | None = None,
    ) -> None:
        self.replica = replica or uuid.uuid4().hex[:12]
        self._store = store
        self._accounts = tuple(accounts)
        self._table = tuple(table)
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._tasks = Tasks("pool")
        self._queue = Queue(settings.queue_size)
        self._members = Members(
            store, factory, table, settings, metrics, clock, self._tasks, self._queue.wake_heads
        )
        self._unsettled: dict[str, tuple[str, Effect]] = {}
        """Leases whose release the store has not confirmed, with account and effect."""
        self._live: set[str] = set()
        """Leases that are asked for or held here."""
        self._ownerless: set[str] = set()
        """Leases that the store held for us at the last look though nobody here has them."""
        self._strangers: set[str] = set()
        """Accounts in the store that are not in this replica's roster."""
        self._offered_elsewhere: tuple[Offered, ...] = ()
        self._boot = uuid.uuid4().hex[:6]
        self._lease_number = 0
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._hold_seconds = 1.0
        self._counts = Counts({}, 0)
        self._store_ok = True
        self._closing = False

    # life

    async def start(self) -> None:
        """Tell the store the accounts and begin to open sessions; does not wait for any of them."""
        for config in self._accounts:
            await self._members.add(config)
        with suppress(StoreUnavailable):
            await self._beat()
        self._tasks.spawn(self._housekeeping(), "housekeeping")
        self._tasks.spawn(self._listen(), "listen")

    async def drain(self, grace: float) -> None:
        """Wait until nothing runs or waits here, `grace` seconds at most. New leases are still given:
        a running request may need its next account."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self._in_flight or len(self._queue):
                    await self._idle.wait()
                    if len(self._queue):
                        await asyncio.sleep(0.05)

    def refuse(self) -> None:
        """From now on nobody gets a lease; who waits for one is told that we are shutting down."""
        self._closing = True
        self._queue.wake_all()

    async def close(self) -> None:
        """Refuse and wake who waits, hand the leases back, close the sessions."""
        self.refuse()
        await self._tasks.close()
        with suppress(StoreUnavailable):
            await self._store.leave(self.replica)
        await self._members.close()
        await self._tasks.settle()

    async def apply(
        self, added: Sequence[AccountConfig], changed: Sequence[AccountConfig], removed: Sequence[str]
    ) -> None:
        """Take a changed roster live; running requests are not touched."""
        for account in removed:
            await self._members.remove(account)
        for config in changed:
            await self._members.change(config)
        for config in added:
            await self._members.add(config)
        self._queue.wake_heads()

    # leases

    async def lease(
        self, lanes: Sequence[str], *, exclude: Collection[str] = (), deadline: float = math.inf
    ) -> Lease:
        """The least recently used account that can serve one of `lanes`, in order of preference.

        exclude: accounts that this request has tried. deadline: in seconds of the clock's `monotonic()`.
        Waits in order of arrival where all are busy or cooling, `queue_timeout` at most.

        Raises PoolBusy (the queue is full, or the wait was too long), AllTried, NoAccount,
        DeadlineExceeded, ShuttingDown, StoreUnavailable.
        """
        if self._closing:
            raise ShuttingDown("The gateway is shutting down. Please try again.", retry_after=1.0)
        lanes = tuple(lanes)
        key = (lanes, frozenset(exclude))
        ticket = self._queue.ticket()
        line = self._queue.line(key)
        refused: Refused | None = None
        if line is None:
            if deadline <= self._clock.monotonic():
                raise _too_late()
            answer = await self._try(lanes, exclude, soft=1, be_woken=False)
            if isinstance(answer, Lease):
                return answer
            refused = answer
            self._refuse(refused)
        if self._queue.full:
            free_at = line.free_at if line is not None else 0.0
            seconds = max(0.0, free_at - self._clock.monotonic()) if free_at else None
            raise self._busy(refused.seconds if refused is not None else seconds)
        return await self._wait(lanes, exclude, key, ticket, deadline)

    async def _wait(
        self,
        lanes: tuple[str, ...],
        exclude: Collection[str],
        key: tuple[tuple[str, ...], frozenset[str]],
        ticket: int,
        deadline: float,
    ) -> Lease:
        now = self._clock.monotonic
        started = now()
        bound = min(deadline, started + self._settings.queue_timeout)
        self._metrics.queue_depth.inc()
        try:
            with self._queue.stand(key, ticket) as waiter:
                refused: Refused | None = None
                while True:
                    left = bound - now()
                    if self._closing:
                        raise ShuttingDown("The gateway is shutting down. Please try again.", retry_after=1.0)
                    if waiter.is_head:
                        waiter.wake.clear()
                        # Nothing else is left within the bound: then a cooling account is better than none.
                        last_try = left <= 0 or _hopeless(refused, left)
                        answer = await self._try(lanes, exclude, soft=2 if last_try else 1, be_woken=True)
                        if isinstance(answer, Lease):
                            return answer
                        refused = answer
                        waiter.line.free_at = now() + refused.seconds if refused.seconds else 0.0
                        self._refuse(refused)
                        left = bound - now()
                        if _hopeless(refused, left):
                            if not last_try:
                                continue
                            left = 0.0
                    if left <= 0:
                        if bound == deadline and now() >= deadline:
                            raise _too_late()
                        raise self._busy(refused.seconds if refused is not None else None)
                    wait = left
                    if waiter.is_head:
                        told = (
                            refused.seconds if refused is not None and refused.seconds is not None else _POLL
                        )
                        wait = min(left, told, _POLL)
                    await waiter.woken(wait)
        finally:
            self._metrics.queue_depth.dec()
            self._metrics.queue_wait_seconds.observe(now() - started)

    async def _try(
        self, lanes: tuple[str, ...], exclude: Collection[str], soft: int, be_woken: bool
    ) -> Lease | Refused:
        """Ask the store once; an account that has no session here is given back and left out."""
        blind = list(self._strangers)
        if self._members.without_session:
            blind += [a for a in self._members.without_session if a not in exclude]
        del blind[_BLIND:]
        while True:
            self._lease_number += 1
            lease = f"{self._boot}-{self._lease_number:x}"
            leave_out = (*exclude, *blind)
            self._live.add(lease)
            try:
                answer = await self._store.pick(
                    self.replica,
                    lease,
                    lanes,
                    exclude=leave_out,
                    lease_ttl=self._settings.lease_ttl,
                    soft=soft,
                    jitter=random.random(),  # noqa: S311 -- spreads load, guards nothing
                    be_woken=be_woken,
                )
            except asyncio.CancelledError:
                # The store runs it all the same, and what is sent now is run after it.
                self._settle_soon(lease, "", NO_EFFECT)
                raise
            except StoreUnavailable:
                self._store_ok = False
                self._live.discard(lease)
                self._unsettled[lease] = ("", NO_EFFECT)
                raise
            self._store_ok = True
            if isinstance(answer, Refused):
                self._live.discard(lease)
                return self._seen_from_here(answer, bool(exclude), bool(blind))
            member = self._members.get(answer.account)
            if member is None or member.held is None:
                if member is None:
                    self._strangers.add(answer.account)
                blind.append(answer.account)
                await self._settle(lease, answer.account, NO_EFFECT)
                continue
            held = self._members.hold(member)
            self._in_flight += 1
            self._idle.clear()
            return Lease(self, lease, member, held, answer.lane, self._clock.monotonic())

    def _seen_from_here(self, refused: Refused, excluding: bool, blind: bool) -> Refused:
        """The store's verdict is about all replicas; this one may lack sessions."""
        if refused.verdict in ("none", "tried") and self._members.starting:
            return Refused("busy", None, "starting")
        if refused.verdict == "tried" and blind:
            return Refused("tried" if excluding else "none", None, "no session")
        return refused

    async def _end(
        self,
        lease: str,
        member: Member,
        held: Held,
        outcome: GatewayError | None,
        cancelled: bool,
        since: float,
    ) -> None:
        self._members.let_go(member, held)
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()
        self._hold_seconds += (self._clock.monotonic() - since - self._hold_seconds) * 0.1
        if cancelled:
            effect = NO_EFFECT
        elif outcome is None:
            effect = OK
        elif isinstance(outcome, UpstreamError):
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 -- spreads load, guards nothing
            effect = effect_of(outcome, self._clock.now(), self._settings.policy, jitter)
        else:
            effect = NO_EFFECT
        await self._settle(lease, member.config.id, effect)

    async def _settle(self, lease: str, account: str, effect: Effect) -> None:
        self._live.discard(lease)
        try:
            await self._store.release(self.replica, lease, effect)
        except asyncio.CancelledError:
            # Released twice is released once: the store knows the lease no more.
            self._settle_soon(lease, account, effect)
            raise
        except StoreUnavailable:
            self._store_ok = False
            self._unsettled[lease] = (account, effect)
        if len(self._queue):
            self._queue.wake_heads()
        if effect.kind == "hard":
            log.warning("account quarantined", account=account, reason=effect.reason)
            self._members.quarantined(account)
        elif effect.kind == "suspect":
            self._members.suspect(account)

    def _settle_soon(self, lease: str, account: str, effect: Effect) -> None:
        if self._closing:
            return  # `leave` hands all leases back
        self._tasks.spawn(self._settle(lease, account, effect), "settle")

    def _refuse(self, refused: Refused) -> None:
        """Raise where waiting makes no sense."""
        if refused.verdict == "tried":
            raise AllTried(
                "No further account can take this request now. Please try again.",
                retry_after=refused.seconds if refused.seconds is not None else self._expected_wait(),
            )
        if refused.verdict == "none":
            raise self._no_account()

    def _no_account(self) -> NoAccount:
        wait = self._members.next_try()
        seconds = max(1, math.ceil(self._settings.reprobe_first if wait is None else wait))
        if not len(self._members):
            message = "No account is configured. Add accounts to the accounts file."
        else:
            message = f"No account can serve this model now. Please try again in {seconds} seconds."
        return NoAccount(message, retry_after=float(seconds))

    def _busy(self, seconds: float | None) -> PoolBusy:
        wait = max(1, math.ceil(self._expected_wait() if seconds is None else seconds))
        return PoolBusy(
            f"All accounts are busy. Please try again in {wait} seconds.", retry_after=float(wait)
        )

    def _expected_wait(self) -> float:
        """Seconds until a newcomer's turn, from how long leases were held lately: nobody knows how long the
        running ones still take."""
        return min(120.0, self._hold_seconds * (len(self._queue) + 1) / max(1, self._counts.capacity))

    # what it knows

    async def models(self) -> tuple[ModelInfo, ...]:
        """The public models, then those that the accounts offer under their own names."""
        return catalogue(self._table, self._offered)

    async def lanes_for(self, name: str) -> tuple[str, ...]:
        """The lanes to lease for a model's name, in order of preference; raises UnknownModel or NoAccount."""
        lanes = resolve(self._table, self._offered, name)
        if lanes is not None:
            return lanes
        if self._members.starting and not self._offered:
            raise NoAccount(
                "The accounts are being opened; their models are not known yet. Please try again.",
                retry_after=1.0,
            )
        known = ", ".join(info.id for info in catalogue(self._table, self._offered))
        raise UnknownModel(f"The model {name!r} is not known. Known models: {known}.", param="model")

    async def status(self) -> PoolStatus:
        """One round trip to the store; never raises."""
        try:
            self._counts = await self._store.counts()
            self._store_ok = True
        except StoreUnavailable:
            self._store_ok = False
        states = dict(self._counts.states)
        serving = states.get(State.ACTIVE, 0) + states.get(State.COOLING, 0)
        open_here = len(self._members) - len(self._members.without_session)
        if not self._store_ok:
            why = "The store does not answer."
        elif not len(self._members):
            why = "No account is configured."
        elif self._closing:
            why = "The gateway is shutting down."
        elif not open_here:
            why = "No account has an open session."
        elif not serving:
            why = "No account can serve: all are quarantined or disabled."
        else:
            why = ""
        return PoolStatus(
            not why, why, self._store_ok, states, self._in_flight, len(self._queue), self._counts.capacity
        )

    async def snapshot(self, offset: int = 0, limit: int = 200) -> tuple[list[AccountView], int]:
        """A page of accounts in the roster's order, and how many there are. Raises StoreUnavailable."""
        now, total, records = await self._store.page(offset, limit)
        return [self._view(record, now) for record in records], total

    async def events(self, account: str, limit: int = 200) -> list[Event]:
        """The account's last state changes, newest first. Raises StoreUnavailable."""
        return await self._store.events(account, limit)

    def _view(self, record: Record, now: float) -> AccountView:
        state, reason = state_of(record, now)
        member = self._members.get(record.id)
        next_try = None
        if member is not None and member.wanted.is_set():
            next_try = max(0.0, member.next_try - self._clock.monotonic())
        return AccountView(
            record=record,
            state=state,
            reason=reason,
            in_flight_here=member.in_flight if member is not None else 0,
            session_open=member is not None and member.held is not None,
            next_try=next_try,
        )

    @property
    def _offered(self) -> tuple[Offered, ...]:
        return self._members.offered or self._offered_elsewhere

    # background

    async def _housekeeping(self) -> None:
        interval = min(5.0, self._settings.lease_ttl / 3)
        while True:
            await self._clock.sleep(interval)
            try:
                await self._beat()
            except StoreUnavailable:
                self._store_ok = False
            except Exception:
                # Without its sign of life the replica would lose its leases: log, and go on.
                log.exception("housekeeping failed")

    async def _beat(self) -> None:
        known, self._counts = await self._store.beat(self.replica, self._settings.lease_ttl)
        self._store_ok = True
        await self._members.tell(everything=not known)
        unsettled, self._unsettled = self._unsettled, {}
        for lease, (account, effect) in unsettled.items():
            await self._settle(lease, account, effect)
        await self._collect_ownerless()
        await self._look_around()

    async def _collect_ownerless(self) -> None:
        """Give back leases that a slow store granted after we had stopped waiting for its answer."""
        ownerless = await self._store.leases(self.replica) - self._live
        for lease in ownerless & self._ownerless:
            await self._settle(lease, "", NO_EFFECT)
        self._ownerless = ownerless

    async def _look_around(self) -> None:
        """Take from the store what metrics and a replica without sessions need, and drop accounts that no
        roster knows: only where no other replica lives, whose roster may be newer."""
        now, _, records = await self._store.page(0, 1000)
        live = await self._store.live_replicas()
        self._strangers = {r.id for r in records if self._members.get(r.id) is None and not r.removed}
        if live <= 1:
            for account in self._strangers:
                await self._store.remove(account)
            self._strangers = set()
        self._offered_elsewhere = offered_by(records)
        for state in State:
            self._metrics.accounts.labels(state).set(self._counts.states.get(state, 0))
        for record in records:
            current, _ = state_of(record, now)
            for state in State:
                self._metrics.account_state.labels(record.id, state).set(state == current)

    async def _listen(self) -> None:
        while True:
            try:
                async for message in self._store.wakes():
                    verb, _, account = message.partition(" ")
                    if verb == "reinstated":
                        self._members.hasten(account)
                    self._queue.wake_heads()
            except StoreUnavailable:
                await self._clock.sleep(1.0)


def _hopeless(refused: Refused | None, left: float) -> bool:
    """Sure to be refused until the bound: nothing is just busy, and the first cooldown ends too late."""
    return (
        refused is not None
        and refused.verdict == "wait"
        and refused.seconds is not None
        and refused.seconds > left
    )


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("No account was free before the request's deadline. Please try again.")
