"""This replica's pulse: its sign of life, what it tells the store, and what it learns from it."""

import asyncio
from collections.abc import Callable, Collection, Iterable

import structlog
from msgspec import Struct

from core.clock import Clock
from core.errors import StoreUnavailable
from core.metrics import Metrics
from core.tasks import Tasks
from pool.account import Record, State, state_of
from pool.leasing import Leasing
from pool.members import Members, offered_by
from pool.queue import Queues
from pool.store import Counts, Store
from pool.upstream import Offered

log = structlog.get_logger("gempool.pool")

_PART, _PAGE = 500, 100
"""Accounts that one beat reads, where there are more, and that are read at a time, so that nobody waits for long."""


class StateChange(Struct, frozen=True):
    """An account's state as this replica learnt it. `before` is None where it knew none yet; `at` is in seconds
    of the store's clock."""

    account: str
    before: State | None
    state: State
    reason: str
    at: float


class Pulse:
    """Beats in the background, and at once where `refresh` is asked for."""

    def __init__(
        self,
        replica: str,
        store: Store,
        members: Members,
        leasing: Leasing,
        queues: Queues,
        lease_ttl: float,
        metrics: Metrics,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self._replica = replica
        self._store = store
        self._members = members
        self._leasing = leasing
        self._queues = queues
        self._lease_ttl = lease_ttl
        self._metrics = metrics
        self._clock = clock
        self._tasks = tasks
        self._beating = asyncio.Lock()
        self._beats = 0
        self._known: dict[str, StateChange] = {}
        self._observers: list[Callable[[StateChange], None]] = []
        self._read: dict[str, Record] = {}
        """The accounts that the store knows, as they were read last."""
        self._round: dict[str, Record] = {}
        """Those of them that were read since the first was."""
        self._offset = 0
        self.offered_elsewhere: tuple[Offered, ...] = ()
        """What the accounts offer, whichever replica opened them."""
        self.counts = Counts({}, 0)
        self.store_ok = True

    def start(self) -> None:
        self._tasks.spawn(self._housekeeping(), "housekeeping")
        self._tasks.spawn(self._listen(), "listen")

    def observe(self, callback: Callable[[StateChange], None]) -> None:
        """Call it for every change of an account's state that this replica learns of, whoever made it."""
        self._observers.append(callback)

    def standings(self, accounts: Iterable[str]) -> list[tuple[State, str]]:
        """State and reason of those of the accounts that this replica has learnt of."""
        found = (self._known.get(account) for account in accounts)
        return [(change.state, change.reason) for change in found if change is not None]

    async def refresh(self) -> None:
        """One beat now; who asks while one runs waits for that one. Raises StoreUnavailable."""
        before = self._beats
        async with self._beating:
            if self._beats == before:
                await self._beat()

    async def count(self) -> None:
        """Ask the store for the accounts by state; never raises."""
        try:
            self.counts = await self._store.counts()
            self._answers(True)
            self._show_counts()
        except StoreUnavailable:
            self._answers(False)

    async def _housekeeping(self) -> None:
        interval = min(5.0, self._lease_ttl / 3)
        while True:
            await self._clock.sleep(interval)
            try:
                await self.refresh()
            except StoreUnavailable:
                self._answers(False)
            except Exception:
                # Without its sign of life the replica would lose its leases: log, and go on.
                log.exception("housekeeping failed")

    async def _beat(self) -> None:
        store, replica, ttl = self._store, self._replica, self._lease_ttl
        known, self.counts = await store.beat(replica, ttl)
        self._answers(True)
        if not known and self._beats:
            log.warning("the store has lost its data; it is told the accounts again")
        await self._members.tell(everything=not known)
        await self._leasing.reconcile()
        if not known:
            # Only now may others believe that the accounts are there.
            self.counts = await store.settled(replica, ttl)
            self._queues.wake()
        self._leasing.capacity = self.counts.capacity
        await self._look_around()
        self._beats += 1

    async def _look_around(self) -> None:
        """Take from the store what metrics and a replica without sessions need, and drop accounts that no
        roster knows: only where no other replica lives, whose roster may be newer."""
        all_read = await self._read_on()
        live = await self._store.live_replicas()
        read = self._read.values()
        strangers = {r.id for r in read if self._members.get(r.id) is None and not r.removed}
        # Those that a pick ran into count until all accounts were read.
        self._leasing.strangers = strangers if all_read else strangers | self._leasing.strangers
        if live <= 1:
            for account in strangers:
                if self._members.get(account) is None:
                    await self._store.remove(account)
                self._read.pop(account, None)
                self._round.pop(account, None)
            self._leasing.strangers = set()
        self.offered_elsewhere = offered_by(self._read.values())
        self._show_counts()
        self._metrics.replicas.set(live)
        self._metrics.only_accounts(self._read.keys() | {member.config.id for member in self._members})

    async def _read_on(self) -> bool:
        """Read the accounts behind those that the last beat has read, from the first again after the last. True where that was read."""
        until = self._offset + _PART
        while self._offset < until:
            now, total, records = await self._store.page(self._offset, _PAGE)
            for record in records:
                self._learn(record.id, record.changed_at, *state_of(record, now))
            self._show(records, now)
            found = {record.id: record for record in records}
            self._read |= found
            self._round |= found
            self._offset += _PAGE
            if self._offset >= total:
                self._read, self._round, self._offset = self._round, {}, 0
                return True
        return False

    def _show(self, records: Collection[Record], now: float) -> None:
        metrics = self._metrics
        metrics.account_reason.drop("account", {record.id for record in records})
        for record in records:
            current, reason = state_of(record, now)
            for state in State:
                metrics.account_state.labels(record.id, state).set(state == current)
            if reason:
                metrics.account_reason.labels(record.id, reason).set(1)
            if record.cookies_at:
                metrics.cookie_age.labels(record.id).set(max(0.0, now - record.cookies_at))
            metrics.account_last_used.labels(record.id).set(record.last_used)
            metrics.account_proved.labels(record.id).set(record.proved_at)
            cooling = sum(cooldown.until > now for cooldown in record.lane_cooldowns.values())
            metrics.account_models_cooling.labels(record.id).set(cooling)

    def _show_counts(self) -> None:
        for state in State:
            self._metrics.accounts.labels(state).set(self.counts.states.get(state, 0))
        self._metrics.capacity.set(self.counts.capacity)

    def _answers(self, answers: bool) -> None:
        self.store_ok = answers
        self._metrics.store_up.set(answers)

    async def _listen(self) -> None:
        while True:
            try:
                async for message in self._store.wakes():
                    verb, _, rest = message.partition(" ")
                    if verb == "state":
                        account, at, _, state, reason = rest.split(" ", 4)
                        self._learn(account, int(at) / 1000, State(state), reason)
                        continue
                    if verb == "reinstated":
                        self._members.hasten(rest)
                    self._queues.wake()
            except StoreUnavailable:
                await self._clock.sleep(1.0)

    def _learn(self, account: str, at: float, state: State, reason: str) -> None:
        """Messages and the pages that are read now and then may overtake each other: the later change counts."""
        known = self._known.get(account)
        if known is not None and at < known.at:
            return
        self._members.learn(account, state)
        if known is not None and (known.state, known.reason) == (state, reason):
            return
        change = StateChange(account, known.state if known is not None else None, state, reason, at)
        self._known[account] = change
        if change.before is not None:
            log.info(
                "account changed", account=account, before=change.before, after=change.state, reason=reason
            )
        for callback in self._observers:
            try:
                callback(change)
            except Exception:
                # An observer's fault must not end the listening.
                log.exception("observer failed", account=account)
