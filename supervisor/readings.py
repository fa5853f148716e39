"""One reading of the store a second for all who look, none while nobody does."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import structlog
from msgspec import Struct
from msgspec.structs import replace

from core.clock import Clock
from core.errors import NotFound, StoreUnavailable
from core.tasks import Tasks
from engine.service import Now, Standing, Turn, View
from journal import Facts, Journal, Mark, News
from pool import AccountConfig, AccountView, Changes, Pool, PoolStatus, Shared, State
from supervisor.jars import Jars
from supervisor.outlook import merged, says_something, turned, whole
from supervisor.settings import SupervisorSettings
from supervisor.standings import Standings
from supervisor.supervisor import LEASE

log = structlog.get_logger("gempool.supervisor")

AWAY = "The store does not answer."
_EVERY = 1.0
_AT_LEAST_EVERY = 5.0
_LONGEST, _LONGEST_ANEW = 0.8, 2.0
"""Seconds that a reading of what is new, or of everything, may take; after them the store counts as away."""
_OUTDATED = 60.0
"""Seconds after which what was read is not gone on from, but read anew."""


class About(Struct, frozen=True):
    """What is true of this replica as long as it runs. started: wall clock seconds."""

    version: str
    started: float
    alerts_configured: bool


class Work(Struct, frozen=True):
    """Batches and their tasks over all replicas."""

    batches_open: int = 0
    tasks_waiting: int = 0
    tasks_running: int = 0


class _Seen(Struct, frozen=True):
    """How far the readings went."""

    logged: int = 0
    epoch: str = ""
    mark: Mark = Mark()


class _Listener:
    """Somebody who looks. untold: what they have not been told yet; it grows by merging alone."""

    def __init__(self, view: View) -> None:
        self.untold: View | Turn | None = view
        self.bell = asyncio.Event()
        self.bell.set()

    def tell(self, what: View | Turn, view: View) -> None:
        """view: the whole after `what`."""
        if isinstance(what, View) or isinstance(self.untold, View):
            self.untold = view
        else:
            self.untold = what if self.untold is None else merged(self.untold, what)
        self.bell.set()


class Readings:
    """settings: those that the supervisor goes by. facts: what this replica tells of itself. work: over all replicas. every:
    seconds between two readings."""

    def __init__(
        self,
        pool: Pool,
        shared: Shared,
        jars: Jars,
        journal: Journal,
        settings: SupervisorSettings,
        clock: Clock,
        about: About,
        facts: Callable[[], Facts] = Facts,
        work: Callable[[], Work] = Work,
        every: float = _EVERY,
    ) -> None:
        self._pool = pool
        self._shared = shared
        self._jars = jars
        self._journal = journal
        self._clock = clock
        self._about = about
        self._facts = facts
        self._work = work
        self._every = every
        self._standings = Standings(
            settings, self._source, lambda config: bool(jars.missing(config)), pool.public_models
        )
        self._tasks = Tasks("readings")
        self._listeners: set[_Listener] = set()
        self._reader: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()
        self._view: View | None = None
        self._seen = _Seen()
        self._tried_at = float("-inf")
        self._read_at = float("-inf")
        self._told_at = float("-inf")
        self._timed_at = 0.0
        """When the view's time was true."""
        self._stopped = False
        self.count = 0
        """Readings so far."""

    @property
    def reads(self) -> bool:
        """Whether the store is read every second."""
        return self._reader is not None

    async def view(self) -> View:
        """Everything, no older than a second. While the store is away it is what was known last, and says so."""
        async with self._reading:
            if self._view is None or self._clock.monotonic() - self._tried_at >= self._every:
                return await self._read()
            return self._view

    async def turns(self) -> AsyncGenerator[View | Turn, None]:
        """See `engine.service.OperatorService`. Ends after `interrupt`."""
        listener = _Listener(await self.view())
        self._listeners.add(listener)
        if self._reader is None:
            self._reader = self._tasks.spawn(self._keep_reading(), "read")
        try:
            while True:
                await listener.bell.wait()
                if self._stopped:
                    return
                listener.bell.clear()
                what, listener.untold = listener.untold, None
                if what is not None:
                    yield what
        finally:
            self._listeners.discard(listener)

    async def standing(self, account: str) -> Standing:
        """One account as it is now. Raises NotFound, StoreUnavailable."""
        now, views = await self._pool.views()
        for standing in await self._stand(now, views):
            if standing.id == account:
                return standing
        known = ", ".join(view.record.id for view in views)
        raise NotFound(
            f"There is no account {account!r} (any more). Accounts: {known or 'none'}.", param="account"
        )

    def interrupt(self) -> None:
        """All `turns` end."""
        self._stopped = True
        for listener in self._listeners:
            listener.bell.set()

    async def close(self) -> None:
        self.interrupt()
        await self._tasks.close()

    # how it is done

    async def _keep_reading(self) -> None:
        try:
            while self._listeners and not self._stopped:
                began = self._clock.monotonic()
                try:
                    async with self._reading:
                        await self._read()
                except Exception:
                    # A fault of ours must not leave those who look with what was true once.
                    log.exception("a reading for the operator failed")
                spent = self._clock.monotonic() - began
                await self._clock.sleep(max(self._every / 10, self._every - spent))
        finally:
            self._reader = None

    async def _read(self) -> View:
        """Read what is new and tell those who look; everything where it is the first reading, or the store was away or has
        lost its data."""
        self.count += 1
        self._tried_at = self._clock.monotonic()
        before = self._view
        if before is not None and (not before.now.store_ok or self._tried_at - self._read_at > _OUTDATED):
            before = None
        try:
            async with asyncio.timeout(_LONGEST_ANEW if before is None else _LONGEST):
                now, views, changes, news, leader, status = await self._asked(before is None)
                if before is not None and self._lost(changes, news):
                    before = None
                    now, views, changes, news, leader, status = await self._asked(anew=True)
        except (StoreUnavailable, TimeoutError):
            return self._store_is_away()
        self._seen = _Seen(changes.logged, changes.epoch, news.mark)
        self._read_at = self._clock.monotonic()
        accounts = await self._stand(now, views)
        told = self._now(now, views, changes, news, leader, status)
        if before is None:
            view = whole(told, accounts, changes, news)
            self._tell(view, view)
            return view
        view, turn = turned(before, told, accounts, changes, news)
        self._tell_turn(turn, before, view)
        return view

    async def _asked(self, anew: bool) -> tuple[float, list[AccountView], Changes, News, str, PoolStatus]:
        seen = _Seen() if anew else self._seen
        (now, views), changes, news, leader, status = await asyncio.gather(
            self._pool.views(),
            self._pool.changes(seen.logged, seen.epoch),
            self._journal.look(seen.mark),
            self._shared.holder(LEASE),
            self._pool.status(),
        )
        return now, views, changes, news, leader, status

    def _lost(self, changes: Changes, news: News) -> bool:
        """Whether what was seen is of a store that has lost its data since."""
        seen = self._seen
        return (seen.logged > 0 and changes.epoch != seen.epoch) or (
            seen.mark.writes > 0 and news.mark.epoch != seen.mark.epoch
        )

    def _now(
        self,
        now: float,
        views: list[AccountView],
        changes: Changes,
        news: News,
        leader: str,
        status: PoolStatus,
    ) -> Now:
        states: dict[str, int] = {}
        for view in views:
            states[view.state] = states.get(view.state, 0) + 1
        work = self._work()
        facts = {**news.replicas, self._pool.replica: self._facts()}.values()
        return Now(
            time=now,
            ready=status.ready,
            why=status.why,
            store_ok=True,
            accounts={str(state): number for state, number in sorted(states.items())},
            capacity=sum(
                view.record.max_concurrency for view in views if view.state in (State.ACTIVE, State.COOLING)
            ),
            in_flight=status.in_flight,
            waiting=status.waiting,
            replica=self._pool.replica,
            replicas=changes.replicas,
            leader=leader,
            version=self._about.version,
            started=self._about.started,
            alerts_pending=sum(fact.alerts_pending for fact in facts),
            alerts_configured=self._about.alerts_configured,
            batches_open=work.batches_open,
            tasks_waiting=work.tasks_waiting,
            tasks_running=work.tasks_running,
            broken_files={path: why for fact in facts for path, why in fact.broken_files.items()},
        )

    def _store_is_away(self) -> View:
        before, status = self._view, self._pool.last_status()
        if before is None:
            # Nothing is known yet but this replica itself.
            nothing = News(0.0, Mark(), (), (), (), {})
            now = self._now(self._clock.now(), [], Changes(0.0, 0, "", (), 0), nothing, "", status)
            view = View(replace(now, ready=False, why=AWAY, store_ok=False), (), (), (), ())
            self._tell(view, view)
            return view
        now = replace(
            before.now,
            time=before.now.time + self._clock.monotonic() - self._timed_at,
            ready=False,
            why=AWAY,
            store_ok=False,
            in_flight=status.in_flight,
            waiting=status.waiting,
        )
        view = replace(before, now=now)
        self._tell_turn(Turn(now), before, view)
        return view

    def _tell_turn(self, turn: Turn, before: View, view: View) -> None:
        self._keep(view)
        overdue = self._clock.monotonic() - self._told_at > _AT_LEAST_EVERY - self._every / 2
        if overdue or says_something(turn, before.now):
            self._tell(turn, view)

    def _tell(self, what: View | Turn, view: View) -> None:
        self._keep(view)
        self._told_at = self._clock.monotonic()
        for listener in self._listeners:
            listener.tell(what, view)

    def _keep(self, view: View) -> None:
        self._view = view
        self._timed_at = self._clock.monotonic()

    async def _stand(self, now: float, views: list[AccountView]) -> tuple[Standing, ...]:
        return await self._standings.of(views, {config.id: config for config in self._pool.configs()}, now)

    def _source(self, config: AccountConfig) -> str:
        jar = self._jars.known(config)
        return "file" if jar is None else jar.source
