"""One account or none: how a conversation gets the account that it stands on."""

import asyncio
import time

import pytest

from core.errors import AccountThrottled, PoolBusy, SessionExpired
from pool import NotWell, Pool, State
from tests.fakes.sessions import FLASH, PRO
from tests.support.pools import ANY, Bench, accounts, becomes, until, use


async def test_it_takes_its_place_in_the_order(bench: Bench) -> None:
    """An account that was wanted alone goes to the tail, as after any other use; the others keep their order."""
    pool = await bench.pool(accounts(3))
    assert [await use(pool) for _ in range(3)] == ["a0", "a1", "a2"]
    assert await use(pool, only="a1") == "a1"
    assert [await use(pool) for _ in range(3)] == ["a0", "a2", "a1"]


async def test_it_is_waited_for_while_it_is_busy(bench: Bench) -> None:
    """A full account is waited for, though others are free, and had as soon as it is given back."""
    pool = await bench.pool(accounts(3, max_concurrency=1))
    held = await pool.lease(ANY, only="a0")
    waiting = asyncio.create_task(use(pool, only="a0", patience=5.0))

    async def waits() -> bool:
        return (await pool.status()).waiting == 1

    await until(waits)
    assert await use(pool) == "a1"
    await held.release()
    assert await waiting == "a0"


async def test_it_is_given_back_on_another_replica(bench: Bench) -> None:
    """Who waits here hears of an account that another replica gives back."""
    roster = accounts(2, max_concurrency=1)
    here, there = await bench.pool(roster), await bench.pool(roster)
    held = await there.lease(ANY, only="a1")
    waiting = asyncio.create_task(use(here, only="a1", patience=5.0))

    async def waits() -> bool:
        return (await here.status()).waiting == 1

    await until(waits)
    await held.release()
    assert await waiting == "a1"


async def test_not_longer_than_the_patience(bench: Bench) -> None:
    """Busy for longer than that is PoolBusy, and nobody stands in line any more."""
    pool = await bench.pool(accounts(2, max_concurrency=1))
    held = await pool.lease(ANY, only="a0")
    started = time.monotonic()
    with pytest.raises(PoolBusy):
        await pool.lease(ANY, only="a0", patience=0.2)
    assert 0.15 < time.monotonic() - started < 2
    assert (await pool.status()).waiting == 0
    await held.release()


async def test_its_spacing_is_kept(bench: Bench) -> None:
    """It is not asked sooner than its least interval allows, and not waited for where that ends too late."""
    pool = await bench.pool(accounts(2, min_interval=0.3))
    started = time.monotonic()
    assert [await use(pool, only="a0", patience=2.0) for _ in range(3)] == ["a0"] * 3
    assert time.monotonic() - started > 0.55
    with pytest.raises(PoolBusy):
        await pool.lease(ANY, only="a0", patience=0.05)


async def test_never_more_than_it_may_run(bench: Bench) -> None:
    """20 requests for one account at once over two replicas: never more than its limit."""
    roster = accounts(3, max_concurrency=2)
    pools = [await bench.pool(roster), await bench.pool(roster)]
    running = most = 0

    async def request(pool: Pool) -> None:
        nonlocal running, most
        lease = await pool.lease(ANY, only="a2", patience=10.0)
        assert lease.account == "a2"
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        await lease.release()

    await asyncio.gather(*(request(pools[i % 2]) for i in range(20)))
    assert most == 2


async def test_an_account_that_is_not_well_is_not_waited_for(bench: Bench) -> None:
    """Cooling, in quarantine, gone from the roster, never there, or without the model: NotWell at once."""
    bench.web.offered = {"a2": (PRO,), "a3": (FLASH,)}
    roster = accounts(4)
    pool = await bench.pool(roster)
    lease = await pool.lease(ANY, only="a0")
    await lease.release(AccountThrottled("x", retry_after=30))
    lease = await pool.lease(ANY, only="a1")
    bench.web.open_errors["a1"] = SessionExpired("x")
    await lease.release(SessionExpired("x"))
    await until(becomes(pool, "a1", State.QUARANTINED))
    await pool.apply((), (), ["a3"])
    started = time.monotonic()
    for name in ("a0", "a1", "a2", "a3", "nobody"):
        with pytest.raises(NotWell):
            await pool.lease(("gemini-flash",), only=name, patience=5.0)
    assert time.monotonic() - started < 2
    assert await use(pool, ("gemini-pro",), only="a2") == "a2"


async def test_a_replica_without_its_session_does_not_wait(bench: Bench) -> None:
    """An account that is open elsewhere only is no use here."""
    roster = accounts(2)
    await bench.pool(roster)
    bench.web.holds["a1"] = asyncio.Event()
    here = await bench.pool(roster, open_all=False)

    async def first_is_open() -> bool:
        views, _ = await here.snapshot()
        return any(view.session_open for view in views if view.record.id == "a0")

    await until(first_is_open)
    with pytest.raises(NotWell):
        await here.lease(ANY, only="a1", patience=5.0)
    assert await use(here, only="a0") == "a0"
    bench.web.holds["a1"].set()
