"""Pictures in Gemini's dialect as clients see them on the wire."""

import base64
import json
from typing import Any

import httpx
import pytest

from core.chat import Blob, Delta, Finish, Picture, PictureWish, Text, Usage
from core.errors import PromptRefused, UpstreamFailed
from routes.drawing import MASK_NOTE
from routes.wishes import ASPECTS
from tests.fakes.edge import Edge
from tests.fakes.service import Fail, Pause
from tests.support.files import PNG

PNG64 = base64.b64encode(PNG).decode()
LARGE = PNG + bytes(range(256)) * 8192
END = Finish(Usage(3, 4), "gemini-pro")
IMAGE, BETTER, TEXT = "gemini-2.5-flash-image", "gemini-3-pro-image-preview", "gemini-2.5-pro"
CAT: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "a cat"}]}]}
INPUT = {"inlineData": {"mimeType": "image/png", "data": PNG64}}


def picture(data: bytes = PNG, width: int = 2816, height: int = 1536) -> Picture:
    return Picture(data, "image/png", width=width, height=height, watermark="removed")


@pytest.fixture
def drawing(gate: Edge) -> Edge:
    gate.chat.say(Delta("Here it is."), picture(), END)
    return gate


def call(
    gate: Edge, body: Any = CAT, method: str = "generateContent", model: str = IMAGE, **more: Any
) -> httpx.Response:
    return gate.http.post(f"/v1beta/models/{model}:{method}", json=body, **more)


def config(body: dict[str, Any] = CAT, **fields: Any) -> dict[str, Any]:
    return {**body, "generationConfig": fields}


def inline(data: bytes = PNG) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}}


def test_a_picture_is_inline_data_beside_the_text(drawing: Edge) -> None:
    """The wish goes by the model; the measured size is told in a header, since Google's body has no field."""
    response = call(drawing)
    [candidate] = response.json()["candidates"]
    assert candidate["content"] == {"parts": [{"text": "Here it is."}, inline()], "role": "model"}
    assert candidate["finishReason"] == "STOP"
    assert response.headers["x-gempool-picture-sizes"] == "2816x1536"
    assert "x-gempool-picture-sizes" not in call(drawing, model=TEXT, method="countTokens").headers
    [ask] = drawing.chat.asks
    assert ask.picture == PictureWish(pixels=1024)
    assert not ask.stream


def test_a_large_picture_arrives_whole(gate: Edge) -> None:
    """Its base64 is made while it is sent, under a length that is told beforehand."""
    gate.chat.say(picture(LARGE), picture(LARGE[::-1]), END)
    response = call(gate)
    assert int(response.headers["content-length"]) == len(response.content)
    parts = response.json()["candidates"][0]["content"]["parts"]
    assert [base64.b64decode(part["inlineData"]["data"]) for part in parts] == [LARGE, LARGE[::-1]]
    assert response.headers["x-gempool-picture-sizes"] == "2816x1536, 2816x1536"


@pytest.mark.parametrize(
    ("model", "modalities", "pixels"),
    [
        (IMAGE, None, 1024),
        (BETTER, None, 2048),
        (BETTER, [], 2048),
        (BETTER, ["IMAGE"], 2048),
        (BETTER, ["TEXT", "IMAGE"], 2048),
        (BETTER, "image", 2048),
        (BETTER, ["MODALITY_UNSPECIFIED"], 2048),
        (BETTER, ["TEXT"], None),
        (TEXT, ["Text", "Image"], 1024),
        (TEXT, ["TEXT"], None),
        (TEXT, None, None),
    ],
)
def test_who_is_asked_for_a_picture(drawing: Edge, model: str, modalities: Any, pixels: int | None) -> None:
    """What `responseModalities` says counts; otherwise the model decides, and its own size is what is wanted."""
    fields = {} if modalities is None else {"responseModalities": modalities}
    assert call(drawing, config(**fields), model=model).status_code == 200
    assert drawing.chat.asks[0].picture == (None if pixels is None else PictureWish(pixels=pixels))


@pytest.mark.parametrize("snake", [False, True])
@pytest.mark.parametrize(("size", "pixels"), [("1K", 1024), ("2K", 2048), ("4k", 4096), (None, 2048)])
def test_size_and_aspect_reach_the_wish_in_both_spellings(
    drawing: Edge, size: str | None, pixels: int, snake: bool
) -> None:
    """`imageConfig.imageSize` and `aspectRatio`, and the format where one is named."""
    image: dict[str, Any] = {
        "aspect_ratio" if snake else "aspectRatio": "16:9",
        "image_size" if snake else "imageSize": size,
        "image_output_options" if snake else "imageOutputOptions": {
            "mime_type" if snake else "mimeType": "image/jpeg",
            "compression_quality" if snake else "compressionQuality": 70,
        },
    }
    name = "generation_config" if snake else "generationConfig"
    body = {**CAT, name: {"image_config" if snake else "imageConfig": image}}
    assert call(drawing, body, model=BETTER).status_code == 200
    assert drawing.chat.asks[0].picture == PictureWish("16:9", pixels, format="image/jpeg", quality=70)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_every_ratio_of_the_model_is_known(drawing: Edge, aspect: str) -> None:
    """All ten of them."""
    assert call(drawing, config(imageConfig={"aspectRatio": aspect})).status_code == 200
    wish = drawing.chat.asks[0].picture
    assert wish is not None
    assert wish.aspect == aspect


@pytest.mark.parametrize(
    ("more", "keeps"),
    [
        ({}, False),
        ({"params": {"watermark": "keep"}}, True),
        ({"params": {"watermark": "remove"}}, False),
        ({"headers": {"x-gempool-watermark": "keep"}}, True),
        ({"headers": {"x-gempool-watermark": "remove"}, "params": {"watermark": "keep"}}, False),
    ],
)
@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent", "editImage", "predict"])
def test_the_logo_may_be_kept(drawing: Edge, method: str, more: dict[str, Any], keeps: bool) -> None:
    """By a header or a query parameter, which every client can add."""
    body = {
        "editImage": {"prompt": "hat", "image": PNG64},
        "predict": {"instances": [{"prompt": "cat"}]},
    }.get(method, CAT)
    assert call(drawing, body, method, **more).status_code == 200
    wish = drawing.chat.asks[0].picture
    assert wish is not None
    assert wish.keep_watermark is keeps


def test_several_candidates_are_made_side_by_side(gate: Edge) -> None:
    """Each has its own picture; one that fails for good fails the request."""
    gate.chat.script = lambda ask: [Pause(0.05), picture(PNG + bytes([len(gate.chat.asks)])), END]
    response = call(gate, config(candidateCount=3))
    found = response.json()["candidates"]
    assert [candidate["index"] for candidate in found] == [0, 1, 2]
    assert all("inlineData" in candidate["content"]["parts"][0] for candidate in found)
    assert response.headers["x-gempool-picture-sizes"] == ", ".join(["2816x1536"] * 3)
    assert len(gate.chat.asks) == 3
    gate.chat.script = lambda ask: (
        [Fail(UpstreamFailed())] if len(gate.chat.asks) == 5 else [Pause(0.02), picture(), END]
    )
    assert call(gate, config(candidateCount=3)).status_code == 503


def test_a_refusal_is_told_in_the_models_words(gate: Edge) -> None:
    """400 in Google's shape, and a repeat is not advised."""
    gate.chat.say(Fail(PromptRefused("I cannot draw that.")))
    response = call(gate)
    assert response.status_code == 400
    assert response.json()["error"] == {
        "code": 400,
        "message": "I cannot draw that.",
        "status": "INVALID_ARGUMENT",
    }
    assert response.headers["x-should-retry"] == "false"


def test_a_streamed_picture_as_events(gate: Edge) -> None:
    """One `data:` line each; the finish reason and the usage come last; the ask says that it is streamed."""
    gate.chat.say(Delta("Here"), picture(LARGE), END)
    response = call(gate, method="streamGenerateContent?alt=sse")
    blocks = [block for block in response.text.split("\n\n") if block]
    assert all(block.startswith("data: {") and "\n" not in block for block in blocks)
    chunks = [json.loads(block[6:]) for block in blocks]
    assert [chunk["candidates"][0]["content"]["parts"] for chunk in chunks] == [
        [{"text": "Here"}],
        [inline(LARGE)],
        [{"text": ""}],
    ]
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None, None, "STOP"]
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] == 7
    [ask] = gate.chat.asks
    assert ask.stream
    assert ask.picture == PictureWish(pixels=1024)


def test_a_streamed_picture_as_an_array(gate: Edge) -> None:
    """With a picture first, in the middle, and in two candidates, the body is one JSON array."""
    gate.chat.say(picture(), Delta("and"), picture(LARGE), END)
    response = call(gate, config(candidateCount=2), "streamGenerateContent")
    chunks = response.json()
    for index in (0, 1):
        parts = [
            part
            for chunk in chunks
            for part in chunk["candidates"][0]["content"]["parts"]
            if chunk["candidates"][0]["index"] == index
        ]
        assert parts == [inline(), {"text": "and"}, inline(LARGE), {"text": ""}]
    assert "usageMetadata" in chunks[-1]


@pytest.mark.parametrize("alt", ["", "?alt=sse"])
def test_a_picture_that_takes_long_keeps_the_stream_alive(gate: Edge, alt: str) -> None:
    """Signs of life that break no client, then the picture; a failure after them ends with Google's error."""
    gate.chat.say(Pause(0.4), picture(), END)
    response = call(gate, method=f"streamGenerateContent{alt}")
    body = response.text if alt else response.content
    assert PNG64.encode() in response.content
    assert ('{"text":""}' in body) if alt else body.startswith(b"\n")  # type: ignore[operator]
    gate.chat.say(Pause(0.4), Fail(PromptRefused("I cannot draw that.")))
    assert '"message":"I cannot draw that."' in call(gate, method=f"streamGenerateContent{alt}").text


@pytest.mark.parametrize(
    ("body", "wish"),
    [
        ({"prompt": "hat", "image": PNG64}, PictureWish(pixels=1024)),
        ({"prompt": "hat", "image": "data:image/jpeg;base64," + PNG64}, PictureWish(pixels=1024)),
        ({"prompt": "hat", "image": {"mimeType": "image/png", "data": PNG64}}, PictureWish(pixels=1024)),
        ({"prompt": "hat", "image": INPUT}, PictureWish(pixels=1024)),
        ({"prompt": "hat", "image": {"bytesBase64Encoded": PNG64}}, PictureWish(pixels=1024)),
        ({"prompt": "hat", "image": {"bytes_base64_encoded": PNG64}}, PictureWish(pixels=1024)),
        ({"prompt": "hat", "images": [PNG64]}, PictureWish(pixels=1024)),
        ({"prompt": "hat", "images": PNG64, "imageSize": "2K"}, PictureWish(pixels=2048)),
        (
            {"prompt": "hat", "images": [INPUT], "aspect_ratio": "1:1", "image_size": "4K"},
            PictureWish("1:1", 4096),
        ),
    ],
)
def test_edit_image_takes_a_short_form(drawing: Edge, body: dict[str, Any], wish: PictureWish) -> None:
    """A prompt and pictures, in all the ways in which a picture is written; the answer is generateContent's."""
    response = call(drawing, body, "editImage")
    parts = response.json()["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "Here it is."}, inline()]
    [ask] = drawing.chat.asks
    assert ask.messages[0].parts == (Text("hat"), Blob(PNG, "image/png"))
    assert ask.picture == wish


def test_edit_image_takes_a_whole_request_and_several_pictures(drawing: Edge) -> None:
    """With contents it is generateContent that surely asks for a picture, of any model."""
    body = {"contents": [{"parts": [{"text": "hat"}, INPUT]}], "generationConfig": {"candidateCount": 2}}
    response = call(drawing, body, "editImage", TEXT)
    assert len(response.json()["candidates"]) == 2
    call(
        drawing,
        {"prompt": "both", "image": PNG64, "images": [PNG64, INPUT], "candidateCount": 2},
        "editImage",
    )
    whole, _, short, _ = drawing.chat.asks
    assert whole.picture == PictureWish(pixels=1024)
    assert whole.messages[0].parts == (Text("hat"), Blob(PNG, "image/png"))
    assert short.messages[0].parts == (Text("both"), *[Blob(PNG, "image/png")] * 3)


@pytest.mark.parametrize("mask", [PNG64, INPUT, {"mimeType": "image/png", "data": PNG64}])
def test_edit_image_takes_a_mask(drawing: Edge, mask: Any) -> None:
    """One more picture with a word about it, as in `/v1/images/edits`; alone it belongs to nothing."""
    call(drawing, {"prompt": "hat", "image": PNG64, "mask": mask}, "editImage")
    [ask] = drawing.chat.asks
    assert ask.messages[0].parts == (Text(f"hat\n\n{MASK_NOTE}"), *[Blob(PNG, "image/png")] * 2)
    alone = call(drawing, {"prompt": "hat", "mask": mask}, "editImage")
    assert alone.status_code == 400
    assert "'image' is missing" in alone.json()["error"]["message"]


def test_predict_takes_numbers_as_text(drawing: Edge) -> None:
    """As Vertex's own examples write them; what is no number is named."""

    def predict(count: Any) -> httpx.Response:
        return call(
            drawing, {"instances": [{"prompt": "cat"}], "parameters": {"sampleCount": count}}, "predict"
        )

    assert len(predict("2").json()["predictions"]) == 2
    for wrong in ("two", "", "11", []):
        refused = predict(wrong)
        assert refused.status_code == 400
        assert "'parameters.sampleCount'" in refused.json()["error"]["message"]


@pytest.mark.parametrize("root", ["/v1beta", "/gemini/v1beta", "/gemini/v1", "/v1"])
def test_predict_answers_as_googles_picture_models_do(drawing: Edge, root: str) -> None:
    """What older SDKs call for pictures: one prediction for each that was asked for."""
    drawing.chat.say(picture(), picture(LARGE), END)
    body = {
        "instances": [{"prompt": "cat"}],
        "parameters": {
            "sampleCount": 2,
            "aspectRatio": "3:4",
            "sampleImageSize": "2K",
            "outputOptions": {"mimeType": "image/webp", "compressionQuality": 80},
        },
    }
    response = drawing.http.post(f"{root}/models/{IMAGE}:predict", json=body)
    assert response.json() == {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": PNG64}] * 2}
    asks = drawing.chat.asks
    assert [ask.picture for ask in asks] == [PictureWish("3:4", 2048, format="image/webp", quality=80)] * 2
    assert asks[0].messages[0].parts == (Text("cat"),)


BAD_FIELDS: list[tuple[str, Any, str]] = [
    (
        "generateContent",
        config(imageConfig={"aspectRatio": "5:1"}),
        "generationConfig.imageConfig.aspectRatio",
    ),
    ("generateContent", config(imageConfig={"aspectRatio": 1}), "generationConfig.imageConfig.aspectRatio"),
    (
        "generateContent",
        config(imageConfig={"aspectRatio": "wide"}),
        "generationConfig.imageConfig.aspectRatio",
    ),
    ("generateContent", config(imageConfig={"imageSize": "8K"}), "generationConfig.imageConfig.imageSize"),
    ("generateContent", config(imageConfig={"imageSize": 4096}), "generationConfig.imageConfig.imageSize"),
    ("generateContent", config(imageConfig={"image_size": "8K"}), "generationConfig.imageConfig.image_size"),
    (
        "generateContent",
        config(image_config={"image_size": "8K"}),
        "generationConfig.image_config.image_size",
    ),
    ("generateContent", config(imageConfig=[]), "generationConfig.imageConfig"),
    (
        "generateContent",
        config(imageConfig={"imageOutputOptions": {"mimeType": "image/gif"}}),
        "generationConfig.imageConfig.imageOutputOptions.mimeType",
    ),
    (
        "generateContent",
        config(imageConfig={"imageOutputOptions": {"compression_quality": 101}}),
        "generationConfig.imageConfig.imageOutputOptions.compression_quality",
    ),
    ("generateContent", config(responseModalities=["IMAGE", "AUDIO"]), "generationConfig.responseModalities"),
    ("generateContent", config(candidateCount=5), "generationConfig.candidateCount"),
    ("editImage", {}, "prompt"),
    ("editImage", {"prompt": " ", "image": PNG64}, "prompt"),
    ("editImage", {"prompt": 1, "image": PNG64}, "prompt"),
    ("editImage", {"prompt": "hat"}, "image"),
    ("editImage", {"prompt": "hat", "image": ""}, "image"),
    ("editImage", {"prompt": "hat", "image": "?"}, "image"),
    ("editImage", {"prompt": "hat", "image": {}}, "image"),
    ("editImage", {"prompt": "hat", "image": base64.b64encode(b"text").decode()}, "image"),
    ("editImage", {"prompt": "hat", "images": []}, "image"),
    ("editImage", {"prompt": "hat", "images": [PNG64, {"data": "?"}]}, "images[1].data"),
    (
        "editImage",
        {"prompt": "hat", "images": [{"inline_data": {"data": "?"}}]},
        "images[0].inline_data.data",
    ),
    (
        "editImage",
        {"prompt": "hat", "image": {"file_data": {"file_uri": "gs://a"}}},
        "image.file_data.file_uri",
    ),
    ("editImage", {"prompt": "hat", "image": PNG64, "image_size": "9K"}, "image_size"),
    ("editImage", {"prompt": "hat", "image": PNG64, "candidateCount": 0}, "candidateCount"),
    ("editImage", CAT, "contents"),
    ("editImage", {"contents": []}, "contents"),
    ("predict", {}, "instances"),
    ("predict", {"instances": []}, "instances"),
    ("predict", {"instances": [{"prompt": "a"}] * 2}, "instances"),
    ("predict", {"instances": [{"prompt": ""}]}, "instances[0].prompt"),
    ("predict", {"instances": [{}]}, "instances[0].prompt"),
    ("predict", {"instances": [{"prompt": "a", "image": {}}]}, "instances[0].image"),
    (
        "predict",
        {"instances": [{"prompt": "a"}], "parameters": {"sample_count": 11}},
        "parameters.sample_count",
    ),
    (
        "predict",
        {"instances": [{"prompt": "a"}], "parameters": {"sampleImageSize": "x"}},
        "parameters.sampleImageSize",
    ),
]


@pytest.mark.parametrize(("method", "body", "field"), BAD_FIELDS)
def test_a_wrong_field_is_named_as_the_caller_spelled_it(
    gate: Edge, method: str, body: Any, field: str
) -> None:
    """Google's error shape, with the remedy; the engine is never asked."""
    response = call(gate, body, method)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert f"'{field}'" in error["message"]
    assert error["message"].endswith((".", ")"))
    assert error["details"][0]["fieldViolations"][0]["field"] == field
    assert gate.chat.asks == []


@pytest.mark.parametrize(
    "more", [{"params": {"watermark": "x"}}, {"headers": {"x-gempool-watermark": b"\xff"}}]
)
def test_a_wrong_word_about_the_logo_is_refused(gate: Edge, more: dict[str, Any]) -> None:
    """Nobody gets a cleaned picture by a typing error."""
    response = call(gate, **more)
    assert response.status_code == 400
    assert "Use keep or remove" in response.json()["error"]["message"]
    assert gate.chat.asks == []


def test_too_many_pictures_are_refused(gate: Edge) -> None:
    """The bound on files counts in every form."""
    response = call(gate, {"prompt": "hat", "images": [PNG64] * 17}, "editImage")
    assert response.status_code == 413
    assert "'images[16]'" in response.json()["error"]["message"]
    uri = {"fileData": {"fileUri": "https://a.example/b.png"}}
    response = call(gate, {"contents": [{"parts": [uri] * 17}]})
    assert response.status_code == 413
    assert "'contents[0].parts[16].fileData'" in response.json()["error"]["message"]


def test_lists_tell_which_models_make_pictures(gate: Edge) -> None:
    """Their methods say so; text models have the methods of text alone."""
    listed = {model["name"]: model for model in gate.http.get("/v1beta/models").json()["models"]}
    assert {"editImage", "predict", "generateContent"} <= set(
        listed[f"models/{IMAGE}"]["supportedGenerationMethods"]
    )
    assert "editImage" not in listed[f"models/{TEXT}"]["supportedGenerationMethods"]
    one = gate.http.get(f"/v1beta/models/{BETTER}").json()
    assert one == listed[f"models/{BETTER}"]


@pytest.mark.parametrize("method", ["editImage", "predict"])
def test_methods_for_pictures_are_called_with_post(gate: Edge, method: str) -> None:
    """GET is refused with the method to use."""
    response = gate.http.get(f"/v1beta/models/{IMAGE}:{method}")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
