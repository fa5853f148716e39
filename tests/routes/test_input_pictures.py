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
from core.pictures import dimensions
from routes import media
from tests.support.files import png

FIELD = "images[0]"


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def upside_down(bitmap: bytes) -> bytes:
    return bitmap[:22] + struct.pack("<i", -30) + bitmap[26:]


def old_bitmap(width: int, height: int) -> bytes:
    rows = (width * 24 + 31) // 32 * 4 * height
    return (
        b"BM" + struct.pack("<IIIIHHHH", 0, 0, 26, 12, width, height, 1, 24) + bytes(rows)
    )  # its size is left out


def motorola(width: int, height: int) -> bytes:
    """The most significant byte first, its directory behind its two strips."""
    half = width * height // 2
    tags = [(256, 3, 1, width << 16), (257, 4, 1, height), (273, 4, 2, 8), (279, 3, 2, half << 16 | half)]
    entries = b"".join(struct.pack(">HHII", *tag) for tag in tags)
    strips = struct.pack(">II", 16, 16 + half)
    return (
        b"MM\0*"
        + struct.pack(">I", 16 + 2 * half)
        + strips
        + bytes(2 * half)
        + struct.pack(">H", 4)
        + entries
        + bytes(4)
    )


def box(kind: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I", 8 + len(inside)) + kind + inside


def heic(width: int, height: int, *, first: bool = False, inside: bool = False) -> bytes:
    """As much of one as is looked at. first: the data stands before its description; inside: within it."""
    half = (width // 2, height // 2)
    sizes = [box(b"ispe", struct.pack(">III", 0, *size)) for size in (half, (width, height), half)]
    described = box(b"iprp", box(b"ipco", *sizes))
    if inside:
        return box(b"ftyp", b"heic" + bytes(4)) + box(b"meta", bytes(4), described, box(b"idat", bytes(40)))
    rest = [box(b"meta", bytes(4), described), box(b"mdat", bytes(100))]
    return box(b"ftyp", b"heic" + bytes(4)) + b"".join(reversed(rest) if first else rest)


def sequence(width: int, height: int) -> bytes:
    """Pictures in a track, without any description but its own."""
    header = box(b"tkhd", bytes(76), struct.pack(">II", width << 16, height << 16))
    return box(b"ftyp", b"msf1" + bytes(4)) + box(b"moov", box(b"trak", header)) + box(b"mdat", bytes(50))


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
        "bmp, palette": saved(colours.convert("P"), "BMP"),
        "bmp, 1 bit": saved(colours.convert("1"), "BMP"),
        "bmp, downwards": upside_down(saved(colours, "BMP")),
        "bmp, old": old_bitmap(40, 30),
        "tiff": saved(colours, "TIFF"),
        "tiff, packed": saved(colours, "TIFF", compression="tiff_lzw"),
        "tiff, Motorola's": motorola(40, 30),
        "tiff, pages": saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "avif, animated": saved(frames[0], "AVIF", save_all=True, append_images=frames[1:]),
        "avif": saved(colours, "AVIF"),
        "heic": heic(40, 30),
        "heic, data first": heic(40, 30, first=True),
        "heic, small": heic(40, 30, inside=True),
        "heif, a sequence": sequence(40, 30),
    }


NAMES = list(samples())


def mime_of(name: str) -> str:
    return "image/" + name.partition(",")[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_picture_passes_as_it_is(name: str) -> None:
    """Its bytes are not touched; its type is the true one, whatever the caller called it."""
    data = samples()[name]
    for declared in ("image/png", "image/x-odd", "application/octet-stream", ""):
        found = media.picture_from_bytes(data, FIELD, declared, "a.png")
        assert (found.data, found.name) == (data, "a.png")
        assert found.mime == mime_of(name)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not name.endswith(("filled", "behind", "between", "pages"))]
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


@pytest.mark.parametrize("name", NAMES)
def test_the_header_tells_the_size(name: str) -> None:
    """Of every kind, without decoding anything."""
    assert dimensions(samples()[name]) == ((1, 1) if name == "png, 1x1" else (40, 30))


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif", "heic"])
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


def test_pixels_are_bounded_by_the_header_alone() -> None:
    """A small file of a huge picture is refused before anybody decodes it."""
    assert media.picture_from_bytes(png(10_000, 10_000), FIELD).mime == "image/png"
    for width, height in ((10_001, 10_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(InvalidRequest, match="Scale it down"):
            media.picture_from_bytes(png(width, height), FIELD)


BOMBS = {
    "bmp": lambda w, h: (old := samples()["bmp"])[:18] + struct.pack("<ii", w, h) + old[26:],
    "bmp, downwards": lambda w, h: (old := samples()["bmp"])[:18] + struct.pack("<ii", w, -h) + old[26:],
    "tiff": lambda w, h: retagged(samples()["tiff"], w, h),
    "heic": heic,
    "avif": lambda w, h: samples()["avif"].replace(struct.pack(">II", 40, 30), struct.pack(">II", w, h)),
    "jpeg": lambda w, h: samples()["jpeg"].replace(struct.pack(">HH", 30, 40), struct.pack(">HH", h, w)),
    "gif": lambda w, h: b"GIF89a" + struct.pack("<HH", w, h) + samples()["gif"][10:],
    "png": png,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_pixels_are_bounded_in_every_kind(kind: str) -> None:
    """Whatever else the file holds."""
    with pytest.raises(InvalidRequest, match="20000 x 20000 pixels"):
        media.picture_from_bytes(BOMBS[kind](20_000, 20_000), FIELD)


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("size", [(0, 30), (40, 0), (0, 0)])
def test_without_pixels_it_is_no_picture(kind: str, size: tuple[int, int]) -> None:
    """A side of nought is told in plain words."""
    data = BOMBS[kind](*size)
    assert dimensions(data) is None
    with pytest.raises(InvalidRequest, match="is no picture that can be read: its header"):
        media.picture_from_bytes(data, FIELD)


def retagged(tiff: bytes, width: int, height: int) -> bytes:
    tags = struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 257, 4, 1)
    for tag, side in zip(tags, (width, height), strict=True):
        at = tiff.index(tag)
        tiff = tiff[: at + 8] + struct.pack("<I", side) + tiff[at + 12 :]
    return tiff


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (box(b"ftyp", b"heic" + bytes(4)), "cut off"),
        (box(b"ftyp", b"avif" + bytes(4)) + box(b"mdat", bytes(100)), "cut off"),
        (heic(40, 30)[: -8 - 100], "cut off"),
        (box(b"ftyp", b"heic") + box(b"meta", bytes(4)) + box(b"mdat", b"x"), "tells no size"),
        (png(4, 4).replace(b"IDAT", b"tEXt"), "cut off"),
        (b"II*\0" + struct.pack("<I", 5000) + bytes(4000), "cut off"),
        (b"MM\0*" + struct.pack(">I", 8) + bytes(40), "tells no size"),
        (b"II*\0" + bytes(100), "cut off"),
        (b"RIFF" + struct.pack("<I", 40) + b"WEBPjunk" + bytes(40), "tells no size"),
        (samples()["jpeg"][:20] + b"\xff\xda\0\0\xff\xd9", "tells no size"),
    ],
    ids=["heic, only its type", "avif, not described", "heic, no data", "heic, no sizes", "png, no pixels",
         "tiff, directory beyond", "tiff, empty", "tiff, directory in the head", "webp, of nothing", "jpeg, no frame"],
)  # fmt: skip
def test_half_a_picture_is_none(data: bytes, words: str) -> None:
    """The right type at the beginning proves little."""
    with pytest.raises(InvalidRequest, match=words) as caught:
        media.picture_from_bytes(data, FIELD)
    assert caught.value.param == FIELD


@pytest.mark.parametrize(
    "rest", [b"\0" * 40, b"\0\0\0\x08skip", b"<<more of a phone's>>", box(b"mpvd", bytes(9))]
)
def test_phones_put_more_behind_their_pictures(rest: bytes) -> None:
    """A film or a trailer behind the picture's own boxes does not make it half a one."""
    assert media.picture_from_bytes(heic(40, 30) + rest, FIELD).mime == "image/heic"


@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=20),
    st.data(),
)
def test_a_damaged_picture_passes_or_is_refused(
    name: str, damage: list[tuple[int, int]], data: st.DataObject
) -> None:
    """With bytes changed in its header and cut anywhere: never another error, never more pixels than the bound."""
    changed = bytearray(samples()[name])
    for at, byte in damage:
        changed[at % len(changed)] = byte
    cut = bytes(changed[: data.draw(st.integers(1, len(changed)))])
    try:
        media.picture_from_bytes(cut, FIELD)
    except InvalidRequest as error:
        assert error.param == FIELD
    else:
        width, height = dimensions(cut) or (0, 0)
        assert 1 <= width * height <= media.MAX_PIXELS


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a\1\0\1\0\0\0\0!\xff" + b"\1a" * 10_000_000,
        b"\xff\xd8" + b"\xff" * 20_000_000,
        b"\xff\xd8" + b"\xff\xe0\0\2" * 5_000_000,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1" + b"IEN" * 7_000_000,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1" + bytes(20_000_000) + b"IEND",
        box(b"ftyp", b"heic") + b"\0\0\0\x08free" * 2_500_000,
        box(b"ftyp", b"heic") + box(b"meta", bytes(4), b"\0\0\0\x08ipco" * 2_500_000),
        box(b"ftyp", b"avif") + box(b"meta", bytes(4), b"\0\0\0\x08free" * 500_000) * 5,
        b"\0\0\0\x08ftypheic" + b"\0\0\0\0meta" * 2_500_000,
        b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 273, 4, 5_000_000, 0) * 65_535 + bytes(19_300_000),
        b"II*\0\x08\0\0\0\2\0"
        + struct.pack("<HHIIHHII", 273, 4, 4_999_000, 0, 279, 4, 4_999_000, 0)
        + bytes(20_000_000),
    ],
    ids=[
        "gif",
        "jpeg, filled",
        "jpeg, of nothing",
        "png",
        "png, of nothing",
        "heic",
        "heic, deep",
        "avif, five times",
        "heic, in one another",
        "tiff",
        "tiff, strips",
    ],
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
