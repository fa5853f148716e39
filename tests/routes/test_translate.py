"""Laws of the translations between the wire and the engine."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import Delta, Event, Finish, Usage
from core.errors import FAR, GatewayError, PoolBusy
from routes import body
from routes.dialect import dialect_of
from routes.errors import headers_of, message_of
from routes.gemini.framing import ArrayFraming, EventFraming
from routes.gemini.spelling import OPAQUE, camel_case, camelized
from routes.gemini.translate import messages_of as gemini_messages
from routes.gemini.wire import GenerateRequest
from routes.openai.framing import ChunkFraming
from routes.openai.translate import messages_of as openai_messages
from routes.openai.wire import ChatRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from([
    "contents", "parts", "role", "text", "inlineData", "mimeType", "data", "systemInstruction", "generationConfig",
    "candidateCount", "thinkingConfig", "functionCall", "messages", "content", "type", "image_url", "url", "name",
    "tool_calls", "function", "arguments",
])  # fmt: skip
SHAPED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["user", "model", "text", "image_url", "data:,x", "Zg"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(FIELDS, SHAPED, max_size=5))
def test_no_json_object_breaks_a_translation(value: dict[str, Any]) -> None:
    """Whatever a body holds, it is a conversation or an error for the caller."""
    try:
        assert openai_messages(body.convert(value, ChatRequest))
    except GatewayError as error:
        assert 400 <= error.status < 500
    try:
        request = body.convert(camelized(value), GenerateRequest)
        assert gemini_messages(request.contents, request.system_instruction)
    except GatewayError as error:
        assert 400 <= error.status < 500
        body.respelled(error, value)  # type: ignore[arg-type]


@given(st.binary())
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    """A JSON object, or an error for the caller."""
    try:
        assert isinstance(body.parse(raw), dict)
    except GatewayError as error:
        assert error.status == 400


@given(JSON)
def test_spelling_is_settled_after_one_pass(value: Any) -> None:
    """Camelizing twice is camelizing once."""
    assert camelized(camelized(value)) == camelized(value)


@given(st.from_regex(r"\A[a-z]+([A-Z][a-z]+)*\Z"))
def test_snake_and_camel_are_each_others_inverse(name: str) -> None:
    """For names as Google writes them."""
    assert camel_case(body.snake_case(name)) == name
    if name not in OPAQUE:
        assert camelized({body.snake_case(name): [{body.snake_case(name): 1}]}) == {name: [{name: 1}]}
        assert body.respell(f"{name}[0].{name}", {body.snake_case(name): [{name: 1}]}) == (
            f"{body.snake_case(name)}[0].{name}"
        )


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=3))
def test_the_callers_own_data_keeps_its_keys(own: dict[str, Any]) -> None:
    """Arguments and results of functions are never respelled."""
    call = {"function_call": {"name": "f", "args": own}}
    assert camelized(call) == {"functionCall": {"name": "f", "args": own}}


@given(st.lists(st.tuples(st.text(), st.text()), max_size=8))
def test_framed_deltas_add_up_to_the_answer(deltas: list[tuple[str, str]]) -> None:
    """In all three framings, whatever the text holds: no piece lost, split or joined with another."""
    import json

    events: list[Event] = [*(Delta(text, thoughts) for text, thoughts in deltas), Finish(Usage(1, 1), "m")]
    text = "".join(delta[0] for delta in deltas)
    thoughts = "".join(delta[1] for delta in deltas)

    chunks = ChunkFraming(id="i", created=1, model="m", n=1, include_usage=True)
    raw = b"".join(chunks.event(0, event) for event in events) + chunks.end()
    *found, done = [json.loads(item) if item != "[DONE]" else item for item in _data(raw)]
    assert done == "[DONE]"
    pieces = [chunk["choices"][0]["delta"] for chunk in found[:-1]]
    assert "".join(piece.get("content", "") for piece in pieces) == text
    assert "".join(piece.get("reasoning_content", "") for piece in pieces) == thoughts

    stream = EventFraming(id="i", model="m", n=1, show_thoughts=True)
    array = ArrayFraming(id="i", model="m", n=1, show_thoughts=True)
    as_events = [
        json.loads(item)
        for item in _data(b"".join(stream.event(0, event) for event in events) + stream.end())
    ]
    as_array = json.loads(b"".join(array.keepalive + array.event(0, event) for event in events) + array.end())
    assert as_events == as_array
    parts = [part for chunk in as_array for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts if not part.get("thought")) == text
    assert "".join(part["text"] for part in parts if part.get("thought")) == thoughts


def _data(raw: bytes) -> list[str]:
    blocks = raw.decode().split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [block[6:] for block in blocks]


def test_an_array_without_items_is_an_array() -> None:
    """A stream that ends before its first item is still valid JSON."""
    array = ArrayFraming(id="i", model="m", n=1, show_thoughts=True)
    assert array.end() == b"[]\n"


@given(st.floats(min_value=-5, max_value=1e6))
def test_a_wait_is_whole_seconds_and_never_too_short(seconds: float) -> None:
    """Rounded up, at least one, and the same in the header and the sentence."""
    error = PoolBusy("Busy.", retry_after=seconds)
    headers = dict(headers_of(error))
    value = headers.pop(b"retry-after")
    assert headers == ({b"x-should-retry": b"false"} if int(value) > FAR else {})
    assert int(value) >= max(1, seconds)
    assert int(value) < max(seconds, 0) + 1 + 1e-6 or int(value) == 1
    assert message_of(error) == f"Busy. Please try again in {int(value)}s."


@pytest.mark.parametrize(
    ("method", "path", "google_key", "dialect"),
    [
        ("GET", "/v1/models", False, "openai"),
        ("GET", "/v1/models", True, "google"),
        ("GET", "/v1/models/a/b:c", False, "openai"),
        ("GET", "/v1/models/a/b:c", True, "google"),
        ("POST", "/v1/models/a:generateContent", False, "google"),
        ("POST", "/v1/models", False, "openai"),
        ("GET", "/v1/modelsx", True, "openai"),
        ("POST", "/v1/chat/completions", True, "openai"),
        ("GET", "/v1beta", False, "google"),
        ("GET", "/v1beta/x", False, "google"),
        ("GET", "/v1betax", False, "openai"),
        ("GET", "/gemini/v1/models", False, "google"),
        ("GET", "/gemini", False, "google"),
        ("GET", "/", True, "openai"),
    ],
)
def test_the_path_decides_the_dialect(method: str, path: str, google_key: bool, dialect: str) -> None:
    """Only `/v1/models...` asks how the key was sent."""
    assert dialect_of(method, path, google_key) == dialect
