"""google-genai for Python: v1, which it calls by itself, and v1beta."""

import asyncio
import json
import time
from typing import Any, Literal

import httpx2
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
    defaults,
    fault,
    is_picture,
    png,
    prompts,
    reply,
    reset,
    until,
)
from google import genai
from google.genai import errors, types

checks = Checks("genai-py")
that, case, raised = checks.that, checks.case, checks.raised
checks.version(**{"google-genai": genai.__version__})
client = genai.Client(api_key=KEY, http_options={"base_url": URL})
beta = genai.Client(api_key=KEY, http_options={"base_url": URL, "api_version": "v1beta"})
prefixed = genai.Client(api_key=KEY, http_options={"base_url": f"{URL}/gemini"})
slashed = genai.Client(api_key=KEY, http_options={"base_url": f"{URL}/"})


def ask(contents: Any, config: Any = None, model: str = MODEL, by: genai.Client = client) -> Any:
    return by.models.generate_content(model=model, contents=contents, config=config)


def streamed(contents: Any, config: Any = None, model: str = MODEL, by: genai.Client = client) -> list[Any]:
    return list(by.models.generate_content_stream(model=model, contents=contents, config=config))


def text_of(chunks: list[Any]) -> str:
    return "".join(c.text or "" for c in chunks)


WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description="The weather in a city now",
    parameters=types.Schema(
        type=types.Type.OBJECT,
        properties={
            "city": types.Schema(type=types.Type.STRING),
            "unit": types.Schema(type=types.Type.STRING, enum=["celsius", "fahrenheit"], nullable=True),
        },
        required=["city"],
    ),
)
CLOCK = types.FunctionDeclaration(
    name="get_time",
    parameters_json_schema={
        "type": "object",
        "properties": {"zone": {"type": "string"}},
        "required": ["zone"],
        "additionalProperties": False,
    },
)
TOOLS = [types.Tool(function_declarations=[WEATHER, CLOCK])]
OFF = types.AutomaticFunctionCallingConfig(disable=True)


def tools(mode: str = "AUTO", names: list[str] | None = None) -> types.GenerateContentConfig:
    calling = types.FunctionCallingConfig(
        mode=types.FunctionCallingConfigMode(mode), allowed_function_names=names
    )
    return types.GenerateContentConfig(
        tools=TOOLS,
        tool_config=types.ToolConfig(function_calling_config=calling),
        automatic_function_calling=OFF,
    )


def calls_of(answer: Any) -> list[tuple[str, Any]]:
    return [(call.name, call.args) for call in answer.function_calls or []]


class City(pydantic.BaseModel):
    name: str
    country: Literal["France", "Italy"]
    people: int
    rivers: list[str]
    mayor: str | None = None


PARIS = {"name": "Paris", "country": "France", "people": 2, "rivers": ["Seine"]}


@case("text")
def _() -> None:
    for name, by in {
        "v1": client,
        "v1beta": beta,
        "/gemini": prefixed,
        "a slash at the end": slashed,
    }.items():
        answer = ask("Hello there", by=by)
        that(f"{name}: answers", "You said: Hello there" in answer.text, answer)
    answer = ask("Hello there")
    candidate = answer.candidates[0]
    that("finish reason STOP", candidate.finish_reason == types.FinishReason.STOP, answer)
    that("role model", candidate.content.role == "model", answer)
    that("model version", answer.model_version, answer)
    that("response id", answer.response_id, answer)
    that("no function calls", not answer.function_calls, answer)
    that("models/ before the name", "Hello" in ask("Hello", model=f"models/{MODEL}").text)
    config = types.GenerateContentConfig(
        temperature=0.1,
        top_p=0.5,
        top_k=3,
        max_output_tokens=5,
        stop_sequences=["x"],
        seed=1,
        candidate_count=1,
        safety_settings=[types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_NONE")],
    )
    that("fields of sampling and safety are ignored", "Hello" in ask("Hello", config).text)


@case("stream")
def _() -> None:
    for name, by in {"v1": client, "v1beta": beta}.items():
        defaults(frames=8, frame_delay=0.05, words=80)
        begun, times, chunks = time.monotonic(), [], []
        for chunk in by.models.generate_content_stream(model=MODEL, contents="Hello there"):
            chunks.append(chunk)
            times.append(time.monotonic() - begun)
        that(f"{name}: adds up", text_of(chunks).startswith("You said: Hello there"), text_of(chunks))
        that(f"{name}: grows over time", len(chunks) > 4 and times[-1] - times[0] > 0.15, times)
        that(
            f"{name}: finish reason in the last chunk only",
            [c.candidates[0].finish_reason for c in chunks if c.candidates and c.candidates[0].finish_reason]
            == [types.FinishReason.STOP]
            and chunks[-1].candidates[0].finish_reason,
            chunks[-1],
        )
        that(f"{name}: usage in the last chunk", chunks[-1].usage_metadata.total_token_count > 0, chunks[-1])
        that(
            f"{name}: the same as not streamed",
            ask("Hello there", by=by).text == text_of(chunks),
            text_of(chunks),
        )
    defaults(first_delay=2.0)
    that(
        "keep-alives before the first content harm nothing",
        text_of(streamed("Slow")).startswith("You said: Slow"),
    )


@case("async")
def _() -> None:
    async def act() -> Any:
        many = await asyncio.gather(
            *(client.aio.models.generate_content(model=MODEL, contents=f"Number {n}") for n in range(5))
        )
        text = ""
        async for chunk in await client.aio.models.generate_content_stream(model=MODEL, contents="Hi"):
            text += chunk.text or ""
        return many, text

    many, text = asyncio.run(act())
    that("five at once, each its own answer", all(f"Number {n}" in a.text for n, a in enumerate(many)), many)
    that("stream", "You said: Hi" in text, text)


@case("system")
def _() -> None:
    for name, by in {"v1": client, "v1beta": beta}.items():
        answer = ask("Hello", types.GenerateContentConfig(system_instruction="Speak like a pirate"), by=by)
        that(f"{name}: reaches the model", "Speak like a pirate" in answer.text, answer)


@case("turns")
def _() -> None:
    chat = client.chats.create(model=MODEL)
    chat.send_message("My name is Ada")
    text = chat.send_message("What is my name?").text
    where = [text.find(part) for part in ("My name is Ada", "You said: My name", "What is my name?")]
    that("a chat sends its history in its order", -1 not in where and where == sorted(where), text)
    text = text_of(list(chat.send_message_stream("And now?")))
    that("and streams", "My name is Ada" in text and "And now?" in text, text)
    that("each a temporary chat", all(p["temporary"] for p in prompts()), prompts())


@case("unicode")
def _() -> None:
    that("as it was sent", UNICODE in ask(UNICODE).text)
    that("streamed as it was sent", UNICODE in text_of(streamed(UNICODE)))
    reply(UNICODE, frames=40)
    text = text_of(streamed("Say it"))
    that("in forty pieces", text == UNICODE, text)


@case("long prompt")
def _() -> None:
    answer = ask(LONG)
    that("a megabyte arrives whole", f"[{len(LONG)} characters" in answer.text, answer.text[-300:])
    defaults(words=20_000, frames=60)
    text = text_of(streamed("Write much"))
    that("a long answer, streamed", len(text) > 100_000, len(text))


@case("usage")
def _() -> None:
    usage = ask("Hello there").usage_metadata
    that("counts", usage.prompt_token_count > 0 and usage.candidates_token_count > 0, usage)
    that(
        "total is the sum",
        usage.total_token_count
        == usage.prompt_token_count + usage.candidates_token_count + (usage.thoughts_token_count or 0),
        usage,
    )
    for name, by in {"v1": client, "v1beta": beta}.items():
        counted = by.models.count_tokens(model=MODEL, contents="Hello there")
        that(f"{name}: count_tokens", counted.total_tokens > 0, counted)


@case("models")
def _() -> None:
    for name, by in {"v1": client, "v1beta": beta}.items():
        listed = list(by.models.list())
        names = [m.name for m in listed]
        that(f"{name}: the public names", {f"models/{MODEL}", f"models/{PICTURE_MODEL}"} <= set(names), names)
        that(
            f"{name}: limits, actions and display name",
            all(
                m.input_token_limit
                and m.output_token_limit
                and m.display_name
                and "generateContent" in (m.supported_actions or [])
                for m in listed
            ),
            listed[:1],
        )
        that(f"{name}: one by its name", by.models.get(model=MODEL).name == f"models/{MODEL}")
        error = raised(
            f"{name}: an unknown one is ClientError",
            errors.ClientError,
            lambda by=by: by.models.get(model="nobody"),
        )
        that(f"{name}: 404 that names it", getattr(error, "code", 0) == 404 and "nobody" in str(error), error)


@case("unknown model")
def _() -> None:
    for name, by in {"v1": client, "v1beta": beta}.items():
        error = raised(
            f"{name}: ClientError", errors.ClientError, lambda by=by: ask("Hi", model="gemini-17", by=by)
        )
        that(
            f"{name}: 404 NOT_FOUND",
            getattr(error, "code", 0) == 404 and getattr(error, "status", "") == "NOT_FOUND",
            error,
        )
        that(f"{name}: names it and the known ones", "gemini-17" in str(error) and MODEL in str(error), error)
    raised("streamed: ClientError", errors.ClientError, lambda: streamed("Hi", model="gemini-17"))


@case("wrong key")
def _() -> None:
    other = genai.Client(api_key="wrong-key", http_options={"base_url": URL})
    error = raised("ClientError", errors.ClientError, lambda: ask("Hi", by=other))
    that("401 or 403 or 400", getattr(error, "code", 0) in (400, 401, 403), error)
    that("message says key", "key" in (getattr(error, "message", "") or "").lower(), error)
    that("the key is not repeated", "wrong-key" not in str(error), error)
    raised("streamed: ClientError", errors.ClientError, lambda: streamed("Hi", by=other))
    raised("models: ClientError", errors.ClientError, lambda: list(other.models.list()))
    that("nothing went upstream", not prompts(), prompts())


@case("bad input")
def _() -> None:
    error = raised(
        "no contents: ClientError", errors.ClientError, lambda: ask([types.Content(role="user", parts=[])])
    )
    that("INVALID_ARGUMENT", getattr(error, "status", "") == "INVALID_ARGUMENT", error)
    error = raised(
        "a wrong role: ClientError",
        errors.ClientError,
        lambda: ask([types.Content(role="wizard", parts=[types.Part(text="x")])]),
    )
    that("message names the place", "contents[0].role" in str(error), error)


@case("image input")
def _() -> None:
    # Bytes whose base64 has the two letters in which the URL-safe alphabet differs.
    picture = next(
        p
        for n in range(256)
        if any(c in __import__("base64").b64encode(p := png(33, 21, (n, 255, 251))) for c in b"+/")
    )
    part = types.Part.from_bytes(data=picture, mime_type="image/png")
    for name, by in {"v1": client, "v1beta": beta}.items():
        that(
            f"{name}: the picture arrives",
            f"image/png {len(picture)} bytes" in ask(["What is it?", part], by=by).text,
        )
    that("streamed", f"image/png {len(picture)} bytes" in text_of(streamed(["What is it?", part])))
    that(
        "two pictures",
        len(prompts()[-1]["uploads"]) == 1
        and ask([part, types.Part.from_bytes(data=png(), mime_type="image/png"), "Both?"]).text.count(
            "image/png"
        )
        >= 2,
    )
    document = types.Part.from_bytes(data=b"the notes", mime_type="text/plain")
    that("a text file", "text/plain 9 bytes" in ask(["Read", document]).text)


@case("thinking")
def _() -> None:
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=8192)
    )
    reply("42", thoughts="Let me think about it.")
    answer = ask("Deep?", config)
    thoughts = [p.text for p in answer.candidates[0].content.parts if p.thought]
    that("thought parts", "".join(thoughts).strip() == "Let me think about it.", answer)
    that("are not in the text", answer.text == "42", answer)
    reply("42", thoughts="Let me think about it.")
    chunks = streamed("Deep?", config)
    thoughts = [p.text for c in chunks for p in c.candidates[0].content.parts or [] if p.thought]
    that(
        "streamed", "".join(thoughts).strip() == "Let me think about it." and text_of(chunks) == "42", chunks
    )
    reply("42", thoughts="Let me think about it.")
    answer = ask(
        "Deep?", types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=False))
    )
    that("not unasked", not any(p.thought for p in answer.candidates[0].content.parts), answer)


@case("tools auto")
def _() -> None:
    for name, by in {"v1": client, "v1beta": beta}.items():
        answer = ask("What is the weather in Paris?", tools(), by=by)
        that(f"{name}: a call", [n for n, _ in calls_of(answer)] == ["get_weather"], answer)
        that(
            f"{name}: arguments keep the schema",
            all(isinstance(a.get("city"), str) for _, a in calls_of(answer)),
            answer,
        )
        that(
            f"{name}: finish reason STOP",
            answer.candidates[0].finish_reason == types.FinishReason.STOP,
            answer,
        )
    that("calls have ids", all(c.id for c in answer.function_calls or []), answer)
    reply("Just words.")
    answer = ask("Hello", tools())
    that("prose is a plain answer", answer.text == "Just words." and not answer.function_calls, answer)
    reply("I shall look.\n" + call_text(("get_weather", {"city": UNICODE})))
    answer = ask("Weather?", tools())
    parts = answer.candidates[0].content.parts
    that("text before a call is kept", parts[0].text and parts[0].text.strip() == "I shall look.", answer)
    that("unicode in arguments", calls_of(answer) == [("get_weather", {"city": UNICODE})], answer)
    reply("Words.")
    that("mode NONE", ask("Weather in Paris?", tools("NONE")).text == "Words.")
    searching = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])
    that("googleSearch alone is ignored", "Hello" in ask("Hello", searching).text)

    def get_weather(city: str) -> str:
        """The weather in a city now"""
        seen.append(city)
        return "sunny, 21 degrees"

    seen: list[str] = []
    reply(call_text(("get_weather", {"city": "Rome"})), "It is sunny.")
    answer = ask("Weather in Rome?", types.GenerateContentConfig(tools=[get_weather]))
    that("automatic calling: the function ran", seen == ["Rome"], answer)
    that("automatic calling: then words", answer.text == "It is sunny.", answer)
    that(
        "automatic calling: two prompts",
        len([p for p in prompts() if "Rome" in p["text"] or p["length"] > 100]) >= 2,
        prompts(),
    )


@case("tools forced")
def _() -> None:
    answer = ask("Hello", tools("ANY"))
    that("ANY: a call", calls_of(answer), answer)
    reply("I would rather talk.", call_text(("get_weather", {"city": "Rome"})))
    that("prose is asked again", calls_of(ask("Hello", tools("ANY"))) == [("get_weather", {"city": "Rome"})])
    reply(call_text(("get_weather", {"town": 3})), call_text(("get_weather", {"city": "Rome"})))
    that(
        "arguments that break the schema are asked again",
        calls_of(ask("Hello", tools("ANY"))) == [("get_weather", {"city": "Rome"})],
    )
    reply("Words.")
    that("VALIDATED allows words", ask("Hello", tools("VALIDATED")).text == "Words.")


@case("tools alone")
def _() -> None:
    # As where decoding is constrained; clients rely on it (instructor's GENAI_TOOLS, for one).
    reply("I shall look.\n" + call_text(("get_weather", {"city": "Rome"})))
    parts = ask("Weather?", tools("ANY")).candidates[0].content.parts
    that("a call that had to be made stands alone", len(parts) == 1 and parts[0].function_call, parts)


@case("tools manners")
def _() -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    for manner in ("prose", "broken", "schema", "name", "fence", "babble"):
        control("POST", "/replies", {"tool_reply": manner})
        answer = ask("What is the weather in Paris?", tools("ANY", ["get_weather"]))
        that(
            f"{manner}: a call that keeps the schema",
            calls_of(answer)
            and all(n == "get_weather" and isinstance(a["city"], str) for n, a in calls_of(answer)),
            answer,
        )
        control("POST", "/replies", {"json_reply": manner} if manner != "name" else {"json_reply": "prose"})
        answer = ask("Paris", config)
        that(f"{manner}: JSON that keeps the schema", isinstance(answer.parsed, City), answer)


@case("tools named")
def _() -> None:
    answer = ask("Hello", tools("ANY", ["get_time"]))
    that("the named one", [n for n, _ in calls_of(answer)] == ["get_time"], answer)
    reply('{"zone": "UTC"}')
    that(
        "bare arguments are the call",
        calls_of(ask("Hello", tools("ANY", ["get_time"]))) == [("get_time", {"zone": "UTC"})],
    )
    error = raised(
        "a name that is not on offer: ClientError",
        errors.ClientError,
        lambda: ask("x", tools("ANY", ["nobody"])),
    )
    that(
        "names the field",
        "allowedFunctionNames" in str(error) or "allowed_function_names" in str(error),
        error,
    )


@case("tools parallel")
def _() -> None:
    reply(
        call_text(
            ("get_weather", {"city": "Rome"}),
            ("get_time", {"zone": "UTC"}),
            ("get_weather", {"city": "Oslo"}),
        )
    )
    answer = ask("All", tools())
    that(
        "three calls in their order",
        calls_of(answer)
        == [
            ("get_weather", {"city": "Rome"}),
            ("get_time", {"zone": "UTC"}),
            ("get_weather", {"city": "Oslo"}),
        ],
        answer,
    )


@case("tools result")
def _() -> None:
    reply(call_text(("get_weather", {"city": "Paris"})))
    first = ask("What is the weather in Paris?", tools())
    history = [
        types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")]),
        first.candidates[0].content,
        types.Content(
            role="user",
            parts=[
                types.Part.from_function_response(
                    name="get_weather", response={"result": "sunny & <b>21</b> degrees"}
                )
            ],
        ),
    ]
    that("then an answer in words", ask(history, tools()).text)
    text = ask([*history, types.Content(role="user", parts=[types.Part(text="And so?")])]).text
    that("the result reaches the model", "sunny & <b>21</b> degrees" in text, text)
    that("and the call", "get_weather" in text and "Paris" in text, text)
    history[-1] = types.Content(
        role="user",
        parts=[
            types.Part(
                function_response=types.FunctionResponse(
                    id=first.function_calls[0].id, name="get_weather", response={"output": {"degrees": 21}}
                )
            )
        ],
    )
    that("with its id and nested", "21" in ask(history).text)


@case("tools stream")
def _() -> None:
    reply(
        "First words. \n" + call_text(("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})),
        frames=20,
    )
    chunks = streamed("Both", tools())
    made = [(c.name, c.args) for chunk in chunks for c in chunk.function_calls or []]
    that(
        "whole calls in order",
        made == [("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})],
        chunks,
    )
    that(
        "text before",
        "".join(p.text or "" for c in chunks for p in c.candidates[0].content.parts or []).strip()
        == "First words.",
        chunks,
    )
    that("finish reason", chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP, chunks[-1])


@case("tools errors")
def _() -> None:
    broken = types.GenerateContentConfig(
        tools=[
            types.Tool(
                function_declarations=[
                    types.FunctionDeclaration(name="f", parameters_json_schema={"type": "objekt"})
                ]
            )
        ]
    )
    error = raised("a broken schema: ClientError", errors.ClientError, lambda: ask("x", broken))
    that(
        "names the place",
        "functionDeclarations[0]" in str(error) or "function_declarations[0]" in str(error),
        error,
    )
    that("nothing went upstream", not prompts(), prompts())


@case("json object")
def _() -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json")
    that("JSON", json.loads(ask("Give me JSON", config).text) is not None)
    reply('Sure!\n```json\n{"a": [1, 2,]}\n```')
    answer = ask("JSON", config)
    that("is taken out of a fence and repaired", json.loads(answer.text) == {"a": [1, 2]}, answer)


@case("json schema")
def _() -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    for name, by in {"v1": client, "v1beta": beta}.items():
        answer = ask("Paris", config, by=by)
        that(f"{name}: an instance", isinstance(answer.parsed, City), answer)
    reply('{"name": "Paris"}', json.dumps(PARIS))
    that("what breaks the schema is asked again", ask("Paris", config).parsed == City(**PARIS))
    reply(json.dumps([PARIS, PARIS]))
    many = types.GenerateContentConfig(response_mime_type="application/json", response_schema=list[City])
    that("a list", ask("Paris", many).parsed == [City(**PARIS)] * 2)
    raw = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=City.model_json_schema()
    )
    reply(json.dumps(PARIS))
    that("response_json_schema", json.loads(ask("Paris", raw).text) == PARIS)
    reply("Italy")
    choice = types.GenerateContentConfig(
        response_mime_type="text/x.enum", response_schema={"type": "STRING", "enum": ["France", "Italy"]}
    )
    that("an enum", ask("Which?", choice).text == "Italy")
    reply(json.dumps(PARIS))
    that("streamed", json.loads(text_of(streamed("Paris", config))) == PARIS)
    reply(*['{"name": 1}'] * 5)
    error = raised(
        "JSON that breaks it to the end: ClientError", errors.ClientError, lambda: ask("Paris", config)
    )
    that("says where", "name" in str(error) or "country" in str(error), error)
    broken = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema={"type": "objekt"}
    )
    error = raised("a broken schema: ClientError", errors.ClientError, lambda: ask("x", broken))
    that("names the field", "esponseJsonSchema" in str(error) or "response_json_schema" in str(error), error)


@case("picture", 90)
def _() -> None:
    answer = ask(
        "a red kite over a harbour",
        types.GenerateContentConfig(response_modalities=["IMAGE"]),
        model=PICTURE_MODEL,
    )
    made = [p.inline_data for p in answer.candidates[0].content.parts if p.inline_data]
    that(
        "inline data",
        made and is_picture(made[0].data) and made[0].mime_type.startswith("image/"),
        str(answer)[:400],
    )
    answer = ask(
        "a red kite",
        types.GenerateContentConfig(image_config=types.ImageConfig(aspect_ratio="16:9")),
        model=PICTURE_MODEL,
    )
    made = [p for p in answer.candidates[0].content.parts if p.inline_data]
    image = made[-1].as_image()
    that("as_image, wide", image and is_picture(image.image_bytes), str(answer)[:400])
    chunks = streamed("generate an image of a kite", model=PICTURE_MODEL)
    that(
        "streamed",
        any(p.inline_data for c in chunks for p in c.candidates[0].content.parts or []),
        str(chunks)[:400],
    )
    # The client's own limitation: since 3.x it refuses generate_images without Vertex, whatever the server can do.
    raised(
        "generate_images is refused by the client itself",
        ValueError,
        lambda: client.models.generate_images(model=PICTURE_MODEL, prompt="x"),
    )
    control("POST", "/replies", {"picture_reply": "refusal"})
    try:
        answer = ask("a red kite", model=PICTURE_MODEL)
        that("a refusal is told", "not able to picture" in (answer.text or ""), str(answer)[:300])
    except errors.ClientError as error:
        that("a refusal is told", "not able to picture" in str(error), error)


@case("picture edit", 90)
def _() -> None:
    answer = ask(
        [types.Part.from_bytes(data=png(), mime_type="image/png"), "add a hat to this image"],
        model=PICTURE_MODEL,
    )
    that("inline data", any(p.inline_data for p in answer.candidates[0].content.parts), str(answer)[:400])
    that("the upload arrived", len(prompts()[-1]["uploads"]) == 1, prompts()[-1])
    chat = client.chats.create(model=PICTURE_MODEL)
    first = chat.send_message("generate an image of a kite")
    second = chat.send_message("make it green")
    that(
        "by turns",
        any(p.inline_data for p in second.candidates[0].content.parts) and first,
        str(second)[:300],
    )
    that("the picture of the last answer goes along", len(prompts()[-1]["uploads"]) == 1, prompts()[-1])


@case("unsupported")
def _() -> None:
    for name, act in {
        "embed_content": lambda: client.models.embed_content(model=MODEL, contents="x"),
        "caches": lambda: client.caches.create(model=MODEL),
        "files": lambda: list(client.files.list()),
        "file search stores": lambda: list(client.file_search_stores.list()),
    }.items():
        error = raised(f"{name}: ClientError", errors.ClientError, act)
        that(
            f"{name}: 404 or 501 with a clear message",
            len(getattr(error, "message", "") or "") > 20 and "html" not in str(error),
            error,
        )


@case("rate limit")
def _() -> None:
    tight = genai.Client(api_key="none-needed", http_options={"base_url": TIGHT_URL})
    model = "gemini-2.5-pro"
    ask("Hi", model=model, by=tight)
    error = raised("ClientError", errors.ClientError, lambda: ask("Hi", model=model, by=tight))
    that(
        "429 RESOURCE_EXHAUSTED",
        getattr(error, "code", 0) == 429 and getattr(error, "status", "") == "RESOURCE_EXHAUSTED",
        error,
    )
    info = [
        d
        for d in (getattr(error, "details", None) or {}).get("error", {}).get("details", [])
        if d.get("@type", "").endswith("RetryInfo")
    ]
    that("RetryInfo", info and info[0]["retryDelay"].rstrip("s").isdigit(), getattr(error, "details", error))
    retrying = genai.Client(
        api_key="none-needed",
        http_options=types.HttpOptions(
            base_url=TIGHT_URL, retry_options=types.HttpRetryOptions(attempts=4, initial_delay=1.0)
        ),
    )
    that("with retry options it succeeds", ask("Hi", model=model, by=retrying).text)


@case("upstream fault")
def _() -> None:
    for kind in ("truncate", "drop_mid"):
        reset()
        defaults(words=300, frames=12)
        fault(kind, frames=3)
        got: list[str] = []

        def read(got: list[str] = got) -> Any:
            stream = client.models.generate_content_stream(model=MODEL, contents="Hello")
            got.extend(chunk.text or "" for chunk in stream)
            return "".join(got)

        error = raised(f"{kind}: an exception while streaming", (errors.APIError, httpx2.HTTPError), read)
        that(f"{kind}: after content", "".join(got), error)
        that(f"{kind}: says so", len(str(error)) > 20, error)
    reset()
    fault("error_1013", times=1)
    that("a fault before content is not noticed", "Hello" in ask("Hello").text)
    fault("error_1013", times=1)
    that("nor streamed", "Hello" in text_of(streamed("Hello")))


@case("cancel")
def _() -> None:
    defaults(words=400, frames=40, frame_delay=0.2)

    async def act() -> None:
        stream = await client.aio.models.generate_content_stream(model=MODEL, contents="Hello")

        async def read() -> None:
            async for _chunk in stream:
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(act())
    that(
        "the upstream is left at once",
        until(lambda: [p["outcome"] for p in prompts()] == ["aborted"], 5),
        prompts(),
    )
    defaults(words=10, frames=3, frame_delay=0.0)
    that("the next request is served", ask("Hi", model=OTHER_MODEL).text)
