"""langchain-google-genai: ChatGoogleGenerativeAI, which calls v1beta."""

import asyncio
import base64
import json
from importlib.metadata import version
from typing import Any, Literal

import pydantic
from checks import (
    KEY,
    LONG,
    MODEL,
    PICTURE_MODEL,
    TIGHT_URL,
    UNICODE,
    URL,
    Checks,
    call_text,
    data_url,
    defaults,
    fault,
    png,
    prompts,
    reply,
    reset,
    until,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings
from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError

checks = Checks("langchain-google")
that, case, raised = checks.that, checks.case, checks.raised
checks.version(**{name: version(name) for name in ("langchain-google-genai", "langchain-core")})


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


def made(**options: Any) -> ChatGoogleGenerativeAI:
    return ChatGoogleGenerativeAI(
        **{"model": MODEL, "base_url": URL, "api_key": KEY, "max_retries": 1, **options}
    )


chat = made()


@case("text")
def _() -> None:
    answer = chat.invoke("Hello there")
    that("answers", "You said: Hello there" in answer.text, answer)
    that(
        "usage_metadata",
        answer.usage_metadata and answer.usage_metadata["total_tokens"] > 0,
        answer.usage_metadata,
    )
    that("finish_reason", answer.response_metadata["finish_reason"] == "STOP", answer.response_metadata)
    that("ainvoke", "You said: Hi" in LOOP.run_until_complete(made().ainvoke("Hi")).text)
    that("get_num_tokens", chat.get_num_tokens("Hello there") > 0)
    many = chat.batch(["Number 1", "Number 2", "Number 3"])
    that("batch", all(f"Number {n + 1}" in a.text for n, a in enumerate(many)), many)


@case("stream")
def _() -> None:
    defaults(frames=8, frame_delay=0.05, words=80)
    chunks = list(chat.stream("Hello there"))
    text = "".join(c.text for c in chunks)
    that("adds up", text.startswith("You said: Hello there"), text)
    that("in several chunks", len(chunks) > 4, len(chunks))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    that("usage", whole.usage_metadata and whole.usage_metadata["total_tokens"] > 0, whole.usage_metadata)
    defaults(first_delay=2.0)
    that(
        "keep-alives before the first content harm nothing",
        "You said: Slow" in "".join(c.text for c in chat.stream("Slow")),
    )

    async def act() -> str:
        return "".join([c.text async for c in made().astream("Hi")])

    defaults(first_delay=0.0)
    that("astream", "You said: Hi" in LOOP.run_until_complete(act()))


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


@case("unknown model")
def _() -> None:
    error = raised("an exception", ChatGoogleGenerativeAIError, lambda: made(model="gemini-17").invoke("Hi"))
    that("names it and the known ones", "gemini-17" in str(error) and MODEL in str(error), error)


@case("wrong key")
def _() -> None:
    error = raised(
        "an exception", ChatGoogleGenerativeAIError, lambda: made(api_key="wrong-key").invoke("Hi")
    )
    that("says key, and not which", "key" in str(error).lower() and "wrong-key" not in str(error), error)


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


@case("thinking")
def _() -> None:
    reply("42", thoughts="Let me think.")
    answer = made(include_thoughts=True, thinking_budget=1024).invoke("Deep?")
    that("the text alone", answer.text == "42", answer)
    that(
        "a reasoning block",
        [b["reasoning"].strip() for b in answer.content_blocks if b["type"] == "reasoning"]
        == ["Let me think."],
        answer.content_blocks,
    )


@case("tools auto")
def _() -> None:
    armed = chat.bind_tools([get_weather, get_time])
    answer = armed.invoke("What is the weather in Paris?")
    that("unscripted: a call", [c["name"] for c in answer.tool_calls] == ["get_weather"], answer)
    reply("Just words.")
    answer = armed.invoke("Hello")
    that("prose", answer.text == "Just words." and not answer.tool_calls, answer)


@case("tools forced")
def _() -> None:
    answer = chat.bind_tools([get_weather, get_time], tool_choice="any").invoke("Hello")
    that("a call", answer.tool_calls, answer)


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
    that("then words", len(messages) == 3 and armed.invoke(messages).text == "It is sunny.", messages)
    text = chat.invoke(messages).text
    that("the result reaches the model", "sunny in Rome" in text, text)


@case("tools stream")
def _() -> None:
    reply(
        "First. \n" + call_text(("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})), frames=20
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


@case("picture")
def _() -> None:
    answer = made(model=PICTURE_MODEL, response_modalities=["TEXT", "IMAGE"]).invoke(
        "generate an image of a kite"
    )
    that("an image block", any(b["type"] == "image" for b in answer.content_blocks), str(answer)[:300])


@case("unsupported")
def _() -> None:
    embeddings = GoogleGenerativeAIEmbeddings(model="gemini-embedding-001", base_url=URL, api_key=KEY)
    raised("embeddings: an exception", Exception, lambda: embeddings.embed_query("x"))


@case("rate limit")
def _() -> None:
    tight = made(base_url=TIGHT_URL, api_key="none", model="gemini-2.5-pro")
    tight.invoke("Hi")
    error = raised("an exception", ChatGoogleGenerativeAIError, lambda: tight.invoke("Hi"))
    that("429", "429" in str(error), error)
    patient = made(base_url=TIGHT_URL, api_key="none", model="gemini-2.5-pro", max_retries=6)
    that("with retries it succeeds", patient.invoke("Hi").text)


@case("upstream fault")
def _() -> None:
    for kind in ("truncate", "drop_mid"):
        reset()
        defaults(words=300, frames=12)
        fault(kind, frames=3)
        got: list[str] = []

        def read(got: list[str] = got) -> list[str]:
            got.extend(c.text for c in chat.stream("Hello"))
            return got

        raised(f"{kind}: an exception while streaming", Exception, read)
        that(f"{kind}: after content", "".join(got), got)
    reset()
    fault("error_1013", times=1)
    that("before content it is not noticed", "Hello" in chat.invoke("Hello").text)


@case("cancel")
def _() -> None:
    defaults(words=400, frames=40, frame_delay=0.2)

    async def act() -> None:
        async with asyncio.timeout(1.5):
            async for _ in made().astream("Hello"):
                pass

    raised("TimeoutError", TimeoutError, lambda: LOOP.run_until_complete(act()))
    that("the upstream is left at once", until(lambda: prompts()[-1]["outcome"] == "aborted", 5), prompts())
