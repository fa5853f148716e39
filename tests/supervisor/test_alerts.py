"""Alerts from end to end: several replicas on a real store, a strict Bark server on a real socket, and a
clock that is moved by hand."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from core.masking import mask
from core.metrics import Metrics
from core.secret import Secret
from pool.shared import Shared
from supervisor import Alerts, AlertsSettings, Bark, Incident
from supervisor.alerts import QUEUE
from supervisor.ledger import CLAIM_SECONDS
from tests.fakes.bark import FakeBark, bark_server

PHONE, TABLET = "phone4Key", "TabletKeyB"
EXPIRED = Incident("expired", account="alice")
PSID, PSIDTS = "g.a000zwi9xQ7-abc_DEF1234567890", "sidts-CjIB5H03P-abc_DEF"


class HandClock:
    """Stands still until `advance`."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Move on from one sleeper to the next, letting each of them act."""
        end = self._now + seconds
        while True:
            await breathe()
            due = min((at for at, waiter in self._sleepers if not waiter.done()), default=end + 1)
            if due > end:
                break
            self._now = max(self._now, due)
            for at, waiter in self._sleepers:
                if at <= self._now and not waiter.done():
                    waiter.set_result(None)
            self._sleepers = [(at, waiter) for at, waiter in self._sleepers if not waiter.done()]
        self._now = end


async def breathe() -> None:
    """Let store and server answer: real sockets, which nobody announces. In many turns, since a busy machine may spend
    any time on one."""
    for _ in range(8):
        await asyncio.sleep(0.006)


class Replica:
    def __init__(self, alerts: Alerts, metrics: Metrics, shared: Shared) -> None:
        self.alerts = alerts
        self._metrics = metrics
        self.shared = shared

    def count(self, kind: str, outcome: str) -> float:
        return self._value("gempool_alerts_total", kind=kind, outcome=outcome)

    def pushes(self, outcome: str) -> float:
        return self._value("gempool_alert_pushes_total", outcome=outcome)

    @property
    def pending(self) -> float:
        return self._value("gempool_alerts_pending")

    def _value(self, name: str, **labels: str) -> float:
        return self._metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def bark() -> Iterator[FakeBark]:
    with bark_server(PHONE, TABLET) as server:
        yield server


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@asynccontextmanager
async def replicas(
    number: int, store: str, bark: FakeBark, clock: HandClock, settings: AlertsSettings | None = None
) -> AsyncIterator[list[Replica]]:
    running, barks = [], []
    for n in range(number):
        client = Bark(Secret(bark.url), [Secret(PHONE), Secret(TABLET)], timeout=0.5)
        shared, metrics = Shared(store), Metrics()
        alerts = Alerts(
            shared, settings or AlertsSettings(), client, clock, metrics, mask, f"replica-{n}", lambda: 1.0
        )
        alerts.start()
        running.append(Replica(alerts, metrics, shared))
        barks.append(client)
    try:
        yield running
    finally:
        for replica, client in zip(running, barks, strict=True):
            await replica.alerts.close()
            await replica.shared.close()
            await client.close()


async def until(true: Callable[[], bool], within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.005)


def titles(bark: FakeBark) -> list[str]:
    return [received["title"].removeprefix("gempool: ") for received in bark.of(PHONE)]


async def test_three_replicas_tell_an_incident_once(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """All notice it, again and again; each phone gets one alert, and one all-clear in its place."""
    async with replicas(3, empty_valkey, bark, clock) as running:
        for _ in range(5):
            for replica in running:
                replica.alerts.raise_(EXPIRED)
        await until(lambda: len(bark.received) == 2)
        for _ in range(3):
            for replica in running:
                replica.alerts.resolve(account="alice")
        await until(lambda: len(bark.received) == 4)
        await clock.advance(3600)
        assert titles(bark) == ["alice is signed out", "alice is back"]
        assert len({received["id"] for received in bark.of(TABLET)}) == 1
        assert sum(replica.count("expired", "told") for replica in running) == 1
        assert sum(replica.count("recovered", "told") for replica in running) == 1
        assert all(replica.pending == 0 for replica in running)


async def test_an_all_clear_without_an_alert_is_not_told(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """A look at healthy accounts says nothing to anybody."""
    async with replicas(2, empty_valkey, bark, clock) as running:
        for replica in running:
            replica.alerts.resolve(account="alice")
            replica.alerts.review({"active": 3})
        await clock.advance(60)
        assert bark.requests == []


async def test_a_failing_server_is_tried_again(empty_valkey: str, bark: FakeBark, clock: HandClock) -> None:
    """400 and 500, counted and repeated with growing waits, until the alert is through."""
    async with replicas(1, empty_valkey, bark, clock) as (replica,):
        bark.answer_with = (500, "push failed: EOF")
        replica.alerts.raise_(EXPIRED)
        await until(lambda: len(bark.requests) == 1)
        await clock.advance(0.9)
        assert len(bark.requests) == 1
        await clock.advance(0.2)
        assert len(bark.requests) == 2
        bark.answer_with = (400, "failed to get device token")
        await clock.advance(2.1)
        assert len(bark.requests) == 3
        bark.answer_with = None
        await clock.advance(4.1)
        assert titles(bark) == ["alice is signed out"]
        assert (replica.pushes("refused"), replica.pushes("ok")) == (6, 2)
        assert replica.count("expired", "told") == 1


async def test_only_the_device_that_failed_is_tried_again(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """The other one does not ring twice; the same with the all-clear."""
    async with replicas(1, empty_valkey, bark, clock) as (replica,):
        for raise_ in (replica.alerts.raise_, lambda _: replica.alerts.resolve(account="alice")):
            bark.broken_devices = {TABLET}
            sent = len(bark.of(PHONE))
            raise_(EXPIRED)
            await until(lambda sent=sent: len(bark.of(PHONE)) == sent + 1)  # type: ignore[misc]
            await clock.advance(20)
            bark.broken_devices = set()
            await clock.advance(60)
            assert len(bark.of(PHONE)) == len(bark.of(TABLET)) == sent + 1


async def test_a_dead_server_is_given_up_in_the_end(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """After the alert's greatest age, counted; the next look tells what stands still."""
    async with replicas(1, empty_valkey, bark, clock, AlertsSettings(max_age=100)) as (replica,):
        bark.answer_with = (500, "push failed")
        replica.alerts.raise_(EXPIRED)
        await until(lambda: len(bark.requests) == 1)
        await clock.advance(300)
        for _ in range(20):
            if replica.count("expired", "failed"):
                break
            await clock.advance(100)
        assert replica.count("expired", "failed") == 1
        assert replica.pending == 0
        bark.answer_with = None
        replica.alerts.raise_(EXPIRED)
        await until(lambda: titles(bark) == ["alice is signed out"])


async def test_a_trouble_that_is_over_before_it_was_told_is_not_told(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """Whichever replica learns that it is over: no stale alarm, and no all-clear for an unknown trouble."""
    async with replicas(2, empty_valkey, bark, clock) as (one, two):
        bark.answer_with = (500, "push failed")
        one.alerts.raise_(EXPIRED)
        await until(lambda: len(bark.requests) == 1)
        two.alerts.resolve(account="alice")
        await breathe()
        bark.answer_with = None
        await clock.advance(100)
        assert bark.received == []
        assert one.count("expired", "superseded") == 1


async def test_a_flapping_account_is_paced(empty_valkey: str, bark: FakeBark, clock: HandClock) -> None:
    """Within the interval a second alert of the kind waits, and is told only if it still stands then."""
    async with replicas(2, empty_valkey, bark, clock, AlertsSettings(min_interval=600)) as (one, two):
        for n in range(10):
            (one, two)[n % 2].alerts.raise_(EXPIRED)
            await clock.advance(10)
            (two, one)[n % 2].alerts.resolve(account="alice")
            await clock.advance(10)
        assert titles(bark) == ["alice is signed out", "alice is back"]
        one.alerts.raise_(EXPIRED)
        await clock.advance(300)
        assert len(titles(bark)) == 2
        await clock.advance(200)
        assert titles(bark)[2:] == ["alice is signed out"]


async def test_other_accounts_do_not_wait_for_it(empty_valkey: str, bark: FakeBark, clock: HandClock) -> None:
    """Pacing is for each account and kind."""
    async with replicas(1, empty_valkey, bark, clock) as (replica,):
        for name in ("alice", "bob", "carol"):
            replica.alerts.raise_(Incident("expired", account=name))
        replica.alerts.raise_(Incident("rejected", account="alice", detail="location"))
        replica.alerts.raise_(Incident("config_broken", file="accounts.yaml", detail="line 3: no"))
        await until(lambda: len(bark.of(PHONE)) == 5)


async def test_an_alert_of_a_replica_that_died_is_taken_over(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """Claimed, never told, and no sign of life any more: the next look of another replica tells it."""
    async with replicas(2, empty_valkey, bark, clock) as (one, two):
        bark.answer_with = (500, "push failed")
        one.alerts.raise_(EXPIRED)
        await until(lambda: len(bark.requests) == 1)
        await one.alerts._tasks.close()  # as by kill -9: nothing is given back
        bark.answer_with = None
        two.alerts.raise_(EXPIRED)
        await breathe()
        assert bark.received == []
        await clock.advance(CLAIM_SECONDS + 1)
        two.alerts.raise_(EXPIRED)
        await until(lambda: titles(bark) == ["alice is signed out"])


async def test_a_replica_that_stops_gives_its_alerts_back(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """Another one tells them at its next look, without waiting for anything."""
    async with replicas(2, empty_valkey, bark, clock) as (one, two):
        bark.answer_with = (500, "push failed")
        one.alerts.raise_(EXPIRED)
        await until(lambda: len(bark.requests) == 1)
        await breathe()
        await one.alerts.close()
        bark.answer_with = None
        two.alerts.raise_(EXPIRED)
        await until(lambda: titles(bark) == ["alice is signed out"])


async def test_no_cookie_ever_reaches_a_phone(empty_valkey: str, bark: FakeBark, clock: HandClock) -> None:
    """Even where a reason should quote one by mistake, in whatever form."""
    leaks = [
        f"bad value {PSID}",
        f"__Secure-1PSIDTS={PSIDTS}; SID=opaque-1",
        f'{{"name": "__Secure-1PSID", "value": "{PSID}"}}',
        "proxy http://user:opaque-2@10.0.0.5:3128 refused",
    ]
    async with replicas(1, empty_valkey, bark, clock) as (replica,):
        for n, leak in enumerate(leaks):
            replica.alerts.raise_(Incident("config_broken", file=f"file-{n}", detail=leak))
            replica.alerts.raise_(Incident("rejected", account=f"account-{n}", detail=leak))
        await until(lambda: len(bark.of(PHONE)) == 2 * len(leaks))
    sent = str(bark.requests)
    assert not [word for word in (PSID, PSIDTS, "opaque-") if word in sent]
    assert "10.0.0.5:3128" in sent


async def test_the_pool_is_told_of_with_its_numbers(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """Too few, then none, then enough: three notes in one place; reviews in between repeat nothing."""
    settings = AlertsSettings(pool_below=2)
    async with replicas(2, empty_valkey, bark, clock, settings) as running:
        for counts in ({"active": 1, "quarantined": 3}, {"quarantined": 4}, {"active": 1, "quarantined": 3}):
            for replica in running * 2:
                replica.alerts.review(counts)
            await clock.advance(5)
        for replica in running * 2:
            replica.alerts.review({"active": 4})
        await clock.advance(5)
        assert titles(bark) == [
            "only 1 of 4 accounts are well",
            "no account can serve",
            "4 of 4 accounts are well",
        ]
        assert {received["id"] for received in bark.of(PHONE)} == {"gw-@pool"}


async def test_accounts_that_never_start_empty_the_pool(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """A start takes its time; after a minute it is an incident."""
    async with replicas(1, empty_valkey, bark, clock) as (replica,):
        replica.alerts.review({"starting": 3})
        await clock.advance(50)
        replica.alerts.review({"starting": 3})
        await breathe()
        assert bark.requests == []
        await clock.advance(20)
        replica.alerts.review({"starting": 3})
        await until(lambda: titles(bark) == ["no account can serve"])


async def test_nobody_waits_for_a_slow_server(empty_valkey: str, bark: FakeBark, clock: HandClock) -> None:
    """Raising costs microseconds while every push hangs, and too many at once are dropped and counted."""
    async with replicas(1, empty_valkey, bark, clock) as (replica,):
        bark.delay = 3.0
        began = time.perf_counter()
        for n in range(QUEUE + 10):
            replica.alerts.raise_(Incident("expired", account=f"account-{n}"))
        assert time.perf_counter() - began < 2.5  # one push alone hangs for three
        assert replica.count("expired", "dropped") == 10
        await until(lambda: replica.pushes("unreachable") >= 2)


async def test_a_look_at_very_many_accounts_drops_nothing(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """Who can wait for room on the queue does, so that what cannot wait finds some."""
    async with replicas(1, empty_valkey, bark, clock) as (replica,):
        for n in range(3 * QUEUE):
            await replica.alerts.room()
            replica.alerts.resolve(account=f"account-{n}")
        replica.alerts.raise_(EXPIRED)
        await until(lambda: titles(bark) == ["alice is signed out"])
        assert replica.count("recovered", "dropped") == 0


async def test_the_store_may_be_away_for_a_while(tmp_path: object, bark: FakeBark, clock: HandClock) -> None:
    """Alerts wait for it and are given up in the end; nothing is raised, nothing hangs."""
    store = f"unix://{tmp_path}/no-such-socket"
    client, shared, metrics = Bark(Secret(bark.url), [Secret(PHONE)]), Shared(store, timeout=0.05), Metrics()
    alerts = Alerts(shared, AlertsSettings(max_age=5), client, clock, metrics, mask)
    replica = Replica(alerts, metrics, shared)
    alerts.start()
    alerts.raise_(EXPIRED)
    for _ in range(30):
        with suppress(TimeoutError):
            await clock.advance(1)
        if replica.count("expired", "failed"):
            break
        await breathe()
    assert replica.count("expired", "failed") == 1
    assert bark.requests == []
    await alerts.close()
    await shared.close()
    await client.close()


async def test_without_a_device_incidents_are_counted_only(clock: HandClock) -> None:
    """Once each, however often they are noticed; the store is not asked."""
    metrics = Metrics()
    alerts = Alerts(Shared("redis://127.0.0.1:1"), AlertsSettings(), None, clock, metrics, mask)
    replica = Replica(alerts, metrics, Shared("redis://127.0.0.1:1"))
    alerts.start()
    for _ in range(3):
        alerts.raise_(EXPIRED)
    alerts.resolve(account="alice")
    alerts.raise_(EXPIRED)
    assert replica.count("expired", "no_device") == 2
    await alerts.close()


async def test_a_ledger_that_cannot_be_read_is_begun_anew(
    empty_valkey: str, bark: FakeBark, clock: HandClock
) -> None:
    """What another version wrote silences nothing."""
    async with replicas(1, empty_valkey, bark, clock) as (replica,):
        await replica.shared.put("alerts:account:alice", "{not json")
        replica.alerts.raise_(EXPIRED)
        await until(lambda: titles(bark) == ["alice is signed out"])
