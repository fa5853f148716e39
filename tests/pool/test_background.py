"""Background requests take what live ones leave: in one replica, over two, and in the store's scripts one by one."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import msgspec
import pytest
import redis

from core.errors import AccountThrottled, DeadlineExceeded, NoAccount, PoolBusy, SessionExpired, ShuttingDown
from core.metrics import Metrics
from core.secret import Secret
from pool import AllTried, Lease, Pool
from pool.account import NO_EFFECT, AccountConfig, Effect, Policy
from pool.store import Picked, Refused, Store
from tests.fakes.sessions import FLASH, PRO
from tests.support.pools import (
    ANY,
    QUICK,
    Bench,
    accounts,
    leave_at_any_moment,
    live_waits,
    nothing_runs,
    served_in_turn,
    until,
    use,
)

UNSTABLE = Effect("unstable", "unstable")


async def behind(pool: Pool, lanes: tuple[str, ...] = ANY, **options: Any) -> Lease:
    return await pool.lease(lanes, background=True, **options)


def waits(pool: Pool, count: int = 1) -> Callable[[], Awaitable[bool]]:
    """So many background requests wait in the replica."""

    async def check() -> bool:
        return len(pool._queues.behind) == count

    return check


def said(bench: Bench, who: str) -> Callable[[], Awaitable[bool]]:
    """The store knows that such a request waits."""

    async def check() -> bool:
        with redis.Redis.from_url(bench.url, decode_responses=True) as client:
            return str(client.get("{gempool}:waiting")) == who

    return check


def value(bench: Bench, replica: int, name: str, **labels: str) -> float:
    return bench.metrics[replica].registry.get_sample_value(name, labels) or 0.0


# In one replica and over two


async def test_a_live_request_that_comes_alone_never_waits(bench: Bench) -> None:
    """Over two replicas whose background requests take all that they are given, a live request finds an account ready
    each time, whichever replica it comes to."""
    roster = accounts(3, max_concurrency=1)
    pools = [await bench.pool(roster), await bench.pool(roster)]
    done = asyncio.Event()
    served: Counter[str] = Counter()

    async def batch(pool: Pool) -> None:
        while not done.is_set():
            with suppress(PoolBusy):
                lease = await behind(pool, patience=0.5)
                served["behind"] += 1
                await asyncio.sleep(0.003)
                await lease.release()

    tasks = [asyncio.create_task(batch(pools[i % 2])) for i in range(6)]
    for i in range(150):
        lease = await pools[i % 2].lease(ANY)
        await asyncio.sleep(0.001)
        await lease.release()
    done.set()
    await asyncio.gather(*tasks)
    assert [value(bench, i, "gempool_queue_wait_seconds_count") for i in (0, 1)] == [0, 0]
    assert served["behind"] > 20


async def test_one_account_is_always_left(bench: Bench) -> None:
    """However many ask in the background, one account of two is free; a sole account is not kept back, as nothing would
    ever run."""
    pool = await bench.pool(accounts(2, max_concurrency=1))
    lease = await behind(pool)
    with pytest.raises(PoolBusy) as refused:
        await behind(pool, patience=0.05)
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    live = await pool.lease(ANY)
    assert {lease.account, live.account} == {"a0", "a1"}
    await pool.disable(live.account)
    await lease.release()
    last = await behind(pool, patience=5.0)
    assert last.account == lease.account
    for held in (live, last):
        await held.release()


async def test_free_slots_count(bench: Bench) -> None:
    """An account with a slot left is one that live requests find: of two accounts with two slots each, three of the four
    are given."""
    pool = await bench.pool(accounts(2, max_concurrency=2))
    held = [await behind(pool) for _ in range(3)]
    with pytest.raises(PoolBusy):
        await behind(pool, patience=0.05)
    held.append(await pool.lease(ANY))
    assert Counter(lease.account for lease in held) == {"a0": 2, "a1": 2}
    for lease in held:
        await lease.release()


async def test_the_order_of_use_is_one(bench: Bench) -> None:
    """A use in the background is a use: live and background requests by turns go around all accounts."""
    pool = await bench.pool(accounts(4))
    used = [await use(pool, background=i % 3 == 1) for i in range(24)]
    assert all(used[i] == used[i + 4] for i in range(20))
    assert Counter(used) == Counter({f"a{i}": 6 for i in range(4)})


async def test_accounts_that_serve_more_are_spared(bench: Bench) -> None:
    """An account that alone serves a model is left to its requests while another can do the same work."""
    bench.web.offered = {"a0": (FLASH, PRO), "a1": (FLASH,), "a2": (FLASH,)}
    pool = await bench.pool(accounts(3, max_concurrency=1))
    for _ in range(4):
        assert await use(pool, ("gemini-flash",), background=True) in {"a1", "a2"}
    assert await use(pool, ("gemini-pro",), background=True) == "a0"


@pytest.mark.parametrize("replicas", [1, 2])
async def test_live_requests_come_first(bench: Bench, replicas: int) -> None:
    """A background request that has waited longer is served after the live one, also where the two wait in different
    replicas."""
    roster = accounts(1, max_concurrency=1)
    pools = [await bench.pool(roster) for _ in range(replicas)]
    for _ in range(10):
        order: list[str] = []

        async def request(pool: Pool, kind: str, into: list[str]) -> None:
            lease = await pool.lease(ANY, background=kind == "behind", patience=20.0)
            into.append(kind)
            await lease.release()

        held = await pools[0].lease(ANY)
        early = asyncio.create_task(request(pools[0], "behind", order))
        await until(waits(pools[0]))
        late = asyncio.create_task(request(pools[-1], "live", order))
        await until(live_waits(pools[-1]))
        await until(said(bench, "live"))
        await held.release()
        await asyncio.gather(early, late)
        assert order == ["live", "behind"]


async def test_first_come_first_served(bench: Bench) -> None:
    """Background requests are served in the order in which they came."""
    pool = await bench.pool(accounts(1, max_concurrency=1))
    held = await pool.lease(ANY)
    order = await served_in_turn(held, lambda: behind(pool, patience=20.0), waits(pool, 10))
    assert order == list(range(11))


async def test_their_line_is_not_the_queue(bench: Bench) -> None:
    """Those who wait in the background fill no queue, show in no number of it, and are not what a drain waits for."""
    pool = await bench.pool(accounts(1, max_concurrency=1), queue_size=1)
    held = await pool.lease(ANY)
    tasks = [asyncio.create_task(use(pool, background=True, patience=20.0)) for _ in range(3)]
    await until(waits(pool, 3))
    assert ((await pool.status()).waiting, value(bench, 0, "gempool_queue_depth")) == (0, 0)
    live = asyncio.create_task(use(pool))
    await until(live_waits(pool))
    assert value(bench, 0, "gempool_queue_depth") == 1
    await held.release()
    await asyncio.gather(live, *tasks)
    assert value(bench, 0, "gempool_queue_wait_seconds_count") == 1


async def test_they_are_woken(bench: Bench) -> None:
    """A background request learns well before any poll that an account was freed in another replica, and that the last
    live request before it has been served."""
    roster = accounts(1, max_concurrency=1)
    one, two = await bench.pool(roster), await bench.pool(roster)
    held = await one.lease(ANY)
    waiting = asyncio.create_task(use(two, background=True, patience=20.0))
    await until(waits(two))
    await until(said(bench, "background"))
    started = time.monotonic()
    await held.release()
    await waiting
    assert time.monotonic() - started < 0.5
    held = await one.lease(ANY)
    waiting = asyncio.create_task(use(two, background=True, patience=20.0))
    live = asyncio.create_task(use(two))
    await until(waits(two))
    await until(live_waits(two))
    started = time.monotonic()
    await held.release()
    await asyncio.gather(live, waiting)
    assert time.monotonic() - started < 1.0


async def test_only_the_first_in_line_asks(bench: Bench) -> None:
    """Twenty that wait with one wish ask the store no more often than it is worth."""
    pool = await bench.pool(accounts(1, max_concurrency=1), lease_ttl=60.0)
    held = await pool.lease(ANY)
    before = value(bench, 0, "gempool_store_seconds_count", operation="pick")
    answers = await asyncio.gather(*(behind(pool, patience=0.3) for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {PoolBusy}
    assert value(bench, 0, "gempool_store_seconds_count", operation="pick") - before <= 25
    await held.release()


async def test_a_live_request_here_saves_the_question(bench: Bench) -> None:
    """While a live request waits in the replica a background one does not even ask the store, and is told why it got
    nothing."""
    pool = await bench.pool(accounts(1, max_concurrency=1), lease_ttl=60.0)
    held = await pool.lease(ANY)
    live = asyncio.create_task(use(pool))
    await until(live_waits(pool))
    before = value(bench, 0, "gempool_store_seconds_count", operation="pick")
    with pytest.raises(PoolBusy, match="come first"):
        await behind(pool, patience=0.1)
    assert value(bench, 0, "gempool_store_seconds_count", operation="pick") == before
    await held.release()
    await live


async def test_cooling_accounts_are_not_used(bench: Bench) -> None:
    """Where all cool for longer than it may wait, a background request is told the true wait at once; a live one would
    rather ask a throttled account."""
    policy = msgspec.structs.replace(QUICK, throttle_base=60.0)
    pool = await bench.pool(accounts(1), policy=policy)
    await use(pool, outcome=AccountThrottled("429"))
    started = time.monotonic()
    with pytest.raises(PoolBusy) as refused:
        await behind(pool, patience=5.0)
    assert time.monotonic() - started < 1
    assert refused.value.reason == "throttled"
    assert refused.value.retry_after == pytest.approx(60, abs=8)
    assert await use(pool, patience=5.0) == "a0"


async def test_a_cooling_account_is_none_that_live_requests_find(bench: Bench) -> None:
    """The well account of two is kept while the other cools, and the wait is that one's."""
    policy = msgspec.structs.replace(QUICK, throttle_base=20.0)
    pool = await bench.pool(accounts(2, max_concurrency=1), policy=policy)
    await use(pool, outcome=AccountThrottled("429"))
    with pytest.raises(PoolBusy) as refused:
        await behind(pool, patience=5.0)
    assert refused.value.retry_after == pytest.approx(20, abs=4)
    assert await use(pool) == "a1"


async def test_an_account_that_is_gone_for_long_keeps_nothing_idle(bench: Bench) -> None:
    """Where the other has used up its day, the one that is left works for batches too."""
    policy = msgspec.structs.replace(QUICK, throttle_base=60.0)
    pool = await bench.pool(accounts(2, max_concurrency=1), policy=policy)
    await use(pool, outcome=AccountThrottled("429"))
    assert await use(pool, background=True, patience=5.0) == "a1"


async def test_refusals_are_the_same(bench: Bench) -> None:
    """Nobody serves the model; all have been tried; it is too late: as a live request is told."""
    pool = await bench.pool(accounts(2))
    with pytest.raises(NoAccount):
        await behind(pool, ("nobody",), patience=5.0)
    with pytest.raises(AllTried):
        await behind(pool, exclude={"a0", "a1"}, patience=5.0)
    with pytest.raises(DeadlineExceeded):
        await behind(pool, deadline=time.monotonic() - 1)
    assert await use(pool, background=True, exclude={"a0"}, patience=5.0) == "a1"
    bench.web.open_errors = {"a0": SessionExpired("dead"), "a1": SessionExpired("dead")}
    for _ in range(2):
        await use(pool, background=True, outcome=SessionExpired("dead"), patience=5.0)
    with pytest.raises(NoAccount):
        await behind(pool, patience=5.0)


async def test_a_stop_ends_the_wait(bench: Bench) -> None:
    """A drain waits for background leases as for any; who still waits for one is then told of the stop at once."""
    pool = await bench.pool(accounts(1, max_concurrency=1))
    lease = await behind(pool)
    waiting = asyncio.create_task(behind(pool, patience=20.0))
    await until(waits(pool))
    assert (await pool.status()).in_flight == 1
    draining = asyncio.create_task(pool.drain(0.05))
    await draining
    assert not waiting.done()
    pool.refuse()
    with pytest.raises(ShuttingDown):
        await asyncio.wait_for(waiting, 1)
    with pytest.raises(ShuttingDown):
        await behind(pool)
    draining = asyncio.create_task(pool.drain(5))
    await lease.release()
    await asyncio.wait_for(draining, 1)


async def test_a_wait_that_is_given_up_leaks_nothing(bench: Bench) -> None:
    """Background requests that are cancelled at any moment leave no lease and no place in line."""
    pool = await bench.pool(accounts(2, max_concurrency=1))
    await leave_at_any_moment(lambda: behind(pool))
    await until(nothing_runs(pool))
    assert await waits(pool, 0)()


# The store's scripts, one by one


async def fill(store: Store, n: int, lanes: tuple[str, ...] = ("flash",), **changes: Any) -> None:
    for i in range(n):
        await store.upsert(AccountConfig(id=f"a{i}", secure_1psid=Secret(f"a{i}"), **changes), i)
        await store.register(f"a{i}", lanes, "[]")


async def pick(store: Store, lease: str, *, background: bool = True, **options: Any) -> Picked | Refused:
    options = {"lease_ttl": 60.0, "be_woken": True, **options}
    return await store.pick("r", lease, ("flash",), background=background, **options)


async def test_the_failing_rest_is_for_live_requests(store: Store) -> None:
    """An account that is asked only when nothing else is left serves background requests only where no other serves at
    all, not even a cooling one."""
    await fill(store, 2)
    for name, other in (("a0", "a1"), ("a1", "a0")):
        for turn in range(5):
            lease = f"{name}-{turn}"
            got = await pick(store, lease, background=False, be_woken=False, exclude=[other])
            if isinstance(got, Picked):
                await store.release("r", lease, UNSTABLE)
    _, _, [first, second] = await store.page()
    assert (first.cooldown is not None, second.last_resort) == (True, True)
    assert isinstance(await pick(store, "no"), Refused)
    await store.disable("a0")
    last = await pick(store, "yes")
    assert isinstance(last, Picked)
    assert last.account == "a1"


async def test_what_has_no_session_here_helps_nobody_here(store: Store) -> None:
    """The last account that a replica can use is left to its live requests, though others stand ready for other
    replicas; an account that was merely tried does not count as one that serves."""
    await fill(store, 2, max_concurrency=1)
    refused = await pick(store, "1", blind=["a0"])
    assert isinstance(refused, Refused)
    assert (refused.verdict, refused.reason) == ("busy", "kept")
    assert isinstance(await pick(store, "2", exclude=["a0"]), Picked)


async def test_who_was_called_comes_first(store: Store) -> None:
    """From the moment that a live request is told of a free account until it has had time to come for it, no background
    request gets one, and is told how long that is."""
    await fill(store, 1, max_concurrency=1)
    await pick(store, "1", background=False)
    assert isinstance(await pick(store, "live", background=False), Refused)
    waiting = await pick(store, "2")
    await store.release("r", "1", NO_EFFECT)
    called = await pick(store, "3")
    assert isinstance(waiting, Refused)
    assert isinstance(called, Refused)
    assert (waiting.verdict, waiting.seconds, waiting.reason) == ("busy", None, "live")
    assert (called.verdict, called.reason) == ("wait", "live")
    assert called.seconds is not None
    assert 0 < called.seconds <= 0.25
    await asyncio.sleep(called.seconds + 0.01)
    assert isinstance(await pick(store, "4"), Picked)


async def test_spacing_counts_as_taken(store: Store) -> None:
    """An account with slots left that must rest after each use is none that live requests would find."""
    await fill(store, 2, max_concurrency=4, min_interval=100.0)
    assert isinstance(await pick(store, "1"), Picked)
    refused = await pick(store, "2")
    assert isinstance(refused, Refused)
    assert (refused.verdict, refused.reason) == ("wait", "spacing")
    assert isinstance(await pick(store, "3", background=False), Picked)


async def test_the_store_tells_them_too(store: Store) -> None:
    """A release is published where only a background request was refused, and it keeps no other from asking then."""
    await fill(store, 1, max_concurrency=1)
    async with aclosing(store.wakes()) as all_heard:
        heard = (line async for line in all_heard if not line.startswith("state "))
        assert await anext(heard) == ""
        await pick(store, "1")
        assert isinstance(await pick(store, "2"), Refused)
        await store.release("r", "1", NO_EFFECT)
        assert await anext(heard) == "free"
        assert isinstance(await pick(store, "3"), Picked)


async def test_it_costs_the_same_with_any_number_of_accounts(empty_valkey: str) -> None:
    """A background pick is the same commands for 20 accounts and for 2,000, most of which cool."""
    store = Store(empty_valkey, Metrics(), Policy(), timeout=10.0)
    commands = []
    with redis.Redis.from_url(empty_valkey) as client:
        for n in (20, 2000):
            await asyncio.gather(*(_add(store, i, parked=i >= 20) for i in range(n)))
            await pick(store, f"warm{n}")
            client.config_resetstat()
            assert isinstance(await pick(store, f"counted{n}"), Picked)
            commands.append(sum(row["calls"] for row in client.info("commandstats").values()))
    await store.close()
    assert commands[1] <= commands[0]


async def _add(store: Store, number: int, parked: bool) -> None:
    name = f"a{number}"
    await store.upsert(AccountConfig(name, Secret(name), max_concurrency=1), number)
    await store.register(name, ("flash", "pro"), "[]")
    if parked:
        await store.park(name, 3600.0, "throttled")
