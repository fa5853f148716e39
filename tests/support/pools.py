"""Pools on one store, with sessions that do what the test says."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import msgspec

from core.clock import SystemClock
from core.metrics import Metrics
from core.secret import Secret
from pool import AccountConfig, Lease, Policy, Pool, PoolSettings, PublicModel, State, Store
from tests.fakes.sessions import FakeWeb

TABLE = (
    PublicModel("gemini-3-flash-preview", ("gemini-3-flash", "default")),
    PublicModel("gemini-2.5-pro", ("gemini-2.5-pro", "gemini-pro")),
)
QUICK = Policy(
    throttle_base=0.05, egress_blocked=0.2, eject_base=0.2, eject_cap=1.0, suspect_park=5.0, usage_limit=0.2
)
ANY = ("gemini-flash", "default")


def account(name: str, **changes: Any) -> AccountConfig:
    return AccountConfig(id=name, secure_1psid=Secret(f"g.a000{name}"), **changes)


def accounts(n: int, **changes: Any) -> list[AccountConfig]:
    return [account(f"a{i}", **changes) for i in range(n)]


class Bench:
    """Makes pools on one store and closes them at the end of the test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.web = FakeWeb()
        self.pools: list[Pool] = []
        self.stores: list[Store] = []
        self.metrics: list[Metrics] = []

    async def pool(
        self,
        roster: list[AccountConfig],
        *,
        open_all: bool = True,
        policy: Policy = QUICK,
        predecessors: Iterable[str] = (),
        **settings: Any,
    ) -> Pool:
        metrics = Metrics()
        store = Store(self.url, metrics, policy, timeout=1.0)
        options = PoolSettings(policy=policy, reprobe_first=0.05, reprobe_max=0.2, suspect_retry=0.05)
        options = msgspec.structs.replace(options, **settings)
        pool = Pool(store, self.web, roster, TABLE, options, metrics, SystemClock())
        self.pools.append(pool)
        self.stores.append(store)
        self.metrics.append(metrics)
        await pool.start(predecessors)
        if open_all:
            await until(lambda: all_open(pool, roster))
        return pool

    async def close(self) -> None:
        for pool in self.pools:
            await pool.close()
        for store in self.stores:
            await store.close()


async def all_open(pool: Pool, roster: list[AccountConfig]) -> bool:
    views, _ = await pool.snapshot()
    opened = {view.record.id for view in views if view.session_open and view.state is State.ACTIVE}
    return opened >= {config.id for config in roster if config.enabled}


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait for something that a background task brings about."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.005)


async def state(pool: Pool, name: str) -> tuple[State, str]:
    views, _ = await pool.snapshot()
    return next((view.state, view.reason) for view in views if view.record.id == name)


def becomes(pool: Pool, name: str, wanted: State) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return (await state(pool, name))[0] is wanted

    return check


async def use(pool: Pool, lanes: tuple[str, ...] = ANY, outcome: Any = None, **options: Any) -> str:
    lease = await pool.lease(lanes, **options)
    await lease.release(outcome)
    return lease.account


def live_waits(pool: Pool, count: int = 1) -> Callable[[], Awaitable[bool]]:
    """So many live requests wait in the replica."""

    async def check() -> bool:
        return (await pool.status()).waiting == count

    return check


def nothing_runs(pool: Pool) -> Callable[[], Awaitable[bool]]:
    """No account of the pool is leased."""

    async def check() -> bool:
        views, _ = await pool.snapshot()
        return all(view.record.in_flight == 0 for view in views)

    return check


async def served_in_turn(
    held: Lease, ask: Callable[[], Awaitable[Lease]], all_wait: Callable[[], Awaitable[bool]]
) -> list[int]:
    """Ten ask one after the other, and an eleventh while what they wait for is released: their numbers as they were served."""
    order: list[int] = []

    async def request(number: int) -> None:
        lease = await ask()
        order.append(number)
        await lease.release()

    waiting = []
    for number in range(10):
        waiting.append(asyncio.create_task(request(number)))
        await asyncio.sleep(0)
    await until(all_wait)
    await asyncio.gather(held.release(), request(10), *waiting)
    return order


async def leave_at_any_moment(ask: Callable[[], Coroutine[Any, Any, Lease]]) -> None:
    """Thirty ask and leave, each some steps later; one that got a lease all the same releases it."""
    for steps in range(30):
        task = asyncio.create_task(ask())
        for _ in range(steps % 10):
            await asyncio.sleep(0)
        task.cancel()
        done = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(done, Lease):
            await done.release(cancelled=True)
