"""Tools, legacy functions and wanted JSON in chat completions, as clients see them on the wire."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.chat import (
    Ask,
    Delta,
    Finish,
    FinishReason,
    Message,
    Picture,
    Shape,
    Text,
    Tool,
    Toolbox,
    ToolCall,
    Usage,
)
from core.errors import UpstreamFailed
from tests.fakes.edge import Edge
from tests.fakes.service import Fail
from tests.support.files import PNG

USAGE = Usage(3, 4, 5)
END = Finish(USAGE, "gemini-flash")
CALLED = Finish(USAGE, "gemini-flash", reason=FinishReason.TOOL_CALLS)
REFUSED = Finish(USAGE, "gemini-flash", reason=FinishReason.REFUSAL)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "Of a city", "parameters": CITY, "strict": True}
TOOLS = [{"type": "function", "function": WEATHER}, {"type": "function", "function": {"name": "now"}}]
PARIS = ToolCall("call_1", "get_weather", '{"city":"Paris"}')
NOW = ToolCall("call_2", "now", "{}")
BOX = Toolbox((Tool("get_weather", "Of a city", CITY), Tool("now")))


def ask(gate: Edge, messages: Any = None, **fields: Any) -> httpx.Response:
    body = {"messages": messages or [{"role": "user", "content": "hi"}], **fields}
    return gate.http.post("/v1/chat/completions", json=body)


def asked(gate: Edge, **fields: Any) -> Ask:
    """What the engine is asked for a request with these fields."""
    response = ask(gate, **fields)
    assert response.status_code == 200, response.text
    return gate.chat.asks[-1]


def message(gate: Edge, **fields: Any) -> tuple[dict[str, Any], str]:
    """The message of a whole answer, and its finish reason."""
    response = ask(gate, **fields)
    assert response.status_code == 200, response.text
    [choice] = response.json()["choices"]
    return choice["message"], choice["finish_reason"]


def chunks(gate: Edge, **fields: Any) -> list[dict[str, Any]]:
    """The choices of a streamed answer."""
    response = ask(gate, stream=True, **fields)
    assert response.status_code == 200, response.text
    *events, done = [line[6:] for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert done == "[DONE]"
    return [json.loads(event)["choices"][0] for event in events]


def joined(choices: list[dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """The message that the deltas add up to, as SDKs add them."""
    whole: dict[str, Any] = {"content": None, "refusal": None}
    calls: dict[int, dict[str, Any]] = {}
    for choice in choices:
        delta = choice["delta"]
        for name in ("role", "content", "refusal", "reasoning_content"):
            if (piece := delta.get(name)) is not None:
                whole[name] = (whole.get(name) or "") + piece
        for image in delta.get("images", ()):
            whole.setdefault("images", []).append(image)
        for piece in delta.get("tool_calls", ()):
            call = calls.setdefault(piece["index"], {"function": {"arguments": "", "name": ""}})
            call |= {name: piece[name] for name in ("id", "type") if name in piece}
            for name, text in piece["function"].items():
                call["function"][name] += text
        if piece := delta.get("function_call"):
            function = whole.setdefault("function_call", {"arguments": "", "name": ""})
            for name, text in piece.items():
                function[name] += text
    if calls:
        whole["tool_calls"] = [calls[i] for i in range(len(calls))]
    return whole, choices[-1]["finish_reason"]


@pytest.mark.parametrize(
    ("fields", "box"),
    [
        ({"tools": TOOLS}, BOX),
        ({"tools": TOOLS, "tool_choice": "auto"}, BOX),
        ({"tools": TOOLS, "tool_choice": {"type": "auto"}}, BOX),
        ({"tools": TOOLS, "tool_choice": "none"}, None),
        ({"tools": [], "tool_choice": "auto"}, None),
        ({"tools": None}, None),
        ({"tool_choice": "none"}, None),
        ({"tools": TOOLS, "parallel_tool_calls": False}, Toolbox(BOX.tools, parallel=False)),
        ({"tools": TOOLS, "tool_choice": "required"}, Toolbox(BOX.tools, required=True)),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "now"}}},
            Toolbox(BOX.tools, required=True, allowed=frozenset({"now"})),
        ),
        (
            {
                "tools": TOOLS,
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "now"}}],
                    },
                },
            },
            Toolbox(BOX.tools, allowed=frozenset({"now"})),
        ),
        (
            {
                "tools": TOOLS,
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [
                            {"type": "function", "function": {"name": tool.name}} for tool in BOX.tools
                        ],
                    },
                },
            },
            Toolbox(BOX.tools, required=True, allowed=frozenset({"now", "get_weather"})),
        ),
        ({"functions": [WEATHER]}, Toolbox(BOX.tools[:1], parallel=False)),
        ({"functions": [WEATHER], "function_call": "none"}, None),
        (
            {"functions": [WEATHER], "function_call": {"name": "get_weather"}},
            Toolbox(BOX.tools[:1], required=True, allowed=frozenset({"get_weather"}), parallel=False),
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_every_form_of_offer_and_choice_reaches_the_engine(
    gate: Edge, fields: dict[str, Any], box: Toolbox | None, stream: bool
) -> None:
    """`tools`, the older `functions`, and all choices of OpenAI's; with none there is no toolbox."""
    assert asked(gate, stream=stream, **fields).toolbox == box


def test_names_may_have_dots_and_colons(gate: Edge) -> None:
    """Google's dialect allows them, and tool servers use them."""
    function = {"name": "files.read:v2", "parameters": {}}
    assert asked(gate, tools=[{"function": function}]).toolbox == Toolbox((Tool("files.read:v2", "", {}),))


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, Shape()),
        ({"type": "json_schema", "json_schema": {"name": "w", "schema": CITY}}, Shape(CITY, "w")),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "w", "description": "d", "strict": True, "schema": CITY},
            },
            Shape(CITY, "w", "d"),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "w", "strict": None, "schema": {"enum": [1]}}},
            Shape({"enum": [1]}, "w"),
        ),
        (
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "w",
                    "schema": {"$schema": "http://json-schema.org/draft-07/schema#", **CITY},
                },
            },
            Shape({"$schema": "http://json-schema.org/draft-07/schema#", **CITY}, "w"),
        ),
    ],
)
def test_the_wanted_json_reaches_the_engine(gate: Edge, given: Any, shape: Shape | None) -> None:
    """Strict or not, with its name and description, and with what the AI SDK writes into its schemas."""
    assert asked(gate, response_format=given).shape == shape


@pytest.mark.parametrize("mode", ["sticky", "temporary", None])
def test_a_request_chooses_its_conversation(gate: Edge, mode: str | None) -> None:
    """`conversation` is ours; without it the operator's setting holds."""
    assert asked(gate, conversation=mode).conversation == (mode or "")


def test_calls_and_results_of_the_history_belong_together(gate: Edge) -> None:
    """A result is told under its function's name; one of a call that nobody made is kept as it is."""
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        {"role": "tool", "tool_call_id": "c9", "content": [{"type": "text", "text": "?"}]},
    ]
    assert asked(gate, messages=history, tools=TOOLS).messages[1:] == (
        Message("assistant", (Text("Let me see."),), tool_calls=(ToolCall("c1", "now", "{}"),)),
        Message("tool", (Text("noon"),), name="now", tool_call_id="c1"),
        Message("tool", (Text("?"),), tool_call_id="c9"),
    )


def test_a_refusal_of_the_history_is_what_was_said(gate: Edge) -> None:
    """As the SDKs send an answer of ours back."""
    said = {"role": "assistant", "content": None, "refusal": "I will not.", "tool_calls": None}
    history = [{"role": "user", "content": "hi"}, said, {"role": "user", "content": "why?"}]
    assert asked(gate, messages=history).messages[1] == Message("assistant", (Text("I will not."),))


def test_a_whole_answer_of_calls(gate: Edge) -> None:
    """Content is null beside calls, unless the model said something before them."""
    gate.chat.say(PARIS, NOW, CALLED)
    found, reason = message(gate, tools=TOOLS)
    assert reason == "tool_calls"
    assert found == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
            },
            {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    }
    gate.chat.say(Delta("Let me see."), NOW, CALLED)
    found, _ = message(gate, tools=TOOLS)
    assert found["content"] == "Let me see."
    assert len(found["tool_calls"]) == 1


def test_a_streamed_call_names_itself_first_and_then_its_arguments(gate: Edge) -> None:
    """id, type and name come once, with no arguments; the arguments follow in pieces; then the finish reason."""
    long = ToolCall("call_1", "get_weather", json.dumps({"city": "x" * 600}))
    gate.chat.say(long, NOW, CALLED)
    found = chunks(gate, tools=TOOLS)
    assert found[0]["delta"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "index": 0,
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": ""},
            }
        ],
    }
    pieces = [piece for choice in found for piece in choice["delta"].get("tool_calls", ())]
    assert [set(piece) for piece in pieces[1:4]] == [{"index", "function"}] * 3
    assert [set(piece["function"]) for piece in pieces[1:4]] == [{"arguments"}] * 3
    assert [piece["index"] for piece in pieces] == [0, 0, 0, 0, 1, 1]
    assert [choice["finish_reason"] for choice in found] == [None] * 6 + ["tool_calls"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_of_the_older_functions_is_answered_in_its_words(gate: Edge, stream: bool) -> None:
    """One `function_call`, and the finish reason of that name."""
    gate.chat.say(PARIS, NOW, CALLED)
    fields = {"functions": [WEATHER]}
    found, reason = joined(chunks(gate, **fields)) if stream else message(gate, **fields)
    assert reason == "function_call"
    assert found["function_call"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert found["content"] is None
    assert "tool_calls" not in found


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_has_a_field_of_its_own(gate: Edge, stream: bool) -> None:
    """Content is null then, and the finish reason is `stop`; a stream does not take it for content first."""
    gate.chat.say(Delta("I will "), Delta("not."), REFUSED)
    fields = {"response_format": {"type": "json_object"}}
    found, reason = joined(chunks(gate, **fields)) if stream else message(gate, **fields)
    assert (found["content"], found["refusal"], reason) == (None, "I will not.", "stop")


def test_shaped_text_is_streamed_once_it_is_right(gate: Edge) -> None:
    """So that a failure before the end is a plain error and not half of an answer."""
    gate.chat.say(Delta('{"city":'), Delta('"Rome"}'), END)
    found = chunks(gate, response_format={"type": "json_object"})
    assert [choice["delta"].get("content") for choice in found] == ['{"city":"Rome"}', None]
    gate.chat.say(Delta("{"), Fail(UpstreamFailed("At 'city': 5 is not a string.")))
    response = ask(gate, stream=True, response_format={"type": "json_object"})
    assert response.status_code == 503
    assert "city" in response.json()["error"]["message"]


def function(**fields: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **fields}}]}


def schema(value: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": value}}}


@pytest.mark.parametrize(
    ("fields", "param", "remedy"),
    [
        ({"tools": {}}, "tools", "expected array"),
        ({"tools": [5]}, "tools[0]", "expected object"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "Add it"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "Add it"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type", "type function"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "type function"),
        ({"tools": [*TOOLS, {"type": "web_search_preview"}]}, "tools[2].type", "type function"),
        (function(name=""), "tools[0].function.name", "1 to 64 letters"),
        (function(name="a b"), "tools[0].function.name", "1 to 64 letters"),
        (function(name="a\n"), "tools[0].function.name", "1 to 64 letters"),
        (function(name="x" * 65), "tools[0].function.name", "1 to 64 letters"),
        ({"tools": [*TOOLS, TOOLS[0]]}, "tools[2].function.name", "its own name"),
        ({"functions": [WEATHER, WEATHER]}, "functions[1].name", "its own name"),
        ({"tools": TOOLS, "functions": [WEATHER]}, "functions[0].name", "its own name"),
        (function(parameters=[]), "tools[0].function.parameters", "an object"),
        (function(parameters="{}"), "tools[0].function.parameters", "an object"),
        (function(parameters={"type": "string"}), "tools[0].function.parameters.type", '"type": "object"'),
        (function(parameters={"type": "objekt"}), "tools[0].function.parameters.type", '"type": "object"'),
        (function(description=5), "tools[0].function.description", "expected str"),
        ({"tools": TOOLS, "tool_choice": "any"}, "tool_choice", "Use auto, none, required"),
        ({"tools": TOOLS, "tool_choice": 5}, "tool_choice", "expected"),
        ({"tools": TOOLS, "tool_choice": {"type": "custom", "custom": {}}}, "tool_choice", "a function"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice.name", "Name the function"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nope"}}},
            "tool_choice.function.name",
            "Offered are: get_weather, now",
        ),
        (
            {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "all"}}},
            "tool_choice.allowed_tools.mode",
            "auto or required",
        ),
        (
            {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": []}}},
            "tool_choice.allowed_tools.tools",
            "list of the functions",
        ),
        (
            {
                "tools": TOOLS,
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "mcp"}]}},
            },
            "tool_choice.allowed_tools.tools[0]",
            "functions alone",
        ),
        ({"tool_choice": "required"}, "tools", "at least one function"),
        ({"tools": [], "tool_choice": "required"}, "tools", "at least one function"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice.function.name",
            "not offered",
        ),
        ({"function_call": {"name": "f"}}, "function_call.name", "not offered"),
        ({"functions": [WEATHER], "function_call": "f"}, "function_call", "auto, none"),
        ({"functions": [WEATHER], "function_call": {}}, "function_call.name", "Name the function"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "json_object or json_schema"),
        ({"response_format": "json"}, "response_format", "expected object"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema", "Add the JSON"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "w"}}},
            "response_format.json_schema.schema",
            "Add the JSON",
        ),
        (schema([]), "response_format.json_schema.schema", "an object"),
        ({"conversation": "conv_123"}, "conversation", '"sticky" or "temporary"'),
        ({"conversation": {"id": "conv_123"}}, "conversation", '"sticky" or "temporary"'),
        ({"conversation": 5}, "conversation", '"sticky" or "temporary"'),
    ],
)
def test_what_cannot_be_kept_is_named_with_the_remedy(
    gate: Edge, fields: dict[str, Any], param: str, remedy: str
) -> None:
    """Before the engine is asked."""
    response = ask(gate, **fields)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == param
    assert remedy in error["message"]
    assert gate.chat.asks == []


@pytest.mark.parametrize(
    "broken", [{"properties": {"a": {"type": "strin"}}}, {"$ref": "https://a.example/s.json"}]
)
def test_a_schema_that_cannot_be_kept_is_refused_at_the_edge(gate: Edge, broken: Any) -> None:
    """Of a function and of an answer; the field says where it stands."""
    for fields, field in (
        (function(parameters=broken), "tools[0].function.parameters"),
        (schema(broken), "response_format.json_schema.schema"),
    ):
        response = ask(gate, **fields)
        assert response.status_code == 400, response.text
        assert response.json()["error"]["param"].startswith(field)


def test_too_many_functions_are_refused(gate: Edge) -> None:
    """Before their schemas are looked at."""
    many = [{"type": "function", "function": {"name": f"f{i}"}} for i in range(513)]
    response = ask(gate, tools=many)
    assert response.status_code == 413
    assert response.json()["error"]["param"] == "tools[512].function"


PIECES = st.text(max_size=20)
CALLS = st.lists(
    st.builds(
        lambda name, value: ToolCall(f"call_{name}", name, json.dumps({"a": value}, ensure_ascii=False)),
        st.sampled_from(["now", "get_weather"]),
        st.text(max_size=600),
    ),
    max_size=3,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    thoughts=st.lists(PIECES, max_size=2),
    texts=st.lists(PIECES, max_size=4),
    calls=CALLS,
    pictures=st.integers(0, 1),
    legacy=st.booleans(),
    shaped=st.booleans(),
    refused=st.booleans(),
)
def test_the_chunks_add_up_to_the_message(
    served: Edge,
    thoughts: list[str],
    texts: list[str],
    calls: list[ToolCall],
    pictures: int,
    legacy: bool,
    shaped: bool,
    refused: bool,
) -> None:
    """Whatever an answer holds; nothing said is the same as an empty text beside calls and refusals."""
    served.chat.reset()
    reason = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
    if shaped and refused and not calls and any(texts):
        reason = FinishReason.REFUSAL
    served.chat.say(
        *(Delta(thoughts=piece) for piece in thoughts),
        *(Delta(piece) for piece in texts),
        *([Picture(PNG, "image/png", link="/files/a.png")] * pictures if not shaped else ()),
        *calls,
        Finish(USAGE, "m", reason=reason),
    )
    offered: dict[str, Any] = {"functions": [WEATHER]} if legacy else {"tools": TOOLS}
    if shaped:
        offered["response_format"] = {"type": "json_object"}
    whole, whole_reason = message(served, **offered)
    streamed, streamed_reason = joined(chunks(served, **offered))
    for found in (whole, streamed):
        found["content"] = found["content"] or None
    assert streamed == whole
    assert streamed_reason == whole_reason


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/chat/completions", {"tools": [{"type": "function", "function": {"name": "now"}}], "tool_choice": "required"}, "tool_choice"),
        ("/v1/chat/completions", {"functions": [{"name": "now"}], "function_call": {"name": "now"}}, "function_call"),
        ("/v1/chat/completions", {"response_format": {"type": "json_object"}}, "response_format"),
        ("/v1/responses", {"tools": [{"type": "function", "name": "now"}], "tool_choice": {"type": "function", "name": "now"}}, "tool_choice"),
        ("/v1/responses", {"text": {"format": {"type": "json_object"}}}, "text.format"),
    ],
)  # fmt: skip
def test_a_picture_can_be_neither_a_call_nor_json(
    gate: Edge, path: str, body: dict[str, Any], field: str
) -> None:
    """What asks for both is refused with the field's name; functions that need not be called are left out."""
    said = {
        "messages": [{"role": "user", "content": "a cat"}],
        "input": "a cat",
        "model": "gemini-2.5-flash-image",
    }
    error = gate.http.post(path, json={**said, **body}).json()["error"]
    assert (error["param"], "is to be a picture" in error["message"]) == (field, True)
    assert gate.chat.asks == []
    if path == "/v1/chat/completions":
        said |= {"model": "gemini-3-flash-preview", "modalities": ["text", "image"]}
        assert gate.http.post(path, json={**said, **body}).json()["error"]["param"] == field
    body.pop("tool_choice", None)
    body.pop("function_call", None)
    if field != "text.format" and field != "response_format":
        assert gate.http.post(path, json={**said, **body}).status_code == 200
