"""HTTP written by hand, as curl and small scripts write it: bytes over a socket, no library between."""

import gzip
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from checks import (
    KEY,
    LONG,
    MODEL,
    TIGHT_URL,
    UNICODE,
    URL,
    Checks,
    call_text,
    defaults,
    fault,
    prompts,
    reply,
    until,
)

checks = Checks("raw-http")
that, case = checks.that, checks.case
HOST = urlsplit(URL).netloc


class Answer:
    """What came back, split by hand."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, body = raw.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head, _, body = body.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.version, self.status = first.split()[0] if first else "", int(first.split()[1]) if first else 0
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        self.whole = True
        if self.chunked:
            out = b""
            self.whole = False
            while body:
                size, _, body = body.partition(b"\r\n")
                if not size or int(size, 16) == 0:
                    self.whole = size == b"0"
                    break
                out, body = out + body[: int(size, 16)], body[int(size, 16) + 2 :]
            body = out
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        found = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(e) for e in found if e != "[DONE]"]

    def __repr__(self) -> str:
        return repr(self.raw[:800])


def send(raw: bytes, url: str = URL, seconds: float = 20) -> Answer:
    """The answer to these bytes, read until the gateway closes."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=seconds) as link:
        link.sendall(raw)
        return Answer(_read(link))


def _read(link: socket.socket) -> bytes:
    out = b""
    while True:
        try:
            piece = link.recv(65536)
        except ConnectionResetError:
            return out
        if not piece:
            return out
        out += piece


def request(
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    version: str = "1.1",
    key: str | None = KEY,
) -> bytes:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Host": HOST, "Connection": "close", **({"Authorization": f"Bearer {key}"} if key else {})}
    if body is not None:
        given |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
    given |= headers or {}
    head = "".join(f"{k}: {v}\r\n" for k, v in given.items() if v)
    return f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode() + data


def chat(text: str = "Hello there", **options: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **options}


GEMINI = {"contents": [{"parts": [{"text": "Hello there"}]}]}


def openai(answer: Answer, status: int) -> bool:
    """An error in OpenAI's dialect."""
    error = answer.json.get("error", {})
    return answer.status == status and all(k in error for k in ("message", "type", "param", "code"))


def google(answer: Answer, status: int) -> bool:
    """An error in Google's dialect."""
    error = answer.json.get("error", {})
    return (
        answer.status == status == error.get("code")
        and isinstance(error.get("message"), str)
        and isinstance(error.get("status"), str)
    )


@case("keys")
def _() -> None:
    for name, headers, path in (
        ("Bearer", {"Authorization": f"Bearer {KEY}"}, "/v1/models"),
        ("bearer in small letters", {"Authorization": f"bearer {KEY}"}, "/v1/models"),
        ("x-api-key", {"x-api-key": KEY}, "/v1/models"),
        ("x-goog-api-key", {"x-goog-api-key": KEY}, "/v1beta/models"),
        ("?key=", {}, f"/v1beta/models?key={KEY}"),
    ):
        that(f"{name} is taken", send(request("GET", path, headers=headers, key=None)).status == 200)
    answer = send(request("GET", "/v1/models", key=None))
    that("none: 401 in OpenAI's dialect", openai(answer, 401), answer)
    that("none: WWW-Authenticate", "www-authenticate" in answer.headers, answer.headers)
    answer = send(request("GET", "/v1beta/models", key=None))
    that(
        "none: 401 or 403 in Google's dialect",
        google(answer, answer.status) and answer.status in (401, 403),
        answer,
    )
    answer = send(request("GET", "/v1/models", key=None, headers={"x-goog-api-key": KEY}))
    that("/v1/models with x-goog-api-key is Google's list", "models" in answer.json, answer)
    that("/v1/models with Bearer is OpenAI's", send(request("GET", "/v1/models")).json["object"] == "list")
    that("/health needs none", send(request("GET", "/health", key=None)).status == 200)
    that("/ready needs none", send(request("GET", "/ready", key=None)).status == 200)
    that("/metrics needs one", send(request("GET", "/metrics", key=None)).status == 401)
    that(
        "a public address without keys serves this machine",
        send(request("GET", "/v1/models", key=None), TIGHT_URL).status == 200,
    )
    that("the key in no answer", KEY.encode() not in send(request("GET", f"/nowhere?key={KEY}")).raw)


@case("text")
def _() -> None:
    answer = send(request("POST", "/v1/chat/completions", chat()))
    that(
        "chat completions",
        answer.status == 200 and "Hello there" in answer.json["choices"][0]["message"]["content"],
        answer,
    )
    that("content type", answer.headers["content-type"].startswith("application/json"), answer.headers)
    that("content length", int(answer.headers.get("content-length", -1)) == len(answer.body), answer.headers)
    that("x-request-id", answer.headers.get("x-request-id"), answer.headers)
    answer = send(request("POST", f"/v1beta/models/{MODEL}:generateContent", GEMINI))
    that(
        "generateContent",
        "Hello there" in answer.json["candidates"][0]["content"]["parts"][0]["text"],
        answer,
    )
    answer = send(request("POST", "/v1/responses", {"model": MODEL, "input": "Hello there"}))
    that(
        "responses",
        answer.status == 200 and "Hello there" in answer.json["output"][-1]["content"][0]["text"],
        answer,
    )
    answer = send(request("POST", "/v1/generate", {"prompt": "Hello there"}))
    that("generate", "Hello there" in answer.json["text"] and answer.json["model"], answer)
    for path in ("/api/models", "/api/info", "/openapi.json", "/api/cookies/status"):
        that(path, send(request("GET", path)).status == 200)
    that(
        "Bytes as they are: UTF-8",
        UNICODE
        in send(
            request("POST", "/v1/chat/completions", json.dumps(chat(UNICODE), ensure_ascii=False).encode())
        ).json["choices"][0]["message"]["content"],
    )
    that(
        "a name of its own for the request",
        send(request("GET", "/v1/models", headers={"x-request-id": "mine-123"})).headers["x-request-id"]
        == "mine-123",
    )
    that(
        "not an insane one",
        "\t"
        not in send(
            request("GET", "/v1/models", headers={"x-request-id": "a b<script>" + "c" * 500})
        ).headers["x-request-id"][:20]
        and "script"
        not in send(request("GET", "/v1/models", headers={"x-request-id": "a b<script>"})).headers[
            "x-request-id"
        ],
    )


@case("stream")
def _() -> None:
    answer = send(request("POST", "/v1/chat/completions", chat(stream=True)))
    that("SSE", answer.headers["content-type"].startswith("text/event-stream"), answer.headers)
    that("ends with [DONE]", answer.body.rstrip().endswith(b"data: [DONE]"), answer.body[-100:])
    that("the chunked body is whole", answer.whole and answer.chunked)
    that(
        "not to be cached or buffered",
        "no-cache" in answer.headers.get("cache-control", "")
        and answer.headers.get("x-accel-buffering") == "no",
        answer.headers,
    )
    answer = send(request("POST", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", GEMINI))
    that(
        "Gemini: events",
        answer.events and answer.events[-1]["candidates"][0]["finishReason"] == "STOP",
        answer.body[-300:],
    )
    that("Gemini: no [DONE], no comments", b"[DONE]" not in answer.body and b"\n:" not in answer.body)
    that(
        "Gemini: one line a datum, with its space",
        all(
            e.startswith("data: ") and "\n" not in e
            for e in answer.body.decode().replace("\r\n", "\n").strip().split("\n\n")
        ),
    )
    answer = send(request("POST", f"/v1beta/models/{MODEL}:streamGenerateContent", GEMINI))
    that(
        "Gemini without alt=sse: one JSON array",
        isinstance(answer.json, list) and answer.headers["content-type"].startswith("application/json"),
        answer,
    )
    answer = send(request("POST", "/v1/responses", {"model": MODEL, "input": "Hi", "stream": True}))
    that(
        "responses: event lines",
        b"event: response.completed\n" in answer.body.replace(b"\r\n", b"\n"),
        answer.body[-200:],
    )
    defaults(first_delay=2.0)
    answer = send(request("POST", "/v1/chat/completions", chat(stream=True)))
    that(
        "OpenAI keep-alives are comments",
        b"\n:" in answer.body or answer.body.startswith(b":"),
        answer.body[:200],
    )
    answer = send(request("POST", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", GEMINI))
    that(
        "Gemini keep-alives are none",
        b"\n:" not in answer.body and not answer.body.startswith(b":"),
        answer.body[:200],
    )
    answer = send(request("POST", f"/v1beta/models/{MODEL}:streamGenerateContent", GEMINI))
    that("nor break the array", isinstance(answer.json, list), answer)


@case("tools stream")
def _() -> None:
    tools = [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }
    ]
    reply(call_text(("get_weather", {"city": "Rome"})), frames=9)
    events = send(request("POST", "/v1/chat/completions", chat(tools=tools, stream=True))).events
    deltas = [d for e in events for d in e["choices"][0]["delta"].get("tool_calls", [])]
    that(
        "the first delta: index, id, type, name, empty arguments",
        deltas
        and deltas[0]
        == {
            "index": 0,
            "id": deltas[0]["id"],
            "type": "function",
            "function": {"name": "get_weather", "arguments": ""},
        },
        deltas,
    )
    that(
        "arguments follow",
        json.loads("".join(d["function"]["arguments"] for d in deltas)) == {"city": "Rome"},
        deltas,
    )
    reply(call_text(("get_weather", {"city": "Rome"})))
    message = send(request("POST", "/v1/chat/completions", chat(tools=tools))).json["choices"][0]["message"]
    that("content is null beside calls", message["content"] is None, message)


@case("fidelity")
def _() -> None:
    body = json.dumps(chat()).encode()
    answer = send(request("POST", "/v1/chat/completions", body, version="1.0", headers={"Connection": ""}))
    that("HTTP/1.0", answer.status == 200 and not answer.chunked, answer)
    answer = send(
        request(
            "POST",
            "/v1/chat/completions",
            json.dumps(chat(stream=True)).encode(),
            version="1.0",
            headers={"Connection": ""},
        )
    )
    that(
        "HTTP/1.0 stream: not chunked, ends by closing",
        answer.status == 200 and not answer.chunked and b"[DONE]" in answer.body,
        answer,
    )
    pieces = (
        b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[n : n + 7] for n in range(0, len(body), 7)))
        + b"0\r\n\r\n"
    )
    answer = send(
        request(
            "POST",
            "/v1/chat/completions",
            None,
            headers={"Transfer-Encoding": "chunked", "Content-Type": "application/json"},
        )
        + pieces
    )
    that("a chunked body", answer.status == 200, answer)
    at = urlsplit(URL)
    with socket.create_connection((at.hostname, at.port), timeout=10) as link:
        raw = request("POST", "/v1/chat/completions", body, headers={"Expect": "100-continue"})
        head, _, data = raw.partition(b"\r\n\r\n")
        link.sendall(head + b"\r\n\r\n")
        first = link.recv(1000)
        that("Expect: 100-continue is answered", first.startswith(b"HTTP/1.1 100"), first)
        link.sendall(data)
        that("then the answer", b" 200 " in _read(link)[:40] + first)
    answer = send(request("HEAD", "/v1/models"))
    that("HEAD: no body", answer.status == 200 and not answer.body, answer)
    that("a slash at the end", send(request("POST", "/v1/chat/completions/", body)).status == 200)
    that(
        "no content type",
        send(request("POST", "/v1/chat/completions", body, headers={"Content-Type": ""})).status == 200,
    )
    that(
        "text/plain as its type",
        send(request("POST", "/v1/chat/completions", body, headers={"Content-Type": "text/plain"})).status
        in (200, 415),
    )
    that(
        "a byte order mark",
        send(request("POST", "/v1/chat/completions", b"\xef\xbb\xbf" + body)).status in (200, 400),
    )
    answer = send(
        request("POST", "/v1/chat/completions", gzip.compress(body), headers={"Content-Encoding": "gzip"})
    )
    that("a compressed body: taken or 415", answer.status in (200, 415), answer)
    answer = send(request("GET", "/v1/chat/completions"))
    that(
        "GET where POST is due: 405 with Allow",
        openai(answer, 405) and "POST" in answer.headers.get("allow", ""),
        answer,
    )
    answer = send(request("GET", "/v1/nowhere"))
    that("no route: 404 in OpenAI's dialect", openai(answer, 404), answer)
    answer = send(request("GET", "/v1beta/nowhere"))
    that("no route: 404 in Google's dialect", google(answer, 404), answer)
    with socket.create_connection((at.hostname, at.port), timeout=10) as link:
        one = request("GET", "/v1/models", headers={"Connection": "keep-alive"})
        link.sendall(one + request("GET", "/v1/models"))
        that("two requests in one go on one connection", _read(link).count(b"HTTP/1.1 200") == 2)
    with socket.create_connection((at.hostname, at.port), timeout=10) as link:
        for n in range(0, len(raw := request("POST", "/v1/chat/completions", body)), 60):
            link.sendall(raw[n : n + 60])
            time.sleep(0.005)
        that("in small pieces", b" 200 " in _read(link)[:40])


@case("cors")
def _() -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os,x-goog-api-key",
    }
    for path in ("/v1/chat/completions", f"/v1beta/models/{MODEL}:generateContent", "/v1/responses"):
        answer = send(request("OPTIONS", path, headers=asked, key=None))
        that(f"{path}: preflight without a key", answer.status in (200, 204), answer)
        that(
            f"{path}: the headers are echoed by name",
            all(
                h in answer.headers.get("access-control-allow-headers", "").lower()
                for h in ("authorization", "x-stainless-os", "x-goog-api-key")
            ),
            answer.headers,
        )
        that(
            f"{path}: origin",
            answer.headers.get("access-control-allow-origin") in ("*", "https://app.example"),
            answer.headers,
        )
    for status, raw in {
        401: request("GET", "/v1/models", headers={"Origin": "https://app.example"}, key="no"),
        404: request("GET", "/v1/nowhere", headers={"Origin": "https://app.example"}),
        400: request("POST", "/v1/chat/completions", b"{", headers={"Origin": "https://app.example"}),
        200: request("GET", "/v1/models", headers={"Origin": "https://app.example"}),
    }.items():
        answer = send(raw)
        that(
            f"on {status} as well",
            answer.status == status and "access-control-allow-origin" in answer.headers,
            answer,
        )


@case("bad input")
def _() -> None:
    for name, body in {
        "no JSON": b"{",
        "empty": b"",
        "a list": b"[]",
        "a string": b'"x"',
        "not UTF-8": b'{"model": "\xff"}',
        "nested too deeply": b"[" * 100_000,
        "NaN": b'{"temperature": NaN}',
        "messages of a wrong kind": b'{"messages": 3}',
        "a message of null": b'{"messages": [null]}',
        "stream of a wrong kind": json.dumps(chat(stream="yes")).encode(),
        "n of a wrong kind": json.dumps(chat(n="many")).encode(),
        "tools of a wrong kind": json.dumps(chat(tools={"a": 1})).encode(),
        "a tool without a name": json.dumps(chat(tools=[{"type": "function", "function": {}}])).encode(),
        "response_format of a wrong kind": json.dumps(chat(response_format="json")).encode(),
        "an unknown response_format": json.dumps(chat(response_format={"type": "xml"})).encode(),
    }.items():
        answer = send(request("POST", "/v1/chat/completions", body))
        that(
            f"{name}: 400 with a message",
            openai(answer, 400) and len(answer.json["error"]["message"]) > 15,
            answer,
        )
    for name, body in {
        "no JSON": b"{",
        "no contents": b"{}",
        "contents of a wrong kind": b'{"contents": {"parts": 3}}',
        "a wrong schema": json.dumps(
            {
                **GEMINI,
                "generationConfig": {"responseMimeType": "application/json", "responseSchema": {"type": 3}},
            }
        ).encode(),
    }.items():
        answer = send(request("POST", f"/v1beta/models/{MODEL}:generateContent", body))
        that(
            f"Gemini: {name}: 400",
            google(answer, 400) and answer.json["error"]["status"] == "INVALID_ARGUMENT",
            answer,
        )
    for name, body in {
        "no input": {"model": MODEL},
        "a wrong input": {"model": MODEL, "input": 3},
        "a wrong tool": {"model": MODEL, "input": "x", "tools": [3]},
    }.items():
        answer = send(request("POST", "/v1/responses", body))
        that(f"responses: {name}: 400", openai(answer, 400), answer)
    answer = send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n")
    that("a head too large: 431", answer.status == 431, answer)
    answer = send(b"nonsense\r\n\r\n")
    that("no HTTP: 400", answer.status == 400, answer)
    answer = send(request("POST", "/v1/chat/completions", b"", headers={"Content-Length": "99999999999"}))
    that("a body too large: 413", answer.status == 413, answer)
    that("nothing went upstream", not prompts(), prompts())
    that("and it lives", send(request("GET", "/health", key=None)).status == 200)


@case("long prompt")
def _() -> None:
    answer = send(request("POST", "/v1/chat/completions", chat(LONG)))
    that("a megabyte", f"[{len(LONG)} characters" in answer.json["choices"][0]["message"]["content"], answer)


@case("rate limit")
def _() -> None:
    for path, body in {
        "/v1/chat/completions": chat(),
        f"/v1beta/models/{MODEL}:generateContent": GEMINI,
    }.items():
        until(lambda: False, 2.1)
        first = send(request("POST", path, body, key=None), TIGHT_URL)
        that(
            f"{path}: the first passes with its limits in headers",
            first.status == 200 and "x-ratelimit-limit-requests" in first.headers,
            first,
        )
        answer = send(request("POST", path, body, key=None), TIGHT_URL)
        that(f"{path}: the second is 429", answer.status == 429, answer)
        that(
            f"{path}: Retry-After in whole seconds",
            answer.headers.get("retry-after", "").isdigit(),
            answer.headers,
        )
        dialect = openai if path.startswith("/v1/") else google
        that(f"{path}: in its dialect", dialect(answer, 429), answer)
        that(
            f"{path}: CORS as well",
            "access-control-allow-origin"
            in send(
                request("POST", path, body, key=None, headers={"Origin": "https://a.example"}), TIGHT_URL
            ).headers,
        )


@case("upstream fault")
def _() -> None:
    defaults(words=300, frames=12)
    fault("truncate", frames=3)
    answer = send(request("POST", "/v1/chat/completions", chat(stream=True)))
    that(
        "an error event",
        "error" in answer.events[-1] and answer.events[-1]["error"]["message"],
        answer.body[-300:],
    )
    that(
        "no finish reason",
        not any(c.get("finish_reason") for e in answer.events for c in e.get("choices", [])),
    )
    answer = send(request("POST", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", GEMINI))
    that("Gemini: an error event", answer.events[-1].get("error", {}).get("status"), answer.body[-300:])
    answer = send(request("POST", f"/v1beta/models/{MODEL}:streamGenerateContent", GEMINI))
    that(
        "Gemini array: an error item or a cut",
        not answer.whole or "error" in answer.json[-1],
        answer.body[-300:],
    )
    answer = send(request("POST", "/v1/responses", {"model": MODEL, "input": "Hi", "stream": True}))
    that(
        "responses: error or response.failed",
        answer.events[-1]["type"] in ("error", "response.failed"),
        answer.body[-300:],
    )


@case("cancel")
def _() -> None:
    at = urlsplit(URL)
    for name, delays in {
        "before content": {"first_delay": 20.0},
        "amid content": {"words": 400, "frames": 40, "frame_delay": 0.3},
    }.items():
        defaults(**delays)
        for stream in (True, False):
            before = len(prompts())
            with socket.create_connection((at.hostname, at.port), timeout=10) as link:
                link.sendall(request("POST", "/v1/chat/completions", chat(stream=stream)))
                until(lambda before=before: len(prompts()) > before, 5)
                time.sleep(0.5)
            that(
                f"{name}, {'stream' if stream else 'whole'}: the upstream is left at once",
                until(lambda: prompts()[-1]["outcome"] == "aborted", 5),
                prompts()[-1],
            )
        defaults(first_delay=0.0)
