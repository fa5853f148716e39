"""Files in, files out: formats and metadata stay, and what cannot be read comes back as it is."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import watermark_samples as samples
from watermark import clean_bytes


def marked(
    texture: str = "fractal", kind: str = "v1", size: int = 96, margin: int = 64
) -> tuple[samples.Bytes, samples.Bytes]:
    clean = samples.texture(texture, 5, 700, 640)
    return clean, samples.stamp(clean, kind, size, (margin, margin))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("level", [0, 6])
def test_png_changes_nothing_but_the_logo(mode: str, level: int) -> None:
    """Pixels outside the box, alpha, ICC and text stay; a second run returns the same bytes."""
    clean, picture = marked()
    image = Image.fromarray(picture[..., ::-1]).convert(mode)
    if mode == "L":
        grey = np.asarray(Image.fromarray(clean[..., ::-1]).convert("L"))
        image = Image.fromarray(samples.stamp(np.stack([grey] * 3, -1), "v1", 96, (64, 64))[..., 0])
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=level, icc_profile=b"icc" * 60)
    result = clean_bytes(out.getvalue())
    assert result.verdict.found
    with Image.open(io.BytesIO(result.data)) as after:
        assert after.mode == mode
        assert after.info["icc_profile"] == b"icc" * 60
        changed = np.asarray(after).astype(int) - np.asarray(image)
    inside = np.zeros(changed.shape[:2], bool)
    inside[-160:-64, -160:-64] = True
    assert changed[inside].any()
    assert not changed[~inside].any()
    assert clean_bytes(result.data).data is result.data


def test_png_and_pixels_agree() -> None:
    """The file's way and the array's way give the same picture."""
    from watermark import clean_pixels

    for slot in samples.SLOTS:
        _, picture = marked("colour", slot.kind, slot.size, slot.margin)
        result = clean_bytes(samples.encode(picture, "PNG"))
        assert np.array_equal(samples.decode(result.data), clean_pixels(picture).pixels)


def test_webp_lossless_is_exact() -> None:
    """Lossless stays lossless, and only the box changes."""
    _, picture = marked("colour")
    result = clean_bytes(samples.encode(picture, "WEBP", lossless=True))
    assert result.verdict.found
    after = samples.decode(result.data)
    after[-160:-64, -160:-64] = picture[-160:-64, -160:-64]
    assert np.array_equal(after, picture)


@pytest.mark.parametrize(("format", "quality"), [("JPEG", 95), ("WEBP", 90)])
def test_a_coded_logo_is_bettered(format: str, quality: int) -> None:
    """A V1 logo that was coded with loss is found, and the box is nearer to the original by 10 dB and more."""
    clean, picture = marked("fractal")
    data = samples.encode(picture, format, quality=quality)
    result = clean_bytes(data)
    assert (result.verdict.kind, result.verdict.size) == ("v1", 96)
    before = samples.box_psnr(clean, samples.decode(data), 96, (64, 64))
    assert samples.box_psnr(clean, samples.decode(result.data), 96, (64, 64)) > before + 10
    assert clean_bytes(result.data).data is result.data


def _unsupported() -> dict[str, bytes]:
    _, picture = marked()
    image = Image.fromarray(picture[..., ::-1])
    files = {}

    def save(name: str, what: Image.Image, format: str, **options: object) -> None:
        out = io.BytesIO()
        what.save(out, format, **options)
        files[name] = out.getvalue()

    save("palette", image.convert("P"), "PNG")
    save("cmyk", image.convert("CMYK"), "JPEG")
    save("sixteen bits", Image.fromarray(np.zeros((60, 60), np.uint16)), "PNG")
    save("gif", image, "GIF")
    save("animated png", image, "PNG", save_all=True, append_images=[image.rotate(180)])
    save("animated webp", image, "WEBP", save_all=True, append_images=[image.rotate(180)])
    clear = image.convert("RGBA")
    clear.putalpha(100)
    save("transparent", clear, "PNG")
    for format in ("PNG", "JPEG", "WEBP"):
        save(f"1x1 {format}", Image.new("RGB", (1, 1)), format)
    files["text"] = b"not a picture"
    files["nothing"] = b""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    files["bomb"] = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + crc
    return files


def test_what_cannot_be_read_comes_back() -> None:
    """Each is the very same bytes, with a reason other than that there is no logo."""
    for name, data in _unsupported().items():
        result = clean_bytes(data)
        assert result.data is data, name
        expected = {"bomb": "too_many_pixels", "transparent": "transparent"}.get(name, "")
        if name.startswith("animated"):
            expected = "animated"
        if name.startswith("1x1"):
            expected = "too_small"
        assert result.verdict.reason == (expected or "unsupported"), name


@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.integers(0, 3000), st.integers(0, 255))
def test_damage_never_crashes(format: str, at: int, value: int) -> None:
    """A file cut off or with a wrong byte anywhere gives an answer."""
    data = samples.encode(samples.texture("fractal", 6, 90, 90), format)
    for damaged in (data[:at], data[:at] + bytes([value]) + data[at + 1 :]):
        assert clean_bytes(damaged).data is damaged
