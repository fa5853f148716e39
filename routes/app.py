"""The application: routes, and around every request what all of them share."""

import asyncio
import functools
import re
import secrets
from collections.abc import Sequence
from typing import Any, NoReturn, cast

import structlog
from litestar import Litestar, Request
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, LifespanHook, Receive, Send
from litestar.utils import normalize_path

from access import Keys
from core.errors import CallerError, GatewayError, InternalError, InvalidRequest, MethodNotAllowed, NotFound
from core.masking import hiding, mask
from routes import admin, batch, cors, files, gemini, openai, openapi, ops, plain, reference, shared
from routes.dialect import dialect_of, is_under
from routes.exchange import UNROUTED, Exchange, HeadAlreadySent
from routes.guards import Guard, brought_secrets, heed_proxy
from routes.models import KnownModels
from routes.outcomes import Outcomes
from routes.presence import CallerLeft
from routes.recording import Recorder
from routes.routing import EXCHANGE, told
from routes.services import RouteServices

log = structlog.get_logger("gempool.routes")

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
CLIENT_CLOSED_REQUEST = 499
"""What logs say (nginx's word) where no answer could be delivered."""


def create_app(
    services: RouteServices,
    *,
    lifespan: Sequence[Any] = (),
    on_startup: Sequence[LifespanHook] = (),
    on_shutdown: Sequence[LifespanHook] = (),
    route_handlers: Sequence[HTTPRouteHandler] = (),
) -> Litestar:
    """The whole edge as one application. `lifespan` and the hooks are Litestar's own; `route_handlers` adds
    to the routes."""
    models = KnownModels(services.chat, services.clock, services.limits)
    outcomes = Outcomes()
    guard = Guard(services)
    handlers = [
        *openai.handlers(services, models),
        *gemini.handlers(services, models),
        *shared.handlers(services, models),
        *plain.handlers(services, models),
        *ops.handlers(services, outcomes, guard),
        *admin.handlers(services, guard),
        *reference.handlers(),
        *(batch.handlers(services.batches, models) if services.batches is not None else ()),
        *(files.handlers(services.files) if services.files is not None else ()),
        *route_handlers,
    ]
    handlers += openapi.handlers(services, handlers)
    return EdgeApp(
        services,
        models,
        outcomes,
        guard,
        route_handlers=handlers,
        exception_handlers={Exception: _hand_on},
        lifespan=list(lifespan),
        on_startup=list(on_startup),
        on_shutdown=list(on_shutdown),
        openapi_config=None,
        logging_config=None,
    )


class EdgeApp(Litestar):
    """Litestar with the edge around it: ids, keys, cross-origin headers, metrics, one log line a request.

    Litestar's own middleware does not see requests that it cannot route, and these need all of that too.
    """

    __slots__ = ("_guard", "_keys", "_recorder", "_services")

    def __init__(
        self, services: RouteServices, models: KnownModels, outcomes: Outcomes, guard: Guard, **options: Any
    ) -> None:
        self._services = services
        self._recorder = Recorder(services, models, outcomes)
        self._guard = guard
        # Whoever has one might write it into a field, and whoever has another must not find it there.
        self._keys = tuple(key.reveal() for key in services.keys.written)
        super().__init__(**options)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        with hiding((*brought_secrets(scope), *self._keys)):
            await self._serve(self._open(scope, receive, send))

    async def _serve(self, exchange: Exchange) -> None:
        in_flight = self._services.metrics.in_flight
        in_flight.inc()
        try:
            with structlog.contextvars.bound_contextvars(request_id=exchange.id):
                await self._answer(exchange)
        except CallerLeft:
            exchange.outcome = "cancelled"
            exchange.status = exchange.status or CLIENT_CLOSED_REQUEST
            if not exchange.watches:
                self._services.metrics.cancelled.inc()
        except asyncio.CancelledError:
            exchange.outcome = "cancelled"
            raise
        finally:
            in_flight.dec()
            await self._recorder.record(exchange)

    def _open(self, scope: HTTPScope, receive: Receive, send: Send) -> Exchange:
        services = self._services
        heed_proxy(scope, self._guard.proxies)
        exchange = Exchange(
            scope,
            receive,
            cast(Any, send),
            request_id=_request_id(scope, services.keys),
            settings=services.settings,
            monotonic=services.clock.monotonic,
        )
        google_key = b"x-goog-api-key" in exchange.headers or "key" in exchange.query
        dialect = dialect_of(exchange.method, exchange.path, google_key)
        exchange.speak(dialect, gemini.render if dialect == "google" else openai.render)
        if (origin := exchange.headers.get(b"origin")) is not None:
            exchange.extra_headers += cors.response_headers(services.settings.cors_origins, origin)
        return exchange

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.method == "OPTIONS":
            await self._preflight(exchange)
            return
        try:
            exchange.caller = self._guard.admit(exchange)
        except CallerError as error:
            exchange.route = self._template(exchange)
            await exchange.fail(error)
            return
        # A copy, since the server's own scope tells it that a HEAD's answer has no body.
        scope = {**exchange.scope, "method": exchange.method, EXCHANGE: exchange}
        try:
            await super().__call__(cast(Any, scope), cast(Any, exchange.receive), _no_send)
        except (CallerLeft, HeadAlreadySent):
            raise
        except GatewayError as error:
            if exchange.route == UNROUTED:
                exchange.route = self._template(exchange)
            await exchange.fail(error)
        except Exception:
            # The border of the edge: whatever a handler failed to foresee is ours, and is not shown.
            log.exception("a handler failed", route=exchange.route)
            await exchange.fail(InternalError("The gateway failed on this request. Please try again."))

    def _template(self, exchange: Exchange) -> str:
        """The route of a request that was refused before it came there; also of one whose path has other methods only."""
        path = normalize_path(exchange.path)
        find = functools.partial(self.asgi_router.handle_routing, path)
        try:
            try:
                *_, template = find(cast(Any, exchange.method))
            except MethodNotAllowedException as error:
                *_, template = find(cast(Any, (error.headers or {})["allow"].partition(",")[0]))
        except NotFoundException:
            return UNROUTED
        return gemini.called(exchange.path, told(template))

    async def _preflight(self, exchange: Exchange) -> None:
        """Browsers send no key with it. What it asks about is guarded by itself."""
        exchange.route = "preflight"
        allow = ""
        # Litestar answers OPTIONS with the methods of one handler of several. No route has TRACE, so its
        # refusal lists them all.
        scope = {**exchange.scope, "method": "TRACE", EXCHANGE: exchange}
        try:
            await super().__call__(cast(Any, scope), cast(Any, exchange.receive), _no_send)
        except MethodNotAllowed as error:
            allow = error.allow
        except GatewayError as error:
            await exchange.fail(error)
            return
        methods = gemini.narrowed(exchange.path, allow)
        await exchange.start(204, cors.preflight_headers(exchange.headers, f"{methods}, OPTIONS".encode()))
        await exchange.send(b"", more=False)


def _request_id(scope: HTTPScope, keys: Keys) -> str:
    """The caller's own where it is one, and nothing that should not be in logs; else a new one."""
    asked = dict(scope["headers"]).get(b"x-request-id", b"")
    if REQUEST_ID.fullmatch(asked) and mask(id := asked.decode()) == id and keys.identify([asked]) is None:
        return id
    return f"req_{secrets.token_hex(12)}"


async def _no_send(message: Any) -> None:
    """Litestar's own sends would miss the edge's headers; everything goes through the exchange."""
    raise HeadAlreadySent(message["type"])


def _hand_on(request: Request[Any, Any, Any], error: Exception) -> NoReturn:
    """Litestar's exception handler: everything is answered by the edge. What Litestar raises itself (no such
    route, wrong method, a bad Host) becomes an error of ours."""
    if isinstance(error, MethodNotAllowedException):
        allow = _allowed((error.headers or {}).get("allow", ""))
        raise MethodNotAllowed(
            f"{request.method} is not supported here. Use {allow}.", allow=allow
        ) from error
    if isinstance(error, NotFoundException):
        raise NotFound(_no_route(cast(Any, request.scope)[EXCHANGE])) from error
    if isinstance(error, HTTPException) and 400 <= error.status_code < 500:
        raise InvalidRequest(f"The request is not valid: {error.detail}.") from error
    raise error


def _allowed(methods: str) -> str:
    names = {name.strip() for name in methods.split(",")} - {"", "OPTIONS"}
    if "GET" in names:
        names.add("HEAD")
    return ", ".join(sorted(names))


def _no_route(exchange: Exchange) -> str:
    hint = "GET /api/info lists the routes."
    if is_under(exchange.path, "/v1/v1") or "/v1/v1" in exchange.path:
        hint = "The base URL must end in a single /v1."
    return f"There is no route {exchange.method} {exchange.path[:200]}. {hint}"
