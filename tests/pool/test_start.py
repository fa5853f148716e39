"""A pool that starts: the store learns of the accounts, and it is told when each has had its first session."""

import asyncio

from core.errors import NetworkFault
from tests.support.pools import Bench, accounts, all_open, until


async def test_the_store_learns_of_the_accounts_in_the_rosters_order(bench: Bench) -> None:
    """Though it is told of many at once."""
    roster = accounts(40)
    await bench.pool(roster)
    _, total, records = await bench.stores[0].page()
    assert total == 40
    assert [record.id for record in records] == [config.id for config in roster]


async def test_who_waits_for_the_start_waits_for_each_account_once(bench: Bench) -> None:
    """One that cannot be opened counts as one that was tried, and one that is disabled is not waited for."""
    hold = bench.web.holds["a1"] = asyncio.Event()
    bench.web.open_errors["a2"] = NetworkFault("no route from here")
    roster = [*accounts(3), *accounts(4, enabled=False)[3:]]
    pool = await bench.pool(roster, open_all=False)
    waiting = asyncio.create_task(pool.tried())
    await until(lambda: all_open(pool, roster[:1]))
    assert not waiting.done()
    hold.set()
    async with asyncio.timeout(20):
        await waiting


async def test_an_account_that_goes_is_not_waited_for(bench: Bench) -> None:
    """It was taken from the roster before its session was open."""
    bench.web.holds["a0"] = asyncio.Event()
    pool = await bench.pool(accounts(1), open_all=False)
    waiting = asyncio.create_task(pool.tried())
    await asyncio.sleep(0)
    await pool.apply((), (), ["a0"])
    async with asyncio.timeout(20):
        await waiting
