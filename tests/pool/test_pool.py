"""The pool over a real store, with sessions that do what the test says."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import msgspec
import pytest
import redis.asyncio as redis

from core.clock import SystemClock
from core.errors import (
    AccountRejected,
    AccountThrottled,
    DeadlineExceeded,
    EgressBlocked,
    InvalidRequest,
    ModelUnavailable,
    NetworkFault,
    NoAccount,
    PoolBusy,
    SessionExpired,
    SessionSuspect,
    ShuttingDown,
    StoreUnavailable,
    UnknownModel,
    UpstreamUnstable,
    UsageLimitReached,
)
from core.metrics import Metrics
from core.secret import Secret
from pool import AccountConfig, AllTried, Lease, Policy, Pool, PoolSettings, PublicModel, State, Store
from tests.fakes.sessions import FLASH, PRO, FakeWeb
from tests.support.adapter import until_so

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


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
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


@pytest.fixture
async def bench(empty_valkey: str) -> AsyncIterator[Bench]:
    bench = Bench(empty_valkey)
    yield bench
    await bench.close()


async def use(pool: Pool, lanes: tuple[str, ...] = ANY, outcome: Any = None, **options: Any) -> str:
    lease = await pool.lease(lanes, **options)
    await lease.release(outcome)
    return lease.account


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
    order: list[int] = []

    async def request(number: int) -> None:
        mine = await pool.lease(ANY)
        order.append(number)
        await mine.release()

    waiting = []
    for number in range(10):
        waiting.append(asyncio.create_task(request(number)))
        await asyncio.sleep(0)

    async def all_wait() -> bool:
        return (await pool.status()).waiting == 10

    await until(all_wait)
    await asyncio.gather(lease.release(), request(10), *waiting)
    assert order == list(range(11))


async def test_lines_do_not_block_each_other(bench: Bench) -> None:
    """Who waits for a model that is busy does not hold up requests for another."""
    bench.web.offered = {"a0": (PRO,), "a1": (FLASH,)}
    pool = await bench.pool(accounts(2, max_concurrency=1))
    busy = await pool.lease(("gemini-pro",))
    waiting = asyncio.create_task(use(pool, ("gemini-pro",)))

    async def waits() -> bool:
        return (await pool.status()).waiting == 1

    await until(waits)
    assert await use(pool, ("gemini-flash",)) == "a1"
    await busy.release()
    assert await waiting == "a0"


async def test_full_queue_answers_at_once(bench: Bench) -> None:
    """A queue at its bound refuses with the time to come back, at least a second."""
    pool = await bench.pool(accounts(1, max_concurrency=1), queue_size=1)
    lease = await pool.lease(ANY)
    waiting = asyncio.create_task(use(pool))

    async def waits() -> bool:
        return (await pool.status()).waiting == 1

    await until(waits)
    started = time.monotonic()
    with pytest.raises(PoolBusy) as refused:
        await pool.lease(ANY)
    assert time.monotonic() - started < 0.5
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
    assert time.monotonic() - started < 1
    assert refused.value.retry_after is not None
    assert 98 <= refused.value.retry_after <= 100


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
    assert "session" in status.why


async def test_no_accounts_at_all(bench: Bench) -> None:
    """An empty roster starts; it is not ready, and says why."""
    pool = await bench.pool([])
    with pytest.raises(NoAccount, match="No account is configured"):
        await pool.lease(ANY)
    assert (await pool.status()).why == "No account is configured."


async def test_a_quarantined_account_returns(bench: Bench) -> None:
    """An expired account returns once a probe found it well: to the tail, and it is asked once at first."""
    pool = await bench.pool(accounts(3))
    bench.web.open_errors["a0"] = SessionExpired("dead")
    await use(pool, outcome=SessionExpired("dead"))
    assert await state(pool, "a0") == (State.QUARANTINED, "expired")
    assert [await use(pool) for _ in range(4)] == ["a1", "a2", "a1", "a2"]
    bench.web.open_errors.clear()
    assert (await pool.probe_now("a0")).outcome == "well"
    await until(becomes(pool, "a0", State.ACTIVE))
    assert [await use(pool) for _ in range(2)] == ["a1", "a2"]
    first = await pool.lease(ANY)
    assert first.account == "a0"
    others = [await pool.lease(ANY) for _ in range(4)]
    assert {lease.account for lease in others} == {"a1", "a2"}
    await first.release()
    again = [await pool.lease(ANY) for _ in range(2)]
    assert {lease.account for lease in again} == {"a0"}
    for lease in (*others, *again):
        await lease.release()


async def test_the_reason_of_a_quarantine_is_shown(bench: Bench) -> None:
    """A rejected account says why, and its event log says when."""
    bench.web.open_errors["a0"] = AccountRejected("terms", why="terms_pending")
    pool = await bench.pool(accounts(2), open_all=False)
    await until(becomes(pool, "a0", State.QUARANTINED))
    assert await state(pool, "a0") == (State.QUARANTINED, "terms_pending")
    newest = (await pool.events("a0"))[0]
    assert (newest.from_, newest.to, newest.reason) == ("starting", "quarantined", "terms_pending")
    assert abs(newest.at - time.time()) < 5


async def test_a_network_fault_never_quarantines(bench: Bench) -> None:
    """A session that cannot be opened for our own network leaves the account as it was."""
    bench.web.open_errors["a0"] = NetworkFault("no route")
    pool = await bench.pool(accounts(2), open_all=False)
    await until(becomes(pool, "a1", State.ACTIVE))

    async def tried_often() -> bool:
        return bench.web.opens["a0"] >= 3

    await until(tried_often)
    assert await state(pool, "a0") == (State.STARTING, "")
    assert {await use(pool) for _ in range(4)} == {"a1"}
    bench.web.open_errors.clear()
    await until(becomes(pool, "a0", State.ACTIVE))


async def test_suspicion_is_judged_by_a_probe_that_clears(bench: Bench) -> None:
    """A suspect whose probe is fine is back at once, counted as unstable."""
    pool = await bench.pool(accounts(2))
    await use(pool, outcome=SessionSuspect("HTTP 400"))
    await until(becomes(pool, "a0", State.ACTIVE))
    views, _ = await pool.snapshot()
    assert views[0].record.consecutive_failures == 1
    assert bench.web.probes == Counter({"a0": 1})
    assert bench.web.opens["a0"] == 1


async def test_suspicion_with_a_stale_token(bench: Bench) -> None:
    """A probe that says expired is checked with one fresh session; if that opens, nobody is quarantined."""
    pool = await bench.pool(accounts(2))
    bench.web.probe_errors["a0"] = SessionExpired("stale token")
    await use(pool, outcome=SessionSuspect("HTTP 400"))
    await until(becomes(pool, "a0", State.ACTIVE))
    assert bench.web.opens["a0"] == 2
    assert bench.web.sessions[0].closed
    assert "quarantined" not in [event.to for event in await pool.events("a0")]


async def test_suspicion_that_is_right(bench: Bench) -> None:
    """Probe and fresh session both fail: quarantined as expired."""
    pool = await bench.pool(accounts(2))
    bench.web.probe_errors["a0"] = bench.web.open_errors["a0"] = SessionExpired("dead")
    await use(pool, outcome=SessionSuspect("HTTP 401"))
    await until(becomes(pool, "a0", State.QUARANTINED))
    assert await state(pool, "a0") == (State.QUARANTINED, "expired")


async def test_suspicion_that_cannot_be_judged(bench: Bench) -> None:
    """While the probe fails softly the account stays parked, and is judged again; one judge at a time."""
    pool = await bench.pool(accounts(2))
    bench.web.probe_errors["a0"] = UpstreamUnstable("503", kind="http_5xx")
    both = [await pool.lease(ANY, exclude={"a1"}) for _ in range(2)]
    for lease in both:
        await lease.release(SessionSuspect("HTTP 403"))

    async def probed_often() -> bool:
        return bench.web.probes["a0"] >= 3

    await until(probed_often)
    assert await state(pool, "a0") == (State.COOLING, "suspect")
    assert {await use(pool) for _ in range(3)} == {"a1"}
    bench.web.probe_errors.clear()
    await until(becomes(pool, "a0", State.ACTIVE))


async def test_two_of_three_unstable(bench: Bench) -> None:
    """Of three accounts two always fail: one is ejected, the other is asked last; few calls reach them."""
    policy = msgspec.structs.replace(QUICK, eject_base=30.0, eject_cap=300.0)
    pool = await bench.pool(accounts(3), policy=policy)
    calls: Counter[str] = Counter()

    async def request() -> str:
        tried: set[str] = set()
        while True:
            lease = await pool.lease(ANY, exclude=tried)
            calls[lease.account] += 1
            if lease.account == "a2":
                await asyncio.sleep(0.002)
                await lease.release()
                return lease.account
            await lease.release(UpstreamUnstable("503", kind="http_5xx"))
            tried.add(lease.account)

    for _ in range(20):
        assert await request() == "a2"
    assert set(await asyncio.gather(*(request() for _ in range(20)))) == {"a2"}
    assert calls["a2"] == 40
    assert calls["a0"] <= 6
    assert calls["a1"] <= 6
    states = [await state(pool, f"a{i}") for i in range(3)]
    assert sum(s is State.COOLING for s, _ in states) == 1


async def test_the_pool_serves_on_when_all_are_unstable(bench: Bench) -> None:
    """Every account fails: requests still reach accounts at once, and recovery shows at once."""
    policy = msgspec.structs.replace(QUICK, eject_base=30.0, eject_cap=300.0)
    pool = await bench.pool(accounts(4), policy=policy)
    for _ in range(40):
        await use(pool, outcome=UpstreamUnstable("503", kind="http_5xx"))
    states = [(await state(pool, f"a{i}"))[0] for i in range(4)]
    assert states.count(State.COOLING) == 2
    started = time.monotonic()
    for _ in range(4):
        await use(pool)
    assert time.monotonic() - started < 1


async def test_ejected_accounts_serve_when_all_others_are_dead(bench: Bench) -> None:
    """Half is ejected as unstable, the other half expired: the ejected ones are asked without a wait."""
    policy = msgspec.structs.replace(QUICK, eject_base=30.0)
    pool = await bench.pool(accounts(2), policy=policy, reprobe_first=50.0)
    for _ in range(5):
        await use(pool, outcome=UpstreamUnstable("503", kind="http_5xx"), exclude={"a1"})
    assert await state(pool, "a0") == (State.COOLING, "unstable")
    bench.web.open_errors["a1"] = SessionExpired("dead")
    await use(pool, outcome=SessionExpired("dead"))
    started = time.monotonic()
    assert await use(pool) == "a0"
    assert time.monotonic() - started < 1


async def test_usage_limit_cools_one_model(bench: Bench) -> None:
    """A usage limit takes the account out for that model and until the told time, not for others."""
    pool = await bench.pool(accounts(1), queue_timeout=0.2)
    limit = UsageLimitReached("1037", resets_at=time.time() + 100)
    await use(pool, ("gemini-pro",), limit)
    with pytest.raises(PoolBusy) as refused:
        await pool.lease(("gemini-pro",))
    assert refused.value.retry_after is not None
    assert 97 <= refused.value.retry_after <= 101
    assert await use(pool, ("gemini-flash",)) == "a0"
    views, _ = await pool.snapshot()
    assert views[0].record.lane_cooldowns["gemini-pro"].reason == "usage_limit"


async def test_callers_mistakes_and_cancellations_do_no_harm(bench: Bench) -> None:
    """A refused prompt and a caller that left say nothing about the account."""
    pool = await bench.pool(accounts(1, max_concurrency=1))
    for _ in range(12):
        await use(pool, outcome=InvalidRequest("bad"))
    lease = await pool.lease(ANY)
    await lease.release(cancelled=True)
    views, _ = await pool.snapshot()
    assert views[0].state is State.ACTIVE
    assert views[0].record.consecutive_failures == 0


async def test_a_dead_way_out_is_left_alone_for_a_while(bench: Bench) -> None:
    """Network faults of ours never quarantine, but five in a row eject: each costs a caller the wait for a
    connection."""
    pool = await bench.pool(accounts(3, max_concurrency=1))
    for _ in range(15):
        account = await lease_for(pool, "a0", NetworkFault("no route"))
    assert account != "a0"
    views, _ = await pool.snapshot()
    assert [view.state for view in views] == [State.COOLING, State.ACTIVE, State.ACTIVE]
    assert views[0].reason == "unstable"


async def lease_for(pool: Pool, bad: str, error: NetworkFault) -> str:
    """One use; it fails where the account is the bad one."""
    lease = await pool.lease(ANY)
    await lease.release(error if lease.account == bad else None)
    return lease.account


async def test_a_lost_model_makes_the_account_suspect(bench: Bench) -> None:
    """A model that is refused may mean that the session has become a guest's: the account is probed, and
    quarantined where that is so."""
    pool = await bench.pool(accounts(2, max_concurrency=1))
    bench.web.probe_errors["a0"] = SessionExpired("a guest")
    bench.web.open_errors["a0"] = SessionExpired("a guest")
    for _ in range(2):
        lease = await pool.lease(ANY)
        await lease.release(ModelUnavailable("1052") if lease.account == "a0" else None)

    async def quarantined() -> bool:
        views, _ = await pool.snapshot()
        return views[0].state is State.QUARANTINED

    await until_so(quarantined)
    assert await use(pool) == "a1"


async def test_default_cools_with_the_model_behind_it(bench: Bench) -> None:
    """A usage limit of the account's first model is one of `default`, too, and the other way round."""
    for lane in ("gemini-flash", "default"):
        pool = await bench.pool(accounts(1, max_concurrency=1))
        await use(pool, (lane,), UsageLimitReached("1037"))
        views, _ = await pool.snapshot()
        assert set(views[0].record.lane_cooldowns) == {"gemini-flash", "default"}
        await pool.close()


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
    assert await use(pool, deadline=time.monotonic() + 1) == "a0"


async def test_a_cancelled_wait_leaks_nothing(bench: Bench) -> None:
    """Callers that leave at any moment of their lease leave no lease behind."""
    pool = await bench.pool(accounts(2, max_concurrency=2))
    for steps in range(30):
        task: asyncio.Task[Lease] = asyncio.create_task(pool.lease(ANY))
        for _ in range(steps % 10):
            await asyncio.sleep(0)
        task.cancel()
        done = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(done, Lease):
            await done.release(cancelled=True)

    async def free() -> bool:
        views, _ = await pool.snapshot()
        return [view.record.in_flight for view in views] == [0, 0]

    await until(free)
    assert (await pool.status()).waiting == 0


async def test_a_freed_account_wakes_the_other_replica(bench: Bench) -> None:
    """Who waits in one replica is served when the account is freed in the other, well before any poll."""
    roster = accounts(1, max_concurrency=1)
    one, two = await bench.pool(roster), await bench.pool(roster)
    lease = await one.lease(ANY)
    waiting = asyncio.create_task(use(two))

    async def waits() -> bool:
        return (await two.status()).waiting == 1

    await until(waits)
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await lease.release()
    assert await waiting == "a0"
    assert time.monotonic() - started < 0.5


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
    assert await use(two, deadline=time.monotonic() + 1) == "a0"
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
    await asyncio.wait_for(draining, 1)
    lease = await pool.lease(ANY)
    started = time.monotonic()
    await pool.drain(0.05)
    assert time.monotonic() - started < 1
    await lease.release()


async def test_opening_is_bounded_and_does_not_block_the_start(bench: Bench) -> None:
    """Sessions are opened in the background, only so many side by side."""
    for config in accounts(6):
        bench.web.holds[config.id] = asyncio.Event()
    pool = await bench.pool(accounts(6), open_all=False, open_parallel=2)
    assert not (await pool.status()).ready

    async def two_open() -> bool:
        return bench.web.opening == 2

    await until(two_open)
    for hold in bench.web.holds.values():
        hold.set()
    await until(lambda: all_open(pool, accounts(6)))
    assert bench.web.most_opening == 2
    assert (await pool.status()).ready


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
