"""What a pick and its release cost the store, by number of accounts: python -m benchmarks.store

Server time per call by `INFO commandstats`, so that neither the client nor the network counts; all sizes in
one run, in turns, the median shown. Starts a Valkey of its own.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import redis

from core.metrics import Metrics
from core.secret import Secret
from gateway.embedded import EmbeddedStore
from pool.account import OK, AccountConfig, Policy
from pool.store import Picked, Store

LANES = ("gemini-flash", "gemini-pro", "default")


async def usec_per_pick(
    store: Store, client: redis.Redis, *, accounts: int, cooling: float, rounds: int
) -> float:
    """Microseconds of server time for one pick with its release. Empties the store first.

    cooling: the share of the accounts that cool meanwhile, for longer than the measurement takes.
    """
    client.flushall()
    for start in range(0, accounts, 500):
        some = range(start, min(accounts, start + 500))
        await asyncio.gather(*(_add(store, i, parked=i < accounts * cooling) for i in some))
    for i in range(100):
        await _once(store, f"warm{i}")
    client.config_resetstat()
    for i in range(rounds):
        await _once(store, f"run{i}")
    stats = client.info("commandstats")["cmdstat_evalsha"]
    return float(stats["usec"]) / rounds


async def _add(store: Store, number: int, parked: bool) -> None:
    account = f"a{number}"
    await store.upsert(AccountConfig(account, Secret(account)), number)
    await store.register(account, LANES, "[]")
    if parked:
        await store.park(account, 3600.0, "throttled")


async def _once(store: Store, lease: str) -> None:
    picked = await store.pick("bench", lease, ("gemini-flash", "default"), lease_ttl=60.0)
    if not isinstance(picked, Picked):
        raise TypeError(f"no lease: {picked}")
    await store.release("bench", lease, OK)


async def client_cost(store: Store, rounds: int = 3000) -> tuple[float, float]:
    """Milliseconds of this process's CPU, and of wall clock, for a pick with its release."""
    cpu, wall = time.process_time(), time.perf_counter()
    for i in range(rounds):
        await _once(store, f"client{i}")
    return (time.process_time() - cpu) / rounds * 1e3, (time.perf_counter() - wall) / rounds * 1e3


async def main() -> None:
    out = sys.stdout.write
    with tempfile.TemporaryDirectory() as directory:
        embedded = EmbeddedStore(Path(directory) / "store")
        url = await embedded.start()
        store = Store(url, Metrics(), Policy(), timeout=10.0)
        cases = {
            "10 accounts": (10, 0.0),
            "10,000 accounts": (10_000, 0.0),
            "10,000, 9,990 cooling": (10_000, 0.999),
        }
        results: dict[str, list[float]] = {name: [] for name in cases}
        with redis.Redis.from_url(url) as client:
            for _ in range(3):
                for name, (accounts, cooling) in cases.items():
                    results[name].append(
                        await usec_per_pick(store, client, accounts=accounts, cooling=cooling, rounds=3000)
                    )
        base = statistics.median(results["10 accounts"])
        for name, values in results.items():
            median = statistics.median(values)
            out(f"{name:24} {median:7.1f} us server time per pick and release, {median / base:.2f} times\n")
        cpu, wall = await client_cost(store)
        out(f"client: {cpu:.3f} ms CPU, {wall:.3f} ms wall clock per pick and release\n")
        await store.close()
        await embedded.stop()


if __name__ == "__main__":
    asyncio.run(main())
