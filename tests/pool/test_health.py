"""How accounts fall ill and come back, as the pool sees it."""

import asyncio
import time
from collections import Counter

import msgspec
import pytest

from core.errors import (
    AccountRejected,
    InvalidRequest,
    ModelUnavailable,
    NetworkFault,
    NoAccount,
    PoolBusy,
    SessionExpired,
    SessionSuspect,
    UpstreamUnstable,
    UsageLimitReached,
)
from pool import Pool, State
from tests.support.adapter import until_so
from tests.support.pools import (
    ANY,
    QUICK,
    Bench,
    accounts,
    becomes,
    state,
    until,
    use,
)


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


async def test_who_finds_all_under_suspicion_waits_for_the_verdict(bench: Bench) -> None:
    """Parked for longer than anybody waits, but the probe decides sooner: who waits is told of the quarantine then, and
    not before that all are busy."""
    pool = await bench.pool(accounts(1), queue_timeout=QUICK.suspect_park / 2)
    bench.web.probe_errors["a0"] = SessionExpired("dead")
    bench.web.open_errors["a0"] = SessionExpired("dead")
    hold = bench.web.holds["a0"] = asyncio.Event()
    await use(pool, outcome=SessionSuspect("HTTP 400"))
    waiting = asyncio.create_task(pool.lease(ANY))

    async def one_waits() -> bool:
        return (await pool.status()).waiting == 1

    await until(one_waits)
    hold.set()
    with pytest.raises(NoAccount):
        await waiting


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
    assert time.monotonic() - started < 10


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
    assert time.monotonic() - started < 10


async def test_usage_limit_cools_one_model(bench: Bench) -> None:
    """A usage limit takes the account out for that model and until the told time, not for others."""
    pool = await bench.pool(accounts(1), queue_timeout=0.2)
    limit = UsageLimitReached("1037", resets_at=time.time() + 100)
    await use(pool, ("gemini-pro",), limit)
    with pytest.raises(PoolBusy) as refused:
        await pool.lease(("gemini-pro",))
    assert refused.value.retry_after is not None
    assert 90 <= refused.value.retry_after <= 101
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


async def test_a_quarantine_that_went_unnoticed_ends(bench: Bench) -> None:
    """Another replica's session was dead and ours is well, and the news of the quarantine was lost: the probe that
    finds the account well ends it."""
    pool = await bench.pool(accounts(1))
    member = pool._members.get("a0")
    assert member is not None
    member.hurry.set()  # as while newer cookies are about to be used: the news is not heard
    await pool.quarantine("a0", "expired")
    assert (await state(pool, "a0"))[0] is State.QUARANTINED
    assert (await pool.probe_now("a0")).outcome == "well"
    assert (await state(pool, "a0"))[0] is State.ACTIVE
    assert await use(pool) == "a0"
