"""Files that come with the gateway and are served as they are: those of the pages that a browser shows."""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from core.errors import NotFound
from routes.exchange import Exchange, Headers

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


class File(Struct, frozen=True):
    """One file. packed: with gzip, None where that saves nothing. Tags are of each form's own."""

    media_type: bytes
    data: bytes
    tag: bytes
    packed: bytes | None
    packed_tag: bytes


class Static:
    """The files of known types in `folder`, by their path from there; what leads out of it, or is hidden, is none of them.

    They are read now, so that all of them are of one version, and compressed when they are first asked for. policy: the
    Content-Security-Policy that browsers hold all of them to, perhaps made of the files.
    """

    def __init__(self, folder: Path, policy: bytes | Callable[[Mapping[str, bytes]], bytes]) -> None:
        self._data = _data_in(folder)
        self._files: dict[str, File] = {}
        self._headers: Headers = [
            # Names stay the same from version to version; whoever has a file asks whether it is still that.
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", policy if isinstance(policy, bytes) else policy(self._data)),
            (b"x-frame-options", b"DENY"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def send_below(self, root: str, exchange: Exchange) -> None:
        """The file that the path names below `root`, in the spelling of its folder and in no other."""
        name = exchange.path.removeprefix(f"{root}/")
        if _ESCAPED.search(exchange.scope.get("raw_path") or b""):
            raise _no_file(name)
        await self.send(exchange, name)

    async def send(self, exchange: Exchange, name: str) -> None:
        """Raises `NotFound` where there is no such file."""
        content = self._data.get(name)
        if content is None:
            raise _no_file(name)
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = await asyncio.to_thread(_made, name, content)
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


def _data_in(folder: Path) -> dict[str, bytes]:
    inside = folder.resolve()
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = name.startswith(".") or "/." in name
        if path.suffix in _TYPES and not hidden and path.is_file() and path.resolve().is_relative_to(inside):
            found[name] = path.read_bytes()
    return found


def _made(name: str, data: bytes) -> File:
    kind = "." + name.rpartition(".")[2]
    digest = hashlib.sha256(data).hexdigest()[:32].encode()
    packed = data if kind in _PACKED else gzip.compress(data, 9, mtime=0)
    smaller = len(packed) < len(data)
    return File(_TYPES[kind], data, b'"%s"' % digest, packed if smaller else None, b'"%s-gzip"' % digest)


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
    return NotFound(f"The page has no file '{name[:80]}'.")
