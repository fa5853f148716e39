"""What callers get wrong is told to them in their own dialect, with the field and the remedy."""

import base64
import json
from typing import Any

import httpx
import pytest

from core.errors import (
    DeadlineExceeded,
    GatewayError,
    InternalError,
    NoAccount,
    PoolBusy,
    PromptRefused,
    StoreUnavailable,
    UpstreamUnstable,
)
from tests.fakes.edge import Edge
from tests.fakes.service import Fail

CHAT = "/v1/chat/completions"
GENERATE = "/v1beta/models/gemini-2.5-pro:generateContent"
EDIT = "/v1beta/models/gemini-2.5-flash-image:editImage"
POSTS = [
    CHAT,
    "/v1/generate",
    "/v1/images/generations",
    "/v1/generate-images",
    GENERATE,
    "/v1beta/models/gemini-2.5-pro:countTokens",
]
GOOD: dict[str, Any] = {
    CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/generate": {"prompt": "hi"},
    "/v1/images/generations": {"prompt": "hi"},
    "/v1/generate-images": {"prompt": "hi"},
    GENERATE: {"contents": [{"parts": [{"text": "hi"}]}]},
    "/v1beta/models/gemini-2.5-pro:countTokens": {"contents": [{"parts": [{"text": "hi"}]}]},
}
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0data").decode()


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error's fields; the shape must be exactly the dialect's, and the request must have its id."""
    assert response.status_code == status, response.text
    assert response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    error: dict[str, Any] = body["error"]
    if response.request.url.path.startswith(("/v1beta/", "/gemini")):
        assert set(error) - {"details"} == {"code", "message", "status"}
        assert error["code"] == status
    else:
        assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith((".", ")"))
    return error


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    ("body", "param", "remedy"),
    [
        ({}, "messages", "Add it"),
        ({"messages": None}, "messages", "expected array"),
        ({"messages": []}, "messages", "at least one"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages", "Write something"),
        ({"messages": [{"role": "user", "content": None}]}, "messages", "Write something"),
        ({"messages": "hi"}, "messages", "expected array"),
        ({"messages": ["hi"]}, "messages[0]", "expected object"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role", "Add it"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role", "Use one of"),
        ({"messages": [{"role": 1, "content": "hi"}]}, "messages[0].role", "expected str"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content", "expected"),
        (user({"type": "text"}), "messages[0].content[0].text", "Add it"),
        (user({"text": "a"}), "messages[0].content[0].type", "Add it"),
        (user({"type": "hologram"}), "messages[0].content[0].type", "Use text"),
        (user({"type": "input_audio", "input_audio": {}}), "messages[0].content[0]", "not supported"),
        (user({"type": "image_url"}), "messages[0].content[0].image_url", "Add it"),
        (user(image(1)), "messages[0].content[0].image_url.url", "expected str"),
        (user(image("https://a.b/c.png")), "messages[0].content[0].image_url.url", "data URL"),
        (user(image("HTTP://a.b/c.png")), "messages[0].content[0].image_url.url", "data URL"),
        (user(image("ftp://a.b/c.png")), "messages[0].content[0].image_url.url", "data URL"),
        (user(image("data:image/png;base64")), "messages[0].content[0].image_url.url", "comma"),
        (user(image("data:image/png;base64,@@@@")), "messages[0].content[0].image_url.url", "base64"),
        (user(image("data:image/png;base64,A")), "messages[0].content[0].image_url.url", "base64"),
        (user(image("data:image/png;base64,")), "messages[0].content[0].image_url.url", "no data"),
        (user({"type": "file", "file": {"file_id": "f"}}), "messages[0].content[0].file.file_id", "data URL"),
        (
            user({"type": "file", "file": {"file_data": "x"}}),
            "messages[0].content[0].file.file_data",
            "data URL",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
            "messages[0].tool_calls[0].function",
            "missing",
        ),
        ({"n": 0}, "n", "from 1 to 4"),
        ({"n": 5}, "n", "from 1 to 4"),
        ({"n": "two"}, "n", "expected int"),
        ({"stream": "yes"}, "stream", "expected bool"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "expected bool"),
        ({"model": ""}, "model", "Name a model"),
        ({"model": 5}, "model", "expected str"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "/v1/responses"),
    ],
)
def test_a_wrong_chat_field_is_named_with_the_remedy(gate: Edge, body: Any, param: str, remedy: str) -> None:
    """`param` and the message name the field as the caller wrote it; the engine is never asked."""
    if body and "messages" not in body:
        body = {**GOOD[CHAT], **body}
    error = error_of(gate.http.post(CHAT, json=body), 400)
    assert error["param"] == param
    assert param in error["message"]
    assert remedy in error["message"]
    assert error["type"] == "invalid_request_error"
    assert gate.chat.asks == []


def parts(*items: Any) -> dict[str, Any]:
    return {"contents": [{"parts": list(items)}]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": [{"role": "robot", "parts": [{"text": "a"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": []}]}, "contents"),
        (parts({}), "contents[0].parts[0]"),
        (parts({"text": 1}), "contents[0].parts[0].text"),
        (parts({"fileData": {"fileUri": "x"}}), "contents[0].parts[0].fileData.fileUri"),
        (parts({"file_data": {"file_uri": "x"}}), "contents[0].parts[0].file_data.file_uri"),
        (parts({"executableCode": {}}), "contents[0].parts[0].executableCode"),
        (parts({"inlineData": {"mimeType": "image/png"}}), "contents[0].parts[0].inlineData.data"),
        (
            parts({"inline_data": {"mime_type": 1, "data": JPEG}}),
            "contents[0].parts[0].inline_data.mime_type",
        ),
        (parts({"inline_data": {"mimeType": 1, "data": JPEG}}), "contents[0].parts[0].inline_data.mimeType"),
        (
            parts({"inlineData": {"mimeType": "image/png", "data": "?"}}),
            "contents[0].parts[0].inlineData.data",
        ),
        (parts({"functionCall": {}}), "contents[0].parts[0].functionCall.name"),
        ({"generationConfig": {"candidateCount": 9}}, "generationConfig.candidateCount"),
        ({"generation_config": {"candidate_count": 9}}, "generation_config.candidate_count"),
        ({"generationConfig": {"responseMimeType": "text/csv"}}, "generationConfig.responseMimeType"),
        ({"generationConfig": {"response_schema": 1}}, "generationConfig.response_schema"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"generationConfig": {"responseModalities": ["VIDEO"]}}, "generationConfig.responseModalities"),
        (
            {"generation_config": {"response_modalities": ["TEXT", "AUDIO"]}},
            "generation_config.response_modalities",
        ),
        ({"generationConfig": {"responseModalities": "audio"}}, "generationConfig.responseModalities"),
        (
            {"generationConfig": {"responseMimeType": "text/x.enum"}},
            "generationConfig.responseMimeType",
        ),
        (parts({"inlineData": {"data": JPEG}}), "contents[0].parts[0].inlineData.mimeType"),
        (
            parts({"inline_data": {"mime_type": "picture", "data": JPEG}}),
            "contents[0].parts[0].inline_data.mime_type",
        ),
        (
            parts({"inlineData": {"mimeType": "image/png\r\nx: y", "data": JPEG}}),
            "contents[0].parts[0].inlineData.mimeType",
        ),
    ],
)
def test_a_wrong_gemini_field_is_named_as_the_caller_spelled_it(gate: Edge, body: Any, field: str) -> None:
    """The message and the BadRequest detail name it."""
    if body and "contents" not in body:
        body = {**GOOD[GENERATE], **body}
    error = error_of(gate.http.post(GENERATE, json=body), 400)
    assert f"'{field}'" in error["message"]
    assert error["status"] == "INVALID_ARGUMENT"
    assert error["details"][0]["fieldViolations"][0]["field"] == field
    assert gate.chat.asks == []


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"{", "not valid JSON"),
        (b'{"a": }', "character 6"),
        (b'{"a": 1} x', "not valid JSON"),
        (b"[]", "not an array"),
        (b"null", "not null"),
        (b'"a"', "not a string"),
        (b"3", "not a number"),
        (b'{"a": "\xff"}', "not valid UTF-8 at byte 7"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_the_place(
    gate: Edge, path: str, raw: bytes, says: str
) -> None:
    """Never a 500, and never a word of the decoder's own."""
    error = error_of(gate.http.post(path, content=raw, headers={"content-type": "application/json"}), 400)
    assert says in error["message"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("type", "status"),
    [
        (None, 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("application/vnd.api+json", 200),
        ("application/x-www-form-urlencoded", 200),
        ("text/plain", 200),
        ("text/xml", 415),
        ("multipart/form-data; boundary=x", 415),
        ("image/png", 415),
    ],
)
def test_a_type_that_is_clearly_not_json_is_refused(
    gate: Edge, path: str, type: str | None, status: int
) -> None:
    """curl's default type and a missing one are taken where the body looks like JSON."""
    headers = {"content-type": type} if type else {}
    response = gate.http.post(path, content=json.dumps(GOOD[path]).encode(), headers=headers)
    assert response.status_code == status
    if status == 415:
        assert "Content-Type: application/json" in error_of(response, 415)["message"]


def test_a_form_or_a_compressed_body_is_refused(gate: Edge) -> None:
    """415 says which form of body is taken."""
    error_of(gate.http.post(CHAT, data={"a": "b"}), 415)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert (
        "uncompressed" in error_of(gate.http.post(GENERATE, content=b"{}", headers=headers), 415)["message"]
    )


@pytest.mark.parametrize(
    "raw",
    [
        b'\xef\xbb\xbf{"prompt":"hi"}',
        b'{"prompt":"hi","x":NaN,"y":Infinity}',
        b'{"prompt":"no","prompt":"hi"}',
        b'{"prompt":"hi","x":"\\ud83d"}',
        b'{"prompt":"hi","x":1e999}',
    ],
)
def test_what_lax_encoders_write_is_taken(gate: Edge, raw: bytes) -> None:
    """A byte order mark, NaN, duplicate keys, half a surrogate pair."""
    assert gate.http.post("/v1/generate", content=raw).json()["text"] == "You said: hi"


def test_half_an_emoji_is_replaced_before_it_reaches_the_engine(gate: Edge) -> None:
    """A lone surrogate could not be encoded on its way up."""
    gate.http.post("/v1/generate", content=b'{"prompt":"hi \\ud83d"}')
    assert gate.chat.asks[0].messages[0].text == "hi \ufffd"


def test_unsupported_media_is_415(gate: Edge) -> None:
    """Sound and film; the field is named."""
    for mime in ("audio/wav", "video/mp4"):
        body = parts({"inlineData": {"mimeType": mime, "data": "AAAA"}})
        assert (
            "contents[0].parts[0].inlineData.data"
            in error_of(gate.http.post(GENERATE, json=body), 415)["message"]
        )


@pytest.mark.parametrize("data", [b"\0\0\0", b"%PDF-1.4", b"hello", b"PK\3\4"])
def test_what_is_no_picture_is_400_in_every_dialect(gate: Edge, data: bytes) -> None:
    """The field is named, and what may be sent instead."""
    text = base64.b64encode(data).decode()
    url = f"data:image/png;base64,{text}"
    wire: list[tuple[str, Any, str]] = [
        (CHAT, user(image(url)), "messages[0].content[0].image_url.url"),
        ("/v1/images/edits", {"prompt": "x", "image": url}, "image"),
        ("/v1/images/edit", {"prompt": "x", "image": text}, "image"),
        ("/v1/generate-images", {"prompt": "x", "image": url}, "image"),
        (EDIT, {"prompt": "x", "image": {"mimeType": "image/png", "data": text}}, "image.data"),
    ]
    if not data.startswith(b"%PDF"):  # which is a document there
        inline = parts({"inlineData": {"mimeType": "image/png", "data": text}})
        wire.append((GENERATE, inline, "contents[0].parts[0].inlineData.data"))
    for path, body, field in wire:
        message = error_of(gate.http.post(path, json=body), 400)["message"]
        assert f"'{field}'" in message, path
        assert "picture" in message
    form = gate.http.post(
        "/v1/images/edits", data={"prompt": "x"}, files={"image": ("a.png", data, "image/png")}
    )
    assert error_of(form, 400)["param"] == "image"


@pytest.mark.parametrize("path", POSTS)
def test_too_large_is_413(gate: Edge, path: str) -> None:
    """The message names the bound."""
    error = error_of(gate.http.post(path, json={"prompt": "x" * 300_000}), 413)
    assert "200000 bytes" in error["message"]


def test_an_unknown_model_is_404_with_the_known_ones(gate: Edge) -> None:
    """On every route that takes a model, before a stream's head is sent."""
    for response in (
        gate.http.post(CHAT, json={**GOOD[CHAT], "model": "gpt-9"}),
        gate.http.post(CHAT, json={**GOOD[CHAT], "model": "gpt-9", "stream": True}),
        gate.http.post("/v1/generate", json={"prompt": "a", "model": "gpt-9"}),
        gate.http.get("/v1/models/gpt-9"),
    ):
        error = error_of(response, 404)
        assert error["code"] == "model_not_found"
        assert "gemini-2.5-pro" in error["message"]
    for method in (
        "generateContent",
        "streamGenerateContent",
        "streamGenerateContent?alt=sse",
        "countTokens",
    ):
        response = gate.http.post(f"/v1beta/models/gpt-9:{method}", json=GOOD[GENERATE])
        assert error_of(response, 404)["status"] == "NOT_FOUND"
    assert "gemini-2.5-pro" in error_of(gate.http.get("/v1beta/models/gpt-9"), 404)["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nope", 404, None),
        ("GET", "/v1/nope", 404, None),
        ("GET", "/v1betamax/models", 404, None),
        ("POST", "/gemini", 404, None),
        ("GET", "/gemini/nope", 404, None),
        ("POST", "/v1beta/models/gemini-2.5-pro:dance", 404, None),
        ("POST", "/v1beta/models/gemini-2.5-pro", 405, "GET, HEAD"),
        ("GET", GENERATE, 405, "POST"),
        ("GET", CHAT, 405, "POST"),
        ("HEAD", CHAT, 405, "POST"),
        ("DELETE", "/v1/models/x", 405, "GET, HEAD, POST"),
        ("PUT", "/health", 405, "GET, HEAD"),
        ("POST", "/v1beta/models", 405, "GET, HEAD"),
    ],
)
def test_unknown_routes_and_methods_answer_in_their_dialect(
    gate: Edge, method: str, path: str, status: int, allow: str | None
) -> None:
    """404 and 405 have the shape of the path's family; 405 lists what is allowed."""
    response = gate.http.request(method, path)
    if method == "HEAD":
        assert response.status_code == status
        assert response.content == b""
    else:
        error_of(response, status)
    assert response.headers.get("allow") == allow


FAILURES: list[tuple[GatewayError, int, str, str, str | None]] = [
    (
        PoolBusy("All accounts are busy.", retry_after=1.2),
        429,
        "rate_limit_exceeded",
        "RESOURCE_EXHAUSTED",
        "2",
    ),
    (PoolBusy("All accounts are busy."), 429, "rate_limit_exceeded", "RESOURCE_EXHAUSTED", "1"),
    (NoAccount("No account.", retry_after=30), 503, "no_account_available", "UNAVAILABLE", "30"),
    (StoreUnavailable("No store."), 503, "store_unavailable", "UNAVAILABLE", "5"),
    (DeadlineExceeded("Too late."), 504, "deadline_exceeded", "DEADLINE_EXCEEDED", None),
    (PromptRefused("I will not."), 400, "content_filter", "INVALID_ARGUMENT", None),
    (InternalError("A fault."), 500, "internal_error", "INTERNAL", None),
    (UpstreamUnstable("raw upstream words", kind="garbage"), 502, "upstream_error", "UNAVAILABLE", None),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("failure", "status", "code", "google", "wait"), FAILURES)
def test_the_engines_errors_before_the_first_content(
    gate: Edge, failure: GatewayError, status: int, code: str, google: str, wait: str | None, stream: bool
) -> None:
    """Status, code, wait and retry advice are the error's own, streamed or not; details of it stay inside."""
    gate.chat.say(Fail(failure))
    response = gate.http.post(CHAT, json={**GOOD[CHAT], "stream": stream})
    error = error_of(response, status)
    assert error["code"] == code
    assert response.headers.get("retry-after") == wait
    assert response.headers.get("x-should-retry") == ("false" if failure.retryable is False else None)
    assert (f"try again in {wait}s" in error["message"]) is (wait is not None)
    assert response.headers["x-gempool-attempts"] == "1"
    assert "raw upstream" not in response.text

    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    response = gate.http.post(f"/v1beta/models/gemini-2.5-pro:{method}", json=GOOD[GENERATE])
    error = error_of(response, status)
    assert error["status"] == google
    assert response.headers.get("retry-after") == wait
    expected = (
        [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}] if wait else None
    )
    assert error.get("details") == expected


@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_of_ours_is_a_500_that_leaks_nothing(gate: Edge, stream: bool) -> None:
    """An exception that nobody planned for becomes a plain 500; its words stay in the log."""
    gate.chat.say(Fail(RuntimeError("cookie=very-secret")))
    for path in (CHAT, GENERATE.replace("generate", "streamGenerate") if stream else GENERATE):
        response = gate.http.post(path, json={**GOOD[CHAT], **GOOD[GENERATE], "stream": stream})
        error_of(response, 500)
        assert "secret" not in response.text
        assert "Traceback" not in response.text


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "é", "a/b"])
def test_a_request_id_that_is_not_plain_is_replaced(gate: Edge, given: str) -> None:
    """What could break a log line is not repeated."""
    response = gate.http.get("/health", headers={"x-request-id": given.encode()})
    assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("given", ["a", "x" * 128, "0f3c-4.5_6"])
def test_a_plain_request_id_is_the_callers_own_also_on_errors(gate: Edge, given: str) -> None:
    """So that a caller finds the request in our log."""
    for path in ("/health", "/nope"):
        assert gate.http.get(path, headers={"x-request-id": given}).headers["x-request-id"] == given


def test_a_bad_host_header_is_a_plain_400(gate: Edge) -> None:
    """A Host that is none is the caller's mistake and rendered as such."""
    response = gate.http.get("/nope", headers={"host": "a b"})
    assert response.status_code in (400, 403)
    assert response.json()["error"]["message"]
