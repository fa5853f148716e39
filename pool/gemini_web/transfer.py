"""One HTTP exchange over a curl session: sent at most once, bounded, and stopped when it is cancelled."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, TypeAlias

from curl_cffi import CurlOpt
from curl_cffi.aio import CURL_POLL_NONE, CURL_SOCKET_TIMEOUT
from curl_cffi.curl import CURL_WRITEFUNC_ERROR
from curl_cffi.requests import AsyncSession, Response
from curl_cffi.requests.exceptions import SessionClosed

Sink: TypeAlias = Callable[[bytes], bool | None]
"""Takes a piece of a body; False ends the transfer."""

_FASTEST = 8 * 1024 * 1024
"""Bytes a second of one transfer. On a fast line curl would read megabytes in one turn of the loop, and ten
large pictures at once would hold up every text stream beside them."""
_BLOCK = 8192
"""Bytes that curl reads at a time; a turn of the loop is some dozens of them."""
_PULSE = 0.1
"""Seconds between two looks at curl's own timers while something is in flight."""


class OneShot:
    """A request body that curl can read once and not rewind.

    libcurl sends a request again by itself when a kept connection dies before the first byte of the
    answer: one prompt would be asked twice. A body that cannot be rewound makes it fail instead, and
    the engine decides. `sent` is True once curl began to read it, so once the request's head was due
    to leave: a failure before that is one of our network, not of the account.
    """

    __slots__ = ("_at", "_body", "sent")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self.sent = False

    def __len__(self) -> int:
        return len(self._body)

    def read(self, size: int) -> bytes:
        self.sent = True
        piece = self._body[self._at : self._at + size]
        self._at += len(piece)
        return piece


class Body:
    """A sink that keeps a body once, in one buffer that grows, and ends the transfer beyond `limit` bytes.

    last: monotonic time of the last piece, or of the start. overflowed: there was more than `limit`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = BytesIO()
        self._loop = asyncio.get_running_loop()
        self.last = self._loop.time()
        self.overflowed = False

    def take(self, chunk: bytes) -> bool:
        self.last = self._loop.time()
        self.overflowed = self.overflowed or self._buffer.tell() + len(chunk) > self._limit
        if not self.overflowed:
            self._buffer.write(chunk)
        return not self.overflowed

    def whole(self) -> bytes:
        """All that arrived; the buffer itself, not a copy of it."""
        return self._buffer.getvalue()


class Request:
    """What is to be sent. `body` is None for a GET; multipart uploads are the library's business."""

    __slots__ = ("body", "headers", "method", "params", "url")

    def __init__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        body: OneShot | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = dict(headers or {})
        self.params = dict(params or {})
        self.body = body


class Wire:
    """The sending half of one session.

    curl_cffi's own streaming mode goes on transferring after it is cancelled, and leaves an orphan where
    it is cancelled before the response's head; a plain request with a content callback is removed from
    curl at once. So answers are read by callback, and the streaming mode is not used.

    curl_cffi looks at curl's timers ten times a second for every session, also when nothing runs. That
    look is only taken while something is in flight here, so idle accounts cost nothing.
    """

    def __init__(self, session: AsyncSession[Response]) -> None:
        self._session = session
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        session.acurl._timeout_checker.cancel()
        session.curl_options[CurlOpt.MAX_RECV_SPEED_LARGE] = _FASTEST  # type: ignore[assignment]  # typed as text
        session.curl_options[CurlOpt.BUFFERSIZE] = _BLOCK  # type: ignore[assignment]  # as above

    @property
    def in_flight(self) -> int:
        return self._in_flight

    async def send(
        self, request: Request, *, connect: float, total: float, sink: Sink | None = None
    ) -> Response:
        """Send and wait for the end of the response. Redirects are not followed.

        connect, total: seconds. sink: gets the body piece by piece as it arrives, whatever the status;
        without it the response holds the body. Raises curl_cffi's RequestException.
        """
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
        with self.awake():
            response = await self._session.request(
                request.method,  # type: ignore[arg-type]
                request.url,
                params=request.params or None,
                headers=headers,
                content=request.body,  # type: ignore[arg-type]
                timeout=(connect, max(total - connect, 0.001)),
                allow_redirects=False,
                content_callback=None if sink is None else _tell_curl(sink),
            )
        if not response.status_code:
            raise SessionClosed("the session was closed before there was an answer")
        return response

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Look at curl's timers meanwhile; for requests that the library makes by itself."""
        self._in_flight += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PULSE, self._look)
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self.close()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_PULSE, self._look)
        self._session.acurl.process_data(CURL_SOCKET_TIMEOUT, CURL_POLL_NONE)


def _tell_curl(sink: Sink) -> Callable[[bytes], int]:
    def take(chunk: bytes) -> int:
        return CURL_WRITEFUNC_ERROR if sink(chunk) is False else len(chunk)

    return take


async def stop(*transfers: asyncio.Task[Any]) -> None:
    """End the transfers. curl drops them in the same turn of the loop, so this does not wait for anything
    remote, and it holds when the caller's own task is being cancelled."""
    for transfer in transfers:
        transfer.cancel()
    await asyncio.wait(transfers)
    for transfer in transfers:
        if not transfer.cancelled():
            transfer.exception()
