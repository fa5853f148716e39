"""A real server for tests: uvicorn with the gateway's own protocol on loopback, in a thread and a loop of its own."""

import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn

from gateway.protocol import UNREAD_SECONDS, BoundedProtocol


def until(true: Callable[[], bool], within: float = 20.0) -> None:
    """Wait for something to become true; fail after that many seconds."""
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("it did not become true in time")
        time.sleep(0.005)


@contextmanager
def serving(
    app: Any, refused: Callable[[str], None] | None = None, *, unread_seconds: float = UNREAD_SECONDS
) -> Iterator[str]:
    """Serve an ASGI application; yields its `http://127.0.0.1:port`. refused: told of requests that the protocol refuses.
    unread_seconds: after which a caller is cut off who reads nothing of what waits for it."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=cast(Any, functools.partial(BoundedProtocol, refused=refused, unread_seconds=unread_seconds)),
        access_log=False,
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
