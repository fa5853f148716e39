"""HTTP/1.1 over any transport: requests are parsed, replies are played.

A `Reply` is a value: what is sent, how slowly and how it ends. The web app and the control API only
make replies; `Connection` is the one place that writes to a socket.
"""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl

import httptools
import structlog
from msgspec import Struct

from core.tasks import Tasks

log = structlog.get_logger("gempool.simulator")

End: TypeAlias = Literal["sent", "aborted", "cut"]
"""How a reply ended: played to its end, left by the client, or cut off by a fault."""

Piece: TypeAlias = bytes | memoryview

MAX_BODY = 64 * 1024 * 1024
_BLOCK = 256 * 1024
"""Bytes of a body that are written at once; then the client has to take them."""
_PAUSES = 20
FLUSH_SECONDS = 0.03
"""Time for what was written to reach the client before a reset throws the rest away."""

_REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
            405: "Method Not Allowed", 407: "Proxy Authentication Required", 413: "Content Too Large",
            429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
            503: "Service Unavailable"}  # fmt: skip


class Request(Struct):
    """One request, whole. Header names are lower case; repeated headers are joined by `; `."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8"), keep_blank_values=True))


class Step(Struct, frozen=True):
    """A pause in seconds, then pieces of the body, each a transfer chunk of its own."""

    delay: float
    pieces: Sequence[Piece]


class Reply(Struct):
    """What is answered. Status 0: nothing, the connection is reset.

    wait: seconds before the head. steps: a chunked body instead of `body`. ending: after the last step, or after
    the `sent` part of the body, the body is completed, the connection reset, or nothing comes any more.
    make: gives the body, in a thread, where it takes long to make. kept: the part of the body that there is, as if
    the rest had never been. seconds: that the body takes. on_step: called when each step is about to be written.
    on_end: called once when the reply is over.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    steps: list[Step] | None = None
    ending: Literal["complete", "reset", "silence"] = "complete"
    wait: float = 0.0
    make: Callable[[], bytes] | None = None
    kept: float = 1.0
    sent: float = 1.0
    seconds: float = 0.0
    on_step: Callable[[], None] | None = None
    on_end: Callable[[End], None] | None = None

    @property
    def instant(self) -> bool:
        """True where the whole reply can be written at once."""
        if self.wait or not self.status or self.ending != "complete":
            return False
        if self.make is not None or self.kept < 1 or self.seconds or len(self.body) > _BLOCK:
            return False
        return self.steps is None or not any(step.delay for step in self.steps)


Handler: TypeAlias = Callable[[Request], Reply]


def head(reply: Reply) -> bytes:
    lines = [
        f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Status')}",
        f"Content-Type: {reply.content_type}",
    ]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines.append(
        f"Content-Length: {len(reply.body)}" if reply.steps is None else "Transfer-Encoding: chunked"
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunks(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces as transfer chunks, still to be joined; an empty chunk would end the body, so none is made."""
    framed: list[Piece] = []
    for piece in pieces:
        if piece:
            framed += (b"%x\r\n" % len(piece), piece, b"\r\n")
    return framed


class Connection(asyncio.Protocol):
    """One keep-alive connection. `attach` is called by whoever made the transport."""

    def __init__(self, handler: Handler, tasks: Tasks, lost: Callable[["Connection"], None]) -> None:
        self._handler = handler
        self._tasks = tasks
        self._on_lost = lost
        self.lost = False
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._reply: Reply | None = None
        self._player: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(transport)

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """Start; bytes that came with the TLS handshake's end were kept until now."""
        self._transport = transport  # type: ignore[assignment]  # stream transports only
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            self._early.append(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._give_up(b"400 Bad Request")
            return
        if self._reply is None:
            self._next()

    def _give_up(self, status: bytes) -> None:
        if self._transport is not None:
            self._transport.write(
                b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._writable.set()
        if self._player is not None:
            self._player.cancel()
        self._finish("aborted")
        self._on_lost(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # httptools
    def on_message_begin(self) -> None:
        self._url, self._headers, self._body, self._size = b"", {}, [], 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}; {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_BODY:
            self._body.append(data)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        if self._size > MAX_BODY:
            self._give_up(b"413 Content Too Large")
            return
        request = Request(
            self._parser.get_method().decode(), path, query, self._headers, b"".join(self._body)
        )
        # Handled once the parser has returned: it would take a handler's fault for a fault of the client.
        self._waiting.append(request)

    # replies
    def _next(self) -> None:
        while self._waiting and self._reply is None:
            try:
                reply = self._handler(self._waiting.popleft())
            except Exception as error:  # border: a fault of ours is logged and answered as one
                log.error("a request could not be handled", exc_info=error)
                self._give_up(b"500 Internal Server Error")
                return
            self._reply = reply
            if reply.instant:
                self._write_at_once(reply)
            else:
                self._player = self._tasks.spawn(self._play(reply), "reply")

    def _write_at_once(self, reply: Reply) -> None:
        assert self._transport is not None  # noqa: S101  # a request cannot come before the transport
        if reply.steps is None:
            self._transport.write(head(reply) + reply.body)
        else:
            whole: list[Piece] = [head(reply)]
            for step in reply.steps:
                whole += chunks(step.pieces)
            whole.append(b"0\r\n\r\n")
            self._transport.write(b"".join(whole))
        self._finish("sent")

    async def _play(self, reply: Reply) -> None:
        transport = self._transport
        assert transport is not None  # noqa: S101  # as above
        if reply.wait:
            await asyncio.sleep(reply.wait)
        if not reply.status:
            self._finish("cut")
            self.reset()
            return
        if reply.make is not None:
            reply.body = await asyncio.to_thread(reply.make)
        if reply.kept < 1:
            reply.body = reply.body[: int(len(reply.body) * reply.kept)]
        transport.write(head(reply))
        if reply.steps is None:
            await self._write_body(transport, reply)
        for step in reply.steps or ():
            if step.delay:
                await asyncio.sleep(step.delay)
            if reply.on_step is not None:
                reply.on_step()
            transport.write(b"".join(chunks(step.pieces)))
            await self._writable.wait()
        if reply.ending == "silence":
            await asyncio.Event().wait()
        if reply.ending == "reset":
            await asyncio.sleep(FLUSH_SECONDS)
            self._finish("cut")
            self.reset()
            return
        if reply.steps is not None:
            transport.write(b"0\r\n\r\n")
        self._player = None
        self._finish("sent")
        self._next()

    async def _write_body(self, transport: asyncio.Transport, reply: Reply) -> None:
        end = int(len(reply.body) * reply.sent)
        block = min(_BLOCK, max(1, end // _PAUSES)) if reply.seconds else _BLOCK
        starts = range(0, end, block)
        for start in starts:
            if reply.seconds:
                await asyncio.sleep(reply.seconds / len(starts))
            transport.write(reply.body[start : min(start + block, end)])
            await self._writable.wait()

    def _finish(self, end: End) -> None:
        reply, self._reply = self._reply, None
        if reply is not None and reply.on_end is not None:
            reply.on_end(end)

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        if self._transport is None or self._transport.is_closing():
            return
        reset_transport(self._transport)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def reset_transport(transport: asyncio.Transport) -> None:
    """Abort so that the peer sees a reset rather than an orderly end."""
    sock: Any = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        # A duplicate, because the loop's own socket object need not allow options to be set.
        with socket.socket(fileno=os.dup(sock.fileno())) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
