"""Ten 4K pictures at once, and what a text stream beside them notices.

    .venv/bin/python benchmarks/pictures_in_flight.py [--pictures 10] [--pixels 4096] [--rounds 2]

A real `gempool serve` with the simulator behind it, five accounts. A text stream of short frames runs first alone and
then while the pictures are made, cleaned and sent as base64; the gaps between its chunks are compared, and the
gateway's memory is read from /proc. Goals: the p99 gap grows by at most 50 ms, the peak stays under 2 GiB. The callers
and the simulator share the machine's cores with the gateway, so the gaps are an upper bound.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
FRAMES = 600
FRAME_DELAY = 0.02


@contextlib.contextmanager
def running(
    command: list[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(  # noqa: S603  our own commands
            command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def wait(condition, seconds: float = 30.0):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise SystemExit("waited too long")
        time.sleep(0.02)
    return value


def memory(pid: int, field: str) -> float:
    """MiB of `VmRSS` or `VmHWM`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def gaps(url: str, until: threading.Event | None) -> list[float]:
    """Seconds between the chunks of text streams: one, or one after the other until the event is set."""
    found: list[float] = []
    body = {"stream": True, "messages": [{"role": "user", "content": "tell me something long"}]}
    while True:
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as answer:
            last = None
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    now = time.perf_counter()
                    if last is not None:
                        found.append(now - last)
                    last = now
        if until is None or until.is_set():
            return found


def picture(url: str, pixels: int, number: int) -> str:
    """Its size as the answer tells it."""
    body = {
        "model": "gemini-3-pro-image-preview-4k",
        "prompt": f"a harbour in winter, number {number}",
        "size": f"{pixels}x{pixels}",
    }
    answer = httpx.post(f"{url}/v1/images/generations", json=body, timeout=280)
    answer.raise_for_status()
    size: str = answer.json()["data"][0]["size"]
    return size


def p(values: list[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))] * 1000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--pictures", type=int, default=10)
    arguments.add_argument("--pixels", type=int, default=4096)
    arguments.add_argument("--rounds", type=int, default=2)
    args = arguments.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        web = Path(folder, "web")
        stack.enter_context(
            running(
                [
                    *(sys.executable, "-m", "simulator", "--accounts", "5", "--directory", str(web)),
                    *("--proxy-port", "0", "--control-port", "0"),
                ]
            )
        )
        told_file = web / "simulator.json"
        wait(told_file.exists)
        told = json.loads(told_file.read_text())
        defaults = {"full_pixels": args.pixels, "frames": FRAMES, "frame_delay": FRAME_DELAY, "words": FRAMES}
        httpx.put(f"{told['control_url']}/defaults", json=defaults).raise_for_status()
        accounts = [
            {key: a[key] for key in ("id", "secure_1psid", "secure_1psidts", "proxy")}
            | {"max_concurrency": 4}
            for a in told["accounts"]
        ]
        file = Path(folder, "accounts.yaml")
        file.write_text(json.dumps({"accounts": accounts}))
        file.chmod(0o600)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "GEMPOOL_ACCOUNTS_FILE": str(file),
            "GEMPOOL_DATA_DIR": str(Path(folder, "data")),
            "GEMPOOL_UPSTREAM_CA_FILE": told["ca_file"],
            "GEMPOOL__LIMITS__ENABLED": "false",
        }
        gateway = stack.enter_context(
            running([str(Path(sys.executable).with_name("gempool")), "serve"], environment)
        )
        url = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{url}/ready").status_code == 200
            return False

        wait(ready)
        # In processes of their own, for the reader's clock must not wait for their reading of JSON.
        callers = stack.enter_context(
            ProcessPoolExecutor(args.pictures, mp_context=multiprocessing.get_context("spawn"))
        )
        callers.submit(
            picture, url, args.pixels, -1
        ).result()  # the simulator keeps its pictures once they are made
        idle = memory(gateway.pid, "VmRSS")
        rows: list[tuple[float, float]] = []
        sizes: list[str] = []
        took: list[float] = []
        for _ in range(args.rounds):
            alone = gaps(url, None)
            done = threading.Event()
            beside: list[float] = []
            reader = threading.Thread(target=lambda b=beside, d=done: b.extend(gaps(url, d)))
            reader.start()
            began = time.perf_counter()
            running_now = [callers.submit(picture, url, args.pixels, n) for n in range(args.pictures)]
            sizes += [made.result() for made in running_now]
            took.append(time.perf_counter() - began)
            done.set()
            reader.join()
            rows.append((p(alone, 99), p(beside, 99)))
            print(
                f"gap between chunks alone p50 {p(alone, 50):.1f} p99 {p(alone, 99):.1f} ms,"
                f" beside p50 {p(beside, 50):.1f} p99 {p(beside, 99):.1f} max {max(beside) * 1000:.0f} ms,"
                f" {len(beside)} chunks"
            )
        grown = statistics.median(b - a for a, b in rows)
        print(
            f"{len(sizes)} of {args.pictures * args.rounds} pictures: {sorted(set(sizes))}, {max(took):.1f} s a round"
        )
        print(f"p99 gap grows by {grown:.1f} ms (goal 50)")
        print(f"memory: idle {idle:.0f} MiB, peak {memory(gateway.pid, 'VmHWM'):.0f} MiB (goal 2048)")


if __name__ == "__main__":
    main()
