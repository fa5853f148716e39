"""The document and the server agree about the bounds of fields: what the one takes the other takes, and no more."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest

from core.clock import SystemClock
from routes.openapi.fields import FACTS, Fact, with_facts
from storage import Local
from tests.fakes.batches import FakeBatches
from tests.fakes.edge import Edge, edge
from tests.support.openapi import contract

CHAT, RESPONSES, PICTURES = "/v1/chat/completions", "/v1/responses", "/v1/images/generations"
GEMINI = "/v1beta/models/{model}:"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SAID = {"role": "user", "content": "x"}
CONTENT = {"role": "user", "parts": [{"text": "x"}]}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
URL = f"data:image/png;base64,{PIXEL}"
Body: TypeAlias = dict[str, Any]


def chat(**more: Any) -> Body:
    return {"messages": [SAID], **more}


def shaped(kind: str) -> Body:
    return {"type": kind, "json_schema": {"name": "x", "schema": {"type": "object"}}}


def tool(**more: Any) -> Body:
    return {"type": "function", "function": {"name": "f", **more}}


def part(kind: str) -> Body:
    """A part with what each kind of part needs."""
    file = {"filename": "a.png", "file_data": URL}
    return {"type": kind, "text": "x", "refusal": "x", "image_url": {"url": URL}, "file": file}


def item(kind: str) -> Body:
    """An item with what each kind of item needs; a message stands before it."""
    given: dict[str, Body] = {
        "message": SAID,
        "function_call": {"name": "f", "arguments": "{}", "call_id": "c"},
        "function_call_output": {"call_id": "c", "output": "x"},
        "item_reference": {"id": "rs_1"},
    }
    return {"input": [SAID, {"type": kind, **given.get(kind, {})}]}


def input_part(kind: str) -> Body:
    given: Body = {"type": kind, "text": "x", "refusal": "x"}
    if kind == "input_image":
        given["image_url"] = URL
    if kind == "input_file":
        given |= {"filename": "a.png", "file_data": URL}
    return {"input": [{"role": "user", "content": [given]}]}


def picture(**more: Any) -> Body:
    return {"prompt": "x", **more}


def gemini(**more: Any) -> Body:
    return {"contents": [CONTENT], **more}


def predicted(**more: Any) -> Body:
    return {"instances": [{"prompt": "x"}], "parameters": more}


def changed(**more: Any) -> Body:
    return {"prompt": "x", "image": PIXEL, **more}


def declared(name: str) -> Body:
    return gemini(tools=[{"functionDeclarations": [{"name": name}]}])


def calling(mode: str) -> Body:
    offered = gemini(tools=[{"functionDeclarations": [{"name": "f"}]}])
    return {**offered, "toolConfig": {"functionCallingConfig": {"mode": mode}}}


MODES = ["sticky", "temporary", None]
COUNTS = ([1, 2, 10], [0, -1, 11])
FEW = ([1, 4], [0, 5])
PROMPTS = (["x", " x\n"], ["", " \n", "x" * 32_001])
LABELS = (["1K", "2k", "auto", "", " 4K "], ["3K", "1024", "K"])
ROLES = ["system", "developer", "user", "assistant"]
KINDS = [
    "message",
    "function_call",
    "function_call_output",
    "item_reference",
    "reasoning",
    "image_generation_call",
]
PARTS = ["input_text", "output_text", "text", "refusal", "input_image", "input_file"]
SHAPES = (["text", "json_object", "json_schema"], ["xml", "JSON_OBJECT", ""])
FORMATS = (["png", "JPEG", "webp", "", None], ["gif", "image/png"])
MARKS = (["keep", "Remove", ""], ["true", "no"])
OBJECTS = ([{"type": "object"}, None], ["object", 5, []])
NAMES = (["f", "a.b:c-d_9"], ["", "a b", "\u00fc"])


def drawn(path: str, name: str) -> dict[tuple[str, str], Any]:
    return {
        (name, "prompt"): (path, lambda v: picture(prompt=v), *PROMPTS),
        (name, "n"): (path, lambda v: picture(n=v), *COUNTS),
        (name, "output_format"): (path, lambda v: picture(output_format=v), *FORMATS),
        (name, "output_compression"): (path, lambda v: picture(output_compression=v), [0, 100], [-1, 101]),
        (name, "watermark"): (path, lambda v: picture(watermark=v), *MARKS),
    }


def batch(**more: Any) -> Body:
    return {"prompts": ["x"], **more}


BATCH_IMAGES, BATCH_CHAT = "/v1/batch/images", "/v1/batch/chat"
TASKS = ([["x"], ["x", " y\n"]], [[], [""], ["x", " \n"]])
SIDE_BY_SIDE = ([1, 16, None], [0, -1])

CASES: dict[tuple[str, str], Any] = {
    ("BatchImagesRequest", "prompts"): (
        BATCH_IMAGES,
        lambda v: {"prompts": v},
        TASKS[0],
        [*TASKS[1], ["x" * 32_001]],
    ),
    ("BatchImagesRequest", "concurrency"): (BATCH_IMAGES, lambda v: batch(concurrency=v), *SIDE_BY_SIDE),
    ("BatchImagesRequest", "output_format"): (BATCH_IMAGES, lambda v: batch(output_format=v), *FORMATS),
    ("BatchImagesRequest", "output_compression"): (
        BATCH_IMAGES,
        lambda v: batch(output_compression=v),
        [0, 100],
        [-1, 101],
    ),
    ("BatchImagesRequest", "watermark"): (BATCH_IMAGES, lambda v: batch(watermark=v), *MARKS),
    ("BatchImagesRequest", "response_type"): (
        BATCH_IMAGES,
        lambda v: batch(response_type=v),
        ["url", "Base64", "", None],
        ["b64_json", "link"],
    ),
    ("BatchImagesRequest", "response_format"): (
        BATCH_IMAGES,
        lambda v: batch(response_format=v),
        ["url", "B64_json", "", None],
        ["base64", "link"],
    ),
    ("BatchChatRequest", "prompts"): (BATCH_CHAT, lambda v: {"prompts": v}, *TASKS),
    ("BatchChatRequest", "concurrency"): (BATCH_CHAT, lambda v: batch(concurrency=v), *SIDE_BY_SIDE),
    ("OpenAIChatRequest", "messages"): (CHAT, lambda v: {"messages": v}, [[SAID], [SAID] * 3], [[]]),
    ("OpenAIChatRequest", "n"): (CHAT, lambda v: chat(n=v), *FEW),
    ("OpenAIChatRequest", "tool_choice"): (
        CHAT,
        lambda v: chat(tools=[tool()], tool_choice=v),
        ["auto", "none", "required", None],
        ["any", "AUTO", ""],
    ),
    ("OpenAIChatRequest", "function_call"): (
        CHAT,
        lambda v: chat(functions=[{"name": "f"}], function_call=v),
        ["auto", "none", None],
        ["required", ""],
    ),
    ("OpenAIChatRequest", "previous_response_id"): (
        CHAT,
        lambda v: chat(previous_response_id=v),
        ["", None],
        ["resp_1"],
    ),
    ("OpenAIChatRequest", "previous_interaction_id"): (
        CHAT,
        lambda v: chat(previous_interaction_id=v),
        ["", None],
        ["x"],
    ),
    ("OpenAIChatRequest", "conversation"): (
        CHAT,
        lambda v: chat(conversation=v),
        MODES,
        ["Sticky", "", "conv_1", {"id": "conv_1"}, 5],
    ),
    ("OpenAIChatMessage", "role"): (
        CHAT,
        lambda v: {"messages": [SAID, {"role": v, "content": "x", "tool_call_id": "c"}]},
        [*ROLES, "tool", "function"],
        ["robot", "User", ""],
    ),
    ("OpenAIContentPart", "type"): (
        CHAT,
        lambda v: {"messages": [{"role": "user", "content": [part(v)]}]},
        ["text", "refusal", "image_url", "file"],
        ["input_text", "input_audio", ""],
    ),
    ("OpenAIToolIn", "type"): (
        CHAT,
        lambda v: chat(tools=[{**tool(), "type": v}]),
        ["function"],
        ["web_search", "custom", ""],
    ),
    ("OpenAIFunctionIn", "name"): (CHAT, lambda v: chat(tools=[tool(name=v)]), *NAMES),
    ("OpenAIFunctionIn", "parameters"): (CHAT, lambda v: chat(tools=[tool(parameters=v)]), *OBJECTS),
    ("OpenAIResponseFormat", "type"): (CHAT, lambda v: chat(response_format=shaped(v)), *SHAPES),
    ("OpenAIImageConfig", "image_size"): (CHAT, lambda v: chat(image_config={"image_size": v}), *LABELS),
    ("OpenAIResponseRequest", "input"): (
        RESPONSES,
        lambda v: {"input": v},
        ["x", [SAID]],
        ["", [], None],
    ),
    ("OpenAIResponseRequest", "tool_choice"): (
        RESPONSES,
        lambda v: {"input": "x", "tools": [{"type": "function", "name": "f"}], "tool_choice": v},
        ["auto", "none", "required", None],
        ["any", ""],
    ),
    ("OpenAIResponseRequest", "background"): (
        RESPONSES,
        lambda v: {"input": "x", "background": v},
        [False, None],
        [True],
    ),
    ("OpenAIResponseRequest", "conversation"): (
        RESPONSES,
        lambda v: {"input": "x", "conversation": v},
        MODES,
        ["conv_1", {"id": "conv_1"}],
    ),
    ("OpenAIResponseRequest", "prompt"): (
        RESPONSES,
        lambda v: {"input": "x", "prompt": v},
        [None],
        [{"id": "p"}, "p"],
    ),
    ("OpenAIResponseRequest", "response_format"): (
        RESPONSES,
        lambda v: {"input": "x", "response_format": v},
        [None],
        [{"type": "text"}],
    ),
    ("OpenAIItem", "type"): (RESPONSES, item, KINDS, ["computer_call", "", "Message"]),
    ("OpenAIItem", "role"): (
        RESPONSES,
        lambda v: {"input": [{"role": v, "content": "x"}]},
        ROLES,
        ["robot", "tool", ""],
    ),
    ("OpenAIPart", "type"): (RESPONSES, input_part, PARTS, ["image_url", "input_audio", ""]),
    ("OpenAIResponsesToolIn", "type"): (
        RESPONSES,
        lambda v: {"input": "x", "tools": [{"type": v, "name": "f"}]},
        ["function", "image_generation"],
        ["web_search", ""],
    ),
    ("OpenAITextFormat", "type"): (
        RESPONSES,
        lambda v: {"input": "x", "text": {"format": {"type": v, "name": "x", "schema": {"type": "object"}}}},
        *SHAPES,
    ),
    **drawn(PICTURES, "OpenAIEditRequest"),
    ("OpenAIEditRequest", "response_format"): (
        PICTURES,
        lambda v: picture(response_format=v),
        ["b64_json", "URL", " url", "", None],
        ["base64", "png"],
    ),
    ("PlainGenerateRequest", "prompt"): ("/v1/generate", lambda v: {"prompt": v}, ["x"], ["", " \n"]),
    **drawn("/v1/generate-images", "PlainPicturesRequest"),
    ("PlainPicturesRequest", "count"): ("/v1/generate-images", lambda v: picture(count=v), *COUNTS),
    ("PlainPicturesRequest", "response_type"): (
        "/v1/generate-images",
        lambda v: picture(response_type=v),
        ["base64", "Url", ""],
        ["b64_json"],
    ),
    ("GeminiGenerateRequest", "contents"): (
        GEMINI + "generateContent",
        lambda v: {"contents": v},
        [[CONTENT], CONTENT],
        [[], None],
    ),
    ("GeminiGenerateRequest", "conversation"): (
        GEMINI + "generateContent",
        lambda v: gemini(conversation=v),
        MODES,
        ["", "Sticky"],
    ),
    ("GeminiGenerateRequest", "cachedContent"): (
        GEMINI + "generateContent",
        lambda v: gemini(cachedContent=v),
        ["", None],
        ["cachedContents/1"],
    ),
    ("GeminiGenerateRequest", "previousInteractionId"): (
        GEMINI + "generateContent",
        lambda v: gemini(previousInteractionId=v),
        ["", None],
        ["x"],
    ),
    ("GeminiContent", "role"): (
        GEMINI + "generateContent",
        lambda v: {"contents": [CONTENT, {**CONTENT, "role": v}]},
        ["user", "model", "assistant", "function", "tool", "system", "", None],
        ["robot", "USER"],
    ),
    ("GeminiGenerationConfig", "candidateCount"): (
        GEMINI + "generateContent",
        lambda v: gemini(generationConfig={"candidateCount": v}),
        *FEW,
    ),
    ("GeminiImageConfig", "imageSize"): (
        GEMINI + "generateContent",
        lambda v: gemini(generationConfig={"imageConfig": {"imageSize": v}}),
        *LABELS,
    ),
    ("GeminiFunctionDeclaration", "name"): (
        GEMINI + "generateContent",
        declared,
        ["f", "_a.b:c-d9"],
        ["", "9a", "a b", "a" * 129],
    ),
    ("GeminiFunctionCallingConfig", "mode"): (
        GEMINI + "generateContent",
        calling,
        ["", "AUTO", "any", "None", "VALIDATED", "MODE_UNSPECIFIED", None],
        ["SOME", "required"],
    ),
    ("GeminiEditRequest", "prompt"): (GEMINI + "editImage", lambda v: changed(prompt=v), *PROMPTS),
    ("GeminiEditRequest", "imageSize"): (GEMINI + "editImage", lambda v: changed(imageSize=v), *LABELS),
    ("GeminiEditRequest", "candidateCount"): (
        GEMINI + "editImage",
        lambda v: changed(candidateCount=v),
        *FEW,
    ),
    ("GeminiPredictRequest", "instances"): (
        GEMINI + "predict",
        lambda v: {"instances": v},
        [[{"prompt": "x"}]],
        [[], [{"prompt": "x"}] * 2],
    ),
    ("GeminiInstance", "prompt"): (GEMINI + "predict", lambda v: {"instances": [{"prompt": v}]}, *PROMPTS),
    ("GeminiPredictParameters", "sampleCount"): (
        GEMINI + "predict",
        lambda v: predicted(sampleCount=v),
        *COUNTS,
    ),
    ("GeminiPredictParameters", "imageSize"): (GEMINI + "predict", lambda v: predicted(imageSize=v), *LABELS),
    ("GeminiPredictParameters", "sampleImageSize"): (
        GEMINI + "predict",
        lambda v: predicted(sampleImageSize=v),
        *LABELS,
    ),
}
FORMS = {"OpenAIImageRequest"}
"""The text fields of a form, which are those of `OpenAIEditRequest`."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge that keeps pictures and takes batches."""
    files = Local(tmp_path_factory.mktemp("files"), SystemClock())
    with edge(files=files, batches=FakeBatches()) as found:
        yield found


def test_each_bound_has_its_case() -> None:
    """No bound is told that is not tried below."""
    bounded = {
        (name, field)
        for name, facts in FACTS.items()
        if name not in FORMS
        for field, fact in facts.items()
        if fact.bounds or fact.needed
    }
    assert bounded == set(CASES)
    assert FACTS["OpenAIImageRequest"] == FACTS["OpenAIEditRequest"]


@pytest.mark.parametrize("case", CASES, ids=".".join)
def test_the_document_and_the_server_agree(whole: Edge, case: tuple[str, str]) -> None:
    """What is inside a bound is valid and answered; what is beyond is neither, and the answer names the reason."""
    path, body_of, good, bad = CASES[case]
    content = contract().document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for value, expected in [*((v, True) for v in good), *((v, False) for v in bad)]:
        body = body_of(value)
        said = f"{case} {str(value)[:40]!r}"
        assert contract().accepts(content["schema"], body) is expected, said
        whole.chat.reset()
        model = "gemini-2.5-flash-image" if path.endswith((":predict", ":editImage")) else "gemini-2.5-pro"
        response = whole.http.post(path.replace("{model}", model), json=body)
        assert response.is_success is expected, f"{said}: {response.text[:300]}"
        assert expected or response.status_code in (400, 413), response.text


def test_main_fields_are_described() -> None:
    """What is said of a field stands in the document."""
    schemas = contract().document["components"]["schemas"]
    for name, facts in FACTS.items():
        if name not in FORMS:
            for field, fact in facts.items():
                assert fact.text in schemas[name]["properties"][field]["description"]


def test_a_fact_of_no_field_is_an_error() -> None:
    """So that none outlives its field."""
    assert with_facts("Nobody", {"properties": {}}) == {"properties": {}}
    with pytest.raises(KeyError):
        with_facts("GeminiContent", {"properties": {}})
    with pytest.raises(LookupError):
        with_facts("GeminiContent", {"properties": {"role": {"type": "integer"}}})
    assert Fact().bounds == {}
