"""What one request may hold: bounds named to the caller, and the loop free for everybody else meanwhile."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RequestTooLarge
from routes.body import IN_A_THREAD
from routes.bounds import GAP, VALUES, check_density
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
    "body",
    [
        b'{"a":[' + b'"x",' * VALUES + b"1]}",
        b'{"a":[' + b"{}," * VALUES + b"1]}",
        b'{"a":' + b" " * GAP + b"1}",
        b'{"a":"' + rb"\"" * 1_100_000 + b'"}',
    ],
)
def test_a_body_of_too_many_values_is_refused_undecoded(body: bytes) -> None:
    """Whatever the field that holds them."""
    with pytest.raises(RequestTooLarge):
        check_density(body)


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
