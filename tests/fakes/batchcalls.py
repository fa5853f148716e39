"""`gempool batch` as a process, and a small server that speaks the gateway's wire forms of batches."""

import contextlib
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

GEMPOOL = Path(sys.executable).with_name("gempool")
ID = "batch_1"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2000
KEY = "sk-a-key-that-nobody-may-see"
HANG, DROP = "hang", "drop"

Frame = tuple[str, Any, int | None]
Answer = tuple[int, dict[str, str], Any]


def standing(done: int, total: int, **more: Any) -> dict[str, Any]:
    status = "completed" if done == total else "running"
    told = {
        "batch_id": ID,
        "object": "batch",
        "kind": "chat",
        "model": "m",
        "total": total,
        "completed": done,
    }
    told |= {
        "failed": 0,
        "cancelled": 0,
        "pending": total - done,
        "running": 0,
        "progress": f"{done}/{total}",
    }
    return told | {"status": status, "concurrency": 2, "created_at": "2026-01-01T00:00:00.000Z"} | more


def progress(done: int, total: int, **more: Any) -> Frame:
    return ("progress", standing(done, total, **more), None)


def done(total: int, failed: int = 0, **more: Any) -> Frame:
    return ("done", standing(total, total, completed=total - failed, failed=failed, **more), None)


def text(number: int, index: int) -> Frame:
    return (
        "result",
        {"task_id": f"{ID}-{index}", "index": index, "tries": 1, "text": f"answer {index}"},
        number,
    )


def link(number: int, index: int, url: str) -> Frame:
    return (
        "result",
        {"task_id": f"{ID}-{index}", "index": index, "tries": 1, "url": url, "size": "1x1"},
        number,
    )


def error(number: int, index: int) -> Frame:
    told = {
        "task_id": f"{ID}-{index}",
        "index": index,
        "message": "Not this.",
        "code": "content_filter",
        "tries": 1,
    }
    return ("problem", told, number)


def refusal(status: int, message: str, headers: dict[str, str] | None = None, **more: Any) -> Answer:
    return (
        status,
        headers or {},
        {"error": {"message": message, "type": "t", "param": None, "code": "c"} | more},
    )


class Gateway:
    """What it answers is in its fields; what it was asked is in `asked`, `bodies` and `resumed`."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.resumed: list[str] = []
        self.creation: list[Answer | str] = []
        """Answers to POST, the last of them for ever; none takes the batch in. DROP hangs up."""
        self.streams: list[list[Frame | str]] = []
        """One for each connection to the events, the last of them for ever."""
        self.gets: dict[str, Answer | Callable[[], Answer] | bytes] = {}
        self.reached = Event()
        """Set once a stream hangs."""
        self.closing = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def posted(self, total: int) -> Answer | str:
        told = {"batch_id": ID, "total": total, "status": "queued", "message": "The batch is taken in."}
        if not self.creation:
            return 202, {}, told
        return self.creation.pop(0) if len(self.creation) > 1 else self.creation[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _reply(self, answer: Answer | str) -> None:
                if isinstance(answer, str):
                    self.close_connection = True
                    return
                status, headers, body = answer
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"content-length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def _note(self) -> None:
                gateway.asked.append(f"{self.command} {self.path}")
                gateway.headers.append({name.lower(): value for name, value in self.headers.items()})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._note()
                gateway.bodies.append(body)
                self._reply(gateway.posted(len(body["prompts"])))

            def do_DELETE(self) -> None:
                self._note()
                self._reply(self._found())

            def do_GET(self) -> None:
                self._note()
                if self.path.endswith("/events"):
                    self._stream()
                else:
                    self._reply(self._found())

            def _found(self) -> Answer:
                found = gateway.gets.get(f"{self.command} {self.path}", gateway.gets.get(self.path))
                if callable(found):
                    return found()
                if isinstance(found, bytes):
                    return 200, {"content-type": "image/png"}, found
                return found or refusal(404, "There is no batch of this id.")

            def _stream(self) -> None:
                gateway.resumed.append(self.headers["last-event-id"])
                frames = gateway.streams.pop(0) if len(gateway.streams) > 1 else gateway.streams[0]
                if frames and isinstance(frames[0], tuple) and isinstance(frames[0][0], int):
                    self._reply(frames[0])  # an answer that is no stream
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream; charset=utf-8")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                self._chunk(b"retry: 2000\n\n: keep-alive\n\n")
                for frame in frames:
                    if frame == HANG:
                        gateway.reached.set()
                        gateway.closing.wait()
                    if isinstance(frame, str):  # in the middle of an event
                        self._chunk(b"event: result\ndata: {")
                        self.close_connection = True
                        return
                    name, value, number = frame
                    id = "" if number is None else f"id: {number}\n"
                    self._chunk(f"event: {name}\n{id}data: {json.dumps(value)}\n\n".encode())
                self._chunk(b"")

            def _chunk(self, data: bytes) -> None:
                with contextlib.suppress(OSError):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()

        return Handler


def environment(**more: str) -> dict[str, str]:
    # Whoever asks loopback through this proxy gets nothing.
    return {
        "PATH": "/usr/bin:/bin",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        **more,
    }


def batch(
    cwd: Path, *arguments: str | Path, told: str | bytes = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    finished = subprocess.run(
        [GEMPOOL, "batch", *arguments],
        env=environment(**environ),
        cwd=cwd,
        input=told.encode() if isinstance(told, str) else told,
        capture_output=True,
        timeout=60,
        check=False,
    )
    shown = subprocess.CompletedProcess(
        finished.args, finished.returncode, finished.stdout.decode(), finished.stderr.decode()
    )
    assert "Traceback" not in shown.stderr, shown.stderr
    assert KEY not in shown.stdout + shown.stderr
    return shown


HEEDING_INTERRUPTS = [
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
]
"""In front of a command: a shell's background job, which the tests may be run in, ignores interrupts, and so would the command."""


@contextlib.contextmanager
def started(
    cwd: Path, *arguments: str | Path, stderr: int = subprocess.PIPE, **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs, for those who tell, read or interrupt it; it does not outlive the block."""
    with subprocess.Popen(
        [*HEEDING_INTERRUPTS, GEMPOOL, "batch", *arguments],
        env=environment(**environ),
        cwd=cwd,
        encoding="utf-8",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def tell(running: subprocess.Popen[str], told: str, *, end: bool = True) -> None:
    """Write to its standard input, which ends with that unless more may come."""
    assert running.stdin is not None
    running.stdin.write(told)
    running.stdin.flush()
    if end:
        running.stdin.close()
        running.stdin = None  # communicate() would write to it


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
