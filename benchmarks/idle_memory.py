"""Memory of a gateway for each account that is open and idle.

    .venv/bin/python benchmarks/idle_memory.py [--accounts 200] [--few 20] [--used 0] [--rest 0]

Two gateways over one simulator, with few accounts and with many; what the many take more (VmRSS, all sessions
open) is divided by how many they are more. `--used` asks so many prompts of each account first, side by side;
`--rest` waits so many seconds before it reads. Goal: under 400 KiB for each account.
"""

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.processes import Gateway, Gateways, simulating, wait_for

_OPEN = re.compile(r"^gempool_sessions_open ([\d.]+)", re.MULTILINE)
_SIDE_BY_SIDE = 16


def status(pid: int) -> dict[str, int]:
    """The figures of /proc/PID/status; memory in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = (line.replace("kB", "").split(":", 1) for line in lines)
    return {name: int(value) for name, value in found if value.strip().isdecimal()}


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def open_all(gateways: Gateways, accounts: int, environment: dict[str, str]) -> Gateway:
    gateway = gateways.start(gateways.accounts_file(accounts), **environment).ready()

    def whole() -> bool:
        found = _OPEN.search(gateway.get("/metrics").text)
        return found is not None and float(found[1]) == accounts

    wait_for(whole, 120, "not every session opened")
    return gateway


def use(gateway: Gateway, requests: int) -> None:
    def one(number: int) -> None:
        answer = gateway.ask(f"What is {number}?")
        assert answer.status_code == 200, answer.text  # noqa: S101  a benchmark with errors measures nothing

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        list(threads.map(one, range(requests)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--used", type=int, default=0, help="prompts for each account first")
    parser.add_argument("--rest", type=float, default=0.0, help="seconds of rest before it reads")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, by its variable"
    )
    options = parser.parse_args()
    environment = dict(setting.split("=", 1) for setting in options.set)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"load {os.getloadavg()[0]:.1f}; {options.used} prompts for each account, {options.rest:.0f} s of rest"
    )
    found = {}
    with tempfile.TemporaryDirectory(prefix="gempool-bench-") as name:
        directory = Path(name)
        (directory / "web").mkdir()
        with simulating(directory / "web", options.accounts) as web:
            gateways = Gateways(directory, web)
            try:
                for accounts in (options.few, options.accounts):
                    gateway = open_all(gateways, accounts, environment)
                    use(gateway, options.used * accounts)
                    time.sleep(options.rest)
                    pid = gateway.process.pid
                    found[accounts] = memory = status(pid)
                    print(
                        f"{accounts:5} accounts: {memory['VmRSS'] / 1024:7.1f} MiB, at most {memory['VmHWM'] / 1024:.1f} MiB,"
                        f" {descriptors(pid)} open files"
                    )
                    gateway.stop()
            finally:
                gateways.end()
    more = options.accounts - options.few
    for title, field in (("idle account", "VmRSS"), ("at its highest", "VmHWM")):
        each = (found[options.accounts][field] - found[options.few][field]) / more
        print(
            f"{title:15} {each:7.0f} KiB for each account{' (goal: under 400)' if field == 'VmRSS' else ''}"
        )


if __name__ == "__main__":
    main()
