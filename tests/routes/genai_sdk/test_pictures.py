"""Pictures through the real google-genai SDK."""

import pytest
from google import genai
from google.genai import errors, types

from core.chat import Blob, Delta, Finish, Picture, PictureWish, Text, Usage
from core.errors import PromptRefused
from tests.fakes.edge import Edge
from tests.fakes.service import Fail, Pause
from tests.routes.genai_sdk.conftest import Connect
from tests.support.files import PNG

LARGE = PNG + bytes(range(256)) * 8192
END = Finish(Usage(3, 4), "gemini-pro")
MODEL = "gemini-3-pro-image-preview"


@pytest.fixture(autouse=True)
def drawn(gate: Edge) -> None:
    """Every ask is answered with a picture, unless the test has another answer."""
    gate.chat.say(Delta("Here it is."), Picture(LARGE, "image/png", width=2816, height=1536), END)


def pictures_of(parts: list[types.Part] | None) -> list[bytes | None]:
    return [part.inline_data.data for part in parts or [] if part.inline_data is not None]


def test_a_picture_is_generated(client: genai.Client, gate: Edge) -> None:
    """Modalities, ratio and size arrive; the picture comes back under its type."""
    answer = client.models.generate_content(
        model=MODEL,
        contents="a cat",
        config=types.GenerateContentConfig(
            response_modalities=["TEXT", "IMAGE"],
            image_config=types.ImageConfig(aspect_ratio="16:9", image_size="4K"),
        ),
    )
    assert answer.text == "Here it is."
    assert pictures_of(answer.parts) == [LARGE]
    assert answer.parts is not None
    assert answer.parts[1].inline_data is not None
    assert answer.parts[1].inline_data.mime_type == "image/png"
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.sdk_http_response is not None
    assert answer.sdk_http_response.headers is not None
    assert answer.sdk_http_response.headers["x-gempool-picture-sizes"] == "2816x1536"
    assert gate.chat.asks[0].picture == PictureWish("16:9", 4096)


def test_a_picture_is_changed(client: genai.Client, gate: Edge) -> None:
    """Input pictures go as parts beside the prompt; a header of the client keeps the logo."""
    client.models.generate_content(
        model=MODEL,
        contents=[types.Part.from_bytes(data=PNG, mime_type="image/png"), "add a hat"],
        config=types.GenerateContentConfig(
            http_options=types.HttpOptions(headers={"x-gempool-watermark": "keep"})
        ),
    )
    [ask] = gate.chat.asks
    assert ask.messages[0].parts == (Blob(PNG, "image/png"), Text("add a hat"))
    assert ask.picture == PictureWish(pixels=2048, keep_watermark=True)


def test_a_picture_is_streamed(client: genai.Client, gate: Edge) -> None:
    """After a while of silence; the reason to finish comes last."""
    gate.chat.say(Pause(0.3), Delta("Here"), Picture(LARGE, "image/png"), Picture(PNG, "image/png"), END)
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="a cat"))
    assert [data for chunk in chunks for data in pictures_of(chunk.parts)] == [LARGE, PNG]
    assert "".join(chunk.text or "" for chunk in chunks) == "Here"
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata is not None


def test_several_candidates(client: genai.Client, gate: Edge) -> None:
    """Each with its own picture."""
    answer = client.models.generate_content(
        model=MODEL, contents="a cat", config=types.GenerateContentConfig(candidate_count=3)
    )
    assert answer.candidates is not None
    found = [candidate.content.parts for candidate in answer.candidates if candidate.content is not None]
    assert [pictures_of(parts) for parts in found] == [[LARGE]] * 3
    assert len(gate.chat.asks) == 3


def test_a_chat_goes_on_with_the_picture_that_it_was_shown(client: genai.Client, gate: Edge) -> None:
    """The SDK sends the picture back as the model's part of the history."""
    chat = client.chats.create(model=MODEL)
    assert pictures_of(chat.send_message("a cat").parts) == [LARGE]
    streamed = [data for chunk in chat.send_message_stream("add a hat") for data in pictures_of(chunk.parts)]
    assert streamed == [LARGE]
    chat.send_message(["and this one?", types.Part.from_bytes(data=PNG, mime_type="image/png")])
    first, made, second, *streamed_parts, third = gate.chat.asks[-1].messages
    assert (first.role, made.role, second.role, third.role) == ("user", "assistant", "user", "user")
    assert made.parts == (Text("Here it is."), Blob(LARGE, "image/png"))
    assert Blob(LARGE, "image/png") in [part for message in streamed_parts for part in message.parts]
    assert third.parts == (Text("and this one?"), Blob(PNG, "image/png"))


def test_a_refusal_is_the_sdks_client_error(client: genai.Client, gate: Edge) -> None:
    """With the model's own words, whole and streamed after a while."""
    gate.chat.say(Pause(0.2), Fail(PromptRefused("I cannot draw that.")))
    with pytest.raises(errors.ClientError, match=r"I cannot draw that\.") as caught:
        client.models.generate_content(model=MODEL, contents="x")
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    with pytest.raises(errors.ClientError, match=r"I cannot draw that\."):
        list(client.models.generate_content_stream(model=MODEL, contents="x"))


def test_models_say_what_they_can_do(client: genai.Client) -> None:
    """The SDK's list shows which models make pictures."""
    found = {model.name: model.supported_actions for model in client.models.list()}
    assert "editImage" in (found[f"models/{MODEL}"] or [])
    assert client.models.get(model=MODEL).name == f"models/{MODEL}"


async def test_the_asynchronous_half(connect: Connect) -> None:
    """Whole and streamed."""
    with connect() as both:
        async with both.aio as client:
            answer = await client.models.generate_content(model=MODEL, contents="a cat")
            assert pictures_of(answer.parts) == [LARGE]
            stream = await client.models.generate_content_stream(model=MODEL, contents="a cat")
            assert [data async for chunk in stream for data in pictures_of(chunk.parts)] == [LARGE]
