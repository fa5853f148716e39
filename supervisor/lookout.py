"""Watches the pool and raises what is worth an alert: at once on every change, and now and then on a look at
everything, for what no message told."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from core.clock import Clock
from core.errors import NotFound, StoreUnavailable
from core.tasks import Tasks
from pool import AccountConfig, State, StateChange
from pool.account import Record, state_of
from supervisor.alerts import Alerts
from supervisor.incidents import account_incidents, incidents_of

LOOK_EVERY = 15.0
FOLLOW_EVERY = 300.0
"""The same where this replica does not lead: it keeps count by what it is told. Where each of a hundred replicas reads each of ten
thousand accounts every few seconds, the store has no time for anything else."""


class Watched(Protocol):
    """What is needed of the pool."""

    def observe(self, callback: Callable[[StateChange], None]) -> None: ...
    def config(self, account: str) -> AccountConfig: ...
    async def records(self) -> tuple[float, list[Record]]: ...


class Lookout:
    """One in every replica: each raises what it learns, and the alerts see to it that one is told.

    is_leader: whether this replica looks at everything; the others only keep count.
    """

    def __init__(
        self, pool: Watched, alerts: Alerts, pool_below: int, clock: Clock, is_leader: Callable[[], bool]
    ) -> None:
        self._pool = pool
        self._alerts = alerts
        self._pool_below = pool_below
        self._clock = clock
        self._is_leader = is_leader
        self._states: dict[str, State] = {}
        self._tally = Counter[str]()
        """How many accounts are in each state."""
        self._complete = False
        """Every account's state is known: until then numbers mean nothing."""
        self._tasks = Tasks("lookout")

    def start(self) -> None:
        self._pool.observe(self._learn)
        self._tasks.spawn(self._look_now_and_then(), "look")

    async def close(self) -> None:
        await self._tasks.close()

    async def look(self) -> None:
        """Look at all accounts. Raises StoreUnavailable."""
        now, records = await self._pool.records()
        found = {record.id: (*state_of(record, now), record.egress) for record in records}
        self._states = {account: state for account, (state, _, _) in found.items()}
        self._tally = Counter(str(state) for state in self._states.values())
        self._complete = True
        if self._is_leader():
            for account, (state, reason, egress) in found.items():
                await self._alerts.room()
                self._alerts.raise_all(account_incidents(account, state, reason, egress))
            self._alerts.review(self._counts())

    def _learn(self, change: StateChange) -> None:
        before = self._counts()
        if (known := self._states.get(change.account)) is not None:
            self._tally[known] -= 1
        self._states[change.account] = change.state
        self._tally[change.state] += 1
        after = self._counts()
        egress = ""
        with suppress(NotFound):  # removed meanwhile
            egress = self._pool.config(change.account).egress
        self._alerts.raise_all(incidents_of(change, before, after, self._pool_below, egress))

    def _counts(self) -> Mapping[str, int]:
        """Accounts by state; empty as long as not all are known."""
        return dict(self._tally) if self._complete else {}

    async def _look_now_and_then(self) -> None:
        looked = -math.inf
        while True:
            now = self._clock.monotonic()
            if self._is_leader() or now - looked >= FOLLOW_EVERY:
                with suppress(StoreUnavailable):
                    await self.look()
                    looked = now
            await self._clock.sleep(LOOK_EVERY)
