"""Tools and wanted JSON in chat completions, through the real openai SDK and its helpers."""

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from core.chat import Delta, Finish, FinishReason, Message, Shape, Text, ToolCall, Usage
from core.errors import UpstreamFailed
from tests.fakes.edge import Edge
from tests.fakes.service import Fail

MODEL = "gemini-2.5-pro"
USAGE = Usage(3, 4, 5)
END = Finish(USAGE, "gemini-flash")
CALLED = Finish(USAGE, "gemini-flash", reason=FinishReason.TOOL_CALLS)
REFUSED = Finish(USAGE, "gemini-flash", reason=FinishReason.REFUSAL)
PARIS = ToolCall("call_1", "get_weather", '{"city":"Paris"}')
ROME = ToolCall("call_2", "get_weather", '{"city":"Rome"}')
HELLO: Any = [{"role": "user", "content": "How is the weather in Paris and Rome?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


class City(BaseModel):
    """Where it is."""

    city: str
    people: int | None = None


class GetWeather(BaseModel):
    """The weather of a city."""

    city: str


def test_a_round_of_tools(client: openai.OpenAI, gate: Edge) -> None:
    """Calls out, results in: the message goes back into the history as the SDK gives it."""
    gate.chat.say(PARIS, ROME, CALLED)
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, tools=TOOLS)
    message = answer.choices[0].message
    assert (answer.choices[0].finish_reason, message.content) == ("tool_calls", None)
    assert message.tool_calls is not None
    history: Any = [*HELLO, message]
    for call in message.tool_calls:
        assert call.type == "function"
        city = json.loads(call.function.arguments)["city"]
        history.append({"role": "tool", "tool_call_id": call.id, "content": f"{city}: sun"})
    gate.chat.say(Delta("Sun in both."), END)
    answer = client.chat.completions.create(model=MODEL, messages=history, tools=TOOLS)
    assert answer.choices[0].message.content == "Sun in both."
    assert gate.chat.asks[-1].messages[1:] == (
        Message("assistant", tool_calls=(PARIS, ROME)),
        Message("tool", (Text("Paris: sun"),), name="get_weather", tool_call_id="call_1"),
        Message("tool", (Text("Rome: sun"),), name="get_weather", tool_call_id="call_2"),
    )


def test_the_streaming_helper_gathers_calls(client: openai.OpenAI, gate: Edge) -> None:
    """Its events name each call; the final message has them all, and the text before them."""
    gate.chat.say(Delta("Let me see."), PARIS, ROME, CALLED)
    with client.chat.completions.stream(model=MODEL, messages=HELLO, tools=TOOLS) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert [(event.name, event.arguments) for event in done] == [
        ("get_weather", '{"city":"Paris"}'),
        ("get_weather", '{"city":"Rome"}'),
    ]
    message = final.choices[0].message
    assert message.content == "Let me see."
    assert [call.id for call in message.tool_calls or ()] == ["call_1", "call_2"]
    assert final.choices[0].finish_reason == "tool_calls"


def test_parse_with_a_model(client: openai.OpenAI, gate: Edge) -> None:
    """`response_format` of a pydantic model: its schema out, its value in."""
    gate.chat.say(Delta('{"city":"Rome",'), Delta('"people":3}'), END)
    answer = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(city="Rome", people=3)
    shape = gate.chat.asks[0].shape
    assert isinstance(shape, Shape)
    assert shape.name == "City"
    assert shape.schema is not None
    assert shape.schema["required"] == ["city", "people"]
    with client.chat.completions.stream(model=MODEL, messages=HELLO, response_format=City) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == City(city="Rome", people=3)


def test_a_refusal_is_no_parse_error(client: openai.OpenAI, gate: Edge) -> None:
    """`message.refusal` has the model's words, also of a stream."""
    gate.chat.say(Delta("I'd rather not."), REFUSED)
    message = (
        client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City).choices[0].message
    )
    assert (message.parsed, message.content, message.refusal) == (None, None, "I'd rather not.")
    with client.chat.completions.stream(model=MODEL, messages=HELLO, response_format=City) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert "refusal.done" in kinds
    assert (message.content, message.refusal) == (None, "I'd rather not.")


def test_parse_with_tools(client: openai.OpenAI, gate: Edge) -> None:
    """`pydantic_function_tool` parses the arguments."""
    gate.chat.say(ToolCall("call_1", "GetWeather", '{"city":"Paris"}'), CALLED)
    tools = [openai.pydantic_function_tool(GetWeather)]
    answer = client.chat.completions.parse(
        model=MODEL, messages=HELLO, tools=tools, tool_choice="required", parallel_tool_calls=False
    )
    [call] = answer.choices[0].message.tool_calls or ()
    assert call.function.parsed_arguments == GetWeather(city="Paris")
    box = gate.chat.asks[0].toolbox
    assert box is not None
    assert (box.required, box.parallel, box.tools[0].description) == (True, False, "The weather of a city.")


def test_the_older_functions(client: openai.OpenAI, gate: Edge) -> None:
    """`function_call` and its finish reason."""
    gate.chat.say(PARIS, CALLED)
    functions = [TOOLS[0]["function"]]
    choice = client.chat.completions.create(model=MODEL, messages=HELLO, functions=functions).choices[0]
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None
    assert choice.message.function_call.name == "get_weather"


def test_errors_name_the_field(client: openai.OpenAI, gate: Edge) -> None:
    """400 for what cannot be kept; an answer that breaks its schema to the end is no answer."""
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(
            model=MODEL, messages=HELLO, tools=[{"type": "custom", "custom": {"name": "f"}}]
        )
    assert bad.value.param == "tools[0].type"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=HELLO, extra_body={"conversation": "conv_1"})
    assert bad.value.param == "conversation"
    gate.chat.say(Fail(UpstreamFailed("The answer breaks the schema at 'people': 'x' is not an integer.")))
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError, match="at 'people'"):
            client.chat.completions.create(
                model=MODEL, messages=HELLO, response_format={"type": "json_object"}, stream=stream
            )


def test_our_own_field_is_sent_as_an_extra_one(client: openai.OpenAI, gate: Edge) -> None:
    """`extra_body` of chats and of responses."""
    client.chat.completions.create(model=MODEL, messages=HELLO, extra_body={"conversation": "sticky"})
    client.responses.create(model=MODEL, input="hi", extra_body={"conversation": "temporary"})
    assert [ask.conversation for ask in gate.chat.asks] == ["sticky", "temporary"]
