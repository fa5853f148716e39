"""What callers write, whatever it is: understood, or refused as the caller's error, at once."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import CallerError
from engine.shaping.lenient import NoJson, lenient, strict
from routes.body import parse, respell
from routes.gemini.spelling import camelized
from routes.markdown import with_pictures
from routes.media import decode_base64, from_data_url, picture_from_text
from routes.multipart import FormReader
from routes.static import takes_gzip
from routes.wishes import aspect_of, size_of
from tests.support.hostile import bounded, examples, octets, texts

FORM = (
    b"--b",
    b"\r\n",
    b"--b--",
    b"Content-Disposition: form-data; name=\"image[]\"; filename*=utf-8''%ff",
    b"\r\n\r\n",
    b"; a=b",
)


@settings(max_examples=examples(50))
@given(octets(b'{"a":', b"[", b"]}", b'"\\ud800"', b"NaN", b"9", b"\xef\xbb\xbf"))
@example(b"[" * 60_000)
@example(b'{"a":' * 10_000 + b"1")
@example(b'{"a":' + b"9" * 50_000 + b"}")
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    """A body, also one of numbers and nesting beyond every bound."""
    with bounded(), contextlib.suppress(CallerError):
        assert isinstance(parse(body), dict)


@settings(max_examples=examples(50))
@given(
    octets(*FORM),
    st.integers(1, 3000),
    st.sampled_from((b"multipart/form-data; boundary=b", b'multipart/form-data; boundary="b')),
)
def test_any_bytes_are_a_form_or_refused(body: bytes, size: int, kind: bytes) -> None:
    """A form, cut anywhere."""
    with bounded(), contextlib.suppress(CallerError):
        reader = FormReader(kind, file_limit=3)
        for at in range(0, len(body), size):
            reader.take(body[at : at + size])
        for field in reader.end():
            assert field.text is not None


@settings(max_examples=examples(30))
@given(octets(b"multipart/form-data; boundary=", b'"', b"\\", b";", b"*0="))
def test_any_content_type_of_a_form_is_taken_or_refused(kind: bytes) -> None:
    """The header itself."""
    with bounded(), contextlib.suppress(CallerError):
        FormReader(kind, file_limit=1).take(b"--")


@settings(max_examples=examples(50))
@given(texts("data:image/png;base64,", "data:", ";base64", "=", "A", "%", "16:9", "x", "1024", "K"))
def test_any_word_of_a_caller_is_read_or_refused(text: str) -> None:
    """Pictures as text, sizes, ratios, and what of a header is a list."""
    readers: tuple[Any, ...] = (
        lambda: from_data_url(text, "f"),
        lambda: picture_from_text(text, "f"),
        lambda: aspect_of(text, "f"),
        lambda: size_of(text, "f"),
    )
    for read in readers:
        with bounded(), contextlib.suppress(CallerError):
            read()
    with bounded(), contextlib.suppress(ValueError):
        decode_base64(text)
    with bounded():
        takes_gzip(text.encode())
        respell(text, {"a": [1]})
        camelized({text: [text]})
        with_pictures(text, (), str)


@settings(max_examples=examples(50))
@given(texts('{"a":', "'", "//", "/*", "*/", "True", "\\u", "\\ud83d", ",}", "“", "”"))
def test_any_text_of_a_model_is_json_or_not(text: str) -> None:
    """Strictly and leniently."""
    for read in (strict, lenient):
        with bounded(), contextlib.suppress(NoJson):
            read(text)


@pytest.mark.parametrize("depth", [500, 5_000, 30_000])
def test_depth_is_no_way_out(depth: int) -> None:
    """Nested values are read to a bound, and refused beyond it."""
    for begin, end in (("[", "]"), ('{"a":', "}")):
        text = begin * depth + "1" + end * depth
        with contextlib.suppress(CallerError):
            assert parse(text.encode()) == json.loads(text)
        for read in (strict, lenient):
            with bounded(), contextlib.suppress(NoJson):
                read(text)
