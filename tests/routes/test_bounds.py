"""What one request may hold: bounds named to the caller, and the loop free for everybody else meanwhile."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RequestTooLarge
from routes.body import IN_A_THREAD, understood
from routes.bounds import ESCAPES, GAP, VALUES, check_density, outermost_field
from tests.fakes.edge import Edge, edge

CHAT = "/v1/chat/completions"
GENERATE = "/v1beta/models/gemini-2.5-pro:generateContent"
COUNT = "/v1beta/models/gemini-2.5-pro:countTokens"
USER = {"role": "user", "content": "hi"}
URL = "data:application/pdf;base64,JVBERi0="
FILE = {"type": "file", "file": {"file_data": URL}}
INLINE = {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}


def chat(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def contents(*parts: Any) -> dict[str, Any]:
    return {"contents": [{"parts": list(parts)}]}


@pytest.mark.parametrize(
    ("path", "body", "field", "bound"),
    [
        (CHAT, {"messages": [USER] * 2001}, "messages", "2000"),
        (CHAT, chat(*[{"type": "text", "text": "a"}] * 4001), "messages[0].content", "4000"),
        (CHAT, chat(*[FILE] * 17), "messages[0].content[16]", "16"),
        (CHAT, {"messages": [{**USER, "content": "x" * 4194305}]}, "messages[0].content", "4194304"),
        ("/v1/generate", {"prompt": "x" * 4194305}, "prompt", "4194304"),
        (GENERATE, {"contents": [{"parts": [{"text": "a"}]}] * 2001}, "contents", "2000"),
        (COUNT, {"contents": [{"parts": [{"text": "a"}]}] * 2001}, "contents", "2000"),
        (GENERATE, contents(*[{"text": "a"}] * 4001), "contents[0].parts", "4000"),
        (GENERATE, contents(*[INLINE] * 17), "contents[0].parts[16].inlineData", "16"),
        (GENERATE, contents({"text": "x" * 4194305}), "contents[0].parts[0].text", "4194304"),
    ],
)
def test_more_than_the_bound_is_413_naming_field_and_bound(
    path: str, body: Any, field: str, bound: str
) -> None:
    """Messages, parts, files and text are bounded in both dialects; the engine is never asked."""
    with edge() as found:
        response = found.http.post(path, json=body)
        assert response.status_code == 413
        assert f"'{field}'" in response.json()["error"]["message"]
        assert bound in response.json()["error"]["message"]
        assert found.chat.asks == []


def test_a_large_request_within_the_bounds_is_answered(gate: Edge) -> None:
    """What goes through a thread is understood as ever."""
    body = {"messages": [{**USER, "content": 'é"\\ ' * (IN_A_THREAD // 4)}, USER]}
    response = gate.http.post(CHAT, json=body)
    assert response.json()["choices"][0]["message"]["content"] == "You said: hi"
    assert gate.chat.asks[0].messages[0].text == body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"a":[' + b'"x",' * VALUES + b"1]}", "a"),
        (b'{"b":{"a":"]"},"a" : [' + b"{}," * VALUES + b"1]}", "a"),
        (b'{"a":' + b" " * GAP + b"1}", "a"),
        (b'{"prompt":"' + rb"\"" * (ESCAPES + 1) + b'"}', "prompt"),
        (b'{"messages":[{"content":"' + rb"\\" * ESCAPES + b'"}]}', "messages"),
        (b'{"contents":[{"text":"' + rb"\u00e9" * (ESCAPES + 1), "contents"),
        (b"[" * (VALUES + 1), None),
    ],
)
def test_a_body_of_too_many_values_or_escapes_is_refused_undecoded(body: bytes, field: str | None) -> None:
    """Whatever the field that holds them, its outermost name is told."""
    with pytest.raises(RequestTooLarge) as refusal:
        check_density(body)
    assert refusal.value.param == field
    assert f"'{field}'" in refusal.value.message if field else True


def test_a_long_program_is_no_dense_body() -> None:
    """900 kB of source code, all of its quotes and line ends escaped, is taken; also as JSON within JSON."""
    code = 'if (name == "x\\"y") {\n\tprint("\\n");\n}\n' * 25_000
    assert len(code) > 900_000
    for text in (code, json.dumps(code)):
        check_density(json.dumps({"prompt": text}).encode())
    with edge() as found:
        response = found.http.post("/v1/generate", json={"prompt": code})
        assert response.json()["text"].endswith(code)


def test_a_hostile_body_does_not_hold_up_the_others() -> None:
    """38 MB of escaped quotes are refused by name, and the event loop never waits for it as long as 50 ms."""
    body = b'{"prompt":"' + rb"\"" * 19_000_000 + b'"}'
    stalls: list[float] = []

    async def refused() -> RequestTooLarge:
        loop = asyncio.get_running_loop()
        asking = asyncio.ensure_future(understood(body, lambda found: found))
        while not asking.done():
            before = loop.time()
            await asyncio.sleep(0.001)
            stalls.append(loop.time() - before)
        with pytest.raises(RequestTooLarge) as refusal:
            await asking
        return refusal.value

    assert asyncio.run(refused()).param == "prompt"
    assert max(stalls) < 0.05


@given(st.dictionaries(st.text(min_size=1, max_size=5, alphabet="abc"), st.recursive(
    st.text(alphabet='\\"[]{}:,a', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='\\"a:', max_size=3), inner, max_size=3),
), min_size=1, max_size=4))  # fmt: skip
def test_the_outermost_field_is_the_one_that_holds_the_place(value: dict[str, Any]) -> None:
    """At every byte of every member's value, whatever its strings hold."""
    body = b"{"
    for key, inner in value.items():
        body += json.dumps(key).encode() + b" : "
        begin = len(body)
        body += json.dumps(inner).encode()
        for position in (begin, (begin + len(body)) // 2, len(body) - 1):
            assert outermost_field(body, position) == key
        body += b", "


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_any_small_body_passes(value: Any) -> None:
    """Quotes, backslashes and brackets inside strings are no structure."""
    check_density(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@settings(max_examples=20)
@given(st.text(alphabet='\\"[{,a', max_size=30))
def test_structure_inside_strings_does_not_count(text: str) -> None:
    """A prompt of nothing but brackets is one value."""
    check_density(json.dumps({"prompt": text + "[{," * VALUES}).encode())


def test_a_number_of_thousands_of_digits_in_a_field_that_is_not_read_does_no_harm(gate: Edge) -> None:
    """Python would refuse to convert it; nobody asked for its value."""
    body = b'{"prompt": "hi", "x": ' + b"9" * 5000 + b"}"
    assert gate.http.post("/v1/generate", content=body).status_code == 200
