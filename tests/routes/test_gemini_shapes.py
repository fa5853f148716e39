"""Answers of a shape in Gemini's dialect: JSON, JSON of a schema, one word of several."""

import json
from typing import Any

import httpx
import pytest

from core.chat import Delta, Finish, FinishReason, Shape, Usage
from tests.fakes.edge import Edge
from tests.fakes.service import Pause

HELLO = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
END = Finish(Usage(3, 4), "gemini-flash")
REFUSED = Finish(Usage(3, 4), "gemini-flash", reason=FinishReason.REFUSAL)
MODEL = "/v1beta/models/gemini-2.5-pro"
JSON = "application/json"
WORD = "text/x.enum"
PERSON = {"type": "object", "properties": {"first_name": {"type": "string"}}, "required": ["first_name"]}
WORDS = {"type": "STRING", "enum": ["red", "dark blue"]}


def ask(gate: Edge, config: dict[str, Any], method: str = "generateContent") -> httpx.Response:
    return gate.http.post(f"{MODEL}:{method}", json={**HELLO, "generationConfig": config})


def shape(gate: Edge, config: dict[str, Any]) -> Shape | None:
    response = ask(gate, config)
    assert response.status_code == 200, response.text
    return gate.chat.asks[-1].shape


def text_of(response: httpx.Response) -> str:
    """All text of a stream of events."""
    blocks = [json.loads(block.removeprefix("data: ")) for block in response.text.split("\n\n") if block]
    return "".join(part["text"] for chunk in blocks for part in chunk["candidates"][0]["content"]["parts"])


@pytest.mark.parametrize("config", [{}, {"responseMimeType": "text/plain"}, {"response_mime_type": ""}])
def test_plain_text_is_the_rule(gate: Edge, config: dict[str, Any]) -> None:
    """Also where it is spelled out."""
    assert shape(gate, config) is None


@pytest.mark.parametrize("mime", [JSON, "Application/JSON; charset=utf-8"])
def test_json_without_a_schema_is_an_object_or_a_list(gate: Edge, mime: str) -> None:
    """Google's models answer with either."""
    assert shape(gate, {"responseMimeType": mime}) == Shape({"type": ["object", "array"]})


def test_schemas_of_both_kinds_reach_the_engine(gate: Edge) -> None:
    """Google's own in either spelling of its words, and JSON Schema as it is; a schema alone says that it is JSON."""
    openapi = {
        "type": "OBJECT",
        "properties": {
            "first_name": {"type": "STRING", "min_length": 1},
            "age": {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
        },
        "required": ["first_name"],
        "property_ordering": ["first_name", "age"],
    }
    for config in (
        {"responseMimeType": JSON, "responseSchema": openapi},
        {"response_mime_type": JSON, "response_schema": openapi},
        {"responseSchema": openapi},
    ):
        found = shape(gate, config)
        assert found is not None
        assert found.schema is not None
        assert found.schema["type"] == "object"
        properties = found.schema["properties"]
        assert (properties["first_name"]["type"], properties["first_name"]["minLength"]) == ("string", 1)
        assert [kind["type"] for kind in properties["age"]["anyOf"]] == ["integer", "string"]
    assert shape(gate, {"responseMimeType": JSON, "responseJsonSchema": PERSON}) == Shape(PERSON)
    assert shape(gate, {"response_json_schema": PERSON}) == Shape(PERSON)


@pytest.mark.parametrize(
    ("config", "field", "remedy"),
    [
        ({"responseMimeType": "text/csv"}, "responseMimeType", "text/plain, application/json or text/x.enum"),
        ({"response_mime_type": "text/x.json"}, "response_mime_type", "application/json"),
        ({"responseMimeType": 1}, "responseMimeType", "expected"),
        (
            {"responseMimeType": JSON, "responseSchema": {"type": "OBJECT"}, "responseJsonSchema": PERSON},
            "responseJsonSchema",
            "Send one of them",
        ),
        (
            {"response_schema": {"type": "OBJECT"}, "response_json_schema": PERSON},
            "response_json_schema",
            "Send one of them",
        ),
        ({"responseMimeType": "text/plain", "responseJsonSchema": PERSON}, "responseMimeType", JSON),
        ({"responseMimeType": WORD}, "responseMimeType", "enum"),
        ({"responseMimeType": WORD, "responseSchema": {"type": "STRING"}}, "responseSchema", "enum"),
        ({"responseMimeType": WORD, "response_json_schema": PERSON}, "response_json_schema", "enum"),
        ({"responseMimeType": JSON, "responseSchema": "person"}, "responseSchema", "Send an object"),
        ({"responseMimeType": JSON, "responseJsonSchema": [PERSON]}, "responseJsonSchema", "Send an object"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(
    gate: Edge, config: dict[str, Any], field: str, remedy: str
) -> None:
    """With the field as the caller spelled it, before anybody is asked."""
    for method in ("generateContent", "streamGenerateContent?alt=sse"):
        response = ask(gate, config, method)
        assert response.status_code == 400, response.text
        error = response.json()["error"]
        named = error["details"][0]["fieldViolations"][0]["field"]
        assert named == f"generationConfig.{field}"
        assert f"'{named}'" in error["message"]
        assert remedy in error["message"]
    assert gate.chat.asks == []


@pytest.mark.parametrize(
    ("key", "schema"),
    [
        ("responseSchema", {"type": "OBJECT", "properties": {"a": {"type": "WORD"}}}),
        ("responseJsonSchema", {"type": "object", "properties": {"a": {"type": 7}}}),
        ("responseJsonSchema", {"$ref": "https://a.example/schema.json"}),
        ("responseJsonSchema", {"type": "string", "pattern": "("}),
    ],
)
def test_a_broken_schema_is_refused(gate: Edge, key: str, schema: Any) -> None:
    """400 with the place; nothing is fetched from elsewhere."""
    response = ask(gate, {"responseMimeType": JSON, key: schema})
    assert response.status_code == 400, response.text
    field = response.json()["error"]["details"][0]["fieldViolations"][0]["field"]
    assert field.startswith(f"generationConfig.{key}")
    assert gate.chat.asks == []


@pytest.mark.parametrize("key", ["responseSchema", "responseJsonSchema"])
def test_one_word_of_several_comes_without_quotes(gate: Edge, key: str) -> None:
    """The engine is asked for a JSON string; the caller reads the word, whole and streamed, thoughts beside it."""
    words = WORDS if key == "responseSchema" else {**WORDS, "type": "string"}
    config = {"responseMimeType": WORD, key: words, "thinkingConfig": {"includeThoughts": True}}
    gate.chat.say(Delta(thoughts="hm"), Delta('"dark'), Pause(0.01), Delta(' blue"'), END)
    parts = ask(gate, config).json()["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "hm", "thought": True}, {"text": "dark blue"}]
    asked = gate.chat.asks[-1].shape
    assert asked is not None
    assert asked.schema is not None
    assert (asked.schema["type"], asked.schema["enum"]) == ("string", ["red", "dark blue"])
    assert text_of(ask(gate, config, "streamGenerateContent?alt=sse")) == "hmdark blue"
    quoted = {"responseMimeType": JSON, key: words}
    assert ask(gate, quoted).json()["candidates"][0]["content"]["parts"] == [{"text": '"dark blue"'}]


@pytest.mark.parametrize(
    "config", [{"responseMimeType": JSON}, {"responseMimeType": WORD, "responseSchema": WORDS}]
)
def test_words_instead_of_json_are_told_from_an_answer(gate: Edge, config: dict[str, Any]) -> None:
    """They are the text, and the finish reason is not STOP."""
    gate.chat.say(Delta("I would rather"), Delta(" not."), REFUSED)
    [candidate] = ask(gate, config).json()["candidates"]
    assert candidate["content"]["parts"] == [{"text": "I would rather not."}]
    assert candidate["finishReason"] == "OTHER"
    stream = ask(gate, config, "streamGenerateContent?alt=sse")
    assert text_of(stream) == "I would rather not."
    assert '"finishReason":"OTHER"' in stream.text


def test_a_picture_cannot_be_json_as_well(gate: Edge) -> None:
    """Told before anybody is asked."""
    url = "/v1beta/models/gemini-2.5-flash-image:generateContent"
    response = gate.http.post(url, json={**HELLO, "generationConfig": {"responseMimeType": JSON}})
    assert response.status_code == 400
    assert "'generationConfig.responseMimeType'" in response.json()["error"]["message"]
    assert gate.chat.asks == []
