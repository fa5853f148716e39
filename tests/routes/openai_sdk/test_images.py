"""Pictures through the real openai SDK."""

import base64
import io
from pathlib import Path

import openai
import pytest

from core.chat import Blob, PictureWish
from core.errors import PromptRefused
from tests.fakes.edge import Edge
from tests.fakes.service import Fail
from tests.support.files import PNG

MODEL = "gemini-3-pro-image-preview"


def test_generate(client: openai.OpenAI, gate: Edge) -> None:
    """The SDK's own fields, and ours in `model_extra`."""
    answer = client.images.generate(model=MODEL, prompt="a fox", n=3, size="1536x1024", quality="high")
    assert answer.data is not None
    assert [base64.b64decode(item.b64_json or "") for item in answer.data] == [PNG] * 3
    assert answer.data[0].model_extra is not None
    assert answer.data[0].model_extra["resolution"] == "2K"
    assert (answer.size, answer.output_format) == ("2048x2048", "png")
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.text_tokens > 0
    assert answer._request_id
    assert gate.chat.asks[0].picture == PictureWish("3:2", 2048)


def test_generate_with_links_and_our_own_fields(client: openai.OpenAI, gate: Edge) -> None:
    """`extra_body` and `extra_query` reach us."""
    answer = client.images.generate(
        prompt="a fox",
        response_format="url",
        output_format="jpeg",
        extra_body={"upscale": True, "aspect_ratio": "16:9"},
        extra_query={"watermark": "keep"},
    )
    assert answer.data is not None
    assert (answer.data[0].url or "").startswith(f"{gate.url}/files/")
    expected = PictureWish("16:9", 2048, "image/jpeg", upscale=True, keep_watermark=True, link=True)
    assert gate.chat.asks[0].picture == expected


def test_generate_streamed(client: openai.OpenAI) -> None:
    """Every event is one of the SDK's own classes."""
    events = list(client.images.generate(model=MODEL, prompt="a fox", n=2, stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    for event in events:
        assert event.type == "image_generation.completed"
        assert base64.b64decode(event.b64_json) == PNG
        assert event.size == "2048x2048"
        assert event.usage.total_tokens > 0


def test_edit_of_one_and_of_several(client: openai.OpenAI, gate: Edge, tmp_path: Path) -> None:
    """Bytes, named bytes, open files and paths, with a mask."""
    path = tmp_path / "köter.png"
    path.write_bytes(PNG)
    client.images.edit(model=MODEL, prompt="blue", image=PNG)
    with path.open("rb") as file:
        client.images.edit(model=MODEL, prompt="blue", image=file, mask=("m.png", PNG, "image/png"), n=2)
    client.images.edit(prompt="blue", image=[path, ("b.png", io.BytesIO(PNG))], size="1024x1024")
    blobs = [[part for part in asked.messages[0].parts if isinstance(part, Blob)] for asked in gate.chat.asks]
    assert [[blob.data for blob in given] for given in blobs] == [[PNG], [PNG] * 2, [PNG] * 2, [PNG] * 2]
    assert [blob.name for blob in blobs[1]] == ["köter.png", "m.png"]
    assert [blob.name for blob in blobs[3]] == ["köter.png", "b.png"]
    assert gate.chat.asks[3].picture == PictureWish("1:1", 1024)


def test_edit_streamed(client: openai.OpenAI) -> None:
    """The event has the edit's own name."""
    events = list(client.images.edit(model=MODEL, prompt="blue", image=PNG, stream=True))
    assert [event.type for event in events] == ["image_edit.completed"]


def test_a_refusal(client: openai.OpenAI, gate: Edge) -> None:
    """BadRequestError with the model's words, also of a stream."""
    gate.chat.say(Fail(PromptRefused("I can't draw that.")))
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="can't draw"):
            client.images.generate(prompt="a", stream=stream)
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.generate(prompt="a", n=99)
    assert bad.value.param == "n"


async def test_the_asynchronous_client(gate: Edge) -> None:
    """Generations, edits and streams."""
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-good", max_retries=0) as client:
        made = await client.images.generate(prompt="a fox", n=2)
        assert made.data is not None
        assert len(made.data) == 2
        changed = await client.images.edit(prompt="blue", image=[("a.png", PNG), ("b.png", PNG)], n=2)
        assert changed.data is not None
        assert base64.b64decode(changed.data[1].b64_json or "") == PNG
        stream = await client.images.generate(prompt="a fox", stream=True)
        assert [event.type async for event in stream] == ["image_generation.completed"]
