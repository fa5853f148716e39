"""`GET /docs`: the API reference in a browser, drawn from `/openapi.json` by files that come with the gateway."""

from pathlib import Path
from typing import Final

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.exchange import Exchange
from routes.routing import route
from routes.static import Static

__all__ = ["ROOT", "handlers"]

ROOT: Final = "/docs"

_FOLDER = Path(__file__).parent / "static"
_POLICY = b"; ".join(
    [
        b"default-src 'none'",
        b"script-src 'self'",
        b"style-src 'self'",
        # Its own signs stand in its style sheet; answers may be pictures.
        b"img-src 'self' data: blob:",
        b"connect-src 'self'",
        b"base-uri 'none'",
        b"form-action 'none'",
        b"frame-ancestors 'none'",
    ]
)


def handlers() -> list[HTTPRouteHandler]:
    page = _Page(Static(_FOLDER, _POLICY))
    return [
        route(ROOT, HttpMethod.GET, page.index),
        route(f"{ROOT}/{{path:path}}", HttpMethod.GET, page.file),
    ]


class _Page:
    """It tells what `/openapi.json` does, so it needs no key either."""

    def __init__(self, files: Static) -> None:
        self._files = files

    async def index(self, exchange: Exchange) -> None:
        await self._files.send(exchange, "index.html")

    async def file(self, exchange: Exchange) -> None:
        await self._files.send_below(ROOT, exchange)
