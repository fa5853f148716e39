"""The scripts on a real store: against a small model of the pool, and one by one where time matters."""

import asyncio
import itertools
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from benchmarks.store import Case, ratios, serving, take_turns
from core.metrics import Metrics
from core.secret import Secret
from pool.account import NO_EFFECT, OK, AccountConfig, Effect, Policy, Record, State, state_of
from pool.store import Picked, Refused, Store

SLOW = Policy(throttle_base=1000.0, eject_after=2, eject_base=1000.0, eject_cap=100_000.0)
UNSTABLE = Effect("unstable", "unstable")


def config(name: str, **changes: Any) -> AccountConfig:
    return AccountConfig(id=name, secure_1psid=Secret(name), **changes)


async def fill(store: Store, n: int, lanes: tuple[str, ...] = ("flash",), **changes: Any) -> None:
    for i in range(n):
        await store.upsert(config(f"a{i}", **changes), i)
        await store.register(f"a{i}", lanes, "[]")


async def pick(store: Store, lease: str, *lanes: str, replica: str = "r", **options: Any) -> Picked | Refused:
    return await store.pick(replica, lease, lanes or ("flash",), **{"lease_ttl": 60.0, "soft": 0, **options})


async def records(store: Store) -> dict[str, Record]:
    _, _, page = await store.page(0, 100)
    return {record.id: record for record in page}


# The model


class Account:
    """What the model knows of an account. Cooldowns are long: they end by hand only."""

    def __init__(self, limit: int, used: int) -> None:
        self.limit, self.used = limit, used
        self.in_flight = self.failures = self.level = self.generation = self.times_ejected = 0
        self.reason = self.cooling = ""
        self.half_open = self.last_resort = self.disabled = False

    @property
    def state(self) -> State:
        if self.disabled:
            return State.DISABLED
        if self.reason:
            return State.QUARANTINED
        return State.COOLING if self.cooling else State.ACTIVE

    @property
    def full(self) -> bool:
        return self.in_flight >= (1 if self.half_open else self.limit)


class PoolMachine(RuleBasedStateMachine):
    """Any order of picks, releases, failures and an operator's orders: store and model agree throughout."""

    leases: Bundle[tuple[str, str, str, int]] = Bundle("leases")
    url = ""

    def __init__(self) -> None:
        super().__init__()
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self.runner = asyncio.Runner()
        self.store = Store(self.url, Metrics(), SLOW)
        self.numbers = itertools.count(1)
        self.uses = itertools.count(1)
        self.accounts: dict[str, Account] = {}
        self.until: dict[str, float] = {}
        self.ejected: set[str] = set()
        for i, limit in enumerate((1, 2, 2, 3)):
            self.do(self.store.upsert(config(f"a{i}", max_concurrency=limit), i))
            self.do(self.store.register(f"a{i}", ("flash", "default"), "[]"))
            self.accounts[f"a{i}"] = Account(limit, next(self.uses))

    def do(self, call: Any) -> Any:
        return self.runner.run(call)

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()

    def expected_of(self, name: str) -> str:
        """The verdict where this account alone is wanted, its name where it serves."""
        account = self.accounts[name]
        if account.state is not State.ACTIVE or account.last_resort:
            return "none"
        return "busy" if account.full else name

    def expected(self, exclude: set[str]) -> str:
        serving = {n: a for n, a in self.accounts.items() if a.state in (State.ACTIVE, State.COOLING)}
        left = {n: a for n, a in serving.items() if n not in exclude}
        free = {n: a for n, a in left.items() if not a.cooling and not a.full}
        well = [n for n, a in free.items() if not a.last_resort]
        if well:
            return min(well, key=lambda n: self.accounts[n].used)
        if any(not a.cooling and a.full and not a.last_resort for a in left.values()):
            return "busy"
        if free:
            return min(free, key=lambda n: self.accounts[n].used)
        if left:
            # Parking is the shortest of the cooldowns here, so a suspect is the first to return.
            unknown = any(a.cooling == "suspect" or (not a.cooling and a.full) for a in left.values())
            return "busy" if unknown else "wait"
        return "tried" if serving else "none"

    @rule(
        target=leases,
        exclude=st.one_of(st.just(set()), st.sets(st.sampled_from(["a0", "a1", "a2", "a3"]), max_size=3)),
        replica=st.sampled_from(["r1", "r2"]),
        lanes=st.sampled_from([("flash",), ("default", "flash"), ("nobody", "flash")]),
        only=st.one_of(st.just(""), st.sampled_from(["a0", "a1", "a2", "a3"])),
        soft=st.sampled_from([0, 1, 2]),
    )
    def pick(self, exclude: set[str], replica: str, lanes: tuple[str, ...], only: str, soft: int) -> Any:
        lease = f"L{next(self.numbers)}"
        wanted = self.expected_of(only) if only else self.expected(exclude)
        options = {"only": only, "soft": soft} if only else {"exclude": sorted(exclude)}
        got = self.do(pick(self.store, lease, *lanes, replica=replica, **options))
        if isinstance(got, Refused):
            assert got.verdict == wanted
            return multiple()
        assert (got.account, got.lane) == (wanted, "default" if lanes[0] == "default" else "flash")
        account = self.accounts[got.account]
        account.in_flight += 1
        account.used = next(self.uses)
        assert got.in_flight == account.in_flight
        assert not account.in_flight > (1 if account.half_open and account.in_flight == 1 else account.limit)
        return (replica, lease, got.account, account.generation)

    @rule(
        lease=consumes(leases),
        kind=st.sampled_from(["ok", "none", "throttled", "suspect", "hard", *["unstable"] * 4]),
        twice=st.booleans(),
    )
    def release(self, lease: tuple[str, str, str, int], kind: str, twice: bool) -> None:
        replica, number, name, generation = lease
        effect = Effect(kind, "dead" if kind == "hard" else kind, 500.0 if kind == "suspect" else 0.0)  # type: ignore[arg-type]
        held = self.do(self.store.release(replica, number, effect))
        assert held
        if twice:
            assert not self.do(self.store.release(replica, number, Effect("hard", "again")))
        account = self.accounts[name]
        account.in_flight -= 1
        if kind == "ok":
            account.failures = account.level = 0
            account.half_open = account.last_resort = False
        elif kind == "throttled":
            if account.cooling != "throttled" or account.level == 0:
                account.level = min(5, account.level + 1)
            self.cool(name, "throttled", min(3600.0, 1000.0 * 2 ** (account.level - 1)))
        elif kind == "suspect" and generation == account.generation:
            self.cool(name, "suspect", 500.0)
        elif kind == "hard" and generation == account.generation and not account.reason:
            account.reason = "dead"
        elif kind == "unstable" and account.cooling != "unstable":
            account.failures += 1
            if account.failures >= 2:
                self.eject(name)

    def cool(self, name: str, reason: str, seconds: float) -> None:
        """Time hardly passes in this test: of two cooldowns the longer is the later, of equals the second."""
        if seconds >= self.until.get(name, 0.0):
            self.until[name] = seconds
            self.accounts[name].cooling = reason

    def eject(self, name: str) -> None:
        account = self.accounts[name]
        if account.state not in (State.ACTIVE, State.COOLING):
            return
        pool = sum(a.state in (State.ACTIVE, State.COOLING) for a in self.accounts.values())
        if (len(self.ejected) + 1) * 2 > pool:
            account.last_resort = True
            return
        account.times_ejected += 1
        self.ejected.add(name)
        self.cool(name, "unstable", 1000.0 * account.times_ejected)

    @rule(name=st.sampled_from(["a0", "a1", "a2", "a3"]))
    def reinstate(self, name: str) -> None:
        self.do(self.store.reinstate(name))
        account = self.accounts[name]
        if account.reason:
            account.reason = account.cooling = ""
            account.half_open, account.last_resort = True, False
            account.failures = account.level = 0
            account.generation += 1
            account.used = next(self.uses)
            self.until.pop(name, None)

    @rule(name=st.sampled_from(["a0", "a1", "a2", "a3"]))
    def clear(self, name: str) -> None:
        self.do(self.store.clear(name))
        account = self.accounts[name]
        account.cooling, account.last_resort = "", False
        account.failures = account.level = account.times_ejected = 0
        self.until.pop(name, None)

    @rule(name=st.sampled_from(["a0", "a1", "a2", "a3"]), off=st.booleans())
    def switch(self, name: str, off: bool) -> None:
        self.do(self.store.disable(name) if off else self.store.enable(name))
        self.accounts[name].disabled = off

    @invariant()
    def agree(self) -> None:
        now, _, page = self.do(self.store.page(0, 100))
        states: dict[str, int] = {}
        self.ejected = {name for name in self.ejected if self.accounts[name].state is State.COOLING}
        for record in page:
            account = self.accounts[record.id]
            state, reason = state_of(record, now)
            assert state is account.state
            assert reason == account.cooling or state is not State.COOLING
            assert (record.last_resort, record.half_open) == (account.last_resort, account.half_open)
            assert (record.consecutive_failures, record.times_ejected) == (
                account.failures,
                account.times_ejected,
            )
            assert record.in_flight == account.in_flight
            states[state] = states.get(state, 0) + 1
        counts = self.do(self.store.counts())
        assert counts.states == states
        serving = [a for a in self.accounts.values() if a.state in (State.ACTIVE, State.COOLING)]
        assert counts.capacity == sum(account.limit for account in serving)


@pytest.mark.timeout(300)
def test_store_and_model_agree(valkey_url: str) -> None:
    """Any order of picks, releases, failures and an operator's orders: store and model agree throughout."""
    PoolMachine.url = valkey_url
    run_state_machine_as_test(
        PoolMachine,
        settings=settings(
            max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# One by one


async def test_the_later_cooldown_wins(store: Store) -> None:
    """A shorter cooldown never ends a longer one; a longer one extends it."""
    await fill(store, 1)
    ends = []
    for seconds in (10.0, 5.0, 20.0, 1.0):
        await store.park("a0", seconds)
        cooldown = (await records(store))["a0"].cooldown
        assert cooldown is not None
        ends.append(cooldown.until)
    assert ends == sorted(ends)
    assert ends[0] == ends[1] < ends[2] == ends[3]


async def test_cooldowns_end_by_themselves(store: Store) -> None:
    """A cooled account is refused with the time of its return, and is picked once that has passed."""
    await fill(store, 1)
    await store.park("a0", 0.5, "resting")
    refused = await pick(store, "1")
    assert isinstance(refused, Refused)
    assert (refused.verdict, refused.reason) == ("wait", "resting")
    assert refused.seconds is not None
    assert 0 < refused.seconds <= 0.5
    await asyncio.sleep(refused.seconds)
    assert isinstance(await pick(store, "2"), Picked)
    log = await store.events("a0")
    assert [event.to for event in log] == ["active", "cooling", "active", "starting"]


async def test_nobody_knows_how_long_a_probe_takes(store: Store) -> None:
    """An account under suspicion may be free or gone at any moment: its parking's end is no time of return, neither for
    who has not asked it nor for who has."""
    await fill(store, 1)
    await store.park("a0", 30.0)
    refused = await pick(store, "1")
    assert isinstance(refused, Refused)
    assert (refused.verdict, refused.reason) == ("busy", "suspect")
    tried = await pick(store, "2", exclude=("a0",))
    assert isinstance(tried, Refused)
    assert (tried.verdict, tried.seconds) == ("tried", None)


async def test_throttling_grows_and_is_reset(store: Store) -> None:
    """429s in a row cool twice as long each, up to sixteen times; a success starts over."""
    await fill(store, 1)
    for expected in (2, 4, 8, 16, 32, 32):
        picked = await pick(store, f"{expected}", soft=2)
        assert isinstance(picked, Picked)
        await store.release("r", f"{expected}", Effect("throttled", "throttled", 0.0, 1.0))
        now, _, [record] = await store.page()
        assert record.cooldown is not None
        assert record.cooldown.until - now == pytest.approx(expected, abs=0.5)
        # The operator's clear would reset the level as well: end the cooldown as time does.
        with redis.Redis.from_url(f"unix://{store._wire._address.path}") as client:
            client.hset("{gempool}:a:a0", "cu", 0)
            client.zadd("{gempool}:cool:flash", {"a0": 0})
    await pick(store, "ok", soft=2)
    await store.release("r", "ok", OK)
    assert (await records(store))["a0"].throttle_level == 0


async def test_side_by_side_429s_are_one_event(store: Store) -> None:
    """Calls of one account that are throttled together raise the level once."""
    await fill(store, 1, max_concurrency=4)
    for lease in "1234":
        await pick(store, lease)
    for lease in "1234":
        await store.release("r", lease, Effect("throttled", "throttled", 0.0, 1.0))
    assert (await records(store))["a0"].throttle_level == 1


async def test_spacing(store: Store) -> None:
    """An account rests for its minimum interval between picks and keeps its place in the order."""
    await fill(store, 2, min_interval=0.5)
    first = [await pick(store, f"{i}") for i in range(3)]
    assert [isinstance(p, Picked) and p.account for p in first] == ["a0", "a1", False]
    assert isinstance(first[2], Refused)
    assert first[2].reason == "spacing"
    for lease in "01":
        await store.release("r", lease, OK)
    await asyncio.sleep(0.6)
    again = [await pick(store, f"b{i}") for i in range(2)]
    assert [isinstance(p, Picked) and p.account for p in again] == ["a0", "a1"]


async def test_requests_per_minute(store: Store) -> None:
    """Not more than so many picks in any minute, however fast they end."""
    await store.upsert(config("a0"), 0, requests_per_minute=3)
    await store.register("a0", ("flash",), "[]")
    for i in range(3):
        assert isinstance(await pick(store, f"{i}"), Picked)
        await store.release("r", f"{i}", OK)
    refused = await pick(store, "x")
    assert isinstance(refused, Refused)
    assert refused.seconds == pytest.approx(60, abs=2)


async def test_an_egress_cools_as_one(store: Store) -> None:
    """A blocked address cools every account behind it and none behind another."""
    for i in range(4):
        proxy = Secret("http://proxy:1") if i < 2 else None
        await store.upsert(config(f"a{i}", proxy=proxy), i)
        await store.register(f"a{i}", ("flash",), "[]")
    await pick(store, "1")
    await store.release("r", "1", Effect("egress", "ip_blocked", 50.0))
    now, _, page = await store.page()
    assert [state_of(r, now) for r in page] == [(State.COOLING, "ip_blocked")] * 2 + [(State.ACTIVE, "")] * 2


async def test_never_more_than_half_is_ejected(store: Store) -> None:
    """However many accounts fail without end, half of the pool at most is ejected; the rest is asked last."""
    for n in (1, 2, 3, 6):
        for name in list(await records(store)):
            await store.remove(name)
        await fill(store, n)
        for i in range(n):
            others = [f"a{k}" for k in range(n) if k != i]
            for turn in range(6):
                if isinstance(await pick(store, f"{n}-{i}-{turn}", exclude=others), Picked):
                    await store.release("r", f"{n}-{i}-{turn}", UNSTABLE)
        now, _, page = await store.page()
        cooling = [r for r in page if state_of(r, now)[0] is State.COOLING]
        assert len(cooling) == n // 2
        assert all(r.last_resort for r in page if r not in cooling)


async def test_the_failing_rest_is_asked_last(store: Store) -> None:
    """A failing account that may not be ejected is not asked while a well one is merely busy; it is when
    the caller cannot wait any longer, and when no well one is left."""
    await fill(store, 1, max_concurrency=1)
    for turn in range(5):
        await pick(store, f"{turn}")
        await store.release("r", f"{turn}", UNSTABLE)
    assert (await records(store))["a0"].last_resort
    await store.upsert(config("well", max_concurrency=1), 1)
    await store.register("well", ("flash",), "[]")
    first = await pick(store, "well")
    assert isinstance(first, Picked)
    assert first.account == "well"
    refused = await pick(store, "refused", soft=1)
    assert isinstance(refused, Refused)
    assert refused.verdict == "busy"
    urgent = await pick(store, "urgent", soft=2)
    assert isinstance(urgent, Picked)
    assert urgent.account == "a0"
    await store.release("r", "urgent", NO_EFFECT)
    await store.quarantine("well", "expired")
    last = await pick(store, "last")
    assert isinstance(last, Picked)
    assert last.account == "a0"


async def test_old_findings_do_not_touch_a_reinstated_account(store: Store) -> None:
    """A call that began before the account was reinstated and ends as expired changes nothing; one that
    began after does."""
    await fill(store, 1)
    await pick(store, "old")
    await store.quarantine("a0", "expired")
    await store.reinstate("a0")
    await store.release("r", "old", Effect("hard", "expired"))
    assert (await records(store))["a0"].quarantine == ""
    await pick(store, "new")
    await store.release("r", "new", Effect("hard", "expired"))
    assert (await records(store))["a0"].quarantine == "expired"


async def test_a_missing_model_is_the_sessions_fault(store: Store) -> None:
    """A model that one session could not serve is asked for again with the next session, and what a call of the
    old session finds after that changes nothing. A usage limit stays: it is the account's."""
    await fill(store, 1, lanes=("flash", "pro"), max_concurrency=4)
    await pick(store, "gone", "flash")
    await pick(store, "late", "flash")
    await pick(store, "limit", "pro")
    await store.release("r", "gone", Effect("lane", "model_unavailable", 600))
    await store.release("r", "limit", Effect("lane", "usage_limit", 600))
    assert set((await records(store))["a0"].lane_cooldowns) == {"flash", "pro"}
    await store.quarantine("a0", "expired")
    await store.reinstate("a0")
    await store.release("r", "late", Effect("lane", "model_unavailable", 600))
    assert set((await records(store))["a0"].lane_cooldowns) == {"pro"}
    assert isinstance(await pick(store, "again", "flash"), Picked)
    await store.release("r", "again", Effect("lane", "model_unavailable", 600))
    assert isinstance(await pick(store, "no", "flash"), Refused)
    await store.register("a0", ("flash", "pro"), "[]")
    assert isinstance(await pick(store, "yes", "flash"), Picked)


async def test_leases_of_a_dead_replica_return(store: Store) -> None:
    """A replica without a sign of life loses its leases at the next pick of another; its own late release
    changes nothing. One that was merely slow and still has them keeps them."""
    await fill(store, 1, max_concurrency=1)
    assert isinstance(await pick(store, "1", replica="dead", lease_ttl=0.05), Picked)
    assert isinstance(await pick(store, "2", replica="live"), Refused)
    await asyncio.sleep(0.08)
    assert isinstance(await pick(store, "3", replica="live"), Picked)
    assert not await store.release("dead", "1", Effect("hard", "expired"))
    record = (await records(store))["a0"]
    assert (record.in_flight, record.quarantine) == (1, "")


async def test_a_repeated_pick_is_one_pick(store: Store) -> None:
    """The same lease asked for twice (its answer was lost) is the same account, counted once."""
    await fill(store, 2)
    assert await pick(store, "1") == await pick(store, "1")
    assert sum(r.in_flight for r in (await records(store)).values()) == 1


async def test_a_removed_account_drains(store: Store) -> None:
    """It gets no new calls and is gone with its last one, with all its traces but those in the log over all accounts."""
    await fill(store, 1)
    await pick(store, "1")
    assert await store.remove("a0") == "draining"
    refused = await pick(store, "2")
    assert isinstance(refused, Refused)
    assert refused.verdict == "none"
    await store.release("r", "1", OK)
    assert await records(store) == {}
    with redis.Redis.from_url(f"unix://{store._wire._address.path}", decode_responses=True) as client:
        assert {key.removeprefix("{gempool}:") for key in client.scan_iter()} == {
            "uses",
            "pace",
            "counts",
            "replicas",
            "log",
            "logged",
        }


async def test_the_log_over_all_accounts_tells_each_change_once(store: Store) -> None:
    """States of any account, and replicas that come, leave or are lost, newest first; a reader gets what it has not seen."""
    await fill(store, 2)
    await store.settled("r", 5.0)
    seen = await store.changes()
    assert [(c.account, c.replica, c.from_, c.to) for c in seen.changes[::-1]] == [
        ("a0", "", "", "starting"),
        ("a0", "", "starting", "active"),
        ("a1", "", "", "starting"),
        ("a1", "", "starting", "active"),
        ("", "r", "", "came"),
    ]
    assert seen.replicas == 1
    await store.quarantine("a1", "expired")
    await store.quarantine("a1", "expired")
    await store.remove("a0")
    await store.beat("s", 0.02)
    await store.leave("r")
    await asyncio.sleep(0.04)
    await store.beat("t", 5.0)
    news = await store.changes(seen.logged, seen.epoch)
    assert [(c.account or c.replica, c.from_, c.to, c.reason) for c in news.changes[::-1]] == [
        ("a1", "active", "quarantined", "expired"),
        ("a0", "active", "", "removed"),
        ("s", "", "came", ""),
        ("r", "", "left", ""),
        ("t", "", "came", ""),
        ("s", "", "lost", ""),
    ]
    assert all(seen.now - 60 < change.at <= news.now for change in news.changes)
    assert (await store.changes(news.logged, news.epoch)).changes == ()
    assert len((await store.changes(news.logged, "of another store")).changes) == 11


async def test_the_log_over_all_accounts_is_capped(store: Store) -> None:
    """The last thousand changes are kept."""
    await fill(store, 1)
    for _ in range(510):
        await store.disable("a0")
        await store.enable("a0")
    assert len((await store.changes()).changes) == 1000


async def test_lanes_in_order_of_preference(store: Store) -> None:
    """Over several lanes the least recently used account wins, asked for the first lane that it serves."""
    await store.upsert(config("a0"), 0)
    await store.register("a0", ("default",), "[]")
    await store.upsert(config("a1"), 1)
    await store.register("a1", ("flash", "default"), "[]")
    got = [await pick(store, f"{i}", "flash", "default") for i in range(2)]
    assert [(p.account, p.lane) for p in got if isinstance(p, Picked)] == [("a0", "default"), ("a1", "flash")]


async def test_lanes_that_change(store: Store) -> None:
    """An account that offers other models afterwards is asked for those alone."""
    await fill(store, 1, ("flash", "pro"))
    await store.register("a0", ("ultra", "pro"), "[]")
    assert isinstance(await pick(store, "1", "flash"), Refused)
    assert isinstance(await pick(store, "2", "ultra"), Picked)


async def test_waiters_are_woken_once_and_only_if_there_are_any(store: Store) -> None:
    """A release publishes when someone was refused, and not otherwise."""
    await fill(store, 1, max_concurrency=1)
    async with aclosing(store.wakes()) as all_heard:
        heard = (line async for line in all_heard if not line.startswith("state "))
        assert await anext(heard) == ""
        await pick(store, "1")
        await store.release("r", "1", NO_EFFECT)
        await pick(store, "2")
        await store.quarantine("a0", "expired")
        await store.reinstate("a0")  # is always told: the first thing heard, so nothing was before it
        assert await anext(heard) == "reinstated a0"
        assert isinstance(await pick(store, "3", be_woken=True), Refused)
        await store.release("r", "2", NO_EFFECT)
        assert await anext(heard) == "free"


async def test_the_event_log_is_capped(store: Store) -> None:
    """The log keeps the last 200 changes."""
    await fill(store, 1)
    for _ in range(110):
        await store.disable("a0")
        await store.enable("a0")
    events = await store.events("a0", 1000)
    assert len(events) == 200
    assert (events[0].from_, events[0].to) == ("disabled", "active")


async def test_a_pick_costs_the_same_with_any_number_of_accounts(tmp_path: Path) -> None:
    """10,000 accounts instead of 10 do not double the server's time for a pick and its release, not even when nearly all of them
    cool: for half of the turns at least, which three stores take one after the other."""
    cases = (Case("few", 10), Case("many", 10_000), Case("cooling", 10_000, cooling=9_990))
    async with serving(tmp_path, cases) as (few, many, cooling):
        await take_turns((few, many, cooling), 15)
        assert median(ratios(many, few)) < 2
        assert median(ratios(cooling, few)) < 2
