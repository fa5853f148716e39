"""`python -m simulator`: the simulator as a process of its own."""

import argparse
import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

import msgspec
import structlog
import uvloop

from simulator.certificates import write_private
from simulator.config import AccountSpec, ControlError, SimulatorConfig
from simulator.service import Simulator

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends. Linux only; elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the parent ended while the simulator started")


async def run(config: SimulatorConfig, directory: Path) -> None:
    """Serve until SIGTERM or SIGINT. `simulator.json` is there while, and only while, it is ready."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    simulator = Simulator(config)
    await simulator.start()
    ready = directory / "simulator.json"
    facts = {
        "pid": os.getpid(),
        "proxy_port": simulator.proxy_port,
        "control_url": simulator.control_url,
        "ca_file": simulator.ca_file,
        "accounts": simulator.accounts,
    }
    write_private(ready, msgspec.json.encode(facts))
    sys.stdout.write(
        f"simulator ready: proxy 127.0.0.1:{simulator.proxy_port}, control {simulator.control_url}, {ready}\n"
    )
    sys.stdout.flush()
    try:
        await stopping.wait()
    finally:
        ready.unlink(missing_ok=True)
        await simulator.stop()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--accounts", type=int, default=5, help="number of accounts (account-1, ...)")
    parser.add_argument("--tier", choices=("free", "pro", "ultra", "plus"), default="pro")
    parser.add_argument("--proxy-port", type=int, default=0, help="0: the last one, or any")
    parser.add_argument("--control-port", type=int, default=0, help="0: the last one, or any")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("data/simulator"),
        help="keeps CA, cookies and ports over restarts (data/simulator)",
    )
    parser.add_argument("--die-with-parent", action="store_true")
    options = parser.parse_args(arguments)
    if not 0 <= options.accounts <= 100_000:
        parser.error("--accounts: give a number from 0 to 100000")
    if options.die_with_parent:
        die_with_parent()
    # The log goes to stderr: stdout carries the one line that says it is ready.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    directory = options.directory.absolute()
    config = SimulatorConfig(
        accounts=tuple(
            AccountSpec(id=f"account-{n + 1}", tier=options.tier) for n in range(options.accounts)
        ),
        directory=directory,
        proxy_port=options.proxy_port,
        control_port=options.control_port,
    )
    try:
        uvloop.run(run(config, directory))
    except (OSError, ControlError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
