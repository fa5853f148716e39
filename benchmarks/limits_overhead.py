"""What the callers' limits cost a request, and the store: python benchmarks/limits_overhead.py [--requests 2000]

First two gateways, one with limits and one without, otherwise as in own_share.py, asked in turns; the difference and the
ratio are taken pair by pair. Then the script's server time by `INFO commandstats`, by number of callers and by how full
their windows are, and the memory of a caller. Goal: under 0.5 ms a request, and a cost that does not depend on how many
callers there are.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from access import Caller, Limits, Rate
from benchmarks.against_library import Connection
from benchmarks.own_share import ACCOUNTS, KEY
from core.metrics import Metrics
from gateway.embedded import EmbeddedStore

SCRIPT = Path(__file__).with_name("own_share.py")
WIDE = "100000/hour"


@contextlib.contextmanager
def gateway(directory: Path, limited: bool) -> Iterator[int]:
    """Its port."""
    directory.mkdir()
    accounts = directory / "accounts.yaml"
    lines = [f"  - {{id: a{n}, secure_1psid: g.a000stub{n}}}\n" for n in range(ACCOUNTS)]
    accounts.write_text("accounts:\n" + "".join(lines))
    accounts.chmod(0o600)
    environment = {
        **os.environ,
        "API_KEY": KEY,
        "GEMPOOL_ACCOUNTS_FILE": str(accounts),
        "GEMPOOL_DATA_DIR": str(directory / "data"),
        "GEMPOOL__LIMITS__ENABLED": str(limited).lower(),
        "GEMPOOL__LIMITS__PER_CALLER": WIDE,
        "GEMPOOL__LIMITS__PER_CALLER_AND_MODEL": WIDE,
    }
    process = subprocess.Popen(  # noqa: S603  a script beside this one
        [sys.executable, SCRIPT, "--serve", directory], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        url = directory / "url"
        deadline = time.monotonic() + 20
        while not url.exists():
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit("a gateway did not start")
            time.sleep(0.05)
        yield int(url.read_text().rpartition(":")[2])
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)


async def in_turns(ports: tuple[int, int], requests: int) -> None:
    Connection.HEAD += f"authorization: Bearer {KEY}\r\n".encode()
    pair = [await Connection.open(port) for port in ports]

    async def one(which: int) -> float:
        started = time.perf_counter()
        await pair[which].ask(False, "1")
        return 1000 * (time.perf_counter() - started)

    for _ in range(300):
        await one(0)
        await one(1)
    without: list[float] = []
    with_limits: list[float] = []
    for n in range(requests):
        for which in (n % 2, 1 - n % 2):
            (with_limits if which else without).append(await one(which))
    more = [b - a for a, b in zip(without, with_limits, strict=True)]
    ratios = [b / a for a, b in zip(without, with_limits, strict=True)]
    print(
        f"whole answer p50: {statistics.median(without):.3f} ms without, {statistics.median(with_limits):.3f} ms with limits"
    )
    print(
        f"pair by pair, median of {requests}: {statistics.median(more):+.3f} ms, ratio {statistics.median(ratios):.3f} (goal: under +0.5 ms)"
    )


async def in_the_store(directory: Path) -> None:
    embedded = EmbeddedStore(directory / "store")
    url = await embedded.start()
    with redis.Redis.from_url(url) as client:
        for callers, held in ((10, 50), (100, 50), (2_000, 50), (4, 10_000)):
            client.flushall()
            limits = Limits(url, Metrics(), Rate(held, 3600.0), Rate(held, 3600.0), timeout=30.0)
            names = [Caller(f"caller{n}", "api") for n in range(callers)]
            before = client.info("memory")["used_memory"]
            for _ in range(held if held > 50 else held // 2):
                for start in range(0, callers, 200):
                    await asyncio.gather(*(limits.admit(name, "m") for name in names[start : start + 200]))
            grown = client.info("memory")["used_memory"] - before
            client.config_resetstat()
            for n in range(1000):
                await limits.admit(names[n * 7919 % callers], "m")
            stats = client.info("commandstats")["cmdstat_evalsha"]
            entries = sum(client.zcard(key) for key in client.scan_iter("*caller0*"))
            print(
                f"{callers:6} callers, {held:6} a window: {float(stats['usec']) / 1000:6.1f} us of server time a check,"
                f" {grown / callers:9.0f} bytes a caller, {grown / callers / max(entries, 1):4.0f} an entry"
            )
            await limits.close()
    await embedded.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gempool-bench-") as name:
        directory = Path(name)
        with gateway(directory / "off", False) as off, gateway(directory / "on", True) as on:
            asyncio.run(in_turns((off, on), options.requests))
        asyncio.run(in_the_store(directory))


if __name__ == "__main__":
    main()
