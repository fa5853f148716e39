"""The gateway's own share of a request: everything but the upstream, which is a stub in the same process.

    .venv/bin/python benchmarks/own_share.py [--requests 2000]

A real server on a real socket with an API key, the real embedded Valkey, pool, engine, routes, metrics and
log lines (thrown away); only the session behind the pool answers at once. The caller's time over loopback is
measured, so HTTP itself is in it. Goals: 1.5 ms p50 at concurrency 1, 0.1 ms per streamed chunk.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from core.chat import Delta
from core.secret import Secret
from pool.upstream import Bounds, Credentials, Done, Offered, Prompt, Session, UpstreamEvent

sys.path.insert(0, str(Path(__file__).parents[1]))
KEY = "sk-bench-key"
ACCOUNTS = 5


class StubSession:
    """Answers at once: as many chunks as the prompt says, or one."""

    offered = (Offered("gemini-flash", "3 Flash", "", frozenset({"gemini-3-flash"})),)

    async def generate(self, prompt: Prompt, bounds: Bounds) -> AsyncGenerator[UpstreamEvent, None]:
        chunks = int(prompt.text) if prompt.text.isdigit() else 1
        for _ in range(chunks):
            yield Delta("word word word ")
        yield Done()

    async def probe(self, timeout: float) -> None: ...

    def adopt(self, jar: Mapping[str, Secret]) -> None:
        pass

    async def rotate(self, timeout: float) -> bool:
        return False

    def jar(self) -> Mapping[str, Secret]:
        return {}

    async def close(self) -> None: ...


class StubSessions:
    async def open(
        self, account: str, credentials: Credentials, proxy: str | None, timeout: float
    ) -> Session:
        return StubSession()

    async def close(self) -> None: ...


def serve(directory: Path) -> None:
    """A gateway as `gempool serve` runs it, with the stub for a session factory."""
    from gateway import logs, server, settings  # noqa: PLC0415  the measuring process needs none of this
    from gateway.app import create_app  # noqa: PLC0415

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    configured = settings.from_process()
    logs.set_up("json", "info")
    bound = server.listen("127.0.0.1", 0)

    async def ready(url: str) -> None:
        (directory / "url").write_text(url)

    server.serve(configured, lambda s: create_app(s, sessions=StubSessions()), bound, ready)


async def measure(port: int, requests: int) -> None:
    from benchmarks.against_library import Connection  # noqa: PLC0415

    Connection.HEAD += f"authorization: Bearer {KEY}\r\n".encode()
    connection = await Connection.open(port)

    async def one(text: str, stream: bool) -> float:
        started = time.perf_counter()
        await connection.ask(stream, text)
        return 1000 * (time.perf_counter() - started)

    for _ in range(300):
        await one("1", False)
        await one("1", True)
    whole, streamed = [], []
    for _ in range(requests):
        whole.append(await one("1", False))
        streamed.append(await one("1", True))
    long = [await one("1000", True) for _ in range(max(requests // 50, 10))]
    per_chunk = (statistics.median(long) - statistics.median(streamed)) / 999
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {requests} requests each"
    )
    for name, times, goal in (("whole answer", whole, 1.5), ("streamed answer", streamed, 1.5)):
        q = statistics.quantiles(times, n=100)
        print(f"{name:16} p50 {q[49]:.3f} ms  p95 {q[94]:.3f}  p99 {q[98]:.3f}   (goal: p50 at most {goal})")
    print(f"{'streamed chunk':16} {per_chunk:.4f} ms (goal: under 0.1)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gempool-bench-") as name:
        directory = Path(name)
        accounts = directory / "accounts.yaml"
        accounts.write_text(
            "accounts:\n"
            + "".join(f"  - {{id: a{n}, secure_1psid: g.a000stub{n}}}\n" for n in range(ACCOUNTS))
        )
        accounts.chmod(0o600)
        environment = {
            **os.environ,
            "API_KEY": KEY,
            "GEMPOOL_ACCOUNTS_FILE": str(accounts),
            "GEMPOOL_DATA_DIR": str(directory / "data"),
            "GEMPOOL__LIMITS__ENABLED": "false",
        }
        process = subprocess.Popen(  # noqa: S603  this very script
            [sys.executable, __file__, "--serve", name], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            url = directory / "url"
            deadline = time.monotonic() + 20
            while not url.exists():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit("the gateway did not start")
                time.sleep(0.05)
            asyncio.run(measure(int(url.read_text().rpartition(":")[2]), options.requests))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve(Path(sys.argv[2]))
    else:
        main()
