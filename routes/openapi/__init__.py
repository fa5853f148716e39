"""`GET /openapi.json`: every route of the gateway, described from the wire structs themselves."""

from collections.abc import Iterable, Sequence

import msgspec
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.exchange import Exchange
from routes.openapi import admin, batch, gemini, openai, ops, plain
from routes.openapi.document import document
from routes.openapi.operations import Operation
from routes.routing import route
from routes.services import RouteServices

__all__ = ["PATH", "Operation", "handlers", "operations"]

PATH = "/openapi.json"


def operations() -> list[Operation]:
    """All that there are, also those of routes that this gateway may be without."""
    return [
        *openai.operations(),
        *gemini.operations(),
        *plain.operations(),
        *batch.operations(),
        *ops.operations(),
        *admin.operations(),
    ]


def handlers(services: RouteServices, others: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """others: the routes that the document describes, besides itself."""
    present = {
        (path, str(method)) for other in others for path in other.paths for method in other.http_methods
    }
    return [route(PATH, HttpMethod.GET, _Document(services, {*present, (PATH, "GET")}).read)]


class _Document:
    def __init__(self, services: RouteServices, present: set[tuple[str, str]]) -> None:
        self._services = services
        self._present = present
        self._json = b""

    async def read(self, exchange: Exchange) -> None:
        """It tells nothing that the project's own pages do not, so it needs no key."""
        if not self._json:
            self._json = msgspec.json.encode(self._made())
        await exchange.reply(self._json, headers=[(b"cache-control", b"no-cache")])

    def _made(self) -> object:
        services = self._services
        listed: Sequence[Operation] = [
            operation
            for operation in operations()
            if (operation.route, operation.method.upper()) in self._present
        ]
        return document(
            listed,
            version=services.version,
            server=services.settings.public_url.rstrip("/"),
            keys_required=services.keys.required,
        )
