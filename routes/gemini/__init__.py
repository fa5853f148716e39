"""Gemini's dialect under `/v1beta`, `/gemini/v1beta` and `/gemini/v1`."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.exchange import Exchange
from routes.gemini.errors import render
from routes.gemini.handlers import GeminiHandlers, called, narrowed
from routes.models import KnownModels
from routes.routing import below, route
from routes.services import RouteServices

__all__ = ["PREFIXES", "GeminiHandlers", "called", "handlers", "narrowed", "render"]

PREFIXES = ("/v1beta", "/gemini/v1beta", "/gemini/v1")


def handlers(services: RouteServices, models: KnownModels) -> list[HTTPRouteHandler]:
    """Routes that are Gemini's alone. `/v1/models` is shared with OpenAI's dialect, see `routes.shared`."""
    own = GeminiHandlers(services, models)

    async def get(exchange: Exchange) -> None:
        await own.model(exchange, below(exchange, "/models/"))

    async def post(exchange: Exchange) -> None:
        await own.call(exchange, below(exchange, "/models/"))

    found = []
    for prefix in PREFIXES:
        found.append(route(f"{prefix}/models", HttpMethod.GET, own.models))
        found.append(route(f"{prefix}/models/{{model:path}}", HttpMethod.GET, get))
        found.append(route(f"{prefix}/models/{{model:path}}", HttpMethod.POST, post))
    return found
