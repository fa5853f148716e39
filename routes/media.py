"""Media that travels as text: base64, data URLs, and what the bytes really are."""

import base64
import binascii
import re
import urllib.parse

from core.chat import Blob
from core.errors import InvalidRequest, UnsupportedMedia
from core.pictures import dimensions, sniff
from core.wholeness import is_whole

MAX_PIXELS = 100_000_000
_PICTURES = "Send PNG, JPEG, WebP, GIF, HEIC, AVIF, BMP or TIFF."
_PREFIX = 80
"""Characters within which the comma of a data URL without `data:` stands."""
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;.*)?", re.ASCII | re.DOTALL)
_ARCHIVES = frozenset(
    f"application/{name}"
    for name in (
        "zip", "x-zip-compressed", "x-msdownload", "x-msdos-program", "x-dosexec", "x-executable",
        "vnd.microsoft.portable-executable", "gzip", "x-gzip", "x-tar", "x-7z-compressed", "vnd.rar",
        "x-rar-compressed", "x-sharedlib", "java-archive",
    )
)  # fmt: skip
_PIECE = 1024 * 1024
"""Base64 is decoded so much at a time, a multiple of 4, so that other threads get their turn."""
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def is_type(text: str) -> bool:
    return _TYPE.fullmatch(text.strip()) is not None


def decode_base64(text: str) -> bytes:
    """Base64 in either alphabet (or a mix), with or without padding and line breaks. Raises ValueError."""
    try:
        # Bytes, since translating a str of many megabytes takes most of a second.
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise ValueError("it has characters that are not base64's") from None
    pieces = (raw[at : at + _PIECE].translate(_TO_STANDARD, b" \t\r\n") for at in range(0, len(raw), _PIECE))
    clean = b"".join(pieces).rstrip(b"=")
    if len(clean) % 4 == 1:
        raise ValueError("its length cannot be base64's")
    clean += b"=" * (-len(clean) % 4)
    try:
        return b"".join(
            binascii.a2b_base64(clean[at : at + _PIECE], strict_mode=True)
            for at in range(0, len(clean), _PIECE)
        )
    except ValueError:
        raise ValueError("it has characters that are not base64's") from None


def blob(data: str, mime: str, field: str, name: str | None = None) -> Blob:
    """A blob from base64 text. `field` is named in errors: `InvalidRequest`, `UnsupportedMedia`."""
    try:
        raw = decode_base64(data)
    except ValueError as error:
        raise InvalidRequest(f"'{field}' is not valid base64: {error}.", param=field) from None
    return checked(raw, mime, field, name)


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def from_data_url(url: str, field: str, name: str | None = None) -> Blob:
    """A blob from `data:[type][;base64],...`. `field` is named in errors."""
    head, comma, data = url[len("data:") :].partition(",")
    if not comma:
        raise InvalidRequest(
            f"'{field}' is not a data URL: it has no comma. Send data:TYPE;base64,DATA.", param=field
        )
    mime, *options = [part.strip().lower() for part in head.split(";")]
    if "base64" in options:
        return blob(urllib.parse.unquote(data) if "%" in data else data, mime, field, name)
    return checked(urllib.parse.unquote_to_bytes(data), mime or "text/plain", field, name)


def checked(data: bytes, declared: str, field: str, name: str | None = None) -> Blob:
    """The blob under its true type. Refuses what is empty, what says to be a picture and is none, and
    sound and film."""
    if not data:
        raise InvalidRequest(f"'{field}' holds no data.", param=field)
    declared = declared.partition(";")[0].strip().lower()
    proven = sniff(data)
    kind = (proven or declared).partition("/")[0]
    if kind in ("audio", "video"):
        raise UnsupportedMedia(
            f"'{field}' is {declared}: {kind} is not supported. Send text, pictures or documents.",
            param=field,
        )
    if proven is None and (declared in _ARCHIVES or data.startswith(b"MZ")):
        raise UnsupportedMedia(
            f"'{field}' is a program or an archive ({declared[:80]}), which is not supported. Send the files"
            " themselves.",
            param=field,
        )
    if proven is None and _is_drawing(data, declared):
        raise InvalidRequest(
            f"'{field}' is an SVG drawing, which the model cannot see. Send it as PNG, or its source as text.",
            param=field,
        )
    if proven is not None:
        _check_picture(data, proven, field)
    elif kind == "image":
        raise InvalidRequest(
            f"'{field}' says {declared[:80]} but is no picture that can be read. {_PICTURES}", param=field
        )
    return Blob(data=data, mime=proven or declared or "application/octet-stream", name=name)


def picture_from_text(value: str, field: str) -> Blob:
    """A picture from a data URL or bare base64: either alphabet, padded or not, white space anywhere. Refuses,
    naming `field`, what is no picture."""
    text = value.strip()
    head = text[:_PREFIX].partition(",")[0].lower()
    if is_data_url(text):
        found = from_data_url(text, field)
    elif head.endswith("base64") and "," in text[:_PREFIX]:
        found = blob(text.partition(",")[2], "", field)
    else:
        found = blob(text, "", field)
    return must_be_picture(found, field)


def picture_from_bytes(data: bytes, field: str, declared: str = "", name: str | None = None) -> Blob:
    """A picture that came as it is (an upload, a download), after the checks of `checked`."""
    return must_be_picture(checked(data, declared, field, name), field)


def must_be_picture(found: Blob, field: str) -> Blob:
    """The blob; `InvalidRequest` naming `field` where its bytes are no picture."""
    if not (sniff(found.data) or "").startswith("image/"):
        raise InvalidRequest(f"'{field}' is no picture that can be read. {_PICTURES}", param=field)
    return found


def _check_picture(data: bytes, mime: str, field: str) -> None:
    """Refuse a picture of too many pixels, by its header alone, and one whose end has not come."""
    size = dimensions(data)
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise InvalidRequest(
            f"'{field}' is a picture of {size[0]} x {size[1]} pixels, and at most {MAX_PIXELS // 10**6} million"
            " are taken. Scale it down.",
            param=field,
        )
    if mime.startswith("image/") and not is_whole(data, mime):
        raise InvalidRequest(
            f"'{field}' is a picture ({mime}) that is cut off: its end is missing. Send the whole file.",
            param=field,
        )
    if mime.startswith("image/") and size is None:
        raise InvalidRequest(
            f"'{field}' is no picture that can be read: its header ({mime}) tells no size. {_PICTURES}",
            param=field,
        )


def _is_drawing(data: bytes, declared: str) -> bool:
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return declared == "image/svg+xml" or (
        (not declared or declared.startswith("image/"))
        and head.startswith((b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE svg"))
        and b"<svg" in data[:4096]
    )


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def to_data_url(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{to_base64(data)}"
