"""From a coroutine function that takes an `Exchange` to a route."""

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from routes.exchange import Exchange

EXCHANGE = "gempool.exchange"
"""Key of the exchange in the ASGI scope."""

_TYPED = re.compile(r"\{(\w+):\w+\}")

Handler: TypeAlias = Callable[[Exchange], Awaitable[None]]


def route(
    paths: str | list[str], methods: HttpMethod | list[HttpMethod], handler: Handler
) -> HTTPRouteHandler:
    """A route whose handler answers through its exchange.

    Litestar only finds the handler: what it hands back is an ASGI application, so none of its work on
    arguments and responses is paid for.
    """
    endpoint = _Endpoint(handler)

    def find() -> ASGIApp:
        return endpoint

    return HTTPRouteHandler(paths, http_method=methods, status_code=200, sync_to_thread=False)(find)


class _Endpoint:
    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = cast(Any, scope)[EXCHANGE]
        exchange.route = told(cast(Any, scope)["path_template"])
        await self._handler(exchange)


@functools.cache
def told(template: str) -> str:
    """A template of the router's as metrics, logs and `openapi.json` name it: without the types of its parameters."""
    return _TYPED.sub(r"{\1}", template)


def below(exchange: Exchange, mark: str) -> str:
    """What the path says after `mark`, for names that may hold slashes and colons."""
    return exchange.path.partition(mark)[2].strip("/")
