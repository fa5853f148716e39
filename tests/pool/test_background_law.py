"""What a background pick may take, against the law as it is stated: on a real store, in any order of events."""

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)

from core.metrics import Metrics
from core.secret import Secret
from pool.account import AccountConfig, Effect, Policy, Record, State, state_of
from pool.store import Picked, Refused, Store
from tests.support.hostile import examples

SLOW = Policy(throttle_base=1000.0, eject_after=2, eject_base=1000.0, eject_cap=100_000.0)
LANES = {
    "a0": ("flash", "pro"),
    "a1": ("flash", "pro"),
    "a2": ("flash",),
    "a3": ("flash", "own"),
    "a4": ("pro", "default"),
}
LIMITS = {"a0": 1, "a1": 2, "a2": 1, "a3": 2, "a4": 3}
PER_MINUTE = {"a4": 3}
NAMES = sorted(LANES)
NEVER = 9 * 10**15
MOMENT = 0.25
"""Seconds for which who was called comes first."""
WISHES = [("flash",), ("pro",), ("flash", "pro"), ("default", "flash"), ("own",), ("nobody", "pro")]


class Standing:
    """The accounts as they stand in the store before a pick."""

    def __init__(self, records: list[Record], now: float, uses: dict[str, int], rate: float) -> None:
        self.records = {record.id: record for record in records}
        self.now = now
        self.uses = uses
        self.rate = rate

    def cap(self, name: str) -> int:
        record = self.records[name]
        return 1 if record.half_open else record.max_concurrency

    def where(self, name: str, lane: str) -> str:
        """ready, last, busy or cool; '' where the account does not serve the lane now."""
        record = self.records[name]
        state, _ = state_of(record, self.now)
        if lane not in record.lanes or state not in (State.ACTIVE, State.COOLING):
            return ""
        own = record.lane_cooldowns.get(lane)
        if state is State.COOLING or (own is not None and own.until > self.now):
            return "cool"
        if record.in_flight >= self.cap(name) or self.uses[name] >= PER_MINUTE.get(name, 1000):
            return "cool" if record.last_resort else "busy"
        return "last" if record.last_resort else "ready"

    def stays(self, name: str) -> bool:
        """It could be picked once more after this pick."""
        more = self.uses[name] + 1 < PER_MINUTE.get(name, 1000)
        return self.records[name].in_flight + 1 < self.cap(name) and more

    def need(self, name: str) -> int:
        """How many accounts live requests take until this one is back."""
        mean = self.rate * (10 if self.uses[name] + 1 >= PER_MINUTE.get(name, 1000) else 4)
        chances = (math.exp(-mean) * mean**k / math.factorial(k) for k in itertools.count())
        return max(1, sum(total < 0.98 for total in itertools.islice(itertools.accumulate(chances), 50)))

    def spares(self, name: str, kind: str, tried: set[str], blind: set[str]) -> tuple[bool, int]:
        """2: live requests keep an account in every lane that this one stands ready in. 1: the same but for lanes in
        which there is no other that this request could ask. 0: they would miss it. And whether they keep all that they
        will need, as far as there are so many."""
        if self.stays(name):
            return True, 2
        enough, plenty = 2, True
        free = {"ready"} if kind == "ready" else {"ready", "last"}
        for lane in self.records[name].lanes:
            if self.where(name, lane) != kind:
                continue
            others = {n for n in NAMES if n != name}
            ready = {n for n in others if self.where(n, lane) in free}
            # Those that cool are back too late here to count.
            serving = {n for n in others if self.where(n, lane) in {"ready", "last", "busy"}}
            if ready - tried - blind:
                need = self.need(name)
                plenty &= len(ready - tried - blind) >= min(need, len(serving - tried))
                plenty &= len(ready) >= min(need, len(serving))
                continue
            if serving - tried or (serving and not ready):
                return False, 0
            enough = 1
        return plenty, enough

    def choice(self, lanes: tuple[str, ...], tried: set[str], blind: set[str], starved: bool) -> str:
        """The account that a background pick takes; '' for none."""
        mine = [n for n in NAMES if n not in tried | blind]
        at = {n: {self.where(n, lane) for lane in lanes} - {""} for n in mine}
        kind = "ready"
        if not any(places - {"last"} for places in at.values()):
            kind = "last"
        able = sorted((n for n in mine if kind in at[n]), key=lambda n: self.records[n].use_order)
        for plenty in (True, False) if starved else (True,):
            for enough in (2, 1):
                for name in able:
                    if self.spares(name, kind, tried, blind) == (plenty, enough):
                        return name
        return ""


class BackgroundMachine(RuleBasedStateMachine):
    """Any order of live and background picks, releases, failures and an operator's orders."""

    leases: Bundle[tuple[str, str]] = Bundle("leases")
    url = ""
    rate = 0.0
    """Live picks a second, as the store believes."""

    def __init__(self) -> None:
        super().__init__()
        self.client = redis.Redis.from_url(self.url, decode_responses=True)
        self.client.flushall()
        self.pace(at=NEVER, live=0, slow=self.rate / 1000, fast=0)
        self.runner = asyncio.Runner()
        self.store = Store(self.url, Metrics(), SLOW)
        self.numbers = itertools.count(1)
        self.uses = dict.fromkeys(NAMES, 0)
        self.live_waits = False
        for place, name in enumerate(NAMES):
            config = AccountConfig(id=name, secure_1psid=Secret(name), max_concurrency=LIMITS[name])
            self.do(self.store.upsert(config, place, PER_MINUTE.get(name, 0)))
            self.do(self.store.register(name, LANES[name], "[]"))

    def do(self, call: Any) -> Any:
        return self.runner.run(call)

    def pace(self, **fields: float) -> None:
        for name, value in fields.items():
            self.client.hset("{gempool}:pace", name, str(value))

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        self.client.close()

    def called(self) -> bool:
        return bool(self.client.exists("{gempool}:called"))

    def standing(self) -> Standing:
        now, _, records = self.do(self.store.page(0, 100))
        return Standing(records, now, dict(self.uses), self.rate)

    def picked(self, got: Picked | Refused, lease: str, replica: str) -> Any:
        if isinstance(got, Refused):
            return multiple()
        self.uses[got.account] += 1
        return (replica, lease)

    @rule(target=leases, lanes=st.sampled_from(WISHES), be_woken=st.booleans())
    def live(self, lanes: tuple[str, ...], be_woken: bool) -> Any:
        lease = f"L{next(self.numbers)}"
        got = self.do(self.store.pick("live", lease, lanes, lease_ttl=60.0, soft=0, be_woken=be_woken))
        if isinstance(got, Refused) and be_woken:
            self.live_waits = True
        return self.picked(got, lease, "live")

    @rule(
        target=leases,
        lanes=st.sampled_from(WISHES),
        tried=st.one_of(st.just(set()), st.sets(st.sampled_from(NAMES), max_size=3)),
        blind=st.one_of(st.just(set()), st.sets(st.sampled_from(NAMES), max_size=2)),
        be_woken=st.booleans(),
        starved=st.booleans(),
    )
    def background(
        self, lanes: tuple[str, ...], tried: set[str], blind: set[str], be_woken: bool, starved: bool
    ) -> Any:
        tried = tried - blind
        self.pace(taken=0 if starved else NEVER)
        lease = f"B{next(self.numbers)}"
        before, called = self.standing(), self.called()
        got = self.do(
            self.store.pick(
                "behind",
                lease,
                lanes,
                exclude=sorted(tried),
                blind=sorted(blind),
                lease_ttl=60.0,
                soft=2,
                be_woken=be_woken,
                background=True,
            )
        )
        if self.live_waits or (called and self.called()):
            assert isinstance(got, Refused)
            assert got.reason == "live"
        elif not called:
            wanted = before.choice(lanes, tried, blind, starved)
            assert (got.account if isinstance(got, Picked) else "") == wanted
            assert isinstance(got, Picked) or got.reason != "live"
        return self.picked(got, lease, "behind")

    @rule()
    def a_moment_passes(self) -> None:
        """Who was called has answered."""
        self.client.delete("{gempool}:called")

    @rule(
        lease=consumes(leases),
        kind=st.sampled_from(["ok", "none", "throttled", "lane", "hard", *["unstable"] * 4]),
    )
    def release(self, lease: tuple[str, str], kind: str) -> None:
        replica, number = lease
        reason = {"hard": "dead", "lane": "usage_limit"}.get(kind, kind)
        effect = Effect(kind, reason, 500.0 if kind == "lane" else 0.0)  # type: ignore[arg-type]
        with self.told():
            assert self.do(self.store.release(replica, number, effect))

    @rule(name=st.sampled_from(NAMES), verb=st.sampled_from(["reinstate", "clear", "disable", "enable"]))
    def order(self, name: str, verb: str) -> None:
        with self.told():
            self.do(getattr(self.store, verb)(name))

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Whoever waited has been called by this, and comes before any background request for a moment."""
        began = time.monotonic()
        yield
        called = self.called()
        # On a machine that stood still, the moment is over.
        assert not self.live_waits or called or time.monotonic() - began > MOMENT / 2
        self.live_waits = False


@pytest.mark.timeout(examples(300))
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_a_background_pick_leaves_live_requests_an_account(valkey_url: str, rate: float) -> None:
    """In any order of events a background pick takes the least recently used account that live requests can spare, and
    nothing where they can spare none or where one of them waits. At any rate of live requests."""
    BackgroundMachine.url = valkey_url
    BackgroundMachine.rate = rate
    run_state_machine_as_test(
        BackgroundMachine,
        settings=settings(
            max_examples=examples(60 if rate == 0 else 40),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
