"""Requests to an application in this very process, without a socket: thousands in a second or two."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

Headers = Sequence[tuple[bytes, bytes]]


class Answered(Struct, frozen=True):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


async def ask(
    app: Any, method: str, path: str, body: bytes = b"", headers: Headers = (), *, query: bytes = b""
) -> Answered:
    """The whole answer. The caller stays until it has it."""
    received = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        if received:
            return received.pop()
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-length", b"%d" % len(body)), *headers],
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8100),
        "state": {},
    }
    await app(scope, receive, send)
    return Answered(
        status=sent[0]["status"],
        headers=dict(sent[0]["headers"]),
        body=b"".join(message.get("body", b"") for message in sent[1:]),
    )
