"""Functions in Gemini's dialect: what may be declared, how calls are asked for, and how they come back."""

import base64
import json
from typing import Any

import httpx
import pytest

from core.chat import Blob, Delta, Finish, FinishReason, Text, Tool, Toolbox, ToolCall, Usage
from tests.fakes.edge import Edge
from tests.support.files import PNG

HELLO = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
CALLED = Finish(Usage(3, 4), "gemini-flash", reason=FinishReason.TOOL_CALLS)
MODEL = "/v1beta/models/gemini-2.5-pro"
CITY = {"type": "object", "properties": {"city_name": {"type": "string"}}, "required": ["city_name"]}


def ask(gate: Edge, body: dict[str, Any], method: str = "generateContent") -> httpx.Response:
    return gate.http.post(f"{MODEL}:{method}", json={**HELLO, **body})


def declaring(*declarations: Any, **more: Any) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": list(declarations)}], **more}


def refusal(response: httpx.Response, status: int = 400) -> tuple[str, str]:
    """Message and field of the refusal."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    return error["message"], error["details"][0]["fieldViolations"][0]["field"]


def toolbox(gate: Edge, body: dict[str, Any]) -> Toolbox | None:
    response = ask(gate, body)
    assert response.status_code == 200, response.text
    return gate.chat.asks[-1].toolbox


def test_both_kinds_of_schema_become_json_schema(gate: Edge) -> None:
    """Google's own with types in capitals, and JSON Schema as the AI SDK sends it; none for a function without
    parameters."""
    openapi = {
        "type": "OBJECT",
        "properties": {"city_name": {"type": "STRING"}},
        "required": ["city_name"],
    }
    found = toolbox(
        gate,
        declaring(
            {"name": "a", "description": "A", "parameters": openapi},
            {"name": "b.c:d-e", "parametersJsonSchema": CITY},
            {"name": "_now"},
            {"name": "empty", "parameters": {}},
        ),
    )
    assert found is not None
    first, second, third, fourth = found.tools
    assert (first.name, first.description) == ("a", "A")
    assert first.parameters is not None
    assert first.parameters["type"] == "object"
    assert first.parameters["properties"]["city_name"]["type"] == "string"
    assert second == Tool("b.c:d-e", "", CITY)
    assert (third, fourth) == (Tool("_now"), Tool("empty"))
    assert (found.required, found.allowed, found.parallel) == (False, frozenset(), True)


def test_words_of_schemas_may_be_spelled_in_either_way_and_names_are_left_alone(gate: Edge) -> None:
    """Python's SDK writes `any_of` and `min_items` inside of schemas, and `parameters_json_schema` beside them."""
    inner = {"any_of": [{"type": "STRING"}, {"type": "INTEGER"}]}
    openapi = {
        "type": "OBJECT",
        "properties": {"my_any_of": {"type": "ARRAY", "items": inner, "min_items": 1}, "any_of": inner},
        "property_ordering": ["my_any_of", "any_of"],
    }
    body = {
        "tools": [
            {
                "function_declarations": [
                    {"name": "a", "parameters": openapi},
                    {"name": "b", "parameters_json_schema": CITY, "response_json_schema": {"a_b": 1}},
                ]
            }
        ]
    }
    found = toolbox(gate, body)
    assert found is not None
    first, second = found.tools
    assert first.parameters is not None
    properties = first.parameters["properties"]
    assert set(properties) == {"my_any_of", "any_of"}
    assert properties["my_any_of"]["minItems"] == 1
    assert [kind["type"] for kind in properties["my_any_of"]["items"]["anyOf"]] == ["string", "integer"]
    assert [kind["type"] for kind in properties["any_of"]["anyOf"]] == ["string", "integer"]
    assert second.parameters == CITY


def test_one_tool_and_one_declaration_may_stand_for_lists(gate: Edge) -> None:
    """As everywhere in Google's JSON."""
    found = toolbox(gate, {"tools": {"functionDeclarations": {"name": "f"}}})
    assert found == Toolbox((Tool("f"),))
    assert toolbox(gate, {"tools": []}) is None
    assert toolbox(gate, {"tools": [{}, {"functionDeclarations": []}]}) is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, (False, [])),
        ({"mode": "AUTO"}, (False, [])),
        ({"mode": "MODE_UNSPECIFIED"}, (False, [])),
        ({"mode": "any"}, (True, [])),
        ({"mode": "ANY", "allowedFunctionNames": ["g"]}, (True, ["g"])),
        ({"mode": "ANY", "allowed_function_names": "f"}, (True, ["f"])),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]}, (False, ["f", "g"])),
        ({"mode": "NONE", "allowedFunctionNames": ["nope"]}, None),
    ],
)
def test_modes_say_whether_a_call_may_or_must_be_made(
    gate: Edge, config: dict[str, Any], expected: tuple[bool, list[str]] | None
) -> None:
    """ANY forces one, VALIDATED and AUTO leave it to the model, NONE forbids it; names narrow the choice."""
    body = declaring({"name": "f"}, {"name": "g"}, toolConfig={"functionCallingConfig": config})
    found = toolbox(gate, body)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.required, sorted(found.allowed)) == expected


@pytest.mark.parametrize(
    "tool", ["googleSearch", "google_search", "codeExecution", "urlContext", "googleMaps"]
)
def test_tools_of_googles_that_only_help_are_ignored(gate: Edge, tool: str) -> None:
    """The web app searches and computes by itself; functions beside them still count."""
    assert toolbox(gate, {"tools": [{tool: {}}]}) is None
    found = toolbox(gate, {"tools": [{tool: {}}, {"functionDeclarations": [{"name": "f"}]}]})
    assert found == Toolbox((Tool("f"),))


@pytest.mark.parametrize("tool", ["computerUse", "file_search", "mcpServers", "retrieval"])
def test_tools_of_googles_that_a_caller_counts_on_are_refused(gate: Edge, tool: str) -> None:
    """An answer without them would be another one than was asked for."""
    message, field = refusal(ask(gate, {"tools": [{"googleSearch": {}}, {tool: {}}]}))
    assert field == f"tools[1].{tool}"
    assert "functionDeclarations" in message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tools": "f"}, "tools"),
        ({"tools": [1]}, "tools[0]"),
        (declaring({}), "tools[0].functionDeclarations[0].name"),
        (declaring({"name": ""}), "tools[0].functionDeclarations[0].name"),
        (declaring({"name": "1f"}), "tools[0].functionDeclarations[0].name"),
        (declaring({"name": "f g"}), "tools[0].functionDeclarations[0].name"),
        (declaring({"name": "f" * 129}), "tools[0].functionDeclarations[0].name"),
        (declaring({"name": "f"}, {"name": "f"}), "tools[0].functionDeclarations[1].name"),
        (declaring({"name": "f", "description": 1}), "tools[0].functionDeclarations[0].description"),
        (declaring({"name": "f", "parameters": []}), "tools[0].functionDeclarations[0].parameters"),
        (
            declaring({"name": "f", "parameters": {"type": "STRING"}}),
            "tools[0].functionDeclarations[0].parameters",
        ),
        (
            declaring({"name": "f", "parametersJsonSchema": {"type": "array"}}),
            "tools[0].functionDeclarations[0].parametersJsonSchema",
        ),
        (
            {"tools": {"function_declarations": [{"name": "f", "parameters_json_schema": 3}]}},
            "tools.function_declarations[0].parameters_json_schema",
        ),
        (
            declaring({"name": "f", "parameters": {"type": "OBJECT"}, "parametersJsonSchema": CITY}),
            "tools[0].functionDeclarations[0].parametersJsonSchema",
        ),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "toolConfig.functionCallingConfig.mode"),
        (
            {"tool_config": {"function_calling_config": {"mode": "SOMETIMES"}}},
            "tool_config.function_calling_config.mode",
        ),
        (
            declaring(
                {"name": "f"},
                toolConfig={"functionCallingConfig": {"mode": "ANY", "allowed_function_names": ["f", "h"]}},
            ),
            "toolConfig.functionCallingConfig.allowed_function_names[1]",
        ),
    ],
)
def test_a_wrong_declaration_is_named_as_the_caller_spelled_it(
    gate: Edge, body: dict[str, Any], field: str
) -> None:
    """Before anybody is asked; the same where tokens are counted."""
    for method in ("generateContent", "streamGenerateContent?alt=sse", "countTokens"):
        message, named = refusal(ask(gate, body, method))
        assert named == field
        assert f"'{field}'" in message
    assert gate.chat.asks == []


@pytest.mark.parametrize(
    ("key", "schema"),
    [
        ("parameters", {"type": "OBJECT", "properties": {"a": {"type": "WORD"}}}),
        ("parametersJsonSchema", {"type": "object", "properties": {"a": {"type": "word"}}}),
        ("parametersJsonSchema", {"type": "object", "properties": {"a": {"$ref": "https://a.example/b"}}}),
    ],
)
def test_a_broken_schema_is_a_400_that_names_the_declaration(gate: Edge, key: str, schema: Any) -> None:
    """Where it stands, at least; a schema is never fetched from elsewhere."""
    message, field = refusal(ask(gate, declaring({"name": "f", key: schema})))
    assert field.startswith(f"tools[0].functionDeclarations[0].{key}")
    assert "'tools[0]." in message
    assert gate.chat.asks == []


def test_declarations_are_bounded_in_number_and_size() -> None:
    """413 names the declaration that is one too many, and the bound."""
    from routes import EdgeSettings
    from tests.fakes.edge import edge

    with edge(settings=EdgeSettings()) as gate:
        message, field = refusal(ask(gate, declaring(*({"name": f"f{i}"} for i in range(513)))), 413)
        assert (field, "512" in message) == ("tools[0].functionDeclarations[512]", True)
        long = [{"name": f"f{i}", "description": "x" * 100_000} for i in range(11)]
        message, field = refusal(ask(gate, declaring(*long)), 413)
        assert "1000000 characters" in message
        assert field.startswith("tools[0].functionDeclarations[")
        assert gate.chat.asks == []


def test_calls_come_back_as_parts(gate: Edge) -> None:
    """Behind the text, whole with name, arguments and id; the answer ends with STOP, as Google's do."""
    gate.chat.say(Delta("Let me see."), ToolCall("c1", "f", '{"a_b":[1]}'), ToolCall("c2", "g", "{}"), CALLED)
    body = declaring({"name": "f"}, {"name": "g"})
    [candidate] = ask(gate, body).json()["candidates"]
    calls = [
        {"functionCall": {"name": "f", "args": {"a_b": [1]}, "id": "c1"}},
        {"functionCall": {"name": "g", "args": {}, "id": "c2"}},
    ]
    assert candidate["content"] == {"parts": [{"text": "Let me see."}, *calls], "role": "model"}
    assert candidate["finishReason"] == "STOP"

    text = ask(gate, body, "streamGenerateContent?alt=sse").text
    chunks = [json.loads(block.removeprefix("data: ")) for block in text.split("\n\n") if block]
    parts = [chunk["candidates"][0]["content"]["parts"] for chunk in chunks]
    assert parts == [[{"text": "Let me see."}], [calls[0]], [calls[1]], [{"text": ""}]]
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None, None, None, "STOP"]
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] == 7

    gate.chat.say(ToolCall("c1", "f", '{"a_b":[1]}'), CALLED)
    assert ask(gate, body).json()["candidates"][0]["content"]["parts"] == calls[:1]


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ({"a_b": 1}, '{"a_b":1}'),
        ({"name": "f", "content": "sunny"}, "sunny"),
        ({"name": "f", "content": {"a_b": 1}}, '{"a_b":1}'),
        ({"output": [1]}, "[1]"),
        ({"result": {"a_b": 1}}, '{"a_b":1}'),
        ({"error": "no"}, '{"error":"no"}'),
        ({"output": 1, "more": 2}, '{"output":1,"more":2}'),
        ({}, "{}"),
        (None, "{}"),
    ],
)
def test_results_are_taken_in_the_forms_that_clients_write(gate: Edge, response: Any, said: str) -> None:
    """With or without ids; wrappers of Google and the AI SDK are taken off; signatures of thoughts are ignored."""
    body = {
        "contents": [
            {"parts": [{"text": "weather?"}]},
            {
                "role": "model",
                "parts": [
                    {
                        "functionCall": {"name": "f", "args": {"city_name": "x"}},
                        "thoughtSignature": "c2tpcA==",
                        "thought_signature": "c2tpcA==",
                    }
                ],
            },
            {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": response}}]},
        ]
    }
    assert ask(gate, body).status_code == 200
    _, call, result = gate.chat.asks[0].messages
    assert call.tool_calls == (ToolCall("", "f", '{"city_name":"x"}'),)
    assert (result.role, result.name, result.tool_call_id, result.text) == ("tool", "f", None, said)


def test_a_turn_of_the_model_is_one_message(gate: Edge) -> None:
    """Google's SDKs keep a streamed answer as a content for each chunk, and its end as an empty one."""
    said = [[{"text": "You"}], [{"text": " said"}], [{"functionCall": {"name": "f"}}], [{"text": ""}]]
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "user", "parts": [{"text": "b"}]},
            *({"role": "model", "parts": parts} for parts in said),
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
            {"role": "model", "parts": [{"text": ""}]},
            {"role": "user", "parts": [{"text": "c"}]},
        ]
    }
    assert ask(gate, body).status_code == 200
    messages = gate.chat.asks[0].messages
    assert [message.role for message in messages] == ["user", "user", "assistant", "tool", "user"]
    assert (messages[2].parts, messages[2].tool_calls) == ((Text("You said"),), (ToolCall("", "f", "{}"),))


def test_a_result_may_hold_pictures(gate: Edge) -> None:
    """As newer models take them; what is none of the known forms is named."""

    def answering(parts: Any) -> dict[str, Any]:
        response = {"name": "f", "id": "c", "response": {"ok": True}, "parts": parts}
        return {
            "contents": [
                {"parts": [{"text": "a"}]},
                {"role": "user", "parts": [{"function_response": response}]},
            ]
        }

    inline = {"inline_data": {"mime_type": "image/png", "data": base64.b64encode(PNG).decode()}}
    assert ask(gate, answering([inline])).status_code == 200
    assert gate.chat.asks[0].messages[1].parts == (Text('{"ok":true}'), Blob(PNG, "image/png"))
    _, field = refusal(ask(gate, answering([inline, {"text": "x"}])))
    assert field == "contents[1].parts[0].function_response.parts[1]"
    _, field = refusal(ask(gate, answering([inline] * 17)), 413)
    assert field == "contents[1].parts[0].function_response.parts[16]"


def test_functions_are_counted(gate: Edge) -> None:
    """In both forms of a request; where calls are forbidden they are not sent and cost nothing."""
    plain = ask(gate, {}, "countTokens").json()["totalTokens"]
    tools = declaring({"name": "f", "description": "What the weather is like", "parametersJsonSchema": CITY})
    counted = ask(gate, tools, "countTokens").json()["totalTokens"]
    assert counted > plain + 20
    inner = {"generateContentRequest": {"model": "models/gemini-2.5-pro", **HELLO, **tools}}
    assert gate.http.post(f"{MODEL}:countTokens", json=inner).json()["totalTokens"] == counted
    none = {**tools, "toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}
    assert ask(gate, none, "countTokens").json()["totalTokens"] == plain
    bad = {"generateContentRequest": {**HELLO, "tools": [{"functionDeclarations": [{"name": "a b"}]}]}}
    _, field = refusal(gate.http.post(f"{MODEL}:countTokens", json=bad))
    assert field == "generateContentRequest.tools[0].functionDeclarations[0].name"


def test_a_picture_is_asked_for_without_functions(gate: Edge) -> None:
    """Clients send their functions with every request; only a call that must be made cannot be a picture."""
    url = "/v1beta/models/gemini-2.5-flash-image:generateContent"
    body = {**HELLO, **declaring({"name": "f"})}
    assert gate.http.post(url, json=body).status_code == 200
    assert gate.chat.asks[0].toolbox is None
    forced = {**body, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}
    _, field = refusal(gate.http.post(url, json=forced))
    assert field == "toolConfig.functionCallingConfig.mode"
