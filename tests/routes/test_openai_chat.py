"""POST /v1/chat/completions as clients see it on the wire."""

import base64
import json
from typing import Any

import httpx
import pytest

from core.chat import Blob, Delta, Finish, FinishReason, Picture, PictureWish, Text, ToolCall, Usage
from tests.fakes.edge import Edge
from tests.support.files import PNG

PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
END = Finish(Usage(3, 4, 5), "gemini-flash")


def ask(gate: Edge, messages: Any = None, **fields: Any) -> httpx.Response:
    body = {"model": "gemini-2.5-pro", "messages": messages or [{"role": "user", "content": "hi"}], **fields}
    return gate.http.post("/v1/chat/completions", json=body)


def events(response: httpx.Response) -> list[Any]:
    """The stream's events; every one must be a single `data: ` line."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in response.text.split("\n\n") if block]
    lines = [block for block in blocks if not block.startswith(":")]
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


def test_a_whole_answer_has_every_field_that_strict_clients_check(gate: Edge) -> None:
    """id, object, created, model, index, role, finish_reason and usage are all there."""
    response = ask(gate)
    answer = response.json()
    assert answer["object"] == "chat.completion"
    assert answer["id"].startswith("chatcmpl-")
    assert isinstance(answer["created"], int)
    assert answer["model"] == "gemini-2.5-pro"
    [choice] = answer["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == "You said: hi"
    assert "reasoning_content" not in choice["message"]
    assert answer["usage"]["total_tokens"] == sum(
        answer["usage"][name] for name in ("prompt_tokens", "completion_tokens")
    )
    assert response.headers["x-gempool-attempts"] == "1"


def test_overhead_is_told_where_the_engine_told_what_it_waited_for(gate: Edge) -> None:
    """`x-gempool-overhead-ms` is what is left without the time waited, never below nought."""
    gate.chat.waited = 100.0
    assert float(ask(gate).headers["x-gempool-overhead-ms"]) == 0.0
    assert "x-gempool-overhead-ms" in ask(gate, stream=True).headers


def test_a_streamed_answer_is_the_whole_answer(gate: Edge) -> None:
    """Content pieces add up; one id; the role comes first, the finish reason last, then [DONE]."""
    *chunks, done = events(ask(gate, stream=True))
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "You said: hi"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-2:] == [None, "stop"]
    assert all("usage" not in chunk for chunk in chunks)


def test_usage_comes_in_a_chunk_without_choices_only_if_asked_for(gate: Edge) -> None:
    """Clients that read choices[0] blindly never see such a chunk unasked."""
    gate.chat.say(Delta("a"), END)
    *chunks, last, done = events(ask(gate, stream=True, stream_options={"include_usage": True}))
    assert done == "[DONE]"
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 9,
        "total_tokens": 12,
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert all(chunk["choices"] for chunk in chunks)
    assert all(chunk["choices"] for chunk in events(ask(gate, stream=True, stream_options={}))[:-1])


@pytest.mark.parametrize("stream", [False, True])
def test_n_choices_are_n_asks_under_one_id(gate: Edge, stream: bool) -> None:
    """Each choice has its own engine call and index; usage is the sum."""
    response = ask(gate, n=3, stream=stream, stream_options={"include_usage": True})
    if stream:
        chunks = events(response)[:-1]
        texts = {0: "", 1: "", 2: ""}
        for chunk in chunks[:-1]:
            [choice] = chunk["choices"]
            texts[choice["index"]] += choice["delta"].get("content", "")
        assert len({chunk["id"] for chunk in chunks}) == 1
        assert sum(chunk["choices"][0]["finish_reason"] == "stop" for chunk in chunks[:-1]) == 3
        assert sum("role" in chunk["choices"][0]["delta"] for chunk in chunks[:-1]) == 3
        usage = chunks[-1]["usage"]
    else:
        texts = {choice["index"]: choice["message"]["content"] for choice in response.json()["choices"]}
        usage = response.json()["usage"]
    assert texts == dict.fromkeys(range(3), "You said: hi")
    assert usage["prompt_tokens"] == 3
    assert len(gate.chat.asks) == 3
    assert response.headers["x-gempool-attempts"] == "3"


def test_thoughts_are_reasoning_content(gate: Edge) -> None:
    """Both ways, apart from the content."""
    gate.chat.say(Delta(thoughts="hm "), Delta(thoughts="well"), Delta("yes"), END)
    message = ask(gate).json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("hm well", "yes")
    deltas = [chunk["choices"][0]["delta"] for chunk in events(ask(gate, stream=True))[:-1]]
    assert [delta.get("reasoning_content") for delta in deltas] == ["hm ", "well", None, None]


def test_generated_pictures_are_data_urls(gate: Edge) -> None:
    """A generated picture stands in the images array as a data URL."""
    gate.chat.say(Delta("look"), Picture(PNG, "image/png"), END)
    expected = [{"type": "image_url", "image_url": {"url": PNG_URL}}]
    assert ask(gate).json()["choices"][0]["message"]["images"] == expected
    deltas = [chunk["choices"][0]["delta"] for chunk in events(ask(gate, stream=True))[:-1]]
    assert [delta["images"] for delta in deltas if "images" in delta] == [expected]
    assert "images" not in deltas[-1]


def test_the_finish_reason_is_the_engines(gate: Edge) -> None:
    """Why an answer ended reaches the caller."""
    gate.chat.say(Delta("no"), Finish(Usage(1, 1), "m", reason=FinishReason.CONTENT_FILTER))
    assert ask(gate).json()["choices"][0]["finish_reason"] == "content_filter"


def test_every_role_and_part_reaches_the_engine(gate: Edge) -> None:
    """developer is system, function is tool, data URLs are decoded, calls in the history are kept."""
    pdf = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7").decode()
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "system", "content": [{"type": "text", "text": "and kind"}]},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
                {"type": "image_url", "image_url": PNG_URL},
                {"type": "file", "file": {"file_data": pdf, "filename": "a.pdf"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "old", "arguments": "{}"}},
        {"role": "function", "name": "old", "content": "1"},
    ]
    assert ask(gate, messages).status_code == 200
    [asked] = gate.chat.asks
    roles = [message.role for message in asked.messages]
    assert roles == ["system", "system", "user", "assistant", "tool", "assistant", "assistant", "tool"]
    assert asked.messages[2].parts == (
        Text("what is this?"),
        Blob(PNG, "image/png"),
        Blob(PNG, "image/png"),
        Blob(b"%PDF-1.7", "application/pdf", "a.pdf"),
    )
    assert asked.messages[2].name == "ann"
    assert asked.messages[3].tool_calls == (ToolCall("c1", "now", "{}"),)
    assert asked.messages[4].tool_call_id == "c1"
    assert asked.messages[6].tool_calls == (ToolCall("", "old", "{}"),)


@pytest.mark.parametrize(
    ("effort", "thinking"),
    [(None, False), ("none", False), ("minimal", False), ("low", False), ("medium", True), ("high", True)],
)
def test_reasoning_effort_asks_for_extended_thinking(gate: Edge, effort: str | None, thinking: bool) -> None:
    """Medium and high ask for it, lower ones do not."""
    ask(gate, reasoning_effort=effort)
    assert gate.chat.asks[0].thinking is thinking


def test_sampling_and_unknown_fields_are_ignored_in_any_type(gate: Edge) -> None:
    """What the web app cannot honour is accepted, and so is what nobody knows."""
    names = ("temperature", "top_p", "max_tokens", "stop", "seed", "logit_bias", "user", "frob")
    odd: dict[str, Any] = {name: [{}] for name in names}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    for choice in (None, "auto", "none", {"type": "auto"}):
        assert (
            ask(gate, tools=tools, tool_choice=choice, response_format={"type": "text"}, **odd).status_code
            == 200
        )


def test_the_model_may_be_left_out_or_carry_googles_prefix(gate: Edge) -> None:
    """No model means the default one; `models/` before a name is dropped."""
    assert (
        gate.http.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": "a"}]}
        ).status_code
        == 200
    )
    ask(gate, model="models/gemini-2.5-pro")
    assert [asked.model for asked in gate.chat.asks] == ["gemini-3-flash-preview", "gemini-2.5-pro"]


def test_the_engine_is_told_who_asks_and_how(gate: Edge) -> None:
    """Request id, caller and whether the caller streams."""
    headers = {"x-request-id": "abc.DEF-1_2"}
    body = {"messages": [{"role": "user", "content": "a"}], "stream": True}
    response = gate.http.post("/v1/chat/completions", json=body, headers=headers)
    [asked] = gate.chat.asks
    assert response.headers["x-request-id"] == asked.request_id == "abc.DEF-1_2"
    assert (asked.caller, asked.stream) == ("ip:127.0.0.1", True)


IMAGE = "gemini-2.5-flash-image"
LINK = "/files/20261121T000000Z_a_00.png"


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        ({}, None),
        ({"modalities": ["text"]}, None),
        ({"image_config": {"aspect_ratio": "16:9"}}, None),
        ({"modalities": ["image", "text"]}, PictureWish(pixels=1024, link=True)),
        ({"model": IMAGE}, PictureWish(pixels=1024, link=True)),
        ({"model": IMAGE, "modalities": []}, PictureWish(pixels=1024, link=True)),
        ({"model": IMAGE, "modalities": ["TEXT"]}, None),
        ({"model": "gemini-3-pro-image-preview"}, PictureWish(pixels=2048, link=True)),
        (
            {"model": IMAGE, "image_config": {"aspect_ratio": "16:9", "image_size": "4K"}},
            PictureWish("16:9", 4096, link=True),
        ),
        (
            {"modalities": ["IMAGE"], "image_config": {"aspect_ratio": None, "image_size": "auto"}},
            PictureWish(pixels=1024, link=True),
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_picture_is_wished_for_by_model_or_modality(
    gate: Edge, fields: dict[str, Any], wish: PictureWish | None, stream: bool
) -> None:
    """Picture models always make one, unless only text is asked for; others where they are asked to."""
    assert ask(gate, stream=stream, **fields).status_code == 200
    assert gate.chat.asks[0].picture == wish


def test_the_logo_may_be_kept(gate: Edge) -> None:
    """By the address, as on the other picture routes."""
    body = {"model": IMAGE, "messages": [{"role": "user", "content": "a fox"}]}
    gate.http.post("/v1/chat/completions", params={"watermark": "keep"}, json=body)
    assert gate.chat.asks[0].picture == PictureWish(pixels=1024, keep_watermark=True, link=True)


@pytest.mark.parametrize(
    ("fields", "param", "remedy"),
    [
        ({"modalities": ["audio"]}, "modalities", "text, image or both"),
        ({"modalities": "image"}, "modalities", "expected array"),
        ({"image_config": "16:9"}, "image_config", "expected object"),
        ({"image_config": {"aspect_ratio": "7:1"}}, "image_config.aspect_ratio", "16:9"),
        ({"image_config": {"aspect_ratio": 1}}, "image_config.aspect_ratio", "expected str"),
        ({"image_config": {"image_size": "8K"}}, "image_config.image_size", "1K, 2K or 4K"),
    ],
)
def test_a_wrong_wish_is_named(gate: Edge, fields: dict[str, Any], param: str, remedy: str) -> None:
    """Before the engine is asked."""
    response = ask(gate, model=IMAGE, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == param
    assert remedy in error["message"]
    assert gate.chat.asks == []


def test_pictures_are_links_in_the_text_and_whole_in_the_array_both_ways(gate: Edge) -> None:
    """A reader of the text alone sees them too; streamed and whole are the same."""
    gate.chat.say(
        Delta("Two foxes."),
        Picture(PNG, "image/png", alt="[a] fox\n(red)", link=LINK),
        Picture(PNG, "image/png", link="https://cdn.example/b.png"),
        END,
    )
    whole = ask(gate).json()["choices"][0]["message"]
    assert whole["content"] == (
        f"Two foxes.\n\n![a fox red](http://127.0.0.1:{gate.port}{LINK})\n\n![image](https://cdn.example/b.png)"
    )
    deltas = [chunk["choices"][0]["delta"] for chunk in events(ask(gate, stream=True))[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == whole["content"]
    assert [image for delta in deltas for image in delta.get("images", ())] == whole["images"]
    assert [image["image_url"]["url"] for image in whole["images"]] == [PNG_URL] * 2


def test_an_answer_of_a_picture_alone_begins_with_its_link(gate: Edge) -> None:
    """Without empty lines before it; the role stands in the first chunk."""
    whole = ask(gate, model=IMAGE).json()["choices"][0]["message"]
    assert whole["content"] == f"![a small picture](http://127.0.0.1:{gate.port}{LINK})"
    first, *_ = events(ask(gate, model=IMAGE, stream=True))
    assert first["choices"][0]["delta"]["content"] == whole["content"]
    assert first["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize("stream", [False, True])
def test_large_pictures_arrive_whole(gate: Edge, stream: bool) -> None:
    """Though they are coded piece by piece."""
    big = PNG + bytes(range(256)) * 8192
    gate.chat.say(Picture(big, "image/png"), END)
    response = ask(gate, n=2, stream=stream)
    if stream:
        deltas = [chunk["choices"][0]["delta"] for chunk in events(response)[:-1]]
    else:
        assert response.headers["content-length"] == str(len(response.content))
        deltas = [choice["message"] for choice in response.json()["choices"]]
    urls = [image["image_url"]["url"] for delta in deltas for image in delta.get("images", ())]
    assert urls == ["data:image/png;base64," + base64.b64encode(big).decode()] * 2
