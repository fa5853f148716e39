"""How many generations a second the simulator serves on one core, by its own CPU time.

    .venv/bin/python benchmarks/simulator_speed.py [--seconds 4] [--connections 8]

The simulator runs as a process of its own; this process only sends prompts over keep-alive TLS connections
and throws the answers away. CPU time is read from the simulator's own clock, so a slow driver does not count.
"""

import argparse
import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
SHAPES = (
    ("short reply, 6 frames", {"words": 0, "frames": 6}),
    ("400 words, 80 frames", {"words": 400, "frames": 80}),
    ("2000 words, 200 frames", {"words": 2000, "frames": 200}),
)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def control(url: str, method: str, path: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url + path, data=data, method=method)) as answer:  # noqa: S310  # our own loopback port
        return json.loads(answer.read())


class Line:
    """One keep-alive connection through the proxy, as one account."""

    def __init__(self, account: dict[str, str], ca_file: str) -> None:
        self._cookie = (
            f"__Secure-1PSID={account['secure_1psid']}; __Secure-1PSIDTS={account['secure_1psidts']}"
        )
        proxy = urlsplit(account["proxy"])
        raw = socket.create_connection((proxy.hostname or "", proxy.port or 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        credential = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        raw.sendall(
            f"CONNECT gemini.google.com:443 HTTP/1.1\r\nProxy-Authorization: Basic {credential}\r\n\r\n".encode()
        )
        while not raw.recv(4096).endswith(b"\r\n\r\n"):
            pass
        context = ssl.create_default_context(cafile=ca_file)
        self._socket = context.wrap_socket(raw, server_hostname="gemini.google.com")
        page = self.exchange(
            f"GET /app HTTP/1.1\r\nHost: gemini.google.com\r\nCookie: {self._cookie}\r\n\r\n".encode()
        )
        values = json.loads(page[page.index(b"{") : page.rindex(b"}") + 1])
        self._token, self._build, self._sid = values["SNlM0e"], values["cfb2h"], values["FdrFJe"]

    def prompt(self, text: str) -> bytes:
        """The bytes of a StreamGenerate request."""
        request_id = str(uuid.uuid4()).upper()
        inner: list[object] = [None] * 81
        inner[0] = [text, 0, None, None, None, None, 0]
        inner[1], inner[2] = ["en"], ["", "", "", None, None, None, None, None, None, ""]
        inner[7], inner[45], inner[59], inner[79], inner[80] = 1, 1, request_id, 1, 1
        body = urlencode({"at": self._token, "f.req": json.dumps([None, json.dumps(inner)])}).encode()
        query = urlencode({"hl": "en", "_reqid": 12345, "rt": "c", "bl": self._build, "f.sid": self._sid})
        path = "/_/BardChatUi/data/assistant.lamda.BardFrontendService/StreamGenerate"
        head = (
            f"POST {path}?{query} HTTP/1.1\r\nHost: gemini.google.com\r\nCookie: {self._cookie}\r\n"
            "Origin: https://gemini.google.com\r\nReferer: https://gemini.google.com/\r\nX-Same-Domain: 1\r\n"
            "Content-Type: application/x-www-form-urlencoded;charset=utf-8\r\n"
            f'x-goog-ext-525005358-jspb: ["{request_id}",1]\r\nContent-Length: {len(body)}\r\n\r\n'
        )
        return head.encode() + body

    def exchange(self, request: bytes) -> bytes:
        """Send a request, read its whole answer."""
        self._socket.sendall(request)
        answer = self._socket.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise SystemExit(f"the simulator refused: {answer[:300]!r}")
        if b"chunked" in head:
            tail = body[-5:]
            while tail != b"0\r\n\r\n":
                data = self._socket.recv(262_144)
                tail = (tail + data)[-5:]
            return b""
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(65536)
        return body


def measure(facts: dict[str, object], connections: int, seconds: float) -> tuple[int, float, float]:
    """(generations, wall seconds, CPU seconds of the simulator)."""
    accounts: list[dict[str, str]] = facts["accounts"]  # type: ignore[assignment]  # our own JSON
    lines = [Line(accounts[n % len(accounts)], str(facts["ca_file"])) for n in range(connections)]
    requests = [line.prompt("Say something about the river and the stone, please.") for line in lines]
    counts = [0] * connections
    stop = time.monotonic() + seconds

    def drive(n: int) -> None:
        while time.monotonic() < stop:
            lines[n].exchange(requests[n])
            counts[n] += 1

    pid = int(str(facts["pid"]))
    before, began = cpu_seconds(pid), time.monotonic()
    threads = [threading.Thread(target=drive, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), time.monotonic() - began, cpu_seconds(pid) - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        command = [
            sys.executable,
            "-m",
            "simulator",
            "--accounts",
            "5",
            "--directory",
            directory,
            "--die-with-parent",
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)  # noqa: S603  # our own module
        try:
            assert process.stdout is not None  # noqa: S101  # a pipe was asked for
            process.stdout.readline()
            facts = json.loads((Path(directory) / "simulator.json").read_text())
            sys.stdout.write(
                "| answer | generations/s (wall) | server CPU ms | generations/s of one core |\n|---|---|---|---|\n"
            )
            for name, defaults in SHAPES:
                control(facts["control_url"], "PUT", "/defaults", defaults)
                done, wall, cpu = measure(facts, options.connections, options.seconds)
                sys.stdout.write(
                    f"| {name} | {done / wall:.0f} | {1000 * cpu / done:.2f} | {done / cpu:.0f} |\n"
                )
                sys.stdout.flush()
            anomalies = control(facts["control_url"], "GET", "/anomalies")
            if anomalies:
                sys.stderr.write(f"anomalies: {anomalies}\n")
                return 1
        finally:
            process.terminate()
            process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
