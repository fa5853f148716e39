"""Leases: the rotation, the queue, and what becomes of leases when somebody dies or leaves."""

import asyncio
import time
from collections import Counter

import msgspec
import pytest
import redis.asyncio as redis

from core.errors import (
    AccountThrottled,
    DeadlineExceeded,
    EgressBlocked,
    NoAccount,
    PoolBusy,
    SessionExpired,
    ShuttingDown,
)
from pool import AllTried, Pool, State
from tests.fakes.sessions import FLASH, PRO
from tests.support.pools import (
    ANY,
    QUICK,
    Bench,
    account,
    accounts,
    all_open,
    becomes,
    leave_at_any_moment,
    live_waits,
    nothing_runs,
    served_in_turn,
    until,
    use,
)


async def test_strict_rotation(bench: Bench) -> None:
    """30 requests in a row over 5 accounts: each is used every fifth time, 6 times in all."""
    pool = await bench.pool(accounts(5))
    used = [await use(pool) for _ in range(30)]
    assert Counter(used) == Counter({f"a{i}": 6 for i in range(5)})
    assert all(used[i] == used[i + 5] for i in range(25))


async def test_strict_rotation_over_two_replicas(bench: Bench) -> None:
    """The same with the requests dealt out to two replicas on one store."""
    roster = accounts(5)
    pools = [await bench.pool(roster), await bench.pool(roster)]
    used = [await use(pools[i * i % 7 % 2]) for i in range(30)]
    assert Counter(used) == Counter({f"a{i}": 6 for i in range(5)})
    assert all(used[i] == used[i + 5] for i in range(25))


async def test_concurrency_is_never_exceeded(bench: Bench) -> None:
    """40 requests at once over two replicas: no account ever has more than its limit."""
    roster = accounts(5)
    pools = [await bench.pool(roster), await bench.pool(roster)]
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def request(pool: Pool) -> None:
        lease = await pool.lease(ANY)
        running[lease.account] += 1
        most[lease.account] = max(most[lease.account], running[lease.account])
        await asyncio.sleep(0.005)
        running[lease.account] -= 1
        await lease.release()

    await asyncio.gather(*(request(pools[i % 2]) for i in range(40)))
    assert max(most.values()) == 2
    assert len(most) == 5
    views, _ = await pools[0].snapshot()
    assert [view.record.in_flight for view in views] == [0] * 5


async def test_waiters_are_served_in_order(bench: Bench) -> None:
    """Who came first is served first, and a newcomer does not overtake."""
    pool = await bench.pool(accounts(1, max_concurrency=1))
    lease = await pool.lease(ANY)
    order = await served_in_turn(lease, lambda: pool.lease(ANY), live_waits(pool, 10))
    assert order == list(range(11))


async def test_lines_do_not_block_each_other(bench: Bench) -> None:
    """Who waits for a model that is busy does not hold up requests for another."""
    bench.web.offered = {"a0": (PRO,), "a1": (FLASH,)}
    pool = await bench.pool(accounts(2, max_concurrency=1))
    busy = await pool.lease(("gemini-pro",))
    waiting = asyncio.create_task(use(pool, ("gemini-pro",)))
    await until(live_waits(pool))
    assert await use(pool, ("gemini-flash",)) == "a1"
    await busy.release()
    assert await waiting == "a0"


async def test_full_queue_answers_at_once(bench: Bench) -> None:
    """A queue at its bound refuses with the time to come back, at least a second."""
    pool = await bench.pool(accounts(1, max_concurrency=1), queue_size=1)
    lease = await pool.lease(ANY)
    waiting = asyncio.create_task(use(pool))
    await until(live_waits(pool))
    started = time.monotonic()
    with pytest.raises(PoolBusy) as refused:
        await pool.lease(ANY)
    assert time.monotonic() - started < 10
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    assert str(int(refused.value.retry_after)) in refused.value.message
    await lease.release()
    await waiting


async def test_busy_after_the_queue_timeout(bench: Bench) -> None:
    """A wait ends with 429 after the queue's timeout, and with 504 where the deadline is sooner."""
    pool = await bench.pool(accounts(1, max_concurrency=1), queue_timeout=0.1)
    lease = await pool.lease(ANY)
    with pytest.raises(PoolBusy):
        await pool.lease(ANY)
    with pytest.raises(DeadlineExceeded):
        await pool.lease(ANY, deadline=time.monotonic() + 0.03)
    with pytest.raises(DeadlineExceeded):
        await pool.lease(ANY, deadline=time.monotonic() - 1)
    await lease.release()


async def test_a_long_cooldown_is_not_waited_for(bench: Bench) -> None:
    """When all cool for longer than a request may wait it is told the true wait at once."""
    policy = msgspec.structs.replace(QUICK, egress_blocked=100.0)
    pool = await bench.pool(accounts(2), policy=policy, queue_timeout=5.0)
    await use(pool, outcome=EgressBlocked("blocked"))
    started = time.monotonic()
    with pytest.raises(PoolBusy) as refused:
        await pool.lease(ANY)
    assert time.monotonic() - started < 4
    assert refused.value.retry_after is not None
    assert 90 <= refused.value.retry_after <= 100


async def test_short_cooldowns_are_waited_for(bench: Bench) -> None:
    """A request waits for the first throttled account to return rather than fail."""
    pool = await bench.pool(accounts(2))
    for _ in range(2):
        await use(pool, outcome=AccountThrottled("429"))
    assert await use(pool) in {"a0", "a1"}


async def test_a_throttled_account_is_used_when_nothing_else_is_left(bench: Bench) -> None:
    """A 429's cooldown that outlasts the request's bound: the account is asked rather than nobody."""
    policy = msgspec.structs.replace(QUICK, throttle_base=60.0)
    pool = await bench.pool(accounts(1), policy=policy, queue_timeout=0.2)
    await use(pool, outcome=AccountThrottled("429"))
    assert await use(pool) == "a0"


async def test_excluded_accounts_are_not_asked_again(bench: Bench) -> None:
    """A request that has tried every account is told so at once, with the time of the first return."""
    pool = await bench.pool(accounts(2))
    assert await use(pool, exclude={"a0"}) == "a1"
    with pytest.raises(AllTried):
        await pool.lease(ANY, exclude={"a0", "a1"})


async def test_nobody_is_left(bench: Bench) -> None:
    """With every account quarantined the answer is 503 at once, with the time of the next re-probe."""
    bench.web.open_errors = {"a0": SessionExpired("dead")}
    pool = await bench.pool(accounts(1), open_all=False, reprobe_first=50.0, reprobe_max=60.0)
    await until(becomes(pool, "a0", State.QUARANTINED))
    with pytest.raises(NoAccount) as refused:
        await pool.lease(ANY)
    assert refused.value.retry_after is not None
    assert 40 <= refused.value.retry_after <= 60
    status = await pool.status()
    assert not status.ready
    assert "1 is quarantined (expired)" in status.why


async def test_release_twice_is_release_once(bench: Bench) -> None:
    """A second release changes nothing, also while another lease runs."""
    pool = await bench.pool(accounts(1))
    first, second = await pool.lease(ANY), await pool.lease(ANY)
    await first.release()
    await first.release(SessionExpired("late"))
    views, _ = await pool.snapshot()
    assert (views[0].record.in_flight, views[0].in_flight_here) == (1, 1)
    assert views[0].state is State.ACTIVE
    await second.release()


async def test_a_cancelled_release_still_happens(bench: Bench) -> None:
    """A release whose caller is cancelled in the middle frees the account all the same."""
    pool = await bench.pool(accounts(1, max_concurrency=1))
    lease = await pool.lease(ANY)
    task = asyncio.create_task(lease.release())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await use(pool, deadline=time.monotonic() + 5) == "a0"


async def test_a_cancelled_wait_leaks_nothing(bench: Bench) -> None:
    """Callers that leave at any moment of their lease leave no lease behind."""
    pool = await bench.pool(accounts(2, max_concurrency=2))
    await leave_at_any_moment(lambda: pool.lease(ANY))
    await until(nothing_runs(pool))
    assert (await pool.status()).waiting == 0


async def test_a_freed_account_wakes_the_other_replica(bench: Bench) -> None:
    """Who waits in one replica is served when the account is freed in the other, well before any poll."""
    roster = accounts(1, max_concurrency=1)
    one, two = await bench.pool(roster), await bench.pool(roster)
    lease = await one.lease(ANY)
    waiting = asyncio.create_task(use(two))
    await until(live_waits(two))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await lease.release()
    assert await waiting == "a0"
    assert time.monotonic() - started < 1.5


async def test_leases_of_a_dead_replica_come_back(bench: Bench) -> None:
    """A replica that died without a word loses its leases after their life; releasing one then is a no-op."""
    roster = accounts(1, max_concurrency=1)
    one = await bench.pool(roster, lease_ttl=0.3)
    lease = await one.lease(ANY)
    await one._tasks.close()  # it gives no more signs of life
    two = await bench.pool(roster, lease_ttl=0.3)
    got = await two.lease(ANY, deadline=time.monotonic() + 5)
    await lease.release(SessionExpired("long ago"))
    views, _ = await two.snapshot()
    assert (views[0].record.in_flight, views[0].state) == (1, State.ACTIVE)
    await got.release()


async def test_close_hands_leases_back(bench: Bench) -> None:
    """A replica that stops gives its leases back at once and refuses new ones."""
    roster = accounts(1, max_concurrency=1)
    one, two = await bench.pool(roster), await bench.pool(roster)
    await one.lease(ANY)
    await one.close()
    assert await use(two, deadline=time.monotonic() + 5) == "a0"
    with pytest.raises(ShuttingDown):
        await one.lease(ANY)
    assert not (await one.status()).ready


async def test_drain_waits_for_running_requests(bench: Bench) -> None:
    """Draining ends when the last lease is back, and after the grace time at the latest."""
    pool = await bench.pool(accounts(1))
    lease = await pool.lease(ANY)
    draining = asyncio.create_task(pool.drain(5))
    await asyncio.sleep(0.02)
    assert not draining.done()
    await lease.release()
    await asyncio.wait_for(draining, 4)
    lease = await pool.lease(ANY)
    started = time.monotonic()
    await pool.drain(0.05)
    assert time.monotonic() - started < 10
    await lease.release()


async def test_a_request_meets_an_empty_store(bench: Bench) -> None:
    """Requests that come before the next sign of life tell the store themselves: no caller sees that it was
    emptied, and calls that run count towards their account's limit as before."""
    pool = await bench.pool(accounts(2, max_concurrency=2), lease_ttl=3600.0)
    held = await pool.lease(ANY)
    client = redis.Redis.from_url(bench.url)
    await client.flushall()
    await client.aclose()
    leases = await asyncio.gather(*(pool.lease(ANY, deadline=time.monotonic() + 2) for _ in range(3)))
    assert Counter(lease.account for lease in (held, *leases)) == {"a0": 2, "a1": 2}
    for lease in (held, *leases):
        await lease.release()
    views, _ = await pool.snapshot()
    assert [view.record.in_flight for view in views] == [0, 0]


async def test_a_replica_that_was_stopped_counts_again(bench: Bench) -> None:
    """A replica that wakes after its leases ran out tells what it still holds: its account gets nothing new
    until it is back below its limit, and late findings do it no harm."""
    roster = accounts(1, max_concurrency=1)
    one, two = await bench.pool(roster, lease_ttl=0.3), await bench.pool(roster, lease_ttl=0.3)
    slept = await one.lease(ANY)
    held = await one._store.leases(one.replica)
    await one._store.leave(one.replica)  # what another replica does for a dead one
    other = await two.lease(ANY)

    async def counted_again() -> bool:
        return await one._store.leases(one.replica) == held

    await until(counted_again)
    await other.release()
    with pytest.raises(DeadlineExceeded):
        await two.lease(ANY, deadline=time.monotonic() + 0.2)
    await slept.release(SessionExpired("long ago"))
    assert await use(two) == "a0"


async def test_a_dead_predecessor_hands_its_leases_back(bench: Bench) -> None:
    """A replica that starts in the place of a dead one does not wait for the dead one's leases to run out."""
    roster = accounts(1, max_concurrency=1)
    dead = await bench.pool(roster, lease_ttl=3600.0)
    await dead.lease(ANY)
    await dead._tasks.close()
    heir = await bench.pool(roster, predecessors=[dead.replica], lease_ttl=3600.0)
    assert await use(heir, deadline=time.monotonic() + 2) == "a0"


async def test_patience_bounds_the_wait(bench: Bench) -> None:
    """A request that has waited before waits no longer than what is left of its patience."""
    pool = await bench.pool(accounts(1, max_concurrency=1))
    held = await pool.lease(ANY)
    started = time.monotonic()
    with pytest.raises(PoolBusy):
        await pool.lease(ANY, patience=0.1)
    assert time.monotonic() - started < 2
    await held.release()


async def test_rosters_change_one_after_the_other(bench: Bench) -> None:
    """All accounts are replaced, and one replica learns it first: requests at the other wait for its roster to
    follow, and it uses an account as soon as it has it, also one that was a stranger's a moment ago."""
    old, new = account("old"), account("new")
    one, two = await bench.pool([old]), await bench.pool([old])
    await one.apply([new], [], [])
    await until(lambda: all_open(one, [old, new]))
    await one.apply([], [], ["old"])
    waiting = asyncio.create_task(use(two))
    await until(live_waits(two))
    await two.apply([new], [], ["old"])
    assert await waiting == "new"
    await one.apply([old], [], [])
    await two._pulse.refresh()
    await two.apply([old], [], [])
    await until(lambda: all_open(two, [old, new]))
    assert {await use(two) for _ in range(4)} == {"old", "new"}
