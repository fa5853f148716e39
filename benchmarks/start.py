"""From the start of the process until every account can be used, against an upstream that is far away.

    .venv/bin/python benchmarks/start.py [--accounts 200] [--round-trip 0.1] [--starts 3]

A real `gempool serve` and the simulator in another process, with a relay between them that holds back whatever passes
for half a round trip, and a whole one for the connection itself: a session costs five round trips (connection, tunnel,
TLS, page, status). Goal: all 200 accounts within 5 s at 100 ms.
"""

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.processes import Gateway, Gateways, Web, simulating, wait_for


class Start(NamedTuple):
    """Seconds since the process was started, and its CPU seconds when all was done."""

    listening: float
    ready: float
    whole: float
    cpu: float


async def relay(port: int, target: int, round_trip: float) -> None:
    """Pass on bytes between `port` and `target` on loopback, each after half a round trip. Runs for ever."""
    loop = asyncio.get_running_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, since: float) -> None:
        while data := await reader.read(65536):
            at = max(loop.time(), since) + round_trip / 2
            loop.call_at(at, writer.write, data)
        loop.call_at(max(loop.time(), since) + round_trip / 2, writer.close)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = loop.time() + round_trip
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(
            pump(reader, far_writer, there), pump(far_reader, writer, 0.0), return_exceptions=True
        )

    async with await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024) as server:
        await server.serve_forever()


def sessions(gateway: Gateway) -> int:
    """How many sessions were opened so far, by the log: to ask the gateway itself would cost it what is measured."""
    return gateway.log.count('"session opened"')


def cpu(pid: int) -> float:
    """CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(gateways: Gateways, accounts: int, roster: Path, **environment: str) -> Start:
    began = time.monotonic()
    gateway = gateways.start(roster, **environment).listening()
    listening = time.monotonic() - began
    wait_for(lambda: gateway.get("/ready").status_code == 200, what="not ready")
    ready = time.monotonic() - began
    wait_for(lambda: sessions(gateway) == accounts, 120, "not every session opened")
    figures = Start(listening, ready, time.monotonic() - began, cpu(gateway.process.pid))
    gateway.stop()
    return figures


def behind_relay(web: Web, port: int) -> int:
    """Send the accounts through the relay; where it has to go on to."""
    target = 0
    for account in web.accounts:
        head, _, known = account["proxy"].rpartition(":")
        account["proxy"], target = f"{head}:{port}", int(known)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--round-trip", type=float, default=0.1, help="seconds")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--parallel", type=int, nargs="*", help="values of pool.open_parallel, in turns")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"{options.accounts} accounts, round trips of {1000 * options.round_trip:.0f} ms; median of starts (all)"
    )
    with tempfile.TemporaryDirectory(prefix="gempool-bench-") as name:
        directory = Path(name)
        (directory / "web").mkdir()
        with simulating(directory / "web", options.accounts) as web:
            port = 20_000 + os.getpid() % 10_000
            target = behind_relay(web, port)
            between = subprocess.Popen(  # noqa: S603  this very script
                [sys.executable, __file__, "--relay", str(port), str(target), str(options.round_trip)]
            )
            gateways = Gateways(directory, web)
            try:
                measure(gateways, options)
            finally:
                gateways.end()
                between.terminate()
                between.wait(10)


def measure(gateways: Gateways, options: argparse.Namespace) -> None:
    roster = gateways.accounts_file()
    cases = [{"gempool__pool__open_parallel": str(n)} for n in options.parallel or ()] or [{}]
    starts: list[list[Start]] = [[] for _ in cases]
    for _ in range(options.starts):
        for case, found in zip(cases, starts, strict=True):
            found.append(start(gateways, options.accounts, roster, **case))
    for case, found in zip(cases, starts, strict=True):
        print(
            f"open_parallel {case.get('gempool__pool__open_parallel', 'as shipped')}, load {os.getloadavg()[0]:.1f}"
        )
        for title, values in (
            ("listening", [s.listening for s in found]),
            ("/ready", [s.ready for s in found]),
            ("all accounts", [s.whole for s in found]),
            ("CPU until then", [s.cpu for s in found]),
        ):
            every = ", ".join(f"{value:.2f}" for value in values)
            print(f"  {title:15} {statistics.median(values):5.2f} s  ({every})")


if __name__ == "__main__":
    if "--relay" in sys.argv:
        listens, goes_on, seconds = sys.argv[2:]
        asyncio.run(relay(int(listens), int(goes_on), float(seconds)))
    else:
        main()
