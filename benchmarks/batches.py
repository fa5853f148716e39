"""What live callers notice of a running batch, and what a large batch costs.

    .venv/bin/python benchmarks/batches.py [--pairs 5] [--requests 60] [--callers 3] [--prompts 10000] [--only live|large]

A real `gempool serve` with its embedded Valkey, over the simulator with five accounts of two requests each. `live`: callers stream
one answer after the other, in turns without and with a batch that never runs dry; the time to the first content is
compared pair by pair. `large`: a batch of many prompts is taken in and run to its end while the memory of the gateway
and of the store is read, and then its whole status. Goals: p99 with a batch at most 1.2 times that without; memory
that does not grow with the number of prompts. Callers, simulator and gateway share the machine's cores, so all times are upper
bounds.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import socket
import ssl
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import redis

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.pictures_in_flight import memory, p, running, wait

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Knows no CA: to read them anew costs more than a request."""
out = sys.stdout.write


class Service:
    """A gateway and the simulator behind it."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path, **environment: str) -> None:
        web = folder / "web"
        command = [sys.executable, "-m", "simulator", "--accounts", "5", "--directory", str(web)]
        stack.enter_context(running([*command, "--proxy-port", "0", "--control-port", "0"]))
        wait((web / "simulator.json").exists)
        told = json.loads((web / "simulator.json").read_text())
        self._control: str = told["control_url"]
        accounts = [
            {key: a[key] for key in ("id", "secure_1psid", "secure_1psidts", "proxy")}
            | {"max_concurrency": 2}
            for a in told["accounts"]
        ]
        file = folder / "accounts.yaml"
        file.write_text(json.dumps({"accounts": accounts}))
        file.chmod(0o600)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        names = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "GEMPOOL_ACCOUNTS_FILE": str(file),
            "GEMPOOL_DATA_DIR": str(folder / "data"),
            "GEMPOOL_UPSTREAM_CA_FILE": told["ca_file"],
            "GEMPOOL__LIMITS__ENABLED": "false",
            "GEMPOOL__SERVER__LOG_FORMAT": "json",
        }
        gempool = Path(sys.executable).with_name("gempool")
        process = stack.enter_context(running([str(gempool), "serve"], names | environment))
        self.pid = process.pid
        self.http = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, verify=NO_TLS)
        )
        self.store = redis.Redis(unix_socket_path=str(folder / "data" / "store" / "valkey.sock"))
        wait(self._ready)

    def _ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.http.get("/ready").status_code == 200
        return False

    def upstream(self, **defaults: float) -> None:
        httpx.put(f"{self._control}/defaults", json=defaults, verify=NO_TLS).raise_for_status()

    def batch(self, prompts: list[str], concurrency: int = 16) -> str:
        answer = self.http.post("/v1/batch/chat", json={"prompts": prompts, "concurrency": concurrency})
        answer.raise_for_status()
        return str(answer.json()["batch_id"])

    def status(self, batch: str) -> dict[str, int]:
        found: dict[str, int] = self.http.get(f"/v1/batch/{batch}/status", params={"limit": 0}).json()
        return found

    def store_memory(self) -> float:
        """MiB that the store uses for its data."""
        return int(self.store.info("memory")["used_memory"]) / 2**20

    def first_content(self) -> float:
        """Seconds until a streamed answer's first words."""
        body = {"stream": True, "messages": [{"role": "user", "content": "tell me something"}]}
        began = time.perf_counter()
        with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            first = 0.0
            for line in answer.iter_lines():
                if not first and '"content":"' in line:
                    first = time.perf_counter() - began
        return first


def live(service: Service, pairs: int, requests: int, callers: int, first_delay: float) -> None:
    service.upstream(first_delay=first_delay, frame_delay=0.05)

    def measured() -> list[float]:
        with ThreadPoolExecutor(callers) as threads:
            return list(threads.map(lambda _: service.first_content(), range(requests)))

    measured()
    alone: list[float] = []
    beside: list[float] = []
    ratios = []
    for pair in range(pairs):
        found: dict[bool, list[float]] = {}
        done = 0
        for with_batch in (False, True) if pair % 2 else (True, False):
            if with_batch:
                batch = service.batch(["say something"] * 5000)
                wait(lambda id=batch: service.status(id)["running"])
            found[with_batch] = measured()
            if with_batch:
                done = service.status(batch)["completed"]
                service.http.delete(f"/v1/batch/{batch}")
                wait(lambda id=batch: not service.status(id)["running"])
        ratios.append(p(found[True], 99) / p(found[False], 99))
        alone += found[False]
        beside += found[True]
        out(
            f"pair {pair + 1}: alone p50 {p(found[False], 50):.0f} p99 {p(found[False], 99):.0f} ms, beside"
            f" p50 {p(found[True], 50):.0f} p99 {p(found[True], 99):.0f} ms, {done} tasks done beside\n"
        )
    out(
        f"{callers} callers, all pairs: p50 {p(alone, 50):.0f} -> {p(beside, 50):.0f} ms,"
        f" p99 {p(alone, 99):.0f} -> {p(beside, 99):.0f} ms, {p(beside, 99) / p(alone, 99):.2f} times; by pairs median"
        f" {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}); goal 1.2\n"
    )


def large(service: Service, prompts: int) -> None:
    service.upstream(first_delay=0, frame_delay=0, frames=1)
    service.http.get(f"/v1/batch/{service.batch(['warm'] * 100)}/events")
    idle, empty = memory(service.pid, "VmRSS"), service.store_memory()
    texts = [f"{n} " + "word " * 60 for n in range(prompts)]
    began = time.perf_counter()
    batch = service.batch(texts)
    taken = time.perf_counter() - began
    out(
        f"{prompts} prompts of {len(texts[-1])} characters taken in within {taken:.2f} s; gateway {idle:.0f} ->"
        f" {memory(service.pid, 'VmRSS'):.0f} MiB (peak {memory(service.pid, 'VmHWM'):.0f}), store {service.store_memory() - empty:.1f} MiB more\n"
    )
    steps = iter(range(prompts // 5, prompts, prompts // 5))
    step = next(steps, None)
    while (found := service.status(batch))["pending"]:
        if step is not None and found["completed"] >= step:
            out(
                f"  {found['completed']:6} done: gateway {memory(service.pid, 'VmRSS'):.0f} MiB,"
                f" store {service.store_memory() - empty:.1f} MiB more\n"
            )
            step = next(steps, None)
        time.sleep(0.25)
    took = time.perf_counter() - began
    out(
        f"run in {took:.0f} s ({prompts / took:.0f} a second), {found['completed']} went well; gateway"
        f" {memory(service.pid, 'VmRSS'):.0f} MiB, store {service.store_memory() - empty:.1f} MiB more\n"
    )
    began, size = time.perf_counter(), 0
    with service.http.stream("GET", f"/v1/batch/{batch}/status") as answer:
        for piece in answer.iter_bytes():
            size += len(piece)
    out(
        f"status with all results: {size / 2**20:.1f} MiB in {time.perf_counter() - began:.2f} s; gateway"
        f" {memory(service.pid, 'VmRSS'):.0f} MiB, peak of all {memory(service.pid, 'VmHWM'):.0f} MiB\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=60, help="of each half of a pair")
    parser.add_argument("--callers", type=int, default=3)
    parser.add_argument("--first-delay", type=float, default=0.5, help="seconds that the upstream thinks")
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--only", choices=("live", "large"))
    options = parser.parse_args()
    load = re.sub(r"(\S+) (\S+) (\S+).*\n", r"\1 \2 \3", Path("/proc/loadavg").read_text())
    out(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load}\n")
    if options.only != "large":
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            live(
                Service(stack, Path(folder)),
                options.pairs,
                options.requests,
                options.callers,
                options.first_delay,
            )
    if options.only != "live":
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            large(Service(stack, Path(folder), GEMPOOL__BATCHES__SHARE="100"), options.prompts)


if __name__ == "__main__":
    main()
