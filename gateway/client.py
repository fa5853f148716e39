"""A small HTTP client, for the callers of our own API that the gateway ships: the demo, the smoke test, `gempool batch`.

Loopback is never asked through a proxy; elsewhere the environment's proxies are used.
"""

import asyncio
import functools
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from core.secret import Secret
from gateway.settings import is_loopback

POLL_SECONDS = 0.1
DROPPED = (OSError, http.client.HTTPException)
"""What is raised where the other side is not there, goes away or speaks no HTTP."""
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Reply(Struct, frozen=True):
    """status: 0 where nothing answered; then `body` says why, and `nobody` whether nothing can have arrived there.
    headers: names in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS
    nobody: bool = False

    @classmethod
    def of(cls, answer: http.client.HTTPResponse | urllib.error.HTTPError) -> "Reply":
        """The whole of an answer, which is read here and closed by the caller."""
        status = answer.status if isinstance(answer, http.client.HTTPResponse) else answer.code
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return cls(status, answer.read(), headers)
        except DROPPED as error:
            return cls(0, why(error).encode())


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: whoever follows it hands the key on to where it leads."""

    def redirect_request(self, *_: Any) -> None:
        return None


async def wait_until_ready(url: str, seconds: float) -> bool:
    """Whether the gateway at the base URL said within that time that it can serve."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status, _ = await call(f"{url}/ready", {}, timeout=5)
        if status == 200:
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def call(
    url: str, headers: Mapping[str, str], body: Any = None, timeout: float = 330
) -> tuple[int, bytes]:
    """Status and body of a GET, or of a POST of JSON where there is a body; 0 where nothing answered."""
    reply = await asyncio.to_thread(ask, url, headers, body, timeout=timeout)
    return reply.status, reply.body


def ask(
    url: str, headers: Mapping[str, str], body: Any = None, *, method: str = "", timeout: float = 330
) -> Reply:
    """One exchange: a GET, or a POST of JSON where there is a body, or what `method` says. Blocks.

    timeout: seconds for each silence.
    """
    try:
        with opened(url, headers, body, method=method, timeout=timeout) as answer:
            return Reply.of(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return Reply.of(refused)
    except DROPPED as error:
        return Reply(0, why(error).encode(), nobody=_is_nobody(error))


def opened(
    url: str,
    headers: Mapping[str, str],
    body: Any = None,
    *,
    method: str = "",
    timeout: float = 330,
    follow: bool = False,
) -> http.client.HTTPResponse:
    """An answer whose body has not been read, to be closed by the caller.

    follow: go where a redirect leads, with the same headers. Raises `urllib.error.HTTPError` for every status but 2xx,
    and one of DROPPED.
    """
    data = None if body is None else msgspec.json.encode(body)
    request = urllib.request.Request(  # noqa: S310  # callers have looked at the scheme
        url, data, {"content-type": "application/json", **headers}, method=method or None
    )
    opener = _opener(is_loopback(urlsplit(url).hostname or ""), follow)
    return cast(http.client.HTTPResponse, opener.open(request, timeout=timeout))


def why(error: Exception) -> str:
    """What of DROPPED has happened, in words."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__


class Api:
    """One gateway, as a caller sees it.

    url: its base address. key: one of its keys, '' for none; it is sent there and nowhere else.
    """

    def __init__(self, url: str, key: Secret) -> None:
        self.url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key.reveal()}"} if key else {}

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "",
        headers: Mapping[str, str] = _NO_HEADERS,
        timeout: float = 60,
    ) -> Reply:
        """As the function of that name. path: with the slash that it begins with."""
        return ask(self.url + path, {**self._headers, **headers}, body, method=method, timeout=timeout)

    def opened(
        self, path: str, *, headers: Mapping[str, str] = _NO_HEADERS, timeout: float
    ) -> http.client.HTTPResponse:
        """As the function of that name."""
        return opened(self.url + path, {**self._headers, **headers}, timeout=timeout)


@functools.cache
def _opener(loopback: bool, follow: bool) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [] if follow else [_Stay()]
    if loopback:
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _is_nobody(error: Exception) -> bool:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError))
