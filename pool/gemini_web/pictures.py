"""Pictures of an answer, downloaded through the session that they belong to.

The library's own `save` writes to disk, falls back to a preview without a word, and may open a session
without our certificates; its redirects are refused where the proxy has a private address. Here every
hop is checked and made on the account's own connection.
"""

import asyncio
import mimetypes
from typing import Any
from urllib.parse import urljoin, urlsplit

from gemini_webapi.constants import Headers

from core.chat import Blob, Picture
from core.errors import UpstreamUnstable
from pool.gemini_web.faults import of_http_status
from pool.gemini_web.library import Client
from pool.gemini_web.transfer import Request

_HOPS = 5
_HOSTS = ("googleusercontent.com", "google.com")
"""A picture's redirects may lead to these domains and no others."""
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


async def fetch_pictures(client: Client, images: list[Any], total: float) -> list[Picture]:
    """The generated pictures in order, all at once. Raises UpstreamUnstable where one cannot be had:
    a picture is never left out without a word."""
    return list(await asyncio.gather(*(_fetch(client, image, total) for image in images)))


async def _fetch(client: Client, image: Any, total: float) -> Picture:
    url = str(image.url)
    if "=s" not in url.rsplit("/", 1)[-1]:
        url += "=s2048-rj"
    for _ in range(_HOPS):
        _check(url)
        response = await client.send(Request("GET", url, headers=Headers.REFERER.value), total=total)
        if response.status_code in {301, 302, 303, 307, 308} and response.headers.get("location"):
            url = urljoin(url, str(response.headers["location"]))
            continue
        if response.status_code != 200:
            raise of_http_status(response.status_code, "a picture")
        mime = sniff(response.content)
        if mime is None:
            raise UpstreamUnstable("a picture's bytes are no picture", kind="garbage")
        return Picture(response.content, mime, str(image.alt or ""))
    raise UpstreamUnstable("a picture was redirected too often", kind="garbage")


def _check(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" or not any(host == h or host.endswith("." + h) for h in _HOSTS):
        raise UpstreamUnstable("a picture's address leads away from Google", kind="garbage")


def sniff(data: bytes) -> str | None:
    """The picture's type by its first bytes, or None."""
    for signature, mime in _SIGNATURES:
        if data.startswith(signature):
            return mime
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def file_name(blob: Blob) -> str:
    """A name for an upload whose ending tells the type: the web app goes by that alone."""
    ending = mimetypes.guess_extension(blob.mime) or ".bin"
    stem = (blob.name or "file").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in stem)[:60] or "file"
    return safe + ending
