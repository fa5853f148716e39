"""The pool's scripts in a real store against a model of the pool that knows nothing of a store, over any course of events
and of time: leases, ends of all kinds, cooldowns, quarantine, probes, drains, replicas that fall silent, a store that loses
its data."""

import asyncio
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import redis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from core.metrics import Metrics
from core.secret import Secret
from pool.account import AccountConfig, Effect, EffectKind, Policy, state_of
from pool.store import Picked, Store
from tests.support.hostile import examples

PREFIX = "{gempool}:"
CLOCK = f"local NOW = tonumber(redis.call('GET', '{PREFIX}test-clock'))"
POLICY = Policy(throttle_base=1.0, cooldown_cap=20.0, eject_after=2, eject_base=3.0, eject_cap=8.0)
NAMES = ("a", "b", "c", "d")
REPLICAS = ("r1", "r2", "r3")
LANES = ("flash", "pro", "default")
TTL = 4000
INF = math.inf


@dataclass
class Account:
    """All that matters of one account. Times in ms."""

    order: int
    used: int
    limit: int = 1
    spacing: int = 0
    per_minute: int = 0
    enabled: bool = True
    proxy: str = ""
    by_hand: bool = False
    leaving: bool = False
    opened: bool = False
    lanes: tuple[str, ...] = ()
    behind: str = ""
    quarantine: str = ""
    generation: int = 1
    cool: tuple[int, str] = (0, "")
    lanes_cool: dict[str, tuple[int, str]] = field(default_factory=dict)
    failures: int = 0
    ejections: int = 0
    ejected: int = 0
    """Until when it counts as one of the ejected, 0 for not at all."""
    last_ejection: int = 0
    level: int = 0
    probing: bool = False
    last_resort: int = 0
    """Until when at most, 0 where it is none."""
    in_flight: int = 0
    next_pick: int = 0
    picks: list[int] = field(default_factory=list)

    def state(self, now: int) -> str:
        if self.leaving:
            return "draining"
        if self.by_hand or not self.enabled:
            return "disabled"
        if self.quarantine:
            return "quarantined"
        if not self.opened:
            return "starting"
        return "cooling" if self.cool[0] > now else "active"

    def serves(self, now: int) -> bool:
        return self.state(now) in ("active", "cooling")

    @property
    def full(self) -> bool:
        return self.in_flight >= (1 if self.probing else self.limit)

    def returns(self, lane: str, now: int) -> tuple[float, str]:
        """When it can be asked for the lane again, and why not now: '' where it can, `-` where it never serves it."""
        if lane not in self.lanes or not self.serves(now):
            return INF, "-"
        own = self.lanes_cool.get(lane, (0, ""))
        ends = max(self.cool[0], own[0])
        if ends > now:
            return ends, own[1] if own[0] == ends else self.cool[1]
        if self.full:
            return INF, "full"
        return (self.next_pick, "spacing") if self.next_pick > now else (now, "")

    def rest(self, until: int, reason: str) -> None:
        if until > self.cool[0]:
            self.cool = (until, reason)


class Pool:
    """What the pool should do."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self.accounts: dict[str, Account] = {}
        self.uses = 0
        self.alive: dict[str, int] = {}
        self.leases: dict[str, dict[str, tuple[str, str, int]]] = {replica: {} for replica in REPLICAS}
        self.settled = True

    def use(self) -> int:
        self.uses += 1
        return self.uses

    def hear(self, replica: str, ttl: int = TTL) -> None:
        self.alive[replica] = self.now + ttl

    def reap(self) -> None:
        """The one that has been silent for longest."""
        silent = sorted((until, replica) for replica, until in self.alive.items() if until < self.now)
        if silent:
            self.gone(silent[0][1])

    def gone(self, replica: str) -> int:
        held, self.leases[replica] = self.leases[replica], {}
        self.alive.pop(replica, None)
        for name, _, _ in held.values():
            self.give_back(name)
        return len(held)

    def give_back(self, name: str) -> bool:
        """False where the account went with it."""
        account = self.accounts.get(name)
        if account is None:
            return False
        account.in_flight = max(0, account.in_flight - 1)
        if account.leaving and not account.in_flight:
            del self.accounts[name]
            return False
        return True

    def forgive(self) -> None:
        for account in self.accounts.values():
            if account.last_resort and account.last_resort <= self.now:
                account.last_resort = 0

    def end_ejections(self) -> None:
        """Who does not cool any more is no ejected one, whatever its cooldown came from."""
        for name in self.accounts:
            self.end_ejection(name)

    def end_ejection(self, name: str) -> None:
        account = self.accounts.get(name)
        if account and account.ejected and account.state(self.now) != "cooling":
            account.ejected = 0

    def choice(
        self, lanes: tuple[str, ...], tried: frozenset[str], soft: int
    ) -> tuple[str, str] | tuple[str, float | None, str]:
        """Who is leased, and for which lane; or the verdict, its ms and its reason."""
        now = self.now
        free: list[tuple[int, str, str]] = []
        failing: list[tuple[int, str, str]] = []
        busy: list[tuple[float, int, str, str]] = []
        cold: list[tuple[float, int, str, str]] = []
        for name, account in self.accounts.items():
            if name in tried:
                continue
            for n, lane in enumerate(lanes):
                at, why = account.returns(lane, now)
                if why == "":
                    (failing if account.last_resort else free).append((account.used, lane, name))
                elif why in ("full", "spacing"):
                    (cold if account.last_resort else busy).append((at, n, name, why))
                elif why != "-":
                    cold.append((at, n, name, why))
        for some in (free, [] if busy and soft < 2 else failing):
            if some:
                used = min(one[0] for one in some)
                return next((name, lane) for at, lane, name in some if at == used)
        first = min(cold) if cold else None
        if (
            soft == 1
            and first is not None
            and not busy
            and self.usable(first[2], lanes[first[1]], ("unstable",))
        ):
            return first[2], lanes[first[1]]
        if soft == 2:
            for one in sorted(cold, key=lambda one: (one[1], one[0], one[2])):
                if self.usable(one[2], lanes[one[1]], ("unstable", "throttled")):
                    return one[2], lanes[one[1]]
        if busy or cold:
            ends = min(one[0] for one in busy + cold)
            if ends == INF:
                return "busy", None, "full"
            reason = first[3] if first is not None and first[0] == ends else "spacing"
            unknown = reason == "suspect" or any(one[0] == INF for one in busy + cold)
            return "busy" if unknown else "wait", max(1, ends - now), reason
        asked = [
            (self.accounts[name].returns(lane, now), self.accounts[name])
            for name in tried & set(self.accounts)
            for lane in lanes
        ]
        some_times = [
            INF if at == account.cool[0] and account.cool[1] == "suspect" and why != "" else at
            for (at, why), account in asked
            if why != "-"
        ]
        if some_times:
            soonest = min(some_times)
            return "tried", None if soonest == INF else max(0, soonest - now), "tried"
        return "none", None, "none" if self.settled else "lost"

    def usable(self, name: str, lane: str, reasons: tuple[str, ...]) -> bool:
        """In spite of its cooldown."""
        account = self.accounts[name]
        if account.cool[0] <= self.now or account.cool[1] not in reasons or account.full:
            return False
        return account.lanes_cool.get(lane, (0, ""))[0] <= self.now and account.next_pick <= self.now

    def alone(self, name: str, lanes: tuple[str, ...]) -> tuple[str, str] | tuple[str, float | None, str]:
        account = self.accounts.get(name)
        if account is None:
            return "none", None, "only" if self.settled else "lost"
        found = [(account.returns(lane, self.now), lane) for lane in lanes]
        if account.last_resort:
            return "none", None, "only"
        for (_, why), lane in found:
            if why == "":
                return name, lane
        waits = [at for (at, why), _ in found if why in ("full", "spacing")]
        if not waits:
            return "none", None, "only"
        return ("busy", None, "full") if waits[-1] == INF else ("wait", waits[-1] - self.now, "spacing")

    def take(self, replica: str, lease: str, name: str, lane: str, jitter: float) -> None:
        account, now = self.accounts[name], self.now
        after = now + math.ceil(account.spacing * (1 + jitter / 10)) if account.spacing else now
        account.picks.append(now)
        if account.per_minute and len(account.picks) >= account.per_minute:
            after = max(after, account.picks[-account.per_minute] + 60_000)
        account.next_pick = max(after, account.next_pick) if after > now else account.next_pick
        account.used = self.use()
        account.in_flight += 1
        self.leases[replica][lease] = (name, lane, account.generation)

    def apply(self, name: str, lane: str, kind: str, reason: str, ms: int, current: bool) -> None:
        account, now = self.accounts[name], self.now
        if kind == "ok":
            account.failures = account.level = account.last_resort = 0
            account.probing = False
            if account.ejections and account.last_ejection + 8000 < now:
                account.ejections = 0
        elif kind == "throttled":
            if not (account.cool[0] > now and account.cool[1] == "throttled") or not account.level:
                account.level = min(5, account.level + 1)
            account.rest(now + min(20_000, max(1000 * 2 ** (account.level - 1), ms)), "throttled")
        elif kind == "lane" and (current or reason != "model_unavailable"):
            same = {lane}
            if account.behind and lane in (account.behind, "default"):
                same |= {account.behind, "default"}
            for one in same:
                if account.lanes_cool.get(one, (0, ""))[0] < now + ms:
                    account.lanes_cool[one] = (now + ms, reason)
        elif kind == "egress":
            for other in self.accounts.values():
                if other.proxy == account.proxy:
                    other.rest(now + ms, reason)
        elif kind == "unstable" and not (account.cool[0] > now and account.cool[1] == "unstable"):
            account.failures += 1
            if account.failures >= 2:
                self.eject(account)
        elif kind == "suspect" and current:
            account.rest(now + ms, reason)
        elif kind == "hard" and current and not account.quarantine:
            account.quarantine = reason

    def eject(self, account: Account) -> None:
        now = self.now
        if not account.serves(now):
            return
        serving = sum(other.serves(now) for other in self.accounts.values())
        ms = min(8000, 3000 * (account.ejections + 1))
        if (sum(other.ejected > now for other in self.accounts.values()) + 1) * 2 > serving:
            account.last_resort = now + ms
            return
        account.ejections += 1
        account.last_ejection = account.ejected = now + ms
        account.rest(now + ms, "unstable")

    def forget_models(self, account: Account) -> None:
        kept = account.lanes_cool.items()
        account.lanes_cool = {lane: one for lane, one in kept if one[1] != "model_unavailable"}


names = st.sampled_from(NAMES)
replicas = st.sampled_from(REPLICAS)
some_lanes = st.lists(st.sampled_from(LANES), min_size=1, max_size=3, unique=True).map(tuple)
KINDS: tuple[EffectKind, ...] = (
    "ok", "ok", "ok", "none", "throttled", "throttled", "lane", "egress", "suspect", "hard", "unstable", "unstable", "unstable", "unstable",
)  # fmt: skip
VERBS = ("quarantine", "reinstate", "clear", "disable", "enable", "remove", "unpark", "well", "bad", "park")


def event(
    method: str, /, **arguments: st.SearchStrategy[Any]
) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.just(method), st.fixed_dictionaries(arguments))


_WEIGHED = (
    *[event("pass_", ms=st.sampled_from((1, 250, 699, 700, 999, 1000, 2000, 3000, 4000, 8000, 20_000, 60_000)))] * 3,
    *[
        event(
            "pick", replica=replicas, lanes=some_lanes, soft=st.sampled_from((0, 1, 2)), jitter=st.sampled_from((0.0, 0.5)),
            tried=st.one_of(st.just(frozenset()), st.frozensets(names, max_size=3)), again=st.booleans(),
            only=st.sampled_from(("", "", "", "", *NAMES)),
        )
    ] * 12,
    *[
        event(
            "release", n=st.integers(0, 20), kind=st.sampled_from(KINDS), ms=st.sampled_from((500, 1500, 10_000)),
            model=st.booleans(),
        )
    ] * 9,
    event("leave", replica=replicas, died=st.booleans()),
    event("beat", replica=replicas),
    event(
        "tell", name=names, limit=st.sampled_from((1, 2, 3)), spacing=st.sampled_from((0, 0, 700)),
        per_minute=st.sampled_from((0, 0, 1, 3)), enabled=st.sampled_from((True, True, True, True, False)),
        proxy=st.sampled_from(("", "http://p:1")),
    ),
    *[event("open", name=names, lanes=some_lanes, behind=st.sampled_from(("", "", "flash", "pro")))] * 2,
    *[event("order", name=names, verb=st.sampled_from(VERBS))] * 2,
    *[event("order", name=names, verb=st.sampled_from(("reinstate", "reinstate", "enable", "well", "unpark")))] * 4,
    event("sweep"),
    event("lose_everything", really=st.sampled_from((True, *[False] * 9))),
)  # fmt: skip
# `one_of` would count what stands there several times once.
EVENTS = st.sampled_from(_WEIGHED).flatmap(lambda one: one)


class Course:
    """One course of events, in the store and in the model."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.client.flushall()
        self.runner = asyncio.Runner()
        self.store = Store(url, Metrics(), POLICY, clock=CLOCK)
        self.pool = Pool()
        self.numbers = itertools.count(1)
        self.pass_(0)
        self.do(self.store.settled("r1", TTL / 1000))
        self.pool.hear("r1")
        for order, name in enumerate(NAMES):
            self.tell(name, 1 + order % 2, 0, 0, True, "")
            self.open(name, LANES[: 1 + order % 3], "")

    def do(self, call: Any) -> Any:
        return self.runner.run(call)

    def end(self) -> None:
        """Whatever has happened: once everybody is gone, nothing is held, counted or kept of anybody."""
        for replica in REPLICAS:
            assert self.do(self.store.leave(replica)) == self.pool.gone(replica)
        self.agree()
        assert not self.do(self.store.sweep())
        for name in NAMES:
            assert self.do(self.store.remove(name)) == ("gone" if name in self.pool.accounts else "")
        left = {key.removeprefix(PREFIX) for key in self.client.scan_iter()}
        assert left <= {"uses", "pace", "counts", "log", "logged", "epoch", "test-clock", "called", "clock"}
        assert self.do(self.store.counts()).states == {}

    def close(self) -> None:
        self.do(self.store.close())
        self.client.close()
        self.runner.close()

    def pass_(self, ms: int) -> None:
        self.pool.now += ms
        self.client.set(f"{PREFIX}test-clock", self.pool.now)

    def pick(
        self,
        replica: str,
        lanes: tuple[str, ...],
        tried: frozenset[str],
        soft: int,
        only: str,
        jitter: float,
        again: bool,
    ) -> None:
        pool, lease = self.pool, f"L{next(self.numbers)}"
        pool.hear(replica)
        pool.reap()
        pool.forgive()
        pool.end_ejections()
        wanted = pool.alone(only, lanes) if only else pool.choice(lanes, tried, soft)

        async def ask() -> Any:
            return await self.store.pick(
                replica, lease, lanes, exclude=() if only else tuple(tried), lease_ttl=TTL / 1000, soft=soft, only=only,
                jitter=jitter,
            )  # fmt: skip

        got = self.do(ask())
        if isinstance(got, Picked):
            assert (got.account, got.lane) == wanted
            pool.take(replica, lease, got.account, got.lane, jitter)
            assert got.in_flight == pool.accounts[got.account].in_flight
            if again:
                assert self.do(ask()) == got
        else:
            seconds = None if got.seconds is None else round(got.seconds * 1000)
            assert (got.verdict, seconds, got.reason) == wanted

    def release(self, n: int, kind: EffectKind, ms: int, model: bool) -> None:
        pool = self.pool
        held = [(replica, lease) for replica in REPLICAS for lease in pool.leases[replica]]
        if not held:
            return
        replica, lease = held[n % len(held)]
        name, lane, generation = pool.leases[replica].pop(lease)
        reason = ("model_unavailable" if model else "usage_limit") if kind == "lane" else f"{kind}"
        effect = Effect(kind, reason, ms / 1000)
        assert self.do(self.store.release(replica, lease, effect)) is (name in pool.accounts)
        if pool.give_back(name):
            pool.end_ejections()
            pool.apply(name, lane, kind, reason, ms, generation == pool.accounts[name].generation)
        assert not self.do(self.store.release(replica, lease, Effect("hard", "again")))

    def leave(self, replica: str, died: bool) -> None:
        assert self.do(self.store.leave(replica, died=died)) == self.pool.gone(replica)

    def beat(self, replica: str) -> None:
        self.pool.hear(replica)
        self.pool.reap()
        self.do(self.store.beat(replica, TTL / 1000))

    def tell(self, name: str, limit: int, spacing: int, per_minute: int, enabled: bool, proxy: str) -> None:
        order = NAMES.index(name)
        found = AccountConfig(
            id=name, secure_1psid=Secret(name), enabled=enabled, max_concurrency=limit, min_interval=spacing / 1000,
            proxy=Secret(proxy) if proxy else None,
        )  # fmt: skip
        self.do(self.store.upsert(found, order, per_minute))
        account = self.pool.accounts.get(name)
        if account is None:
            account = self.pool.accounts[name] = Account(order, self.pool.use())
        if not per_minute:
            account.picks.clear()
        elif account.per_minute:
            del account.picks[: -account.per_minute]
        else:
            account.picks.clear()
        account.limit, account.spacing, account.per_minute = limit, spacing, per_minute
        account.enabled, account.proxy, account.leaving = enabled, proxy, False
        self.pool.end_ejection(name)

    def open(self, name: str, lanes: tuple[str, ...], behind: str) -> None:
        known = self.do(self.store.register(name, lanes, "[]", behind))
        if account := self.pool.accounts.get(name):
            account.lanes, account.behind, account.opened = lanes, behind, True
            self.pool.forget_models(account)
        else:
            assert known == ""

    def order(self, name: str, verb: str) -> None:
        calls = {
            "quarantine": lambda: self.store.quarantine(name, "expired"), "reinstate": lambda: self.store.reinstate(name),
            "clear": lambda: self.store.clear(name), "disable": lambda: self.store.disable(name),
            "enable": lambda: self.store.enable(name), "remove": lambda: self.store.remove(name),
            "unpark": lambda: self.store.unpark(name), "well": lambda: self.store.probed(name, "well"),
            "bad": lambda: self.store.probed(name, "unreachable", again=True), "park": lambda: self.store.park(name, 5.0),
        }  # fmt: skip
        self.do(calls[verb]())
        pool, now = self.pool, self.pool.now
        account = pool.accounts.get(name)
        if account is None:
            return
        match verb:
            case "quarantine":
                account.quarantine = "expired"
            case "reinstate" if account.quarantine:
                account.quarantine, account.probing, account.used = "", True, pool.use()
                account.generation += 1
                account.cool = (0, account.cool[1])
                account.failures = account.level = account.last_resort = account.ejected = 0
                pool.forget_models(account)
            case "clear":
                account.cool = (0, account.cool[1])
                account.lanes_cool.clear()
                account.failures = account.level = account.ejections = account.last_resort = (
                    account.ejected
                ) = 0
            case "disable" | "enable":
                account.by_hand = verb == "disable"
            case "remove":
                account.leaving = True
                if not account.in_flight:
                    del pool.accounts[name]
            case "park":
                account.rest(now + 5000, "suspect")
            case "unpark" if account.cool[1] == "suspect" and account.cool[0] > now:
                account.cool = (0, account.cool[1])
                pool.apply(name, "", "unstable", "unstable", 0, True)
            case "well" if account.cool[0] > now and account.cool[1] in ("unstable", "suspect"):
                account.cool, account.probing, account.ejected = (0, account.cool[1]), True, 0
        pool.end_ejection(name)

    def sweep(self) -> None:
        """The numbers that are kept step by step are never off."""
        assert not self.do(self.store.sweep())

    def lose_everything(self, really: bool) -> None:
        """The store comes back empty; the replicas tell it what they know and still hold."""
        if not really:
            return
        pool = self.pool
        self.client.flushall()
        self.pass_(0)
        held = {replica: dict(leases) for replica, leases in pool.leases.items()}
        before, pool.accounts = pool.accounts, {}
        pool.alive, pool.leases = {}, {replica: {} for replica in REPLICAS}
        pool.settled = False
        self.pick("r1", ("flash",), frozenset(), 1, "", 0.0, again=False)
        self.pick("r1", ("flash",), frozenset(), 1, "a", 0.0, again=False)
        for name, old in sorted(before.items(), key=lambda one: one[1].order):
            self.tell(name, old.limit, old.spacing, old.per_minute, old.enabled, old.proxy)
            if old.lanes:
                self.open(name, old.lanes, old.behind)
        self.do(self.store.settled("r1", TTL / 1000))
        pool.hear("r1")
        pool.settled = True
        for replica, leases in held.items():
            for lease, (name, lane, _) in leases.items():
                known = name in pool.accounts
                assert self.do(self.store.reclaim(replica, lease, name, lane)) is known
                assert not self.do(self.store.reclaim(replica, lease, name, lane))
                if known:
                    pool.leases[replica][lease] = (name, lane, -1)
                    pool.accounts[name].in_flight += 1
            if leases:
                self.beat(replica)

    def agree(self) -> None:
        pool = self.pool

        async def look() -> Any:
            return await asyncio.gather(
                self.store.page(0, 100), *(self.store.leases(replica) for replica in REPLICAS)
            )

        (now, total, page), *leases = self.do(look())
        assert round(now * 1000) == pool.now
        assert [record.id for record in page] == sorted(pool.accounts, key=NAMES.index)
        assert total == len(pool.accounts)
        for record in page:
            account = pool.accounts[record.id]
            state, reason = state_of(record, now)
            assert state == account.state(pool.now), record.id
            if state == "cooling":
                assert record.cooldown is not None
                assert (round(record.cooldown.until * 1000), reason) == account.cool
            assert record.in_flight == account.in_flight
            assert (record.consecutive_failures, record.times_ejected, record.throttle_level) == (
                account.failures, account.ejections, account.level,
            )  # fmt: skip
            assert (record.half_open, record.last_resort) == (account.probing, account.last_resort > 0)
            asleep = {
                lane: (round(one.until * 1000), one.reason) for lane, one in record.lane_cooldowns.items()
            }
            assert {k: v for k, v in asleep.items() if v[0] > pool.now} == {
                k: v for k, v in account.lanes_cool.items() if v[0] > pool.now
            }
        assert leases == [set(pool.leases[replica]) for replica in REPLICAS]
        in_flight = sum(account.in_flight for account in pool.accounts.values())
        held = [one for leases in pool.leases.values() for one in leases.values() if one[0] in pool.accounts]
        assert in_flight == len(held)


@settings(
    max_examples=examples(15), phases=(Phase.explicit, Phase.reuse, Phase.generate)
)  # to shrink takes minutes
@given(st.lists(EVENTS, min_size=60, max_size=160))
def test_the_scripts_do_what_the_model_does(
    valkey_url: str, events: list[tuple[str, dict[str, Any]]]
) -> None:
    """Any course of events and time: who is leased for which model, who is refused with which words and which wait, and what is
    known of every account afterwards are the model's; at the end nothing is left."""
    course = Course(valkey_url)
    try:
        for verb, arguments in events:
            getattr(course, verb)(**arguments)
            course.agree()
        course.end()
    finally:
        course.close()
