"""The page itself: its files as they were at the start, and what browsers are told to hold it to."""

import base64
import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from msgspec import Struct

from core.errors import NotFound
from routes.exchange import Exchange, Headers
from routes.services import EdgeSettings

FOLDER: Final = Path(__file__).parent / "static"
INDEX: Final = "index.html"
ROOT: Final = "/admin"

_TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".ico": b"image/x-icon",
    ".jpg": b"image/jpeg",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".map": b"application/json",
    ".md": b"text/markdown; charset=utf-8",
    ".mjs": b"text/javascript; charset=utf-8",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    ".webmanifest": b"application/manifest+json",
    ".webp": b"image/webp",
    ".woff2": b"font/woff2",
}
_PACKED = frozenset({".ico", ".jpg", ".png", ".webp", ".woff2"})
"""Compressed by their own format."""
_ESCAPED = re.compile(rb"%(?:2f|5c|2e|00)", re.IGNORECASE)
_SCHEME_AND_HOST = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+", re.ASCII)


class File(Struct, frozen=True):
    """One file. packed: with gzip, None where that saves nothing. Tags are of each form's own."""

    media_type: bytes
    data: bytes
    tag: bytes
    packed: bytes | None
    packed_tag: bytes


def read(folder: Path) -> dict[str, File]:
    """The files of known types in `folder` by their path from there. What leads out of it is none of them."""
    inside = folder.resolve()
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        media_type = _TYPES.get(path.suffix)
        hidden = any(part.startswith(".") for part in name.split("/"))
        if media_type and not hidden and path.is_file() and path.resolve().is_relative_to(inside):
            found[name] = _file(media_type, path.read_bytes(), packs=path.suffix not in _PACKED)
    return found


def _file(media_type: bytes, data: bytes, *, packs: bool) -> File:
    digest = hashlib.sha256(data).hexdigest()[:32].encode()
    packed = gzip.compress(data, 9, mtime=0) if packs else data
    smaller = len(packed) < len(data)
    return File(media_type, data, b'"%s"' % digest, packed if smaller else None, b'"%s-gzip"' % digest)


def policy(index: str, picture_origins: Iterable[str]) -> bytes:
    """The Content-Security-Policy: nothing but the page's own files, the scripts and styles that stand in `index` itself, and
    pictures that the gateway stores elsewhere."""
    inline = _Inline()
    inline.feed(index)
    inline.close()
    origins = [match[0] for origin in picture_origins if (match := _SCHEME_AND_HOST.match(origin))]
    rules = {
        "default-src": ["'self'"],
        "script-src": ["'self'", *inline.scripts],
        "style-src": ["'self'", *inline.styles],
        "img-src": ["'self'", "data:", "blob:", *dict.fromkeys(origins)],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in rules.items()).encode("latin-1")


class _Inline(HTMLParser):
    """Hashes of the scripts and styles that stand in a page itself."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self._text: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "style" or (tag == "script" and not any(name == "src" for name, _ in attrs)):
            self._text = []

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if self._text is None or tag not in ("script", "style"):
            return
        # Browsers read a page's line ends as one character, and hash what they have read.
        text = "".join(self._text).replace("\r\n", "\n").replace("\r", "\n")
        self._text = None
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        (self.scripts if tag == "script" else self.styles).append(f"'sha256-{digest}'")


class PageHandlers:
    """The page's files. They hold nothing secret, so they need no key."""

    def __init__(self, settings: EdgeSettings, folder: Path = FOLDER) -> None:
        self._files: Mapping[str, File] = read(folder)
        index = self._files.get(INDEX)
        self._headers: Headers = [
            # Names stay the same from version to version; whoever has a file asks whether it is still that.
            (b"cache-control", b"no-cache"),
            (
                b"content-security-policy",
                policy(
                    index.data.decode("utf-8", "replace") if index else "",
                    (settings.public_url, settings.picture_origin),
                ),
            ),
            (b"x-frame-options", b"DENY"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def index(self, exchange: Exchange) -> None:
        """The page; under one address, so that what it names is found."""
        if exchange.path != ROOT:
            query = exchange.scope["query_string"]
            location = ROOT.encode() + (b"?" + query if query else b"")
            await exchange.start(308, [(b"location", location), (b"content-length", b"0")])
            await exchange.send(b"", more=False)
            return
        await self._send(exchange, INDEX)

    async def file(self, exchange: Exchange) -> None:
        """One of its files, by the name that it has in the folder and no other spelling of it."""
        name = exchange.path.removeprefix(f"{ROOT}/")
        if _ESCAPED.search(exchange.scope.get("raw_path") or b""):
            raise _no_file(name)
        await self._send(exchange, name)

    async def _send(self, exchange: Exchange, name: str) -> None:
        file = self._files.get(name)
        if file is None:
            raise _no_file(name)
        data, tag = file.data, file.tag
        headers = [*self._headers]
        if file.packed is not None:
            headers.append((b"vary", b"Accept-Encoding"))
            if takes_gzip(exchange.headers.get(b"accept-encoding", b"")):
                data, tag = file.packed, file.packed_tag
                headers.append((b"content-encoding", b"gzip"))
        headers.append((b"etag", tag))
        if _has(exchange.headers.get(b"if-none-match", b""), tag):
            await exchange.start(304, headers)
            await exchange.send(b"", more=False)
            return
        await exchange.reply(data, media_type=file.media_type, headers=headers)


def takes_gzip(accepted: bytes) -> bool:
    """What Accept-Encoding says of gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for entry in accepted.decode("latin-1").lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        weights[name] = re.fullmatch(r"0(?:\.0*)?", weight) is None
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))


def _has(tags: bytes, tag: bytes) -> bool:
    """Whether If-None-Match names what would be sent."""
    given = [given.strip().removeprefix(b"W/") for given in tags.split(b",")]
    return tag in given or given == [b"*"]


def _no_file(name: str) -> NotFound:
    return NotFound(f"The page has no file '{name[:80]}'. It begins at /admin.")
