"""Tools, JSON and responses as real processes over a real store, through the openai SDK."""

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.support.processes import Gateways, Web
from tests.support.sdks import Sdks

MODEL = "gemini-3-flash-preview"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class City(BaseModel):
    """A city."""

    name: str
    people: int


@pytest.fixture
def pair(gateways: Gateways, sdks: Sdks, empty_valkey: str) -> list[openai.OpenAI]:
    """Clients of two gateways on one store, with the key of the same caller."""
    started = [
        gateways.start(API_KEY="sk-one-0123456789,sk-two-0123456789", REDIS_URL=empty_valkey)
        for _ in range(2)
    ]
    return [sdks.openai(gateway.ready(), "sk-one-0123456789") for gateway in started]


def test_tools_and_json(upstream: Web, pair: list[openai.OpenAI]) -> None:
    """A forced call, its result, and JSON of a schema, in chats and in responses."""
    client = pair[0]
    history: Any = [{"role": "user", "content": "How is the weather in Oslo?"}]
    nested: Any = [{"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}]
    message = (
        client.chat.completions.create(model=MODEL, messages=history, tools=nested, tool_choice="required")
        .choices[0]
        .message
    )
    [call] = message.tool_calls or ()
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    history += [message, {"role": "tool", "tool_call_id": call.id, "content": "seven degrees"}]
    with client.chat.completions.stream(model=MODEL, messages=history, tools=nested) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "stop"
    assert "seven degrees" in (final.message.content or "")
    parsed = client.chat.completions.parse(model=MODEL, messages=history[:1], response_format=City)
    assert isinstance(parsed.choices[0].message.parsed, City)
    with client.responses.stream(model=MODEL, input="A city", text_format=City) as events:
        assert isinstance(events.get_final_response().output_parsed, City)


def test_a_response_goes_on_on_another_replica(upstream: Web, pair: list[openai.OpenAI]) -> None:
    """By its id, and by the ids of its items; not for another caller."""
    here, there = pair
    first = here.responses.create(model=MODEL, input="The word is kumquat.")
    with there.responses.stream(model=MODEL, input="And now?", previous_response_id=first.id) as stream:
        second = stream.get_final_response()
    assert "kumquat" in second.output_text
    reference: Any = {"type": "item_reference", "id": first.output[-1].id}
    third = there.responses.create(model=MODEL, input=[reference, {"role": "user", "content": "Again?"}])
    assert "kumquat" in third.output_text
    with pytest.raises(openai.BadRequestError) as refused:
        there.with_options(api_key="sk-two-0123456789").responses.create(
            model=MODEL, input="And now?", previous_response_id=first.id
        )
    assert refused.value.code == "previous_response_not_found"


def test_a_response_goes_on_in_the_same_chat(upstream: Web, pair: list[openai.OpenAI]) -> None:
    """With `conversation: sticky` only what is new is sent, whichever replica is asked."""
    here, there = pair
    sticky = {"conversation": "sticky"}
    first = here.responses.create(model=MODEL, input="The word is kumquat.", extra_body=sticky)
    second = there.responses.create(
        model=MODEL, input="And now?", previous_response_id=first.id, extra_body=sticky
    )
    assert "kumquat" not in second.output_text
    assert len(set(upstream.order())) == 1
