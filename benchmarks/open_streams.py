"""A thousand open streams on one replica: nothing lost, and how long a chunk takes from the web app to the caller.

    .venv/bin/python benchmarks/open_streams.py [--streams 1000] [--every 1.0] [--frames 40] [--ramp 15]

`gempool serve` in one process, a simulator, and the callers in a process of their own. The streams begin evenly over
`--ramp` seconds, each gets a frame every `--every` seconds, and the accounts have just so many places. The simulator notes when it hands a frame to
its socket, the callers when they read it; both by the machine's monotonic clock. So what is told as the delay holds the simulator's
TLS, the gateway, and whatever both of them and the callers waited for a core. Counted are the frames that were sent while all
streams were open; and every stream must bring its whole text.

The frames per second that fit on two cores are what the three processes take of them, which is shown: with the shipped pace,
1,000 frames a second, as 1,000 people would get them who read along. A closer pace needs a faster machine.
"""

import argparse
import asyncio
import bisect
import json
import os
import platform
import re
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.against_library import call, cpu_of, quantile, start_gateway, start_simulator, wait_for

PLACES = 5
_MARK = re.compile(rb"#(\d+) ")
_PROMPT = re.compile(r"Stream (\d+)\.")


def said(frames: int) -> list[str]:
    """The running text after each frame."""
    texts = [""]
    for number in range(1, frames + 1):
        texts.append(f"{texts[-1]}#{number} and some eight words that stand beside it. ")
    return texts[1:]


class Stream(asyncio.Protocol):
    """One caller with a connection of its own. seen: when each frame's mark was read."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}
        self.received = bytearray()
        self.over = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        for mark in _MARK.findall(data):
            self.seen.setdefault(int(mark), now)
        self.received += data
        if data.endswith(b"0\r\n\r\n") and not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def text(self) -> str:
        """The answer as it was put together; what is no whole, well ended stream has none."""
        events = [line[6:] for line in bytes(self.received).split(b"\n") if line.startswith(b"data: ")]
        if not self.received.startswith(b"HTTP/1.1 200") or events[-1:] != [b"[DONE]"]:
            return f"no answer: {bytes(self.received[:300])!r}"
        choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


async def callers(port: int, streams: int, ramp: float, expected: str) -> dict[str, Any]:
    """Opens the streams and waits for their ends. What was seen of each, and the texts that are not as expected."""
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def one(number: int) -> Stream:
        await asyncio.sleep(begin + ramp * number / streams - loop.time())
        transport, stream = await loop.create_connection(Stream, "127.0.0.1", port)
        body = json.dumps(
            {
                "model": "gemini-3-flash-preview",
                "stream": True,
                "messages": [{"role": "user", "content": f"Stream {number}."}],
            }
        ).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        await stream.over
        transport.close()
        return stream

    found = await asyncio.gather(*(one(number) for number in range(streams)))
    wrong = [text for stream in found if (text := stream.text()) != expected]
    return {"seen": [stream.seen for stream in found], "wrong": wrong}


async def watched(
    options: argparse.Namespace, port: int, pids: dict[str, int], directory: Path
) -> tuple[dict[str, Any], list[tuple[float, dict[str, float]]]]:
    """What the callers wrote down, and each second the CPU that the processes had used."""
    told = directory / "seen.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--callers", str(port), str(told),
        *("--streams", str(options.streams), "--ramp", str(options.ramp), "--frames", str(options.frames)),
    )  # fmt: skip
    pids = {**pids, "callers": process.pid}
    used = []
    ended = asyncio.ensure_future(process.wait())
    while not ended.done():
        used.append((time.monotonic(), {name: cpu_of(pid) for name, pid in pids.items()}))
        await asyncio.wait({ended}, timeout=1.0)
    if not told.exists():
        raise SystemExit("the callers failed")
    return json.loads(told.read_text()), used


def report(
    options: argparse.Namespace,
    told: dict[str, Any],
    sent: dict[int, list[float]],
    used: list[tuple[float, dict[str, float]]],
) -> bool:
    seen = [{int(number): at for number, at in one.items()} for one in told["seen"]]
    lost = sum(options.frames - len(one) for one in seen)
    all_open = max((one.get(1, float("inf")) for one in seen), default=0.0)
    first_end = min(at[-1] for at in sent.values())
    every = [
        (sent[stream][number], 1000 * (at - sent[stream][number]))
        for stream, one in enumerate(seen)
        for number, at in one.items()
    ]
    delays = [delay for since, delay in every if all_open <= since < first_end]
    begun = sorted(one[1] for one in seen if 1 in one)
    ended = sorted(at[-1] for at in sent.values())
    at_once = max(number - bisect.bisect_left(ended, at) for number, at in enumerate(begun, 1))
    within = [(at, cpu) for at, cpu in used if all_open <= at <= first_end]
    sys.stdout.write(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}\n"
        f"{options.streams} streams of {options.frames} frames, one every {options.every:g} s: {len(told['wrong'])} not whole, "
        f"{lost} frames lost; at most {at_once} open at once\n"
        f"delay of a chunk, all frames, ms: {quantiles([delay for _, delay in every])}\n"
    )
    for text in told["wrong"][:3]:
        sys.stdout.write(f"  {text[:300]}\n")
    if len(within) < 2:
        sys.stdout.write("never were all open at once: use more frames, or a shorter ramp\n")
        return False
    seconds = within[-1][0] - within[0][0]
    shares = ", ".join(
        f"{name} {100 * (within[-1][1][name] - within[0][1][name]) / seconds:.0f} %" for name in within[0][1]
    )
    sys.stdout.write(
        f"all open for {first_end - all_open:.1f} s, {len(delays) / (first_end - all_open):.0f} frames a second; of a core: {shares}\n"
        f"delay of a chunk meanwhile, ms: {quantiles(delays)}   (goal: p99 under 100)\n"
    )
    return not told["wrong"] and not lost and quantile(delays, 0.99) < 100


def quantiles(values: list[float]) -> str:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "most": 1.0}
    return "  ".join(f"{name} {quantile(values, share):.2f}" for name, share in shares.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two frames of a stream")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--ramp", type=float, default=15.0, help="seconds over which the streams begin")
    parser.add_argument("--callers", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    texts = said(options.frames)
    if options.callers:
        port, told = options.callers
        found = asyncio.run(callers(int(port), options.streams, options.ramp, texts[-1]))
        Path(told).write_text(json.dumps(found))
        return 0
    # A connection on either side of the gateway for each stream, and some.
    needed = 2 * options.streams + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise SystemExit(
                f"{options.streams} streams need {needed} open files, {hard} are allowed: raise `ulimit -Hn`"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    accounts = -(-options.streams // PLACES)
    with tempfile.TemporaryDirectory(prefix="gempool-bench-") as name:
        directory = Path(name)
        simulator, facts = start_simulator(directory / "simulator", accounts)
        control = str(facts["control_url"])
        call(f"{control}/defaults", "PUT", {"frame_delay": options.every, "note_frames": True})
        call(f"{control}/replies", "POST", [{"texts": texts}] * options.streams)
        gateway, port = start_gateway(directory, facts, PLACES)
        try:
            is_open = f"gempool_sessions_open {accounts}".encode()
            wait_for(lambda: is_open in call(f"http://127.0.0.1:{port}/metrics"), 120)
            pids = {"gateway": gateway.pid, "simulator": simulator.pid}
            told, used = asyncio.run(watched(options, port, pids, directory))
            prompts = json.loads(call(f"{control}/journal"))
            anomalies = json.loads(call(f"{control}/anomalies"))
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(20)
            simulator.terminate()
            simulator.wait(10)
    sent: dict[int, list[float]] = {}
    for prompt in prompts["prompts"] if isinstance(prompts, dict) else prompts:
        if asked := _PROMPT.search(prompt["text"]):
            sent[int(asked[1])] = prompt["sent"]
    met = report(options, told, sent, used)
    anomalies = anomalies["anomalies"] if isinstance(anomalies, dict) else anomalies
    sys.stdout.write(f"anomalies at the simulator: {len(anomalies)}\n")
    return 0 if met and not anomalies else 1


if __name__ == "__main__":
    sys.exit(main())
