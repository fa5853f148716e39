"""Replicas that look after their accounts: store, pool and supervisor, over sessions of the test's own choice."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from core.clock import Clock, SystemClock
from core.metrics import Metrics
from core.secret import Secret
from engine import Engine, EngineSettings
from journal import Noting, into_nothing
from pool import AccountConfig, Policy, Pool, PoolSettings, PublicModel, Shared, State, StateChange, Store
from pool.upstream import SessionFactory
from supervisor import Lookout
from supervisor.alerts import Alerts, AlertsSettings
from supervisor.bark import Delivery
from supervisor.jars import Jars, Seal
from supervisor.notes import Note
from supervisor.settings import SupervisorSettings
from supervisor.supervisor import Supervisor
from tests.support.adapter import until, until_so

TABLE = (
    PublicModel("gemini-3-flash-preview", ("gemini-3-flash", "gemini-flash", "default")),
    PublicModel("gemini-2.5-pro", ("gemini-2.5-pro", "gemini-pro")),
)
QUICK = SupervisorSettings(
    probe_interval=0.4,
    rotate_interval=60.0,
    reprobe_first=0.2,
    reprobe_max=0.8,
    lease_ttl=0.6,
    probe_timeout=3.0,
)


class Phone:
    """The operator's: remembers every note that any replica told, in order."""

    devices = (0,)

    def __init__(self) -> None:
        self.notes: list[Note] = []

    async def push(self, note: Note, devices: Sequence[int] | None = None) -> list[Delivery]:
        self.notes.append(note)
        return [Delivery(0, "ok")]

    def told_about(self, account: str) -> list[str]:
        """The titles about one account."""
        return [note.title for note in self.notes if note.id == f"gw-{account}"]


class Carer:
    """One replica. `changes` holds what its pool told of the accounts' states."""

    def __init__(
        self,
        pool: Pool,
        store: Store,
        shared: Shared,
        jars: Jars,
        supervisor: Supervisor,
        settings: SupervisorSettings,
        engine: Engine,
    ) -> None:
        self.pool = pool
        self.store = store
        self.shared = shared
        self.jars = jars
        self.supervisor = supervisor
        self.settings = settings
        self.engine = engine
        self.lookout: Lookout | None = None
        self.alerts: Alerts | None = None
        self.changes: list[StateChange] = []
        self.alive = True
        pool.observe(self.changes.append)

    async def state(self, account: str) -> tuple[State, str]:
        views, _ = await self.pool.snapshot()
        return next((view.state, view.reason) for view in views if view.record.id == account)

    async def is_(self, account: str, state: State, seconds: float = 5.0) -> None:
        async def so() -> bool:
            return (await self.state(account))[0] is state

        await until_so(so, seconds)

    async def all_open(self) -> None:
        async def so() -> bool:
            views, _ = await self.pool.snapshot()
            return bool(views) and all(v.session_open and v.state is State.ACTIVE for v in views)

        await until_so(so, 10)

    async def die(self) -> None:
        """Stop without a word, as after a kill: nothing is resigned, saved or handed back."""
        self.alive = False
        if self.lookout is not None and self.alerts is not None:
            await self.lookout.close()
            # What is just being told when a replica dies may be told twice; that is another test's concern.
            await until(lambda: not self.alerts_pending)
            await self.alerts._tasks.close()
        self.supervisor._scheduler.shutdown(wait=False)
        await self.supervisor._tasks.close()
        await self.pool._tasks.close()
        await self.shared.close()
        await self.store.close()

    @property
    def alerts_pending(self) -> bool:
        return self.alerts is not None and bool(self.alerts._queue.qsize() or self.alerts._telling)

    def call(self, phone: Phone, clock: Clock, metrics: Metrics) -> None:
        """Tell the phone from now on what is wrong."""
        leads = self.supervisor.leader
        settings = AlertsSettings(min_interval=0.0)
        self.alerts = Alerts(self.shared, settings, phone, clock, metrics, lambda text: text)
        self.lookout = Lookout(self.pool, self.alerts, 1, clock, lambda: leads.is_leader)
        self.alerts.start()
        self.lookout.start()

    async def close(self) -> None:
        if self.alive:
            self.alive = False
            if self.lookout is not None and self.alerts is not None:
                await self.lookout.close()
                await self.alerts.close()
            await self.engine.close()
            await self.supervisor.close()
            await self.pool.close()
            await self.shared.close()
            await self.store.close()


class Ward:
    """Starts replicas on one store."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.carers: list[Carer] = []

    async def carer(
        self,
        sessions: SessionFactory,
        accounts: Sequence[AccountConfig],
        settings: SupervisorSettings = QUICK,
        *,
        key: str = "",
        ready: bool = True,
        policy: Policy | None = None,
        phone: Phone | None = None,
        note: Noting = into_nothing,
        replica: str | None = None,
        **changes: Any,
    ) -> Carer:
        metrics, clock = Metrics(), SystemClock()
        policy = policy or Policy(suspect_park=5.0)
        store = Store(self.url, metrics, policy)
        shared = Shared(self.url)
        jars = Jars(shared, Seal(Secret(key)))
        settings = structs.replace(settings, **changes)
        options = PoolSettings(
            policy=policy, reprobe_first=settings.reprobe_first, reprobe_max=settings.reprobe_max, suspect_retry=0.1,
            open_timeout=5.0, probe_timeout=settings.probe_timeout, lease_ttl=2.0,
        )  # fmt: skip
        pool = Pool(store, sessions, accounts, TABLE, options, metrics, clock, replica, jars)
        supervisor = Supervisor(pool, shared, jars, settings, metrics, clock, note)
        engine = Engine(
            pool, EngineSettings(first_content_timeout=5, silence_timeout=5, deadline=20), metrics, clock
        )
        carer = Carer(pool, store, shared, jars, supervisor, settings, engine)
        self.carers.append(carer)
        if phone is not None:
            carer.call(phone, clock, metrics)
        await pool.start()
        supervisor.start()
        if ready:
            await carer.all_open()
        return carer

    async def close(self) -> None:
        await asyncio.gather(*(carer.close() for carer in self.carers))


def account(name: str, **changes: Any) -> AccountConfig:
    return AccountConfig(
        **{
            "id": name,
            "secure_1psid": Secret(f"g.a000{name}"),
            "secure_1psidts": Secret(f"sidts-{name}"),
            **changes,
        }
    )
