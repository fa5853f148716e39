"""OpenAI's dialect under `/v1`."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.models import KnownModels
from routes.openai.errors import render
from routes.openai.handlers import OpenAIHandlers
from routes.openai.images import ImageHandlers
from routes.openai.responses import ResponseHandlers
from routes.routing import route
from routes.services import RouteServices

__all__ = ["OpenAIHandlers", "handlers", "render"]


def handlers(services: RouteServices, models: KnownModels) -> list[HTTPRouteHandler]:
    """Routes that are OpenAI's alone. `/v1/models` is shared with Gemini's dialect, see `routes.shared`."""
    own = OpenAIHandlers(services, models)
    images = ImageHandlers(services, models)
    responses = ResponseHandlers(services, models)
    return [
        route("/v1/chat/completions", HttpMethod.POST, own.chat_completions),
        route("/v1/responses", HttpMethod.POST, responses.create),
        route(
            "/v1/responses/{response:path}",
            [HttpMethod.GET, HttpMethod.POST, HttpMethod.DELETE],
            responses.stored,
        ),
        route("/v1/images/generations", HttpMethod.POST, images.generations),
        route("/v1/images/edits", HttpMethod.POST, images.edits),
    ]
