"""`/metrics` of a pool with 200 accounts that have seen everything: how long it takes, and how long it holds the loop.

    .venv/bin/python benchmarks/metrics.py [--accounts 200] [--rounds 50]

First the text alone, against the client library's own renderer, with all series moved since the last scrape and with a
tenth of them; then over HTTP from an edge in a process of its own, while a task beside it wakes as often as it can and notes
the longest time that it did not. Goals: a scrape under 20 ms, the loop never held for longer than 5 ms.
"""

import argparse
import asyncio
import contextlib
import http.client
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from prometheus_client import generate_latest

from core.chat import ModelInfo
from core.metrics import REASONS, STATES, Metrics

ROUTES = [f"POST /v1/route-{n}" for n in range(25)]
MODELS = [f"gemini-model-{n}" for n in range(8)]
OUTCOMES = ("ok", "cancelled", "pool_busy", "rate_limit_exceeded", "upstream_failed", "invalid_request")


def move(metrics: Metrics, accounts: list[str]) -> None:
    """One step of every series that these accounts have."""
    for n, account in enumerate(accounts):
        for outcome in ("ok", "cancelled", *REASONS[:6]):
            metrics.upstream_calls.labels(account, outcome).inc(n + 1)
        for kind in ("throttled", "usage_limit", "ip_blocked"):
            metrics.throttled.labels(account, kind).inc()
        for outcome in ("ok", "expired", "network"):
            metrics.session_opens.labels(account, outcome).inc()
        for outcome in ("well", "expired", "rejected", "unsure"):
            metrics.probes.labels(account, outcome).inc()
        for outcome in ("ok", "empty", "suspect"):
            metrics.rotations.labels(account, outcome).inc()
        for state in STATES:
            metrics.account_state.labels(account, state).set(time.time() % 2 > 1)
        metrics.account_reason.labels(account, "throttled").set(1)
        metrics.upstream_seconds.labels(account).observe(1.234567)
        for gauge in (
            metrics.account_in_flight,
            metrics.account_last_used,
            metrics.account_proved,
            metrics.account_next_probe,
            metrics.account_models_cooling,
            metrics.cookie_age,
        ):
            gauge.labels(account).set(time.time())


def fill(metrics: Metrics, count: int) -> list[str]:
    accounts = [f"account-{n:03}@example.com" for n in range(count)]
    move(metrics, accounts)
    for route in ROUTES:
        for kind in ("text", "picture"):
            metrics.request_seconds.labels(route, kind).observe(0.3)
            metrics.first_content_seconds.labels(route, kind).observe(0.3)
        metrics.overhead_seconds.labels(route).observe(0.3)
    for (n, model), route, outcome in itertools.product(enumerate(MODELS), ROUTES[:8], OUTCOMES):
        metrics.requests.labels(route, model, "picture" if n % 4 == 0 else "text", outcome).inc()
    for operation in ("pick", "release", "account", "beat", "page", "admit"):
        metrics.store_seconds.labels(operation).observe(0.001)
    return accounts


class NoChat:
    """An edge asks for the models once; nobody else asks it anything."""

    async def models(self) -> tuple[ModelInfo, ...]:
        return ()


def text_alone(count: int, rounds: int) -> None:
    metrics = Metrics()
    accounts = fill(metrics, count)
    series = sum(not line.startswith("#") for line in "".join(metrics.pieces()).splitlines())
    print(f"{count} accounts, {series} samples")
    for name, moved in (("all series moved", accounts), ("a tenth moved", accounts[::10])):
        whole, longest, theirs = [], [], []
        for _ in range(rounds):
            move(metrics, moved)
            held, before = [], time.perf_counter()
            for _ in metrics.pieces():
                now = time.perf_counter()
                held.append(now - before)
                before = now
            whole.append(1000 * sum(held))
            longest.append(1000 * max(held))
        for _ in range(max(3, rounds // 10)):
            before = time.perf_counter()
            generate_latest(metrics.registry)
            theirs.append(1000 * (time.perf_counter() - before))
        print(
            f"{name:18} p50 {statistics.median(whole):.1f} ms, longest piece {statistics.median(longest):.2f} ms;"
            f" the library's renderer {statistics.median(theirs):.0f} ms"
        )


def serve(directory: Path, count: int) -> None:
    """An edge with a full `Metrics`, every tenth account of which moves twice a second."""
    import uvicorn  # noqa: PLC0415  the measuring process needs none of this

    from access import Keys  # noqa: PLC0415
    from core.clock import SystemClock  # noqa: PLC0415
    from gateway import logs, server  # noqa: PLC0415
    from gateway.protocol import BoundedProtocol  # noqa: PLC0415
    from routes import RouteServices, create_app  # noqa: PLC0415

    logs.set_up("json", "info")
    metrics = Metrics()
    accounts = fill(metrics, count)
    services = RouteServices(
        chat=NoChat(),  # type: ignore[arg-type]
        keys=Keys([], None, []),
        metrics=metrics,
        clock=SystemClock(),
        version="benchmark",
        started=time.time(),
    )
    app = create_app(services)
    bound = server.listen("127.0.0.1", 0)
    gaps: list[float] = []

    async def run() -> None:
        served = asyncio.Event()

        async def watch() -> None:
            await served.wait()
            before = time.perf_counter()
            while True:
                await asyncio.sleep(0)
                now = time.perf_counter()
                gaps.append(now - before)
                before = now
                if len(gaps) > 1_000:
                    (directory / "new").write_text(str(max(gaps)))
                    (directory / "new").rename(directory / "gap")
                    gaps[:] = [max(gaps)]
                    before = time.perf_counter()

        async def moving() -> None:
            await asyncio.sleep(1)  # uvicorn tells nobody that it listens
            served.set()
            (directory / "port").write_text(str(bound.getsockname()[1]))
            while True:
                move(metrics, accounts[::10])
                await asyncio.sleep(0.5)

        config = uvicorn.Config(app, loop="uvloop", http=BoundedProtocol, access_log=False, log_config=None)
        one = uvicorn.Server(config)
        watching = asyncio.create_task(watch()) if "--watch" in sys.argv else None
        stirring = asyncio.create_task(moving())
        await one.serve(sockets=[bound])
        for task in (watching, stirring):
            if task is not None:
                task.cancel()

    asyncio.run(run())


def over_http(count: int, rounds: int, *, watch: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="gempool-bench-") as name:
        directory = Path(name)
        command = [sys.executable, __file__, "--serve", name, str(count), *(["--watch"] if watch else [])]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603  this very script
        try:
            port, deadline = directory / "port", time.monotonic() + 20
            while not port.exists() or not port.read_text():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit("the edge did not start")
                time.sleep(0.05)
            connection = http.client.HTTPConnection("127.0.0.1", int(port.read_text()), timeout=10)
            times, size = [], 0
            time.sleep(0 if rounds else 3)
            for n in range(rounds + 5 if rounds else 0):
                before = time.perf_counter()
                connection.request("GET", "/metrics")
                answer = connection.getresponse()
                size = len(answer.read())
                if answer.status != 200:
                    raise SystemExit(f"/metrics answered {answer.status}")
                if n >= 5:
                    times.append(1000 * (time.perf_counter() - before))
                time.sleep(0.05)
            if watch:
                print(
                    f"loop held, {rounds:3} scrapes {1000 * float((directory / 'gap').read_text()):.1f} ms at most"
                )
                return
            q = statistics.quantiles(times, n=100)
            print(
                f"over HTTP            p50 {q[49]:.1f} ms  p95 {q[94]:.1f}  max {max(times):.1f}, {size // 1000} kB   (goal: under 20)"
            )
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    text_alone(options.accounts, options.rounds)
    over_http(options.accounts, options.rounds, watch=False)
    over_http(options.accounts, options.rounds, watch=True)
    over_http(options.accounts, 0, watch=True)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
