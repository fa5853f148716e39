"""Pictures that callers send: what passes as it is, what is refused, and in which words."""

import base64
import contextlib
import io
import random
import struct
import time
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.chat import Blob
from core.errors import InvalidRequest, RequestTooLarge, UnsupportedMedia
from routes import media

FIELD = "images[0]"


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


@cache
def samples() -> dict[str, bytes]:
    """One of each kind that there is."""
    noise = random.Random(1)  # noqa: S311 - the same at every run
    colours = Image.frombytes("RGB", (40, 30), noise.randbytes(3600))
    frames = [Image.frombytes("RGB", (40, 30), noise.randbytes(3600)) for _ in range(3)]
    preview = saved(colours.resize((8, 6)), "JPEG")
    exif = b"\xff\xe1" + struct.pack(">H", len(preview) + 8) + b"Exif\0\0" + preview
    jpeg = saved(colours, "JPEG")
    return {
        "png": saved(colours, "PNG"),
        "png, palette": saved(colours.convert("P"), "PNG"),
        "png, alpha": saved(colours.convert("RGBA"), "PNG"),
        "png, 16 bit": saved(Image.new("I;16", (40, 30), 40_000), "PNG"),
        "png, 1 bit": saved(colours.convert("1"), "PNG"),
        "png, 1x1": saved(Image.new("RGB", (1, 1)), "PNG"),
        "png, animated": saved(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "jpeg": jpeg,
        "jpeg, progressive": saved(colours, "JPEG", progressive=True),
        "jpeg, cmyk": saved(colours.convert("CMYK"), "JPEG"),
        "jpeg, grey": saved(colours.convert("L"), "JPEG"),
        "jpeg, with a preview": jpeg[:2] + exif + jpeg[2:],
        "jpeg, filled": jpeg[:2] + b"\xff\xff" + jpeg[2:],
        "jpeg, more behind": jpeg + b"a film",
        "jpeg, odd bytes between": jpeg[:20] + b"odd" + jpeg[20:] + b"\0\0",
        "webp": saved(colours, "WEBP"),
        "webp, lossless": saved(colours, "WEBP", lossless=True),
        "webp, alpha": saved(colours.convert("RGBA"), "WEBP"),
        "webp, animated": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "gif": saved(colours, "GIF"),
        "gif, animated": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "gif, filled": saved(colours, "GIF") + b"\0" * 7,
        "bmp": saved(colours, "BMP"),
        "tiff": saved(colours, "TIFF"),
        "avif": saved(colours, "AVIF"),
        "heic": b"\0\0\0\x18ftypheic" + bytes(100),
    }


NAMES = list(samples())


def mime_of(name: str) -> str:
    return "image/" + name.partition(",")[0]


BOUNDED = [name for name in NAMES if name.partition(",")[0] in ("png", "jpeg", "webp", "gif")]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_picture_passes_as_it_is(name: str) -> None:
    """Its bytes are not touched; its type is the true one, whatever the caller called it."""
    data = samples()[name]
    for declared in ("image/png", "image/x-odd", "application/octet-stream", ""):
        found = media.picture_from_bytes(data, FIELD, declared, "a.png")
        assert (found.data, found.name) == (data, "a.png")
        assert found.mime == mime_of(name)


@pytest.mark.parametrize(
    "name", [name for name in BOUNDED if not name.endswith(("filled", "behind", "between"))]
)
@given(st.data())
def test_a_picture_that_is_cut_off_is_refused(name: str, data: st.DataObject) -> None:
    """Wherever it was cut: nobody is told about a picture of which the model saw half."""
    whole = samples()[name]
    last = len(whole) - (
        8 if name.startswith("png") else 1
    )  # the last 8 of a PNG are the end's name and its sum
    cut = data.draw(st.integers(1, last))
    with pytest.raises((InvalidRequest, UnsupportedMedia)) as caught:
        media.picture_from_bytes(whole[:cut], FIELD, "image/png")
    assert caught.value.param == FIELD
    assert f"'{FIELD}'" in caught.value.message


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "gif"])
def test_what_is_cut_off_is_called_so(name: str) -> None:
    """400, with the remedy."""
    whole = samples()[name]
    with pytest.raises(InvalidRequest, match=r"is cut off: its end is missing\. Send the whole file\."):
        media.picture_from_bytes(whole[: len(whole) // 2], FIELD)


@given(st.binary(max_size=200), st.sampled_from([data[:12] for data in samples().values()]))
def test_any_bytes_are_a_picture_or_name_the_field(rest: bytes, head: bytes) -> None:
    """Never another error."""
    try:
        found = media.picture_from_bytes(head + rest, FIELD, "image/png")
    except (InvalidRequest, UnsupportedMedia) as error:
        assert error.param == FIELD
    else:
        assert found.mime.startswith("image/")


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', ""),
        (b'\xef\xbb\xbf <?xml version="1.0"?><svg/>', "image/png"),
        (b"<!-- drawn --><svg/>", ""),
        (b"<!DOCTYPE svg><svg/>", "image/svg+xml; charset=utf-8"),
        (b"\x1f\x8b gzipped", "image/svg+xml"),
    ],
)
def test_a_drawing_is_refused_with_the_remedy(data: bytes, declared: str) -> None:
    """The model cannot see SVG."""
    with pytest.raises(InvalidRequest, match=r"SVG drawing, which the model cannot see\. Send it as PNG"):
        media.picture_from_bytes(data, FIELD, declared)


def test_the_source_of_a_drawing_may_be_sent_as_text() -> None:
    """It is a file like others then."""
    assert media.checked(b"<svg/>", "text/plain", FIELD) == Blob(b"<svg/>", "text/plain")


def bomb(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(30) + b"IEND"


def test_pixels_are_bounded_by_the_header_alone() -> None:
    """A small file of a huge picture is refused before anybody decodes it."""
    assert media.picture_from_bytes(bomb(10_000, 10_000), FIELD).mime == "image/png"
    for width, height in ((10_001, 10_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(InvalidRequest, match="Scale it down"):
            media.picture_from_bytes(bomb(width, height), FIELD)


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a\1\0\1\0\0\0\0!\xff" + b"\1a" * 10_000_000,
        b"\xff\xd8" + b"\xff" * 20_000_000,
        b"\xff\xd8" + b"\xff\xe0\0\2" * 5_000_000,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1" + b"IEN" * 7_000_000,
    ],
    ids=["gif", "jpeg, filled", "jpeg, of nothing", "png"],
)
def test_a_file_made_of_tiny_pieces_costs_no_seconds(data: bytes) -> None:
    """How far a file is followed is bounded, whatever it is found to be."""
    before = time.process_time()
    with contextlib.suppress(InvalidRequest):
        media.picture_from_bytes(data, FIELD)
    assert time.process_time() - before < 1.0  # without a bound it takes five


FORMS = [
    "{standard}",
    "{safe}",
    "data:image/png;base64,{standard}",
    "data:;base64,{safe}",
    "DATA:image/jpeg;name=a.png;BASE64,{standard}",
    "image/png;base64,{standard}",
    "base64,{standard}",
    "  {standard}\n",
]


@given(st.sampled_from(NAMES), st.sampled_from(FORMS), st.booleans(), st.integers(20, 100))
def test_a_picture_as_text_in_any_clothing_is_the_same(
    name: str, form: str, padded: bool, width: int
) -> None:
    """Base64 of either alphabet, padded or not, in lines, bare or behind whatever prefix."""
    data = samples()[name]
    text = base64.b64encode(data).decode()
    if not padded:
        text = text.rstrip("=")
    lines = "\r\n".join(text[i : i + width] for i in range(0, len(text), width))
    found = media.picture_from_text(
        form.format(standard=lines, safe=lines.replace("+", "-").replace("/", "_")), FIELD
    )
    assert found == Blob(data, mime_of(name))


@given(st.text() | st.binary().map(lambda data: base64.b64encode(data).decode()))
def test_any_text_is_a_picture_or_names_the_field(text: str) -> None:
    """Never another error."""
    try:
        media.picture_from_text(text, FIELD)
    except (InvalidRequest, UnsupportedMedia, RequestTooLarge) as error:
        assert error.param == FIELD
        assert f"'{FIELD}'" in error.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no data"),
        ("   ", "holds no data"),
        ("data:image/png;base64,", "holds no data"),
        ("data:image/png;base64", "no comma"),
        ("pictures/cat.png?", "not valid base64"),
        (base64.b64encode(b"hello world, I am text").decode(), "no picture that can be read"),
        ("data:text/plain,hello", "no picture that can be read"),
        (
            "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7").decode(),
            "no picture that can be read",
        ),
    ],
)
def test_text_that_is_no_picture_is_refused(text: str, words: str) -> None:
    """400, naming the field."""
    with pytest.raises(InvalidRequest, match=words):
        media.picture_from_text(text, FIELD)
