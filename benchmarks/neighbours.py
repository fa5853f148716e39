"""Other gateways that can be installed, beside this one: what each adds to an answer and to a chunk of a stream.

    .venv/bin/python benchmarks/neighbours.py [--seconds 1] [--rounds 3] [--only litellm] [--json FILE]

None of them speaks to Gemini's web app. They forward to a lean OpenAI-shaped HTTP server (this script with `--upstream`), this
gateway to the simulator; both say the same words in as many frames at the same pace. Each of the two is asked directly as well
(`plain HTTP`, `web app`), so that its share can be taken off. What is not equal stands in results.md.

One process each, one worker, no keys, no limits, no request log beyond what each writes by itself. All run in turns, the order
shifting round by round; a ratio is that of a round. CPU is that of the gateway's process and its children (this gateway's
embedded store among them). The neighbours are installed below `$XDG_CACHE_HOME/gempool-neighbours`; one that cannot be is named,
and the others are measured.
"""

import argparse
import asyncio
import base64
import json
import os
import platform
import re
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.against_library import free_port, quantile
from benchmarks.simulator_speed import Line
from tests.support.processes import Gateways, Web, simulating

MODEL = "gemini-3-flash-preview"
ACCOUNTS = 8
SHAPES = {
    "short": {"words": 40, "frames": 8, "frame_delay": 0.0},
    "paced": {"words": 400, "frames": 100, "frame_delay": 0.01},
}
"""Of the second nothing can be saved by joining chunks: each comes 10 ms after the one before."""
CASES = [("short", stream, many) for stream in (False, True) for many in (1, 8, 32)] + [("paced", True, 8)]
WARM = 0.8
"""Seconds of each before it is measured."""
TICKS = os.sysconf("SC_CLK_TCK")
_CONTENT = re.compile(rb'"content": ?"[^"]')


# The plain upstream.


class Upstream(asyncio.Protocol):
    """`/chat/completions` at as little cost as Python allows: every byte is made beforehand."""

    whole = b""
    pieces: tuple[bytes, ...] = ()
    delay = 0.0

    def __init__(self) -> None:
        self._data = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def say(cls, text: str, frames: int, frame_delay: float) -> None:
        named = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": MODEL}
        usage = {"prompt_tokens": 1, "completion_tokens": 60, "total_tokens": 61}
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps(
            {**named, "object": "chat.completion", "choices": [choice], "usage": usage}
        ).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%s\r\n\r\n"
        cls.whole = head % (b"application/json", b"content-length: %d" % len(body)) + body
        cuts = [len(text) * n // frames for n in range(frames + 1)]
        deltas: list[dict[str, str]] = [{"content": text[a:b]} for a, b in pairwise(cuts)]
        deltas[0]["role"] = "assistant"
        pieces = [head % (b"text/event-stream", b"transfer-encoding: chunked")]
        for delta in (*deltas, {}):
            choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
            pieces.append(_event({**named, "object": "chat.completion.chunk", "choices": [choice]}))
        pieces[-1] += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        cls.delay = frame_delay
        cls.pieces = (
            (pieces[0] + pieces[1], *pieces[2:-2], pieces[-2] + pieces[-1])
            if frame_delay
            else (b"".join(pieces),)
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what a server's connection is
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._data.clear()
        if re.search(rb'"stream": ?true', body) is None:
            self._transport.write(self.whole)
        elif not self.delay:
            self._transport.write(self.pieces[0])
        else:
            task = asyncio.ensure_future(self._pace())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pace(self) -> None:
        for n, piece in enumerate(self.pieces):
            if n:
                await asyncio.sleep(self.delay)
            self._transport.write(piece)

    def connection_lost(self, _error: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()


def _event(body: Mapping[str, object]) -> bytes:
    return _chunk(b"data: " + json.dumps(body).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _length(head: bytes | bytearray) -> int:
    """0 without any."""
    found = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


async def upstream() -> None:
    """Prints its port; each line of JSON on stdin says what is answered from then on."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        Upstream.say(**json.loads(line))
        print("said", flush=True)


# Callers.


class Asker(Protocol):
    async def ask(self, stream: bool) -> tuple[float, int, bytes]:
        """When the first content came (`perf_counter` seconds), how many pieces of content, and the answer's bytes."""

    def close(self) -> None: ...


class Caller(asyncio.Protocol):
    """A keep-alive connection that looks for the first content and the end of an answer, and no more."""

    def __init__(self, headers: str) -> None:
        self._headers = headers
        self._data = bytearray()
        self._body = 0  # where it begins; 0 before the head is whole
        self._end = 0  # where it ends; 0 for one in chunks
        self._first = 0.0
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what a client's connection is
        self._transport = transport

    async def ask(self, stream: bool) -> tuple[float, int, bytes]:
        words = [{"role": "user", "content": "Hello"}]
        body = json.dumps({"model": MODEL, "stream": stream, "messages": words}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n{self._headers}content-type: application/json\r\n"
        self._data, self._body, self._end, self._first = bytearray(), 0, 0, 0.0
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        await self._done
        return self._first, len(_CONTENT.findall(self._data)), bytes(self._data[self._body :])

    def data_received(self, data: bytes) -> None:
        seen = len(self._data)
        self._data += data
        if self._done is None or self._done.done():
            return
        if not self._body:
            if (end := self._data.find(b"\r\n\r\n")) < 0:
                return
            self._body = end + 4
            head = bytes(self._data[:end])
            chunked = re.search(rb"(?i)\ntransfer-encoding: *chunked", head) is not None
            self._end = 0 if chunked else self._body + _length(head)
            if not head.startswith(b"HTTP/1.1 200"):
                self._done.set_exception(RuntimeError(bytes(self._data[:800]).decode(errors="replace")))
                return
        if not self._first and _CONTENT.search(self._data, max(0, seen - 20)):
            self._first = time.perf_counter()
        if len(self._data) >= self._end if self._end else self._data.endswith(b"0\r\n\r\n"):
            self._done.set_result(None)

    def close(self) -> None:
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(
                error or ConnectionError("the connection was closed before the answer's end")
            )


class WebApp:
    """The simulator asked as the library asks it, over a kept TLS connection, its answer thrown away."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
        self._reader, self._writer, self._request = reader, writer, request

    @staticmethod
    def connecting(web: Web) -> Callable[[int], Awaitable[Asker]]:
        requests = [Line(account, web.ca_file).prompt("Hello") for account in web.accounts]
        context = ssl.create_default_context(cafile=web.ca_file)

        async def connect(worker: int) -> Asker:
            number = worker % len(requests)
            proxy = urlsplit(web.accounts[number]["proxy"])
            reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port, limit=2**24)
            credential = base64.b64encode(f"{proxy.username}:{proxy.password}".encode())
            writer.write(
                b"CONNECT gemini.google.com:443 HTTP/1.1\r\nProxy-Authorization: Basic %s\r\n\r\n"
                % credential
            )
            await reader.readuntil(b"\r\n\r\n")
            await writer.start_tls(context, server_hostname="gemini.google.com")
            return WebApp(reader, writer, requests[number])

        return connect

    async def ask(self, stream: bool) -> tuple[float, int, bytes]:
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(head.decode())
        tail, first = b"", 0.0
        while not tail.endswith(b"0\r\n\r\n"):
            data = await self._reader.read(262_144)
            if not data:
                raise ConnectionError("the simulator closed the connection")
            first = first or time.perf_counter()
            tail = (tail + data)[-5:]
        return first, 0, b""

    def close(self) -> None:
        self._writer.close()


# Contenders.


@dataclass
class Contender:
    """Something that is asked: `connect` gives worker n its connection, `pid` whose CPU counts with all its children's."""

    name: str
    pid: int
    connect: Callable[[int], Awaitable[Asker]]


@dataclass
class Round:
    """What one contender did in one turn. Milliseconds and CPU seconds."""

    seconds: float = 0.0
    cpu: float = 0.0
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    chunks: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.whole) / self.seconds

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu / max(1, len(self.whole))


def cpu_of(pid: int) -> float:
    """Seconds of a process and of all that descend from it."""
    spent: dict[int, int] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        spent[int(file.parent.name)] = sum(int(one) for one in fields[11:15])
        children[int(fields[1])].append(int(file.parent.name))
    family = [pid]
    for one in family:
        family += children[one]
    return sum(spent.get(one, 0) for one in family) / TICKS


async def turn(contender: Contender, stream: bool, many: int, seconds: float) -> Round:
    """So many workers that ask one question after the other, for so long. Their connections are new, for some servers
    close one that is idle for the others' turns, and not counted."""
    askers = [await contender.connect(worker) for worker in range(many)]
    result = Round()
    before, started = cpu_of(contender.pid), time.perf_counter()

    async def work(worker: int) -> None:
        while time.perf_counter() < started + seconds:
            begun = time.perf_counter()
            try:
                first, chunks, _ = await askers[worker].ask(stream)
            except (RuntimeError, OSError, asyncio.IncompleteReadError) as error:
                result.errors.append(str(error))
                askers[worker] = await contender.connect(worker)
                continue
            result.whole.append(1000 * (time.perf_counter() - begun))
            result.first.append(1000 * (first - begun))
            result.chunks += chunks

    await asyncio.gather(*(work(n) for n in range(many)))
    result.seconds, result.cpu = time.perf_counter() - started, cpu_of(contender.pid) - before
    for asker in askers:
        asker.close()
    return result


# The neighbours.


@dataclass(frozen=True)
class Neighbour:
    """`command` writes what configures it into its folder and gives what starts it: (home, folder, port, upstream)."""

    name: str
    kind: str  # pip or npm
    package: str
    version: str
    command: Callable[[Path, Path, int, str], list[str]]
    headers: Callable[[str], str] = lambda upstream: ""
    overrides: Mapping[str, str] = field(default_factory=dict)  # of what npm would take by itself


def _litellm(home: Path, folder: Path, port: int, upstream: str) -> list[str]:
    parameters = {"model": f"openai/{MODEL}", "api_base": upstream, "api_key": "sk-none"}
    model = {"model_name": MODEL, "litellm_params": parameters}
    config = folder / "config.yaml"
    config.write_text(json.dumps({"model_list": [model], "litellm_settings": {"telemetry": False}}))
    told = ("--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    return [str(home / "bin" / "litellm"), *told, "--telemetry", "False"]


def _lm_proxy(home: Path, folder: Path, port: int, upstream: str) -> list[str]:
    config = folder / "config.toml"
    config.write_text(
        f'host = "127.0.0.1"\nport = {port}\n'
        f'[connections.plain]\napi_type = "open_ai"\napi_base = "{upstream}/"\napi_key = "sk-none"\n'
        '[routing]\n"*" = "plain.*"\n[groups.default]\napi_keys = ["none"]\n'
    )
    return [str(home / "bin" / "lm-proxy"), "--config", str(config)]


def _portkey(home: Path, folder: Path, port: int, _upstream: str) -> list[str]:
    # It would listen on every address.
    local = folder / "local.mjs"
    local.write_text(
        "import net from 'node:net';\nconst listen = net.Server.prototype.listen;\n"
        "net.Server.prototype.listen = function (port, ...rest) {\n"
        "  return listen.call(this, port, '127.0.0.1', ...rest.filter((one) => typeof one === 'function'));\n};\n"
    )
    start = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    return ["node", "--import", str(local), str(start), f"--port={port}", "--headless"]


NEIGHBOURS = [
    Neighbour("litellm", "pip", "litellm[proxy]", "1.106.2", _litellm),
    Neighbour(
        "Portkey", "npm", "@portkey-ai/gateway", "1.15.2", _portkey,
        lambda upstream: f"x-portkey-provider: openai\r\nx-portkey-custom-host: {upstream}\r\nauthorization: Bearer sk-none\r\n",
        {"@hono/node-server": "1.11.0"},  # with 1.19.19, the newest, it answers every stream with a 500
    ),
    Neighbour("lm-proxy", "pip", "lm-proxy", "3.3.2", _lm_proxy, lambda upstream: "authorization: Bearer none\r\n"),
]  # fmt: skip


class AbsentError(Exception):
    """A neighbour that cannot be measured here, and why."""


def installed(neighbour: Neighbour, cache: Path) -> Path:
    """Its home; made where it is not."""
    home = cache / f"{neighbour.name}-{neighbour.version}"
    if (home / ".installed").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    print(f"installing {neighbour.package} {neighbour.version}", flush=True)
    if neighbour.kind == "pip":
        made = [sys.executable, "-m", "venv", str(home)]
        wanted = f"{neighbour.package}=={neighbour.version}"
        pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        steps = [made, [*pip, "--retries", "1", "--timeout", "20", wanted]]
    elif shutil.which("node") is None or shutil.which("npm") is None:
        raise AbsentError("it needs Node and npm")
    else:
        (home / "package.json").write_text(json.dumps({"private": True, "overrides": neighbour.overrides}))
        npm = [
            "npm",
            "install",
            "--silent",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--fetch-retries",
            "1",
        ]
        steps = [[*npm, f"{neighbour.package}@{neighbour.version}"]]
    for step in steps:
        try:
            ran = subprocess.run(step, cwd=home, check=False, capture_output=True, text=True, timeout=900)  # noqa: S603  pip and npm
        except subprocess.TimeoutExpired as error:
            raise AbsentError("it was not installed within 15 minutes") from error
        if ran.returncode:
            said = [line for line in (ran.stderr + ran.stdout).splitlines() if line.strip()]
            raise AbsentError(said[-1].strip() if said else f"its installation ended with {ran.returncode}")
    (home / ".installed").touch()
    return home


@contextmanager
def running(neighbour: Neighbour, cache: Path, folder: Path, upstream: str) -> Iterator[Contender]:
    home = installed(neighbour, cache)
    folder.mkdir()
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
        "NODE_ENV": "production",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  what was installed above
            neighbour.command(home, folder, port, upstream),
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        contender = Contender(neighbour.name, process.pid, caller(port, neighbour.headers(upstream)))
        last = "it answers nothing"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            try:
                asyncio.run(asyncio.wait_for(once(contender, False), 10))
                break
            except (OSError, RuntimeError, TimeoutError) as error:
                last = str(error)
            time.sleep(0.2)
        else:
            raise AbsentError(f"it did not start: {last}\n{log.read_text(errors='replace')[-1500:]}")
        yield contender
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def once(contender: Contender, stream: bool) -> tuple[float, int, bytes]:
    asker = await contender.connect(0)
    try:
        return await asker.ask(stream)
    finally:
        asker.close()


def caller(port: int, headers: str = "") -> Callable[[int], Awaitable[Asker]]:
    async def connect(_worker: int) -> Asker:
        made = asyncio.get_running_loop().create_connection(lambda: Caller(headers), "127.0.0.1", port)
        return (await made)[1]

    return connect


# The run.


def said(body: bytes, stream: bool) -> str:
    """The words of an answer."""
    if not stream:
        text: str = json.loads(_unchunked(body))["choices"][0]["message"]["content"]
        return text
    events = [line[6:] for line in _unchunked(body).split(b"\n") if line.startswith(b"data: {")]
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def _unchunked(body: bytes) -> bytes:
    if body.startswith(b"{"):
        return body
    data = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        data, body = data + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return data


async def measure(
    contenders: list[Contender], say: Callable[[str, str], None], web: Web, options: argparse.Namespace
) -> list[dict[str, Any]]:
    results = []
    ours = next(one for one in contenders if one.name == "gempool")
    for shape, stream, many in CASES:
        web.defaults(**SHAPES[shape])
        text = said((await once(ours, False))[2], False)
        say(shape, text)
        for contender in contenders:
            if contender.name != "web app":
                answer = await once(contender, stream)
                if said(answer[2], stream).strip() != text.strip():
                    raise SystemExit(f"{contender.name} says other words: {answer[2][:300]!r}")
            await turn(contender, stream, many, WARM)
        rounds: dict[str, list[Round]] = defaultdict(list)
        for number in range(options.rounds):
            shift = number % len(contenders)
            for contender in contenders[shift:] + contenders[:shift]:
                rounds[contender.name].append(await turn(contender, stream, many, options.seconds))
        results += report(shape, stream, many, rounds)
    return results


def report(shape: str, stream: bool, many: int, rounds: Mapping[str, list[Round]]) -> list[dict[str, Any]]:
    """One table: a row for each contender."""
    how = "streamed, 10 ms between frames" if shape == "paced" else "streamed" if stream else "whole"
    print(f"\n{SHAPES[shape]['words']} words, {SHAPES[shape]['frames']} frames, {how}, concurrency {many}\n")
    print("| | answers/s | to gempool's | p50, p99 ms | p50 less its upstream's | first content p50, p99 ms "
          "| CPU ms an answer | to gempool's | chunks |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    rows: list[dict[str, Any]] = []
    for name, turns in rounds.items():
        whole = [one for each in turns for one in each.whole]
        first = [one for each in turns for one in each.first]
        pairs = list(zip(turns, rounds["gempool"], strict=True))
        below = "web app" if name == "gempool" else "plain HTTP"
        row: dict[str, Any] = {
            "answer": shape, "stream": stream, "concurrency": many, "name": name,
            "per_second": statistics.median(each.per_second for each in turns),
            "speed_ratios": sorted(each.per_second / ours.per_second for each, ours in pairs if ours.whole),
            "p50_ms": quantile(whole, 0.5), "p99_ms": quantile(whole, 0.99),
            "added_ms": quantile(whole, 0.5) - quantile([t for each in rounds[below] for t in each.whole], 0.5),
            "first_p50_ms": quantile(first, 0.5), "first_p99_ms": quantile(first, 0.99),
            "cpu_ms": statistics.median(each.cpu_ms for each in turns),
            "cpu_ratios": sorted(each.cpu_ms / ours.cpu_ms for each, ours in pairs if ours.cpu),
            "chunks": sum(each.chunks for each in turns) / max(1, len(whole)),
            "errors": sum(len(each.errors) for each in turns),
        }  # fmt: skip
        rows.append(row)
        gateway = name not in ("plain HTTP", "web app")
        print(
            f"| {name} | {row['per_second']:.1f} | {_range(row['speed_ratios'])} | {row['p50_ms']:.2f}, {row['p99_ms']:.2f} | "
            f"{format(row['added_ms'], '.2f') if gateway else ''} | "
            f"{format(row['first_p50_ms'], '.2f') + ', ' + format(row['first_p99_ms'], '.2f') if stream else ''} | "
            f"{row['cpu_ms']:.2f} | {_range(row['cpu_ratios'])} | {format(row['chunks'], '.0f') if stream and row['chunks'] else ''} |"
        )
        if row["errors"]:
            print(
                f"  {name}: {row['errors']} errors, such as {next(e for r in turns for e in r.errors)[:300]}"
            )
    sys.stdout.flush()
    return rows


def _range(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})" if ratios else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="*", default=[one.name for one in NEIGHBOURS], help="these neighbours"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--upstream", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        asyncio.run(upstream())
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gempool-neighbours"
    with tempfile.TemporaryDirectory(prefix="gempool-neighbours-") as name, ExitStack() as stack:
        results = run(Path(name), cache, options, stack)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def node_version() -> str:
    node = shutil.which("node")
    if node is None:
        return "none"
    ran = subprocess.run([node, "--version"], check=False, capture_output=True, text=True)  # noqa: S603
    return ran.stdout.strip()


def run(directory: Path, cache: Path, options: argparse.Namespace, stack: ExitStack) -> list[dict[str, Any]]:
    plain = stack.enter_context(
        subprocess.Popen(  # noqa: S603  this very script
            [sys.executable, __file__, "--upstream"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    )
    stack.callback(plain.terminate)
    assert plain.stdin is not None  # noqa: S101  pipes were asked for
    assert plain.stdout is not None  # noqa: S101
    into, out = plain.stdin, plain.stdout
    port = int(out.readline())

    def say(shape: str, text: str) -> None:
        told = {key: SHAPES[shape][key] for key in ("frames", "frame_delay")}
        print(json.dumps({"text": text, **told}), file=into, flush=True)
        out.readline()

    say("short", "Hello")
    web = stack.enter_context(simulating(directory / "simulator", ACCOUNTS))
    gateways = Gateways(directory, web)
    stack.callback(gateways.end)
    ours = gateways.start(gateways.accounts_file(min_interval="0s", max_concurrency=8)).ready()
    simulator = json.loads((directory / "simulator" / "simulator.json").read_text())["pid"]
    contenders = [
        Contender("plain HTTP", plain.pid, caller(port)),
        Contender("web app", simulator, WebApp.connecting(web)),
        Contender("gempool", ours.process.pid, caller(urlsplit(ours.url).port or 0)),
    ]
    versions = [f"gempool {version('gemini-pool-gateway')} (gemini_webapi {version('gemini_webapi')})"]
    for neighbour in NEIGHBOURS:
        if neighbour.name not in options.only:
            continue
        try:
            made = running(neighbour, cache, directory / neighbour.name, f"http://127.0.0.1:{port}/v1")
            contenders.append(stack.enter_context(made))
            versions.append(f"{neighbour.name} {neighbour.version}")
        except AbsentError as error:
            print(f"absent: {neighbour.name} {neighbour.version}: {error}", flush=True)
    print(f"{', '.join(versions)}; Python {platform.python_version()}, Node {node_version()}; {platform.machine()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}; {options.rounds} rounds of {options.seconds:g} s")  # fmt: skip
    return asyncio.run(measure(contenders, say, web, options))


if __name__ == "__main__":
    sys.exit(main())
