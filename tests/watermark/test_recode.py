"""Pictures in another format or size: what is kept, what is said, what is refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import watermark_samples as samples
from core.pictures import measure
from watermark import clean_bytes, reformat
from watermark.provenance import SOURCE_TYPE

MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("source", MIMES)
@pytest.mark.parametrize("target", MIMES)
def test_every_format_becomes_every_other(source: str, target: str) -> None:
    """The size is as wished, ICC and EXIF stay, the origin is declared once, and the picture is the same one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = samples.texture("smooth", 3, 90, 120)
    data = samples.encode(picture, source, icc_profile=b"profile" * 40, exif=exif.tobytes())
    for long_side, size in ((0, (120, 90)), (240, (240, 180)), (40, (40, 30))):
        result = reformat(data, MIMES[target], 95, long_side)
        found = measure(result)
        assert found is not None
        assert (found.format, found.width, found.height) == (MIMES[target], *size)
        after = opened(result)
        assert after.info["icc_profile"] == b"profile" * 40
        assert after.getexif()[0x0112] == 6
        assert repr(after.info).count(SOURCE_TYPE) >= 1
        assert result.count(SOURCE_TYPE.encode()) == 1
        back = np.asarray(after.convert("RGB").resize((120, 90)))[..., ::-1].astype(int)
        assert np.abs(back - picture).mean() < 3


def test_a_png_is_written_without_loss() -> None:
    """Grey, colour and alpha come out value for value, however the rows are filtered."""
    for kind in samples.TEXTURES:
        picture = samples.texture(kind, 4, 70, 50)
        for pixels in (picture, picture.transpose(1, 0, 2)):
            for mode in ("L", "RGB", "RGBA"):
                image = Image.fromarray(np.ascontiguousarray(pixels)).convert(mode)
                out = io.BytesIO()
                image.save(out, "WEBP", lossless=True, exact=True)
                want = np.asarray(opened(out.getvalue()).convert(mode))
                after = opened(reformat(out.getvalue(), "image/png"))
                assert np.array_equal(np.asarray(after.convert(mode)), want)


def test_a_picture_that_is_right_is_not_coded_again() -> None:
    """Same format and size: only its origin is added; a lower quality is obeyed where that saves something."""
    for format, mime in MIMES.items():
        data = samples.encode(samples.texture("fractal", 5, 80, 80), format)
        result = reformat(data, mime, long_side=80)
        assert np.array_equal(np.asarray(opened(result)), np.asarray(opened(data)))
        assert reformat(result, mime) == result
        if format != "PNG":
            assert len(reformat(data, mime, quality=20)) < len(data) / 1.5
            small = samples.encode(samples.texture("fractal", 5, 80, 80), format, quality=5)
            assert np.array_equal(np.asarray(opened(reformat(small, mime, 60))), np.asarray(opened(small)))


def test_transparency_is_kept_or_becomes_white() -> None:
    """PNG and WebP keep it through resizing without fringes; JPEG shows white."""
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[10:30, 10:30] = (200, 30, 60, 255)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    large = np.asarray(opened(reformat(out.getvalue(), "image/png", long_side=80)))
    assert large[0, 0, 3] == 0
    assert np.abs(large[large[..., 3] > 60][:, :3].astype(int) - (200, 30, 60)).max() <= 2
    flat = np.asarray(opened(reformat(out.getvalue(), "image/jpeg", 95)))
    assert flat[0, 0].min() >= 252
    assert opened(reformat(out.getvalue(), "image/webp")).mode == "RGBA"


def test_rare_kinds_of_pixels_are_read() -> None:
    """Palette, 16 bits, one bit, grey with alpha and CMYK become plain pictures."""
    colour = Image.fromarray(samples.texture("colour", 6, 60, 64)[..., ::-1])
    for mode, format in (
        ("P", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("I;16", "PNG"), ("CMYK", "JPEG"), ("L", "JPEG"),
    ):  # fmt: skip
        out = io.BytesIO()
        grey = np.asarray(colour.convert("L")).astype(np.uint16) * 257
        (Image.fromarray(grey) if mode == "I;16" else colour.convert(mode)).save(out, format)
        for mime in MIMES.values():
            after = opened(reformat(out.getvalue(), mime, 95, long_side=128))
            assert after.size == (128, 120), mode
            if mode != "1":
                wanted = np.asarray(colour.convert("L").resize((128, 120))).astype(int)
                assert np.abs(np.asarray(after.convert("L")) - wanted).mean() < 12, mode


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("image/gif",), "format: image/gif cannot be written"),
        (("image/png", 0), "quality: 0 is not between"),
        (("image/png", 90, 9000), "size: the long side"),
        (("image/png", 90, 8000, 10_000_000), "more than 10000000 pixels"),
    ],
)
def test_wrong_wishes_are_named(arguments: tuple[object, ...], words: str) -> None:
    """The message says which wish cannot be met and what can."""
    data = samples.encode(samples.texture("smooth", 3, 90, 120), "PNG")
    with pytest.raises(ValueError, match=words):
        reformat(data, *arguments)  # type: ignore[arg-type]


def test_what_is_no_picture_is_refused() -> None:
    """Text, animations and broken files raise ValueError with words for the caller."""
    image = Image.fromarray(samples.texture("smooth", 3, 90, 120))
    out = io.BytesIO()
    image.save(out, "WEBP", save_all=True, append_images=[image.rotate(180)])
    with pytest.raises(ValueError, match="animation"):
        reformat(out.getvalue(), "image/png")
    with pytest.raises(ValueError, match="not a PNG, JPEG or WebP"):
        reformat(b"text", "image/png")
    data = samples.encode(samples.texture("fractal", 3, 90, 120), "PNG")
    with pytest.raises(ValueError, match="damaged"):
        reformat(data[: len(data) // 2], "image/jpeg")


@given(st.sampled_from(list(MIMES)), st.integers(0, 3000), st.integers(0, 255))
def test_damage_is_a_value_error_at_most(format: str, at: int, value: int) -> None:
    """A file cut off or with a wrong byte anywhere is read as well as it can be, or refused in words."""
    data = samples.encode(samples.texture("fractal", 6, 50, 60), format)
    for damaged in (data[:at], data[:at] + bytes([value]) + data[at + 1 :]):
        try:
            result = reformat(damaged, "image/jpeg" if format == "PNG" else "image/png")
        except ValueError as problem:
            assert str(problem)
        else:
            assert measure(result)


def test_the_logo_is_gone_before_the_picture_is_enlarged() -> None:
    """Cleaning and then enlarging gives what enlarging the unmarked picture gives, within a level or two."""
    clean = samples.texture("fractal", 7, 300, 320)
    marked = samples.encode(samples.stamp(clean, "v1", 48, (32, 32)), "PNG")
    large = reformat(clean_bytes(marked).data, "image/png", long_side=640)
    wanted = reformat(samples.encode(clean, "PNG"), "image/png", long_side=640)
    assert np.abs(samples.decode(large).astype(int) - samples.decode(wanted)).max() <= 3
