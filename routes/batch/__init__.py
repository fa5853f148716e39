"""Batches: many prompts at once, worked on in the background, under `/v1/batch`."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from engine.service import BatchService
from routes.batch.handlers import BatchHandlers
from routes.models import KnownModels
from routes.routing import route

__all__ = ["handlers"]


def handlers(batches: BatchService, models: KnownModels) -> list[HTTPRouteHandler]:
    own = BatchHandlers(batches, models)
    return [
        route("/v1/batch/images", HttpMethod.POST, own.images),
        route("/v1/batch/chat", HttpMethod.POST, own.chat),
        route("/v1/batch", HttpMethod.GET, own.listed),
        route("/v1/batch/{id:str}", HttpMethod.GET, own.status),
        route("/v1/batch/{id:str}", HttpMethod.DELETE, own.cancel),
        route("/v1/batch/{id:str}/status", HttpMethod.GET, own.status),
        route("/v1/batch/{id:str}/events", HttpMethod.GET, own.events),
    ]
