"""POST /v1/responses as clients see it on the wire: what is asked, answered and streamed."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.chat import (
    Ask,
    Blob,
    Delta,
    Finish,
    FinishReason,
    Message,
    Picture,
    PictureWish,
    Shape,
    Text,
    Tool,
    Toolbox,
    ToolCall,
    Usage,
)
from core.errors import NoAccount, UpstreamFailed
from tests.fakes.edge import Edge, edge
from tests.fakes.responses import FakeResponses
from tests.fakes.service import Fail, Pause
from tests.routes.conftest import QUICK
from tests.support.files import PNG

USAGE = Usage(3, 4, 5)
END = Finish(USAGE, "gemini-flash")
CALLED = Finish(USAGE, "gemini-flash", reason=FinishReason.TOOL_CALLS)
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
PDF_URL = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7").decode()
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "get_weather", "description": "Of a city", "parameters": CITY}
NOW = {"type": "function", "name": "now", "strict": True}
BOX = Toolbox((Tool("get_weather", "Of a city", CITY), Tool("now")))
PARIS = ToolCall("call_1", "get_weather", '{"city":"Paris"}')
IMAGE = "gemini-2.5-flash-image"


@pytest.fixture(scope="module")
def served(kept: FakeResponses) -> Iterator[Edge]:
    """An edge that keeps responses."""
    with edge(settings=QUICK, responses=kept) as found:
        yield found


def post(gate: Edge, input: Any = "hi", **fields: Any) -> httpx.Response:
    return gate.http.post("/v1/responses", json={"input": input, **fields})


def answered(gate: Edge, input: Any = "hi", **fields: Any) -> dict[str, Any]:
    response = post(gate, input, **fields)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def asked(gate: Edge, input: Any = "hi", **fields: Any) -> Ask:
    """What the engine is asked."""
    answered(gate, input, **fields)
    return gate.chat.asks[-1]


def streamed(gate: Edge, input: Any = "hi", **fields: Any) -> list[dict[str, Any]]:
    """The stream's events: each under its name, numbered without a gap, and no [DONE]."""
    response = post(gate, input, stream=True, **fields)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in response.text.split("\n\n"):
        if not block or block.startswith(":"):
            continue
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def accumulated(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items that a stream's events add up to, by the deltas; every `done` must say the same."""
    items: dict[int, dict[str, Any]] = {}
    for event in json.loads(json.dumps(events)):
        what, _, step = event["type"].removeprefix("response.").rpartition(".")
        at = event.get("output_index")
        if what == "output_item" and step == "added":
            assert at == len(items)
            items[at] = event["item"]
            continue
        if at is None or step not in ("added", "delta", "done"):
            continue
        item = items[at]
        if what == "output_item":
            assert grown(item) == grown(event["item"])
            items[at] = event["item"]
            continue
        assert event["item_id"] == item["id"]
        list_name, index_name, field = PARTS.get(what, ("", "", ""))
        if not list_name:
            assert what == "function_call_arguments"
            holder, field = item, "arguments"
        elif step == "added":
            item[list_name].append(event["part"])
            continue
        else:
            holder = item[list_name][event[index_name]]
        if not field:
            assert holder == event["part"]
        elif step == "delta":
            holder[field] += event["delta"]
        else:
            assert holder[field] == event[field]
    return [items[i] for i in range(len(items))]


PARTS = {
    "content_part": ("content", "content_index", ""),
    "output_text": ("content", "content_index", "text"),
    "refusal": ("content", "content_index", "refusal"),
    "reasoning_summary_part": ("summary", "summary_index", ""),
    "reasoning_summary_text": ("summary", "summary_index", "text"),
}
"""What an event is about: the list of its item, the event's place in it, and the text that grows."""


def grown(item: dict[str, Any]) -> dict[str, Any]:
    """An item without what comes with its end alone."""
    return {name: item[name] for name in item if name not in ("status", "result", "output_format", "size")}


def without_ids(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


def test_a_whole_response_has_every_field_that_strict_clients_check(gate: Edge) -> None:
    """What was asked is told back; the rest has OpenAI's defaults."""
    response = post(
        gate, metadata={"a": "b"}, instructions="Be brief.", temperature=0.2, model="gemini-2.5-pro"
    )
    found = response.json()
    assert found["id"].startswith("resp_")
    [item] = found.pop("output")
    assert item == {
        "id": f"msg_{found['id'].removeprefix('resp_')}_0",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "You said: hi", "annotations": [], "logprobs": []}],
    }
    usage = found.pop("usage")
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert usage["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}
    assert isinstance(found.pop("created_at"), int)
    assert isinstance(found.pop("completed_at"), int)
    del found["id"]
    assert found == {
        "object": "response",
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {"a": "b"},
        "model": "gemini-2.5-pro",
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 0.2,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }
    assert response.headers["x-gempool-attempts"] == "1"


def test_what_was_asked_is_told_back(gate: Edge) -> None:
    """Tools with what they left out, the choice, the format, the effort."""
    format = {"type": "json_schema", "name": "w", "schema": CITY, "strict": True}
    gate.chat.say(Delta('{"city":"Rome"}'), END)
    found = answered(
        gate,
        tools=[WEATHER, NOW],
        tool_choice={"type": "function", "name": "now"},
        parallel_tool_calls=False,
        text={"format": format},
        reasoning={"effort": "high", "summary": "auto"},
        max_output_tokens=100,
        truncation="auto",
        store=False,
    )
    assert found["tools"] == [
        {"strict": True, **WEATHER},
        {**NOW, "description": None, "parameters": None},
    ]
    assert found["tool_choice"] == {"type": "function", "name": "now"}
    assert found["parallel_tool_calls"] is False
    assert found["text"] == {"format": format, "verbosity": "medium"}
    assert found["reasoning"] == {"effort": "high", "summary": "auto"}
    assert (found["max_output_tokens"], found["truncation"], found["store"]) == (100, "auto", False)


def test_sampling_and_unknown_fields_are_ignored_in_any_type(gate: Edge) -> None:
    """What the web app cannot honour is accepted."""
    names = ("temperature", "top_p", "max_output_tokens", "include", "truncation", "user", "service_tier")
    odd: dict[str, Any] = {name: [{}] for name in (*names, "frob", "prompt_cache_key", "stream_options")}
    found = answered(gate, **odd)
    assert (found["temperature"], found["top_p"], found["user"]) == (1.0, 1.0, None)


def test_a_stream_tells_everything_in_order(gate: Edge) -> None:
    """Thoughts, text and a call, each item begun, filled and ended before the next."""
    gate.chat.say(Delta(thoughts="hm"), Delta("Let "), Delta("me."), PARIS, CALLED)
    events = streamed(gate, tools=[WEATHER])
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["status"] == events[1]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []
    delta = events[10]
    assert (delta["output_index"], delta["content_index"], delta["logprobs"]) == (1, 0, [])
    call = events[15]["item"]
    assert (call["type"], call["call_id"], call["name"], call["arguments"]) == (
        "function_call",
        "call_1",
        "get_weather",
        "",
    )
    assert events[17]["name"] == "get_weather"
    last = events[-1]["response"]
    assert last["status"] == "completed"
    assert last["id"] == events[0]["response"]["id"]
    assert last["usage"]["output_tokens"] == 9
    assert last["usage"]["output_tokens_details"]["reasoning_tokens"] == 5


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_a_part_of_its_own(gate: Edge, stream: bool) -> None:
    """Where JSON was asked for; a stream does not take it for text first."""
    gate.chat.say(Delta("I will "), Delta("not."), Finish(USAGE, "m", reason=FinishReason.REFUSAL))
    fields = {"text": {"format": {"type": "json_object"}}}
    if stream:
        events = streamed(gate, **fields)
        assert [event["type"] for event in events if "refusal" in event["type"]] == [
            "response.refusal.delta",
            "response.refusal.done",
        ]
        assert not [event for event in events if "output_text" in event["type"]]
        response = events[-1]["response"]
        assert accumulated(events) == response["output"]
    else:
        response = answered(gate, **fields)
    assert response["status"] == "completed"
    [item] = response["output"]
    assert item["content"] == [{"type": "refusal", "refusal": "I will not."}]


@pytest.mark.parametrize("stream", [False, True])
def test_a_filtered_answer_is_incomplete(gate: Edge, stream: bool) -> None:
    """And says why."""
    gate.chat.say(Delta("no"), Finish(USAGE, "m", reason=FinishReason.CONTENT_FILTER))
    if stream:
        last = streamed(gate)[-1]
        assert last["type"] == "response.incomplete"
        response = last["response"]
    else:
        response = answered(gate)
    assert (response["status"], response["completed_at"]) == ("incomplete", None)
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert response["output"][0]["status"] == "incomplete"


def test_thoughts_that_come_late_are_an_item_at_the_end(gate: Edge) -> None:
    """No item is opened twice."""
    gate.chat.say(Delta("a"), Delta(thoughts="hm"), Delta("b"), Delta(thoughts="!"), END)
    events = streamed(gate)
    items = events[-1]["response"]["output"]
    assert [item["type"] for item in items] == ["message", "reasoning"]
    assert items[1]["summary"] == [{"type": "summary_text", "text": "hm!"}]
    assert accumulated(events) == items


def test_a_stream_that_fails_early_is_a_plain_error_and_late_an_error_event(gate: Edge) -> None:
    """The event has OpenAI's documented fields, and `error`, at which its SDKs raise."""
    gate.chat.say(Fail(NoAccount("None can serve.")))
    assert post(gate, stream=True).status_code == 503
    gate.chat.say(Delta("a"), Fail(NoAccount("None can serve.")))
    *_, last = streamed(gate)
    assert last["type"] == "error"
    assert (last["code"], last["param"]) == ("no_account_available", None)
    assert last["message"].startswith("None can serve.")
    assert last["error"] == {
        "type": "server_error",
        "code": "no_account_available",
        "message": last["message"],
        "param": None,
    }


def test_signs_of_life_are_comments(gate: Edge) -> None:
    """Before the first event and between events; an error after them is an event as well."""
    gate.chat.say(Pause(0.4), Delta("a"), Pause(0.3), END)
    response = post(gate, stream=True)
    blocks = response.text.split("\n\n")
    assert blocks[0] == ": keep-alive"
    assert blocks.count(": keep-alive") >= 2
    gate.chat.say(Pause(0.4), Fail(NoAccount("None.")))
    [event] = streamed(gate)
    assert (event["type"], event["sequence_number"]) == ("error", 0)


def test_shaped_text_is_streamed_once_it_is_right(gate: Edge) -> None:
    """A failure before the end is a plain error."""
    gate.chat.say(Delta("{"), Fail(UpstreamFailed("At 'city': 5 is not a string.")))
    assert post(gate, stream=True, text={"format": {"type": "json_object"}}).status_code == 503


def test_every_kind_of_item_reaches_the_engine(gate: Edge) -> None:
    """Messages in short and long form, pictures, files, calls with their results; reasoning is left out."""
    found = asked(
        gate,
        [
            {"role": "developer", "content": "be brief"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "what is this?"},
                    {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
                    {"type": "input_file", "file_data": PDF_URL, "filename": "a.pdf"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_1",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "now", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "get_weather", "arguments": {"city": "Rome"}},
            {"type": "function_call_output", "call_id": "c1", "output": "noon"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [
                    {"type": "input_text", "text": "sun"},
                    {"type": "input_image", "image_url": PNG_URL},
                ],
            },
            {"type": "function_call_output", "call_id": "c9", "output": "?"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"role": "user", "content": "so?"},
        ],
        instructions="Be kind.",
    )
    assert found.messages == (
        Message("system", (Text("Be kind."),)),
        Message("system", (Text("be brief"),)),
        Message(
            "user",
            (Text("what is this?"), Blob(PNG, "image/png"), Blob(b"%PDF-1.7", "application/pdf", "a.pdf")),
        ),
        Message(
            "assistant",
            (Text("Let me see."),),
            tool_calls=(ToolCall("c1", "now", "{}"), ToolCall("c2", "get_weather", '{"city":"Rome"}')),
        ),
        Message("tool", (Text("noon"),), name="now", tool_call_id="c1"),
        Message("tool", (Text("sun"), Blob(PNG, "image/png")), name="get_weather", tool_call_id="c2"),
        Message("tool", (Text("?"),), tool_call_id="c9"),
        Message("assistant", (Text("no"),)),
        Message("user", (Text("so?"),)),
    )


@pytest.mark.parametrize(
    ("fields", "box"),
    [
        ({"tools": [WEATHER, NOW]}, BOX),
        ({"tools": [WEATHER, NOW], "tool_choice": "none"}, None),
        ({"tools": []}, None),
        ({"tools": [{"type": "image_generation"}]}, None),
        ({"tools": [WEATHER, NOW], "tool_choice": "required"}, Toolbox(BOX.tools, required=True)),
        (
            {"tools": [WEATHER, NOW], "tool_choice": {"type": "function", "name": "now"}},
            Toolbox(BOX.tools, required=True, allowed=frozenset({"now"})),
        ),
        (
            {
                "tools": [WEATHER, NOW],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "now"}],
                },
            },
            Toolbox(BOX.tools, required=True, allowed=frozenset({"now"})),
        ),
        ({"tools": [WEATHER, NOW], "parallel_tool_calls": False}, Toolbox(BOX.tools, parallel=False)),
    ],
)
def test_tools_are_written_flat(gate: Edge, fields: dict[str, Any], box: Toolbox | None) -> None:
    """In all choices of OpenAI's."""
    assert asked(gate, **fields).toolbox == box


@pytest.mark.parametrize(
    ("format", "shape"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Shape()),
        ({"type": "json_schema", "name": "w", "schema": CITY, "strict": False}, Shape(CITY, "w")),
        ({"type": "json_schema", "name": "w", "description": "d", "schema": CITY}, Shape(CITY, "w", "d")),
    ],
)
def test_the_wanted_json_is_written_flat(gate: Edge, format: Any, shape: Shape | None) -> None:
    """In `text.format`."""
    assert asked(gate, text={"format": format, "verbosity": "low"}).shape == shape


def test_effort_model_and_conversation(gate: Edge) -> None:
    """High effort is extended thinking; no model means the default one; `conversation` is ours."""
    found = asked(gate, reasoning={"effort": "high"}, conversation="sticky")
    assert (found.thinking, found.model, found.conversation) == (True, "gemini-3-flash-preview", "sticky")
    assert asked(gate, reasoning={"effort": None}).conversation == ""
    assert (found.caller, found.stream) == ("ip:127.0.0.1", False)


@pytest.mark.parametrize("stream", [False, True])
def test_pictures_are_links_in_the_text(gate: Edge, stream: bool) -> None:
    """As in chat completions; an item of their own where OpenAI's tool for them was offered."""
    link = f"![a small picture](http://127.0.0.1:{gate.port}/files/20261121T000000Z_a_00.png)"

    def output(**fields: Any) -> list[dict[str, Any]]:
        if not stream:
            found: list[dict[str, Any]] = answered(gate, "a fox", **fields)["output"]
            return found
        events = streamed(gate, "a fox", **fields)
        assert accumulated(events) == events[-1]["response"]["output"]
        return accumulated(events)

    [message] = output(model=IMAGE)
    assert message["content"][0]["text"] == link
    assert gate.chat.asks[-1].picture == PictureWish(pixels=1024, link=True)
    tool = {"type": "image_generation", "size": "1536x1024", "output_format": "png"}
    [message, item] = output(model=IMAGE, tools=[tool])
    assert message["content"][0]["text"] == link
    assert (item["type"], item["status"]) == ("image_generation_call", "completed")
    assert base64.b64decode(item["result"]) == PNG
    assert (item["output_format"], item["size"]) == ("png", "2048x2048")
    assert gate.chat.asks[-1].picture == PictureWish("3:2", 2048, format="image/png", link=True)
    output(tools=[tool], tool_choice={"type": "image_generation"})
    assert gate.chat.asks[-1].picture == PictureWish("3:2", 2048, format="image/png", link=True)
    output(tools=[tool])
    assert gate.chat.asks[-1].picture is None


def test_a_picture_without_a_link_is_not_lost(gate: Edge) -> None:
    """It is an item then, and large ones arrive whole."""
    big = PNG + bytes(range(256)) * 8192
    gate.chat.say(Picture(big, "image/png"), END)
    [item] = answered(gate)["output"]
    assert base64.b64decode(item["result"]) == big
    events = streamed(gate)
    assert base64.b64decode(events[-1]["response"]["output"][0]["result"]) == big


def test_pictures_of_earlier_answers_come_back(gate: Edge) -> None:
    """As the items that they were."""
    item = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG_URL[22:]}
    said = {"role": "assistant", "content": [{"type": "output_text", "text": f"Here: {PNG_URL}"}]}
    found = asked(gate, [{"role": "user", "content": "a fox"}, item, {"role": "user", "content": "red"}])
    assert found.messages[1] == Message("assistant", (Blob(PNG, "image/png"),))
    found = asked(gate, [said, {"role": "user", "content": "red"}])
    assert found.messages[0] == Message("assistant", (Text("Here: [picture]"), Blob(PNG, "image/png")))


def part(**fields: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(
    ("body", "param", "remedy"),
    [
        ({}, "input", "Say something"),
        ({"input": ""}, "input", "Say something"),
        ({"input": []}, "input", "Say something"),
        ({"input": 5}, "input", "expected"),
        ({"input": "  "}, "input", "no content"),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "input", "no content"),
        ({"messages": [{"role": "user", "content": "a"}]}, "messages", "Use 'input'"),
        ({"input": [{}]}, "input[0].role", "Add it"),
        ({"input": [{"role": "robot", "content": "a"}]}, "input[0].role", "system, developer"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role", "function_call_output"),
        ({"input": [{"role": "user"}]}, "input[0].content", "Add it"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type", "Use message"),
        ({"input": [{"type": "custom_tool_call", "id": "c"}]}, "input[0].type", "Use message"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name", "Add it"),
        ({"input": [{"type": "function_call_output", "output": "a"}]}, "input[0].call_id", "Add it"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output", "Add it"),
        ({"input": [{"type": "item_reference"}]}, "input[0].id", "Add it"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id", "Send the item itself"),
        (part(type="input_text"), "input[0].content[0].text", "Add it"),
        (part(type="text_input", text="a"), "input[0].content[0].type", "input_text"),
        (part(type="input_audio"), "input[0].content[0]", "Send its text"),
        (part(type="input_image"), "input[0].content[0].image_url", "Add it"),
        (part(type="input_image", file_id="f"), "input[0].content[0].file_id", "data URL"),
        (part(type="input_image", image_url="ftp://a"), "input[0].content[0].image_url", "data URL"),
        (part(type="input_image", image_url="https://a.b/c"), "input[0].content[0].image_url", "data URL"),
        (part(type="input_file"), "input[0].content[0].file_data", "data URL"),
        (part(type="input_file", file_id="f"), "input[0].content[0].file_id", "data URL"),
        (part(type="input_file", file_url="https://a.b/c"), "input[0].content[0].file_url", "data URL"),
        (part(type="input_file", file_data="x"), "input[0].content[0].file_data", "data URL"),
        ({"input": "a", "background": True}, "background", "Leave it out"),
        ({"input": "a", "prompt": {"id": "pmpt_1"}}, "prompt", "Write it out"),
        ({"input": "a", "response_format": {"type": "json_object"}}, "response_format", "text.format"),
        ({"input": "a", "conversation": "conv_1"}, "conversation", '"sticky" or "temporary"'),
        ({"input": "a", "conversation": {"id": "conv_1"}}, "conversation", '"sticky" or "temporary"'),
        ({"input": "a", "metadata": []}, "metadata", "expected object"),
        ({"input": "a", "stream": "yes"}, "stream", "expected bool"),
        ({"input": "a", "instructions": ["b"]}, "instructions", "expected str"),
        ({"input": "a", "tools": [{"name": "f"}]}, "tools[0].type", "Add it"),
        ({"input": "a", "tools": [{"type": "function"}]}, "tools[0].name", "Add it"),
        (
            {"input": "a", "tools": [{"type": "function", "function": {"name": "f"}}]},
            "tools[0].name",
            "Add it",
        ),
        ({"input": "a", "tools": [{"type": "web_search"}]}, "tools[0].type", "type function"),
        ({"input": "a", "tools": [{"type": "custom", "name": "f"}]}, "tools[0].type", "type function"),
        (
            {"input": "a", "tools": [NOW], "tool_choice": {"type": "function", "name": "f"}},
            "tool_choice.name",
            "Offered are: now",
        ),
        ({"input": "a", "tools": [NOW], "tool_choice": {"type": "web_search"}}, "tool_choice", "a function"),
        (
            {"input": "a", "tools": [NOW], "tool_choice": {"type": "allowed_tools", "mode": "x"}},
            "tool_choice.mode",
            "auto or required",
        ),
        ({"input": "a", "tools": [{**NOW, "parameters": []}]}, "tools[0].parameters", "an object"),
        ({"input": "a", "text": {"format": {"type": "xml"}}}, "text.format.type", "json_schema"),
        ({"input": "a", "text": {"format": {"type": "json_schema"}}}, "text.format.schema", "Add the JSON"),
        (
            {"input": "a", "model": IMAGE, "tools": [{"type": "image_generation", "size": "x"}]},
            "tools[0].size",
            "auto",
        ),
        ({"input": "a", "previous_response_id": "resp_1"}, "previous_response_id", "Send the whole history"),
    ],
)
def test_what_cannot_be_kept_is_named_with_the_remedy(gate: Edge, body: Any, param: str, remedy: str) -> None:
    """In OpenAI's shape, before the engine is asked."""
    response = gate.http.post("/v1/responses", json=body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == param
    assert remedy in error["message"]
    assert gate.chat.asks == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/resp_1"), ("DELETE", "/resp_1"), ("POST", "/resp_1/cancel"), ("GET", "/resp_1/input_items")],
)
def test_kept_responses_are_not_read_again(gate: Edge, method: str, path: str) -> None:
    """The refusal says what they are kept for."""
    response = gate.http.request(method, f"/v1/responses{path}")
    assert response.status_code == 404
    assert "previous_response_id" in response.json()["error"]["message"]


def test_bounds_hold(gate: Edge) -> None:
    """Of messages, text and functions."""
    many = [{"type": "function", "name": f"f{i}"} for i in range(513)]
    for fields, param in (
        ({"input": [{"role": "user", "content": "a"}] * 2001}, "input"),
        ({"input": "a", "tools": many}, "tools[512]"),
    ):
        response = gate.http.post("/v1/responses", json=fields)
        assert response.status_code == 413
        assert response.json()["error"]["param"] == param


PIECES = st.text(max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    thoughts=st.lists(PIECES, max_size=2),
    texts=st.lists(PIECES, max_size=4),
    links=st.lists(st.sampled_from(["", "/files/a.png"]), max_size=2),
    arguments=st.lists(st.text(max_size=600), max_size=2),
    drawn=st.booleans(),
    shaped=st.booleans(),
    reason=st.sampled_from(FinishReason),
)
def test_the_events_add_up_to_the_unstreamed_response(
    served: Edge,
    thoughts: list[str],
    texts: list[str],
    links: list[str],
    arguments: list[str],
    drawn: bool,
    shaped: bool,
    reason: FinishReason,
) -> None:
    """Delta by delta, item by item, and in the last event; but for ids and times."""
    served.chat.reset()
    served.chat.say(
        *(Delta(thoughts=piece) for piece in thoughts),
        *(Delta(piece) for piece in texts),
        *(Picture(PNG, "image/png", width=8, height=8, link=link) for link in links),
        *(ToolCall(f"call_{i}", "f", json.dumps({"a": text})) for i, text in enumerate(arguments)),
        Finish(USAGE, "m", reason=reason),
    )
    fields: dict[str, Any] = {"tools": [{"type": "image_generation"}] if drawn else []}
    if shaped:
        fields["text"] = {"format": {"type": "json_object"}}
    whole = answered(served, **fields)
    events = streamed(served, **fields)
    last = events[-1]["response"]
    assert events[-1]["type"] == f"response.{whole['status']}"
    assert accumulated(events) == last["output"]
    assert without_ids(last["output"]) == without_ids(whole["output"])
    for response in (whole, last):
        for name in ("id", "output", "created_at", "completed_at"):
            del response[name]
    assert last == whole
