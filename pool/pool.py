"""The pool: the roster, its sessions, its leases, and this replica's sign of life."""

import asyncio
import math
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress

import structlog
from msgspec import Struct

from core.chat import ModelInfo
from core.clock import Clock
from core.errors import (
    NoAccount,
    NotFound,
    StoreUnavailable,
    UnknownModel,
)
from core.metrics import Metrics
from core.secret import Secret
from core.tasks import Tasks
from pool.account import AccountConfig, Record, State, state_of
from pool.cookies import CookieSource, RosterCookies
from pool.leasing import Lease, Leasing
from pool.member import Finding
from pool.members import Members
from pool.models import PublicModel, catalogue, public_names, resolve
from pool.opening import Opening
from pool.outage import outage
from pool.pulse import Pulse, StateChange
from pool.queue import Queues
from pool.settings import PoolSettings
from pool.store import Changes, Event, Store
from pool.upstream import Credentials, Offered, SessionFactory

log = structlog.get_logger("gempool.pool")

_AT_ONCE = 500
"""Accounts that the store is told of in one breath."""
_PAGE = 500
_SMALL_PAGE = 50


class PoolStatus(Struct, frozen=True):
    """How the pool stands in this replica. `in_flight` and `waiting` are this replica's own, and of those who wait
    only live requests count."""

    ready: bool
    why: str
    store_ok: bool
    accounts: dict[str, int]
    in_flight: int
    waiting: int
    capacity: int
    retry_after: float | None = None
    """Seconds until the next account tries to come back, where it is not ready and one does."""
    demand: int = 0
    """The most live requests that had an account here at once, in the last seconds."""


class AccountView(Struct, frozen=True):
    """An account as the operator sees it."""

    record: Record
    state: State
    reason: str
    in_flight_here: int
    session_open: bool
    next_try: float | None
    """Seconds until this replica tries to open a session, where one is wanted."""


class Pool:
    """Knows the roster, holds a session per account, and leases accounts to the engine.

    store: shared by all replicas. factory: opens sessions. table: the public models, the default first.
    replica: this process's name in the store; unique among the living. cookies: what opens the sessions.
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
        cookies: CookieSource | None = None,
    ) -> None:
        self.replica = replica or uuid.uuid4().hex[:12]
        self._store = store
        self._accounts = tuple(accounts)
        self._table = tuple(table)
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._tasks = Tasks("pool")
        self._queues = Queues(settings.queue_size)
        self._members = Members(
            store,
            Opening(factory, cookies or RosterCookies(), settings, metrics),
            table,
            settings,
            metrics,
            clock,
            self._tasks,
            self._queues.wake,
        )
        self._leasing = Leasing(
            self.replica,
            store,
            self._members,
            self._queues,
            settings,
            metrics,
            clock,
            self._tasks,
            self._tell_again,
        )
        self._pulse = Pulse(
            self.replica,
            store,
            self._members,
            self._leasing,
            self._queues,
            settings.lease_ttl,
            metrics,
            clock,
            self._tasks,
        )
        self._closing = False

    # life

    async def start(self, predecessors: Iterable[str] = ()) -> None:
        """Tell the store the accounts and begin to open sessions; does not wait for any of them.

        predecessors: replicas that are known to be dead. Their leases come back at once.
        """
        with suppress(StoreUnavailable):
            for name in predecessors:
                if leases := await self._store.leave(name, died=True):
                    log.info("leases of a dead replica handed back", replica=name, leases=leases)
        await self._add(self._accounts)
        with suppress(StoreUnavailable):
            await self._pulse.refresh()
        self._pulse.start()

    async def drain(self, grace: float) -> None:
        """Wait until nothing runs or waits here, `grace` seconds at most. New leases are still given:
        a running request may need its next account."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._leasing.idle()

    def refuse(self) -> None:
        """From now on nobody gets a lease; who waits for one is told that we are shutting down."""
        self._closing = True
        self._leasing.refuse()

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
        await self._add(added)
        self._queues.wake()

    async def _add(self, accounts: Sequence[AccountConfig]) -> None:
        for first in range(0, len(accounts), _AT_ONCE):
            some = accounts[first : first + _AT_ONCE]
            await asyncio.gather(*(self._members.add(config) for config in some))

    async def tried(self) -> None:
        """Until it is known of each account whether a session opens."""
        await self._members.tried()

    # leases

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
        """The least recently used account that can serve one of `lanes`, or `only` this one: see `Leasing.lease`."""
        return await self._leasing.lease(
            lanes, exclude=exclude, deadline=deadline, patience=patience, only=only, background=background
        )

    # care

    def observe(self, callback: Callable[[StateChange], None]) -> None:
        """Call it for every change of an account's state that this replica learns of, whoever made it."""
        self._pulse.observe(callback)

    async def probe_now(self, account: str) -> Finding:
        """Ask the upstream how the account is, without a lease, and act on the answer.

        Raises NotFound; StoreUnavailable where the store does not learn of it.
        """
        member = self._members.get(account)
        again = member is not None and member.quarantined
        finding = await self._members.check(account)
        if finding is None:
            raise self._unknown(account)
        outcome = finding.reason or finding.outcome
        state = await self._store.probed(account, outcome, again and finding.outcome != "well")
        if finding.outcome == "well" and state == State.QUARANTINED:
            # Our session is well, and so we have not noticed that another replica's was not: a fresh one decides.
            return await self._members.reopen(account) or finding
        return finding

    async def rotate(self, account: str, timeout: float) -> bool:
        """Ask the upstream for a fresh `__Secure-1PSIDTS` over the account's session; True where there is a new
        one, False also where no session is open. Raises UpstreamError."""
        member = self._members.get(account)
        if member is None or member.held is None:
            return False
        return await member.held.session.rotate(timeout)

    async def rotated(self, account: str, outcome: str) -> None:
        """A rotation ended; `ok` makes the cookies new. Raises StoreUnavailable."""
        self._metrics.rotations.labels(account, outcome).inc()
        await self._store.rotated(account, outcome)

    def jar(self, account: str) -> Mapping[str, Secret]:
        """The cookies of the account's session in this replica; {} where none is open."""
        member = self._members.get(account)
        return member.held.session.jar() if member is not None and member.held is not None else {}

    def adopt(self, account: str, cookies: Credentials) -> None:
        """Somebody has newer cookies for the account: they go into the live session, or open a new one."""
        self._members.adopt(account, cookies)

    async def try_cookies(self, account: str, cookies: Credentials) -> tuple[Finding, Mapping[str, Secret]]:
        """What a session with these cookies tells, and its jar; the account stays as it is. Raises NotFound."""
        if self._members.get(account) is None:
            raise self._unknown(account)
        return await self._members.try_cookies(account, cookies)

    async def renew(self, account: str) -> Finding:
        """Newer cookies are there: a fresh session with them, and a quarantine ends. Raises NotFound,
        StoreUnavailable."""
        await self._store.new_cookies(account)
        finding = await self._members.reopen(account)
        if finding is None:
            raise self._unknown(account)
        return finding

    def config(self, account: str) -> AccountConfig:
        """The account's entry in the roster. Raises NotFound."""
        member = self._members.get(account)
        if member is None:
            raise self._unknown(account)
        return member.config

    def configs(self) -> list[AccountConfig]:
        return [member.config for member in self._members]

    async def clear(self, account: str) -> str:
        """End the account's cooldowns and forget its failures; returns its state, as those below do. All raise
        NotFound and StoreUnavailable."""
        return self._state(account, await self._store.clear(account))

    async def enable(self, account: str) -> str:
        """Take back a disabling by hand."""
        return self._state(account, await self._store.enable(account))

    async def disable(self, account: str) -> str:
        """No new calls for the account until it is enabled by hand."""
        return self._state(account, await self._store.disable(account))

    async def quarantine(self, account: str, reason: str) -> str:
        """No calls for the account until a probe has proved it well."""
        return self._state(account, await self._store.quarantine(account, reason))

    async def reinstate(self, account: str) -> str:
        """End a quarantine without a probe."""
        return self._state(account, await self._store.reinstate(account))

    async def _tell_again(self) -> None:
        await self._pulse.refresh()

    def _state(self, account: str, state: str) -> str:
        if not state:
            raise self._unknown(account)
        return state

    def _unknown(self, account: str) -> NotFound:
        known = ", ".join(member.config.id for member in self._members)
        return NotFound(f"There is no account {account!r}. Accounts: {known or 'none'}.", param="account")

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
        await self._pulse.count()
        return self.last_status()

    def last_status(self) -> PoolStatus:
        """The same without asking the store: its numbers are a few seconds old."""
        counts, store_ok = self._pulse.counts, self._pulse.store_ok
        states = dict(counts.states)
        serving = states.get(State.ACTIVE, 0) + states.get(State.COOLING, 0)
        open_here = len(self._members) - len(self._members.without_session)
        if not store_ok:
            why = "The store does not answer."
        elif not len(self._members):
            why = "No account is configured."
        elif self._closing:
            why = "The gateway is shutting down."
        elif not (open_here and serving):
            known = self._pulse.standings(member.config.id for member in self._members)
            why = outage(states, known, open_here=open_here, opening=self._members.starting)
        else:
            why = ""
        return PoolStatus(
            not why,
            why,
            store_ok,
            states,
            self._leasing.in_flight,
            len(self._queues.live),
            counts.capacity,
            self._members.next_try() if why and store_ok else None,
            self._leasing.demand,
        )

    async def snapshot(self, offset: int = 0, limit: int = 200) -> tuple[list[AccountView], int]:
        """A page of accounts in the roster's order, and how many there are. Raises StoreUnavailable."""
        now, total, records = await self._store.page(offset, limit)
        return [self._view(record, now) for record in records], total

    async def records(self) -> tuple[float, list[Record]]:
        """All accounts as the store knows them, and its time in seconds. Raises StoreUnavailable."""
        return await self._paged(_PAGE)

    async def _paged(self, size: int) -> tuple[float, list[Record]]:
        now, total, records = await self._store.page(0, size)
        while len(records) < total:
            now, total, more = await self._store.page(len(records), size)
            if not more:
                break
            records += more
        return now, records

    async def views(self) -> tuple[float, list[AccountView]]:
        """All accounts in the roster's order, and the store's time in seconds: in small pages, so that nobody is held up who
        serves meanwhile. Raises StoreUnavailable."""
        now, records = await self._paged(_SMALL_PAGE)
        return now, [self._view(record, now) for record in records]

    async def changes(self, logged: int = 0, epoch: str = "") -> Changes:
        """What befell accounts and replicas since a reader saw so much: see `Store.changes`. Raises StoreUnavailable."""
        return await self._store.changes(logged, epoch)

    def public_models(self, record: Record) -> tuple[str, ...]:
        """The public names of the models that the account serves."""
        return public_names(self._table, record.offered_json, record.lanes)

    async def sweep(self) -> None:
        """Count the accounts by state anew, and let go of cooldowns that ended. Raises StoreUnavailable."""
        await self._store.sweep()

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
        return self._members.offered or self._pulse.offered_elsewhere
