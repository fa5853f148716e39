"""A fleet on one store: what its accounts and replicas cost a real Valkey, and what a replica's books cost itself.

    .venv/bin/python benchmarks/fleet.py [--accounts 500] [--replicas 20] [--whole 2] [--idle 10] [--rate 200]
    .venv/bin/python benchmarks/fleet.py --accounts 10000 --replicas 100 --parts operations memory load

The parts, all through the gateway's own code, each replica with connections of its own:

operations  server CPU (`used_cpu`, so with reading and writing sockets) and bytes for each step that replicas take, all of
            them at it at once; a change is told to so many listeners as there are replicas.
memory      bytes of the store for an account, its cookies, its history, a caller, a lease, a request in the journal.
load        requests at a rate, evenly over the replicas: limit, pick, 50 ms, release, journal. How long a pick takes, and
            what the server spends.
file        how long the accounts file takes to be read.
herd        the same from more callers than 20 accounts can serve: how often the store is asked for each lease.
idle        `--whole` replicas with their pool, care, lookout and journal and nothing to do for `--idle` seconds (the rarest of
            their rounds comes every 30): what they cost the store and themselves, and the longest time that their loop
            was held. With `--whole 1` it is the one that leads.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import redis
import structlog

sys.path.insert(0, str(Path(__file__).parents[1]))

from access import Caller, Limits, Rate
from benchmarks.own_share import StubSessions
from core.clock import SystemClock
from core.metrics import Metrics
from core.secret import Secret
from journal import Asked, Happened, Journal, Served
from pool import AccountConfig, Policy, Pool, PoolSettings, PublicModel, Shared, Store, load_roster
from pool.account import OK
from pool.store import Picked
from pool.upstream import Offered
from supervisor import Lookout
from supervisor.alerts import Alerts, AlertsSettings
from supervisor.jars import PSID, PSIDTS, Jars, Seal
from supervisor.settings import SupervisorSettings
from supervisor.supervisor import Supervisor
from tests.support.store import valkey

LANES = ("gemini-3-flash", "gemini-flash", "gemini-pro", "default")
OFFERED = msgspec.json.encode(
    [
        Offered(name, name.title(), "What the web page says of it", frozenset({f"{name}-alias"}))
        for name in (*LANES[1:3], "gemini-3-thinking", "gemini-2.5-pro")
    ]
).decode()
TABLE = (PublicModel("gemini-3-flash-preview", ("gemini-3-flash", "gemini-flash", "default")),)
PARTS = ("operations", "memory", "load", "herd", "file", "idle")
WIDE = Rate(100_000, 3600.0)
HOLD = 0.05
HERD = 3.0
COOKIES = {PSID: Secret("g.a000" + "p" * 140), PSIDTS: Secret("sidts-" + "t" * 70)} | {
    f"COOKIE{n}": Secret("c" * 70) for n in range(14)
}
"""Of the sizes that a browser's have."""


def account(number: int) -> AccountConfig:
    return AccountConfig(f"account-{number:05}", Secret(f"g.a000{number}"))


class Replica:
    """What one replica holds of the store: the doors, without the work behind them."""

    def __init__(self, url: str, number: int, seal: Seal) -> None:
        self.name = f"replica-{number:03}"
        metrics = Metrics()
        self.store = Store(url, metrics, Policy(), timeout=30.0)
        self.shared = Shared(url, timeout=30.0)
        self.jars = Jars(self.shared, seal)
        self.limits = Limits(url, metrics, WIDE, WIDE, timeout=30.0)
        self.journal = Journal(url, SystemClock(), self.name, timeout=30.0)
        self._listening: list[asyncio.Task[None]] = []
        self._leases = 0

    async def listen(self) -> None:
        """As pool and supervisor do, for changes and for cookies."""
        for messages in (self.store.wakes(), self.shared.listen("cookies")):
            await anext(messages)
            self._listening.append(asyncio.create_task(_drained(messages)))

    async def lease(self) -> str:
        self._leases += 1
        lease = f"{self.name}-{self._leases:x}"
        picked = await self.store.pick(self.name, lease, LANES[:2], lease_ttl=60.0)
        if not isinstance(picked, Picked):
            raise TypeError(f"no lease: {picked}")
        return lease

    async def ask(self) -> None:
        await self.store.release(self.name, await self.lease(), OK)

    async def close(self) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        for part in (self.store, self.shared, self.limits, self.journal):
            await part.close()


async def _drained(messages: AsyncIterator[str]) -> None:
    async for _ in messages:
        pass


class Meter:
    """What the server has spent since it was made: CPU in µs, bytes in and out, and top-level commands."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._before = self._look()

    def _look(self) -> tuple[float, int, int, int]:
        i: Any = self._client.info("everything")
        cpu = i["used_cpu_user_main_thread"] + i["used_cpu_sys_main_thread"]
        return (
            cpu * 1e6,
            i["total_net_input_bytes"],
            i["total_net_output_bytes"],
            i["total_commands_processed"],
        )

    def spent(self) -> list[float]:
        return [after - before for before, after in zip(self._before, self._look(), strict=True)]


async def fill(replicas: list[Replica], accounts: int, *, cookies: bool = True) -> None:
    """Tell the store the accounts, each open."""

    async def some(replica: Replica, first: int) -> None:
        for number in range(first, accounts, len(replicas)):
            config = account(number)
            await replica.store.upsert(config, number)
            await replica.store.register(config.id, LANES, OFFERED, "gemini-flash")
            if cookies:
                await replica.jars.write(config, COOKIES, time.time(), "session")

    await asyncio.gather(*(some(replica, first) for first, replica in enumerate(replicas)))
    await replicas[0].store.settled(replicas[0].name, 3600.0)


async def each(
    replicas: list[Replica], rounds: int, step: Callable[[Replica, int], Awaitable[object]]
) -> None:
    """So many rounds of the step, in which all replicas are at it at once."""

    async def one(replica: Replica, first: int) -> None:
        for n in range(rounds):
            await step(replica, n * len(replicas) + first)

    await asyncio.gather(*(one(replica, first) for first, replica in enumerate(replicas)))


def request(number: int, accounts: int) -> Served:
    asked = (Asked(account(number % accounts).id, "ok", 2.3),)
    return Served(
        time.time(), f"req-{number:024x}", "replica-001", f"caller{number % 1000}", "POST /v1/chat/completions",
        "gemini-3-flash-preview", 200, "ok", 2.345, 0.812, 0.001, 2.3, 0.0, asked,
    )  # fmt: skip


async def operations(replicas: list[Replica], client: redis.Redis, accounts: int) -> None:
    callers = [Caller(f"caller{n}", "api") for n in range(1000)]
    chance = random.Random(7)  # noqa: S311 -- the same fleet every time

    async def write(replica: Replica, number: int) -> None:
        for n in range(10):
            replica.journal.served(request(number * 10 + n, accounts))
        await replica.journal.flush()

    async def turn(replica: Replica, number: int) -> None:
        id = account(number % accounts).id
        await replica.store.disable(id)
        await replica.store.enable(id)

    async def rotate(replica: Replica, number: int) -> None:
        await replica.jars.write(account(number % accounts), COOKIES, time.time(), "rotation")

    steps: list[tuple[str, int, int, Callable[[Replica, int], Awaitable[object]]]] = [
        # name, calls in all, steps in a call, what is done
        ("pick and release", 20_000, 1, lambda r, n: r.ask()),
        ("limit of a caller", 10_000, 1, lambda r, n: r.limits.admit(callers[n * 7919 % 1000], "m")),
        ("journal, 10 requests", 1_000, 1, write),
        ("sign of life", 4_000, 1, lambda r, n: r.store.beat(r.name, 60.0)),
        ("lead", 4_000, 1, lambda r, n: r.shared.lead("supervisor", r.name, 60.0)),
        ("counts", 4_000, 1, lambda r, n: r.store.counts()),
        ("cookies kept and told", 500, 1, rotate),
        ("cookies read", 10_000, 1, lambda r, n: r.jars.read(account(chance.randrange(accounts)))),
        ("marks of all cookies", 100, 1, lambda r, n: r.shared.marks("jars")),
        ("change of state, told", 500, 2, turn),
        ("page of 100", 1_000, 1, lambda r, n: r.store.page(n * 100 % accounts, 100)),
        ("page of 500", 200, 1, lambda r, n: r.store.page(n * 500 % accounts, 500)),
    ]
    print(f"{'':24}{'CPU us':>9}{'bytes in':>10}{'bytes out':>11}")
    for name, calls, divided, step in steps:
        await each(replicas, 1, step)
        rounds = max(1, calls // len(replicas))
        meter = Meter(client)
        await each(replicas, rounds, step)
        count = rounds * len(replicas) * divided
        cpu, sent, told, _ = (value / count for value in meter.spent())
        print(f"{name:24}{cpu:9.0f}{sent:10.0f}{told:11.0f}")
    meter = Meter(client)
    await replicas[0].store.sweep()
    print(f"sweep: {meter.spent()[0] / 1e3:.0f} ms in which nobody else is served")


async def memory(replicas: list[Replica], client: redis.Redis, accounts: int) -> None:
    def used() -> int:
        found: Any = client.info("memory")
        return int(found["used_memory"] - found["mem_clients_normal"])  # without buffers of connections

    def told(name: str, grown: float, of: str) -> None:
        print(f"{name:44}{grown:9.0f} bytes {of}")

    client.flushall()
    before = used()
    await fill(replicas, accounts, cookies=False)
    told("an account, open, four lanes", (used() - before) / accounts, "each")
    before = used()
    await each(
        replicas,
        max(1, accounts // len(replicas)),
        lambda r, n: r.jars.write(account(n % accounts), COOKIES, time.time(), "session"),
    )
    told("its cookies (16, sealed)", (used() - before) / accounts, "each")
    few = min(20, accounts)
    before = used()
    for n in range(few):
        for _ in range(100):
            await replicas[0].store.disable(account(n).id)
            await replicas[0].store.enable(account(n).id)
    told("its last 200 changes of state, at most", (used() - before) / few, "each")
    before = used()
    journal = replicas[0].journal
    for n in range(few):
        for k in range(100):
            journal.happened(Happened(time.time(), "probe", account(n).id, outcome="well"))
            if k % 50 == 49:
                await journal.flush()
    told("its last 100 happenings, at most", (used() - before) / few, "each")
    before = used()
    for _ in range(500):
        journal.served(request(0, accounts))
    await journal.flush()
    told("the last 500 requests", used() - before, "in all")
    before = used()
    for n in range(accounts):
        journal.served(request(n, accounts))
        if n % 200 == 199:
            await journal.flush()
    await journal.flush()
    told("a minute in which it was asked", (used() - before) / accounts, "an account")
    callers = [Caller(f"caller-{n:06}", "api") for n in range(200)]
    await each(replicas, 1, lambda r, n: r.limits.admit(Caller("first", "api"), "m"))
    for each_holds in (1, 50):
        before = used()
        await each(
            replicas,
            max(1, len(callers) * each_holds // len(replicas)),
            lambda r, n: r.limits.admit(callers[n % len(callers)], "m"),
        )
        grown = (used() - before) / len(callers)
        told(f"a caller of {each_holds} requests (two windows)", grown, "each")
    await each(replicas, 1, lambda r, n: r.ask())
    before = used()
    leases = min(accounts, 2000)
    await each(replicas, max(1, leases // len(replicas)), lambda r, n: r.lease())
    told("a lease", (used() - before) / leases, "each")
    for replica in replicas:
        await replica.store.leave(replica.name)


async def load(
    replicas: list[Replica], client: redis.Redis, accounts: int, rate: float, seconds: float
) -> None:
    picks: list[float] = []
    callers = [Caller(f"caller{n}", "api") for n in range(1000)]

    async def one(number: int) -> None:
        replica = replicas[number % len(replicas)]
        await replica.limits.admit(callers[number % 1000], "m")
        began = time.perf_counter()
        lease = await replica.lease()
        picks.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(HOLD)
        await replica.store.release(replica.name, lease, OK)
        replica.journal.served(request(number, accounts))

    async def beat(replica: Replica) -> None:
        while True:
            await asyncio.sleep(5.0 * random.random())  # noqa: S311 -- spreads load, guards nothing
            await replica.store.beat(replica.name, 60.0)
            await asyncio.sleep(2.5)

    for replica in replicas:
        replica.journal.start()
    beats = [asyncio.create_task(beat(replica)) for replica in replicas]
    own, meter, started = time.process_time(), Meter(client), time.perf_counter()
    running: set[asyncio.Task[None]] = set()
    number = 0
    while (passed := time.perf_counter() - started) < seconds:
        while number < passed * rate:
            task = asyncio.create_task(one(number))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*running)
    passed = time.perf_counter() - started
    cpu, sent, told, _ = meter.spent()
    own = time.process_time() - own
    for task in beats:
        task.cancel()
    await asyncio.gather(*beats, return_exceptions=True)
    q = statistics.quantiles(picks, n=100)
    print(
        f"{number / passed:.0f} requests/s from {len(replicas)} replicas: the server's CPU {cpu / passed / 1e4:.0f} % of a core,"
        f" {cpu / number:.0f} us a request, {sent / number:.0f} bytes in, {told / number:.0f} out;"
        f" a pick p50 {q[49]:.2f} ms, p99 {q[98]:.2f} ms (this script's own CPU {100 * own / passed:.0f} %)"
    )


async def herd(url: str, client: redis.Redis, replicas: int) -> None:
    """20 accounts of one place each, asked by 200 callers in few replicas and in many."""
    for many in sorted({1, 4, max(5, replicas // 4), max(6, replicas)}):
        client.flushall()
        pools: list[tuple[Pool, Store]] = []
        for _ in range(many):
            metrics = Metrics()
            store = Store(url, metrics, Policy(), timeout=30.0)
            roster = [AccountConfig(f"a{n}", Secret(f"g.a000{n}"), max_concurrency=1) for n in range(20)]
            pool = Pool(store, StubSessions(), roster, TABLE, PoolSettings(), metrics, SystemClock())
            await pool.start()
            pools.append((pool, store))
        for pool, _ in pools:
            await pool.tried()
        client.config_resetstat()
        meter = Meter(client)
        leases = await crowd([pools[n % many][0] for n in range(200)], HERD)
        cpu, *_ = meter.spent()
        stats: Any = client.info("commandstats")
        asked = stats["cmdstat_evalsha"]["calls"] - leases
        print(
            f"{many:4} replicas: {leases / HERD:.0f} leases/s, {asked / leases:.1f} picks and {cpu / leases:.0f} us of the"
            " server for each"
        )
        for pool, store in pools:
            await pool.close()
            await store.close()


async def crowd(pools: list[Pool], seconds: float) -> int:
    """A caller in each of the pools, as often as it is named; the number of leases in those seconds."""
    leases, until = 0, time.perf_counter() + seconds

    async def caller(pool: Pool) -> None:
        nonlocal leases
        while time.perf_counter() < until:
            lease = await pool.lease(("gemini-3-flash", "gemini-flash"))
            leases += 1
            await asyncio.sleep(HOLD)
            await lease.release()

    await asyncio.gather(*(caller(pool) for pool in pools))
    return leases


def file(accounts: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "accounts.yaml"
        lines = (f"  - id: account-{n}\n    secure_1psid: g.a000{n}\n" for n in range(accounts))
        path.write_text("accounts:\n" + "".join(lines))
        path.chmod(0o600)
        began = time.process_time()
        load_roster(path, {})
        print(f"an accounts file of {accounts}: {time.process_time() - began:.1f} s of CPU to read")


class Whole:
    """A replica with all that it does when nobody asks."""

    def __init__(self, url: str, roster: list[AccountConfig], seal: Seal) -> None:
        metrics, clock = Metrics(), SystemClock()
        self.store, self.shared = Store(url, metrics, Policy(), timeout=30.0), Shared(url, timeout=30.0)
        jars = Jars(self.shared, seal)
        settings = PoolSettings()
        self.pool = Pool(self.store, StubSessions(), roster, TABLE, settings, metrics, clock, cookies=jars)
        self.journal = Journal(url, clock, self.pool.replica, timeout=30.0)
        self.supervisor = Supervisor(
            self.pool, self.shared, jars, SupervisorSettings(), metrics, clock, self.journal.happened
        )
        leads = self.supervisor.leader
        self.alerts = Alerts(self.shared, AlertsSettings(), None, clock, metrics, lambda text: text)
        self.lookout = Lookout(self.pool, self.alerts, 1, clock, lambda: leads.is_leader)

    async def start(self) -> None:
        await self.pool.start()
        self.journal.start()
        self.alerts.start()
        self.lookout.start()
        self.supervisor.start()
        await self.pool.tried()

    async def close(self) -> None:
        for part in (
            self.supervisor,
            self.lookout,
            self.alerts,
            self.pool,
            self.journal,
            self.shared,
            self.store,
        ):
            await part.close()


async def idle(url: str, client: redis.Redis, accounts: int, many: int, seconds: float, seal: Seal) -> None:
    roster = [account(n) for n in range(accounts)]
    fleet: list[Whole] = []
    for _ in range(many):
        own, meter, began = time.process_time(), Meter(client), time.perf_counter()
        replica = Whole(url, roster, seal)
        fleet.append(replica)
        await replica.start()
        cpu, *_ = meter.spent()
        print(
            f"replica {len(fleet)} with {accounts} accounts: ready in {time.perf_counter() - began:.1f} s, own CPU"
            f" {time.process_time() - own:.1f} s (all replicas here), the store's {cpu / 1e6:.2f} s"
        )
    gaps: list[float] = []

    async def watch() -> None:
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            gaps.append(1000 * (now - before))
            before = now

    await asyncio.sleep(6.0)
    lanes = time.process_time()
    for _ in range(200):
        await fleet[0].pool.lanes_for("gemini-3-flash-preview")
    lanes = (time.process_time() - lanes) / 200 * 1e3
    views, began = time.process_time(), time.perf_counter()
    await fleet[0].pool.views()
    views, looked = time.process_time() - views, time.perf_counter() - began
    print(
        f"all accounts for the operator's page: {1000 * looked:.0f} ms, own CPU {1000 * views:.0f} ms, once a second"
    )
    client.config_resetstat()
    own, meter, began = time.process_time(), Meter(client), time.perf_counter()
    watching = asyncio.create_task(watch())
    await asyncio.sleep(seconds)
    watching.cancel()
    passed = time.perf_counter() - began
    cpu, sent, told, commands = (value / passed for value in meter.spent())
    own = (time.process_time() - own) / passed
    print(
        f"idle, {many} whole: the store {cpu / 1e4:.2f} % of a core, {commands:.0f} commands/s, {sent / 1e3:.1f} kB/s in,"
        f" {told / 1e3:.0f} kB/s out; the replicas together {100 * own:.1f} % of a core;"
        f" the loop held for {max(gaps):.0f} ms at the longest; a request's lanes {lanes:.3f} ms"
    )
    stats: Any = client.info("commandstats")
    busiest = sorted(stats.items(), key=lambda item: -item[1]["usec"])[:6]
    for name, found in busiest:
        print(
            f"    {name.removeprefix('cmdstat_'):12}{found['calls'] / passed:9.1f}/s{found['usec'] / passed / 1e4:8.3f} % of a core"
        )
    for replica in fleet:
        await replica.close()


@contextlib.contextmanager
def store() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="gempool-fleet-") as name, valkey(Path(name)) as (_, url):
        yield url


async def run(options: argparse.Namespace, url: str) -> None:
    seal = Seal(Secret("a key for all replicas"))
    with redis.Redis.from_url(url) as client:
        replicas = [Replica(url, number, seal) for number in range(options.replicas)]
        for replica in replicas:
            await replica.listen()
        for part in [part for part in PARTS if part in options.parts]:
            load_average = os.getloadavg()[0]
            print(f"\n== {part} (load {load_average:.1f})", flush=True)
            client.flushall()
            if part in ("operations", "load"):
                await fill(replicas, options.accounts)
            if part == "operations":
                await operations(replicas, client, options.accounts)
            elif part == "memory":
                await memory(replicas, client, options.accounts)
            elif part == "load":
                await load(replicas, client, options.accounts, options.rate, 5.0)
            elif part == "file":
                file(options.accounts)
            elif part == "herd":
                await herd(url, client, options.replicas)
            else:
                await idle(url, client, options.accounts, options.whole, options.idle, seal)
        for replica in replicas:
            await replica.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--replicas", type=int, default=20)
    parser.add_argument("--whole", type=int, default=2)
    parser.add_argument("--idle", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--rate", type=float, default=200.0, metavar="REQUESTS/S")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.accounts} accounts,"
        f" {options.replicas} replicas of {2 + 4} connections"
    )
    with store() as url:
        asyncio.run(run(options, url))


if __name__ == "__main__":
    main()
