"""`GET /openapi.json`: every route of the gateway, described from the wire structs themselves; `GET /api/info` names them."""

from collections.abc import Iterable, Sequence

import msgspec
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.exchange import Exchange
from routes.openapi import admin, batch, gemini, openai, ops, plain
from routes.openapi.document import document
from routes.openapi.operations import Operation
from routes.ops.wire import NAME, Info
from routes.routing import route
from routes.services import RouteServices

__all__ = ["PATH", "Operation", "handlers", "operations"]

PATH = "/openapi.json"
INFO = "/api/info"


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
    """others: the routes that the document describes, besides these."""
    present = {
        (path, str(method)) for other in others for path in other.paths for method in other.http_methods
    }
    own = _Document(services, {*present, (PATH, "GET"), (INFO, "GET")})
    return [route(PATH, HttpMethod.GET, own.read), route(INFO, HttpMethod.GET, own.info)]


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

    async def info(self, exchange: Exchange) -> None:
        services = self._services
        uptime = max(0.0, services.clock.now() - services.started)
        found = Info(
            name=NAME,
            version=services.version,
            uptime_seconds=round(uptime, 1),
            default_model=services.settings.default_model,
            default_image_model=services.settings.default_image_model,
            endpoints=[f"{operation.method.upper()} {operation.path}" for operation in self._listed()],
        )
        await exchange.reply(msgspec.json.encode(found))

    def _listed(self) -> Sequence[Operation]:
        return [
            operation
            for operation in operations()
            if (operation.route, operation.method.upper()) in self._present
        ]

    def _made(self) -> object:
        services = self._services
        return document(
            self._listed(),
            version=services.version,
            server=services.settings.public_url.rstrip("/"),
            keys_required=services.keys.required,
        )
