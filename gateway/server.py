"""The process: one socket, one event loop, uvicorn on it, and an orderly end.

A stop (SIGTERM, Ctrl-C) goes so: who has connected already is let in, nothing new is; idle connections are closed
after a moment (see `gateway.protocol`); the application is
told to drain, which lets running requests and tasks finish for `server.shutdown_grace` and then ends streams with an
error event; then the application's lifespan closes pool and store; the exit code is 0. A second Ctrl-C does
not wait.
"""

import asyncio
import contextlib
import functools
import gc
import math
import select
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeAlias, cast

import structlog
import uvicorn
import uvloop
from litestar import Litestar

from gateway.protocol import BoundedProtocol
from gateway.settings import Settings

log = structlog.get_logger("gempool.server")

Build: TypeAlias = Callable[[Settings], Litestar]
Drain: TypeAlias = Callable[[float, asyncio.Event], Awaitable[None]]
OnReady: TypeAlias = Callable[[str], Coroutine[Any, Any, None]]

IDLE_CONNECTION_SECONDS = 75  # longer than the usual 60 s of load balancers, so that they close first
BACKLOG = 2048
_LET_IN_SECONDS = 0.5
_LISTEN_EVERY = 0.1
"""Seconds after which an impatient operator is heard."""


class CannotListen(Exception):
    """The address cannot be had; the message says why and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Binding first means that a taken port is told before anything starts."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"HOST: cannot listen on {host}: {error.strerror}.") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise CannotListen(
            f"PORT: cannot listen on {host} port {port}: {error.strerror}."
            f" Stop what listens there, or choose another, as in PORT={port + 1 if port < 65535 else 0}."
        ) from None
    return bound


def address_of(bound: socket.socket) -> str:
    """The base URL under which this machine reaches the socket."""
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  # compared, not listened on
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    settings: Settings,
    build: Build,
    bound: socket.socket | None = None,
    on_ready: OnReady | None = None,
) -> None:
    """Build the application and serve it until a signal ends the process in good order.

    build: `gateway.app.create_app`. The application's lifespan starts and stops everything; where its state
    has a `drain`, that is called when the stop begins with the grace in seconds and an event, set once no caller can bring a
    request any more; its `refused`, with an error's code for each request that is refused before the application sees it.
    on_ready: started as a task, with the base URL, once connections are answered.
    Raises CannotListen, and whatever the start of the application raises.
    """
    bound = bound or listen(settings.server.host, settings.server.port)
    with contextlib.closing(bound), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, build, bound, on_ready))


async def _serve(settings: Settings, build: Build, bound: socket.socket, on_ready: OnReady | None) -> None:
    app = build(settings)
    if settings.without_effect:
        log.warning("settings without effect", names=settings.without_effect)
    async with _started(app):
        stopping = asyncio.Event()
        config = _config(settings, app, stopping)
        server = _Server(config, stopping, settings.server.shutdown_grace, app.state.get("drain"))
        with _stopped_by_signals(server):
            task = asyncio.create_task(_announce(server, address_of(bound), on_ready))
            try:
                await server.serve(sockets=[bound])
            finally:
                task.cancel()
        log.info("stopped serving")


@contextlib.asynccontextmanager
async def _started(app: Litestar) -> AsyncIterator[None]:
    """The application's lifespan. What stops it is raised as it is: Litestar's task group wraps it up."""
    try:
        async with app.lifespan():
            yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def _config(settings: Settings, app: Litestar, stopping: asyncio.Event) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",  # ours runs already
        http=cast(
            Any,
            functools.partial(
                BoundedProtocol,
                cors_origins=settings.server.cors_origins,
                refused=app.state.get("refused"),
                stopping=stopping.is_set,
            ),
        ),
        ws="none",
        lifespan="off",  # entered by us, so that a failed start is an exception and not a log line
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the edge decides whom to believe, and has to see the peer itself
        timeout_keep_alive=IDLE_CONNECTION_SECONDS,
        backlog=BACKLOG,
        # A backstop: draining ends what runs at the grace's end, this cuts what did not listen.
        timeout_graceful_shutdown=math.ceil(settings.server.shutdown_grace) + 5,
    )


class _Server(uvicorn.Server):
    """stopping: set when a stop begins, for connections that are let in meanwhile."""

    def __init__(
        self, config: uvicorn.Config, stopping: asyncio.Event, grace: float, drain: Drain | None
    ) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._stopping = stopping
        self._grace = grace
        self._drain = drain

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own raises the signal once more at the end, so that the exit code would not be 0."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What the start has made stays for the process's life: keep the collector from walking it.
        gc.collect()
        gc.freeze()
        gc.enable()
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping: running requests may finish", grace_seconds=self._grace)
        self._stopping.set()
        gone = asyncio.Event()
        drain = asyncio.ensure_future(self._drain(self._grace, gone)) if self._drain else None
        for listening in sockets or ():
            await self._let_in(listening)
        await super().shutdown(sockets)
        gone.set()
        if drain is not None:
            # No connection is left, but tasks of batches may run still.
            while not (drain.done() or self.force_exit):
                await asyncio.wait({drain}, timeout=_LISTEN_EVERY)
            drain.cancel()
            (outcome,) = await asyncio.gather(drain, return_exceptions=True)
            if isinstance(outcome, Exception):
                log.error("draining failed", exc_info=outcome)

    async def _let_in(self, listening: socket.socket) -> None:
        """Accept whom the kernel has already told that they are connected: closing now would reset them."""
        waiting = select.poll()
        waiting.register(listening, select.POLLIN)
        loop = asyncio.get_running_loop()
        until = loop.time() + _LET_IN_SECONDS
        while waiting.poll(0) and loop.time() < until:  # noqa: ASYNC110  the kernel sets no event
            await asyncio.sleep(0)  # the loop accepts meanwhile


@contextlib.contextmanager
def _stopped_by_signals(server: _Server) -> Iterator[None]:
    def stop(number: signal.Signals) -> None:
        if server.should_exit and number == signal.SIGINT:
            server.force_exit = True
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _announce(server: _Server, url: str, on_ready: OnReady | None) -> None:
    await server.listening.wait()
    log.info("listening", url=url)
    if on_ready is not None:
        await on_ready(url)
