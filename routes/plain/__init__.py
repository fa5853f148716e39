"""The short forms that existing callers use."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.models import KnownModels
from routes.plain.handlers import PlainHandlers
from routes.plain.pictures import PictureHandlers
from routes.routing import route
from routes.services import RouteServices

__all__ = ["handlers"]


def handlers(services: RouteServices, models: KnownModels) -> list[HTTPRouteHandler]:
    own = PlainHandlers(services, models)
    pictures = PictureHandlers(services, models)
    return [
        route("/v1/generate", HttpMethod.POST, own.generate),
        route("/v1/generate-images", HttpMethod.POST, pictures.generate),
        route("/v1/images/edit", HttpMethod.POST, pictures.edit),
        route("/api/models", HttpMethod.GET, own.models),
    ]
