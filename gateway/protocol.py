"""Uvicorn's HTTP/1.1 protocol with what it leaves open: a bound on the size of a request's head, a bound on
the time it may take to arrive, and refusals in the shape of the service's other errors."""

import asyncio
import secrets
from typing import Any, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers; what one read brings beyond it is still taken."""
HEAD_SECONDS = 30.0
LINGER_SECONDS = 1.0
"""After a refusal the rest of what the caller sends is read and dropped: closing on unread bytes would reset the
connection, and the caller would never see why."""


class BoundedProtocol(HttpToolsProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_pending = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if not self._head_pending:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT:
            self._refuse(
                431, f"The request's head is larger than {HEAD_LIMIT} bytes. Send fewer or shorter headers."
            )
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._head_pending = True

    def on_headers_complete(self) -> None:
        self._head_pending = False
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(
            400, "This is not a valid HTTP/1.1 request. Check the request line, headers and lengths."
        )

    def _head_is_late(self) -> None:
        self._head_timer = None
        self._refuse(
            408, f"The request's head did not arrive within {HEAD_SECONDS:.0f} seconds. Send it again."
        )

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close. There is no route yet, so the error has OpenAI's shape."""
        self._head_pending = False
        self._stop_timer()
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        error = {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_request",
        }
        body = msgspec.json.encode({"error": error})
        request_id = f"req_{secrets.token_hex(12)}".encode()
        head = [*self.server_state.default_headers]
        head += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        head += [(b"connection", b"close"), (b"x-request-id", request_id)]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in head)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
