"""The pool over a real store: sessions, roster, models, and a store that fails."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import redis.asyncio as redis
from msgspec.structs import replace

from core.clock import SystemClock
from core.errors import (
    NetworkFault,
    NoAccount,
    StoreUnavailable,
    UnknownModel,
)
from core.metrics import Metrics
from core.secret import Secret
from pool import Pool, PoolSettings, State, Store
from pool.upstream import Credentials, Offered
from tests.fakes.sessions import FLASH, PRO, FakeSession, FakeWeb
from tests.support.pools import (
    ANY,
    QUICK,
    TABLE,
    Bench,
    account,
    accounts,
    all_open,
    state,
    until,
    use,
)


class CountingWeb(FakeWeb):
    """asked_for_models: how often any session was asked what it offers."""

    asked_for_models = 0

    async def open(
        self, account: str, credentials: Credentials, proxy: str | None, timeout: float
    ) -> FakeSession:
        return CountingSession(await super().open(account, credentials, proxy, timeout), self)


class CountingSession(FakeSession):
    def __init__(self, session: FakeSession, web: CountingWeb) -> None:
        self._counting, self._models = web, session.offered
        super().__init__(web, session.account, session.offered, Credentials(Secret("g.a000"), Secret("")))

    @property
    def offered(self) -> tuple[Offered, ...]:
        self._counting.asked_for_models += 1
        return self._models

    @offered.setter
    def offered(self, models: tuple[Offered, ...]) -> None:
        self._models = models


async def test_no_accounts_at_all(bench: Bench) -> None:
    """An empty roster starts; it is not ready, and says why."""
    pool = await bench.pool([])
    with pytest.raises(NoAccount, match="No account is configured"):
        await pool.lease(ANY)
    assert (await pool.status()).why == "No account is configured."


async def test_opening_is_bounded_and_does_not_block_the_start(bench: Bench) -> None:
    """Sessions are opened in the background, only so many side by side."""
    for config in accounts(6):
        bench.web.holds[config.id] = asyncio.Event()
    pool = await bench.pool(accounts(6), open_all=False, open_parallel=2)
    status = await pool.status()
    assert (status.ready, status.why) == (False, "The accounts are being opened.")

    async def two_open() -> bool:
        return bench.web.opening == 2

    await until(two_open)
    for hold in bench.web.holds.values():
        hold.set()
    await until(lambda: all_open(pool, accounts(6)))
    assert bench.web.most_opening == 2
    assert (await pool.status()).ready


async def test_opening_is_bounded_for_each_way_out(bench: Bench) -> None:
    """Over one proxy only so many sign in side by side; who waits for it keeps nobody from signing in over another."""
    roster = [
        replace(config, proxy=Secret(f"http://127.0.0.1:{1 + number // 4}"))
        for number, config in enumerate(accounts(8))
    ]
    for config in roster:
        bench.web.holds[config.id] = asyncio.Event()
    pool = await bench.pool(roster, open_all=False, open_parallel=5, open_per_address=2)

    async def four_open() -> bool:
        return bench.web.opening == 4

    await until(four_open)
    for config in roster[:4]:
        bench.web.holds[config.id].set()
    await until(lambda: all_open(pool, roster[:4]))
    assert bench.web.most_opening == 4
    for config in roster[4:]:
        bench.web.holds[config.id].set()
    await until(lambda: all_open(pool, roster))


async def test_requests_wait_for_the_first_session(bench: Bench) -> None:
    """While the first sessions are being opened a request waits for them instead of failing."""
    bench.web.holds["a0"] = asyncio.Event()
    pool = await bench.pool(accounts(1), open_all=False)
    waiting = asyncio.create_task(use(pool))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    bench.web.holds["a0"].set()
    assert await waiting == "a0"


async def test_an_account_without_a_session_here_is_left_to_others(bench: Bench) -> None:
    """A replica leases only accounts whose session it has, though the store knows more."""
    roster = accounts(3)
    await bench.pool(roster)
    bench.web.open_errors["a1"] = NetworkFault("no route from here")
    two = await bench.pool(roster, open_all=False)
    await until(lambda: all_open(two, [roster[0], roster[2]]))
    assert Counter([await use(two) for _ in range(6)]) == Counter({"a0": 3, "a2": 3})


async def test_the_roster_changes_live(bench: Bench) -> None:
    """Added accounts serve, changed cookies open a new session, removed ones go with their last lease."""
    pool = await bench.pool(accounts(2))
    held = await pool.lease(ANY)
    fresh = account("a1", secure_1psidts=Secret("sidts-new"))
    await pool.apply(added=[account("new")], changed=[fresh], removed=["a0"])
    await until(lambda: all_open(pool, [account("new")]))
    assert await state(pool, "a0") == (State.DRAINING, "removed")

    async def reopened() -> bool:
        return bench.web.opens["a1"] == 2

    await until(reopened)
    assert not next(s for s in bench.web.sessions if s.account == "a0").closed
    await held.release()
    _, total = await pool.snapshot()
    assert total == 2

    async def closed() -> bool:
        return next(s for s in bench.web.sessions if s.account == "a0").closed

    await until(closed)
    assert Counter([await use(pool) for _ in range(4)]) == Counter({"a1": 2, "new": 2})


async def test_accounts_of_an_older_roster_are_forgotten(bench: Bench) -> None:
    """What the last run's roster knew and this one's does not is gone after the start."""
    first = await bench.pool(accounts(3))
    await first.close()
    second = await bench.pool(accounts(2))
    _, total = await second.snapshot()
    assert total == 2


async def test_a_large_roster_is_looked_at_in_parts(bench: Bench) -> None:
    """Each sign of life reads a bounded part of the accounts, the next one those behind it: all of them are shown after a few,
    and who is gone is shown no more after as many."""
    pool = await bench.pool(accounts(1))
    store, metrics = bench.stores[0], bench.metrics[0]
    await store.beat("another", 600.0)
    elsewhere = [account(f"b{n}") for n in range(1100)]
    await asyncio.gather(*(store.upsert(config, n + 1) for n, config in enumerate(elsewhere)))

    def shown() -> set[str]:
        found = (sample for family in metrics.registry.collect() for sample in family.samples)
        return {s.labels["account"] for s in found if s.name == "gempool_account_state"}

    await pool._pulse.refresh()
    assert len(shown()) < 600
    for _ in range(3):
        await pool._pulse.refresh()
    assert shown() == {"a0", *(config.id for config in elsewhere)}
    assert pool._leasing.strangers == {config.id for config in elsewhere}
    await asyncio.gather(*(store.remove(config.id) for config in elsewhere[100:]))
    for _ in range(6):
        await pool._pulse.refresh()
    assert shown() == {"a0", *(config.id for config in elsewhere[:100])}
    assert pool._leasing.strangers == {config.id for config in elsewhere[:100]}


async def test_models_and_lanes(bench: Bench) -> None:
    """Public names resolve by the table, the accounts' own names as they are, others are refused by list."""
    pool = await bench.pool(accounts(1))
    assert await pool.lanes_for("Gemini-3-Flash-Preview") == ("gemini-flash", "default")
    assert await pool.lanes_for("gemini-2.5-pro") == ("gemini-pro",)
    assert await pool.lanes_for("gemini-pro") == ("gemini-pro",)
    with pytest.raises(UnknownModel, match=r"gemini-3-flash-preview.*gemini-2\.5-pro.*gemini-flash"):
        await pool.lanes_for("gpt-4")
    ids = [info.id for info in await pool.models()]
    assert ids == ["gemini-3-flash-preview", "gemini-2.5-pro", "gemini-flash", "gemini-pro"]
    lease = await pool.lease(("default",))
    assert (lease.lane, lease.model) == ("default", None)
    await lease.release()
    lease = await pool.lease(await pool.lanes_for("gemini-2.5-pro"))
    assert (lease.lane, lease.model) == ("gemini-pro", "gemini-pro")
    await lease.release()


async def test_requests_do_not_ask_every_session_for_its_models(bench: Bench) -> None:
    """Whatever the number of accounts, a request's lanes cost the same: the sessions are asked when one has come or gone, and
    what a newcomer offers is known then."""
    web = bench.web = CountingWeb()
    web.offered = {"a0": (FLASH,), "a1": (FLASH,), "a2": (PRO,)}
    pool = await bench.pool(accounts(2))
    assert [info.id for info in await pool.models()][2:] == ["gemini-flash"]
    asked = web.asked_for_models
    for _ in range(20):
        await pool.lanes_for("gemini-3-flash-preview")
    assert web.asked_for_models == asked
    await pool.apply([account("a2")], (), ())
    await until(lambda: all_open(pool, accounts(3)))
    assert await pool.lanes_for("gemini-2.5-pro") == ("gemini-pro",)
    await pool.apply((), (), ["a2"])
    assert [info.id for info in await pool.models()][2:] == ["gemini-flash"]


async def test_a_model_that_nobody_offers_is_503(bench: Bench) -> None:
    """A public name that no account serves is known, but nobody can serve it."""
    bench.web.offered = {"a0": (FLASH,)}
    pool = await bench.pool(accounts(1))
    with pytest.raises(NoAccount):
        await pool.lease(await pool.lanes_for("gemini-2.5-pro"))


async def test_allow_lists_route(bench: Bench) -> None:
    """An account is asked only for what its allow-list names."""
    roster = [account("a0", models=("gemini-pro",)), account("a1", models=("gemini-3-*",))]
    pool = await bench.pool(roster)
    assert {await use(pool, ("gemini-pro",)) for _ in range(3)} == {"a0"}
    assert {await use(pool, ANY) for _ in range(3)} == {"a1"}


async def test_the_store_loses_its_data(bench: Bench) -> None:
    """A store that comes back empty, scripts and all, is told everything again by the next sign of life."""
    pool = await bench.pool(accounts(2), lease_ttl=0.3)
    held = await pool.lease(ANY)
    client = redis.Redis.from_url(bench.url)
    await client.flushall()
    await client.script_flush()
    await client.aclose()
    await until(lambda: all_open(pool, accounts(2)))
    await held.release()
    assert {await use(pool) for _ in range(4)} == {"a0", "a1"}


async def test_an_unreachable_store_is_an_error_of_ours(tmp_path: Any) -> None:
    """Without a store the pool starts, leases raise 503, and the status says why."""
    metrics = Metrics()
    store = Store(f"unix://{tmp_path}/nobody", metrics, QUICK, timeout=0.2)
    pool = Pool(store, FakeWeb(), accounts(1), TABLE, PoolSettings(), metrics, SystemClock())
    await pool.start()
    with pytest.raises(StoreUnavailable):
        await pool.lease(ANY)
    assert (await pool.status()).why == "The store does not answer."
    await pool.close()
    await store.close()
