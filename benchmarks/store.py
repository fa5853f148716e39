"""What a pick and its release cost the store, by number of accounts: python -m benchmarks.store [--rounds 30]

A Valkey of its own for each case, all filled before and then asked in turns, a hundred picks at a time, so that what else the
machine does falls on all alike; ratios are round by round. Time is the server's: by `INFO commandstats` without the way there
and back, and by the scheduler (Linux) the CPU of its thread, which does not count what others of the machine take away.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import redis

from core.metrics import Metrics
from core.secret import Secret
from gateway.embedded import EmbeddedStore
from pool.account import OK, AccountConfig, Policy
from pool.store import Picked, Store

LANES = ("gemini-flash", "gemini-pro", "default")
PICKS = 100
"""In one turn."""


class Case(NamedTuple):
    """accounts: how many; cooling: the first so many cool for longer than the measurement takes. strangers: keys of nobody's."""

    name: str
    accounts: int
    cooling: int = 0
    strangers: int = 0


CASES = (
    Case("10 accounts", 10),
    Case("10, 20,000 other keys", 10, strangers=20_000),
    Case("1,000 accounts", 1_000),
    Case("10,000 accounts", 10_000),
    Case("10,000, 9,990 cooling", 10_000, cooling=9_990),
)


class Server:
    """One case's store. usec, cpu: microseconds for a pick and its release, a figure for each turn."""

    def __init__(self, case: Case, store: Store, client: redis.Redis) -> None:
        self.case = case
        self.usec: list[float] = []
        self.cpu: list[float] = []
        self.store = store
        self._client = client
        pid = client.info("server")["process_id"]
        self._schedule = Path(f"/proc/{pid}/task/{pid}/schedstat")

    async def fill(self) -> None:
        case = self.case
        for start in range(0, case.accounts, 500):
            some = range(start, min(case.accounts, start + 500))
            await asyncio.gather(*(_add(self.store, i, parked=i < case.cooling) for i in some))
        with self._client.pipeline(transaction=False) as pipe:
            for i in range(case.strangers):
                pipe.hset(f"strange:{i}", mapping={f"field{k}": "x" * 10 for k in range(28)})
            pipe.execute()

    async def turn(self, name: str) -> None:
        self._client.config_resetstat()
        before = self._cpu()
        for i in range(PICKS):
            await _once(self.store, f"{name}-{i}")
        self.cpu.append((self._cpu() - before) / PICKS)
        self.usec.append(float(self._client.info("commandstats")["cmdstat_evalsha"]["usec"]) / PICKS)

    def _cpu(self) -> float:
        try:
            return int(self._schedule.read_text().split()[0]) / 1e3
        except OSError:  # no Linux
            return 0.0


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


@asynccontextmanager
async def serving(directory: Path, cases: Sequence[Case]) -> AsyncIterator[list[Server]]:
    """A filled store for each case."""
    async with AsyncExitStack() as stack:
        servers = []
        for number, case in enumerate(cases):
            embedded = EmbeddedStore(directory / str(number))
            url = await embedded.start()
            stack.push_async_callback(embedded.stop)
            store = Store(url, Metrics(), Policy(), timeout=30.0)
            stack.push_async_callback(store.close)
            servers.append(Server(case, store, stack.enter_context(redis.Redis.from_url(url))))
            await servers[-1].fill()
        yield servers


async def take_turns(servers: Sequence[Server], rounds: int) -> None:
    """Each so many times. A first turn, which finds everything cold, does not count."""
    for i in range(rounds + 1):
        for server in servers:
            await server.turn(f"turn{i}")
    for server in servers:
        del server.usec[0], server.cpu[0]


def ratios(server: Server, base: Server) -> list[float]:
    """Of the server's time, turn by turn, in ascending order."""
    return sorted(own / first for own, first in zip(server.usec, base.usec, strict=True))


def _row(server: Server, base: Server) -> str:
    found = ratios(server, base)
    quarter = len(found) // 4
    return (
        f"{server.case.name:24} {statistics.median(server.usec):6.0f} us server time, "
        f"{statistics.median(server.cpu):6.0f} us CPU; {statistics.median(found):.2f} times "
        f"(half of the turns {found[quarter]:.2f}-{found[-1 - quarter]:.2f})\n"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help=f"turns of {PICKS} picks for each case")
    rounds = parser.parse_args().rounds
    out = sys.stdout.write
    with tempfile.TemporaryDirectory() as directory:
        async with serving(Path(directory), CASES) as servers:
            await take_turns(servers, rounds)
            out(f"load {os.getloadavg()[0]:.1f}; a pick and its release\n")
            for server in servers:
                out(_row(server, servers[0]))
            cpu, wall = await client_cost(servers[0].store)
            out(f"client: {cpu:.3f} ms CPU, {wall:.3f} ms wall clock\n")


if __name__ == "__main__":
    asyncio.run(main())
