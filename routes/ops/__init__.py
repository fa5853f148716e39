"""What operators and their tools read."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.ops.handlers import OpsHandlers
from routes.routing import route
from routes.services import RouteServices

__all__ = ["handlers"]


def handlers(services: RouteServices) -> list[HTTPRouteHandler]:
    own = OpsHandlers(services)
    return [
        route("/health", HttpMethod.GET, own.health),
        route("/ready", HttpMethod.GET, own.ready),
        route("/metrics", HttpMethod.GET, own.metrics),
        route("/api/info", HttpMethod.GET, own.info),
        route("/", HttpMethod.GET, own.root),
    ]
