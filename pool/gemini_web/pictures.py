"""Pictures of an answer, downloaded through the session that they belong to.

The library's own `save` writes to disk, falls back to a preview without a word, and may open a session
without our certificates; its redirects are refused where the proxy has a private address. Here every
hop is checked and made on the account's own connection.
"""

import asyncio
import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import structlog
from curl_cffi import CurlError
from curl_cffi.requests import Response
from gemini_webapi.constants import Headers
from msgspec.structs import replace

from core.chat import Picture
from core.errors import AccountThrottled, GatewayError, UpstreamError, UpstreamUnstable
from core.pictures import sniff
from core.wholeness import is_whole
from pool.gemini_web.client import Client
from pool.gemini_web.faults import translate
from pool.gemini_web.transfer import Body, Request, stop

log = structlog.get_logger("gempool.gemini_web")

LARGEST = 64 * 1024 * 1024
"""Bytes of the largest picture that is taken."""
_COPY = 2048
_FULL_SHARE = 0.6
"""The part of the time left that the full size may take before the smaller one is asked for."""
_SILENCE = 30.0
"""Seconds between two pieces of a picture that are borne at most: it is made by then, and only has to be sent."""
_HOPS = 5
_HOSTS = ("googleusercontent.com", "google.com")
"""A picture's way may lead to these domains and no others."""
_LONGEST_URL = 8192
_SIZE = re.compile(r"=s\d+(?:-\w+)*$")


async def fetch_pictures(
    client: Client, images: list[Any], *, account: str, originals: bool, left: float, silence: float
) -> list[Picture]:
    """The generated pictures in order, fetched side by side. Raises `UpstreamError` where one cannot be had:
    a picture is never left out without a word. What comes as a scaled copy says so (`Picture.preview`).

    images: the library's `GeneratedImage`s. originals: what the model made is wanted, and the chat is one that it may be
    had from. left, silence: seconds for all, and between two pieces of one.
    """
    download = _Download(client, account, asyncio.get_running_loop().time() + left, silence)
    fetches = [asyncio.ensure_future(download.picture(image, originals)) for image in images]
    if not fetches:
        return []
    try:
        await asyncio.wait(fetches, return_when=asyncio.FIRST_EXCEPTION)
        for fetch in fetches:
            if fetch.done():
                fetch.result()
        return [fetch.result() for fetch in fetches]
    finally:
        await stop(*fetches)


class _Download:
    def __init__(self, client: Client, account: str, until: float, silence: float) -> None:
        self._client = client
        self._account = account
        self._until = until
        self._silence = min(silence, _SILENCE)
        self._loop = asyncio.get_running_loop()

    async def picture(self, image: Any, original: bool) -> Picture:
        alt = str(image.alt or "")
        if original:
            try:
                async with asyncio.timeout((self._until - self._loop.time()) * _FULL_SHARE):
                    return await self._full(image, alt)
            except (GatewayError, CurlError, TimeoutError) as error:
                why = translate(error)
                detail = str(why) if isinstance(why, UpstreamError) else type(error).__name__
                log.warning("a picture's full size cannot be had", account=self._account, detail=detail)
        copy = await self._walk(_SIZE.sub("", str(image.url)) + f"=s{_COPY}-rj", alt)
        return replace(copy, preview=True)

    async def _full(self, image: Any, alt: str) -> Picture:
        url = await self._client._get_full_size_image(image.cid, image.rid, image.rcid, image.image_id)
        if not isinstance(url, str) or not url:
            raise UpstreamUnstable("the web app names no address of it", kind="page")
        return await self._walk(f"{url}=d-I?alr=yes", alt, texts=True)

    async def _walk(self, url: str, alt: str, *, texts: bool = False) -> Picture:
        """Follow redirects, and where `texts` is set also addresses that stand in the body."""
        for _ in range(_HOPS):
            _check(url)
            response, body = await self._get(url)
            if response.status_code in {301, 302, 303, 307, 308} and response.headers.get("location"):
                url = urljoin(url, str(response.headers["location"]))
                continue
            if response.status_code != 200:
                raise _of_status(response.status_code)
            mime = sniff(body) or ""
            if mime.startswith("image/"):
                if not is_whole(body, mime):
                    raise UpstreamUnstable("a picture ended before it was whole", kind="truncated")
                return Picture(body, mime, alt)
            if not texts or not body.startswith(b"https://") or len(body) > _LONGEST_URL:
                raise UpstreamUnstable("a picture's bytes are no picture", kind="garbage")
            url = body.decode("utf-8", "replace").strip()
        raise UpstreamUnstable("a picture was redirected too often", kind="garbage")

    async def _get(self, url: str) -> tuple[Response, bytes]:
        body = Body(LARGEST)
        request = Request("GET", url, headers=Headers.REFERER.value)
        transfer = asyncio.ensure_future(
            self._client.send(request, total=self._until - self._loop.time(), sink=body.take)
        )
        try:
            while not transfer.done():
                patience = body.last + self._silence - self._loop.time()
                if patience <= 0:
                    raise UpstreamUnstable("silence in the middle of a picture", kind="stalled")
                await asyncio.wait({transfer}, timeout=patience)
            if body.overflowed:
                raise UpstreamUnstable("a picture is larger than any that is taken", kind="garbage")
            return transfer.result(), body.whole()
        finally:
            await stop(transfer)


def _of_status(status: int) -> UpstreamError:
    """A picture's address is signed and short-lived: that it is refused says nothing about the cookies."""
    detail = f"a picture was answered with HTTP {status}"
    if status == 429:
        return AccountThrottled(detail)
    return UpstreamUnstable(detail, kind="http_5xx" if status >= 500 else "page")


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        host, port = "", 0
    known = any(host == h or host.endswith("." + h) for h in _HOSTS)
    if not url.startswith("https://") or port != 443 or not known:
        raise UpstreamUnstable("a picture's address leads away from Google", kind="garbage")
