"""POST /v1/images/generations and /v1/images/edits as clients see them on the wire."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core.chat import Ask, Blob, Delta, Finish, Picture, PictureWish, Text, Usage
from core.errors import NoAccount, PromptRefused
from routes.drawing import MASK_NOTE
from tests.fakes.edge import Edge
from tests.fakes.server import until
from tests.fakes.service import Fail, Pause, Step
from tests.support.files import PNG

GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"
B64 = base64.b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{B64}"
JPEG = b"\xff\xd8\xff\xc0\0\x0b\x08\0\1\0\1\1\1\x11\0\xff\xda\x00\x02x\xff\xd9"
END = Finish(Usage(3, 4, 5), "gemini-pro")


def generate(gate: Edge, **fields: Any) -> httpx.Response:
    return gate.http.post(GENERATIONS, json={"prompt": "a fox", **fields})


def edit(gate: Edge, files: list[tuple[str, Any]], **fields: Any) -> httpx.Response:
    return gate.http.post(EDITS, data={"prompt": "make it blue", **fields}, files=files)


def error_of(response: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_a_generation_is_one_picture_with_its_true_size(gate: Edge) -> None:
    """Base64 is the default; the item says what it measures, the head says how long it is."""
    response = generate(gate)
    answer = response.json()
    assert isinstance(answer["created"], int)
    assert answer["data"] == [
        {
            "b64_json": B64,
            "size": "2048x2048",
            "width": 2048,
            "height": 2048,
            "resolution": "2K",
            "mime_type": "image/png",
            "watermark": "removed",
        }
    ]
    assert (answer["size"], answer["output_format"]) == ("2048x2048", "png")
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert sum(usage["input_tokens_details"].values()) == usage["input_tokens"]
    assert response.headers["content-length"] == str(len(response.content))
    [asked] = gate.chat.asks
    assert asked.model == "gemini-3-pro-image-preview"
    assert asked.messages[0].parts == (Text("a fox"),)
    assert asked.picture == PictureWish(pixels=2048)
    assert (asked.stream, asked.request_id) == (False, response.headers["x-request-id"])


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        ({"model": "gemini-2.5-flash-image"}, PictureWish(pixels=1024)),
        ({"model": "models/gemini-2.5-pro"}, PictureWish(pixels=1024)),
        ({"size": "1024x1536"}, PictureWish("2:3", 2048)),
        ({"size": "auto", "n": None, "quality": "hd", "style": 3, "user": {}}, PictureWish(pixels=2048)),
        ({"size": "4K", "aspect_ratio": "16:9"}, PictureWish("16:9", 4096)),
        ({"size": "1024x1024", "aspect_ratio": "21:9"}, PictureWish("21:9", 1024)),
        (
            {"output_format": "jpeg", "output_compression": 70},
            PictureWish(pixels=2048, format="image/jpeg", quality=70),
        ),
        (
            {"output_format": "WEBP", "output_compression": 0},
            PictureWish(pixels=2048, format="image/webp", quality=1),
        ),
        (
            {"upscale": True, "watermark": "keep"},
            PictureWish(pixels=2048, upscale=True, keep_watermark=True),
        ),
        ({"response_format": "url"}, PictureWish(pixels=2048, link=True)),
        ({"response_format": "b64_json", "watermark": "remove"}, PictureWish(pixels=2048)),
    ],
)
def test_what_the_caller_wishes_reaches_the_engine(
    gate: Edge, fields: dict[str, Any], wish: PictureWish
) -> None:
    """Size, ratio, format, quality, enlargement, logo and link."""
    assert generate(gate, **fields).status_code == 200
    assert gate.chat.asks[0].picture == wish


def test_the_logo_may_be_kept_by_the_address_too(gate: Edge) -> None:
    """For clients whose bodies are not theirs to change; the body is heard first."""
    gate.http.post(GENERATIONS, params={"watermark": "keep"}, json={"prompt": "a"})
    gate.http.post(GENERATIONS, params={"watermark": "keep"}, json={"prompt": "a", "watermark": "remove"})
    assert [asked.picture.keep_watermark for asked in gate.chat.asks if asked.picture] == [True, False]
    bad = gate.http.post(GENERATIONS, params={"watermark": "off"}, json={"prompt": "a"})
    assert "keep or remove" in error_of(bad)["message"]


def test_what_a_picture_is_and_was_is_told(gate: Edge) -> None:
    """Nothing is labelled larger than it is; an enlarged picture names what it came as."""
    gate.chat.say(Picture(JPEG, "image/jpeg", width=2816, height=1536, watermark="no_logo"), END)
    [item] = generate(gate, size="4K").json()["data"]
    assert (item["size"], item["resolution"], item["mime_type"]) == ("2816x1536", "2K", "image/jpeg")
    assert item["watermark"] == "no_logo"
    gate.chat.say(Picture(PNG, "image/png", width=4096, height=4096, upscaled_from=(2048, 2048)), END)
    [item] = generate(gate, size="4K", upscale=True).json()["data"]
    assert (item["resolution"], item["upscaled_from"]) == ("2K", "2048x2048")
    gate.chat.say(Picture(PNG, "image/png", width=512, height=512), END)
    [item] = generate(gate).json()["data"]
    assert "resolution" not in item


def test_n_pictures_are_n_asks(gate: Edge) -> None:
    """Each with its own trace; exactly as many come back, also where an answer held more."""

    def two(ask: Ask) -> list[Step]:
        size = 1024 + len(gate.chat.asks)
        picture = Picture(PNG, "image/png", width=size, height=size)
        return [Delta("here"), picture, Picture(JPEG, "image/jpeg"), END]

    gate.chat.script = two
    response = generate(gate, n=10)
    answer = response.json()
    assert len(answer["data"]) == 10
    assert len(gate.chat.asks) == 10
    assert len({id(asked.trace) for asked in gate.chat.asks}) == 10
    assert response.headers["x-gempool-attempts"] == "10"
    assert "size" not in answer
    assert answer["usage"]["input_tokens"] == 30


def test_all_or_an_error(gate: Edge) -> None:
    """One picture that fails for good fails the request, and the others are not worked on in vain."""

    def third_fails(ask: Ask) -> list[Step]:
        if len(gate.chat.asks) == 3:
            return [Fail(NoAccount("None left.", retry_after=3))]
        return [Pause(30), Picture(PNG, "image/png"), END]

    gate.chat.script = third_fails
    assert error_of(generate(gate, n=4), 503)["code"] == "no_account_available"
    until(lambda: gate.chat.running == 0)


def test_a_refusal_is_400_with_the_models_words(gate: Edge) -> None:
    """A repeat is not asked for."""
    gate.chat.say(Fail(PromptRefused("I can't draw that.")))
    response = generate(gate)
    error = error_of(response)
    assert (error["message"], error["code"]) == ("I can't draw that.", "content_filter")
    assert response.headers["x-should-retry"] == "false"


def test_a_link_is_absolute_and_follows_the_requests_own_address(gate: Edge) -> None:
    """A stored copy's path becomes an address that anybody can read; other links stay as they are."""
    [item] = generate(gate, response_format="url").json()["data"]
    assert item["url"] == f"http://127.0.0.1:{gate.port}/files/20261121T000000Z_a_00.png"
    assert "b64_json" not in item
    gate.chat.say(Picture(PNG, "image/png", link="https://cdn.example/a.png?x=1"), END)
    assert generate(gate, response_format="url").json()["data"][0]["url"] == "https://cdn.example/a.png?x=1"


def test_a_picture_that_was_not_stored_is_not_lost(gate: Edge) -> None:
    """Where a link was wanted and there is none, the url is the picture itself."""
    gate.chat.say(Picture(PNG, "image/png"), END)
    assert generate(gate, response_format="url").json()["data"][0]["url"] == DATA_URL


def test_a_large_answer_is_whole(gate: Edge) -> None:
    """Ten pictures of some megabytes, sent in pieces, with the length told beforehand."""
    big = PNG + bytes(range(256)) * 8192
    gate.chat.say(Picture(big, "image/png", width=4096, height=4096), END)
    response = generate(gate, n=10)
    assert int(response.headers["content-length"]) == len(response.content) > 10 * len(big)
    assert all(base64.b64decode(item["b64_json"]) == big for item in response.json()["data"])


def stream_of(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    for block in response.text.split("\n\n"):
        if block and not block.startswith(":"):
            name, _, data = block.partition("\n")
            yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_a_stream_has_an_event_for_each_finished_picture(gate: Edge) -> None:
    """With all fields that strict clients check, and signs of life meanwhile."""
    gate.chat.say(Pause(0.4), Picture(PNG, "image/png", width=1024, height=1024, link="/files/a.png"), END)
    response = generate(gate, n=2, stream=True, partial_images=2)
    events = list(stream_of(response))
    assert [name for name, _ in events] == ["image_generation.completed"] * 2
    assert ": keep-alive\n\n" in response.text
    for name, event in events:
        assert event["type"] == name
        assert event["b64_json"] == B64
        assert (event["size"], event["output_format"], event["resolution"]) == ("1024x1024", "png", "1K")
        assert event["usage"]["total_tokens"] > 0
        assert event["background"]
        assert event["quality"]
    assert all(asked.stream for asked in gate.chat.asks)


def test_a_stream_that_fails_says_so(gate: Edge) -> None:
    """Before the first bytes with a status, afterwards with an event."""
    gate.chat.say(Fail(PromptRefused("No.")))
    error_of(generate(gate, stream=True))
    gate.chat.say(Pause(0.4), Fail(PromptRefused("No.")))
    [(name, event)] = stream_of(generate(gate, stream=True))
    assert (name, event["error"]["message"]) == ("error", "No.")


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": None}, "prompt", "expected str"),
    ({"prompt": ""}, "prompt", "Write what"),
    ({"prompt": " \n"}, "prompt", "Write what"),
    ({"prompt": ["a"]}, "prompt", "expected str"),
    ({"model": ""}, "model", "Name a model"),
    ({"model": 5}, "model", "expected str"),
    ({"n": 0}, "n", "from 1 to 10"),
    ({"n": 11}, "n", "from 1 to 10"),
    ({"n": -1}, "n", "from 1 to 10"),
    ({"n": 1.5}, "n", "expected int"),
    ({"n": "2"}, "n", "expected int"),
    ({"n": True}, "n", "expected int"),
    ({"size": "big"}, "size", "1536x1024"),
    ({"size": 1024}, "size", "expected str"),
    ({"size": "9000x9000"}, "size", "8192"),
    ({"aspect_ratio": "7:1"}, "aspect_ratio", "16:9"),
    ({"aspect_ratio": 1.5}, "aspect_ratio", "expected str"),
    ({"response_format": "base64"}, "response_format", "b64_json or url"),
    ({"output_format": "gif"}, "output_format", "png or jpeg"),
    ({"output_compression": 101}, "output_compression", "from 0 to 100"),
    ({"output_compression": "high"}, "output_compression", "expected int"),
    ({"upscale": "yes"}, "upscale", "expected bool"),
    ({"watermark": "none"}, "watermark", "keep or remove"),
    ({"watermark": False}, "watermark", "expected str"),
    ({"stream": "no"}, "stream", "expected bool"),
]


@pytest.mark.parametrize("path", [GENERATIONS, EDITS])
@pytest.mark.parametrize(("fields", "param", "remedy"), BAD)
def test_a_wrong_field_is_named_with_the_remedy(
    gate: Edge, path: str, fields: dict[str, Any], param: str, remedy: str
) -> None:
    """In JSON, on both routes; the engine is never asked."""
    error = error_of(gate.http.post(path, json={"prompt": "a", "image": B64, **fields}))
    assert error["param"] == param
    assert f"'{param}'" in error["message"]
    assert remedy in error["message"]
    assert gate.chat.asks == []


def test_a_prompt_has_a_bound(gate: Edge) -> None:
    """413 names it and how long it was."""
    assert generate(gate, prompt="x" * 32_000).status_code == 200
    error = error_of(generate(gate, prompt="x" * 32_001), 413)
    assert error["param"] == "prompt"
    assert "32000" in error["message"]


def test_an_unknown_model_is_404(gate: Edge) -> None:
    """With the known ones."""
    error = error_of(generate(gate, model="dall-e-3"), 404)
    assert error["code"] == "model_not_found"
    assert "gemini-3-pro-image-preview" in error["message"]


def test_generations_take_json_only(gate: Edge) -> None:
    """A form belongs to the edits."""
    response = gate.http.post(GENERATIONS, data={"prompt": "a"}, files={"x": b"y"})
    assert "Send JSON" in error_of(response, 415)["message"]


@pytest.mark.parametrize("name", ["image", "image[]", "image[0]", "images", "images[]"])
def test_a_form_brings_pictures_by_every_name_that_clients_use(gate: Edge, name: str) -> None:
    """In their order, with their true type and their own name."""
    files = [(name, ("köter.png", PNG, "image/jpeg")), (name, ("b.jpg", JPEG, "application/octet-stream"))]
    response = edit(gate, files, n="2", size="1024x1024", upscale="true", watermark="keep", user="")
    assert response.status_code == 200, response.text
    assert len(response.json()["data"]) == 2
    for asked in gate.chat.asks:
        assert asked.messages[0].parts == (
            Text("make it blue"),
            Blob(PNG, "image/png", "köter.png"),
            Blob(JPEG, "image/jpeg", "b.jpg"),
        )
        assert asked.picture == PictureWish("1:1", 1024, upscale=True, keep_watermark=True)


def test_a_mask_is_one_more_picture_with_a_word_about_it(gate: Edge) -> None:
    """What is transparent in it is what is to change; a file input that was left empty is no mask."""
    files = [("mask", ("m.png", PNG, "image/png")), ("image", ("a.jpg", JPEG, "image/jpeg"))]
    edit(gate, files)
    edit(gate, [("image", ("a.jpg", JPEG)), ("mask", ("", b"", "application/octet-stream"))])
    gate.http.post(EDITS, json={"prompt": "make it blue", "image": B64, "mask": {"image_url": DATA_URL}})
    masked, plain, by_json = (asked.messages[0].parts for asked in gate.chat.asks)
    said = Text(f"make it blue\n\n{MASK_NOTE}")
    assert masked == (said, Blob(JPEG, "image/jpeg", "a.jpg"), Blob(PNG, "image/png", "m.png"))
    assert plain == (Text("make it blue"), Blob(JPEG, "image/jpeg", "a.jpg"))
    assert by_json == (said, Blob(PNG, "image/png"), Blob(PNG, "image/png"))


def test_a_form_may_hold_pictures_as_text(gate: Edge) -> None:
    """Base64 or a data URL in a plain field, or raw bytes without a file name."""
    for value in (B64.encode(), DATA_URL.encode(), PNG):
        body = b'--X\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na\r\n'
        body += b'--X\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + value + b"\r\n--X--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=X"}
        assert gate.http.post(EDITS, content=body, headers=headers).status_code == 200
    assert all(asked.messages[0].parts[1] == Blob(PNG, "image/png") for asked in gate.chat.asks)


def test_a_form_may_come_in_chunks_without_its_length(gate: Edge) -> None:
    """Cut anywhere, as some clients upload."""
    request = gate.http.build_request(
        "POST",
        EDITS,
        data={"prompt": "blue"},
        files={"image": ("a.png", PNG + b"\r\n--" * 20_000, "image/png")},
    )
    raw = request.read()

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(raw), 7001):
            yield raw[at : at + 7001]

    headers = {"content-type": request.headers["content-type"]}
    response = gate.http.post(EDITS, content=pieces(), headers=headers)
    assert "transfer-encoding" in response.request.headers
    assert "content-length" not in response.request.headers
    assert response.status_code == 200, response.text
    assert gate.chat.asks[0].messages[0].parts[1] == Blob(PNG + b"\r\n--" * 20_000, "image/png", "a.png")


@pytest.mark.parametrize(
    "given",
    [
        {"image": B64},
        {"image": B64.rstrip("=")},
        {"image": "  " + B64[:20] + "\n" + B64[20:]},
        {"image": DATA_URL},
        {"image": [DATA_URL]},
        {"image": {"image_url": DATA_URL}},
        {"image": {"url": DATA_URL}},
        {"image": {"b64_json": B64}},
        {"images": [{"image_url": DATA_URL}]},
        {"images": [{"image_url": {"url": DATA_URL}}]},
        {"images": [B64]},
    ],
)
def test_json_brings_pictures_in_every_form_that_clients_write(gate: Edge, given: dict[str, Any]) -> None:
    """Bare base64, data URLs, lists, and OpenAI's newer objects."""
    response = gate.http.post(EDITS, json={"prompt": "blue", **given})
    assert response.status_code == 200, response.text
    assert gate.chat.asks[0].messages[0].parts == (Text("blue"), Blob(PNG, "image/png"))


@pytest.mark.parametrize(
    ("given", "param", "remedy"),
    [
        ({}, "image", "Add the picture"),
        ({"image": []}, "image", "Add the picture"),
        ({"mask": B64}, "image", "Add the picture"),
        ({"image": ""}, "image", "no data"),
        ({"image": 5}, "image", "expected"),
        ({"image": [5]}, "image[0]", "expected"),
        ({"image": "@@@"}, "image", "base64"),
        ({"image": "file:///etc/passwd"}, "image", "only http and https addresses and data URLs are taken"),
        ({"image": [" FTP://a.example/b.png"]}, "image[0]", "only http and https addresses and data URLs"),
        (
            {"images": [{"url": "s3://a/b.png"}]},
            "images[0].url",
            "only http and https addresses and data URLs",
        ),
        ({"image": [B64, "data:image/png;base64"]}, "image[1]", "comma"),
        ({"image": base64.b64encode(b"hello, I am text").decode()}, "image", "no picture"),
        ({"image": base64.b64encode(PNG[:20]).decode()}, "image", "whole"),
        ({"images": [{"file_id": "file-1"}]}, "images[0].file_id", "data URL"),
        ({"images": [{}]}, "images[0]", "image_url"),
        ({"image": B64, "mask": {"file_id": "f"}}, "mask.file_id", "data URL"),
        ({"image": "https://a.example/b.png"}, "image", "data URL"),
    ],
)
def test_a_picture_that_is_none_is_refused_by_its_place(
    gate: Edge, given: dict[str, Any], param: str, remedy: str
) -> None:
    """With what to do instead."""
    error = error_of(gate.http.post(EDITS, json={"prompt": "a", **given}))
    assert error["param"] == param
    assert remedy in error["message"]
    assert gate.chat.asks == []


@pytest.mark.parametrize(
    ("files", "fields", "param", "remedy"),
    [
        ([("file", ("a.png", PNG))], {}, "image", "Add the picture"),
        ([("image", ("a.png", b""))], {}, "image", "no data"),
        ([("image", ("a.png", b"text"))], {}, "image", "no picture"),
        ([("image", ("a.png", PNG[:-8]))], {}, "image", "whole"),
        ([("image[]", ("a.svg", b"<svg xmlns='x'/>", "image/svg+xml"))], {}, "image[]", "PNG"),
        ([("image", ("a.png", PNG))], {"n": "many"}, "n", "expected int"),
        ([("image", ("a.png", PNG))], {"n": "11"}, "n", "from 1 to 10"),
        ([("image", ("a.png", PNG))], {"upscale": "maybe"}, "upscale", "expected bool"),
        ([("image", ("a.png", PNG))], {"prompt": " "}, "prompt", "Write what"),
        ([("image", ("a.png", PNG))], {"prompt": ""}, "prompt", "Write what"),
        ([("image", ("a.png", PNG))], {"size": "huge"}, "size", "1536x1024"),
    ],
)
def test_a_wrong_field_of_a_form_is_named(
    gate: Edge, files: list[tuple[str, Any]], fields: dict[str, Any], param: str, remedy: str
) -> None:
    """As in JSON, by the name that the form used."""
    error = error_of(edit(gate, files, **fields))
    assert error["param"] == param
    assert remedy in error["message"]
    assert gate.chat.asks == []


@pytest.mark.parametrize("path", [EDITS, "/v1/images/edit"])
def test_another_type_of_body_is_told_both_that_are_taken(gate: Edge, path: str) -> None:
    """A form and JSON."""
    response = gate.http.post(path, content=b"x", headers={"content-type": "image/png"})
    message = error_of(response, 415)["message"]
    assert "Send a form (multipart/form-data), or JSON with 'Content-Type: application/json'" in message


def test_blanks_around_a_forms_fields_do_not_matter(gate: Edge) -> None:
    """As people type them; the prompt is left as it is."""
    files = [("image", ("a.png", PNG))]
    response = edit(
        gate, files, prompt=" blue ", n=" 2 ", upscale=" true\n", size=" 1K", user=" ", output_format=" "
    )
    assert response.status_code == 200, response.text
    assert len(gate.chat.asks) == 2
    assert gate.chat.asks[0].messages[0].parts[0] == Text(" blue ")
    assert gate.chat.asks[0].picture == PictureWish(pixels=1024, upscale=True)


def test_a_generation_with_pictures_is_an_edit(gate: Edge) -> None:
    """In `image`, `images` and `mask`, under the same rules; a mask alone belongs to nothing."""
    for given in ({"image": B64}, {"images": [DATA_URL]}):
        response = gate.http.post(GENERATIONS, json={"prompt": "blue", **given})
        assert response.status_code == 200, response.text
    masked = gate.http.post(GENERATIONS, json={"prompt": "blue", "image": B64, "mask": DATA_URL})
    assert masked.json()["usage"]["input_tokens_details"]["image_tokens"] == 2 * 258
    png = Blob(PNG, "image/png")
    assert [asked.messages[0].parts[1:] for asked in gate.chat.asks] == [(png,), (png,), (png, png)]
    refused = gate.http.post(GENERATIONS, json={"prompt": "blue", "mask": B64})
    assert error_of(refused)["param"] == "image"
    assert error_of(gate.http.post(GENERATIONS, json={"prompt": "a", "image": "@@@"}))["param"] == "image"


def test_too_many_pictures_are_refused(gate: Edge) -> None:
    """In either kind of body, and with JSON also over both fields."""
    files = [("image[]", ("a.png", PNG))] * 17
    assert error_of(edit(gate, files), 413)["param"] == "image[]"
    response = gate.http.post(EDITS, json={"prompt": "a", "image": [B64] * 17})
    assert error_of(response, 413)["param"] == "image"
    response = gate.http.post(EDITS, json={"prompt": "a", "image": [B64] * 9, "images": [B64] * 9})
    assert error_of(response, 413)["param"] == "images"


def test_a_form_that_is_cut_off_or_none_is_400(gate: Edge) -> None:
    """And the connection serves on."""
    headers = {"content-type": "multipart/form-data; boundary=X"}
    for raw, says in (
        (b"", "cut off"),
        (b'--X\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na\r\n', "cut off"),
        (b"--X\nContent-Disposition: form-data\n\na\n--X--\n", "not valid"),
    ):
        assert says in error_of(gate.http.post(EDITS, content=raw, headers=headers))["message"]
    response = gate.http.post(EDITS, content=b"--X--\r\n", headers={"content-type": "multipart/form-data"})
    assert error_of(response)["param"] == "Content-Type"
    response = gate.http.post(EDITS, content=b"--X--\r\n", headers=headers)
    assert error_of(response)["param"] == "prompt"
    response = gate.http.post(EDITS, content=b"x", headers={**headers, "content-encoding": "gzip"})
    assert error_of(response, 415)["param"] == "Content-Encoding"


def test_a_form_beyond_the_bodys_bound_is_413(gate: Edge) -> None:
    """With and without its length told."""
    raw = b'--X\r\nContent-Disposition: form-data; name="image"; filename=a\r\n\r\n' + b"x" * 300_000
    headers = {"content-type": "multipart/form-data; boundary=X"}
    assert "200000 bytes" in error_of(gate.http.post(EDITS, content=raw, headers=headers), 413)["message"]
    with httpx.Client(base_url=gate.url) as client:
        response = client.post(EDITS, content=iter([raw[:150_000], raw[150_000:]]), headers=headers)
        error_of(response, 413)
