"""pydantic-ai: agents on the gateway through its OpenAI and its Google models."""

import asyncio
import json
from typing import Any, Literal

import pydantic
import pydantic_ai
from checks import (
    KEY,
    LONG,
    MODEL,
    TIGHT_URL,
    UNICODE,
    URL,
    Checks,
    call_text,
    control,
    defaults,
    fault,
    png,
    prompts,
    reply,
    until,
)
from google.genai import types
from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, ModelHTTPError, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.google import GoogleModel, GoogleModelSettings
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider


class City(pydantic.BaseModel):
    name: str
    country: Literal["France", "Italy"]
    people: int


PARIS = {"name": "Paris", "country": "France", "people": 2}
ROME = {"name": "Rome", "country": "Italy", "people": 3}


def openai_provider(url: str = URL, key: str = KEY, retries: int = 0) -> OpenAIProvider:
    return OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=retries))


def google_provider(url: str = URL, key: str = KEY, retries: int = 0) -> GoogleProvider:
    again = types.HttpRetryOptions(attempts=4, initial_delay=1.0) if retries else None
    return GoogleProvider(api_key=key, base_url=url, retry_options=again)


KINDS: dict[str, tuple[Any, Any]] = {
    "openai": (OpenAIChatModel, openai_provider),
    "google": (GoogleModel, google_provider),
    "responses": (OpenAIResponsesModel, openai_provider),
}


def run(kind: str) -> None:
    checks = Checks("pydantic-ai " + kind)
    that, case, raised = checks.that, checks.case, checks.raised
    checks.version(**{"pydantic-ai": pydantic_ai.__version__})
    model_of, provider_of = KINDS[kind]
    # One loop for all: the models' HTTP clients belong to the loop that first used them.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def model(name: str = MODEL, **options: Any) -> Any:
        return model_of(name, provider=provider_of(**options))

    def agent(output: Any = str, name: str = MODEL, **options: Any) -> Any:
        return Agent(model(name), output_type=output, **options)

    def ask(what: Any, to: Any = None, **options: Any) -> Any:
        return loop.run_until_complete((to or agent()).run(what, **options))

    @case("text")
    def _() -> None:
        found = ask("Hello there")
        that("answers", "You said: Hello there" in found.output, found)
        that("finish reason", found.response.finish_reason == "stop", found.response)
        that("usage", found.usage.input_tokens > 0 and found.usage.output_tokens > 0, found.usage)

    @case("stream")
    def _() -> None:
        defaults(frames=8, frame_delay=0.05, words=80)

        async def act() -> Any:
            async with agent().run_stream("Hello there") as stream:
                pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]
                return pieces, stream.usage

        pieces, usage = loop.run_until_complete(act())
        that("adds up", "".join(pieces).startswith("You said: Hello there"), pieces)
        that("in several pieces", len(pieces) > 3, pieces)
        that("usage", usage.total_tokens > 0, usage)

    @case("system")
    def _() -> None:
        that(
            "system prompt",
            "Speak like a pirate" in ask("Hi", agent(system_prompt="Speak like a pirate")).output,
        )
        that("instructions", "Be a sailor" in ask("Hi", agent(instructions="Be a sailor")).output)

    @case("turns")
    def _() -> None:
        first = ask("My name is Ada")
        second = ask("What is my name?", message_history=first.all_messages()).output
        that(
            "the history in its order",
            -1 < second.find("My name is Ada") < second.find("What is my name?"),
            second,
        )

    @case("unicode")
    def _() -> None:
        that("as it was sent", UNICODE in ask(UNICODE).output)

    @case("long prompt")
    def _() -> None:
        that("a megabyte", f"[{len(LONG)} characters" in ask(LONG).output)

    @case("image input")
    def _() -> None:
        found = ask(["What is it?", BinaryContent(data=png(), media_type="image/png")]).output
        that("arrives", f"image/png {len(png())} bytes" in found, found)

    @case("thinking")
    def _() -> None:
        settings: Any = {"openai_reasoning_effort": "high"}
        if kind == "google":
            settings = GoogleModelSettings(google_thinking_config={"include_thoughts": True})
        if kind == "responses":
            settings |= {"openai_reasoning_summary": "auto"}
        reply("42", thoughts="Let me think.")
        found = ask("Deep?", model_settings=settings)
        thoughts = [part.content for part in found.response.parts if isinstance(part, ThinkingPart)]
        that("a thinking part", "".join(thoughts).strip() == "Let me think.", found.response)
        that("not in the text", found.output == "42", found)

    @case("unknown model")
    def _() -> None:
        error = raised("ModelHTTPError", ModelHTTPError, lambda: ask("Hi", agent(name="gemini-17")))
        that(
            "404 that names it", getattr(error, "status_code", 0) == 404 and "gemini-17" in str(error), error
        )

    @case("wrong key")
    def _() -> None:
        error = raised("ModelHTTPError", ModelHTTPError, lambda: ask("Hi", Agent(model(key="wrong-key"))))
        that("401, 403 or 400", getattr(error, "status_code", 0) in (400, 401, 403), error)
        that("the key is not repeated", "wrong-key" not in str(error), error)

    @case("tools auto")
    def _() -> None:
        seen: list[Any] = []
        one = agent()

        @one.tool_plain
        def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
            """The weather in a city now"""
            seen.append((city, unit))
            return "sunny, 21 degrees"

        reply(call_text(("get_weather", {"city": "Paris"})), "It is sunny.")
        found = ask("Weather in Paris?", one)
        that("the tool ran", seen == [("Paris", "celsius")], seen)
        that("then words", found.output == "It is sunny.", found)
        reply(call_text(("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Oslo"})), "Both.")
        seen.clear()
        that(
            "parallel",
            ask("Both?", one).output == "Both." and sorted(c for c, _ in seen) == ["Oslo", "Rome"],
            seen,
        )
        seen.clear()
        found = ask("What is the weather in Paris?", one)
        that("unscripted: the tool ran", seen and isinstance(found.output, str), (seen, found))

    @case("tools stream")
    def _() -> None:
        seen: list[str] = []
        one = agent()

        @one.tool_plain
        def get_weather(city: str) -> str:
            """The weather in a city now"""
            seen.append(city)
            return "sunny"

        reply(call_text(("get_weather", {"city": "Paris"})), "It is sunny.")

        async def act() -> str:
            async with one.run_stream("Weather in Paris?") as stream:
                return str(await stream.get_output())

        text = loop.run_until_complete(act())
        that("the tool ran, then words", seen == ["Paris"] and text == "It is sunny.", (seen, text))

    @case("tools forced")
    def _() -> None:
        found = ask("Paris", agent(ToolOutput(City)))
        that("an output type as a tool", isinstance(found.output, City), found)
        reply("I would rather talk.", call_text(("final_result", PARIS)))
        that("prose is asked again", ask("Paris", agent(ToolOutput(City))).output == City(**PARIS))
        reply(
            call_text(("final_result", {"name": "Paris", "country": "Spain", "people": 1})),
            call_text(("final_result", PARIS)),
        )
        that(
            "arguments that break the schema are asked again",
            ask("Paris", agent(ToolOutput(City))).output == City(**PARIS),
        )

    @case("outputs")
    def _() -> None:
        reply(call_text(("final_result", {"response": [PARIS, ROME]})))
        that("a list", ask("Both", agent(list[City])).output == [City(**PARIS), City(**ROME)])
        reply("Just words.")
        that("a model or words: words", ask("Hi", agent([City, str])).output == "Just words.")
        reply(call_text(("final_result", PARIS)))
        that("a model or words: a model", ask("Paris", agent([City, str])).output == City(**PARIS))
        one = agent([City, str])
        reply(call_text(("final_result", PARIS)))
        first = ask("Paris", one)
        text = ask("And so?", message_history=first.all_messages()).output
        that("a history with calls", "Paris" in text and "final_result" in text, text)

    @case("json schema")
    def _() -> None:
        reply(json.dumps(PARIS))
        that("native output", ask("Paris", agent(NativeOutput(City))).output == City(**PARIS))
        that("unscripted", isinstance(ask("Paris", agent(NativeOutput(City))).output, City))
        reply("```json\n" + json.dumps(ROME) + "\n```")
        that("prompted output", ask("Rome", agent(PromptedOutput(City))).output == City(**ROME))
        reply(json.dumps(PARIS))

        async def act() -> Any:
            async with agent(NativeOutput(City)).run_stream("Paris") as stream:
                return await stream.get_output()

        that("streamed", loop.run_until_complete(act()) == City(**PARIS))

    @case("rate limit")
    def _() -> None:
        name = {"openai": "gemini-2.5-flash", "google": "gemini-2.5-pro", "responses": "gemini-3.0-pro"}[kind]
        tight = Agent(model(name, url=TIGHT_URL, key="none"))
        ask("Hi", tight)
        error = raised("ModelHTTPError", ModelHTTPError, lambda: ask("Hi", tight))
        that("429", getattr(error, "status_code", 0) == 429, error)
        patient = Agent(model(name, url=TIGHT_URL, key="none", retries=4))
        that("with retries it succeeds", ask("Hi", patient).output)

    @case("upstream fault")
    def _() -> None:
        defaults(words=300, frames=12)
        fault("truncate", frames=3)

        async def act() -> Any:
            async with agent().run_stream("Hello") as stream:
                return [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]

        raised("an exception while streaming", Exception, lambda: loop.run_until_complete(act()))
        for account in [a["id"] for a in control("GET", "/accounts")]:
            control("DELETE", f"/accounts/{account}/fault")
        fault("error_1013", times=1)
        that("before content it is not noticed", "Hello" in ask("Hello").output)

    @case("cancel")
    def _() -> None:
        defaults(words=400, frames=40, frame_delay=0.2)

        async def act() -> None:
            async with asyncio.timeout(1.5), agent().run_stream("Hello") as stream:
                async for _ in stream.stream_text(delta=True, debounce_by=None):
                    pass

        raised("TimeoutError", TimeoutError, lambda: loop.run_until_complete(act()))
        that(
            "the upstream is left at once", until(lambda: prompts()[-1]["outcome"] == "aborted", 5), prompts()
        )


for kind in KINDS:
    run(kind)
