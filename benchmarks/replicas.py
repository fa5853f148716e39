"""Two replicas on one store against one: what sharing costs, and how much more two cores serve.

    .venv/bin/python benchmarks/replicas.py [--seconds 2] [--rounds 6] [--concurrency 32]

Two `gempool serve` over the same sixteen accounts and one Valkey, asked for short answers: in turns one of them alone by all
callers, and both by half of the callers each.

CPU    of the replicas and of the store for each answer, and how long a call of the store takes (the replicas' own
       metric). Where the figures of two are those of one, nothing is shared that would keep them from twice the
       throughput. What two serve on a core each follows from them: it is reckoned, and said to be.
clock  one replica on the first core with the store, the simulator and the callers on the second; and both replicas on a core
       each, with the store, the simulator and the callers wherever there is room. The latter take from the two replicas what
       they do not take from the one, so this is the least that two are worth.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import Popen
from typing import Any

import redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.against_library import (
    ACCOUNTS,
    SHAPES,
    Contender,
    call,
    start_gateway,
    start_simulator,
    wait_for,
)
from gateway.embedded import EmbeddedStore

_CALLS = re.compile(r"^gempool_store_duration_seconds_(sum|count)\S* (\S+)$", re.MULTILINE)


class Replica:
    def __init__(self, process: "Popen[bytes]", port: int, simulator_pid: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.callers = Contender("--caller", str(port), str(process.pid), str(simulator_pid))

    def metrics(self) -> bytes:
        return call(f"{self.url}/metrics")

    def calls(self) -> tuple[float, float]:
        """How many calls of the store there were, and the seconds that they took."""
        found = {"sum": 0.0, "count": 0.0}
        for what, value in _CALLS.findall(self.metrics().decode()):
            found[what] += float(value)
        return found["count"], found["sum"]

    def end(self) -> None:
        self.callers.end()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


class Bench:
    def __init__(self, options: argparse.Namespace, replicas: list[Replica], store_url: str) -> None:
        self._options = options
        self._replicas = replicas
        self._store = redis.Redis.from_url(store_url)
        self._side_by_side = ThreadPoolExecutor(len(replicas))

    def ask(self, number: int, seconds: float | None = None) -> dict[str, float]:
        """A round of the first so many replicas."""
        some = self._replicas[:number]
        concurrency = self._options.concurrency // number
        before, calls = self._store_cpu(), [replica.calls() for replica in some]

        def one(replica: Replica) -> dict[str, Any]:
            return replica.callers.round(False, concurrency, seconds or self._options.seconds)

        told = list(self._side_by_side.map(one, some))
        store = self._store_cpu() - before
        after = [replica.calls() for replica in some]
        answers = sum(one["per_second"] for one in told)
        made = sum(b[0] - a[0] for a, b in zip(calls, after, strict=True))
        took = sum(b[1] - a[1] for a, b in zip(calls, after, strict=True))
        return {
            "per_second": answers,
            "cpu_ms": sum(one["cpu_ms"] * one["per_second"] for one in told) / answers,
            "store_ms": 1000 * store / (answers * self._options.seconds),
            "call_ms": 1000 * took / made,
        }

    def pairs(self) -> list[tuple[dict[str, float], dict[str, float]]]:
        self.ask(2, 2.0)
        found = []
        for number in range(self._options.rounds):
            order = (1, 2) if number % 2 == 0 else (2, 1)
            told = {many: self.ask(many) for many in order}
            found.append((told[1], told[2]))
        return found

    def pinned(self, others: list[int]) -> list[float]:
        """Throughput of two against one, pair by pair, each replica on a core of its own. others: processes."""
        first, second, *_ = sorted(os.sched_getaffinity(0))
        pin(self._replicas[0].process.pid, {first})
        pin(self._replicas[1].process.pid, {second})
        ratios = []
        for _ in range(self._options.rounds):
            for pid in others:
                pin(pid, {second})
            alone = self.ask(1)["per_second"]
            for pid in others:
                pin(pid, {first, second})
            ratios.append(self.ask(2)["per_second"] / alone)
        return ratios

    def _store_cpu(self) -> float:
        told: dict[str, float] = self._store.info("cpu")
        return told["used_cpu_user"] + told["used_cpu_sys"]


def pin(pid: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def report(pairs: list[tuple[dict[str, float], dict[str, float]]], clock: list[float]) -> None:
    def median(side: int, field: str) -> float:
        return statistics.median(pair[side][field] for pair in pairs)

    def ratio(*fields: str) -> str:
        found = sorted(sum(two[f] for f in fields) / sum(one[f] for f in fields) for one, two in pairs)
        return f"{statistics.median(found):.2f} ({found[0]:.2f}-{found[-1]:.2f})"

    out = sys.stdout.write
    out(f"{'for each answer':34} {'one':>8} {'two':>8}  two / one, pair by pair\n")
    for name, field in (
        ("CPU of the replica, ms", "cpu_ms"),
        ("CPU of the store, ms", "store_ms"),
        ("a call of the store takes, ms", "call_ms"),
    ):
        out(f"{name:34} {median(0, field):8.3f} {median(1, field):8.3f}  {ratio(field)}\n")
    out(f"{'CPU of replica and store':34} {'':8} {'':8}  {ratio('cpu_ms', 'store_ms')}\n")
    gains = [2 * sum(one[f] for f in CPU) / sum(two[f] for f in CPU) for one, two in pairs]
    out(
        f"reckoned from CPU: two cores serve {statistics.median(gains):.2f} times what one does ({min(gains):.2f}-{max(gains):.2f}; goal 1.8); "
    )
    out(
        f"the store's only thread would do for {median(1, 'cpu_ms') / median(1, 'store_ms'):.0f} such replicas\n"
    )
    out(f"by the clock, with simulator and callers on the same cores: {statistics.median(clock):.2f} times "
        f"({min(clock):.2f}-{max(clock):.2f})\n")  # fmt: skip


CPU = ("cpu_ms", "store_ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gempool-bench-") as name, asyncio.Runner() as runner:
        directory = Path(name)
        store = EmbeddedStore(directory / "store")
        url = runner.run(store.start())
        simulator, facts = start_simulator(directory / "simulator")
        replicas: list[Replica] = []
        try:
            call(f"{facts['control_url']}/defaults", "PUT", SHAPES["short"])
            for number in range(2):
                place = directory / str(number)
                place.mkdir()
                process, port = start_gateway(place, facts, REDIS_URL=url)
                replicas.append(Replica(process, port, simulator.pid))
            is_open = f"gempool_sessions_open {ACCOUNTS}".encode()
            wait_for(lambda: all(is_open in replica.metrics() for replica in replicas), 60)
            bench = Bench(options, replicas, url)
            sys.stdout.write(
                f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}; "
                f"{options.rounds} rounds of {options.seconds:g} s, {options.concurrency} callers in all\n"
            )
            pairs = bench.pairs()
            with redis.Redis.from_url(url) as client:
                store_pid = int(client.info("server")["process_id"])
            callers = [replica.callers.pid for replica in replicas]
            clock = bench.pinned([simulator.pid, store_pid, *callers])
            report(pairs, clock)
            anomalies = json.loads(call(f"{facts['control_url']}/anomalies"))
            found = anomalies["anomalies"] if isinstance(anomalies, dict) else anomalies
            sys.stdout.write(f"anomalies at the simulator: {len(found)}\n")
        finally:
            for replica in replicas:
                replica.end()
            simulator.terminate()
            simulator.wait(10)
            runner.run(store.stop())


if __name__ == "__main__":
    main()
