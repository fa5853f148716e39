"""The lookout: what the pool tells becomes incidents, and nothing is made of what is not known yet."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from core.clock import SystemClock
from core.errors import NotFound
from core.masking import mask
from core.metrics import Metrics
from core.secret import Secret
from pool import AccountConfig, State, StateChange
from pool.account import Record
from pool.shared import Shared
from pool.store import Store
from supervisor import Alerts, AlertsSettings, Incident, Lookout


class Pool:
    """As much of a pool as the lookout asks for, over a real store's records."""

    def __init__(self, store: Store, *accounts: str) -> None:
        self._store = store
        self.configs = {id: AccountConfig(id=id, secure_1psid=Secret(f"psid-{id}")) for id in accounts}
        self.tell: Callable[[StateChange], None] = lambda _: None
        self.reads = 0
        """How often all accounts were read."""

    def observe(self, callback: Callable[[StateChange], None]) -> None:
        self.tell = callback

    def config(self, account: str) -> AccountConfig:
        try:
            return self.configs[account]
        except KeyError:
            raise NotFound("gone") from None

    async def records(self) -> tuple[float, list[Record]]:
        self.reads += 1
        now, _, records = await self._store.page()
        return now, records

    async def fill(self, quarantined: Sequence[str] = ()) -> None:
        for n, config in enumerate(self.configs.values()):
            await self._store.upsert(config, n)
            await self._store.register(config.id, ["default"], "[]")
            if config.id in quarantined:
                await self._store.quarantine(config.id, "expired")


class Collected(Alerts):
    """Alerts that keep what is raised."""

    def __init__(self) -> None:
        shared = Shared("redis://127.0.0.1:1")
        super().__init__(shared, AlertsSettings(), None, SystemClock(), Metrics(), mask)
        self.raised: list[Incident] = []

    def raise_(self, incident: Incident) -> None:
        self.raised.append(incident)

    @property
    def wrong(self) -> list[tuple[str, str]]:
        return [(i.kind, i.subject) for i in self.raised if i.kind != "recovered"]


class Minutes:
    """A clock on which ten minutes pass at once, and then none."""

    def __init__(self) -> None:
        self.time = 0.0
        self.over = asyncio.Event()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.time >= 600.0:
            self.over.set()
            await asyncio.Event().wait()


@pytest.fixture
def alerts() -> Collected:
    return Collected()


def lookout_of(pool: Pool, alerts: Collected, leads: bool = True) -> Lookout:
    lookout = Lookout(pool, alerts, 1, SystemClock(), lambda: leads)
    pool.observe(lookout._learn)
    return lookout


def change(account: str, before: State | None, state: State, reason: str = "") -> StateChange:
    return StateChange(account, before, state, reason, 0.0)


async def test_a_change_is_raised_at_once_in_every_replica(store: Store, alerts: Collected) -> None:
    """Without waiting for the next look, and by those that do not lead, too."""
    pool = Pool(store, "a", "b")
    await pool.fill()
    lookout = lookout_of(pool, alerts, leads=False)
    await lookout.look()
    assert alerts.raised == []
    pool.tell(change("a", State.ACTIVE, State.QUARANTINED, "expired"))
    assert alerts.wrong == [("expired", "account:a")]
    pool.tell(change("b", State.ACTIVE, State.QUARANTINED, "expired"))
    assert alerts.wrong[1:] == [("expired", "account:b"), ("pool_empty", "pool")]


async def test_the_first_accounts_that_are_learnt_are_not_the_pool(store: Store, alerts: Collected) -> None:
    """A replica that starts hears of a quarantined account first: no alarm about an empty pool."""
    pool = Pool(store, "a", "b")
    await pool.fill(quarantined=["a"])
    lookout = lookout_of(pool, alerts)
    pool.tell(change("a", None, State.QUARANTINED, "expired"))
    assert alerts.wrong == [("expired", "account:a")]
    await lookout.look()
    assert ("pool_empty", "pool") not in alerts.wrong


async def test_a_look_finds_what_no_message_told(store: Store, alerts: Collected) -> None:
    """What stands is raised, what is well is cleared, by the leader."""
    pool = Pool(store, "a", "b", "c")
    await pool.fill(quarantined=["b"])
    await lookout_of(pool, alerts).look()
    assert alerts.wrong == [("expired", "account:b")]
    assert {i.subject for i in alerts.raised if i.kind == "recovered"} == {"account:a", "account:c", "pool"}


@pytest.mark.parametrize(("leads", "reads"), [(True, 40), (False, 2)])
async def test_who_does_not_lead_seldom_reads_all_accounts(
    store: Store, alerts: Collected, leads: bool, reads: int
) -> None:
    """The leader reads them every 15 seconds, everybody else every five minutes: in a large fleet it is that which the store
    would spend its time on."""
    pool, clock = Pool(store, "a"), Minutes()
    await pool.fill()
    lookout = Lookout(pool, alerts, 1, clock, lambda: leads)
    lookout.start()
    await asyncio.wait_for(clock.over.wait(), 20)
    await lookout.close()
    assert pool.reads == reads


async def test_the_count_follows_what_is_told(store: Store, alerts: Collected) -> None:
    """Between two looks: accounts that come, fall ill and recover, over and over, leave the pool's number as it is."""
    pool = Pool(store, "a", "b")
    await pool.fill()
    lookout = lookout_of(pool, alerts, leads=False)
    await lookout.look()
    pool.tell(change("c", None, State.ACTIVE))
    for _ in range(3):
        for account in ("a", "b"):
            pool.tell(change(account, State.ACTIVE, State.QUARANTINED, "expired"))
        assert ("pool_empty", "pool") not in alerts.wrong
        pool.tell(change("c", State.ACTIVE, State.QUARANTINED, "expired"))
        assert alerts.wrong[-1] == ("pool_empty", "pool")
        alerts.raised.clear()
        for account in ("a", "b", "c"):
            pool.tell(change(account, State.QUARANTINED, State.ACTIVE))
        assert [i for i in alerts.raised if i.subject == "pool"] == [Incident("recovered", well=1, total=3)]
        alerts.raised.clear()


async def test_an_account_that_was_removed_meanwhile_breaks_nothing(store: Store, alerts: Collected) -> None:
    """Its last change clears what stood about it."""
    pool = Pool(store, "a")
    await pool.fill()
    lookout = lookout_of(pool, alerts)
    await lookout.look()
    alerts.raised.clear()
    pool.configs.clear()
    pool.tell(change("a", State.ACTIVE, State.DRAINING, "removed"))
    assert Incident("recovered", account="a", detail="draining") in alerts.raised
    assert alerts.wrong == []
