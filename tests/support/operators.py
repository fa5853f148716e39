"""Replicas with an operator's desk each, over one store."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from msgspec.structs import replace

from core.clock import SystemClock
from engine.service import Standing, Turn, View
from journal import Facts, Journal, Minute
from pool import AccountConfig
from pool.upstream import SessionFactory
from supervisor.operator import Operator
from supervisor.readings import About, Readings, Work
from tests.support.caring import Carer, Ward

SOON = 0.1
"""Seconds between two readings and two writes of the journal."""


class Replica:
    """A carer, its journal and its desk."""

    def __init__(self, carer: Carer, journal: Journal, readings: Readings, operator: Operator) -> None:
        self.carer = carer
        self.journal = journal
        self.readings = readings
        self.operator = operator
        self.facts = Facts()
        self.work = Work()

    async def standing(self, account: str) -> Standing:
        return next(one for one in (await self.operator.view()).accounts if one.id == account)

    async def close(self) -> None:
        await self.operator.close()
        await self.journal.close()


class Office:
    """Opens replicas and closes them."""

    def __init__(self, ward: Ward) -> None:
        self.ward = ward
        self._open: list[Replica] = []

    async def replica(
        self,
        sessions: SessionFactory,
        accounts: Sequence[AccountConfig],
        *,
        every: float = SOON,
        **options: Any,
    ) -> Replica:
        clock = SystemClock()
        name = f"replica-{len(self._open) + 1}"
        journal = Journal(self.ward.url, clock, name, every=SOON)
        carer = await self.ward.carer(sessions, accounts, note=journal.happened, replica=name, **options)
        about = About("1.2.3", clock.now(), alerts_configured=True)
        readings = Readings(
            carer.pool, carer.shared, carer.jars, journal, carer.settings, clock, about,
            lambda: replica.facts, lambda: replica.work, every,
        )  # fmt: skip
        replica = Replica(carer, journal, readings, Operator(carer.pool, readings, journal, clock))
        journal.facts = lambda: replica.facts
        journal.start()
        self._open.append(replica)
        return replica

    async def close(self) -> None:
        for replica in self._open:
            await replica.close()


class Watcher:
    """Somebody who looks at a desk: applies what it tells, as the page does."""

    def __init__(self, turns: AsyncGenerator[View | Turn, None]) -> None:
        self._turns = turns
        self.told: list[View | Turn] = []
        self.accounts: dict[str, Standing] = {}
        self.minutes: dict[int, Minute] = {}

    async def next(self, seconds: float = 5.0) -> View | Turn:
        """What is told next."""
        async with asyncio.timeout(seconds):
            what = await anext(self._turns)
        self.told.append(what)
        if isinstance(what, View):
            self.accounts, self.minutes = {}, {}
        self.accounts.update((standing.id, standing) for standing in what.accounts)
        self.minutes.update((minute.start, minute) for minute in what.minutes)
        if isinstance(what, Turn):
            for id in what.gone:
                self.accounts.pop(id, None)
            if what.order is not None:
                places = {id: place for place, id in enumerate(what.order, 1)}
                for id, standing in self.accounts.items():
                    self.accounts[id] = replace(standing, order=places.get(id, 0))
        return what

    async def until(self, condition: Callable[[View | Turn], object], seconds: float = 10.0) -> View | Turn:
        """Look until something is told of which that is true."""
        async with asyncio.timeout(seconds):
            while True:
                what = await self.next(seconds)
                if condition(what):
                    return what

    async def leave(self) -> None:
        async with aclosing(self._turns):
            pass
