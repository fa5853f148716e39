"""The server process: how it starts, what it refuses before any route, and how it ends."""

import functools
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.protocol import FAREWELL_SECONDS, HEAD_LIMIT
from gateway.server import CannotListen, address_of, listen

APP = Path(__file__).with_name("small_app.py")
ROOT = Path(__file__).parents[2]
REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Process:
    """The small application under the real server, on a free port."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._stopped = False
        self._child = subprocess.Popen(
            [sys.executable, str(APP)],
            env={**os.environ, "PORT": "0", **environ},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line.startswith("ready "), f"{line}{self.end(signal.SIGKILL)}"
        self.url = line.split()[1]
        parts = urlsplit(self.url)
        self.address = (str(parts.hostname), int(parts.port or 0))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._stopped = True
        self._child.send_signal(number)

    def tell(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Send the signal, unless it was stopped before; exit code, output and log."""
        if self._child.poll() is None and not (self._stopped and number == signal.SIGTERM):
            self._child.send_signal(number)
        out, err = self._child.communicate(timeout=20)
        return self._child.returncode, out, err


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def make(**environ: str) -> Process:
        started.append(Process(environ))
        return started[-1]

    yield make
    for process in started:
        process.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def running() -> Iterator[Process]:
    """One for the tests that leave it as it was."""
    process = Process({})
    yield process
    process.end()


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Send raw bytes; everything that comes back until the server closes."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def test_a_stop_is_orderly_and_ends_with_code_0(start: Callable[..., Process]) -> None:
    """SIGTERM closes the application's lifespan; the exit code says that all is well."""
    process = start()
    assert httpx.get(process.url).status_code == 200
    code, out, err = process.end()
    assert code == 0, err
    assert "closed" in out
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert events == ["listening", "stopping: running requests may finish", "stopped serving"]


def test_a_running_request_is_finished_before_the_end(start: Callable[..., Process]) -> None:
    """Within the grace a caller who was being served still gets the whole answer."""
    process = start(GEMPOOL__SERVER__SHUTDOWN_GRACE="10s")
    with httpx.stream("GET", f"{process.url}/slow?seconds=1", timeout=15) as answer:
        process.stop()
        assert answer.read() == b"begun, finished"
    code, _, err = process.end()
    assert code == 0, err


def test_work_without_a_caller_is_finished_before_the_end(start: Callable[..., Process]) -> None:
    """A stop waits for what the application says is running, also when no connection is left."""
    process = start(GEMPOOL__SERVER__SHUTDOWN_GRACE="10s")
    assert httpx.get(f"{process.url}/later?seconds=0.5").text == "begun"
    code, out, err = process.end()
    assert code == 0, err
    assert out.splitlines() == ["worked", "closed"]


def test_a_second_ctrl_c_ends_work_without_a_caller(start: Callable[..., Process]) -> None:
    """Nobody who is in a hurry waits for the grace."""
    process = start(GEMPOOL__SERVER__SHUTDOWN_GRACE="60s")
    assert httpx.get(f"{process.url}/later?seconds=50").text == "begun"
    began = time.monotonic()
    process.stop(signal.SIGINT)
    time.sleep(0.3)  # two signals sent at once would be delivered as one
    _, out, err = process.end(signal.SIGINT)
    assert time.monotonic() - began < 10
    assert out.splitlines() == ["closed"], err


def test_nothing_new_is_accepted_during_a_stop(start: Callable[..., Process]) -> None:
    """While one request runs to its end, another caller is refused at once."""
    process = start(GEMPOOL__SERVER__SHUTDOWN_GRACE="2s")
    with httpx.stream("GET", f"{process.url}/endless", timeout=15) as response:
        parts = response.iter_text()
        assert next(parts) == "first\n"
        process.stop()
        deadline = time.monotonic() + 1.5
        refused = False
        while not refused and time.monotonic() < deadline:
            try:
                httpx.get(process.url, timeout=2)
            except httpx.TransportError:
                refused = True
        assert refused
        assert "".join(parts) == "ended by the drain\n"


def test_a_request_on_a_connection_that_was_idle_is_answered_during_a_stop(
    start: Callable[..., Process],
) -> None:
    """It may have been on its way when the stop began: it is answered, and told that the connection closes."""
    answer, took = b"", FAREWELL_SECONDS
    while took > FAREWELL_SECONDS / 2:  # a busy machine: it was said too late
        process = start()
        with closing(http.client.HTTPConnection(*process.address, timeout=10)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read()
            began = time.monotonic()
            process.stop()
            _until_refused(process)
            connection.sock.sendall(REQUEST)
            took = time.monotonic() - began
            answer = _all_of(connection.sock)
        code, _, err = process.end()
        assert code == 0, err
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close\r\n" in answer
    assert b'{"client":' in answer


def test_idle_connections_do_not_keep_a_process_from_ending(start: Callable[..., Process]) -> None:
    """Nor do those that have sent half of a head: they are closed after a moment, long before the grace is over."""
    process = start(GEMPOOL__SERVER__SHUTDOWN_GRACE="60s")
    with (
        socket.create_connection(process.address, timeout=20) as silent,
        socket.create_connection(process.address, timeout=20) as half,
    ):
        half.sendall(REQUEST[:-4])
        assert httpx.get(process.url).status_code == 200  # accepted after them
        code, _, err = process.end()
        assert code == 0, err
        assert (silent.recv(1), half.recv(1)) == (b"", b"")


def test_who_is_connected_when_a_stop_begins_is_answered(start: Callable[..., Process]) -> None:
    """A crowd that the kernel has let in, but not yet the process."""
    process = start()
    process.tell(signal.SIGSTOP)
    crowd = [socket.create_connection(process.address, timeout=20) for _ in range(50)]
    for one in crowd:
        one.sendall(REQUEST)
    process.stop()
    process.tell(signal.SIGCONT)
    answers = [_all_of(one) for one in crowd]
    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 200 "] * 50
    for one in crowd:
        one.close()
    code, _, err = process.end()
    assert code == 0, err


def _all_of(connection: socket.socket) -> bytes:
    """What comes until it is closed."""
    return b"".join(iter(functools.partial(connection.recv, 65536), b""))


def _until_refused(process: Process) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(process.address, timeout=10).close()
        except ConnectionError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.005)  # another process has no event for us


def test_a_stream_is_ended_by_the_drain_when_the_grace_is_over(start: Callable[..., Process]) -> None:
    """The application gets the grace and ends what still runs itself; nobody is cut off mid-word."""
    process = start(GEMPOOL__SERVER__SHUTDOWN_GRACE="500ms")
    with httpx.stream("GET", f"{process.url}/endless", timeout=15) as response:
        parts = response.iter_text()
        assert next(parts) == "first\n"
        began = time.monotonic()
        process.stop()
        assert "".join(parts) == "ended by the drain\n"
    code, _, err = process.end()
    assert code == 0, err
    assert 0.4 < time.monotonic() - began < 5


def test_a_second_ctrl_c_does_not_wait(start: Callable[..., Process]) -> None:
    """An impatient operator gets out, and the lifespan is closed all the same."""
    process = start(GEMPOOL__SERVER__SHUTDOWN_GRACE="60s")
    with httpx.stream("GET", f"{process.url}/endless", timeout=15) as response:
        assert next(response.iter_text()) == "first\n"
        began = time.monotonic()
        process.stop(signal.SIGINT)
        time.sleep(0.3)  # two signals sent at once would be delivered as one
        _, out, err = process.end(signal.SIGINT)
    assert time.monotonic() - began < 10
    assert "closed" in out, err


def test_a_taken_port_is_told_before_anything_starts() -> None:
    """The message names the port and the way out."""
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"PORT: cannot listen on 127.0.0.1 port {port}.*PORT="):
            listen("127.0.0.1", port)


def test_a_wrong_host_is_told() -> None:
    """A name that does not resolve is the operator's to mend."""
    with pytest.raises(CannotListen, match=r"HOST: cannot listen on no-such-host\.invalid"):
        listen("no-such-host.invalid", 8100)


def test_the_address_is_one_that_this_machine_can_call() -> None:
    """All interfaces are reached at loopback; IPv6 is bracketed."""
    with closing(listen("0.0.0.0", 0)) as bound:
        assert address_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_a_head_without_end_is_refused(running: Process) -> None:
    """Headers cannot fill the memory: beyond the bound the answer is 431 and the connection closes."""
    lines = b"".join(b"x-filler-%d: %s\r\n" % (n, b"a" * 1000) for n in range(2 * HEAD_LIMIT // 1000))
    answer = exchange(running.address, b"GET / HTTP/1.1\r\nhost: x\r\n" + lines)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert str(HEAD_LIMIT) in json.loads(body)["error"]["message"]


def test_a_head_that_comes_in_one_piece_is_bounded_as_well(running: Process) -> None:
    """100 kB are refused however few reads bring them, as one header, as many, or as the path."""
    long = b"a" * 100_000
    many = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 1000) for n in range(100))
    for head in (b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + long, b"GET / HTTP/1.1\r\nhost: x\r\n" + many,
                 b"GET /" + long + b" HTTP/1.1\r\nhost: x"):  # fmt: skip
        status, _, error = refused(exchange(running.address, head + b"\r\n\r\n"))
        assert status == 431
        assert str(HEAD_LIMIT) in error["message"]


def refused(answer: bytes) -> tuple[int, bytes, dict[str, Any]]:
    """Status, head and error object of the one response that came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error: dict[str, Any] = json.loads(body)["error"]
    assert b"x-request-id: req_" in head
    return int(head.split()[1]), head, error


@pytest.mark.parametrize(
    "request_line", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"]
)
def test_what_is_not_http_is_answered_with_an_error_object(running: Process, request_line: bytes) -> None:
    """Even before there is a route the body has the shape that clients parse."""
    status, _, error = refused(exchange(running.address, request_line))
    assert status == 400
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("method", [b"BREW", b"get", b"X-Y"])
def test_a_method_that_no_route_has_is_405(running: Process, method: bytes) -> None:
    """Also one that HTTP does not know; the answer lists those that there are, in the path's dialect."""
    for path, status_name in (
        (b"/v1/x", None),
        (b"/v1beta/models", "UNIMPLEMENTED"),
        (b"/gemini/x", "UNIMPLEMENTED"),
    ):
        request = method + b" " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n"
        status, head, error = refused(exchange(running.address, request))
        assert status == 405
        assert b"allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n" in head
        assert error.get("status") == status_name


def in_pieces(address: tuple[str, int], pieces: list[bytes]) -> bytes:
    """Send one after another and read to the end."""
    with socket.create_connection(address, timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)  # so that each is a read of its own
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


GOOD = b"GET /slow?seconds=0.2 HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("good", [1, 3])
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("bad", [b"\x00\x01\x02\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n"])
def test_garbage_behind_a_good_request_does_not_swallow_its_answer(
    running: Process, good: int, apart: bool, bad: bytes
) -> None:
    """Every good request is answered whole and in its turn; then comes the refusal, and the end."""
    pieces = [GOOD * good, bad] if apart else [GOOD * good + bad]
    answer = in_pieces(running.address, pieces)
    assert answer.count(b"HTTP/1.1 200 ") == good
    assert answer.count(b"finished") == good
    last = answer[answer.rindex(b"HTTP/1.1 4") :]
    assert b"connection: close" in last
    refused(last)


def test_garbage_behind_an_answered_request_is_refused(running: Process) -> None:
    """On a connection that is kept open."""
    with socket.create_connection(running.address, timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        while b"127.0.0.1" not in received:
            received += connection.recv(65536)
        connection.sendall(b"BREW /v1beta/x HTTP/1.1\r\nhost: x\r\n\r\n")
        rest = b""
        while chunk := connection.recv(65536):
            rest += chunk
    status, _, error = refused(rest)
    assert (status, error["status"]) == (405, "UNIMPLEMENTED")


def test_an_ordinary_large_head_passes(running: Process) -> None:
    """Long cookies and tokens are within the bound, also when they arrive in pieces."""
    with httpx.Client() as client:
        for _ in range(3):  # the bound counts each request of a connection anew
            assert client.get(running.url, headers={"x-long": "a" * 30_000}).status_code == 200


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
def test_the_server_leaves_the_peers_address_alone(start: Callable[..., Process], trusted: str) -> None:
    """Whom a proxy's headers are believed about is for the edge to decide, which has to see both."""
    process = start(GEMPOOL__SERVER__TRUSTED_PROXIES=trusted)
    answer = httpx.get(process.url, headers={"x-forwarded-for": "203.0.113.9"})
    assert answer.json() == {"client": "127.0.0.1"}
