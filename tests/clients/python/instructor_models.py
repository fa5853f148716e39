"""instructor: models out of answers, in its modes JSON, TOOLS and JSON_SCHEMA, through openai."""

import asyncio
import json
from importlib.metadata import version
from typing import Literal

import instructor
import openai
import pydantic
from checks import KEY, MODEL, UNICODE, URL, Checks, call_text, data_url, prompts, reply
from google import genai
from instructor.core.exceptions import InstructorRetryException

checks = Checks("instructor")
that, case, raised = checks.that, checks.case, checks.raised
checks.version(instructor=version("instructor"), **{"openai (instructor, langchain)": openai.__version__})


class River(pydantic.BaseModel):
    name: str
    kilometres: int


class City(pydantic.BaseModel):
    """A city."""

    name: str
    country: Literal["France", "Italy"]
    people: int = pydantic.Field(ge=1, description="millions")
    rivers: list[River] = []
    mayor: str | None = None


PARIS = {"name": "Paris", "country": "France", "people": 2, "rivers": [{"name": "Seine", "kilometres": 777}]}
ROME = {"name": "Rome", "country": "Italy", "people": 3, "rivers": [], "mayor": UNICODE}
ASK: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me of the city"}]
CREATE = {"model": MODEL, "messages": ASK, "response_model": City}


def held(made: pydantic.BaseModel) -> dict[str, object]:
    """instructor makes a subclass, which equals no City."""
    return made.model_dump(exclude_unset=True)


def run(mode: instructor.Mode) -> None:
    name = mode.name.lower()
    tools = mode is instructor.Mode.TOOLS
    client = instructor.from_openai(
        openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0), mode=mode
    )

    def said(value: object, name: str = "City") -> str:
        return call_text((name, value)) if tools else json.dumps(value)

    @case(f"{name} model")
    def _() -> None:
        reply(said(PARIS))
        that("an instance", held(client.create(**CREATE, max_retries=0)) == PARIS)
        reply(said(ROME))
        that("unicode and optional fields", held(client.create(**CREATE, max_retries=0)) == ROME)
        if mode is instructor.Mode.JSON:
            reply(said(PARIS))
        made, completion = client.create_with_completion(**CREATE, max_retries=1)
        that("with its completion and usage", completion.usage.total_tokens > 0, completion)
        # In JSON mode the schema is in instructor's own words, which the simulator's model does not read.
        that("unscripted: an instance", isinstance(made, City), made)

    @case(f"{name} again")
    def _() -> None:
        reply(said({**PARIS, "country": "Spain"}), said(PARIS))
        that("what breaks the schema is asked again", held(client.create(**CREATE, max_retries=2)) == PARIS)
        that("in two prompts", len(prompts()) == 2, prompts())

    @case(f"{name} list")
    def _() -> None:
        many = {"tasks": [PARIS, ROME]}
        reply(said(many, name="IterableCity"))
        found = list(client.create_iterable(model=MODEL, messages=ASK, response_model=City, max_retries=0))
        that("create_iterable", [held(city) for city in found] == [PARIS, ROME], found)

    @case(f"{name} partial")
    def _() -> None:
        reply(said(PARIS, name="PartialCity" if tools else "City"), frames=12)
        grown = list(client.create_partial(model=MODEL, messages=ASK, response_model=City, max_retries=0))
        that(
            "create_partial ends with the whole",
            grown and grown[-1].model_dump(exclude_none=True) == {**PARIS},
            grown[-1:],
        )

    @case(f"{name} error")
    def _() -> None:
        raised(
            "unknown model",
            (openai.NotFoundError, InstructorRetryException),
            lambda: client.create(**{**CREATE, "model": "gpt-17"}, max_retries=0),
        )
        other = instructor.from_openai(
            openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong", max_retries=0), mode=mode
        )
        raised(
            "wrong key",
            (openai.AuthenticationError, InstructorRetryException),
            lambda: other.create(**CREATE, max_retries=0),
        )

    @case(f"{name} image")
    def _() -> None:
        picture = instructor.Image.from_base64(data_url())
        reply(said(PARIS))
        found = client.create(
            model=MODEL,
            response_model=City,
            max_retries=0,
            messages=[{"role": "user", "content": ["Which city?", picture]}],
        )
        that(
            "a picture in the question",
            held(found) == PARIS and len(prompts()[-1]["uploads"]) == 1,
            prompts(),
        )

    @case(f"{name} async")
    def _() -> None:
        async def act() -> City:
            many = instructor.from_openai(
                openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0), mode=mode
            )
            return await many.create(**CREATE, max_retries=0)

        reply(said(PARIS))
        that("an instance", held(asyncio.run(act())) == PARIS)

    if tools:
        return

    @case(f"{name} text")
    def _() -> None:
        plain = client.create(model=MODEL, messages=ASK, response_model=None)
        that(
            "no response model: the completion",
            "Tell me of the city" in plain.choices[0].message.content,
            plain,
        )


for mode in (instructor.Mode.JSON, instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
    run(mode)

checks_google = Checks("instructor google")
google = genai.Client(api_key=KEY, http_options={"base_url": URL})


def run_google(mode: instructor.Mode) -> None:
    client = instructor.from_genai(google, mode=mode)

    @checks_google.case(mode.name.lower())
    def _() -> None:
        reply(call_text(("City", PARIS)) if mode is instructor.Mode.GENAI_TOOLS else json.dumps(PARIS))
        found = client.create(**CREATE, max_retries=0)
        checks_google.that("an instance", held(found) == PARIS, found)
        found = client.create(**CREATE, max_retries=0)
        checks_google.that("unscripted: an instance", isinstance(found, City), found)


run_google(instructor.Mode.GENAI_TOOLS)
run_google(instructor.Mode.GENAI_STRUCTURED_OUTPUTS)

checks_more = Checks("instructor more")
responses = instructor.from_openai(
    openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0), mode=instructor.Mode.RESPONSES_TOOLS
)


@checks_more.case("responses_tools")
def _() -> None:
    # This mode's schema is strict: every field is required.
    strict = {**PARIS, "mayor": None}
    reply(call_text(("City", strict)))
    found = responses.create(**CREATE, max_retries=0)
    checks_more.that("an instance", held(found) == strict, found)
    checks_more.that("unscripted: an instance", isinstance(responses.create(**CREATE, max_retries=0), City))
