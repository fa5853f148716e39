"""HTTP as it comes from old, odd and hostile clients."""

import json
import socket
import time
from typing import Any

import pytest

from routes import EdgeSettings
from tests.fakes.edge import Edge, edge
from tests.fakes.server import until

CHAT = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
STREAM = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()


def talk(gate: Edge, *pieces: bytes, pause: float = 0.02) -> bytes:
    """Send the pieces one after another and read until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(pause)
        connection.settimeout(1.0)
        data = b""
        try:
            while piece := connection.recv(65536):
                data += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return data


CHUNKED = b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = b"5\r\nhello\r\nzz\r\n"


@pytest.mark.parametrize("pieces", [(CHUNKED + BROKEN,), (CHUNKED, BROKEN)], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("start", "google"),
    [
        (b"POST /v1beta/models/m:generateContent HTTP/1.1\r\n", True),
        (b"POST /gemini/v1beta/models/m:generateContent HTTP/1.1\r\n", True),
        (b"POST /v1/models/m:generateContent HTTP/1.1\r\nX-Goog-Api-Key: a\r\n", True),
        (b"POST /v1/chat/completions HTTP/1.1\r\n", False),
        (b"POST /v1/images/edits HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=X\r\n", False),
    ],
)
def test_a_broken_body_is_refused_in_the_paths_dialect(
    gate: Edge, start: bytes, google: bool, pieces: tuple[bytes, ...]
) -> None:
    """Whether the route was waiting for the body or had not begun; the answer arrives though more of the body does."""
    answer = talk(gate, start + pieces[0], *pieces[1:], b"x" * 100_000)
    status, head, body = parsed(answer)
    error = json.loads(body)["error"]
    assert status == 400
    assert "body is broken" in error["message"]
    assert error["code"] == (400 if google else "invalid_request")
    assert b"connection: close" in head
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("good", [1, 3])
@pytest.mark.parametrize("apart", [True, False])
def test_a_broken_body_behind_good_requests_does_not_swallow_their_answers(
    gate: Edge, good: int, apart: bool
) -> None:
    """Each is answered in its turn; then comes the refusal, and the end."""
    fine = post("/v1/chat/completions", CHAT) * good
    bad = b"POST /v1/generate HTTP/1.1\r\n" + CHUNKED + BROKEN
    answer = talk(gate, *([fine, bad] if apart else [fine + bad]))
    assert answer.count(b"HTTP/1.1 200 ") == good
    last = answer[answer.rindex(b"HTTP/1.1 4") :]
    assert parsed(last)[0] == 400
    assert b"connection: close" in last


def test_a_broken_body_that_no_route_reads_ends_the_connection(gate: Edge) -> None:
    """What was asked for is answered; nobody knows where the next request would begin."""
    answer = talk(
        gate, b"GET /health HTTP/1.1\r\n" + CHUNKED + BROKEN + b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in parsed(answer)[1]


def post(path: str, body: bytes, *, version: str = "1.1", headers: str = "") -> bytes:
    return (
        f"POST {path} HTTP/{version}\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
        + body
    )


def parsed(answer: bytes) -> tuple[int, bytes, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), body


def test_http_1_0_gets_a_whole_answer_and_a_closed_connection(gate: Edge) -> None:
    """Without chunks, which HTTP/1.0 does not know, streamed or not; no Host header is needed."""
    for body in (CHAT, STREAM):
        request = f"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        status, head, answer = parsed(talk(gate, request))
        assert status == 200
        assert b"transfer-encoding" not in head
        assert f"content-length: {len(answer)}".encode() in head
    assert answer.endswith(b"data: [DONE]\n\n")


def test_a_proxy_that_speaks_http_1_0_still_gets_a_stream(gate: Edge) -> None:
    """Proxies read chunks in any case, and would time out on an answer that is held back."""
    _, head, _ = parsed(
        talk(gate, post("/v1/chat/completions", STREAM, version="1.0", headers="X-Real-IP: 127.0.0.1\r\n"))
    )
    assert b"transfer-encoding: chunked" in head


def test_a_body_may_come_in_chunks_and_slowly(gate: Edge) -> None:
    """Without Content-Length, cut anywhere."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    pieces = [b"%x\r\n%s\r\n" % (len(part), part) for part in (CHAT[:5], CHAT[5:6], CHAT[6:])]
    status, _, body = parsed(talk(gate, head, *pieces, b"0\r\n\r\n"))
    assert status == 200
    assert b"You said: hi" in body


def test_expect_100_continue_is_answered(gate: Edge) -> None:
    """curl waits for it before it sends a large body."""
    request = post("/v1/chat/completions", CHAT, headers="Expect: 100-continue\r\n")
    head, _, body = request.partition(b"\r\n\r\n")
    answer = talk(gate, head + b"\r\n\r\n", body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_a_body_announced_as_too_large_is_refused_unread(gate: Edge) -> None:
    """A client that asks first is told 413 instead of 100 and never sends it."""
    head = b"POST /v1beta/models/m:generateContent HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"
    status, headers, body = parsed(talk(gate, head))
    assert status == 413
    assert b"connection: close" in headers
    assert json.loads(body)["error"]["status"] == "INVALID_ARGUMENT"


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(gate: Edge) -> None:
    """No Content-Length is no way around the limit, and the answer arrives although the client still sends."""
    head = b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        for part in (head, *[piece] * 6, b"0\r\n\r\n"):
            connection.sendall(part)
            time.sleep(0.02)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    status, headers, body = parsed(answer)
    assert status == 413
    assert b"connection: close" in headers
    assert b"200000 bytes" in body


def test_an_endless_body_does_not_hold_the_server(gate: Edge) -> None:
    """Whoever goes on sending after a refusal is cut off."""
    head = b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    talk(gate, head, *[piece] * 40, pause=0)
    until(lambda: gate.metric("gempool_requests_in_flight") == 0)


def test_a_body_that_never_comes_times_out(gate: Edge) -> None:
    """The request ends with 408 and a closed connection when the settings' time for bodies is over."""
    head = b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"
    status, headers, body = parsed(talk(gate, head, pause=1.2))
    assert status == 408
    assert b"connection: close" in headers
    assert b'"request_timeout"' in body
    assert b"did not arrive" in body


def test_a_caller_who_leaves_amid_the_body_is_forgotten(gate: Edge) -> None:
    """Hanging up before the body has arrived frees the request and is counted as cancelled."""
    before = gate.metric("gempool_cancelled_total")
    with socket.create_connection(("127.0.0.1", gate.port)) as connection:
        connection.sendall(b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        until(lambda: gate.metric("gempool_requests_in_flight") == 1)
    until(lambda: gate.metric("gempool_cancelled_total") == before + 1)
    assert gate.chat.asks == []


FORM = (
    b"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=X\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n1e\r\n--X\r\nContent-Disposition: form\r\n"
)


def test_a_form_that_never_ends_times_out(gate: Edge) -> None:
    """408, and the connection is closed."""
    status, headers, _ = parsed(talk(gate, FORM))
    assert status == 408
    assert b"connection: close" in headers


def test_a_caller_who_leaves_amid_a_form_is_forgotten(gate: Edge) -> None:
    """Nothing goes on for them."""
    before = gate.metric("gempool_cancelled_total")
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        connection.sendall(FORM)
        until(lambda: gate.metric("gempool_requests_in_flight") == 1)
    until(lambda: gate.metric("gempool_cancelled_total") == before + 1)
    until(lambda: gate.metric("gempool_requests_in_flight") == 0)


def test_pipelined_requests_are_answered_in_order(gate: Edge) -> None:
    """Two at once on one connection, then garbage: the answers come first, then 400 and the end."""
    requests = b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n" + post("/v1/chat/completions", CHAT)
    answer = talk(gate, requests)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b'"ready"') < answer.index(b"You said")
    assert b"HTTP/1.1 400" in talk(
        gate, b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x00\xff garbage\r\n\r\n"
    )
    assert gate.http.get("/ready").status_code == 200


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50]
)
def test_garbage_ends_its_own_connection_only(gate: Edge, garbage: bytes) -> None:
    """Bytes that are no HTTP harm nobody else."""
    talk(gate, garbage)
    assert gate.http.get("/ready").status_code == 200


def test_head_answers_as_get_without_a_body(gate: Edge) -> None:
    """Same headers, length included."""
    for path in ("/health", "/ready", "/v1/models", "/v1beta/models", "/api/info", "/metrics", "/"):
        head, get = gate.http.head(path), gate.http.get(path)
        assert head.status_code == get.status_code == 200
        assert head.content == b""
        assert "content-length" in head.headers


@pytest.mark.parametrize("path", ["/health/", "/v1/models/", "//v1//models", "/v1beta/models/"])
def test_trailing_and_doubled_slashes_are_tolerated(gate: Edge, path: str) -> None:
    """Base URLs are often written with a slash too many."""
    answer = talk(gate, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("open_to_all", [False, True])
def test_two_hosts_are_refused(gate: Edge, open_to_all: bool) -> None:
    """A proxy might look at one and the gateway at the other: 400 in the path's dialect, whoever may call, and the
    connection ends; also behind a good request."""
    with edge(settings=EdgeSettings(allow_anonymous=open_to_all)) as found:
        for hosts in ("localhost", "evil.example"), ("evil.example", "localhost"), ("localhost", "localhost"):
            lines = "".join(f"{name}: {host}\r\n" for name, host in zip(("Host", "HOST"), hosts, strict=True))
            status, head, answer = parsed(talk(found, f"GET /v1beta/models HTTP/1.1\r\n{lines}\r\n".encode()))
            assert (status, json.loads(answer)["error"]["status"]) == (400, "INVALID_ARGUMENT")
            assert b"Host" in answer
            assert b"connection: close" in head
        good = b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = talk(found, good + good + good.replace(b"\r\n\r\n", b"\r\nHost: localhost\r\n\r\n") + good)
        assert [answer.count(b"HTTP/1.1 " + status) for status in (b"200", b"400")] == [2, 1]


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://evil.example/v1/models", "localhost", 403),
        ("HTTP://evil.example:8100/v1/models?key=x", "localhost", 403),
        ("http://localhost@evil.example/v1/models", "localhost", 403),
        ("http://localhost/v1/models", "evil.example", 200),
        ("http://127.0.0.1:8100/v1/models", "evil.example", 200),
        ("http://[::1]:8100/v1/models?limit=1", "", 200),
        ("/v1/models?next=http://evil.example/", "localhost", 200),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_target_that_is_a_whole_address_says_the_host(
    gate: Edge, target: str, host: str, status: int, version: str
) -> None:
    """And not the header (RFC 9112, 3.2.2): without a key it must name this machine."""
    request = (
        f"GET {target} HTTP/{version}\r\n{f'Host: {host}' if host else 'X: y'}\r\nConnection: close\r\n\r\n"
    )
    assert parsed(talk(gate, request.encode()))[0] == status


def test_links_begin_with_the_host_of_the_target(gate: Edge) -> None:
    """What the caller asked is where the pictures are found."""
    body = json.dumps({"prompt": "a cat", "response_format": "url"}).encode()
    request = post("http://localhost:4711/v1/images/generations", body, headers="Connection: close\r\n")
    assert (
        b"http://localhost:4711/files/"
        in parsed(talk(gate, request.replace(b"Host: localhost", b"Host: other")))[2]
    )
