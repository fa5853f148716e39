"""Files in, files out: formats and metadata stay, and what cannot be read comes back as it is."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from benchmarks import watermark_samples as samples
from watermark import clean_bytes, declare
from watermark.provenance import SOURCE_TYPE


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

    for slot in {slot.kind: slot for slot in samples.SLOTS}.values():
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


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_two_logos_are_both_removed(format: str) -> None:
    """One at each place; the second run finds nothing more."""
    clean = samples.texture("smooth", 9, 500, 520)
    picture = samples.stamp(samples.stamp(clean, "v1", 48, (32, 32)), "v1", 96, (192, 192))
    data = samples.encode(picture, format, **({} if format == "PNG" else {"quality": 92}))
    result = clean_bytes(data)
    assert clean_bytes(result.data).data is result.data
    for size, margin in ((48, 32), (96, 192)):
        after = samples.decode(result.data)
        assert samples.box_psnr(clean, after, size, (margin, margin)) > 32


@pytest.mark.parametrize(
    ("format", "options"), [("PNG", {}), ("JPEG", {"quality": 90}), ("WEBP", {"quality": 90})]
)
def test_metadata_survives_the_removal(format: str, options: dict[str, object]) -> None:
    """ICC, EXIF with its orientation, and another program's XMP stay; the origin is added to that XMP."""
    exif = Image.Exif()
    exif[0x0112] = 6
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:format>theirs</dc:format>'
        b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    _, picture = marked()
    extra: dict[str, object] = {"icc_profile": b"profile" * 50, "exif": exif.tobytes()}
    if format == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        extra["pnginfo"] = info
    else:
        extra["xmp"] = packet
    data = samples.encode(picture, format, **options, **extra)
    result = clean_bytes(data)
    assert result.verdict.found
    with Image.open(io.BytesIO(declare(result.data))) as after:
        after.load()
        assert after.format == format
        assert after.info["icc_profile"] == b"profile" * 50
        assert after.getexif()[0x0112] == 6
        said = repr(after.info.get("xmp") or after.info["XML:com.adobe.xmp"])
        assert "theirs" in said
        assert SOURCE_TYPE in said


@pytest.mark.parametrize(
    "options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, {"mode": "L"}]
)
def test_jpeg_keeps_how_it_was_coded(options: dict[str, object]) -> None:
    """Tables, sampling and order of coding stay, odd sizes too, and what lies apart from the logo hardly moves."""
    clean = samples.texture("fractal", 8, 401, 433)
    picture = samples.stamp(clean, "v1", 96, (64, 64))
    image = Image.fromarray(picture[..., ::-1])
    if options.pop("mode", "") == "L":
        image = image.convert("L")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, **options)
    result = clean_bytes(out.getvalue())
    assert result.verdict.found
    with Image.open(io.BytesIO(out.getvalue())) as before, Image.open(io.BytesIO(result.data)) as after:
        assert (after.mode, after.size) == (before.mode, before.size)
        assert after.quantization == before.quantization
        assert after.info.get("progressive") == before.info.get("progressive")
        shift = np.abs(np.asarray(after).astype(int) - np.asarray(before))
    shift[-180:, -180:] = 0
    assert shift.mean() < 0.1
    # Of progressive files the unseen rest of the last blocks is not at hand, and is made anew.
    assert shift[:-16, :-16].max() <= 3
    assert options.get("progressive") or shift.max() <= 3


def test_unknown_samplings_are_left_alone() -> None:
    """Colour at another size than whole or half, and JPEG that codes red, green and blue, come back as they are."""
    _, picture = marked()
    for options in ({"subsampling": 1}, {"keep_rgb": True}):
        data = samples.encode(picture, "JPEG", **options)
        result = clean_bytes(data)
        assert result.data is data
        assert result.verdict.reason == "unsupported"


def _files() -> list[bytes]:
    picture = samples.stamp(samples.texture("fractal", 6, 120, 130), "v1", 48, (32, 32))
    colours = Image.fromarray(picture[..., ::-1])
    files = [
        samples.encode(picture, format, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")
        for format in ("PNG", "JPEG", "WEBP")
    ]
    files.append(samples.encode(picture, "JPEG", progressive=True, icc_profile=b"p" * 300))
    files.append(samples.encode(picture, "WEBP", lossless=True))
    for mode in ("P", "RGBA", "LA", "CMYK"):
        out = io.BytesIO()
        colours.convert(mode).save(out, "JPEG" if mode == "CMYK" else "PNG")
        files.append(out.getvalue())
    return files


FILES = _files()
EDITS = st.lists(
    st.tuples(st.integers(0, 30_000), st.binary(max_size=6), st.integers(0, 9)), min_size=1, max_size=6
)


# What Pillow says of damaged EXIF as a warning is no failure.
@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FILES), EDITS)
def test_mutated_files_never_crash(data: bytes, edits: list[tuple[int, bytes, int]]) -> None:
    """Whatever is overwritten, put in or cut out: a verdict, and either the same bytes or a picture."""
    for place, put, cut in edits:
        at = place % (len(data) + 1)
        data = data[:at] + put + data[at + cut :]
    result = clean_bytes(data)
    declare(data)
    if result.data is not data:
        assert result.verdict.found
        with Image.open(io.BytesIO(result.data)) as after:
            after.load()
