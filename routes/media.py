"""Media that travels as text: base64, data URLs, and what the bytes really are."""

import base64
import binascii
import re
import urllib.parse

from core.chat import Blob
from core.errors import InvalidRequest, UnsupportedMedia
from core.pictures import dimensions, sniff

MAX_PIXELS = 100_000_000
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
    size = dimensions(data) if proven else None
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise InvalidRequest(
            f"'{field}' is a picture of {size[0]} x {size[1]} pixels, and at most {MAX_PIXELS // 10**6} million"
            " are taken. Scale it down.",
            param=field,
        )
    if size is None and proven in ("image/png", "image/gif"):
        raise UnsupportedMedia(f"'{field}' is a picture whose header is cut off. Send it whole.", param=field)
    if proven is None and kind == "image":
        raise UnsupportedMedia(
            f"'{field}' says {declared} but is no picture that can be read. Send PNG, JPEG, WebP, GIF, HEIC or AVIF.",
            param=field,
        )
    return Blob(data=data, mime=proven or declared or "application/octet-stream", name=name)


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def to_data_url(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{to_base64(data)}"
