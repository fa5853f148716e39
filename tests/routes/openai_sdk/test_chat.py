"""Chat completions through the real openai SDK."""

import base64

import openai
import pytest

from core.chat import Blob, Delta, Finish, Picture, Usage
from core.errors import NoAccount, PoolBusy, PromptRefused
from tests.fakes.edge import Edge, edge
from tests.fakes.service import Fail, Pause
from tests.support.files import PNG

END = Finish(Usage(3, 4, 5), "gemini-flash")
HELLO = [{"role": "user", "content": "hi"}]
MODEL = "gemini-2.5-pro"


def test_chat_whole(client: openai.OpenAI) -> None:
    """Text, usage, finish reason and request id arrive."""
    answer = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content == "You said: hi"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    assert answer._request_id


def test_chat_streamed(client: openai.OpenAI) -> None:
    """The pieces add up, and usage comes last where it is asked for."""
    stream = client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "You said: hi"
    )
    assert chunks[-1].usage is not None


def test_the_streaming_helper(client: openai.OpenAI, gate: Edge) -> None:
    """`chat.completions.stream` checks the order of chunks itself."""
    gate.chat.say(Delta(thoughts="hm"), Delta("a"), Delta("b"), END)
    with client.chat.completions.stream(model=MODEL, messages=HELLO) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "ab"
    assert final.choices[0].message.model_extra is not None
    assert final.choices[0].message.model_extra["reasoning_content"] == "hm"


def test_several_choices(client: openai.OpenAI) -> None:
    """The SDK reads `n` choices by their index."""
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


def test_pictures_both_ways(client: openai.OpenAI, gate: Edge) -> None:
    """In as a data URL, out in `images`."""
    gate.chat.say(Picture(PNG, "image/png"), END)
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    content = [{"type": "text", "text": "same"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    assert gate.chat.asks[0].messages[0].parts[1] == Blob(PNG, "image/png")
    assert answer.choices[0].message.model_extra is not None
    assert answer.choices[0].message.model_extra["images"][0]["image_url"]["url"] == url


def test_models(client: openai.OpenAI) -> None:
    """List and retrieve, also a name with a slash and a colon."""
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL
    assert client.models.retrieve("vendor/odd:name").id == "vendor/odd:name"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_errors_have_their_class_and_fields(client: openai.OpenAI, gate: Edge) -> None:
    """400, 401, 404, 413, 429, 5xx by the SDK's own classes, with message, param and code."""
    create = client.chat.completions.create
    with pytest.raises(openai.BadRequestError) as bad:
        create(model=MODEL, messages=[])
    assert bad.value.param == "messages"
    with pytest.raises(openai.AuthenticationError) as wrong:
        client.with_options(api_key="sk-bad").models.list()
    assert wrong.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        create(model="gpt-9", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    gate.chat.say(Fail(PoolBusy("All busy.", retry_after=7)))
    with pytest.raises(openai.RateLimitError) as busy:
        create(model=MODEL, messages=HELLO, stream=True)
    assert (busy.value.code, busy.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert busy.value.response.headers["retry-after"] == "7"
    gate.chat.say(Fail(NoAccount("None.")))
    with pytest.raises(openai.InternalServerError, match="None"):
        create(model=MODEL, messages=HELLO)


def test_it_waits_as_told_and_does_not_repeat_what_cannot_help(client: openai.OpenAI, gate: Edge) -> None:
    """Retry-After is obeyed; `x-should-retry: false` stops a repeat."""
    gate.chat.say(Fail(PromptRefused("I will not.")))
    patient = client.with_options(max_retries=2)
    with pytest.raises(openai.BadRequestError):
        patient.chat.completions.create(model=MODEL, messages=HELLO)
    assert len(gate.chat.asks) == 1
    answers = iter([[Fail(PoolBusy("Busy.", retry_after=0.5))], [Delta("now"), END]])
    gate.chat.script = lambda ask: list(next(answers))
    assert patient.chat.completions.create(model=MODEL, messages=HELLO).choices[0].message.content == "now"


def test_a_stream_that_breaks_raises(client: openai.OpenAI, gate: Edge) -> None:
    """A cut answer is never taken as whole."""
    gate.chat.say(Delta("a"), Fail(NoAccount("Gone.")))
    with pytest.raises(openai.APIError, match="Gone"):
        list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))


def test_signs_of_life_are_not_seen(gate: Edge, client: openai.OpenAI) -> None:
    """Comments before and between contents change nothing."""
    from tests.routes.conftest import QUICK

    with edge(settings=QUICK) as slow:
        slow.chat.say(Pause(0.4), Delta("a"), Pause(0.3), Delta("b"), END)
        with openai.OpenAI(base_url=f"{slow.url}/v1", api_key="none") as patient:
            chunks = list(patient.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["a", "b", None]


async def test_the_asynchronous_client(gate: Edge) -> None:
    """Both ways; leaving a stream frees the engine."""
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-good", max_retries=0) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
        assert answer.choices[0].message.content == "You said: hi"
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "You said: hi"
