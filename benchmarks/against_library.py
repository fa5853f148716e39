"""The gateway against the bare gemini_webapi, paired in one run on the same simulator.

    .venv/bin/python benchmarks/against_library.py [--seconds 3] [--rounds 3] [--only short:128] [--json FILE]

Bare: the library in one process, sixteen clients, asked directly (`current_retry=0`, its log silenced).
Gateway: `gempool serve` in one process over the same sixteen accounts, asked over HTTP from a process of its
own. Neither asks an account for more than eight answers at once, of the ten connections that the library's sessions
have, so that 128 callers are all served at once by both. Both run in turn, round by round; the ratio of each round is
what counts, for the machine's speed drifts. The gateway does more work for each answer (HTTP, keys, routing, store)
and must win all the same.

The bare library needs a core and the simulator's part of another. The gateway's callers and its store have processes of
their own besides, which take from it on two cores; what the callers and the simulator used in its rounds is shown.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import URLError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
ACCOUNTS = 16
AT_ONCE = 8
PERCENTILES = (10, 25, 50, 75, 90, 95, 99)
SHAPES = {
    "short": {"words": 40, "frames": 8},
    "long": {"words": 2000, "frames": 200},
}
CASES = [
    ("short", False, 1),
    ("short", False, 8),
    ("short", False, 32),
    ("short", False, 128),
    ("short", True, 1),
    ("short", True, 8),
    ("short", True, 32),
    ("short", True, 128),
    ("long", False, 8),
    ("long", True, 8),
]


Result: TypeAlias = dict[str, Any]
"""Answers per second, milliseconds to the first content of each (where it is streamed), and percent of a core that others used."""


class Tally:
    """What one round measured: milliseconds to the first content and to the end of each answer."""

    def __init__(self) -> None:
        self.first: list[float] = []
        self.whole: list[float] = []
        self.errors: list[str] = []
        self.texts: set[str] = set()
        self.received: list[bytes] = []
        """Answers that are read when the round is over and its CPU told: reading them costs more than asking."""

    def result(self, seconds: float, cpu: float, **more: float) -> Result:
        n = len(self.whole)
        return {
            "per_second": n / seconds,
            "p50_ms": quantile(self.whole, 0.5),
            "cpu_ms": 1000 * cpu / max(n, 1),
            "first": [round(ms, 3) for ms in self.first],
            "errors": self.errors,
            "texts": sorted(self.texts),
        } | {name: 100 * value / seconds for name, value in more.items()}


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


# The two contenders, each in a process of its own. A line of JSON on stdin asks for a round.


async def bare(simulator: dict[str, object]) -> None:
    """The library itself."""
    import loguru  # noqa: PLC0415  the driver needs none of this
    from gemini_webapi import GeminiClient  # noqa: PLC0415

    loguru.logger.remove()
    clients = []
    for account in simulator["accounts"]:  # type: ignore[attr-defined]
        client = GeminiClient(
            account["secure_1psid"],
            account["secure_1psidts"],
            proxy=account["proxy"],
            verify=simulator["ca_file"],
        )
        await client.init(timeout=60, auto_refresh=False)
        clients.append(client)

    async def ask(worker: int, stream: bool, tally: Tally) -> None:
        client = clients[worker % len(clients)]
        started = time.perf_counter()
        if stream:
            first = True
            text = ""
            async for chunk in client.generate_content_stream("Hello", model="gemini-flash", current_retry=0):
                text = chunk.text
                if first and chunk.text:
                    tally.first.append(1000 * (time.perf_counter() - started))
                    first = False
        else:
            text = (await client.generate_content("Hello", model="gemini-flash", current_retry=0)).text
        tally.texts.add(text.strip())
        tally.whole.append(1000 * (time.perf_counter() - started))

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        before = cpu_of_this_process()
        tally, seconds = await drive(ask, request)
        print(json.dumps(tally.result(seconds, cpu_of_this_process() - before)), flush=True)


async def over_http(port: int, gateway_pid: int, simulator_pid: int) -> None:
    """A caller of the gateway."""

    async def ask(worker: int, stream: bool, tally: Tally) -> None:
        connection = connections.get(worker)
        if connection is None:
            try:
                connection = connections[worker] = await Connection.open(port)
            except OSError as error:
                tally.errors.append(str(error))
                await asyncio.sleep(0.05)
                return
        started = time.perf_counter()
        try:
            first = await connection.ask(stream)
        except (OSError, RuntimeError) as error:
            del connections[worker]
            connection.close()
            tally.errors.append(str(error))
            await asyncio.sleep(0.05)  # where nobody listens, each fails at once
            return
        now = time.perf_counter()
        tally.received.append(connection.received)
        if stream:
            tally.first.append(1000 * (first - started))
        tally.whole.append(1000 * (now - started))

    connections: dict[int, Connection] = {}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        before, ours, its = cpu_of(gateway_pid), cpu_of_this_process(), cpu_of(simulator_pid)
        tally, seconds = await drive(ask, request)
        spent = cpu_of(gateway_pid) - before
        callers, simulator = cpu_of_this_process() - ours, cpu_of(simulator_pid) - its
        for answer in tally.received:
            try:
                tally.texts.add(said(answer, request["stream"]))
            except (ValueError, LookupError, TypeError):
                tally.errors.append(f"no answer: {answer[-300:]!r}")
        print(json.dumps(tally.result(seconds, spent, callers=callers, simulator=simulator)), flush=True)


def said(answer: bytes, stream: bool) -> str:
    """The words of an answer as it was received. Raises ValueError, LookupError or TypeError where it is none, or not whole."""
    body = answer.partition(b"\r\n\r\n")[2]
    if not stream:
        text: str = json.loads(body)["choices"][0]["message"]["content"]
        return text.strip()
    data = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        data, body = data + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    events = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ")]
    if events[-1] != b"[DONE]":
        raise ValueError("the stream does not end as it should")
    # An event that tells an error has no choices.
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices).strip()


async def drive(ask, request) -> tuple[Tally, float]:  # type: ignore[no-untyped-def]
    """So many workers that ask one question after the other, for so many seconds."""
    tally = Tally()
    started = time.perf_counter()
    end = started + request["seconds"]

    async def work(worker: int) -> None:
        while time.perf_counter() < end:
            await ask(worker, request["stream"], tally)

    await asyncio.gather(*(work(n) for n in range(request["concurrency"])))
    return tally, time.perf_counter() - started


class Connection(asyncio.Protocol):
    """A keep-alive connection that costs next to nothing: it looks for the ends of answers and no more."""

    HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"

    def __init__(self) -> None:
        self._data = bytearray()
        self._stream = False
        self._first = 0.0
        self._done: asyncio.Future[float] | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(
                error or ConnectionError("the connection was closed before the answer's end")
            )

    def close(self) -> None:
        self._transport.close()

    @property
    def received(self) -> bytes:
        """The last answer, with its head."""
        return bytes(self._data)

    async def ask(self, stream: bool, text: str = "Hello") -> float:
        """Returns when the first content arrived, in `perf_counter` seconds."""
        body = json.dumps(
            {
                "model": "gemini-3-flash-preview",
                "stream": stream,
                "messages": [{"role": "user", "content": text}],
            }
        ).encode()
        self._data.clear()
        self._stream, self._first = stream, 0.0
        if self._transport.is_closing():
            raise ConnectionError("the connection was closed between two answers")
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(self.HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)  # type: ignore[attr-defined]
        return await self._done

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._done is None or self._done.done():
            return
        if not self._data.startswith(b"HTTP/1.1 200"):
            if len(self._data) > 12:
                self._done.set_exception(RuntimeError(bytes(self._data[:600]).decode()))
            return
        if not self._first and b'"content":"' in self._data:
            self._first = time.perf_counter()
        if self._stream:
            if self._data.endswith(b"0\r\n\r\n"):
                self._done.set_result(self._first)
            return
        head, found, body = self._data.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            self._done.set_result(self._first)


def cpu_of_this_process() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The driver


class Contender:
    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603  this very script
            [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.answer()

    def answer(self) -> Result:
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a contender died")
        return json.loads(line)  # type: ignore[no-any-return]

    def round(self, stream: bool, concurrency: int, seconds: float) -> Result:
        assert self._process.stdin is not None  # noqa: S101
        print(
            json.dumps({"stream": stream, "concurrency": concurrency, "seconds": seconds}),
            file=self._process.stdin,
            flush=True,
        )
        return self.answer()

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def call(url: str, method: str = "GET", body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data=data, method=method), timeout=5) as answer:  # noqa: S310  our own loopback port
        return bytes(answer.read())


def start_simulator(
    directory: Path, accounts: int = ACCOUNTS
) -> tuple[subprocess.Popen[bytes], dict[str, object]]:
    process = subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-m", "simulator", "--die-with-parent", "--accounts", str(accounts)),
            *("--proxy-port", "0", "--control-port", "0", "--directory", str(directory)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    told = directory / "simulator.json"
    wait_for(told.exists)
    return process, json.loads(told.read_text())


def start_gateway(
    directory: Path, simulator: dict[str, object], at_once: int = AT_ONCE, **environment: str
) -> tuple[subprocess.Popen[bytes], int]:
    accounts = directory / "accounts.yaml"
    lines = ["accounts:"]
    for account in simulator["accounts"]:  # type: ignore[attr-defined]
        lines += [f"  - id: {account['id']}", f"    secure_1psid: {account['secure_1psid']}"]
        lines += [f"    secure_1psidts: {account['secure_1psidts']}", f"    proxy: {account['proxy']}"]
        lines += [f"    max_concurrency: {at_once}"]
    accounts.write_text("\n".join(lines) + "\n")
    accounts.chmod(0o600)
    port = free_port()
    environment = {
        **os.environ,
        **environment,
        "PORT": str(port),
        "GEMPOOL_ACCOUNTS_FILE": str(accounts),
        "GEMPOOL_DATA_DIR": str(directory / "data"),
        "GEMPOOL_UPSTREAM_CA_FILE": str(simulator["ca_file"]),
        "GEMPOOL__LIMITS__ENABLED": "false",
    }
    process = subprocess.Popen(  # noqa: S603
        [str(Path(sys.executable).with_name("gempool")), "serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: reachable(f"http://127.0.0.1:{port}/ready"))
    return process, port


def reachable(url: str) -> bool:
    try:
        call(url)
    except (URLError, OSError):
        return False
    return True


def free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing came up in {seconds:g} seconds")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", action="append", metavar="short|long[:CONCURRENCY]", help="these cases alone"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gempool-bench-") as name:
        directory = Path(name)
        os.environ["GEMINI_COOKIE_PATH"] = str(directory / "library")
        simulator_process, simulator = start_simulator(directory / "simulator")
        gateway_process, port = start_gateway(directory, simulator)
        contenders: list[Contender] = []
        try:
            library = Contender("--bare", str(directory / "simulator" / "simulator.json"))
            contenders.append(library)
            gateway = Contender("--caller", str(port), str(gateway_process.pid), str(simulator_process.pid))
            contenders.append(gateway)
            results = run(options, str(simulator["control_url"]), library, gateway)
        finally:
            for contender in contenders:
                contender.end()
            gateway_process.send_signal(signal.SIGTERM)
            gateway_process.wait(20)
            simulator_process.terminate()
            simulator_process.wait(10)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def run(
    options: argparse.Namespace, control: str, library: Contender, gateway: Contender
) -> list[dict[str, Any]]:
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f};"
        f" {options.rounds} rounds of {options.seconds:g} s each; medians, ratios pair by pair"
    )
    print(
        f"{'answer':6} {'stream':6} {'conc':>4} | {'bare/s':>7} {'gateway/s':>9} {'ratio':>16} | "
        f"{'cpu ms bare':>11} {'gateway':>7} | {'callers':>7} {'simulator':>9} % of a core"
    )
    results: list[dict[str, Any]] = []
    for shape, stream, concurrency in CASES:
        if options.only and not {shape, f"{shape}:{concurrency}"} & set(options.only):
            continue
        call(f"{control}/defaults", "PUT", SHAPES[shape])
        for contender in (library, gateway):
            contender.round(stream, concurrency, 0.5)
        pairs = []
        for number in range(options.rounds):
            order = (library, gateway) if number % 2 == 0 else (gateway, library)
            told = {one: one.round(stream, concurrency, options.seconds) for one in order}
            pairs.append((told[library], told[gateway]))
            check(told[library], told[gateway])
        results.append(report(shape, stream, concurrency, pairs))
    tell_first(results)
    anomalies = json.loads(call(f"{control}/anomalies"))
    print(
        "anomalies at the simulator:",
        len(anomalies["anomalies"] if isinstance(anomalies, dict) else anomalies),
    )
    return results


def check(library: Result, gateway: Result) -> None:
    """Ends the run where one of a round's answers was none, or said other words than the rest."""
    if errors := library["errors"] + gateway["errors"]:
        raise SystemExit(f"{len(errors)} answers failed, such as: {errors[0]}")
    texts = library["texts"] + gateway["texts"]
    if len(texts) != 2 or texts[0] != texts[1]:
        raise SystemExit(f"the answers do not all say the same: {[text[:200] for text in texts[:4]]}")


def report(shape: str, stream: bool, concurrency: int, pairs: list[tuple[Result, Result]]) -> dict[str, Any]:
    ratios = sorted(b["per_second"] / a["per_second"] for a, b in pairs)

    def median(side: int, field: str) -> float:
        return float(statistics.median(pair[side][field] for pair in pairs))

    ratio = statistics.median(ratios)
    print(
        f"{shape:6} {'yes' if stream else 'no':6} {concurrency:4} | {median(0, 'per_second'):7.1f} "
        f"{median(1, 'per_second'):9.1f} {ratio:5.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) | "
        f"{median(0, 'cpu_ms'):11.2f} {median(1, 'cpu_ms'):7.2f} | "
        f"{median(1, 'callers'):7.0f} {median(1, 'simulator'):9.0f}",
        flush=True,
    )
    return {
        "answer": shape,
        "stream": stream,
        "concurrency": concurrency,
        "ratio": ratio,
        "ratios": ratios,
        "bare": [a for a, _ in pairs],
        "gateway": [b for _, b in pairs],
    }


def tell_first(results: list[dict[str, Any]]) -> None:
    """Time to first content at every percentile: of all rounds together, and the ratio gateway / bare pair by pair."""
    print(
        "\ntime to first content, streamed: ms bare / gateway of all rounds; median of the pairs' ratios (below 1: sooner)"
    )
    for case in results:
        if not case["stream"]:
            continue
        sides = case["bare"], case["gateway"]
        bare, gateway = ([ms for told in side for ms in told["first"]] for side in sides)
        print(f"{case['answer']} at {case['concurrency']} ({len(bare)} and {len(gateway)} answers)")
        for percent in PERCENTILES:
            share = percent / 100
            pairs = [
                quantile(b["first"], share) / quantile(a["first"], share) for a, b in zip(*sides, strict=True)
            ]
            case[f"first_p{percent}"] = statistics.median(pairs)
            print(
                f"  p{percent}: {quantile(bare, share):8.2f} / {quantile(gateway, share):8.2f}"
                f"   {statistics.median(pairs):.2f} ({min(pairs):.2f}-{max(pairs):.2f})"
            )


if __name__ == "__main__":
    if "--bare" in sys.argv:
        asyncio.run(bare(json.loads(Path(sys.argv[2]).read_text())))
    elif "--caller" in sys.argv:
        asyncio.run(over_http(*map(int, sys.argv[2:5])))
    else:
        main()
