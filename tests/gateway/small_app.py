"""A small application under the real server, run as a process by test_server.py: `python small_app.py`.

Settings come from the environment. Prints `ready URL` once it listens, and `closed` when its lifespan ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from litestar import HttpMethod, Litestar, Request, get, route
from litestar.datastructures import State
from litestar.response import Stream

from gateway import logs
from gateway.server import serve
from gateway.settings import Settings, from_process


class Running:
    """What a stop waits for."""

    def __init__(self) -> None:
        self._count = 0
        self.none = asyncio.Event()
        self.none.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        self._count += 1
        self.none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self.none.set()


@get("/", sync_to_thread=False)
def hello(request: Request[Any, Any, State]) -> dict[str, Any]:
    return {"client": request.client.host if request.client else ""}


@get("/slow")
async def slow(seconds: float) -> Stream:
    """Begins to answer at once, so that the caller knows that the request is being served."""

    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"begun, "
        await asyncio.sleep(seconds)
        yield b"finished"

    return Stream(parts())


@get("/endless")
async def endless(request: Request[Any, Any, State]) -> Stream:
    draining: asyncio.Event = request.app.state.grace_over
    running: Running = request.app.state.running

    async def parts() -> AsyncGenerator[bytes, None]:
        with running.one():
            yield b"first\n"
            await draining.wait()
            yield b"ended by the drain\n"

    return Stream(parts())


@get("/later")
async def later(request: Request[Any, Any, State], seconds: float) -> str:
    """Begins work that goes on once this is answered."""
    running: Running = request.app.state.running

    async def work() -> None:
        with running.one():
            await asyncio.sleep(seconds)
            print("worked", flush=True)

    request.app.state.work = asyncio.create_task(work())
    return "begun"


@route("/{rest:path}", http_method=[HttpMethod.GET, HttpMethod.POST])
async def length(request: Request[Any, Any, State]) -> str:
    """Waits for the whole body."""
    return str(len(await request.body()))


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncGenerator[None, None]:
    app.state.grace_over = asyncio.Event()
    app.state.running = Running()
    yield
    print("closed", flush=True)


def build(_settings: Settings) -> Litestar:
    app = Litestar(
        [hello, slow, endless, later, length], lifespan=[lifespan], openapi_config=None, logging_config=None
    )

    async def drain(grace: float, _gone: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await app.state.running.none.wait()
        app.state.grace_over.set()

    app.state.drain = drain
    return app


async def announce(url: str) -> None:
    print("ready", url, flush=True)


if __name__ == "__main__":
    settings = from_process()
    logs.set_up(settings.server.log_format, settings.server.log_level)
    serve(settings, build, on_ready=announce)
