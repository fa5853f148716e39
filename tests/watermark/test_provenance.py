"""What files say about their origin, put in without touching their pixels."""

import io

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


def test_unknown_packets_are_kept() -> None:
    """A value that is there, or a form that is not known, is not overwritten."""
    assert merged(b"<rdf:RDF><rdf:Description x:DigitalSourceType='other'/></rdf:RDF>") is None
    assert merged(b"no packet") is None
    assert merged(OTHER.decode().encode("utf-16")) is None


@given(st.sampled_from(FORMATS), st.integers(0, 400), st.binary(max_size=30))
def test_damaged_files_never_crash(kind: tuple[str, dict[str, object]], cut: int, tail: bytes) -> None:
    """Cut off anywhere, with anything behind: bytes come back, and whatever was there is still in them."""
    data = samples.encode(samples.texture("flat", 3, 20, 20), kind[0], **kind[1])[:cut] + tail
    assert len(declare(data)) >= len(data)
