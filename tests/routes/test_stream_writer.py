"""What a stream writes, and in which order, whatever the server's pace."""

import asyncio
from typing import Any

from routes import EdgeSettings
from routes.exchange import Exchange
from routes.inline import PIECE, Inline, encoded
from routes.openai import render
from routes.openai.framing import ChunkFraming
from routes.sse import StreamWriter, framed


class SlowServer:
    """A server that is in no hurry to take a response's head."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.may_begin = asyncio.Event()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            await self.may_begin.wait()
        self.sent.append(message)

    async def receive(self) -> Any:
        await asyncio.Event().wait()


def exchange_with(server: SlowServer) -> Exchange:
    scope: Any = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": [],
        "http_version": "1.1",
    }  # fmt: skip
    loop = asyncio.get_running_loop()
    exchange = Exchange(
        scope, server.receive, server.send, request_id="r", settings=EdgeSettings(), monotonic=loop.time
    )
    exchange.speak("openai", render)
    return exchange


async def test_a_sign_of_life_and_the_first_content_share_one_head() -> None:
    """Where both come while the head is still on its way, it is sent once and before either."""
    server = SlowServer()
    framing = ChunkFraming(id="i", created=1, model="m", n=1, include_usage=False)
    writer = StreamWriter(exchange_with(server), framing)
    pulse = asyncio.create_task(writer.pulse())
    content = asyncio.create_task(writer.write(b"data: 1\n\n"))
    await asyncio.sleep(0)
    server.may_begin.set()
    await asyncio.gather(pulse, content)
    await writer.finish(framing.end())
    assert [message["type"] for message in server.sent].count("http.response.start") == 1
    assert server.sent[0]["type"] == "http.response.start"
    bodies = [message["body"] for message in server.sent[1:]]
    assert sorted(bodies[:2]) == [b": keep-alive\n\n", b"data: 1\n\n"]
    assert bodies[2:] == [b"data: [DONE]\n\n"]
    assert [message["more_body"] for message in server.sent[1:]] == [True, True, False]


async def test_no_sign_of_life_breaks_a_picture() -> None:
    """While an event's pieces are on their way, others get their turn in between, but nothing else is said here."""
    server = SlowServer()
    server.may_begin.set()
    framing = ChunkFraming(id="i", created=1, model="m", n=1, include_usage=False)
    writer = StreamWriter(exchange_with(server), framing)
    event = framed(encoded({"picture": Inline(b"x" * PIECE * 4)}))
    turns = 0

    async def keep_pulsing() -> None:
        nonlocal turns
        while True:
            await writer.pulse()
            turns += 1
            await asyncio.sleep(0)

    await writer.pulse()
    pulsing = asyncio.create_task(keep_pulsing())
    await writer.write(event)
    pulsing.cancel()
    await writer.pulse()
    bodies = [message["body"] for message in server.sent[1:]]
    sent = b"".join(bodies)
    assert event.joined() in sent
    assert sent.replace(event.joined(), b"").replace(b": keep-alive\n\n", b"") == b""
    assert turns >= 4
    assert bodies[-1] == b": keep-alive\n\n"
