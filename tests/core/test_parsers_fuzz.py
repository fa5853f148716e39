"""Everything in core that reads what others wrote: never anything but what it declares, and at once."""

import io
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.masking import MASK, hiding, mask
from core.pictures import dimensions, measure, sniff
from core.wholeness import is_whole
from core.wire import Address
from tests.support.hostile import bounded, changed, examples, octets, texts

KINDS = (
    "image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff", "image/avif", "image/heic", "image/heif",
)  # fmt: skip
BEGINNINGS = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\0\0IDAT", b"\xff\xd8\xff", b"\xff\xe1\0\2", b"GIF89a", b"BM", b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08", b"RIFF\xff\xff\xff\xffWEBPVP8X", b"\0\0\0\x18ftypavif", b"\0\0\0\x08meta", b"\0\0\0\0iprp", b"\0\0\0\1ipco",
    b"\0\0\0\x14ispe",
)  # fmt: skip


def _picture(format: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (9, 99, 199)).save(out, format)
    return out.getvalue()


PICTURES = {format: _picture(format) for format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")}


@settings(max_examples=examples(150))
@given(octets(*BEGINNINGS) | st.sampled_from(sorted(PICTURES.values())).flatmap(changed))
def test_any_bytes_have_a_size_or_none(data: bytes) -> None:
    """Type, size and wholeness of a picture, whatever its bytes: an answer, never an error, within a bounded number of
    steps."""
    with bounded():
        kind, size, picture = sniff(data), dimensions(data), measure(data)
        for mime in KINDS:
            is_whole(data, mime)
    assert kind is None or "/" in kind
    assert size is None or min(size) > 0
    assert (picture is None) is (kind is None or size is None)


@settings(max_examples=examples(150))
@given(texts(), texts())
@example("__Secure-" * 6000, "a" * 60_000)
@example("x://" + "a." * 20_000, "")
@example("ab" * 30_000, "ab" * 30_000)
def test_no_text_holds_up_the_mask(text: str, word: str) -> None:
    """Whatever a caller writes, into a text or as its key: the log's line is masked at once."""
    with bounded(), hiding([word]):
        masked = mask(text)
    if len(word) >= 12:
        assert word.lower() not in masked.lower() or not text.isascii() or word in MASK * 20_000


@settings(max_examples=examples(100))
@given(st.sampled_from(("secret-word-1", "aabbaabbaabbaa", "Key-Of-Ten")), st.data())
def test_a_hidden_word_is_taken_out_wherever_it_stands(word: str, data: st.DataObject) -> None:
    """As often as it is said, in any case, whole or cut off behind its first twelve characters, and nothing else goes."""
    kept = data.draw(
        st.lists(st.sampled_from(("", "x", " and ", "se", "***", "\u00fc")), min_size=1, max_size=6)
    )
    said = [data.draw(st.sampled_from((word, word.upper(), word[:12]))) for _ in kept[1:]]
    text = kept[0] + "".join(a + b for a, b in zip(said, kept[1:], strict=True))
    with hiding([word]):
        masked = mask(text)
    assert word[:12].lower() not in masked.lower()
    assert [one for one in kept if one not in ("", "***") and one not in masked] == []


@pytest.mark.parametrize("before", ["http", "socks5", "HTTPS", "redis", "a" * 50, "1"])
def test_a_password_is_masked_whatever_the_scheme(before: str) -> None:
    """What stands before `://` does not matter."""
    assert mask(f"to {before}://me:pass@host:1") == f"to {before}://{MASK}@host:1"


URLS = (
    "redis://",
    "rediss://",
    "unix://",
    "@",
    ":",
    "?db=",
    "?ssl_cert_reqs=none",
    "&",
    "[::1]",
    "\u00b2",
    "\u0661",
    "%",
    "\u2100",
)


@settings(max_examples=examples(150))
@given(texts(*URLS) | st.lists(st.sampled_from(URLS), max_size=8).map("".join))
def test_any_text_is_an_address_of_the_store_or_a_value_error(url: str) -> None:
    """A URL is understood or refused with ValueError."""
    with bounded():
        try:
            address = Address(url)
        except ValueError:
            return
        except OSError:
            assert "ssl_ca_certs" in url  # no such file
            return
    assert address.database >= 0
    assert address.port is not None


@pytest.mark.parametrize(
    "at", ["redis://me:pa/ss@h", "redis://:12/34@h:1", "redis://me:p[ss@h", "redis://me:pa\u2100ss@h"]
)
def test_a_slip_in_the_address_does_not_show_the_password(at: str) -> None:
    """Passwords that were not escaped end up where a port is due; the message shows none of it."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 -- the words are what is asked for below
        Address(at)
    assert not any(part in str(error.value) for part in ("me:", "/ss", "12", "34", "p[", "ss@", "\u2100"))


def test_pictures_of_every_kind_are_whole() -> None:
    """What the cuts above begin with is sound."""
    for data in PICTURES.values():
        picture = measure(data)
        assert picture is not None
        assert is_whole(data, picture.format)
    assert all(a != b for a, b in pairwise(sorted(PICTURES.values())))
