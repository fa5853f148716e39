"""POST /v1/generate-images, POST /v1/images/edit, and pictures in POST /v1/generate."""

import base64
from typing import Any

import httpx
import pytest

from core.chat import Blob, Delta, Finish, Picture, PictureWish, Text, Usage
from core.errors import PromptRefused
from tests.fakes.edge import Edge
from tests.fakes.service import Fail
from tests.support.files import PNG

GENERATE = "/v1/generate-images"
EDIT = "/v1/images/edit"
B64 = base64.b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{B64}"
END = Finish(Usage(1, 1), "gemini-pro")


def post(gate: Edge, path: str, **body: Any) -> httpx.Response:
    return gate.http.post(path, json={"prompt": "a fox", **body})


def test_a_prompt_becomes_pictures(gate: Edge) -> None:
    """Data URLs by default, as many as were asked for, with what they measure."""
    assert post(gate, GENERATE, count=3).json() == {
        "images": [DATA_URL] * 3,
        "model": "gemini-3-pro-image-preview",
        "sizes": ["2048x2048"] * 3,
    }
    assert gate.chat.asks[0].picture == PictureWish(pixels=2048)
    assert len(gate.chat.asks) == 3


def test_the_number_may_be_called_n(gate: Edge) -> None:
    """As OpenAI calls it; `count` goes first, and the error names what was written."""
    assert len(post(gate, GENERATE, n=2).json()["images"]) == 2
    assert len(post(gate, GENERATE, n=2, count=1).json()["images"]) == 1
    assert post(gate, GENERATE, n=11).json()["error"]["param"] == "n"


def test_links_are_absolute_and_a_picture_without_one_is_not_lost(gate: Edge) -> None:
    """`response_type` url; where nothing was stored it is the data URL."""
    [url] = post(gate, GENERATE, response_type="url").json()["images"]
    assert url == f"http://127.0.0.1:{gate.port}/files/20261121T000000Z_a_00.png"
    gate.chat.say(Picture(PNG, "image/png", width=5, height=4), END)
    found = post(gate, GENERATE, response_type="url").json()
    assert (found["images"], found["sizes"]) == ([DATA_URL], ["5x4"])


@pytest.mark.parametrize("image", [B64, DATA_URL, [DATA_URL], {"url": DATA_URL}])
def test_with_an_image_it_is_changed(gate: Edge, image: Any) -> None:
    """On both routes."""
    fields = {
        "size": "1024x1024",
        "model": "gemini-2.5-flash-image",
        "output_format": "webp",
        "upscale": True,
    }
    for path in (GENERATE, EDIT):
        response = post(gate, path, image=image, **fields)
        assert response.json()["model"] == "gemini-2.5-flash-image"
    for asked in gate.chat.asks:
        assert asked.messages[0].parts == (Text("a fox"), Blob(PNG, "image/png"))
        assert asked.picture == PictureWish("1:1", 1024, "image/webp", upscale=True)


def test_an_edit_may_come_as_a_form(gate: Edge) -> None:
    """As its sister route takes it."""
    files = {"image": ("a.png", PNG, "image/png")}
    response = gate.http.post(EDIT, data={"prompt": "blue", "response_type": "base64"}, files=files)
    assert response.json()["images"] == [DATA_URL]
    assert gate.chat.asks[0].messages[0].parts == (Text("blue"), Blob(PNG, "image/png", "a.png"))


@pytest.mark.parametrize("path", [GENERATE, EDIT])
@pytest.mark.parametrize(
    ("body", "param", "remedy"),
    [
        ({"prompt": None}, "prompt", "expected str"),
        ({"prompt": " "}, "prompt", "Write what"),
        ({"count": 0}, "count", "from 1 to 10"),
        ({"count": 11}, "count", "from 1 to 10"),
        ({"count": "3"}, "count", "expected int"),
        ({"response_type": "b64"}, "response_type", "base64 or url"),
        ({"response_type": 1}, "response_type", "expected str"),
        ({"image": "@"}, "image", "base64"),
        ({"image": {"file_id": "f"}}, "image.file_id", "data URL"),
        ({"size": "x"}, "size", "1536x1024"),
        ({"model": " "}, "model", "Name a model"),
        ({"watermark": "gone"}, "watermark", "keep or remove"),
    ],
)
def test_a_wrong_field_is_named(gate: Edge, path: str, body: dict[str, Any], param: str, remedy: str) -> None:
    """With the remedy; the engine is never asked."""
    response = post(gate, path, **{"image": B64, **body})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == param
    assert remedy in error["message"]
    assert gate.chat.asks == []


def test_an_edit_needs_a_picture(gate: Edge) -> None:
    """In JSON and in a form."""
    for response in (post(gate, EDIT), gate.http.post(EDIT, files={"prompt": (None, "a")})):
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "image"


def test_a_refusal_and_an_unknown_model(gate: Edge) -> None:
    """400 with the model's words; 404 with the known names."""
    assert post(gate, GENERATE, model="gpt-9").json()["error"]["code"] == "model_not_found"
    gate.chat.say(Fail(PromptRefused("No.")))
    response = post(gate, GENERATE)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "No.")


def test_generate_shows_pictures_as_markdown(gate: Edge) -> None:
    """Of a picture model, and where a text model makes one; without a link they stand beside the text."""
    found = post(gate, "/v1/generate", model="gemini-2.5-flash-image").json()
    link = f"http://127.0.0.1:{gate.port}/files/20261121T000000Z_a_00.png"
    assert found == {
        "text": f"![a small picture]({link})",
        "model": "gemini-2.5-flash-image",
    }
    assert gate.chat.asks[0].picture == PictureWish(pixels=1024, link=True)
    gate.http.post("/v1/generate?watermark=keep", json={"prompt": "a fox", "model": "gemini-2.5-flash-image"})
    assert gate.chat.asks.pop().picture == PictureWish(pixels=1024, keep_watermark=True, link=True)
    gate.chat.say(Delta("Here: "), Picture(PNG, "image/png", link="https://a.example/(b) c.png"), END)
    found = post(gate, "/v1/generate").json()
    assert found["text"] == "Here: \n\n![image](https://a.example/%28b%29%20c.png)"
    assert gate.chat.asks[1].picture is None
    gate.chat.say(Delta("Here."), Picture(PNG, "image/png"), END)
    found = post(gate, "/v1/generate").json()
    assert (found["text"], found["images"]) == ("Here.", [DATA_URL])
