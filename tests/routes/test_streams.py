"""Streams over time: the held head, signs of life, failures in the middle, callers who leave."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.chat import Delta, Event, Finish, Picture, Usage
from core.errors import GatewayError, NoAccount, PoolBusy
from tests.fakes.edge import Edge
from tests.fakes.server import until
from tests.fakes.service import Fail, Pause, Step
from tests.support.files import PNG

CHAT = "/v1/chat/completions"
SSE = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
ARRAY = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
STREAMS = [CHAT, SSE, ARRAY]
IMAGES = "/v1/images/generations"
WHOLES = [CHAT, "/v1/generate", "/v1beta/models/gemini-2.5-pro:generateContent", IMAGES]
END = Finish(Usage(1, 1), "m")


def body(path: str, *, stream: bool = True, n: int = 1) -> dict[str, Any]:
    if path == CHAT:
        return {"messages": [{"role": "user", "content": "hi"}], "stream": stream, "n": n}
    if path == "/v1/generate":
        return {"prompt": "hi"}
    if path == IMAGES:
        return {"prompt": "hi", "n": n, "stream": stream}
    return {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"candidateCount": n}}


@contextmanager
def connected(gate: Edge, path: str, payload: dict[str, Any]) -> Iterator[socket.socket]:
    """A raw connection that has sent a request."""
    data = json.dumps(payload).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        connection.sendall(head.encode() + data)
        yield connection


def receive_until(connection: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


@pytest.mark.parametrize("path", STREAMS)
def test_the_head_is_held_until_the_first_content(gate: Edge, path: str) -> None:
    """So a failure within the wait can still choose the status."""
    gate.chat.say(Pause(0.05), Fail(NoAccount("Nobody is there.", retry_after=3)))
    response = gate.http.post(path, json=body(path))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "3"
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "alive"),
    [
        (CHAT, ": keep-alive\n\n"),
        (SSE, 'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"index":0}]'),
        (ARRAY, "\n"),
    ],
)
def test_a_long_wait_gets_a_head_and_signs_of_life(gate: Edge, path: str, alive: str) -> None:
    """A comment for OpenAI's clients, an empty chunk or white space for Google's, before and between contents."""
    gate.chat.say(Pause(0.4), Delta("a"), Pause(0.35), Delta("b"), END)
    response = gate.http.post(path, json=body(path))
    assert response.status_code == 200
    assert response.text.startswith(alive)
    before, _, after = response.text.partition('"a"')
    assert before.count(alive) >= 2
    assert after.partition('"b"')[0].count(alive) >= 2
    if path == ARRAY:
        assert [item["candidates"][0]["content"]["parts"][0]["text"] for item in response.json()] == [
            "a",
            "b",
            "",
        ]
    if path == SSE:
        assert not [line for line in response.text.split("\n") if line and not line.startswith("data: {")]


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize(
    "failure", [PoolBusy("Too much.", retry_after=2), RuntimeError("cookie=very-secret")]
)
@pytest.mark.parametrize("begin", [Delta("a"), Pause(0.4)])
def test_a_failure_after_the_head_ends_the_stream_with_the_families_error(
    gate: Edge, path: str, failure: Exception, begin: Step
) -> None:
    """An error event in the dialect's shape, nothing after it, no [DONE], and the connection stays sound."""
    gate.chat.say(begin, Fail(failure))
    response = gate.http.post(path, json=body(path))
    assert response.status_code == 200
    assert "[DONE]" not in response.text
    assert "secret" not in response.text
    if path == ARRAY:
        last = response.json()[-1]
    else:
        last = json.loads(response.text.rstrip("\n").rpartition("\n\n")[2].removeprefix("data: "))
    known = isinstance(failure, GatewayError)
    if path == CHAT:
        assert set(last["error"]) == {"message", "type", "param", "code"}
        assert last["error"]["code"] == ("rate_limit_exceeded" if known else "internal_error")
    else:
        assert last["error"]["code"] == (429 if known else 500)
        assert last["error"]["status"] == ("RESOURCE_EXHAUSTED" if known else "INTERNAL")
    assert gate.http.get("/ready").status_code == 200


def test_one_failing_choice_ends_all_of_them(gate: Edge) -> None:
    """Half an answer is none; the other choices are closed."""
    scripts: Iterator[list[Step]] = iter(
        [[Delta("a"), Pause(30), END], [Delta("b"), Pause(0.05), Fail(NoAccount("Gone."))]]
    )
    gate.chat.script = lambda ask: next(scripts)
    response = gate.http.post(CHAT, json=body(CHAT, n=2))
    assert '"no_account_available"' in response.text
    assert (gate.chat.running, gate.chat.closed) == (0, 1)
    scripts = iter([[Pause(30), END], [Pause(0.05), Fail(NoAccount("Gone."))]])
    assert gate.http.post(CHAT, json=body(CHAT, stream=False, n=2)).status_code == 503
    assert gate.chat.running == 0


def test_a_caller_who_leaves_before_pictures_are_streamed_frees_everything(gate: Edge) -> None:
    """All of them, though nothing has been said yet."""
    gate.chat.say(Pause(60), END)
    with connected(gate, IMAGES, body(IMAGES, n=4)) as connection:
        receive_until(connection, b": keep-alive")
        until(lambda: gate.chat.running == 4)
    until(lambda: gate.chat.running == 0, within=1.0)
    assert gate.chat.closed == 4


@pytest.mark.parametrize("path", [IMAGES, CHAT])
@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_leaves_amid_a_picture_is_forgotten(gate: Edge, path: str, stream: bool) -> None:
    """What is left of a large answer is neither coded nor sent."""
    picture = Picture(PNG + bytes(32 * 1024 * 1024), "image/png")
    gate.chat.say(picture, END)
    before = gate.metric("gempool_cancelled_total")
    with connected(gate, path, body(path, stream=stream, n=4)) as connection:
        receive_until(connection, b"AAAAAAAA")
    until(lambda: gate.metric("gempool_cancelled_total") == before + 1)
    until(lambda: gate.metric("gempool_requests_in_flight") == 0, within=1.0)


@pytest.mark.parametrize("begin", [[], [Delta("a")]])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("path", STREAMS)
def test_a_caller_who_leaves_a_stream_frees_everything(
    gate: Edge, path: str, n: int, begin: list[Event]
) -> None:
    """Before and after the first content, the engine's generators are closed within a second."""
    gate.chat.say(*begin, Pause(60), END)
    before = gate.metric("gempool_cancelled_total")
    with connected(gate, path, body(path, n=n)) as connection:
        if begin:
            receive_until(connection, b'"a"')
        until(lambda: gate.chat.running == n)
    until(lambda: gate.chat.running == 0, within=1.0)
    assert gate.chat.closed == n
    until(lambda: gate.metric("gempool_cancelled_total") == before + 1, within=1.0)
    until(lambda: gate.metric("gempool_requests_in_flight") == 0, within=1.0)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("path", WHOLES)
def test_a_caller_who_leaves_a_whole_answer_frees_everything(gate: Edge, path: str, n: int) -> None:
    """An answer that is not streamed stops as soon as nobody waits for it."""
    n = 1 if path == "/v1/generate" else n
    gate.chat.say(Pause(60), END)
    with connected(gate, path, body(path, stream=False, n=n)):
        until(lambda: gate.chat.running == n)
    until(lambda: gate.chat.running == 0, within=1.0)
    assert gate.chat.closed == n


def test_a_caller_who_leaves_amid_fast_content_frees_everything(gate: Edge) -> None:
    """Also where the stream is being sent and not waited for."""
    gate.chat.say(*[step for _ in range(5000) for step in (Delta("x" * 1000), Pause(0.001))], END)
    with connected(gate, CHAT, body(CHAT)) as connection:
        receive_until(connection, b"xxx")
    until(lambda: gate.chat.running == 0, within=1.0)


def test_a_slow_reader_holds_the_stream_back(gate: Edge) -> None:
    """A caller who does not read makes the engine wait instead of filling the gateway's memory."""
    taken = 0

    def script(ask: object) -> Any:
        nonlocal taken
        for _ in range(2000):
            taken += 1
            yield Delta("x" * 100_000)
            yield Pause(0)
        yield END

    gate.chat.script = script
    with connected(gate, CHAT, body(CHAT)) as connection:
        receive_until(connection, b"xxx")
        until(lambda: taken > 0)
        seen = -1
        deadline = time.monotonic() + 5
        while seen != taken and time.monotonic() < deadline:
            seen = taken
            threading.Event().wait(0.3)
        assert taken == seen
        assert taken < 1000
    until(lambda: gate.chat.running == 0, within=1.0)
