"""Forms with files, read in pieces that are cut anywhere."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import GatewayError, InvalidRequest, RequestTooLarge, UnsupportedMedia
from routes import multipart
from routes.multipart import Field, Form, FormReader

BOUNDARY = "----X-boundary'()+_,./:=? 7"
"""As odd as the standard allows."""


def header(boundary: str = BOUNDARY) -> bytes:
    return f'multipart/form-data; charset=utf-8; boundary="{boundary}"'.encode()


def part(name: str, data: bytes, filename: str | None = None, kind: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += "" if filename is None else f'; filename="{filename}"'
    head += f"\r\nContent-Type: {kind}" if kind else ""
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


def form(*parts: bytes, boundary: str = BOUNDARY, end: bool = True) -> bytes:
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + part for part in parts) + (mark + b"--\r\n" if end else b"")


def read(
    raw: bytes, cuts: list[int] | None = None, *, boundary: str = BOUNDARY, file_limit: int = 16
) -> Form:
    reader = FormReader(header(boundary), file_limit=file_limit)
    at = 0
    for cut in [*sorted(cuts or ()), len(raw)]:
        if raw[at:cut]:
            reader.take(raw[at:cut])
            at = cut
    return reader.end()


NEAR_MISSES = st.sampled_from([b"\r\n", b"\r\n--", b"--", b"\r", b"\n", b"\r\n--" + BOUNDARY.encode()[:-1]])
CONTENT = st.lists(st.binary(max_size=30) | NEAR_MISSES, max_size=6).map(b"".join)
NAMES = st.text(
    st.characters(blacklist_characters='"\\%\r\n', blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30
)


@given(
    st.lists(st.tuples(NAMES, CONTENT, st.none() | NAMES), max_size=5),
    st.lists(st.integers(0, 600), max_size=12),
)
def test_what_was_sent_is_what_is_read_wherever_it_is_cut(
    sent: list[tuple[str, bytes, str | None]], cuts: list[int]
) -> None:
    """Contents that look much like the boundary, names in any script, cuts in the middle of everything."""
    raw = form(*(part(name, data, filename, "image/png") for name, data, filename in sent))
    fields = read(raw, cuts)
    assert [(field.name, field.data) for field in fields] == [(name, data) for name, data, _ in sent]
    for field, (_, _, filename) in zip(fields, sent, strict=True):
        if filename is None:
            assert field.filename is None
        else:
            assert field.filename == re.split(r"[/\\]", filename)[-1]


@given(
    st.binary(max_size=400) | CONTENT.map(lambda data: form(part("a", data))[:-7]),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_no_bytes_break_the_reader(raw: bytes, cuts: list[int]) -> None:
    """A form, or an error for the caller; never anything else."""
    try:
        read(raw, cuts)
    except GatewayError as error:
        assert error.status in (400, 413, 415)


def test_every_byte_may_come_alone() -> None:
    """As a slow network hands it on."""
    raw = form(part("prompt", "größer".encode()), part("image", b"\r\n--" + BOUNDARY.encode()[:9], "a.png"))
    assert read(raw, list(range(len(raw)))) == [
        Field("prompt", "größer".encode()),
        Field("image", b"\r\n--" + BOUNDARY.encode()[:9], "a.png"),
    ]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="köter 猫.png"', "köter 猫.png"),
        ("filename*=UTF-8''k%C3%B6ter.png", "köter.png"),
        ("filename=\"k_ter.png\"; filename*=utf-8''k%C3%B6ter.png", "köter.png"),
        ("filename*=nonsense''a%20b.png", "a b.png"),
        ('filename="a%22b.png"', 'a"b.png'),
        ('filename="C:\\\\Users\\\\me\\\\a.png"', "a.png"),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="a\x01\tb.png"', "ab.png"),
        ("filename=blob", "blob"),
        ('filename=""', ""),
    ],
)
def test_file_names_as_clients_write_them(disposition: str, name: str) -> None:
    """Any script and both encodings; a folder is never part of it."""
    head = f'Content-Disposition: form-data; name="image"; {disposition}\r\n\r\nx\r\n'
    assert read(form(head.encode()))[0].filename == name


def test_a_name_in_an_old_alphabet_is_no_reason_to_refuse() -> None:
    """What is not UTF-8 in a file's name is replaced."""
    raw = form(b'Content-Disposition: form-data; name="image"; filename="k\xf6ter.png"\r\n\r\nx\r\n')
    assert read(raw)[0].filename == "k\ufffdter.png"


@pytest.mark.parametrize(
    ("content_type", "says"),
    [
        (b"multipart/form-data", "boundary"),
        (b"multipart/form-data; boundary=", "boundary"),
        (b'multipart/form-data; boundary=""', "boundary"),
        (b"multipart/form-data; boundary=" + b"x" * 201, "boundary"),
    ],
)
def test_a_form_needs_a_boundary(content_type: bytes, says: str) -> None:
    """The usual mistake is a header that was written by hand."""
    with pytest.raises(InvalidRequest, match=says) as refused:
        FormReader(content_type, file_limit=1)
    assert refused.value.param == "Content-Type"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "cut off"),
        (form(part("prompt", b"a"), end=False), "cut off"),
        (form(part("prompt", b"a"))[:-4], "cut off"),
        (form(part("prompt", b"a")).replace(b"\r\n", b"\n"), "not valid"),
        (form(part("prompt", b"a"), boundary="other"), "cut off"),
        (form(b"X: y\r\n\r\na\r\n"), "not valid"),
        (form(b"Content-Disposition: attachment\r\n\r\na\r\n"), "not valid"),
        (form(b"Content-Disposition: form-data\r\n\r\na\r\n"), "no name"),
        (form(part("", b"a")), "no name"),
        (form(part("x" * 201, b"a")), r"'x{40}\.\.\.' has a name of more than 200 characters\. Shorten it"),
        (form(part("image", b"a", "a.png", "image/png\r\nContent-Length: 99")), "not valid"),
    ],
)
def test_what_is_no_form_is_refused_in_words(raw: bytes, says: str) -> None:
    """400, without the parser's own words."""
    with pytest.raises(InvalidRequest, match=says):
        read(raw)


def test_forms_are_bounded() -> None:
    """In fields, files, lengths of text and of headers; a picture may be longer than a text."""
    with pytest.raises(RequestTooLarge, match="more than 100 fields"):
        read(form(*[part(f"a{i}", b"") for i in range(101)]))
    with pytest.raises(RequestTooLarge, match=r"'image\[\]' is one file too many: at most 2"):
        read(form(*[part("image[]", b"x", "a.png")] * 3), file_limit=2)
    with pytest.raises(RequestTooLarge, match="'mask' is one file too many"):
        read(form(part("image", b"x"), part("mask", b"x")), file_limit=1)
    with pytest.raises(RequestTooLarge, match="'prompt' is longer than"):
        read(form(part("prompt", b"x" * (multipart.MAX_TEXT + 1))))
    with pytest.raises(RequestTooLarge, match="headers of more than"):
        read(form(b"Content-Disposition: form-data; name=a; x=" + b"y" * 5000 + b"\r\n\r\n\r\n"))
    with pytest.raises(RequestTooLarge, match="Shorten its name or its file's name"):
        read(form(part("image", b"x", "a" * 5000 + ".png")))
    with pytest.raises(RequestTooLarge, match="headers"):
        read(form(b"X-A: b\r\n" * 9 + part("a", b"")))
    long = b"x" * (multipart.MAX_TEXT + 1)
    assert read(form(part("image", long)), [5, 70_000, 200_000])[0].data == long


def test_bytes_must_come_as_they_are() -> None:
    """A part in base64 is refused by its name; an encoding that changes nothing is none."""
    raw = form(b"Content-Transfer-Encoding: BASE64\r\n" + part("image", b"eA==", "a.png"))
    with pytest.raises(UnsupportedMedia, match="'image'"):
        read(raw)
    assert read(form(b"Content-Transfer-Encoding: binary\r\n" + part("image", b"x", "a")))[0].data == b"x"


def test_text_must_be_utf_8() -> None:
    """The field and the place are named."""
    with pytest.raises(InvalidRequest, match="'prompt' is not valid UTF-8 at byte 1"):
        _ = Field("prompt", b"a\xff").text
