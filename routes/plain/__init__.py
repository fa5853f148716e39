"""The short forms that existing callers use."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.models import KnownModels
from routes.plain.handlers import PlainHandlers
from routes.routing import route
from routes.services import RouteServices

__all__ = ["handlers"]


def handlers(services: RouteServices, models: KnownModels) -> list[HTTPRouteHandler]:
    own = PlainHandlers(services, models)
    return [
        route("/v1/generate", HttpMethod.POST, own.generate),
        route("/api/models", HttpMethod.GET, own.models),
    ]
