"""Laws of OpenAI's dialect: whatever a body holds, it is a request or an error that names its field."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from core.chat import Message, Text, Toolbox, ToolCall
from core.errors import GatewayError
from routes import EdgeSettings, body
from routes.bounds import Tally
from routes.openai import tools, translate
from routes.openai.responses import recall
from routes.openai.responses import translate as responses
from routes.openai.responses.wire import ResponseRequest
from routes.openai.wire import ChatRequest

FIELDS = st.sampled_from([
    "input", "tools", "tool_choice", "functions", "function_call", "response_format", "text", "format", "json_schema",
    "schema", "type", "name", "function", "parameters", "properties", "allowed_tools", "mode", "role", "content", "id",
    "call_id", "output", "result", "image_url", "file_data", "conversation", "metadata", "temperature", "reasoning",
    "messages", "tool_calls", "arguments", "refusal",
])  # fmt: skip
WORDS = st.sampled_from([
    "user", "assistant", "function", "auto", "required", "none", "allowed_tools", "json_schema", "json_object", "object",
    "message", "function_call", "function_call_output", "item_reference", "reasoning", "image_generation_call",
    "input_text", "output_text", "input_image", "input_file", "refusal", "image_generation", "f", "", "data:,x",
    "sticky", "msg_" + "0" * 32 + "_0", "Zg",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=20,
)
BODIES = st.dictionaries(FIELDS, VALUES, max_size=6)


def holds(understand: Callable[[], object]) -> None:
    """It is understood, or refused with the field and a remedy."""
    try:
        understand()
    except GatewayError as error:
        assert 400 <= error.status < 500
        assert error.param
        assert f"'{error.param}'" in error.message


@given(BODIES)
def test_any_offer_of_a_chat_is_understood_or_refused(value: dict[str, Any]) -> None:
    """Tools, choices, formats and conversations."""

    def understand() -> None:
        request = body.convert({"messages": [], **value}, ChatRequest)
        tally = Tally(EdgeSettings())
        box = translate.toolbox_of(request, tally)
        assert box is None or box.tools
        translate.shape_of(request, tally)
        tools.conversation_of(request.conversation)

    holds(understand)


@given(BODIES)
def test_any_body_of_a_response_is_understood_or_refused(value: dict[str, Any]) -> None:
    """And what was asked is told back as JSON."""

    def understand() -> None:
        request = body.convert(value, ResponseRequest)
        responses.refuse_what_cannot_be_kept(request)
        tally = Tally(EdgeSettings())
        assert responses.entries_of(request, tally) is not None
        responses.toolbox_of(request, tally)
        responses.shape_of(request, tally)
        tools.conversation_of(request.conversation)
        told = responses.response_of(value, request, id="resp_1", created=1, model="m")
        assert msgspec.json.decode(msgspec.json.encode(told))["object"] == "response"

    holds(understand)


NAMES = st.lists(st.from_regex(r"[A-Za-z0-9_.:-]{1,8}", fullmatch=True), unique=True, min_size=1, max_size=4)


@given(NAMES, st.data(), st.booleans(), st.booleans())
def test_both_spellings_of_an_offer_mean_the_same(
    names: list[str], data: st.DataObject, required: bool, parallel: bool
) -> None:
    """Nested in chats, flat in responses; with a choice among the functions."""
    some = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    mode = "required" if required else "auto"
    functions = [{"name": name, "parameters": {"type": "object"}} for name in names]
    nested = {
        "messages": [],
        "tools": [{"type": "function", "function": function} for function in functions],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": mode,
                "tools": [{"type": "function", "function": {"name": name}} for name in some],
            },
        },
        "parallel_tool_calls": parallel,
    }
    flat = {
        "tools": [{"type": "function", **function} for function in functions],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": mode,
            "tools": [{"type": "function", "name": name} for name in some],
        },
        "parallel_tool_calls": parallel,
    }
    settings = EdgeSettings()
    box = translate.toolbox_of(body.convert(nested, ChatRequest), Tally(settings))
    assert box == responses.toolbox_of(body.convert(flat, ResponseRequest), Tally(settings))
    assert isinstance(box, Toolbox)
    assert [tool.name for tool in box.tools] == names
    assert (box.required, box.parallel, box.allowed) == (required, parallel, frozenset(some))


MESSAGES = st.lists(
    st.builds(
        lambda role, text, n: Message(
            role,
            (Text(text),) if text else (),
            tool_calls=tuple(ToolCall(f"c{i}", "f", "{}") for i in range(n)) if role == "assistant" else (),
        ),
        st.sampled_from(["user", "assistant", "tool"]),
        st.text(max_size=3),
        st.integers(0, 2),
    ),
    max_size=8,
)


@given(MESSAGES)
def test_joining_turns_loses_nothing(messages: list[Message]) -> None:
    """Words and calls stay in their order, words of two messages are never run together, and once is enough."""
    found = recall.joined(messages)
    assert [call for m in found for call in m.tool_calls] == [call for m in messages for call in m.tool_calls]
    assert [m.text for m in found if m.text] == [m.text for m in messages if m.text]
    assert recall.joined(found) == found
