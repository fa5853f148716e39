"""openai for Python: chat, responses, pictures, models, errors."""

import asyncio
import base64
import json
import time
import urllib.request
from typing import Any, Literal

import openai
import pydantic
from checks import (
    KEY,
    LONG,
    MODEL,
    OTHER_MODEL,
    PICTURE_MODEL,
    TIGHT_URL,
    UNICODE,
    URL,
    Checks,
    call_text,
    control,
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

checks = Checks("openai-py")
that, case, raised = checks.that, checks.case, checks.raised
checks.version(openai=openai.__version__)
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city now",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK: Any = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    },
}


def ask(content: Any, **options: Any) -> Any:
    return client.chat.completions.create(
        **{"model": MODEL, "messages": [{"role": "user", "content": content}], **options}
    )


@case("text")
def _() -> None:
    answer = ask("Hello there")
    that("answers", "You said: Hello there" in answer.choices[0].message.content, answer)
    that("one choice with index 0", [c.index for c in answer.choices] == [0], answer)
    that("role is assistant", answer.choices[0].message.role == "assistant", answer)
    that("finish_reason is stop", answer.choices[0].finish_reason == "stop", answer)
    that("object is chat.completion", answer.object == "chat.completion", answer)
    that("id is there", answer.id.startswith("chatcmpl-"), answer.id)
    that("model is the one asked for", answer.model == MODEL, answer.model)
    that("created is now", abs(answer.created - time.time()) < 30, answer.created)
    that("no tool calls", not answer.choices[0].message.tool_calls, answer)
    that("x-request-id is read", bool(answer._request_id), answer._request_id)
    again = ask("Hello there")
    that("ids differ", again.id != answer.id)
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "Hi"}]
    )
    that(
        "raw: status and content type",
        raw.status_code == 200 and "json" in raw.headers["content-type"],
        raw.headers,
    )
    extra = ask(
        "Hi",
        temperature=0.2,
        top_p=0.5,
        max_tokens=5,
        seed=1,
        stop=["x"],
        user="u",
        metadata={"a": "b"},
        extra_body={"never_heard_of": {"a": 1}},
    )
    that("unknown and unsupported fields are ignored", extra.choices[0].message.content)


@case("stream")
def _() -> None:
    defaults(frames=8, frame_delay=0.05, words=80)
    chunks, times = [], []
    for chunk in ask("Hello there", stream=True):
        chunks.append(chunk)
        times.append(time.monotonic())
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    that("text adds up", text.startswith("You said: Hello there") and len(text) > 400, text)
    that(
        "grows over time",
        times[-1] - times[0] > 0.15 and len(chunks) > 4,
        (len(chunks), times[-1] - times[0]),
    )
    that("one id", len({c.id for c in chunks}) == 1)
    that("role in the first chunk", chunks[0].choices[0].delta.role == "assistant", chunks[0])
    that(
        "finish_reason in the last chunk",
        [c.choices[0].finish_reason for c in chunks][-1] == "stop",
        chunks[-1],
    )
    that("finish_reason in no other", not any(c.choices[0].finish_reason for c in chunks[:-1]))
    that("no usage unasked", all(c.usage is None and c.choices for c in chunks))
    that("object", {c.object for c in chunks} == {"chat.completion.chunk"})
    whole = ask("Hello there").choices[0].message.content
    that("the same as not streamed", whole == text, (whole, text))
    with client.chat.completions.stream(model=MODEL, messages=[{"role": "user", "content": "Hi"}]) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    that("the helper's events", "content.delta" in events and "content.done" in events, set(events))
    that("the helper's final completion", "You said: Hi" in (final.choices[0].message.content or ""), final)


@case("stream keep-alive")
def _() -> None:
    defaults(first_delay=2.0)
    text = "".join(c.choices[0].delta.content or "" for c in ask("Slow", stream=True))
    that("comments before the first content harm nothing", "You said: Slow" in text, text)


@case("async")
def _() -> None:
    async def act() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY) as other:
            many = await asyncio.gather(
                *(
                    other.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": f"Number {n}"}]
                    )
                    for n in range(6)
                )
            )
            stream = await other.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True
            )
            return many, "".join([c.choices[0].delta.content or "" async for c in stream])

    many, text = asyncio.run(act())
    that(
        "six at once, each its own answer",
        all(f"Number {n}" in a.choices[0].message.content for n, a in enumerate(many)),
        many,
    )
    that("stream", "You said: Hi" in text, text)


@case("system")
def _() -> None:
    for role in ("system", "developer"):
        answer = ask(
            "",
            messages=[{"role": role, "content": "Speak like a pirate"}, {"role": "user", "content": "Hello"}],
        )
        that(f"{role} reaches the model", "Speak like a pirate" in answer.choices[0].message.content, answer)
    parts = ask(
        "",
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "Be brief"}]},
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]},
        ],
    )
    text = parts.choices[0].message.content
    that("content as parts", "Be brief" in text and "One" in text and "Two" in text, text)


@case("turns")
def _() -> None:
    messages: list[Any] = [{"role": "user", "content": "My name is Ada"}]
    first = ask("", messages=messages).choices[0].message
    messages += [first, {"role": "user", "content": "What is my name?"}]
    text = ask("", messages=messages).choices[0].message.content
    where = [text.find(part) for part in ("My name is Ada", "You said: My name", "What is my name?")]
    that("the whole history in its order", -1 not in where and where == sorted(where), text)
    that(
        "an assistant's content may be null",
        ask(
            "",
            messages=[
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": None},
                {"role": "user", "content": "b"},
            ],
        )
        .choices[0]
        .message.content,
    )
    that("each a temporary chat", all(p["temporary"] for p in prompts()), prompts())


@case("unicode")
def _() -> None:
    text = ask(UNICODE).choices[0].message.content
    that("as it was sent", UNICODE in text, text)
    text = "".join(c.choices[0].delta.content or "" for c in ask(UNICODE, stream=True))
    that("streamed as it was sent", UNICODE in text, text)
    reply(UNICODE, frames=40)
    text = "".join(c.choices[0].delta.content or "" for c in ask("Say it", stream=True))
    that("in forty pieces", text == UNICODE, text)


@case("long prompt")
def _() -> None:
    answer = ask(LONG)
    that("a megabyte arrives", prompts()[-1]["length"] >= len(LONG), prompts()[-1])
    that(
        "whole",
        f"[{len(LONG)} characters" in answer.choices[0].message.content,
        answer.choices[0].message.content[-300:],
    )
    that("usage grows", answer.usage.prompt_tokens > 100_000, answer.usage)
    defaults(words=20_000, frames=60)
    chunks = [c.choices[0].delta.content or "" for c in ask("Write much", stream=True)]
    that("a long answer, streamed", len("".join(chunks)) > 100_000, len("".join(chunks)))


@case("usage")
def _() -> None:
    usage = ask("Hello there").usage
    that("counts", usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage)
    that("total is the sum", usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage)
    chunks = list(ask("Hello there", stream=True, stream_options={"include_usage": True}))
    that(
        "asked for: last chunk with no choices",
        not chunks[-1].choices and chunks[-1].usage.total_tokens > 0,
        chunks[-1],
    )
    that("asked for: null before", all(c.usage is None for c in chunks[:-1]))
    that(
        "the same as not streamed",
        chunks[-1].usage.total_tokens == usage.total_tokens,
        (chunks[-1].usage, usage),
    )


@case("models")
def _() -> None:
    listed = list(client.models.list())
    ids = [m.id for m in listed]
    that("the public names", {MODEL, OTHER_MODEL, PICTURE_MODEL} <= set(ids), ids)
    that(
        "object, created, owned_by",
        all(m.object == "model" and m.created is not None and m.owned_by for m in listed),
        listed[0],
    )
    that("one by its name", client.models.retrieve(MODEL).id == MODEL)
    error = raised(
        "an unknown one is NotFoundError", openai.NotFoundError, lambda: client.models.retrieve("nobody")
    )
    that("its message names it", "nobody" in str(error), error)
    that("models/ before a name is taken off", ask("Hi", model=f"models/{MODEL}").choices[0].message.content)


@case("unknown model")
def _() -> None:
    error = raised("NotFoundError", openai.NotFoundError, lambda: ask("Hi", model="gpt-17"))
    that("message names it and the known ones", "gpt-17" in str(error) and MODEL in str(error), error)
    that("code", getattr(error, "code", "") == "model_not_found", getattr(error, "code", ""))
    error = raised("streamed as well", openai.NotFoundError, lambda: ask("Hi", model="gpt-17", stream=True))


@case("wrong key")
def _() -> None:
    other = client.with_options(api_key="sk-wrong")
    error = raised(
        "AuthenticationError",
        openai.AuthenticationError,
        lambda: other.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}]),
    )
    that("message says what to do", "key" in str(error).lower(), error)
    that("the key is not repeated", "sk-wrong" not in str(error), error)
    that("code", getattr(error, "code", "") == "invalid_api_key", error)
    raised("on the models as well", openai.AuthenticationError, other.models.list)
    that("nothing went upstream", not prompts(), prompts())


@case("bad input")
def _() -> None:
    error = raised("no messages: BadRequestError", openai.BadRequestError, lambda: ask("", messages=[]))
    that("param names the field", getattr(error, "param", "") == "messages", error)
    error = raised(
        "a wrong role: BadRequestError",
        openai.BadRequestError,
        lambda: ask("", messages=[{"role": "wizard", "content": "x"}]),
    )
    that("message names the place", "messages[0].role" in str(error), error)
    error = raised("n too large", openai.BadRequestError, lambda: ask("x", n=50))
    that("names n", getattr(error, "param", "") == "n", error)
    that("x-request-id on errors", bool(getattr(error, "request_id", "")), error)


@case("n")
def _() -> None:
    answer = ask("Hello", n=3)
    that("three choices with their indices", sorted(c.index for c in answer.choices) == [0, 1, 2], answer)
    chunks = list(ask("Hello", n=2, stream=True))
    texts = {
        n: "".join(c.choices[0].delta.content or "" for c in chunks if c.choices[0].index == n)
        for n in (0, 1)
    }
    that("two streamed side by side", all("You said: Hello" in text for text in texts.values()), texts)
    that("two finish reasons", sum(c.choices[0].finish_reason == "stop" for c in chunks) == 2)


@case("image input")
def _() -> None:
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": data_url(), "detail": "low"}},
    ]
    text = ask(content).choices[0].message.content
    that("the picture arrives", f"image/png {len(png())} bytes" in text, text)
    text = "".join(c.choices[0].delta.content or "" for c in ask(content, stream=True))
    that("streamed", f"image/png {len(png())} bytes" in text, text)
    two = (
        ask([*content, {"type": "image_url", "image_url": {"url": data_url(png(20, 20))}}])
        .choices[0]
        .message.content
    )
    that("two pictures", two.count("image/png") >= 2, two)
    file = [
        {"type": "text", "text": "Read"},
        {
            "type": "file",
            "file": {
                "filename": "notes.txt",
                "file_data": "data:text/plain;base64," + base64.b64encode(b"the notes").decode(),
            },
        },
    ]
    that("a file", "text/plain 9 bytes" in ask(file).choices[0].message.content)
    error = raised(
        "a broken data URL: BadRequestError",
        openai.BadRequestError,
        lambda: ask([{"type": "image_url", "image_url": {"url": "data:image/png;base64,!!!"}}]),
    )
    that("message names the place", "image_url" in str(error), error)
    error = raised(
        "a private address: BadRequestError",
        openai.BadRequestError,
        lambda: ask([{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/a.png"}}]),
    )


@case("thinking")
def _() -> None:
    reply("42", thoughts="Let me think about it.")
    message = ask("Deep?", reasoning_effort="high").choices[0].message
    that("text", message.content == "42", message)
    that("reasoning_content", message.reasoning_content.strip() == "Let me think about it.", message)
    that("extended thinking was asked for", prompts()[-1]["thinking"], prompts()[-1])
    reply("42", thoughts="Let me think about it.")
    chunks = list(ask("Deep?", reasoning_effort="high", stream=True))
    thoughts = "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks)
    that("streamed", thoughts.strip() == "Let me think about it.", chunks)
    that(
        "thoughts are not in the text",
        "".join(c.choices[0].delta.content or "" for c in chunks) == "42",
        chunks,
    )
    ask("Quick", reasoning_effort="none")
    that("none: no extended thinking", not prompts()[-1]["thinking"], prompts()[-1])


class City(pydantic.BaseModel):
    name: str
    country: Literal["France", "Italy"]
    people: int
    rivers: list[str]


def arguments_of(message: Any) -> list[tuple[str, Any]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]


@case("tools auto")
def _() -> None:
    answer = ask("What is the weather in Paris?", tools=[WEATHER])
    message = answer.choices[0].message
    that("a call", [name for name, _ in arguments_of(message)] == ["get_weather"], message)
    that(
        "arguments keep the schema",
        all(isinstance(a.get("city"), str) for _, a in arguments_of(message)),
        message,
    )
    that("finish_reason is tool_calls", answer.choices[0].finish_reason == "tool_calls", answer)
    that(
        "type and id",
        all(c.type == "function" and c.id for c in message.tool_calls or []) and message.tool_calls,
        message,
    )
    reply("Just words, no call.")
    plain = ask("Hello", tools=[WEATHER]).choices[0]
    that(
        "prose is a plain answer",
        plain.message.content == "Just words, no call."
        and not plain.message.tool_calls
        and plain.finish_reason == "stop",
        plain,
    )
    reply("I shall look it up.\n" + call_text(("get_weather", {"city": "Rome"})))
    both = ask("Weather?", tools=[WEATHER]).choices[0]
    that("text before a call is kept", (both.message.content or "").strip() == "I shall look it up.", both)
    that("and the call", arguments_of(both.message) == [("get_weather", {"city": "Rome"})], both)
    reply(call_text(("get_weather", {"city": UNICODE})))
    that(
        "unicode in arguments",
        arguments_of(ask("x", tools=[WEATHER]).choices[0].message) == [("get_weather", {"city": UNICODE})],
    )
    reply("Words.")
    that(
        "tool_choice none",
        ask("Weather in Paris?", tools=[WEATHER], tool_choice="none").choices[0].finish_reason == "stop",
    )
    that("none: the model sees no tool", "get_weather" not in prompts()[-1]["text"], prompts()[-1])


@case("tools forced")
def _() -> None:
    answer = ask("Hello", tools=[WEATHER, CLOCK], tool_choice="required").choices[0]
    that("required: a call", answer.message.tool_calls and answer.finish_reason == "tool_calls", answer)
    reply("I would rather talk.", call_text(("get_weather", {"city": "Rome"})))
    answer = ask("Hello", tools=[WEATHER], tool_choice="required").choices[0]
    that(
        "required: prose is asked again",
        arguments_of(answer.message) == [("get_weather", {"city": "Rome"})],
        answer,
    )
    that("that took two prompts", len(prompts()) == 3, len(prompts()))
    reply(call_text(("get_weather", {"town": 3})), call_text(("get_weather", {"city": "Rome"})))
    answer = ask("Hello", tools=[WEATHER], tool_choice="required").choices[0]
    that(
        "arguments that break the schema are asked again",
        arguments_of(answer.message) == [("get_weather", {"city": "Rome"})],
        answer,
    )
    reply(*["No."] * 6)
    answer = ask("Hello", tools=[WEATHER], tool_choice="required").choices[0]
    that(
        "prose to the end is handed out",
        answer.message.content and "No." in answer.message.content and answer.finish_reason == "stop",
        answer,
    )


@case("tools alone")
def _() -> None:
    # As where decoding is constrained; clients rely on it (instructor's GENAI_TOOLS, for one).
    words = "I shall look it up.\n" + call_text(("get_weather", {"city": "Rome"}))
    named: Any = {"type": "function", "function": {"name": "get_weather"}}
    for choice in ("required", named):
        reply(words)
        message = ask("Weather?", tools=[WEATHER], tool_choice=choice).choices[0].message
        that("a call that had to be made stands alone", message.tool_calls and not message.content, message)


@case("tools manners")
def _() -> None:
    for manner in ("prose", "broken", "schema", "name", "fence", "babble"):
        control("POST", "/replies", {"tool_reply": manner})
        answer = ask("What is the weather in Paris?", tools=[WEATHER], tool_choice="required").choices[0]
        found = arguments_of(answer.message)
        that(
            f"{manner}: a call that keeps the schema",
            found
            and all(
                n == "get_weather" and isinstance(a["city"], str) and set(a) <= {"city", "unit"}
                for n, a in found
            ),
            answer,
        )
        control("POST", "/replies", {"json_reply": manner} if manner != "name" else {"json_reply": "prose"})
        parsed = client.chat.completions.parse(
            model=MODEL, messages=[{"role": "user", "content": "Paris"}], response_format=City
        )
        that(
            f"{manner}: JSON that keeps the schema",
            isinstance(parsed.choices[0].message.parsed, City),
            parsed,
        )
    for manner in ("fence", "babble", "broken"):
        control("POST", "/replies", {"tool_reply": manner, "frames": 15})
        with client.chat.completions.stream(
            model=MODEL,
            messages=[{"role": "user", "content": "What is the weather in Paris?"}],
            tools=[WEATHER],
        ) as stream:
            final = stream.get_final_completion().choices[0]
        that(
            f"{manner}: streamed, auto: a whole call or words",
            bool(final.message.tool_calls) == (final.finish_reason == "tool_calls")
            and all(arguments_of(final.message)),
            final,
        )


@case("tools named")
def _() -> None:
    named: Any = {"type": "function", "function": {"name": "get_time"}}
    answer = ask("Hello", tools=[WEATHER, CLOCK], tool_choice=named).choices[0]
    that("the named one", [name for name, _ in arguments_of(answer.message)] == ["get_time"], answer)
    reply('{"zone": "UTC"}')
    answer = ask("Hello", tools=[WEATHER, CLOCK], tool_choice=named).choices[0]
    that(
        "bare arguments are the call", arguments_of(answer.message) == [("get_time", {"zone": "UTC"})], answer
    )
    bad: Any = {"type": "function", "function": {"name": "nobody"}}
    error = raised(
        "a name that is not on offer: BadRequestError",
        openai.BadRequestError,
        lambda: ask("x", tools=[WEATHER], tool_choice=bad),
    )
    that("names the field", "tool_choice" in str(error), error)
    allowed: Any = {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "required",
            "tools": [{"type": "function", "function": {"name": "get_time"}}],
        },
    }
    answer = ask("Hello", tools=[WEATHER, CLOCK], tool_choice=allowed).choices[0]
    that("allowed_tools", [name for name, _ in arguments_of(answer.message)] == ["get_time"], answer)


@case("tools parallel")
def _() -> None:
    both = call_text(
        ("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"}), ("get_weather", {"city": "Oslo"})
    )
    reply(both)
    answer = ask("Both", tools=[WEATHER, CLOCK]).choices[0]
    that(
        "three calls in their order",
        [n for n, _ in arguments_of(answer.message)] == ["get_weather", "get_time", "get_weather"],
        answer,
    )
    that("ids differ", len({c.id for c in answer.message.tool_calls or []}) == 3, answer)
    reply(both)
    answer = ask("Both", tools=[WEATHER, CLOCK], parallel_tool_calls=False).choices[0]
    that("parallel_tool_calls false: one", len(answer.message.tool_calls or []) == 1, answer)


@case("tools result")
def _() -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
    reply(call_text(("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})))
    message = ask("", messages=messages, tools=[WEATHER]).choices[0].message
    that("two calls", len(message.tool_calls or []) == 2, message)
    messages.append(message)
    for call, found in zip(message.tool_calls, ("sunny, 21 degrees", "hail & <b>frost</b>"), strict=True):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
    answer = ask("", messages=messages, tools=[WEATHER]).choices[0]
    that("an answer in words", answer.message.content and answer.finish_reason == "stop", answer)
    # Without tools the echo shows the prompt.
    text = ask("", messages=[*messages, {"role": "user", "content": "And so?"}]).choices[0].message.content
    that("the results reach the model", "sunny, 21 degrees" in text and "hail & <b>frost</b>" in text, text)
    that("and the calls", "Paris" in text and "get_weather" in text, text)
    messages[-1] = {**messages[-1], "content": [{"type": "text", "text": "as parts"}]}
    that("results as parts", "as parts" in ask("", messages=messages).choices[0].message.content)


@case("tools stream")
def _() -> None:
    reply(
        "First words. \n" + call_text(("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})),
        frames=20,
    )
    chunks = list(ask("Both", tools=[WEATHER, CLOCK], stream=True))
    deltas = [d for c in chunks for d in c.choices[0].delta.tool_calls or []]
    firsts = {d.index: d for d in reversed(deltas)}
    that("indices", sorted(firsts) == [0, 1], deltas)
    that(
        "the first delta has id, type and name",
        all(d.id and d.type == "function" and d.function.name for d in firsts.values()) and firsts,
        firsts,
    )
    made = {n: "".join(d.function.arguments or "" for d in deltas if d.index == n) for n in firsts}
    that(
        "arguments add up",
        [json.loads(a) for a in made.values()] == [{"city": "Rome"}, {"zone": "UTC"}]
        or [json.loads(made[n]) for n in sorted(made)] == [{"city": "Rome"}, {"zone": "UTC"}],
        made,
    )
    that(
        "text before is streamed",
        "".join(c.choices[0].delta.content or "" for c in chunks).strip() == "First words.",
        chunks,
    )
    that("finish_reason", chunks[-1].choices[0].finish_reason == "tool_calls", chunks[-1])
    with client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=[WEATHER]
    ) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    that("the helper's events", "tool_calls.function.arguments.done" in events, set(events))
    that(
        "the helper's call", [n for n, _ in arguments_of(final.choices[0].message)] == ["get_weather"], final
    )
    defaults(frames=10, frame_delay=0.05, words=100)
    reply("Just words, " * 30, frames=10, frame_delay=0.1)
    begun = time.monotonic()
    times: list[float] = []
    times.extend(
        time.monotonic() - begun
        for chunk in ask("x", tools=[WEATHER], stream=True)
        if chunk.choices[0].delta.content
    )
    that("prose beside tools is streamed as it grows", len(times) > 3 and times[-1] - times[0] > 0.3, times)


@case("tools legacy")
def _() -> None:
    functions: Any = [WEATHER["function"]]
    answer = ask(
        "What is the weather in Paris?", functions=functions, function_call={"name": "get_weather"}
    ).choices[0]
    called = answer.message.function_call
    that(
        "functions: function_call",
        called and called.name == "get_weather" and isinstance(json.loads(called.arguments), dict),
        answer,
    )
    that("finish_reason", answer.finish_reason == "function_call", answer)


@case("tools errors")
def _() -> None:
    broken: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "objekt"}}}
    error = raised(
        "a broken schema: BadRequestError", openai.BadRequestError, lambda: ask("x", tools=[broken])
    )
    that("names the place", "tools[0]" in str(error), error)
    error = raised(
        "required without tools: BadRequestError",
        openai.BadRequestError,
        lambda: ask("x", tool_choice="required"),
    )
    remote: Any = {
        "type": "function",
        "function": {"name": "f", "parameters": {"$ref": "http://127.0.0.1/x.json"}},
    }
    error = raised(
        "a remote reference: BadRequestError", openai.BadRequestError, lambda: ask("x", tools=[remote])
    )
    that("nothing went upstream", not prompts(), prompts())
    many: Any = [
        {
            "type": "function",
            "function": {
                "name": f"tool_{n}",
                "description": "Does the thing number " + str(n) * 40,
                "parameters": WEATHER["function"]["parameters"],
            },
        }
        for n in range(64)
    ]
    that("30 kB of tools", ask("Hello there", tools=many).choices[0])


@case("json object")
def _() -> None:
    answer = ask("Give me JSON", response_format={"type": "json_object"}).choices[0]
    that("an object", isinstance(json.loads(answer.message.content), dict), answer)
    reply('Sure! Here it is:\n```json\n{"a": [1, 2,], }\n```\nAnything else?')
    answer = ask("Give me JSON", response_format={"type": "json_object"}).choices[0]
    that("is taken out of a fence and repaired", json.loads(answer.message.content) == {"a": [1, 2]}, answer)
    reply('{"a": 1}')
    text = "".join(
        c.choices[0].delta.content or ""
        for c in ask("JSON", response_format={"type": "json_object"}, stream=True)
    )
    that("streamed", json.loads(text) == {"a": 1}, text)
    reply("no", '{"a": 2}')
    answer = ask("Give me JSON", response_format={"type": "json_object"}).choices[0]
    that("words are asked again", json.loads(answer.message.content) == {"a": 2}, answer)


PARIS = {"name": "Paris", "country": "France", "people": 2, "rivers": ["Seine"]}


@case("json schema")
def _() -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Paris"}], response_format=City
    )
    that("parse: an instance", isinstance(answer.choices[0].message.parsed, City), answer)
    reply('{"name": "Paris"}', json.dumps(PARIS))
    answer = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Paris"}], response_format=City
    )
    that("what breaks the schema is asked again", answer.choices[0].message.parsed == City(**PARIS), answer)
    reply(json.dumps(PARIS))
    with client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": "Paris"}], response_format=City
    ) as stream:
        final = stream.get_final_completion()
    that("streamed: an instance", final.choices[0].message.parsed == City(**PARIS), final)
    reply(*["I cannot tell you that."] * 5)
    answer = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Paris"}], response_format=City
    )
    that("words to the end are the refusal", "cannot" in (answer.choices[0].message.refusal or ""), answer)
    reply(*['{"name": 1}'] * 5)
    error = raised(
        "JSON that breaks it to the end: UnprocessableEntityError",
        openai.UnprocessableEntityError,
        lambda: client.chat.completions.parse(
            model=MODEL, messages=[{"role": "user", "content": "Paris"}], response_format=City
        ),
    )
    that("says where", "name" in str(error) or "country" in str(error), error)
    bad: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "objekt"}}}
    error = raised(
        "a broken schema: BadRequestError", openai.BadRequestError, lambda: ask("x", response_format=bad)
    )
    that("names the field", "response_format" in str(error), error)
    tool = openai.pydantic_function_tool(City)
    answer = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Paris"}], tools=[tool], tool_choice="required"
    )
    calls = answer.choices[0].message.tool_calls or []
    that(
        "pydantic_function_tool: parsed arguments",
        calls and isinstance(calls[0].function.parsed_arguments, City),
        answer,
    )


def respond(given: Any, **options: Any) -> Any:
    return client.responses.create(**{"model": MODEL, "input": given, **options})


@case("tools and json")
def _() -> None:
    both: Any = {"tools": [openai.pydantic_function_tool(City, name="save")], "response_format": City}
    messages: Any = [{"role": "user", "content": "Paris"}]
    reply("```json\n" + json.dumps(PARIS) + "\n```")
    choice = client.chat.completions.parse(model=MODEL, messages=messages, **both).choices[0]
    that("JSON", choice.message.parsed == City(**PARIS) and choice.finish_reason == "stop", choice)
    reply(call_text(("save", PARIS)))
    choice = client.chat.completions.parse(model=MODEL, messages=messages, **both).choices[0]
    calls = choice.message.tool_calls or []
    that("or a call", calls and calls[0].function.parsed_arguments == City(**PARIS), choice)
    that("without content", not choice.message.content, choice)


@case("many at once")
def _() -> None:
    defaults(words=60, frames=6, frame_delay=0.05)

    async def act() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY) as other:

            async def one(n: int) -> str:
                tools: Any = {"tools": [WEATHER]} if n % 3 == 0 else {}
                words: Any = [{"role": "user", "content": f"Number {n}."}]
                stream = await other.chat.completions.create(
                    model=MODEL, messages=words, stream=True, **tools
                )
                deltas = [c.choices[0].delta async for c in stream]
                called = "".join(d.tool_calls[0].function.arguments or "" for d in deltas if d.tool_calls)
                return "".join(d.content or "" for d in deltas) + called

            return await asyncio.gather(*(one(n) for n in range(40)))

    texts = asyncio.run(act())
    mixed = [n for n, text in enumerate(texts) if n % 3 and f"Number {n}." not in text]
    that("forty streams, each its own answer", not mixed, mixed)
    that("those with tools as well", all(texts[n] for n in range(0, 40, 3)), texts[0])


@case("responses")
def _() -> None:
    answer = respond("Hello there")
    that("output_text", "You said: Hello there" in answer.output_text, answer)
    that(
        "status completed, object response, id",
        answer.status == "completed" and answer.object == "response" and answer.id.startswith("resp_"),
        answer,
    )
    that(
        "usage",
        answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0,
        answer.usage,
    )
    answer = respond("Hello there", instructions="Speak like a pirate")
    that("instructions", "Speak like a pirate" in answer.output_text, answer.output_text)
    answer = respond(
        [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "Two"},
            {"role": "user", "content": [{"type": "input_text", "text": "Three"}]},
        ]
    )
    that(
        "messages as input",
        all(w in answer.output_text for w in ("Be brief", "One", "Two", "Three")),
        answer.output_text,
    )
    answer = respond(
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What?"},
                    {"type": "input_image", "image_url": data_url(), "detail": "auto"},
                ],
            }
        ]
    )
    that("a picture", f"image/png {len(png())} bytes" in answer.output_text, answer.output_text)
    that("unicode", UNICODE in respond(UNICODE).output_text)
    reply("42", thoughts="Hmm.")
    answer = respond("Deep?", reasoning={"effort": "high", "summary": "auto"})
    that(
        "reasoning",
        answer.output_text == "42" and any(i.type == "reasoning" for i in answer.output),
        answer.output,
    )
    error = raised("unknown model: NotFoundError", openai.NotFoundError, lambda: respond("x", model="gpt-17"))
    error = raised(
        "wrong key: AuthenticationError",
        openai.AuthenticationError,
        lambda: client.with_options(api_key="no").responses.create(model=MODEL, input="x"),
    )
    error = raised(
        "bad input: BadRequestError",
        openai.BadRequestError,
        lambda: respond([{"role": "wizard", "content": "x"}]),
    )
    that("names the place", "input[0]" in str(error), error)


@case("responses stream")
def _() -> None:
    events = list(respond("Hello there", stream=True))
    kinds = [e.type for e in events]
    that("begins with response.created", kinds[0] == "response.created", kinds)
    that("ends with response.completed", kinds[-1] == "response.completed", kinds)
    that(
        "the parts in order",
        [
            k
            for k in dict.fromkeys(kinds)
            if k
            in (
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
            )
        ]
        == [
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
        ],
        kinds,
    )
    that(
        "sequence numbers rise by one",
        [e.sequence_number for e in events]
        == list(range(events[0].sequence_number, events[0].sequence_number + len(events))),
    )
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    that("deltas add up", text == events[-1].response.output_text and "Hello there" in text, text)
    that("usage at the end", events[-1].response.usage.total_tokens > 0)
    with client.responses.stream(model=MODEL, input="Hi") as stream:
        for _event in stream:
            pass
        final = stream.get_final_response()
    that("the helper", "You said: Hi" in final.output_text, final)
    fault("truncate", frames=2)
    defaults(words=200, frames=10)

    def broken() -> Any:
        found = list(respond("Hello", stream=True))
        last = found[-1]
        if last.type in ("error", "response.failed"):
            raise openai.APIError("told by an event", request=None, body=None)  # type: ignore[arg-type]
        return [e.type for e in found]

    raised("a broken answer is an error event or exception", openai.APIError, broken)


RWEATHER: Any = {"type": "function", **WEATHER["function"], "strict": True}


@case("responses tools")
def _() -> None:
    answer = respond("What is the weather in Paris?", tools=[RWEATHER], tool_choice="required")
    calls = [i for i in answer.output if i.type == "function_call"]
    that("a function_call item", [c.name for c in calls] == ["get_weather"], answer.output)
    that(
        "call_id, id, arguments",
        all(c.call_id and c.id and isinstance(json.loads(c.arguments), dict) for c in calls) and calls,
        calls,
    )
    given: list[Any] = [
        {"role": "user", "content": "What is the weather in Paris?"},
        *answer.output,
        *(
            {"type": "function_call_output", "call_id": c.call_id, "output": "sunny, 21 degrees"}
            for c in calls
        ),
    ]
    second = respond(given)
    that("outputs fed back reach the model", "sunny, 21 degrees" in second.output_text, second.output_text)
    reply(call_text(("get_weather", {"city": "Rome"})))
    events = list(respond("Weather?", tools=[RWEATHER], stream=True))
    kinds = [e.type for e in events]
    that(
        "streamed argument events",
        "response.function_call_arguments.delta" in kinds
        and "response.function_call_arguments.done" in kinds,
        kinds,
    )
    that(
        "streamed call",
        [json.loads(i.arguments) for i in events[-1].response.output if i.type == "function_call"]
        == [{"city": "Rome"}],
        events[-1],
    )
    named = respond("Hello", tools=[RWEATHER], tool_choice={"type": "function", "name": "get_weather"})
    that(
        "named", [i.name for i in named.output if i.type == "function_call"] == ["get_weather"], named.output
    )


@case("responses json")
def _() -> None:
    reply(json.dumps(PARIS))
    answer = client.responses.parse(model=MODEL, input="Paris", text_format=City)
    that("parse: an instance", answer.output_parsed == City(**PARIS), answer)
    answer = client.responses.parse(model=MODEL, input="Paris", text_format=City)
    that("unscripted as well", isinstance(answer.output_parsed, City), answer)
    reply('{"a": 1}')
    that(
        "json_object",
        json.loads(respond("JSON", text={"format": {"type": "json_object"}}).output_text) == {"a": 1},
    )


@case("responses previous")
def _() -> None:
    first = respond("My name is Ada", store=True)
    try:
        second = respond("What is my name?", previous_response_id=first.id)
        that(
            "goes on, or says clearly that it cannot",
            "My name is Ada" in second.output_text or "Turn 2" in second.output_text,
            second.output_text,
        )
    except openai.BadRequestError as error:
        that("goes on, or says clearly that it cannot", "previous_response_id" in str(error), error)
    error = raised(
        "an unknown id is a 4xx",
        (openai.BadRequestError, openai.NotFoundError),
        lambda: respond("x", previous_response_id="resp_nobody"),
    )
    that("that names the field", "previous_response_id" in str(error), error)


@case("sticky")
def _() -> None:
    sticky: Any = {"extra_body": {"conversation": "sticky"}}
    messages: list[Any] = [{"role": "user", "content": "My name is Ada " + "word " * 500}]
    first = ask("", messages=messages, **sticky).choices[0].message
    messages += [first, {"role": "user", "content": "What is my name?"}]
    text = ask("", messages=messages, **sticky).choices[0].message.content
    that("the second turn goes on in the chat", "Turn 2" in text, text)
    that("only what is new goes up", prompts()[-1]["length"] < 200, prompts()[-1])
    that("on the same account", len({p["account"] for p in prompts()}) == 1, prompts())
    chunks = list(
        ask(
            "",
            messages=[*messages, {"role": "assistant", "content": text}, {"role": "user", "content": "And?"}],
            stream=True,
            **sticky,
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    that("the third, streamed", "Turn 3" in text, text)
    fault("http_500", times=1)
    messages += [{"role": "assistant", "content": "edited"}, {"role": "user", "content": "Go on"}]
    text = ask("", messages=messages, **sticky).choices[0].message.content
    that(
        "an edited history is told anew, a fault unnoticed",
        "My name is Ada" in text and "edited" in text,
        text,
    )
    error = raised(
        "a wrong value: BadRequestError",
        openai.BadRequestError,
        lambda: ask("x", extra_body={"conversation": "glue"}),
    )
    that("names the field", "conversation" in str(error), error)


@case("responses more")
def _() -> None:
    answer = respond("Hello")
    raised("retrieve: NotFoundError", openai.NotFoundError, lambda: client.responses.retrieve(answer.id))
    raised("delete: NotFoundError", openai.NotFoundError, lambda: client.responses.delete(answer.id))
    file: Any = {
        "type": "input_file",
        "filename": "notes.txt",
        "file_data": "data:text/plain;base64," + base64.b64encode(b"the notes").decode(),
    }
    text = respond([{"role": "user", "content": [{"type": "input_text", "text": "Read"}, file]}]).output_text
    that("a file", "text/plain 9 bytes" in text, text)
    error = raised(
        "a tool of OpenAI's own: BadRequestError",
        openai.BadRequestError,
        lambda: respond("x", tools=[{"type": "code_interpreter", "container": {"type": "auto"}}]),
    )
    that("names the field", "tools[0]" in str(error), error)
    raised("background: BadRequestError", openai.BadRequestError, lambda: respond("x", background=True))
    referred = respond(
        [
            {"role": "user", "content": "First"},
            {"type": "item_reference", "id": answer.output[-1].id},
            {"role": "user", "content": "And?"},
        ]
    )
    that("item_reference", "You said: Hello" in referred.output_text, referred.output_text)
    again = respond("Next", previous_response_id=answer.id)
    third = respond("Third", previous_response_id=again.id)
    that(
        "a chain of three",
        all(w in third.output_text for w in ("Hello", "Next", "Third")) or "Turn 3" in third.output_text,
        third.output_text,
    )
    unkept = respond("Hello", store=False)
    raised(
        "store false: not known afterwards",
        openai.BadRequestError,
        lambda: respond("x", previous_response_id=unkept.id),
    )


@case("picture")
def _() -> None:
    made = client.images.generate(model=PICTURE_MODEL, prompt="a red kite")
    that("b64_json by default", is_picture(base64.b64decode(made.data[0].b64_json)), str(made)[:300])
    that("created", abs(made.created - time.time()) < 60, made.created)
    made = client.images.generate(
        model=PICTURE_MODEL, prompt="a red kite", n=2, size="1024x1024", response_format="b64_json"
    )
    that(
        "n=2",
        len(made.data) == 2 and all(is_picture(base64.b64decode(d.b64_json)) for d in made.data),
        len(made.data),
    )
    made = client.images.generate(model=PICTURE_MODEL, prompt="a red kite", response_format="url")
    with urllib.request.urlopen(made.data[0].url, timeout=10) as answer:  # noqa: S310  # the gateway's link
        that("url: readable without a key", is_picture(answer.read()))
    error = raised(
        "an unknown model: NotFoundError",
        openai.NotFoundError,
        lambda: client.images.generate(model="dall-e-17", prompt="x"),
    )
    that("message", "dall-e-17" in str(error), error)
    raised(
        "no prompt: BadRequestError",
        openai.BadRequestError,
        lambda: client.images.generate(model=PICTURE_MODEL, prompt=""),
    )
    control("POST", "/replies", {"picture_reply": "refusal"})
    error = raised(
        "a refusal: BadRequestError",
        openai.BadRequestError,
        lambda: client.images.generate(model=PICTURE_MODEL, prompt="a red kite"),
    )
    that("with the model's words", "not able to picture" in str(error), error)


@case("picture edit")
def _() -> None:
    made = client.images.edit(model=PICTURE_MODEL, image=("a.png", png(), "image/png"), prompt="add a hat")
    that("one picture", is_picture(base64.b64decode(made.data[0].b64_json)), str(made)[:300])
    that("the upload arrived", len(prompts()[-1]["uploads"]) == 1, prompts()[-1])
    made = client.images.edit(
        model=PICTURE_MODEL,
        image=[("a.png", png(), "image/png"), ("b.png", png(30, 30), "image/png")],
        prompt="add both",
    )
    that("two pictures sent", len(prompts()[-1]["uploads"]) == 2, prompts()[-1])
    raised(
        "what is no picture: BadRequestError",
        openai.BadRequestError,
        lambda: client.images.edit(
            model=PICTURE_MODEL, image=("a.png", b"nothing", "image/png"), prompt="add a hat"
        ),
    )
    answer = client.chat.completions.create(
        model=PICTURE_MODEL, messages=[{"role": "user", "content": "generate an image of a kite"}]
    )
    that(
        "a picture in a chat is a link in its text",
        "![" in answer.choices[0].message.content,
        answer.choices[0].message.content[:300],
    )


@case("unsupported")
def _() -> None:
    for name, act in {
        "embeddings": lambda: client.embeddings.create(model=MODEL, input="x"),
        "completions": lambda: client.completions.create(model=MODEL, prompt="x"),
        "audio": lambda: client.audio.speech.create(model=MODEL, voice="alloy", input="x"),
        "files": client.files.list,
        "moderations": lambda: client.moderations.create(input="x"),
        "fine tuning": client.fine_tuning.jobs.list,
    }.items():
        error = raised(f"{name}: NotFoundError", openai.NotFoundError, act)
        that(f"{name}: a clear message", len(str(error)) > 30 and "html" not in str(error), error)


@case("rate limit")
def _() -> None:
    tight = openai.OpenAI(base_url=f"{TIGHT_URL}/v1", api_key="none-needed", max_retries=0)

    def act(again: openai.OpenAI = tight) -> Any:
        return again.chat.completions.create(model=OTHER_MODEL, messages=[{"role": "user", "content": "Hi"}])

    act()
    error = raised("RateLimitError", openai.RateLimitError, act)
    headers = error.response.headers
    that("Retry-After in whole seconds", 1 <= int(headers["retry-after"]) <= 2, dict(headers))
    that("code", error.code == "rate_limit_exceeded", error)
    that("type", error.type == "rate_limit_error", error)
    that(
        "limits in headers",
        all(f"x-ratelimit-{n}-requests" in headers for n in ("limit", "remaining", "reset")),
        dict(headers),
    )
    begun = time.monotonic()
    answer = act(tight.with_options(max_retries=2))
    waited = time.monotonic() - begun
    that(
        "with its default retries the SDK waits and succeeds",
        answer.choices[0].message.content and 0.5 < waited < 4,
        waited,
    )


@case("upstream fault")
def _() -> None:
    defaults(words=300, frames=12)
    for kind in ("truncate", "drop_mid"):
        fault(kind, frames=3)
        got: list[str] = []

        def read(got: list[str] = got) -> Any:
            got.extend(c.choices[0].delta.content or "" for c in ask("Hello", stream=True))
            return "".join(got)

        error = raised(f"{kind}: an exception while streaming", openai.APIError, read)
        that(f"{kind}: after content", got, error)
        that(f"{kind}: says so", len(str(error)) > 20, error)
        reset()
        defaults(words=300, frames=12)
    fault("error_1013", times=1)
    answer = ask("Hello")
    that(
        "a fault before content is not noticed",
        "You said: Hello" in answer.choices[0].message.content,
        answer,
    )
    text = "".join(c.choices[0].delta.content or "" for c in ask("Hello", stream=True))
    that("nor streamed", "You said: Hello" in text, text)


@case("cancel")
def _() -> None:
    defaults(words=400, frames=40, frame_delay=0.2)
    stream = ask("Hello", stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    that(
        "the upstream is left at once",
        until(lambda: [p["outcome"] for p in prompts()] == ["aborted"], 5),
        prompts(),
    )
    defaults(words=10, frames=3, frame_delay=0.0)
    that("the next request is served", ask("Hi").choices[0].message.content)
    defaults(first_delay=20.0)
    raised(
        "a client's own time-out",
        openai.APITimeoutError,
        lambda: client.with_options(timeout=1.0).chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Slow"}]
        ),
    )
    that("the upstream is left", until(lambda: prompts()[-1]["outcome"] == "aborted", 5), prompts()[-1])
