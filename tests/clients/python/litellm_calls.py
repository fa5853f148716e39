"""litellm: completion through openai/ and gemini/, responses, pictures."""

import asyncio
import base64
import json
import time
from importlib.metadata import version
from typing import Any

import litellm
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
    is_picture,
    png,
    prompts,
    reply,
    reset,
    until,
)

litellm.telemetry = False
litellm.drop_params = True


class City(pydantic.BaseModel):
    name: str
    people: int


PARIS = {"name": "Paris", "people": 2}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    },
}


def run(kind: str) -> None:
    checks = Checks(f"litellm {kind}")
    that, case, raised = checks.that, checks.case, checks.raised
    checks.version(litellm=version("litellm"))
    google = kind == "gemini"

    def options(url: str = URL, key: str = KEY) -> dict[str, Any]:
        return {"api_base": f"{url}/v1beta" if google else f"{url}/v1", "api_key": key, "max_retries": 0}

    def ask(content: Any, model: str = MODEL, messages: Any = None, **more: Any) -> Any:
        return litellm.completion(
            model=f"{kind}/{model}",
            messages=messages or [{"role": "user", "content": content}],
            **{**options(), **more},
        )

    def calls_of(answer: Any) -> list[tuple[str, Any]]:
        return [
            (c.function.name, json.loads(c.function.arguments))
            for c in answer.choices[0].message.tool_calls or []
        ]

    @case("text")
    def _() -> None:
        answer = ask("Hello there")
        that("answers", "You said: Hello there" in answer.choices[0].message.content, answer)
        that("finish_reason", answer.choices[0].finish_reason == "stop", answer)
        that("usage", answer.usage.total_tokens > 0, answer)
        many = asyncio.run(
            litellm.acompletion(
                model=f"{kind}/{MODEL}", messages=[{"role": "user", "content": "Hi"}], **options()
            )
        )
        that("acompletion", "You said: Hi" in many.choices[0].message.content, many)

    @case("stream")
    def _() -> None:
        defaults(frames=8, frame_delay=0.05, words=80)
        chunks = list(ask("Hello there", stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        that("adds up", text.startswith("You said: Hello there"), text)
        that("in several chunks", len(chunks) > 4, len(chunks))
        that("usage", any(getattr(c, "usage", None) for c in chunks), chunks[-2:])
        that(
            "finish_reason",
            any(c.choices and c.choices[0].finish_reason == "stop" for c in chunks),
            chunks[-2:],
        )
        defaults(first_delay=2.0)
        text = "".join(c.choices[0].delta.content or "" for c in ask("Slow", stream=True))
        that("keep-alives before the first content harm nothing", "You said: Slow" in text, text)

    @case("system")
    def _() -> None:
        text = (
            ask(
                "",
                messages=[
                    {"role": "system", "content": "Speak like a pirate"},
                    {"role": "user", "content": "Hi"},
                ],
            )
            .choices[0]
            .message.content
        )
        that("reaches the model", "Speak like a pirate" in text, text)

    @case("turns")
    def _() -> None:
        text = (
            ask(
                "",
                messages=[
                    {"role": "user", "content": "My name is Ada"},
                    {"role": "assistant", "content": "Hello Ada"},
                    {"role": "user", "content": "What is my name?"},
                ],
            )
            .choices[0]
            .message.content
        )
        where = [text.find(part) for part in ("My name is Ada", "Hello Ada", "What is my name?")]
        that("in their order", -1 not in where and where == sorted(where), text)

    @case("unicode")
    def _() -> None:
        that("as it was sent", UNICODE in ask(UNICODE).choices[0].message.content)

    @case("long prompt")
    def _() -> None:
        that("a megabyte", f"[{len(LONG)} characters" in ask(LONG).choices[0].message.content)

    @case("unknown model")
    def _() -> None:
        error = raised("NotFoundError", litellm.NotFoundError, lambda: ask("Hi", model="gemini-17"))
        that("names it and the known ones", "gemini-17" in str(error) and MODEL in str(error), error)

    @case("wrong key")
    def _() -> None:
        error = raised(
            "AuthenticationError", litellm.AuthenticationError, lambda: ask("Hi", api_key="wrong-key")
        )
        that("the key is not repeated", "wrong-key" not in str(error), error)

    @case("image input")
    def _() -> None:
        text = (
            ask([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": data_url()}}])
            .choices[0]
            .message.content
        )
        that("arrives", f"image/png {len(png())} bytes" in text, text)

    @case("thinking")
    def _() -> None:
        reply("42", thoughts="Let me think.")
        more: dict[str, Any] = (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}}
            if google
            else {"reasoning_effort": "high", "allowed_openai_params": ["reasoning_effort"]}
        )
        message = ask("Deep?", **more).choices[0].message
        that("reasoning_content", (message.reasoning_content or "").strip() == "Let me think.", message)
        that("the text alone", message.content == "42", message)

    @case("tools auto")
    def _() -> None:
        answer = ask("What is the weather in Paris?", tools=[WEATHER, CLOCK])
        that("unscripted: a call", [n for n, _ in calls_of(answer)] == ["get_weather"], answer)
        that("finish_reason", answer.choices[0].finish_reason == "tool_calls", answer)
        reply("Just words.")
        answer = ask("Hello", tools=[WEATHER])
        that("prose", answer.choices[0].message.content == "Just words.", answer)

    @case("tools forced")
    def _() -> None:
        that("required: a call", calls_of(ask("Hello", tools=[WEATHER, CLOCK], tool_choice="required")))

    @case("tools named")
    def _() -> None:
        answer = ask(
            "Hello",
            tools=[WEATHER, CLOCK],
            tool_choice={"type": "function", "function": {"name": "get_time"}},
        )
        that("the named one", [n for n, _ in calls_of(answer)] == ["get_time"], answer)

    @case("tools parallel")
    def _() -> None:
        reply(call_text(("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})))
        answer = ask("Both", tools=[WEATHER, CLOCK])
        that(
            "two in order",
            calls_of(answer) == [("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})],
            answer,
        )

    @case("tools result")
    def _() -> None:
        messages: list[Any] = [{"role": "user", "content": "Weather in Rome?"}]
        reply(call_text(("get_weather", {"city": "Rome"})), "It is sunny.")
        message = ask("", messages=messages, tools=[WEATHER]).choices[0].message
        messages.append(message)
        messages += [
            {"role": "tool", "tool_call_id": c.id, "name": "get_weather", "content": "sunny, 21"}
            for c in message.tool_calls
        ]
        that(
            "then words",
            ask("", messages=messages, tools=[WEATHER]).choices[0].message.content == "It is sunny.",
        )
        text = ask("", messages=messages).choices[0].message.content
        that("the result reaches the model", "sunny, 21" in text, text)

    @case("tools stream")
    def _() -> None:
        reply(call_text(("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})), frames=20)
        chunks = list(ask("Both", tools=[WEATHER, CLOCK], stream=True))
        whole = litellm.stream_chunk_builder(chunks)
        that(
            "calls add up",
            calls_of(whole) == [("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})],
            whole,
        )

    @case("json object")
    def _() -> None:
        reply('```json\n{"a": 1}\n```')
        answer = ask("JSON", response_format={"type": "json_object"})
        that("an object", json.loads(answer.choices[0].message.content) == {"a": 1}, answer)

    @case("json schema")
    def _() -> None:
        reply('{"name": "Paris"}', json.dumps(PARIS))
        more: dict[str, Any] = {} if google else {"allowed_openai_params": ["response_format"]}
        answer = ask("Paris", response_format=City, **more)
        that(
            "what breaks the schema is asked again",
            json.loads(answer.choices[0].message.content) == PARIS,
            answer,
        )
        answer = ask("Paris", response_format=City, **more)
        that("unscripted", City.model_validate_json(answer.choices[0].message.content), answer)

    @case("rate limit")
    def _() -> None:
        tight = {**options(TIGHT_URL, "none"), "model": "gemini-2.5-pro" if google else "gemini-2.5-flash"}
        ask("Hi", **tight)
        raised("RateLimitError", litellm.RateLimitError, lambda: ask("Hi", **tight))
        if not google:  # its gemini client repeats nothing by itself
            begun = time.monotonic()
            answer = ask("Hi", **{**tight, "max_retries": 3})
            that(
                "with retries it waits and succeeds",
                answer.choices[0].message.content and time.monotonic() - begun < 6,
            )

    @case("upstream fault")
    def _() -> None:
        for fault_kind in ("truncate", "drop_mid"):
            reset()
            defaults(words=300, frames=12)
            fault(fault_kind, frames=3)
            raised(
                f"{fault_kind}: an exception while streaming",
                Exception,
                lambda: [c.choices[0].delta.content for c in ask("Hello", stream=True)],
            )
        reset()
        fault("error_1013", times=1)
        that("before content it is not noticed", "Hello" in ask("Hello").choices[0].message.content)

    @case("cancel")
    def _() -> None:
        defaults(words=400, frames=40, frame_delay=0.2)

        async def act() -> None:
            stream = await litellm.acompletion(
                model=f"{kind}/{MODEL}",
                messages=[{"role": "user", "content": "Hello"}],
                stream=True,
                **options(),
            )
            async with asyncio.timeout(1.5):
                async for _ in stream:
                    pass

        raised("TimeoutError", TimeoutError, lambda: asyncio.run(act()))
        that(
            "the upstream is left at once", until(lambda: prompts()[-1]["outcome"] == "aborted", 5), prompts()
        )

    if google:
        return

    @case("responses")
    def _() -> None:
        answer = litellm.responses(model=f"openai/{MODEL}", input="Hello there", **options())
        that("answers", "You said: Hello there" in answer.output[-1].content[0].text, answer)
        kinds = [
            str(getattr(e, "type", ""))
            for e in litellm.responses(model=f"openai/{MODEL}", input="Hi", stream=True, **options())
        ]
        that("streams", any("completed" in k.lower() for k in kinds), kinds)

    @case("picture")
    def _() -> None:
        made = litellm.image_generation(model=f"openai/{PICTURE_MODEL}", prompt="a red kite", **options())
        that("b64_json", is_picture(base64.b64decode(made.data[0].b64_json)), str(made)[:200])

    @case("picture edit")
    def _() -> None:
        import io

        file = io.BytesIO(png())
        file.name = "a.png"
        made = litellm.image_edit(
            model=f"openai/{PICTURE_MODEL}", image=file, prompt="add a hat", **options()
        )
        that("one picture", is_picture(base64.b64decode(made.data[0].b64_json)), str(made)[:200])
        that("the upload arrived", len(prompts()[-1]["uploads"]) == 1, prompts()[-1])

    @case("unsupported")
    def _() -> None:
        # It makes a BadRequestError of every invalid_request_error, also of a 404.
        raised(
            "embeddings: an error of its own",
            (litellm.NotFoundError, litellm.BadRequestError),
            lambda: litellm.embedding(model=f"openai/{MODEL}", input=["x"], **options()),
        )


run("openai")
run("gemini")
