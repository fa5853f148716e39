"""The HTTP/1.1 connection on real sockets, with a handler of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from core.tasks import Tasks
from simulator.http import MAX_BODY, Connection, End, Handler, Reply, Request, Step
from tests.simulator.support import until

Serve: TypeAlias = Callable[[Handler], Awaitable[int]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Listens with a handler and gives the port."""
    servers: list[asyncio.Server] = []
    connections: list[Connection] = []
    tasks = Tasks("test")

    async def start(handler: Handler) -> int:
        def protocol() -> Connection:
            connections.append(Connection(handler, tasks, connections.remove))
            return connections[-1]

        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
    for connection in connections:
        connection.close()
    await tasks.close()
    await until(lambda: not connections)


async def exchange(port: int, sent: bytes, *, ends_with: bytes = b"") -> bytes:
    """What is answered, up to the given ending or the connection's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await (reader.readuntil(ends_with) if ends_with else reader.read())
    finally:
        writer.close()
        await writer.wait_closed()


def echo(request: Request) -> Reply:
    return Reply(
        body=f"{request.method} {request.path} {len(request.body)}".encode(), content_type="text/plain"
    )


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    """Also where the first one takes its time."""

    def handler(request: Request) -> Reply:
        reply = echo(request)
        reply.wait = 0.1 if request.path == "/slow" else 0.0
        return reply

    port = await serve(handler)
    answer = await exchange(
        port, b"GET /slow HTTP/1.1\r\n\r\nGET /fast HTTP/1.1\r\n\r\n", ends_with=b"GET /fast 0"
    )
    assert answer.index(b"GET /slow 0") < answer.index(b"GET /fast 0")


async def test_a_large_body_is_invited(serve: Serve) -> None:
    """curl waits for 100 Continue before a large body."""
    port = await serve(echo)
    head = b"POST /up HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    assert (await reader.readuntil(b"POST /up 3")).startswith(b"HTTP/1.1 200 OK")
    writer.close()
    await writer.wait_closed()


async def test_a_body_beyond_the_bound_is_refused(serve: Serve) -> None:
    """413, and the handler never sees it."""
    port = await serve(echo)
    head = f"POST /up HTTP/1.1\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode()
    answer = await exchange(port, head + bytes(MAX_BODY + 1), ends_with=b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_fault_of_ours_is_a_500(serve: Serve) -> None:
    """A handler that raises must not look like a client's mistake."""

    def handler(request: Request) -> Reply:
        raise RuntimeError("a bug")

    answer = await exchange(await serve(handler), b"GET / HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500")


async def test_every_reply_tells_its_end_once(serve: Serve) -> None:
    """sent: played to its end. cut: reset on purpose. aborted: the client left."""
    ends: dict[str, list[End]] = {"/sent": [], "/cut": [], "/nothing": [], "/aborted": []}

    def handler(request: Request) -> Reply:
        steps = [Step(0.0, [b"one"]), Step(0.01, [b"", b"two"])]
        ending = {"/cut": "reset", "/aborted": "silence"}.get(request.path, "complete")
        reply = Reply(status=0 if request.path == "/nothing" else 200, steps=steps, ending=ending)  # type: ignore[arg-type]
        reply.on_end = ends[request.path].append
        return reply

    port = await serve(handler)
    whole = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert (await exchange(port, b"GET /sent HTTP/1.1\r\n\r\n", ends_with=whole)).endswith(whole)
    for path in (b"/cut", b"/nothing"):
        with pytest.raises(ConnectionResetError):
            await exchange(port, b"GET " + path + b" HTTP/1.1\r\n\r\n")
    await exchange(port, b"GET /aborted HTTP/1.1\r\n\r\n", ends_with=b"two\r\n")
    await until(lambda: ends["/aborted"] != [])
    assert ends == {"/sent": ["sent"], "/cut": ["cut"], "/nothing": ["cut"], "/aborted": ["aborted"]}
