"""What a caller writes and reads, byte for byte, however their client speaks HTTP."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.chat import Delta, Finish, Usage
from routes import EdgeSettings
from routes.openapi import Operation, operations
from tests.fakes.batches import FakeBatches
from tests.fakes.cookies import FakeCookies
from tests.fakes.edge import Edge, edge
from tests.support.openapi import contract

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
GENERATE = "/v1beta/models/gemini-2.5-pro:generateContent"
STREAM = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
END = Finish(Usage(1, 1), "gemini-flash")
PLANES = "".join(
    chr(plane * 0x10000 + offset)
    for plane in range(17)
    for offset in (
        0x00,
        0x0A,
        0x22,
        0x5C,
        0x7F,
        0x85,
        0x301,
        0x2028,
        0x202E,
        0x4E2D,
        0xFDD0,
        0xFEFF,
        0xFFFD,
        0xFFFF,
    )
)
"""Characters of all seventeen planes, and in the first what JSON, SSE and terminals stumble over."""
TEXTS = [
    PLANES,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301 \u05d0\u0628",
    "\r\n\r\ndata: x\n\nevent: y",
    "a\0b",
]


def post(path: str, text: str, **more: Any) -> tuple[str, dict[str, Any]]:
    if path == CHAT:
        return path, {"messages": [{"role": "user", "content": text}], **more}
    if path == RESPONSES:
        return path, {"input": text, **more}
    return path, {"contents": [{"parts": [{"text": text}]}]}


def whole_text(path: str, answer: Any) -> str:
    if path == CHAT:
        return str(answer["choices"][0]["message"]["content"])
    if path == RESPONSES:
        return str(answer["output"][0]["content"][0]["text"])
    return str(answer["candidates"][0]["content"]["parts"][0]["text"])


def streamed_text(path: str, raw: str) -> str:
    """The text of a stream of events, read as the strictest clients do."""
    out = ""
    for block in raw.split("\n\n"):
        for line in block.split("\n"):
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            event = json.loads(line.removeprefix("data: "))
            if path == CHAT:
                out += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
            elif path == RESPONSES:
                out += event["delta"] if event["type"] == "response.output_text.delta" else ""
            else:
                out += "".join(part["text"] for part in event["candidates"][0]["content"]["parts"])
    return out


@pytest.mark.parametrize("text", TEXTS, ids=["planes", "joined", "frames", "nul"])
@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, GENERATE])
def test_text_of_every_plane_goes_in_and_comes_out(gate: Edge, path: str, escaped: bool, text: str) -> None:
    """Escaped or not, in both dialects, whole and streamed: what was written is what is asked and what is read."""
    gate.chat.say(Delta(text[: len(text) // 2]), Delta(text[len(text) // 2 :]), END)
    headers = {"content-type": "application/json"}

    def send(path: str, body: dict[str, Any]) -> Any:
        content = json.dumps(body, ensure_ascii=escaped).encode()
        answer = gate.http.post(path, content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        assert gate.chat.asks[-1].messages[-1].text == text
        return answer

    assert whole_text(path, send(*post(path, text)).json()) == text
    if path == GENERATE:
        assert streamed_text(path, send(STREAM + "?alt=sse", post(path, text)[1]).text) == text
        chunks = send(STREAM, post(path, text)[1]).json()
        assert "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks) == text
    else:
        assert streamed_text(path, send(*post(path, text, stream=True)).text) == text


@pytest.fixture(scope="module")
def wide() -> Iterator[Edge]:
    """An edge with the bounds that it has in life, and every route but those of files."""
    with edge(settings=EdgeSettings(), cookies=FakeCookies(), batches=FakeBatches()) as found:
        yield found


@pytest.mark.parametrize("path", [CHAT, RESPONSES, GENERATE, "/v1/generate"])
def test_a_megabyte_of_text_is_a_prompt_as_any(wide: Edge, path: str) -> None:
    """Whole, and quickly."""
    wide.chat.reset()
    text = ("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. 狐 \U0001f98a\n" * 16_000)[
        :1_000_000
    ]
    wide.chat.say(Delta("ok"), END)
    body = {"prompt": text} if path == "/v1/generate" else post(path, text)[1]
    began = time.process_time()
    assert wide.http.post(path, json=body).status_code == 200
    assert wide.chat.asks[-1].messages[-1].text == text
    assert time.process_time() - began < 3


def example(operation: Operation) -> tuple[str, Any]:
    """A path, and a body that is accepted; None for what has none."""
    parameters = contract().document["components"]["parameters"]
    path = operation.path
    for name in operation.parameters:
        if parameters[name]["in"] == "path":
            path = path.replace("{" + parameters[name]["name"] + "}", parameters[name]["example"])
    return path, next(iter(operation.examples.values()), None)


ROUTES = [
    operation
    for operation in operations()
    if operation.good and not operation.path.startswith(("/files", "/admin", "/docs"))
]
"""Those of client programs."""
IDS = [f"{operation.method} {operation.path}" for operation in ROUTES]


@pytest.mark.parametrize("operation", ROUTES, ids=IDS)
def test_a_slash_too_many_is_tolerated_on_every_route(wide: Edge, operation: Operation) -> None:
    """At the end, or twice in the middle: base URLs are often written so."""
    wide.chat.reset()
    path, body = example(operation)
    for written in {f"{path.rstrip('/')}/", path.replace("/v1", "//v1", 1)}:
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{operation.method.upper()} {written} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        answer = talk(wide, head.encode() + data)
        assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 202 ")), answer[:300]


@pytest.mark.parametrize("operation", ROUTES, ids=IDS)
def test_every_route_answers_a_preflight(wide: Edge, operation: Operation) -> None:
    """With the route's methods and the very headers that were asked for, also behind a slash."""
    path, _ = example(operation)
    asked = "authorization, content-type,x-goog-api-key, x-stainless-retry-count"
    for written in {path, f"{path.rstrip('/')}/"}:
        answer = wide.http.options(
            written,
            headers={
                "origin": "http://localhost:5173",
                "access-control-request-method": operation.method.upper(),
                "access-control-request-headers": asked,
            },
        )
        assert answer.status_code == 204
        assert operation.method.upper() in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == asked
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "operation", [each for each in ROUTES if each.method == "get"], ids=lambda each: each.path
)
def test_head_is_get_without_its_body(wide: Edge, operation: Operation) -> None:
    """The same status, type and length on every route that is read."""
    path, _ = example(operation)
    get, head = wide.http.get(path), wide.http.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path not in ("/metrics", "/api/info", "/health"):  # whose numbers have moved on
        # Without one where nobody knows it beforehand.
        assert head.headers.get("content-length") == get.headers.get("content-length")


def talk(gate: Edge, *pieces: bytes, pause: float = 0.0, timeout: float = 5.0) -> bytes:
    """Send pieces and read until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=timeout) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            if pause:
                time.sleep(pause)
        data = b""
        try:
            while piece := connection.recv(65536):
                data += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return data


BODY = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
CHUNKED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n%s\r\n"


@pytest.mark.parametrize(
    "chunks",
    [
        b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
        b'%x;name=value;other="x"\r\n%s\r\n0\r\n\r\n' % (len(BODY), BODY),
        b"0000%X\r\n%s\r\n000\r\n\r\n" % (len(BODY), BODY),
        b"%x\r\n%s\r\n0\r\nX-Checksum: 1\r\nX-Other: 2\r\n\r\n" % (len(BODY), BODY),
    ],
    ids=["single bytes", "extensions", "leading zeros", "trailers"],
)
def test_chunks_of_any_size_make_a_body(gate: Edge, chunks: bytes) -> None:
    """With extensions and trailers, which are not read."""
    answer = talk(gate, CHUNKED % b"Trailer: X-Checksum\r\n" + chunks)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"You said: hi" in answer


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -1\r\n",
        b"Content-Length: 1e3\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Bad Header: x\r\n",
        b": x\r\n",
        b"X-Nul: a\0b\r\n",
        b"no colon\r\n",
    ],
)
def test_a_head_that_makes_no_sense_is_400_in_the_routes_dialect(gate: Edge, head: bytes) -> None:
    """With an id, readable for web pages, and the connection is closed: nobody knows where the next request begins."""
    for path, field in (
        (CHAT, b'"type":"invalid_request_error"'),
        (GENERATE, b'"status":"INVALID_ARGUMENT"'),
    ):
        request = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n".encode()
        answer = talk(gate, request + head + b"\r\n{}")
        assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
        assert field in answer
        assert b"\r\naccess-control-allow-origin: *\r\n" in answer
        assert b"\r\nx-request-id: req_" in answer
        assert answer.count(b"HTTP/1.1 4") == 1
    assert gate.http.get("/ready").status_code == 200
    assert gate.chat.asks == []


def test_many_headers_and_long_ones_are_taken(gate: Edge) -> None:
    """As far as they are within the bound; bytes beyond ASCII in one of no interest harm nobody."""
    many = b"".join(b"X-%d: %s\r\n" % (i, b"v" * 50) for i in range(500))
    answer = talk(
        gate,
        b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX-Odd: \xe9\xff\r\nConnection: close\r\n"
        + many
        + b"\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200 OK")
    answer = talk(gate, b"GET /ready HTTP/1.1\r\nHost: localhost\r\n" + many * 3 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"access-control-allow-origin: *" in answer


@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"])
def test_http_1_0_is_answered_and_closed(gate: Edge, keep: bytes) -> None:
    """Also where the caller would like to keep the connection, which the answer says is not to be."""
    request = b"POST /v1/chat/completions HTTP/1.0\r\n%sContent-Length: %d\r\n\r\n%s" % (
        keep,
        len(BODY),
        BODY,
    )
    began = time.monotonic()
    answer = talk(gate, request)
    assert time.monotonic() - began < 4
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in head.lower()
    assert b"content-length: %d" % len(body) in head.lower()


@pytest.fixture(scope="module")
def keyed() -> Iterator[Edge]:
    with edge(api_key="one", settings=EdgeSettings(body_limit=1000)) as found:
        yield found


@pytest.mark.parametrize(
    ("path", "key", "length", "status"),
    [
        (CHAT, b"", 50, 401),
        (CHAT, b"Authorization: Bearer one\r\n", 5000, 413),
        ("/v1/nope", b"Authorization: Bearer one\r\n", 50, 404),
        ("/health", b"Authorization: Bearer one\r\n", 50, 405),
        (GENERATE, b"x-goog-api-key: two\r\n", 50, 401),
        ("/v1beta/models/m:dance", b"x-goog-api-key: one\r\n", 50, 404),
    ],
)
def test_a_caller_who_asks_first_is_refused_without_the_body(
    keyed: Edge, path: str, key: bytes, length: int, status: int
) -> None:
    """`Expect: 100-continue`: the refusal comes at once in place of `100 Continue`, and closes the connection, since
    nobody knows whether the body comes all the same."""
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
    began = time.monotonic()
    answer = talk(keyed, head % (path.encode(), key, length))
    assert time.monotonic() - began < 4
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"100 Continue" not in answer
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_continue_is_said_once_the_body_is_wanted(keyed: Edge) -> None:
    """To a caller who may, before the body came; the connection then lives on."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer one\r\n"
    with socket.create_connection(("127.0.0.1", keyed.port), timeout=5) as connection:
        connection.sendall(head + b"Expect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        first = connection.recv(65536)
        assert first.startswith(b"HTTP/1.1 200 OK")
        assert b"connection: close" not in first.lower()
        connection.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_refused_body_does_not_disturb_the_next_request(keyed: Edge) -> None:
    """Without `Expect` the body comes anyway and is read over: the connection is kept."""
    wrong = b"POST /v1/nope HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer one\r\nContent-Length: %d\r\n\r\n%s"
    with socket.create_connection(("127.0.0.1", keyed.port), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(wrong % (len(BODY), BODY))
            assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
        connection.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_the_document_is_for_pages_too(wide: Edge) -> None:
    """A page may read the description of all of this."""
    found = wide.http.get("/openapi.json", headers={"origin": "http://localhost:5173"})
    assert found.headers["access-control-allow-origin"] == "*"
    assert set(found.json()["paths"]) < set(contract().document["paths"])
