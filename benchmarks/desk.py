"""What the operator's desk costs: the journal's writes with 200 accounts and 50 requests a second, and the readings of whoever
looks. Run: python -m benchmarks.desk"""

import asyncio
import itertools
import random
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
import redis

from core.clock import SystemClock
from core.metrics import Metrics
from core.secret import Secret
from gateway.embedded import EmbeddedStore
from journal import Asked, Happened, Journal, Served
from pool import AccountConfig, Policy, Pool, PoolSettings, PublicModel, Shared, Store
from pool.account import OK
from pool.upstream import Offered
from supervisor.jars import Jars, Seal
from supervisor.readings import About, Readings
from supervisor.settings import SupervisorSettings

ACCOUNTS, RATE, MINUTES = 200, 50, 90
REPLICA = "0123456789ab"
CHANCE = random.Random(1)  # noqa: S311 -- traffic, the same in each run
OFFERED = tuple(
    Offered(name, name, "a model of the web app", frozenset({f"{name}-alias"}))
    for name in ("gemini-flash", "gemini-pro", "gemini-thinking")
)
TABLE = [PublicModel(f"public-{n}", (OFFERED[n % 3].name, "default")) for n in range(8)]


def request(at: float, number: int) -> Served:
    account = f"account-{CHANCE.randrange(ACCOUNTS)}"
    outcome = "ok" if number % 20 else "throttled"
    asked: tuple[Asked, ...] = (Asked(account, outcome, 1.2),)
    if outcome != "ok":
        asked = (*asked, Asked(f"account-{CHANCE.randrange(ACCOUNTS)}", "ok", 1.4))
    return Served(
        at, f"req_{number:024d}", REPLICA, "somebody", "/v1/chat/completions", "gemini-3-flash-preview",
        200, "ok", CHANCE.expovariate(0.5), CHANCE.expovariate(1.0), 0.01, 1.3, 0.0, asked,
    )  # fmt: skip


def told(name: str, seconds: list[float]) -> None:
    ms = sorted(1000 * second for second in seconds)
    print(f"{name}: median {statistics.median(ms):.2f} ms, p95 {ms[int(len(ms) * 0.95)]:.2f} ms")


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        embedded = EmbeddedStore(Path(directory))
        await embedded.start()
        try:
            await measure(embedded.url)
        finally:
            await embedded.stop()


async def measure(url: str) -> None:
    clock, metrics = SystemClock(), Metrics()
    client = redis.Redis.from_url(url)
    journal = Journal(url, clock, REPLICA)
    past = clock.now() - MINUTES * 60
    for minute in range(MINUTES):
        # A fifth of the rate gives the same fields in each minute: every account, every outcome.
        for number in range(RATE * 12):
            journal.served(request(past + minute * 60 + number / 10, number))
        for number in range(40):
            account = f"account-{number * 5}"
            journal.happened(
                Happened(past + minute * 60, "probe", account, outcome="well" if number % 4 else "unsure")
            )
        await journal.flush()
    writes: list[float] = []
    notes: list[float] = []
    for _ in range(60):
        for number in range(RATE):
            entry = request(clock.now(), number)
            began = time.perf_counter()
            journal.served(entry)
            notes.append(time.perf_counter() - began)
        began = time.perf_counter()
        await journal.flush()
        writes.append(time.perf_counter() - began)
    size = sum(client.memory_usage(key) or 0 for key in client.scan_iter("{gempool-journal}*"))
    print(f"the journal in the store: {size / 1e6:.1f} MB, {client.dbsize()} keys")
    print(f"noting one request: {1e6 * statistics.median(notes):.0f} us")
    told(f"a write of {RATE} requests", writes)
    store = Store(url, metrics, Policy())
    shared = Shared(url)
    jars = Jars(shared, Seal(Secret("")))

    class Nobody:
        async def open(self, *_: object) -> None:
            raise NotImplementedError

        async def close(self) -> None: ...

    accounts = [AccountConfig(f"account-{n}", Secret(f"g.a000{n}"), enabled=True) for n in range(ACCOUNTS)]
    pool = Pool(store, Nobody(), accounts, TABLE, PoolSettings(), metrics, clock, REPLICA, jars)  # type: ignore[arg-type]
    lanes = [model.name for model in OFFERED]
    for order, config in enumerate(accounts):
        await store.upsert(config, order)
        await store.register(config.id, lanes, msgspec.json.encode(OFFERED).decode(), "gemini-flash")
    await store.settled(REPLICA, 60.0)
    readings = Readings(
        pool, shared, jars, journal, SupervisorSettings(), clock, About("1", 0.0, False), every=0.0
    )
    began = time.perf_counter()
    view = await readings.view()
    print(
        f"the first reading: {1000 * (time.perf_counter() - began):.1f} ms, {len(msgspec.json.encode(view)) / 1e3:.0f} kB as JSON"
    )
    quiet: list[float] = []
    for _ in range(50):
        began = time.perf_counter()
        await readings.view()
        quiet.append(time.perf_counter() - began)
    told("a reading where nothing happens", quiet)
    busy: list[float] = []
    cpu: list[float] = []
    sizes: list[int] = []
    leases = itertools.count()
    turns = readings.turns()
    await anext(turns)
    for _ in range(30):
        for number in range(RATE):
            journal.served(request(clock.now(), number))
            lease = f"lease-{next(leases)}"
            await store.pick(REPLICA, lease, lanes, lease_ttl=60.0)
            await store.release(REPLICA, lease, OK)
        await journal.flush()
        began, spent = time.perf_counter(), time.process_time()
        await readings.view()
        busy.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
        sizes.append(len(msgspec.json.encode(await anext(turns))))
    told(f"a reading after {RATE} requests", busy)
    told("its CPU in this process", cpu)
    print(f"a turn as JSON: {statistics.median(sizes) / 1e3:.0f} kB")
    client.close()
    await turns.aclose()
    await readings.close()
    await journal.close()
    await shared.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
