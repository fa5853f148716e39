"""langchain-openai: ChatOpenAI on chat completions and on responses."""

import asyncio
import json
import time
from importlib.metadata import version
from typing import Any

import openai
from checks import (
    KEY,
    MODEL,
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
from langchain_cases import LOOP, PARIS, City, get_time, get_weather, shared_cases
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def run(name: str, *, responses: bool) -> None:
    checks = Checks(name)
    that, case, raised = checks.that, checks.case, checks.raised
    checks.version(**{"langchain-openai": version("langchain-openai")})

    def made(**options: Any) -> ChatOpenAI:
        given: dict[str, Any] = {
            "model": MODEL,
            "base_url": f"{URL}/v1",
            "api_key": KEY,
            "max_retries": 0,
            "stream_usage": True,
            "use_responses_api": responses,
        }
        return ChatOpenAI(**{**given, **options})

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
        if not responses:
            that(
                "finish_reason", answer.response_metadata["finish_reason"] == "stop", answer.response_metadata
            )
        that("model", answer.response_metadata["model_name"] == MODEL, answer.response_metadata)
        many = chat.batch(["Number 1", "Number 2", "Number 3"])
        that("batch", all(f"Number {n + 1}" in a.text for n, a in enumerate(many)), many)
        that("ainvoke", "You said: Hi" in LOOP.run_until_complete(made().ainvoke("Hi")).text)

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

        async def act() -> str:
            return "".join([c.text async for c in made().astream("Hi")])

        that("astream", "You said: Hi" in LOOP.run_until_complete(act()))

    if responses:

        @case("turns by id")
        def _() -> None:
            chained = made(use_previous_response_id=True)
            first = chained.invoke("My name is Ada")
            text = chained.invoke(
                [HumanMessage("My name is Ada"), first, HumanMessage("What is my name?")]
            ).text
            that("use_previous_response_id", "My name is Ada" in text or "Turn 2" in text, text)

    @case("unknown model")
    def _() -> None:
        error = raised("NotFoundError", openai.NotFoundError, lambda: made(model="gpt-17").invoke("Hi"))
        that("names it and the known ones", "gpt-17" in str(error) and MODEL in str(error), error)
        raised("streamed", openai.NotFoundError, lambda: list(made(model="gpt-17").stream("Hi")))

    @case("wrong key")
    def _() -> None:
        error = raised(
            "AuthenticationError", openai.AuthenticationError, lambda: made(api_key="wrong-key").invoke("Hi")
        )
        that("the key is not repeated", "wrong-key" not in str(error), error)

    @case("thinking")
    def _() -> None:
        reply("42", thoughts="Let me think.")
        options: Any = (
            {"reasoning": {"effort": "high", "summary": "auto"}}
            if responses
            else {"reasoning_effort": "high"}
        )
        answer = made(**options).invoke("Deep?")
        # On chat completions langchain-openai knows no reasoning_content; it leaves the thoughts out.
        that("the text alone", answer.text == "42", answer)
        that("extended thinking was asked for", prompts()[-1]["thinking"], prompts()[-1])
        if responses:
            that("a reasoning block", any(b["type"] == "reasoning" for b in answer.content_blocks), answer)

    @case("tools forced")
    def _() -> None:
        for choice in ("any", "required"):
            answer = chat.bind_tools([get_weather, get_time], tool_choice=choice).invoke("Hello")
            that(f"{choice}: a call", answer.tool_calls, answer)

    @case("json object")
    def _() -> None:
        reply('{"a": 1}')
        method = (
            chat.with_structured_output(None, method="json_mode")
            if not responses
            else chat.bind(response_format={"type": "json_object"})
        )
        found = method.invoke("JSON please")
        that("json_mode", (found if isinstance(found, dict) else json.loads(found.text)) == {"a": 1}, found)

    @case("json schema streamed")
    def _() -> None:
        reply(json.dumps(PARIS))
        found = list(chat.with_structured_output(City, method="json_schema").stream("Paris"))
        that("streamed", found and found[-1] == City(**PARIS), found)

    @case("unsupported")
    def _() -> None:
        embeddings = OpenAIEmbeddings(
            model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_retries=0, check_embedding_ctx_length=False
        )
        raised("embeddings: NotFoundError", openai.NotFoundError, lambda: embeddings.embed_query("x"))

    @case("rate limit")
    def _() -> None:
        model = "gemini-3.0-pro" if responses else "gemini-2.5-pro"
        tight = made(base_url=f"{TIGHT_URL}/v1", api_key="none", model=model)
        tight.invoke("Hi")
        raised("RateLimitError", openai.RateLimitError, lambda: tight.invoke("Hi"))
        begun = time.monotonic()
        answer = made(base_url=f"{TIGHT_URL}/v1", api_key="none", model=model, max_retries=3).invoke("Hi")
        that(
            "with retries it waits and succeeds",
            answer.text and time.monotonic() - begun < 6,
            time.monotonic() - begun,
        )

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

            raised(f"{kind}: an exception while streaming", openai.APIError, read)
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
        that(
            "the upstream is left at once", until(lambda: prompts()[-1]["outcome"] == "aborted", 5), prompts()
        )


run("langchain-openai", responses=False)
run("langchain-openai responses", responses=True)
