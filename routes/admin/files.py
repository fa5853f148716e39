"""The page itself, and what browsers are told to hold it to."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from routes.exchange import Exchange
from routes.services import EdgeSettings
from routes.static import Static

FOLDER: Final = Path(__file__).parent / "static"
INDEX: Final = "index.html"
ROOT: Final = "/admin"

_SCHEME_AND_HOST = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+", re.ASCII)


class PageHandlers:
    """The page's files. They hold nothing secret, so they need no key."""

    def __init__(self, settings: EdgeSettings, folder: Path = FOLDER) -> None:
        def held_to(files: Mapping[str, bytes]) -> bytes:
            index = files.get(INDEX, b"").decode("utf-8", "replace")
            return policy(index, (settings.public_url, settings.picture_origin))

        self._files = Static(folder, held_to)

    async def index(self, exchange: Exchange) -> None:
        """The page; under one address, so that a browser keeps it once."""
        if exchange.path != ROOT:
            query = exchange.scope["query_string"]
            location = ROOT.encode() + (b"?" + query if query else b"")
            await exchange.start(308, [(b"location", location), (b"content-length", b"0")])
            await exchange.send(b"", more=False)
            return
        await self._files.send(exchange, INDEX)

    async def file(self, exchange: Exchange) -> None:
        await self._files.send_below(ROOT, exchange)


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
        # Browsers read each of a page's line ends as one character, and hash what they have read.
        text = "".join(self._text).replace("\r\n", "\n").replace("\r", "\n")
        self._text = None
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        (self.scripts if tag == "script" else self.styles).append(f"'sha256-{digest}'")
