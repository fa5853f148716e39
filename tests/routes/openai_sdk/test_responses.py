"""The Responses API through the real openai SDK and its helpers."""

import base64
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from core.chat import Blob, Delta, Finish, FinishReason, Message, Picture, Text, ToolCall, Usage
from core.errors import NoAccount, PoolBusy
from tests.fakes.edge import Edge
from tests.fakes.service import Fail
from tests.support.files import PNG

MODEL = "gemini-2.5-pro"
IMAGE = "gemini-2.5-flash-image"
USAGE = Usage(3, 4, 5)
END = Finish(USAGE, "gemini-flash")
CALLED = Finish(USAGE, "gemini-flash", reason=FinishReason.TOOL_CALLS)
REFUSED = Finish(USAGE, "gemini-flash", reason=FinishReason.REFUSAL)
CUT = Finish(USAGE, "gemini-flash", reason=FinishReason.CONTENT_FILTER)
PARIS = ToolCall("call_1", "get_weather", '{"city":"Paris"}')
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}


class City(BaseModel):
    """Where it is."""

    city: str


def test_a_response(client: openai.OpenAI) -> None:
    """Text, usage and request id arrive, and the object is one of the SDK's own types to the letter."""
    answer = client.responses.create(model=MODEL, input="hi", instructions="Be brief.", tools=[WEATHER])
    assert answer.output_text == "You said: hi"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    assert answer._request_id
    raw = client.responses.with_raw_response.create(model=MODEL, input="hi", tools=[WEATHER])
    Response.model_validate_json(raw.text)


@pytest.mark.parametrize(
    "script",
    [
        [Delta(thoughts="hm"), Delta("a"), PARIS, CALLED],
        [Delta("no"), CUT],
        [Delta("no"), REFUSED],
        [Picture(PNG, "image/png", width=8, height=8), END],
        [Delta("a"), Fail(NoAccount("Gone."))],
    ],
)
def test_every_event_is_one_of_the_sdks(client: openai.OpenAI, gate: Edge, script: list[Any]) -> None:
    """Validated strictly, where the SDK itself lets anything through."""
    event_type: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    shaped: Any = {"format": {"type": "json_object"}} if script[-1] is REFUSED else {}
    gate.chat.say(*script)
    with client.responses.with_streaming_response.create(
        model=MODEL, input="hi", stream=True, tools=[WEATHER], text=shaped
    ) as response:
        lines = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
    assert len(lines) > 4
    for line in lines:
        event_type.validate_json(line)


def test_the_streaming_helper(client: openai.OpenAI, gate: Edge) -> None:
    """It checks the order of events itself."""
    gate.chat.say(Delta(thoughts="hm"), Delta("Let "), Delta("me."), PARIS, CALLED)
    with client.responses.stream(model=MODEL, input="hi", tools=[WEATHER]) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots == ["Let ", "Let me."]
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.output_text == "Let me."


def test_parse(client: openai.OpenAI, gate: Edge) -> None:
    """`text_format` of a pydantic model, whole and streamed."""
    gate.chat.say(Delta('{"city":'), Delta('"Rome"}'), END)
    assert client.responses.parse(model=MODEL, input="a city", text_format=City).output_parsed == City(
        city="Rome"
    )
    with client.responses.stream(model=MODEL, input="a city", text_format=City) as stream:
        assert stream.get_final_response().output_parsed == City(city="Rome")
    shape = gate.chat.asks[-1].shape
    assert shape is not None
    assert shape.name == "City"


def test_a_refusal(client: openai.OpenAI, gate: Edge) -> None:
    """A part of its own, whole and streamed."""
    gate.chat.say(Delta("I'd rather not."), REFUSED)
    whole = client.responses.parse(model=MODEL, input="a city", text_format=City)
    with client.responses.stream(model=MODEL, input="a city", text_format=City) as stream:
        streamed = stream.get_final_response()
    for answer in (whole, streamed):
        [item] = answer.output
        assert item.type == "message"
        [part] = item.content
        assert part.type == "refusal"
        assert part.refusal == "I'd rather not."
        assert answer.output_parsed is None


@pytest.mark.parametrize("by_id", [False, True])
def test_a_round_of_tools(client: openai.OpenAI, gate: Edge, by_id: bool) -> None:
    """With the output sent back as it came, or with the response's id alone."""
    gate.chat.say(Delta(thoughts="hm"), PARIS, CALLED)
    question: Any = {"role": "user", "content": "How is Paris?"}
    first = client.responses.create(model=MODEL, input=[question], tools=[WEATHER])
    call = first.output[-1]
    assert call.type == "function_call"
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sun"}
    gate.chat.say(Delta("Sunny."), END)
    if by_id:
        last = client.responses.create(
            model=MODEL, input=[result], tools=[WEATHER], previous_response_id=first.id
        )
    else:
        last = client.responses.create(model=MODEL, input=[question, *first.output, result], tools=[WEATHER])
    assert last.output_text == "Sunny."
    assert gate.chat.asks[-1].messages == (
        Message("user", (Text("How is Paris?"),)),
        Message("assistant", tool_calls=(PARIS,)),
        Message("tool", (Text("sun"),), name="get_weather", tool_call_id="call_1"),
    )


def test_parsed_arguments(client: openai.OpenAI, gate: Edge) -> None:
    """A tool made of a pydantic model parses them."""
    gate.chat.say(ToolCall("call_1", "City", '{"city":"Paris"}'), CALLED)
    tool = openai.pydantic_function_tool(City)["function"]
    flat: Any = {"type": "function", "strict": True, **tool}
    [call] = client.responses.parse(model=MODEL, input="hi", tools=[flat]).output
    assert call.type == "function_call"
    assert call.parsed_arguments == {"city": "Paris"}


def test_pictures_both_ways(client: openai.OpenAI, gate: Edge) -> None:
    """In as a data URL, out as OpenAI's own item."""
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    content: Any = [
        {"type": "input_text", "text": "make it red"},
        {"type": "input_image", "image_url": url, "detail": "auto"},
    ]
    answer = client.responses.create(
        model=IMAGE, input=[{"role": "user", "content": content}], tools=[{"type": "image_generation"}]
    )
    assert gate.chat.asks[0].messages[0].parts[1] == Blob(PNG, "image/png")
    _, item = answer.output
    assert "/files/" in answer.output_text
    assert item.type == "image_generation_call"
    assert base64.b64decode(item.result or "") == PNG
    stream = client.responses.create(
        model=IMAGE, input="a fox", tools=[{"type": "image_generation"}], stream=True
    )
    assert [event.type for event in stream][-1] == "response.completed"


def test_errors_have_their_class_and_fields(client: openai.OpenAI, gate: Edge) -> None:
    """By the SDK's own classes, with message, param and code."""
    with pytest.raises(openai.BadRequestError) as bad:
        client.responses.create(model=MODEL, input="hi", previous_response_id="resp_1")
    assert (bad.value.code, bad.value.param) == ("previous_response_not_found", "previous_response_id")
    with pytest.raises(openai.BadRequestError) as bad:
        client.responses.create(model=MODEL, input="hi", background=True)
    assert bad.value.param == "background"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model="gpt-9", input="hi")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_1")
    gate.chat.say(Fail(PoolBusy("All busy.", retry_after=7)))
    with pytest.raises(openai.RateLimitError) as busy:
        client.responses.create(model=MODEL, input="hi", stream=True)
    assert busy.value.response.headers["retry-after"] == "7"


def test_a_stream_that_breaks_raises(client: openai.OpenAI, gate: Edge) -> None:
    """Of the plain stream and of the helper: a cut answer is never taken as whole."""
    gate.chat.say(Delta("a"), Fail(NoAccount("Gone.")))
    with pytest.raises(openai.APIError, match="Gone") as broken:
        list(client.responses.create(model=MODEL, input="hi", stream=True))
    assert broken.value.code == "no_account_available"
    with (
        client.responses.stream(model=MODEL, input="hi") as stream,
        pytest.raises(openai.APIError, match="Gone"),
    ):
        stream.get_final_response()


async def test_the_asynchronous_client(gate: Edge) -> None:
    """Whole, streamed and parsed."""
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-good", max_retries=0) as client:
        first = await client.responses.create(model=MODEL, input="one")
        async with client.responses.stream(model=MODEL, input="two", previous_response_id=first.id) as stream:
            final = await stream.get_final_response()
        assert final.output_text == "You said: two"
        assert len(gate.chat.asks[-1].messages) == 3
