"""One request and its answer, as handlers see it."""

import asyncio
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeAlias, TypeVar

import structlog
from litestar.types import HTTPScope

from access import Caller
from core.chat import Finish, Trace
from core.errors import GatewayError
from routes import body
from routes.dialect import Dialect
from routes.errors import headers_of
from routes.inline import PIECE, Pieces
from routes.multipart import Form, FormReader
from routes.presence import Presence, Receive
from routes.services import EdgeSettings

log = structlog.get_logger("gempool.routes")

Send: TypeAlias = Callable[[Any], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

T = TypeVar("T")

Kind: TypeAlias = Literal["text", "picture", "tokens", "batch", "none"]
"""One of `core.metrics.KINDS`."""

UNROUTED = "unrouted"
"""The route of what has none."""
JSON_TYPE = b"application/json"


class HeadAlreadySent(RuntimeError):
    """An error came when its response could no longer be chosen; the connection is cut instead."""


class Exchange:
    """What one request brought and what was answered. Handlers read the former and call `reply`, `fail`,
    or `start` and `send`; the edge reads the outcome when they are done.

    id: the request's id. route: the template that metrics and logs name. model: the public name that was
    asked for, if any; kind: what was to be made with it. outcome: `ok`, or the error's code. param: the field that the error is about. limit: which of the
    caller's limits refused. Times are seconds of the clock's monotonic time.
    """

    __slots__ = (
        "_body_read",
        "_render",
        "_send",
        "bytes_sent",
        "caller",
        "dialect",
        "extra_headers",
        "first_content_at",
        "head_at",
        "head_only",
        "headers",
        "id",
        "kind",
        "limit",
        "method",
        "model",
        "monotonic",
        "outcome",
        "param",
        "path",
        "query",
        "read_seconds",
        "receive",
        "route",
        "scope",
        "send_seconds",
        "settings",
        "started",
        "status",
        "traces",
        "upstream_model",
        "watches",
    )

    def __init__(
        self,
        scope: HTTPScope,
        receive: Receive,
        send: Send,
        *,
        request_id: str,
        settings: EdgeSettings,
        monotonic: Callable[[], float],
    ) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.settings = settings
        self.monotonic = monotonic
        self.started = monotonic()
        self.id = request_id
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.head_only = scope["method"] == "HEAD"
        self.method = "GET" if self.head_only else str(scope["method"])
        self.path: str = scope["path"]
        query: bytes = scope["query_string"]
        self.query: dict[str, str] = (
            dict(urllib.parse.parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
        )
        self.dialect: Dialect = "openai"
        self._render: Callable[[GatewayError], bytes]
        self.caller: Caller | None = None
        self.route = UNROUTED
        self.model = ""
        self.kind: Kind = "none"
        self.upstream_model = ""
        self.outcome = "ok"
        self.param = ""
        self.limit = ""
        self.status = 0
        self.bytes_sent = 0
        self.extra_headers: Headers = [(b"x-request-id", request_id.encode())]
        self.traces: list[Trace] = []
        self.head_at: float | None = None
        self.first_content_at: float | None = None
        self.read_seconds = 0.0
        self.send_seconds = 0.0
        self.watches = False
        """It lasts for as long as the caller likes, so that its time tells nothing, nor does its end."""
        self._body_read = False

    def speak(self, dialect: Dialect, render: Callable[[GatewayError], bytes]) -> None:
        """Choose the dialect of this exchange and what renders its errors."""
        self.dialect = dialect
        self._render = render

    def render(self, error: GatewayError) -> bytes:
        """The error as JSON in the exchange's dialect."""
        return self._render(error)

    @property
    def caller_name(self) -> str:
        return self.caller.name if self.caller else ""

    @property
    def counted_as(self) -> str:
        """The name that the caller's shares are counted under."""
        return self.caller.counted_as if self.caller else ""

    @property
    def attempts(self) -> int:
        """Accounts tried so far, over all choices; 0 where the engine was not asked."""
        return sum(trace.attempts for trace in self.traces)

    @property
    def waited(self) -> float:
        """Seconds spent waiting for accounts and the upstream; choices wait side by side."""
        return max((trace.waited for trace in self.traces), default=0.0)

    @property
    def overhead(self) -> float:
        """The gateway's own share until the answer's head, or until now, in seconds."""
        end = self.head_at if self.head_at is not None else self.monotonic()
        return max(0.0, end - self.started - self.read_seconds - self.waited)

    def answered_by(self, index: int, finish: Finish) -> None:
        """Note how choice `index` ended, where the engine's trace does not tell."""
        self.upstream_model = finish.model
        trace = self.traces[index]
        trace.attempts = trace.attempts or finish.attempts

    async def json(
        self, understand: Callable[[dict[str, Any]], T], *, or_form: bool = False, at_most: int | None = None
    ) -> T:
        """What `understand` (pure; it may run in a thread) makes of the body's JSON object. or_form: the route also
        takes forms, which the refusal of another type says. at_most: bytes of the body, where fewer do than elsewhere."""
        header = self.headers.get
        before = self.monotonic()
        try:
            raw = await body.read(
                self._receive_body,
                header(b"content-length"),
                limit=self.settings.body_limit if at_most is None else at_most,
                within=self.settings.body_timeout,
            )
        finally:
            self.read_seconds = self.monotonic() - before
        self._body_read = True
        encoding = header(b"content-encoding", b"")
        body.check_type(header(b"content-type", b""), encoding, raw, or_form=or_form)
        return await body.understood(raw, understand)

    async def _receive_body(self) -> Any:
        message = await self.receive()
        if body.BROKEN in self.scope:
            raise body.broken()
        return message

    async def form(self, understand: Callable[[Form], T]) -> T:
        """What `understand` (pure; run in a thread) makes of the body, a form with files (`multipart/form-data`)."""
        header = self.headers.get
        settings = self.settings
        body.check_encoding(header(b"content-encoding", b""))
        reader = FormReader(header(b"content-type", b""), file_limit=settings.file_limit)
        before = self.monotonic()
        try:
            await body.pour(
                self._receive_body,
                header(b"content-length"),
                reader.take,
                limit=settings.body_limit,
                within=settings.body_timeout,
            )
        finally:
            self.read_seconds = self.monotonic() - before
        self._body_read = True
        return await asyncio.to_thread(lambda: understand(reader.end()))

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head. A second head is a fault of ours."""
        if self.status:
            raise HeadAlreadySent
        self.status = status
        self.head_at = self.monotonic()
        headers += self.extra_headers
        if self._awaits_the_word() and not self._body_read:
            # Whether its body comes all the same nobody knows, so nothing behind it could be told from it.
            headers.append((b"connection", b"close"))
        if attempts := self.attempts:
            headers.append((b"x-gempool-attempts", b"%d" % attempts))
        if self.waited:
            headers.append((b"x-gempool-overhead-ms", b"%.2f" % (self.overhead * 1000)))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _awaits_the_word(self) -> bool:
        """Whether the caller sends the body only once it is asked for."""
        return self.headers.get(b"expect", b"").lower() == b"100-continue"

    async def send(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the body."""
        self.bytes_sent += len(data)
        before = self.monotonic()
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        finally:
            self.send_seconds += self.monotonic() - before

    async def reply(
        self, data: bytes, *, status: int = 200, media_type: bytes = JSON_TYPE, headers: Headers | None = None
    ) -> None:
        """Send a whole response."""
        own = [(b"content-type", media_type), (b"content-length", b"%d" % len(data)), *(headers or ())]
        await self.start(status, own)
        await self.send(b"" if self.head_only else data, more=False)

    async def reply_in_pieces(
        self,
        data: Pieces,
        *,
        status: int = 200,
        media_type: bytes = JSON_TYPE,
        headers: Headers | None = None,
    ) -> None:
        """Send a whole response that holds pictures. Raises `CallerLeft` where the caller hangs up meanwhile."""
        if self.head_only or len(data) <= PIECE:
            await self.reply(data.joined(), status=status, media_type=media_type, headers=headers)
            return
        own = [(b"content-type", media_type), (b"content-length", b"%d" % len(data)), *(headers or ())]
        await self.start(status, own)
        async with Presence(self.receive):
            await self.send_in_turns(data)
        await self.send(b"", more=False)

    async def send_in_turns(self, pieces: Iterable[bytes]) -> None:
        """Send pieces that take a while to make; others get their turn after each."""
        for piece in pieces:
            await self.send(piece)
            await asyncio.sleep(0)

    def note(self, error: GatewayError) -> None:
        """Take the error for the exchange's outcome and log it at its own level."""
        self.outcome = error.code
        self.param = error.param or ""
        if error.log_level != "info":
            getattr(log, error.log_level)("request failed", code=error.code, why=str(error), route=self.route)

    async def fail(self, error: GatewayError) -> None:
        """Answer with an error in the exchange's dialect."""
        self.note(error)
        if self.status:
            raise HeadAlreadySent(error.code)
        unread = error.status in (408, 413) or body.BROKEN in self.scope
        if self._body_read or not unread:
            await self.reply(self._render(error), status=error.status, headers=headers_of(error))
            return
        await self._refuse_body(error)

    async def _refuse_body(self, error: GatewayError) -> None:
        """Answer before the body has been read, and close. What is still on its way is thrown away for a
        while first: a connection closed on unread data is reset, and the caller would lose the answer."""
        data = self._render(error)
        own = [(b"content-type", JSON_TYPE), (b"content-length", b"%d" % len(data))]
        if not self._awaits_the_word():
            own.append((b"connection", b"close"))
        await self.start(error.status, own + headers_of(error))
        await self.send(b"" if self.head_only else data)
        if not self._awaits_the_word():
            before = self.monotonic()
            await body.discard(self.receive, at_most=self.settings.body_limit, within=2.0)
            self.send_seconds += self.monotonic() - before
        await self.send(b"", more=False)
