"""What langchain's chat models have in common: the cases that each of them must pass."""

import asyncio
import base64
import json
from typing import Any, Literal

import pydantic
from checks import LONG, UNICODE, Checks, call_text, data_url, png, reply
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

LOOP = asyncio.new_event_loop()
"""One for all: the async HTTP clients belong to the loop that first used them."""


class City(pydantic.BaseModel):
    """A city."""

    name: str
    country: Literal["France", "Italy"]
    people: int


PARIS = {"name": "Paris", "country": "France", "people": 2}


@tool
def get_weather(city: str) -> str:
    """The weather in a city now"""
    return "sunny in " + city


@tool
def get_time(zone: str) -> str:
    """The time in a zone"""
    return "noon in " + zone


def shared_cases(checks: Checks, chat: BaseChatModel) -> None:
    """State what a user of any chat model expects."""
    that, case = checks.that, checks.case

    @case("system")
    def _() -> None:
        text = chat.invoke([SystemMessage("Speak like a pirate"), HumanMessage("Hi")]).text
        that("reaches the model", "Speak like a pirate" in text, text)

    @case("turns")
    def _() -> None:
        text = chat.invoke(
            [HumanMessage("My name is Ada"), AIMessage("Hello Ada"), HumanMessage("What is my name?")]
        ).text
        where = [text.find(part) for part in ("My name is Ada", "Hello Ada", "What is my name?")]
        that("in their order", -1 not in where and where == sorted(where), text)

    @case("unicode")
    def _() -> None:
        that("as it was sent", UNICODE in chat.invoke(UNICODE).text)

    @case("long prompt")
    def _() -> None:
        that("a megabyte", f"[{len(LONG)} characters" in chat.invoke(LONG).text)

    @case("image input")
    def _() -> None:
        for form, block in {
            "image_url": {"type": "image_url", "image_url": {"url": data_url()}},
            "a standard block": {
                "type": "image",
                "base64": base64.b64encode(png()).decode(),
                "mime_type": "image/png",
            },
        }.items():
            text = chat.invoke([HumanMessage([{"type": "text", "text": "What?"}, block])]).text
            that(form, f"image/png {len(png())} bytes" in text, text)

    @case("tools auto")
    def _() -> None:
        armed = chat.bind_tools([get_weather, get_time])
        answer = armed.invoke("What is the weather in Paris?")
        that("unscripted: a call", [c["name"] for c in answer.tool_calls] == ["get_weather"], answer)
        that("with an id", all(c["id"] for c in answer.tool_calls) and answer.tool_calls, answer)
        reply("Just words.")
        answer = armed.invoke("Hello")
        that("prose", answer.text == "Just words." and not answer.tool_calls, answer)

    @case("tools named")
    def _() -> None:
        answer = chat.bind_tools([get_weather, get_time], tool_choice="get_time").invoke("Hello")
        that("the named one", [c["name"] for c in answer.tool_calls] == ["get_time"], answer)

    @case("tools parallel")
    def _() -> None:
        reply(call_text(("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})))
        answer = chat.bind_tools([get_weather, get_time]).invoke("Both")
        that(
            "two in order",
            [(c["name"], c["args"]) for c in answer.tool_calls]
            == [("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})],
            answer,
        )

    @case("tools result")
    def _() -> None:
        armed = chat.bind_tools([get_weather])
        reply(call_text(("get_weather", {"city": "Rome"})), "It is sunny.")
        messages: list[Any] = [HumanMessage("Weather in Rome?")]
        answer = armed.invoke(messages)
        messages.append(answer)
        messages += [get_weather.invoke(call) for call in answer.tool_calls]
        that(
            "a tool message",
            isinstance(messages[-1], ToolMessage) and messages[-1].content == "sunny in Rome",
            messages,
        )
        that("then words", armed.invoke(messages).text == "It is sunny.")
        text = chat.invoke(messages).text
        that("the result reaches the model", "sunny in Rome" in text, text)

    @case("tools stream")
    def _() -> None:
        reply(
            "First. \n" + call_text(("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})),
            frames=20,
        )
        whole: Any = None
        for chunk in chat.bind_tools([get_weather, get_time]).stream("Both"):
            whole = chunk if whole is None else whole + chunk
        that(
            "calls add up",
            [(c["name"], c["args"]) for c in whole.tool_calls]
            == [("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})],
            whole,
        )
        that("text before", whole.text.strip() == "First.", whole)

    @case("json schema")
    def _() -> None:
        reply(json.dumps(PARIS))
        that(
            "json_schema",
            chat.with_structured_output(City, method="json_schema").invoke("Paris") == City(**PARIS),
        )
        that("unscripted", isinstance(chat.with_structured_output(City).invoke("Paris"), City))
        reply(call_text(("City", PARIS)))
        that(
            "function_calling",
            chat.with_structured_output(City, method="function_calling").invoke("Paris") == City(**PARIS),
        )
        reply('{"name": "Paris"}', json.dumps(PARIS))
        that(
            "what breaks the schema is asked again",
            chat.with_structured_output(City, method="json_schema").invoke("Paris") == City(**PARIS),
        )
