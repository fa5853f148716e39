"""Functions, JSON and chats through the real google-genai SDK, with both of the API versions that it may call."""

import enum
import json
from collections.abc import Callable
from typing import Any

import pydantic
import pytest
from google import genai
from google.genai import errors, types

from core.chat import Ask, Delta, Finish, FinishReason, ToolCall, Usage
from core.schemas import Validator
from tests.fakes.edge import Edge
from tests.fakes.service import Pause, Step
from tests.routes.genai_sdk.conftest import Connect

END = Finish(Usage(3, 4), "gemini-flash")
CALLED = Finish(Usage(3, 4), "gemini-flash", reason=FinishReason.TOOL_CALLS)
MODEL = "gemini-2.5-pro"


class Weather:
    """A function with what Python's signatures can say, and its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[int]]] = []

    def function(self) -> Callable[..., Any]:
        def get_weather(city_name: str, days_ahead: list[int], unit: str = "c") -> dict[str, Any]:
            """The weather of a city."""
            self.calls.append((city_name, unit, days_ahead))
            return {"degrees_now": 21}

        return get_weather


def calls_once(ask: Ask) -> list[Step]:
    """A call, and once its result is there, the answer."""
    if ask.messages[-1].role == "tool":
        return [Delta(f"It says {ask.messages[-1].text}."), END]
    arguments = {"city_name": "Oslo", "unit": "f", "days_ahead": [1, 2]}
    return [ToolCall("call_1", "get_weather", json.dumps(arguments)), CALLED]


def test_a_function_is_called_by_the_sdk_itself(client: genai.Client, gate: Edge) -> None:
    """Automatic function calling: declaration, call, result and answer in one step."""
    gate.chat.script = calls_once
    weather = Weather()
    config = types.GenerateContentConfig(tools=[weather.function()])
    answer = client.models.generate_content(model=MODEL, contents="Oslo?", config=config)
    assert answer.text == 'It says {"degrees_now":21}.'
    assert weather.calls == [("Oslo", "f", [1, 2])]
    first, second = gate.chat.asks
    assert first.toolbox is not None
    [tool] = first.toolbox.tools
    assert (tool.name, tool.description) == ("get_weather", "The weather of a city.")
    assert tool.parameters is not None
    validator = Validator(tool.parameters)
    assert validator.fault({"city_name": "Oslo", "unit": "f", "days_ahead": [1]}) is None
    assert validator.fault({"city_name": "Oslo", "unit": "f"}) is not None
    assert [message.role for message in second.messages] == ["user", "assistant", "tool"]
    # The SDK sends no id with a result; the name tells which call it is of.
    assert (second.messages[1].tool_calls[0].id, second.messages[2].name) == ("call_1", "get_weather")


def test_a_function_is_called_amid_a_stream(client: genai.Client, gate: Edge) -> None:
    """The same through signs of life; the pieces of the last answer are handed on."""

    def script(ask: Ask) -> list[Step]:
        return [Pause(0.25), *calls_once(ask)]

    gate.chat.script = script
    weather = Weather()
    config = types.GenerateContentConfig(tools=[weather.function()])
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="Oslo?", config=config))
    assert "".join(chunk.text or "" for chunk in chunks) == 'It says {"degrees_now":21}.'
    assert weather.calls == [("Oslo", "f", [1, 2])]


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_calls_functions_and_keeps_its_history(client: genai.Client, gate: Edge, stream: bool) -> None:
    """What was called and what came back is part of the next turn."""
    gate.chat.script = calls_once
    weather = Weather()
    config = types.GenerateContentConfig(tools=[weather.function()])
    chat = client.chats.create(model=MODEL, config=config)
    if stream:
        first = "".join(chunk.text or "" for chunk in chat.send_message_stream("Oslo?"))
    else:
        first = chat.send_message("Oslo?").text or ""
    assert first == 'It says {"degrees_now":21}.'
    gate.chat.say(Delta("Bye."), END)
    assert chat.send_message("Thanks").text == "Bye."
    roles = [message.role for message in gate.chat.asks[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert gate.chat.asks[-1].messages[3].text == first


@pytest.mark.parametrize("stream", [False, True])
def test_several_calls_are_handed_to_the_caller(client: genai.Client, gate: Edge, stream: bool) -> None:
    """Forced by the configuration, with text before them, to a function that is declared by hand."""
    gate.chat.say(
        Delta("Looking."),
        ToolCall("a", "find", '{"my_query":"x"}'),
        ToolCall("b", "find", '{"my_query":"y"}'),
        CALLED,
    )
    either = types.Schema(
        any_of=[types.Schema(type=types.Type.STRING), types.Schema(type=types.Type.INTEGER)]
    )
    parameters = types.Schema(
        type=types.Type.OBJECT,
        properties={
            "my_query": either,
            "tags": types.Schema(type=types.Type.ARRAY, items=either, min_items=1),
        },
        required=["my_query"],
        property_ordering=["tags", "my_query"],
    )
    declaration = types.FunctionDeclaration(name="find", description="Finds", parameters=parameters)
    config = types.GenerateContentConfig(
        tools=[
            types.Tool(function_declarations=[declaration]),
            types.Tool(google_search=types.GoogleSearch()),
        ],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["find"]
            )
        ),
    )
    if stream:
        chunks = list(client.models.generate_content_stream(model=MODEL, contents="x?", config=config))
        calls = [call for chunk in chunks for call in chunk.function_calls or ()]
        assert chunks[-1].candidates is not None
        finish = chunks[-1].candidates[0].finish_reason
    else:
        answer = client.models.generate_content(model=MODEL, contents="x?", config=config)
        calls = answer.function_calls or []
        assert answer.candidates is not None
        finish = answer.candidates[0].finish_reason
    assert [(call.id, call.name, call.args) for call in calls] == [
        ("a", "find", {"my_query": "x"}),
        ("b", "find", {"my_query": "y"}),
    ]
    assert finish == types.FinishReason.STOP
    [asked] = gate.chat.asks
    assert asked.toolbox is not None
    assert (asked.toolbox.required, asked.toolbox.allowed) == (True, frozenset({"find"}))
    assert asked.toolbox.tools[0].parameters is not None
    validator = Validator(asked.toolbox.tools[0].parameters)
    assert validator.fault({"my_query": 3, "tags": ["x", 1]}) is None
    assert validator.fault({"my_query": 3, "tags": []}) is not None


class Colour(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark blue"


class Pet(pydantic.BaseModel):
    first_name: str
    age_in_years: int | None = None


class Owner(pydantic.BaseModel):
    all_pets: list[Pet] = pydantic.Field(min_length=1)
    colour: Colour


def test_pydantic_models_come_back_as_themselves(client: genai.Client, gate: Edge) -> None:
    """`response_schema` with nested models, options and enums: the SDK parses what the schema promised."""
    said = '{"all_pets":[{"first_name":"Rex","age_in_years":null}],"colour":"dark blue"}'
    gate.chat.say(Delta(said), END)
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Owner)
    answer = client.models.generate_content(model=MODEL, contents="who?", config=config)
    assert answer.parsed == Owner(all_pets=[Pet(first_name="Rex")], colour=Colour.DARK_BLUE)
    [asked] = gate.chat.asks
    assert asked.shape is not None
    assert asked.shape.schema is not None
    validator = Validator(asked.shape.schema)
    assert validator.fault(json.loads(said)) is None
    assert validator.fault({"all_pets": [], "colour": "red"}) is not None
    assert validator.fault({"all_pets": [{"first_name": "Rex"}], "colour": "green"}) is not None


def test_lists_of_models_and_json_schemas(client: genai.Client, gate: Edge) -> None:
    """`list[Model]`, and a JSON Schema with references of its own."""
    gate.chat.say(Delta('[{"first_name":"Rex","age_in_years":3}]'), END)
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=list[Pet])
    answer = client.models.generate_content(model=MODEL, contents="who?", config=config)
    assert answer.parsed == [Pet(first_name="Rex", age_in_years=3)]
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=Owner.model_json_schema()
    )
    client.models.generate_content(model=MODEL, contents="who?", config=config)
    shape = gate.chat.asks[-1].shape
    assert shape is not None
    assert shape.schema == Owner.model_json_schema()


def test_one_word_of_an_enum(client: genai.Client, gate: Edge) -> None:
    """`text/x.enum`: bare text, whole and streamed, which the SDK makes the enum's member of."""
    gate.chat.say(Delta('"dark blue"'), END)
    config = types.GenerateContentConfig(response_mime_type="text/x.enum", response_schema=Colour)
    answer = client.models.generate_content(model=MODEL, contents="which?", config=config)
    assert answer.text == "dark blue"
    assert answer.parsed == Colour.DARK_BLUE
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="which?", config=config))
    assert "".join(chunk.text or "" for chunk in chunks) == "dark blue"


def test_a_schema_that_cannot_be_is_a_client_error(client: genai.Client, gate: Edge) -> None:
    """With the field in the message."""
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema={"$ref": "https://a.example/b"}
    )
    with pytest.raises(errors.ClientError) as refused:
        client.models.generate_content(model=MODEL, contents="who?", config=config)
    assert refused.value.code == 400
    assert "generationConfig.responseJsonSchema" in str(refused.value.message)
    assert gate.chat.asks == []


async def test_the_asynchronous_client_calls_functions(gate: Edge, connect: Connect) -> None:
    """In a chat, as a stream too."""
    gate.chat.script = calls_once
    weather = Weather()
    config = types.GenerateContentConfig(tools=[weather.function()])
    with connect() as both:
        async with both.aio as client:
            chat = client.chats.create(model=MODEL, config=config)
            assert (await chat.send_message("Oslo?")).text == 'It says {"degrees_now":21}.'
            stream = await chat.send_message_stream("Oslo again?")
            assert "".join([chunk.text or "" async for chunk in stream]) == 'It says {"degrees_now":21}.'
    assert len(weather.calls) == 2
