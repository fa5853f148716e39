"""The operator's desk: how everything stands over all replicas, and what a person may do about it."""

import asyncio
from collections.abc import AsyncGenerator

import structlog
from msgspec.structs import replace

from core.clock import Clock
from engine.service import Checked, Turn, View
from journal import Happened, Journal
from pool import Pool
from supervisor.outlook import states_of
from supervisor.readings import Readings

log = structlog.get_logger("gempool.supervisor")

HISTORY = 200
NOT_IN_FILE = "The accounts file says enabled: false. Change it there."


class Operator:
    """Implements `engine.service.OperatorService`.

    While the store is away, `view` and `turns` tell what was known last, with `now.store_ok` False; the others raise
    StoreUnavailable.
    """

    def __init__(self, pool: Pool, readings: Readings, journal: Journal, clock: Clock) -> None:
        self._pool = pool
        self._readings = readings
        self._journal = journal
        self._clock = clock

    async def view(self) -> View:
        return await self._readings.view()

    def turns(self) -> AsyncGenerator[View | Turn, None]:
        return self._readings.turns()

    async def history(self, account: str) -> tuple[Happened, ...]:
        _, noted, events = await asyncio.gather(
            self._readings.standing(account),
            self._journal.history(account),
            self._pool.events(account, HISTORY),
        )
        entries = (*noted, *states_of(account, events))
        return tuple(sorted(entries, key=lambda entry: -entry.at)[:HISTORY])

    async def probe(self, account: str, who: str) -> Checked:
        finding = await self._pool.probe_now(account)
        outcome = finding.reason or finding.outcome
        now = self._clock.now()
        self._journal.happened(Happened(now, "probe", account, outcome=outcome, detail=finding.detail))
        return await self._done("probe", account, who, outcome, finding.detail)

    async def enable(self, account: str, who: str) -> Checked:
        await self._pool.enable(account)
        checked = await self._done("enable", account, who)
        if (checked.account.state, checked.account.reason) == ("disabled", "by configuration"):
            return replace(checked, detail=NOT_IN_FILE)
        return checked

    async def disable(self, account: str, who: str) -> Checked:
        await self._pool.disable(account)
        return await self._done("disable", account, who)

    async def clear(self, account: str, who: str) -> Checked:
        await self._pool.clear(account)
        return await self._done("clear", account, who)

    def interrupt(self) -> None:
        """Nobody looks any more: all `turns` end."""
        self._readings.interrupt()

    async def close(self) -> None:
        await self._readings.close()

    async def _done(self, what: str, account: str, who: str, outcome: str = "", detail: str = "") -> Checked:
        log.info("the operator acted", action=what, account=account, who=who, outcome=outcome)
        self._journal.happened(Happened(self._clock.now(), "operator", account, outcome=what, detail=who))
        return Checked(await self._readings.standing(account), outcome, detail)
