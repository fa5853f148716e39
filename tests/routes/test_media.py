"""Base64, data URLs and what bytes really are."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidRequest, UnsupportedMedia
from routes import media


@given(st.binary(), st.booleans(), st.booleans(), st.integers(1, 80))
def test_base64_in_any_clothing_decodes_to_the_same(
    data: bytes, url_safe: bool, padded: bool, width: int
) -> None:
    """Both alphabets, with or without padding, broken into lines anywhere."""
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    if not padded:
        text = text.rstrip("=")
    lines = "\r\n".join(text[i : i + width] for i in range(0, len(text), width))
    assert media.decode_base64(lines) == data


@given(st.text())
def test_base64_either_decodes_or_says_why(text: str) -> None:
    """Nothing but ValueError ever comes of it."""
    try:
        assert isinstance(media.decode_base64(text), bytes)
    except ValueError as error:
        assert "base64" in str(error)


@given(st.binary(min_size=1))
def test_a_data_url_is_read_back(data: bytes) -> None:
    """What we write we read, under the type that the bytes prove."""
    url = media.to_data_url(data, "application/x-thing")
    if (media.sniff(data) or "").startswith("image/") or data.startswith(b"MZ"):
        return  # what pictures and programs must be is told below
    blob = media.from_data_url(url, "field")
    assert blob.data == data
    assert blob.mime == (media.sniff(data) or "application/x-thing")


@given(st.text())
def test_any_data_url_gives_a_blob_or_names_the_field(rest: str) -> None:
    """Never another exception."""
    try:
        assert media.from_data_url("data:" + rest, "the.field").data
    except (InvalidRequest, UnsupportedMedia) as error:
        assert error.param == "the.field"
        assert "'the.field'" in error.message


@pytest.mark.parametrize(
    ("url", "data", "mime"),
    [
        ("data:text/plain;charset=utf-8;base64,aGk=", b"hi", "text/plain"),
        ("data:;base64,aGk", b"hi", "application/octet-stream"),
        ("data:,hi%20you", b"hi you", "text/plain"),
        ("DATA:text/csv,a,b", b"a,b", "text/csv"),
        ("data:image/png;base64,JVBERi0%3D", b"%PDF-", "application/pdf"),
    ],
)
def test_data_urls_of_every_form(url: str, data: bytes, mime: str) -> None:
    """Base64 in both alphabets, padded or not, percent-encoded text, parameters."""
    blob = media.from_data_url(url, "field")
    assert (blob.data, blob.mime) == (data, mime)


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe1", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x1cftypavif", "image/avif"),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"\0\0\0\x18ftypisom", None),
        (b"BM" + b"\0" * 12 + b"\x28\0\0\0", "image/bmp"),
        (b"BM is a car", None),
        (b"%PDF-1.7", "application/pdf"),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_type(head: bytes, mime: str | None) -> None:
    """A file's type is read from its content, not from what the caller calls it."""
    assert media.sniff(head) == mime
