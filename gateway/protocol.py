"""Uvicorn's HTTP/1.1 protocol with what it leaves open: a bound on the size of a request's head, bounds on the time that it may
take to arrive and that an answer may lie unread, and refusals in the shape of the service's other errors, each at its turn."""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from core.errors import CallerError, HeadTooLarge, InvalidRequest, MethodNotAllowed, RequestTimeout
from routes import cors, refusal
from routes.body import BROKEN

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers."""
HEAD_SECONDS = 30.0
UNREAD_SECONDS = 120.0
"""A caller who has taken nothing of what waits for it for so long is cut off: it would hold its answer and its connection for as long
as it likes. The kernel takes more of us in steps of some hundred kB, so this suffers callers of a few kB a second."""
LINGER_SECONDS = 1.0
"""After a refusal the rest of what the caller sends is read and dropped: closing on unread bytes would reset the
connection, and the caller would never see why."""
FAREWELL_SECONDS = 1.0
"""How long an idle connection stays open during a stop: its caller may be sending the next request at this moment, which would be lost
without an answer. A balancer must not send it again."""

_LINE_BYTES = 8 * 1024
_REQUEST_LINE = re.compile(rb"(?:\r?\n)*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) (\S+)(?: HTTP/1\.[01])?\r?\n")
_AUTHORITY = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
"""The host of a request target that is a whole address."""
_CLOSES = (b"connection", b"close")
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class _TooLarge(Exception):
    """Ends the parser's work on a head; it is answered from there."""


class _TwoHosts(Exception):
    """The same: one might be what a proxy looked at, and the other what is looked at here."""


class BoundedProtocol(HttpToolsProtocol):
    """cors_origins: web origins whose pages may read a refusal; `*` means any. refused: called with the code of each
    error that was answered here. stopping: whether the process stops; who connects then is told so as those before were.
    unread_seconds: instead of UNREAD_SECONDS."""

    def __init__(
        self,
        *args: Any,
        cors_origins: Sequence[str] = ("*",),
        refused: Callable[[str], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
        unread_seconds: float = UNREAD_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._unread_seconds = unread_seconds
        self._unread = 0
        """Bytes that the caller had left unread at the last look; 0: it has read on since, or nothing waits."""
        self._unread_timer: asyncio.TimerHandle | None = None
        self._cors_origins = cors_origins
        self._refused = refused
        self._began = self.loop.time()
        """When the first bytes of the request that is being read came."""
        self._line = b""
        """The first bytes of the request that is being read, for what the parser does not get to tell."""
        self._head_bytes = 0
        self._fields_bytes = 0
        self._hosts = 0
        self._head_pending = False
        self._message_open = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._deaf = False
        """Nothing more is read from this connection: it is refused, or will be at its turn."""
        self._deferred: tuple[CallerError, bytes] | None = None
        """A refusal that waits until the requests before it are answered, and its body."""
        self._process_stops = stopping
        self._stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        if self._process_stops():
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The process stops: what is being asked is answered, and so is one request more that is on its way."""
        self._stopping = True
        if self._idle():
            self._part_soon()
        elif not self.cycle.response_started:
            self._say_that_it_closes()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = 0

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._message_open:
            self._line = data[:_LINE_BYTES]
            self._began = self.loop.time()
        elif self._head_pending and len(self._line) < _LINE_BYTES:
            self._line += data[:_LINE_BYTES]
        super().data_received(data)
        if not self._head_pending or self._deaf:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT:
            self._refuse(_head_too_large())
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unread = 0  # from here on more may be written than was there at the last look
        self._head_bytes = self._fields_bytes = self._hosts = 0
        self._head_pending = self._message_open = True

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._measure(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._measure(len(name) + len(value) + 4)
        self._hosts += name.lower() == b"host"
        if self._hosts > 1:
            raise _TwoHosts

    def on_headers_complete(self) -> None:
        if named := _AUTHORITY.match(self.url):
            # The target says it, whatever the header says (RFC 9112, 3.2.2). The scope has this very list.
            self.headers[:] = [(b"host", named[1]), *(field for field in self.headers if field[0] != b"host")]
        super().on_headers_complete()
        if self._stopping:
            self._say_that_it_closes()
        self._head_pending = False
        self._stop_timer()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._message_open = False

    def on_response_complete(self) -> None:
        last = not self.pipeline
        super().on_response_complete()
        self._watch_reading()  # closing would wait for the reader too
        if last and self._deferred is not None and not self.transport.is_closing():
            self._answer(*self._deferred)
        elif last and self._stopping:
            self._part_soon()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _say_that_it_closes(self) -> None:
        """The newest request's answer says so, and whoever sees it sends nothing more here."""
        self.cycle.default_headers = [*self.cycle.default_headers, _CLOSES]

    def _part_soon(self) -> None:
        self.loop.call_later(FAREWELL_SECONDS, self._part)

    def _part(self) -> None:
        if self._idle() and not self._deaf:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser gives up."""
        if self._message_open and not self._head_pending:
            self._refuse_body()
        elif self._fields_bytes > HEAD_LIMIT:
            self._refuse(_head_too_large())
        elif self._hosts > 1:
            self._refuse(InvalidRequest("The request has two Host headers. Send one."))
        elif (line := _REQUEST_LINE.match(self._line)) and (method := line[1].decode()) not in _METHODS:
            allow = ", ".join(_METHODS)
            self._refuse(
                MethodNotAllowed(f"{method} is no method of this service. Use one of {allow}.", allow=allow)
            )
        else:
            self._refuse(
                InvalidRequest(
                    "This is not a valid HTTP/1.1 request. Check the request line, headers and lengths."
                )
            )

    def _measure(self, more: int) -> None:
        self._fields_bytes += more
        if self._fields_bytes > HEAD_LIMIT:
            raise _TooLarge

    def _head_is_late(self) -> None:
        self._head_timer = None
        self._refuse(
            RequestTimeout(
                f"The request's head did not arrive within {HEAD_SECONDS:.0f} seconds. Send it again."
            )
        )

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_reading(self) -> None:
        """While the answer waits for its reader, or is complete: then nothing is written between two looks."""
        if self._unread_timer is None and (left := self.transport.get_write_buffer_size()):
            self._unread = left
            self._unread_timer = self.loop.call_later(self._unread_seconds, self._look_at_reading)

    def _look_at_reading(self) -> None:
        self._unread_timer = None
        if 0 < self._unread <= self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self.flow.write_paused or self._idle():
            self._watch_reading()

    def _refuse_body(self) -> None:
        """The body of the newest request cannot be read on."""
        self._deaf = True
        cycle = self.cycle
        # The application answers, which knows who asks for what, at once or when it is this request's turn.
        cast(Any, cycle.scope)[BROKEN] = True
        cycle.keep_alive = False
        if cycle.response_started:
            # It was answered without its body.
            cycle.more_body = False
        cycle.message_event.set()
        if cycle.response_complete:
            self.transport.close()

    def _refuse(self, error: CallerError) -> None:
        """Answer the newest request with an error and close, once those before it have their answers."""
        self._head_pending = False
        self._stop_timer()
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        body = self._render(error)
        if self._idle():
            self._answer(error, body)
        else:
            self._deferred = (error, body)

    def _render(self, error: CallerError) -> bytes:
        """The error in the dialect of the request's path, as far as that came."""
        line = _REQUEST_LINE.match(self._line)
        target = line[2] if line else b""
        if not self._message_open:
            return refusal.render(error, self._method(), target)
        return refusal.render(error, self._method(), self.url or target, self.headers)

    def _method(self) -> bytes:
        """The refused request's, as far as it came."""
        # Of several requests in one read only the first has its line here.
        if self._message_open and "method" in self.scope:
            return self.scope["method"].encode()
        line = _REQUEST_LINE.match(self._line)
        return line[1] if line else b""

    def _answer(self, error: CallerError, body: bytes) -> None:
        self._unset_keepalive_if_required()
        request_id = f"req_{secrets.token_hex(12)}".encode()
        origin = next((value for name, value in self.headers or () if name == b"origin"), None)
        head = [*self.server_state.default_headers, *refusal.headers_of(error)]
        head += cors.response_headers(self._cors_origins, origin)
        head += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        head += [(b"connection", b"close"), (b"x-request-id", request_id)]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in head)
        self.transport.write(STATUS_LINE[error.status] + lines + b"\r\n" + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        refusal.tell(
            error,
            request_id=request_id.decode(),
            address=self.client[0] if self.client else "unknown",
            method=self._method(),
            sent=len(body),
            seconds=self.loop.time() - self._began,
        )
        if self._refused is not None:
            self._refused(error.code)
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(
        f"The request's head is larger than {HEAD_LIMIT} bytes. Send fewer or shorter headers."
    )
