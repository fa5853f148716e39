"""`/v1/models...`, which OpenAI's and Google's SDKs both call."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.exchange import Exchange
from routes.gemini import GeminiHandlers
from routes.models import KnownModels
from routes.openai import OpenAIHandlers
from routes.routing import below, route
from routes.services import RouteServices


def handlers(services: RouteServices, models: KnownModels) -> list[HTTPRouteHandler]:
    """Each request goes where its dialect says."""
    openai = OpenAIHandlers(services, models)
    gemini = GeminiHandlers(services, models)

    async def listing(exchange: Exchange) -> None:
        await (gemini.models if exchange.dialect == "google" else openai.models)(exchange)

    async def get(exchange: Exchange) -> None:
        await (gemini.model if exchange.dialect == "google" else openai.model)(
            exchange, below(exchange, "/models/")
        )

    async def post(exchange: Exchange) -> None:
        await gemini.call(exchange, below(exchange, "/models/"))

    return [
        route("/v1/models", HttpMethod.GET, listing),
        route("/v1/models/{model:path}", HttpMethod.GET, get),
        route("/v1/models/{model:path}", HttpMethod.POST, post),
    ]
