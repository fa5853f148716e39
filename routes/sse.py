"""Streamed answers: the head held back until there is something to say, signs of life, the end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

import structlog

from core.chat import Event, Finish
from core.errors import GatewayError, InternalError
from routes.exchange import Exchange, Headers
from routes.inline import Pieces
from routes.presence import CallerLeft, Presence

log = structlog.get_logger("gempool.routes")

EVENT_STREAM = b"text/event-stream; charset=utf-8"


_LINE_ENDS = (
    (b"\xe2\x80\xa8", rb"\u2028"),
    (b"\xe2\x80\xa9", rb"\u2029"),
    (b"\xc2\x85", rb"\u0085"),
)


def on_one_line(data: bytes) -> bytes:
    """JSON without the characters that end a line for Python's `str.splitlines` alone: clients that read lines
    with it (such as httpx's `iter_lines`) would cut the JSON in two. Inside strings, where alone JSON
    may hold them, their escapes mean the same."""
    for raw, escaped in _LINE_ENDS:
        if raw in data:
            data = data.replace(raw, escaped)
    return data


def frame(data: bytes) -> bytes:
    """One server-sent event: a single `data: ` line, which is what the strictest clients can read."""
    return b"data: " + on_one_line(data) + b"\n\n"


def framed(data: Pieces) -> Pieces:
    """One server-sent event that holds pictures."""
    return data.rewritten(on_one_line).within(b"data: ", b"\n\n")


class Medium(Protocol):
    """What a stream is made of."""

    media_type: bytes
    keepalive: bytes
    """A sign of life that every client of this kind of stream ignores."""

    def error(self, data: bytes) -> bytes:
        """Bytes that end the stream with the rendered error `data`."""


class Framing(Medium, Protocol):
    """How a dialect writes a stream."""

    def event(self, index: int, event: Event) -> bytes | Pieces:
        """Bytes for one event of choice `index`, empty where there is nothing to say."""

    def end(self) -> bytes:
        """Bytes after the last event."""


def reads_chunks(exchange: Exchange) -> bool:
    """Whether an answer may be sent whose length is not known. HTTP/1.0 knows no chunks; proxies that speak it read them
    all the same."""
    behind_proxy = any(name in exchange.headers for name in (b"x-forwarded-for", b"x-real-ip", b"via"))
    return exchange.scope["http_version"] != "1.0" or behind_proxy


class StreamWriter:
    """Sends the pieces of one streamed answer. The head goes out with the first of them."""

    def __init__(self, exchange: Exchange, medium: Medium) -> None:
        self._exchange = exchange
        self._medium = medium
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._now = asyncio.get_running_loop().time
        self._every = exchange.settings.keepalive_every
        self.due: float = self._now() + exchange.settings.keepalive_after
        """Loop time at which the caller should hear something."""
        self.open = False
        self._held: bytearray | None = None if reads_chunks(exchange) else bytearray()

    async def write(self, data: bytes | Pieces) -> None:
        if self._held is not None:
            for piece in (data,) if isinstance(data, bytes) else data:
                self._held += piece
            return
        if not self.open:
            await self._send_head()
        if isinstance(data, bytes):
            await self._exchange.send(data)
        else:
            async with self._turn:
                await self._exchange.send_in_turns(data)
        self.due = self._now() + self._every

    async def pulse(self) -> None:
        """A sign of life, while there is no content."""
        self.due = self._now() + self._every
        # In the middle of a picture it would break the picture, which is a sign of life itself.
        if self._held is None and not self._turn.locked():
            async with self._turn:
                await self.write(self._medium.keepalive)

    async def _send_head(self) -> None:
        # The pulse and the first content may come together, and only one of them may send the head.
        async with self._opening:
            if not self.open:
                headers: Headers = [
                    (b"content-type", self._medium.media_type),
                    (b"cache-control", b"no-cache"),
                    (b"x-accel-buffering", b"no"),
                ]
                await self._exchange.start(200, headers)
                self.open = True

    async def finish(self, data: bytes) -> None:
        """Send the last bytes and end the response."""
        if self._held is not None:
            headers = [(b"cache-control", b"no-cache")]
            await self._exchange.reply(
                bytes(self._held) + data, media_type=self._medium.media_type, headers=headers
            )
            return
        if not self.open:
            await self._send_head()
        await self._exchange.send(data, more=False)


async def stream(
    exchange: Exchange, events: AsyncGenerator[tuple[int, Event], None], framing: Framing
) -> None:
    """Answer the exchange with a stream of events. Fails as `tell` does."""

    async def told(writer: StreamWriter) -> bytes:
        async for index, event in events:
            if isinstance(event, Finish):
                exchange.answered_by(index, event)
            if data := framing.event(index, event):
                if exchange.first_content_at is None:
                    exchange.first_content_at = exchange.monotonic()
                await writer.write(data)
        return framing.end()

    await tell(exchange, framing, events, told)


async def tell(
    exchange: Exchange,
    medium: Medium,
    source: AsyncGenerator[Any, None],
    told: Callable[[StreamWriter], Awaitable[bytes]],
) -> None:
    """Answer the exchange with what `told` writes of the source, and with the bytes that it returns at the end.

    What fails before the first bytes is raised, for a plain error response. Afterwards the stream ends with
    the medium's error. Raises `CallerLeft` once the caller has hung up and the source is closed.
    """
    writer = StreamWriter(exchange, medium)
    try:
        async with Presence(exchange.receive, writer.pulse, lambda: writer.due), aclosing(source):
            end = await told(writer)
    except CallerLeft:
        raise
    except Exception as error:
        # The border of the edge: once the head is out nobody above could still tell the caller.
        if not writer.open:
            raise
        if isinstance(error, GatewayError):
            fault = error
        else:
            log.exception("a stream failed", route=exchange.route)
            fault = InternalError("The gateway failed to finish this answer. Please try again.")
        exchange.note(fault)
        end = medium.error(exchange.render(fault))
    await writer.finish(end)


async def merged(streams: list[AsyncGenerator[Event, None]]) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of several answers as they come, each with its answer's index. The first failure ends all."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for event in only:
                yield 0, event
        return

    queue: asyncio.Queue[tuple[int, Event | None]] = asyncio.Queue()

    async def pump(index: int, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    queue.put_nowait((index, event))
        finally:
            queue.put_nowait((index, None))

    tasks = [
        asyncio.create_task(pump(index, events), name=f"choice-{index}")
        for index, events in enumerate(streams)
    ]
    try:
        running = len(tasks)
        while running:
            index, item = await queue.get()
            if item is None:
                running -= 1
                await tasks[index]
            else:
                yield index, item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
