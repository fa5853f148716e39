"""Pictures through the whole service: real processes, the real library, real SDKs."""

import base64
import concurrent.futures
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import openai
import pytest
from google.genai import types

from core.pictures import measure
from tests.support.processes import Gateways, Web, wait_for
from tests.support.sdks import Sdks
from watermark import clean_bytes

MADE_BY_AI = b"trainedAlgorithmicMedia"
MODEL_4K = "gemini-3-pro-image-preview-4k"


def chats_left(web: Web) -> int:
    """Chats that stand in the accounts' histories; the simulator lists no temporary ones."""
    return sum(len(web.call("GET", f"/accounts/{account['id']}")["chats"]) for account in web.accounts)


def unmarked(data: bytes) -> bool:
    """No logo is found in it any more."""
    return not clean_bytes(data).verdict.found


@pytest.mark.parametrize(
    ("model", "upstream_pixels", "size", "resolution"),
    [
        ("gemini-2.5-flash-image", 2048, "1024x1024", "1K"),
        ("gemini-3-pro-image-preview", 2048, "2048x2048", "2K"),
        (MODEL_4K, 4096, "4096x4096", "4K"),
        (MODEL_4K, 2048, "2048x2048", "2K"),
    ],
)
def test_a_picture_is_what_it_claims_to_be(
    upstream: Web,
    gateways: Gateways,
    sdks: Sdks,
    model: str,
    upstream_pixels: int,
    size: str,
    resolution: str,
) -> None:
    """Through openai's SDK: pixels as measured, never more claimed than there are; no logo; made by AI; no chat
    stays in the account's history."""
    upstream.defaults(full_pixels=upstream_pixels)
    gateway = gateways.start(gateways.accounts_file(1)).ready()
    made = sdks.openai(gateway).images.generate(
        model=model, prompt="a red kite over a harbour", response_format="b64_json"
    )
    assert made.data is not None
    (item,) = made.data
    data = base64.b64decode(item.b64_json or "")
    found = measure(data)
    assert found is not None
    assert f"{found.width}x{found.height}" == size
    assert (item.model_extra or {})["size"] == size
    assert (item.model_extra or {})["resolution"] == resolution
    assert MADE_BY_AI in data
    assert unmarked(data)
    wait_for(lambda: chats_left(upstream) == 0, what="the picture's chat is still there")


def test_pictures_are_spread_over_the_accounts_and_survive_an_expired_one(
    upstream: Web, gateways: Gateways, sdks: Sdks
) -> None:
    """Five pictures while one account of five has died: five different ones, nobody is told."""
    gateway = gateways.start().ready()
    wait_for(lambda: len(gateway.lines("session opened")) == 5)
    upstream.fault("account-2", "expired")
    made = sdks.openai(gateway).images.generate(
        model="gemini-2.5-flash-image", prompt="a lantern in the fog", n=5, response_format="b64_json"
    )
    assert made.data is not None
    assert len(made.data) == 5
    served = upstream.order()
    assert {"account-1", "account-3", "account-4", "account-5"} <= set(served)


def test_a_link_is_read_without_a_key(upstream: Web, gateways: Gateways, sdks: Sdks) -> None:
    """Absolute, under a name that tells the prompt's words, with safe headers and ranges."""
    gateway = gateways.start(gateways.accounts_file(1), API_KEY="sk-one").ready()
    client = sdks.openai(gateway, "sk-one")
    made = client.images.generate(
        model="gemini-2.5-flash-image", prompt="Ein Fuchs, 狐狸", response_format="url"
    )
    assert made.data is not None
    url = made.data[0].url or ""
    assert url.startswith(f"{gateway.url}/files/")
    whole = httpx.get(url)
    assert whole.status_code == 200
    assert "fuchs" in url
    assert MADE_BY_AI in whole.content
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = httpx.get(url, headers={"range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, b"\x89PNG\r\n\x1a\n")


def test_editing_uploads_the_picture_whole_under_its_true_type(
    upstream: Web, gateways: Gateways, sdks: Sdks, tmp_path: Path
) -> None:
    """A JPEG that calls itself a PNG goes up as a JPEG; the answer is a picture."""
    gateway = gateways.start(gateways.accounts_file(1)).ready()
    jpeg = cv2.imencode(".jpg", np.full((64, 48, 3), 120, np.uint8))[1].tobytes()
    file = tmp_path / "input.png"
    file.write_bytes(jpeg)
    with file.open("rb") as image:
        edited = sdks.openai(gateway).images.edit(
            model="gemini-2.5-flash-image", image=image, prompt="make it blue", response_format="b64_json"
        )
    assert edited.data is not None
    assert edited.data[0].b64_json
    journal = upstream.call("GET", "/journal")
    (prompt,) = journal["prompts"] if isinstance(journal, dict) else journal
    (upload,) = prompt["uploads"]
    assert (upload["content_type"], upload["sha256"]) == ("image/jpeg", hashlib.sha256(jpeg).hexdigest())
    assert upload["name"].endswith((".jpg", ".jpeg"))


def test_a_refusal_is_400_with_the_models_words(upstream: Web, gateways: Gateways, sdks: Sdks) -> None:
    """And costs one prompt: another account would refuse as well."""
    gateway = gateways.start(gateways.accounts_file(2)).ready()
    upstream.call("POST", "/replies", [{"text": "I can't make pictures of real people.", "images": 0}])
    with pytest.raises(openai.BadRequestError, match="pictures of real people"):
        sdks.openai(gateway).images.generate(model="gemini-2.5-flash-image", prompt="a photo of a minister")
    assert len(upstream.order()) == 1


def test_google_s_sdk_gets_pictures(upstream: Web, gateways: Gateways, sdks: Sdks) -> None:
    """generate_content with an image model, whole and streamed: text and inline data."""
    gateway = gateways.start(gateways.accounts_file(1)).ready()
    client = sdks.google(gateway)
    config = types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"], image_config=types.ImageConfig(aspect_ratio="16:9")
    )
    ask: dict[str, Any] = {"model": "gemini-2.5-flash-image", "contents": "a meadow", "config": config}
    whole = client.models.generate_content(**ask)
    streamed = list(client.models.generate_content_stream(**ask))
    for answers in ([whole], streamed):
        blobs = [part.inline_data for a in answers for part in a.parts or [] if part.inline_data is not None]
        assert len(blobs) == 1
        found = measure(blobs[0].data or b"")
        assert found is not None
        assert abs(found.width / found.height - 16 / 9) < 0.1
        assert MADE_BY_AI in (blobs[0].data or b"")


def test_pictures_in_a_chat_are_links_and_data(upstream: Web, gateways: Gateways, sdks: Sdks) -> None:
    """A text model that draws: markdown in the text, a data URL beside it, the same whole and streamed."""
    gateway = gateways.start(gateways.accounts_file(1)).ready()
    ask: dict[str, Any] = {
        "model": "gemini-3-flash-preview",
        "messages": [{"role": "user", "content": "Please draw a picture of a fox"}],
    }
    message = sdks.openai(gateway).chat.completions.create(**ask).choices[0].message
    content = message.content or ""
    assert f"]({gateway.url}/files/" in content
    link = content.rpartition("](")[2].partition(")")[0]
    stored = httpx.get(link).content
    (image,) = (message.model_extra or {})["images"]
    assert base64.b64decode(image["image_url"]["url"].partition(",")[2]) == stored
    text, images = "", 0
    for chunk in sdks.openai(gateway).chat.completions.create(stream=True, **ask):
        delta = chunk.choices[0].delta
        text += delta.content or ""
        images += len((delta.model_extra or {}).get("images", []))
    assert f"]({gateway.url}/files/" in text
    assert images == 1


def test_a_killed_gateway_leaves_whole_files_only(upstream: Web, gateways: Gateways, tmp_path: Path) -> None:
    """kill -9 while pictures are made and stored: what is found under a picture's name is a whole picture."""
    gateway = gateways.start(gateways.accounts_file(max_concurrency=4)).ready()
    body = {"prompt": "a storm", "n": 4, "model": "gemini-3-pro-image-preview", "response_format": "url"}
    with concurrent.futures.ThreadPoolExecutor(3) as callers:
        for _ in range(3):
            callers.submit(lambda: httpx.post(f"{gateway.url}/v1/images/generations", json=body, timeout=60))
        wait_for(lambda: list(tmp_path.rglob("*.png")))
        gateway.kill()
    for path in tmp_path.rglob("*.png"):
        data = path.read_bytes()
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
        assert MADE_BY_AI in data
    again = gateways.start(gateways.accounts_file()).ready()
    answer = httpx.post(f"{again.url}/v1/images/generations", json=body | {"n": 1}, timeout=60)
    assert answer.status_code == 200, json.dumps(answer.json())
