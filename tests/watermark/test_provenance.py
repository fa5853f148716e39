"""What files say about their origin, put in without touching their pixels."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import watermark_samples as samples
from watermark import declare
from watermark.provenance import SOURCE_TYPE, merged

FORMATS = [("PNG", {}), ("JPEG", {"quality": 90}), ("WEBP", {"quality": 90}), ("WEBP", {"lossless": True})]
OTHER = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:format>x</dc:format>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize(("format", "options"), FORMATS)
def test_the_origin_is_said_once(format: str, options: dict[str, object]) -> None:
    """A reader finds the source type, the pixels, the ICC profile and EXIF are those of before; again adds nothing."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = samples.texture("fractal", 1, 60, 70)
    for extra in ({}, {"icc_profile": b"profile" * 50, "exif": exif.tobytes()}):
        data = samples.encode(picture, format, **options, **extra)
        said = declare(data)
        with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(said)) as after:
            assert SOURCE_TYPE in repr(after.info)
            assert np.array_equal(np.asarray(before), np.asarray(after))
            assert before.info.get("icc_profile") == after.info.get("icc_profile")
            assert before.getexif().get(0x0112) == after.getexif().get(0x0112)
        assert declare(said) is said


@pytest.mark.parametrize(("format", "options"), FORMATS[1:])
def test_a_packet_that_is_there_is_extended(format: str, options: dict[str, object]) -> None:
    """What another program wrote stays beside the source type."""
    said = declare(samples.encode(samples.texture("smooth", 2, 40, 40), format, xmp=OTHER, **options))
    with Image.open(io.BytesIO(said)) as picture:
        assert SOURCE_TYPE in repr(picture.info["xmp"])
        assert "dc:format" in picture.info["xmp"].decode()
    assert declare(said) is said


@pytest.mark.parametrize(
    "packet",
    [
        b"<rdf:RDF><rdf:Description x:DigitalSourceType='http://cv.iptc.org/x/digitalCapture'/></rdf:RDF>",
        b"<rdf:RDF><rdf:Description><x:DigitalSourceType>digitalCapture</x:DigitalSourceType></rdf:Description></rdf:RDF>",
        b"<rdf:RDF xmlns:rdf='r'/>",
        b"<rdf:RDF xmlns:rdf='r'>\n </rdf:RDF>",
    ],
)
def test_a_packet_that_says_another_origin_or_nothing_is_mended(packet: bytes) -> None:
    """Once: a second call finds it right."""
    mended = merged(packet)
    assert mended is not None
    assert SOURCE_TYPE.encode() in mended
    assert b"digitalCapture" not in mended
    assert mended.count(b"</rdf:RDF>") == 1
    assert merged(mended) is None


def test_unknown_packets_are_kept() -> None:
    """What is right already, or of a form that is not known, is not overwritten."""
    right = b"http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    assert merged(b"<rdf:RDF><rdf:Description x:DigitalSourceType='" + right + b"'/></rdf:RDF>") is None
    assert merged(b"no packet") is None
    assert merged(OTHER.decode().encode("utf-16")) is None


def png_with(body: bytes) -> bytes:
    """A picture whose text chunk is `body`."""
    plain = samples.encode(samples.texture("flat", 3, 20, 20), "PNG")
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    return plain[:33] + chunk + plain[33:]


def test_a_large_compressed_packet_is_kept_whole() -> None:
    """With the source type added; a text chunk without its ends is left as it is."""
    packet = OTHER.replace(b"<dc:format>x", b"<dc:format>" + b"x" * 1_600_000)
    said = declare(png_with(b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)))
    assert said[33:].startswith(said[33:37] + b"iTXtXML:com.adobe.xmp\0\1\0\0\0")
    (length,) = struct.unpack_from(">I", said, 33)
    whole = zlib.decompress(said[33 + 8 + 22 : 33 + 8 + length])
    at = whole.index(b" xmlns:Iptc4xmpExt=")
    addition = len(whole) - len(packet)
    assert whole[:at] + whole[at + addition :] == packet
    assert SOURCE_TYPE.encode() in whole[at : at + addition]
    for broken in (b"XML:com.adobe.xmp\0", b"XML:com.adobe.xmp\0\0\0en", b"XML:com.adobe.xmp\0\0\0en\0x"):
        assert declare(png_with(broken)) == png_with(broken)


def test_space_before_a_jpeg_s_marker_is_passed_over() -> None:
    """Any number of FF may stand there; the origin is said all the same."""
    plain = samples.encode(samples.texture("flat", 3, 20, 20), "JPEG")
    said = declare(plain[:2] + b"\xff\xff" + plain[2:])
    with Image.open(io.BytesIO(said)) as picture:
        assert SOURCE_TYPE in repr(picture.info["xmp"])


@given(st.sampled_from(FORMATS), st.integers(0, 400), st.binary(max_size=30))
def test_damaged_files_never_crash(kind: tuple[str, dict[str, object]], cut: int, tail: bytes) -> None:
    """Cut off anywhere, with anything behind: bytes come back, and whatever was there is still in them."""
    data = samples.encode(samples.texture("flat", 3, 20, 20), kind[0], **kind[1])[:cut] + tail
    assert len(declare(data)) >= len(data)
