"""What operators and their tools read."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.guards import Guard
from routes.ops.cookies import CookieHandlers
from routes.ops.handlers import OpsHandlers
from routes.outcomes import Outcomes
from routes.routing import route
from routes.services import RouteServices

__all__ = ["handlers"]


def handlers(services: RouteServices, outcomes: Outcomes, guard: Guard) -> list[HTTPRouteHandler]:
    own = OpsHandlers(services, outcomes)
    found = [
        route("/health", HttpMethod.GET, own.health),
        route("/ready", HttpMethod.GET, own.ready),
        route("/metrics", HttpMethod.GET, own.metrics),
        route("/", HttpMethod.GET, own.root),
    ]
    if services.cookies is not None:
        cookies = CookieHandlers(services.cookies, guard)
        found += [
            route("/api/cookies/status", HttpMethod.GET, cookies.status),
            route("/api/cookies", HttpMethod.POST, cookies.replace),
        ]
    return found
