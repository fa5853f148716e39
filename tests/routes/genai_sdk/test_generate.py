"""The real google-genai SDK against the running edge, with both of the API versions that it may call."""

import pytest
from google import genai
from google.genai import errors, types

from core.chat import Blob, Delta, Finish, Picture, ToolCall, Usage
from core.errors import NoAccount, PoolBusy
from tests.fakes.edge import Edge
from tests.fakes.service import Fail, Pause
from tests.routes.genai_sdk.conftest import Connect
from tests.support.files import PNG

END = Finish(Usage(3, 4, 5), "gemini-flash")
MODEL = "gemini-2.5-pro"


def test_generate_whole(client: genai.Client) -> None:
    """Text, finish reason and usage arrive."""
    answer = client.models.generate_content(model=MODEL, contents="hi")
    assert answer.text == "You said: hi"
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.total_token_count
    assert answer.model_version == MODEL


def test_generate_streamed(client: genai.Client, gate: Edge) -> None:
    """The pieces add up, through signs of life before and between them."""
    gate.chat.say(Pause(0.25), Delta("a"), Pause(0.25), Delta("b"), END)
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="hi"))
    assert "".join(chunk.text or "" for chunk in chunks) == "ab"
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.total_token_count == 12


def test_models_and_counts(client: genai.Client) -> None:
    """List, get and count."""
    names = [model.name for model in client.models.list()]
    assert f"models/{MODEL}" in names
    found = client.models.get(model=MODEL)
    assert found.supported_actions is not None
    assert "generateContent" in found.supported_actions
    assert found.input_token_limit
    assert client.models.count_tokens(model=MODEL, contents="hello there").total_tokens == 3


def test_errors_have_their_class_and_fields(client: genai.Client, gate: Edge) -> None:
    """ClientError and ServerError with code, status and message."""
    with pytest.raises(errors.ClientError) as unknown:
        client.models.generate_content(model="gpt-9", contents="hi")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    assert MODEL in str(unknown.value.message)
    gate.chat.say(Fail(PoolBusy("All busy.", retry_after=2)))
    with pytest.raises(errors.ClientError) as busy:
        list(client.models.generate_content_stream(model=MODEL, contents="hi"))
    assert (busy.value.code, busy.value.status) == (429, "RESOURCE_EXHAUSTED")
    gate.chat.say(Fail(NoAccount("Nobody.")))
    with pytest.raises(errors.ServerError) as nobody:
        client.models.generate_content(model=MODEL, contents="hi")
    assert (nobody.value.code, nobody.value.status) == (503, "UNAVAILABLE")


def test_a_stream_that_breaks_raises(client: genai.Client, gate: Edge) -> None:
    """A cut answer is never taken as whole."""
    gate.chat.say(Delta("a"), Fail(NoAccount("Gone.")))
    with pytest.raises(errors.ServerError) as gone:
        list(client.models.generate_content_stream(model=MODEL, contents="hi"))
    assert gone.value.code == 503


def test_a_wrong_key_is_a_client_error(connect: Connect) -> None:
    """The SDK raises ClientError with Google's own status."""
    with connect(key="bad") as client, pytest.raises(errors.ClientError) as wrong:
        client.models.generate_content(model=MODEL, contents="hi")
    assert (wrong.value.code, wrong.value.status) == (401, "UNAUTHENTICATED")


def test_pictures_both_ways(client: genai.Client, gate: Edge) -> None:
    """In as inline data (URL-safe base64 and mixed spelling on the wire), out as inline data."""
    gate.chat.say(Picture(PNG, "image/png"), END)
    part = types.Part.from_bytes(data=PNG, mime_type="image/png")
    answer = client.models.generate_content(model=MODEL, contents=["look", part])
    assert Blob(PNG, "image/png") in gate.chat.asks[0].messages[0].parts
    assert answer.candidates is not None
    content = answer.candidates[0].content
    assert content is not None
    assert content.parts is not None
    assert content.parts[0].inline_data is not None
    assert content.parts[0].inline_data.data == PNG


def test_thoughts_and_system_instruction(client: genai.Client, gate: Edge) -> None:
    """Thoughts are marked parts; the system instruction is the first message."""
    gate.chat.say(Delta(thoughts="hm"), Delta("yes"), END)
    config = types.GenerateContentConfig(
        system_instruction="be kind",
        temperature=0.5,
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024),
    )
    answer = client.models.generate_content(model=MODEL, contents="hi", config=config)
    assert answer.text == "yes"
    assert answer.candidates is not None
    content = answer.candidates[0].content
    assert content is not None
    assert content.parts is not None
    assert (content.parts[0].text, content.parts[0].thought) == ("hm", True)
    [asked] = gate.chat.asks
    assert (asked.messages[0].role, asked.messages[0].text, asked.thinking) == ("system", "be kind", True)


def test_calls_in_the_history_are_kept(client: genai.Client, gate: Edge) -> None:
    """A function call and its result travel as the SDK writes them."""
    contents = [
        types.Content(role="user", parts=[types.Part.from_text(text="time?")]),
        types.Content(
            role="model", parts=[types.Part.from_function_call(name="now", args={"time_zone": "UTC"})]
        ),
        types.Content(
            role="user", parts=[types.Part.from_function_response(name="now", response={"is_noon": True})]
        ),
    ]
    client.models.generate_content(model=MODEL, contents=contents)
    _, call, result = gate.chat.asks[0].messages
    assert call.tool_calls == (ToolCall("", "now", '{"time_zone":"UTC"}'),)
    assert (result.role, result.text) == ("tool", '{"is_noon":true}')


async def test_the_asynchronous_client(connect: Connect) -> None:
    """The SDK's asynchronous half works the same."""
    with connect() as both:
        async with both.aio as client:
            answer = await client.models.generate_content(model=MODEL, contents="hi")
            assert answer.text == "You said: hi"
            stream = await client.models.generate_content_stream(model=MODEL, contents="hi")
            assert "".join([chunk.text or "" async for chunk in stream]) == "You said: hi"


def test_a_chat_keeps_its_history(client: genai.Client, gate: Edge) -> None:
    """The SDK's own chat object sends what it was answered."""
    chat = client.chats.create(model=MODEL)
    chat.send_message("one")
    chat.send_message("two")
    assert [message.text for message in gate.chat.asks[1].messages] == ["one", "You said: one", "two"]
