"""Gemini's generate methods as clients see them on the wire."""

import base64
import json
from typing import Any

import httpx
import pytest

from core.chat import Blob, Delta, Finish, Picture, Text, ToolCall, Usage
from tests.fakes.edge import Edge
from tests.support.files import PNG

END = Finish(Usage(3, 4, 5), "gemini-flash")
ROOTS = ["/v1beta", "/gemini/v1beta", "/gemini/v1", "/v1"]
KEY = {"x-goog-api-key": "any"}
HELLO = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def call(gate: Edge, method: str, body: Any = HELLO, root: str = "/v1beta") -> httpx.Response:
    return gate.http.post(f"{root}/models/gemini-2.5-pro:{method}", json=body, headers=KEY)


def sse(response: httpx.Response) -> list[Any]:
    """The stream's chunks; nothing but single `data: ` lines of JSON may be in it."""
    assert response.status_code == 200, response.text
    blocks = [block for block in response.text.split("\n\n") if block]
    assert all(block.startswith("data: {") and "\n" not in block for block in blocks)
    return [json.loads(block[6:]) for block in blocks]


def text_of(chunks: list[Any]) -> str:
    return "".join(
        part.get("text", "") for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]
    )


@pytest.mark.parametrize("root", ROOTS)
def test_the_family_is_the_same_under_every_root(gate: Edge, root: str) -> None:
    """Whole, as events, as an array and as a count."""
    whole = call(gate, "generateContent", root=root).json()
    [candidate] = whole["candidates"]
    assert candidate["content"] == {"parts": [{"text": "You said: hi"}], "role": "model"}
    assert candidate["finishReason"] == "STOP"
    assert whole["modelVersion"] == "gemini-2.5-pro"
    assert whole["responseId"]
    chunks = sse(call(gate, "streamGenerateContent?alt=sse", root=root))
    assert text_of(chunks) == "You said: hi"
    response = call(gate, "streamGenerateContent", root=root)
    assert response.headers["content-type"] == "application/json"
    assert text_of(response.json()) == "You said: hi"
    assert call(gate, "countTokens", root=root).json() == {"totalTokens": 1}
    assert (
        gate.http.get(f"{root}/models", headers=KEY).json()["models"][0]["name"]
        == "models/gemini-3-flash-preview"
    )
    assert (
        gate.http.get(f"{root}/models/gemini-2.5-pro", headers=KEY).json()["name"] == "models/gemini-2.5-pro"
    )


def test_finish_reason_and_usage_come_with_the_last_chunk_only(gate: Edge) -> None:
    """As Google's own streams do it, as SSE and as an array."""
    gate.chat.say(Delta("a"), Delta("b"), END)
    for chunks in (
        sse(call(gate, "streamGenerateContent?alt=sse")),
        call(gate, "streamGenerateContent").json(),
    ):
        assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None, None, "STOP"]
        assert [chunk.get("usageMetadata") for chunk in chunks[:-1]] == [None, None]
        assert chunks[-1]["usageMetadata"] == {
            "promptTokenCount": 3,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 5,
            "totalTokenCount": 12,
        }


def test_several_candidates_have_their_own_index_and_one_usage(gate: Edge) -> None:
    """`candidateCount` gives that many candidates, whole and streamed."""
    gate.chat.say(Delta("a"), END)
    body = {**HELLO, "generationConfig": {"candidateCount": 3}}
    whole = call(gate, "generateContent", body).json()
    assert [candidate["index"] for candidate in whole["candidates"]] == [0, 1, 2]
    chunks = sse(call(gate, "streamGenerateContent?alt=sse", body))
    ends = [chunk for chunk in chunks if "finishReason" in chunk["candidates"][0]]
    assert sorted(chunk["candidates"][0]["index"] for chunk in ends) == [0, 1, 2]
    assert [chunk["usageMetadata"]["totalTokenCount"] for chunk in chunks if "usageMetadata" in chunk] == [36]


@pytest.mark.parametrize(
    ("config", "thinking", "shown"),
    [
        ({}, False, False),
        ({"thinkingConfig": {"includeThoughts": True}}, True, True),
        ({"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 0}}, False, True),
        ({"thinkingConfig": {"thinkingBudget": -1}}, True, False),
        ({"thinking_config": {"include_thoughts": True, "thinking_level": "LOW"}}, False, True),
    ],
)
def test_thoughts_are_shown_where_they_are_asked_for(
    gate: Edge, config: dict[str, Any], thinking: bool, shown: bool
) -> None:
    """`thought: true` marks them; otherwise they are left out."""
    gate.chat.say(Delta(thoughts="hm"), Delta("yes"), END)
    body = {**HELLO, "generationConfig": config}
    parts = call(gate, "generateContent", body).json()["candidates"][0]["content"]["parts"]
    assert parts == ([{"text": "hm", "thought": True}] if shown else []) + [{"text": "yes"}]
    streamed = [
        part
        for chunk in sse(call(gate, "streamGenerateContent?alt=sse", body))
        for part in chunk["candidates"][0]["content"]["parts"]
    ]
    assert [part for part in streamed if part["text"]] == parts
    assert gate.chat.asks[0].thinking is thinking


def test_generated_pictures_are_inline_data(gate: Edge) -> None:
    """A generated picture is an inlineData part."""
    gate.chat.say(Picture(PNG, "image/png"), END)
    expected = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
    assert call(gate, "generateContent").json()["candidates"][0]["content"]["parts"] == [expected]
    assert sse(call(gate, "streamGenerateContent?alt=sse"))[0]["candidates"][0]["content"]["parts"] == [
        expected
    ]


@pytest.mark.parametrize("snake", [False, True])
def test_every_part_reaches_the_engine_in_both_spellings(gate: Edge, snake: bool) -> None:
    """Text, pictures, calls and their results, system instructions; data inside calls keeps its own keys."""
    data = base64.urlsafe_b64encode(PNG).decode().rstrip("=")

    def name(camel: str, other: str) -> str:
        return other if snake else camel

    inline = {name("mimeType", "mime_type"): "image/jpeg", "data": data}
    body = {
        name("systemInstruction", "system_instruction"): {"role": "user", "parts": [{"text": "be kind"}]},
        "contents": [
            {"parts": [{"text": "look"}, {name("inlineData", "inline_data"): inline}]},
            {
                "role": "model",
                "parts": [
                    {"text": "secret", "thought": True},
                    {
                        name("functionCall", "function_call"): {"id": "c", "name": "f", "args": {"a_b": 1}},
                        name("thoughtSignature", "thought_signature"): "skip_thought_signature_validator",
                    },
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        name("functionResponse", "function_response"): {
                            "id": "c",
                            "name": "f",
                            "response": {"o_k": 2},
                        }
                    },
                    {"text": "and?"},
                ],
            },
        ],
        name("generationConfig", "generation_config"): {"temperature": "x", name("topK", "top_k"): 4},
        name("safetySettings", "safety_settings"): [],
        "tools": [{name("functionDeclarations", "function_declarations"): [{"name": "f"}]}],
    }
    assert call(gate, "generateContent", body).status_code == 200
    system, look, made, result, after = gate.chat.asks[0].messages
    assert (system.role, system.text) == ("system", "be kind")
    assert look.parts == (Text("look"), Blob(PNG, "image/png"))
    assert (made.role, made.parts, made.tool_calls) == ("assistant", (), (ToolCall("c", "f", '{"a_b":1}'),))
    assert (result.role, result.text, result.name, result.tool_call_id) == ("tool", '{"o_k":2}', "f", "c")
    assert (after.role, after.text) == ("user", "and?")


def test_one_item_may_stand_for_a_list_of_one(gate: Edge) -> None:
    """As in Google's own examples for curl; a system instruction may even be a string."""
    body = {"system_instruction": {"parts": {"text": "cat"}}, "contents": {"parts": {"text": "hello"}}}
    call(gate, "generateContent", body)
    call(gate, "generateContent", {**HELLO, "systemInstruction": "cat"})
    assert [[message.text for message in ask.messages] for ask in gate.chat.asks] == [
        ["cat", "hello"],
        ["cat", "hi"],
    ]


def test_count_tokens_takes_a_whole_request_too(gate: Edge) -> None:
    """`generateContentRequest` holds one; pictures count what Google counts for them."""
    inner = {"model": "models/gemini-2.5-pro", **HELLO}
    assert call(gate, "countTokens", {"generateContentRequest": inner}).json() == {"totalTokens": 1}
    picture = {
        "contents": [
            {"parts": [{"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}]}
        ]
    }
    assert call(gate, "countTokens", picture).json() == {"totalTokens": 258}


def test_a_model_may_be_named_twice_over(gate: Edge) -> None:
    """`models/models/...` comes from clients that keep the prefix."""
    response = gate.http.post("/v1beta/models/models/gemini-2.5-pro:generateContent", json=HELLO)
    assert response.status_code == 200
    assert gate.chat.asks[0].model == "gemini-2.5-pro"


def test_models_below_v1_are_openais_without_googles_key(gate: Edge) -> None:
    """The way the key is sent tells the two families apart; under /gemini nothing has to."""
    assert gate.http.get("/v1/models").json()["object"] == "list"
    assert "models" in gate.http.get("/v1/models?key=any").json()
    assert "models" in gate.http.get("/gemini/v1/models").json()
    assert gate.http.get("/v1/models/gemini-2.5-pro").json()["object"] == "model"
    assert gate.http.get("/v1/models/gemini-2.5-pro?key=any").json()["name"] == "models/gemini-2.5-pro"
    assert gate.http.get("/v1/models/vendor/odd:name").json()["id"] == "vendor/odd:name"
    assert gate.http.get("/v1/models/vendor%2Fodd%3Aname").json()["id"] == "vendor/odd:name"
    assert gate.http.get("/v1beta/models/vendor/odd:name").json()["name"] == "models/vendor/odd:name"


def test_a_request_may_ask_to_go_on_in_one_chat(gate: Edge) -> None:
    """`conversation` is a field of ours; without it the operator decides."""
    for given, asked in (
        ({}, ""),
        ({"conversation": "sticky"}, "sticky"),
        ({"conversation": "temporary"}, "temporary"),
    ):
        assert call(gate, "generateContent", {**HELLO, **given}).status_code == 200
        assert gate.chat.asks[-1].conversation == asked
    refused = call(gate, "generateContent", {**HELLO, "conversation": "chat-1"})
    assert refused.status_code == 400
    assert "'conversation' is 'chat-1'. Use sticky or temporary" in refused.json()["error"]["message"]
