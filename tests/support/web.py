"""Servers of the outside world for tests: they answer in raw bytes, so that they may be as odd as they like."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

Answer: TypeAlias = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def response(body: bytes, *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    """An HTTP/1.1 response as bytes."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def moved(location: str) -> bytes:
    return response(b"", f"Location: {location}", status="302 Found")


class Site:
    """Answers each path with bytes, or by a function that writes them; `requests` keeps the heads as they came.

    names: the TLS server names that were asked for. closed: connections that have ended; ended: set by the first.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.names: list[str | None] = []
        self.closed = 0
        self.ended = asyncio.Event()
        self.port = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            page = self.pages.get(head.split(" ")[1].partition("?")[0], response(b"", status="404 Not Found"))
            if isinstance(page, bytes):
                writer.write(page)
                await writer.drain()
            else:
                await page(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed += 1
            self.ended.set()
            writer.close()


@asynccontextmanager
async def site(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """A site of its own, on a free port of a loopback address."""
    found = Site()
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: found.names.append(name)
    server = await asyncio.start_server(found.serve, host, 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    scheme = "http" if tls is None else "https"
    found.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{found.port}"
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()
