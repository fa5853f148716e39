"""A small application under the real server, run as a process by test_server.py: `python small_app.py`.

Settings come from the environment. Prints `ready URL` once it listens, and `closed` when its lifespan ends.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from litestar import HttpMethod, Litestar, Request, get, route
from litestar.datastructures import State
from litestar.response import Stream

from gateway import logs
from gateway.server import serve
from gateway.settings import Settings, from_process


@get("/", sync_to_thread=False)
def hello(request: Request[Any, Any, State]) -> dict[str, Any]:
    return {"client": request.client.host if request.client else ""}


@get("/slow")
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "finished"


@get("/endless")
async def endless(request: Request[Any, Any, State]) -> Stream:
    draining: asyncio.Event = request.app.state.grace_over

    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"first\n"
        await draining.wait()
        yield b"ended by the drain\n"

    return Stream(parts())


@route("/{rest:path}", http_method=[HttpMethod.GET, HttpMethod.POST])
async def length(request: Request[Any, Any, State]) -> str:
    """Waits for the whole body."""
    return str(len(await request.body()))


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncGenerator[None, None]:
    app.state.grace_over = asyncio.Event()
    yield
    print("closed", flush=True)


def build(_settings: Settings) -> Litestar:
    app = Litestar(
        [hello, slow, endless, length], lifespan=[lifespan], openapi_config=None, logging_config=None
    )

    async def drain(grace: float) -> None:
        await asyncio.sleep(grace)
        app.state.grace_over.set()

    app.state.drain = drain
    return app


async def announce(url: str) -> None:
    print("ready", url, flush=True)


if __name__ == "__main__":
    settings = from_process()
    logs.set_up(settings.server.log_format, settings.server.log_level)
    serve(settings, build, on_ready=announce)
