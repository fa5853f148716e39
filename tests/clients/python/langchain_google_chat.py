"""langchain-google-genai: ChatGoogleGenerativeAI, which calls v1beta."""

import asyncio
from importlib.metadata import version
from typing import Any

from checks import (
    KEY,
    MODEL,
    PICTURE_MODEL,
    TIGHT_URL,
    URL,
    Checks,
    defaults,
    fault,
    prompts,
    reply,
    reset,
    until,
)
from langchain_cases import LOOP, get_time, get_weather, shared_cases
from langchain_google_genai import ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings
from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError

checks = Checks("langchain-google")
that, case, raised = checks.that, checks.case, checks.raised
checks.version(**{name: version(name) for name in ("langchain-google-genai", "langchain-core")})


def made(**options: Any) -> ChatGoogleGenerativeAI:
    return ChatGoogleGenerativeAI(
        **{"model": MODEL, "base_url": URL, "api_key": KEY, "max_retries": 1, **options}
    )


chat = made()
shared_cases(checks, chat)


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


@case("tools forced")
def _() -> None:
    answer = chat.bind_tools([get_weather, get_time], tool_choice="any").invoke("Hello")
    that("a call", answer.tool_calls, answer)


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
