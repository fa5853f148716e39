"""What happens, as server-sent events: how everything stands, then what has changed, for as long as somebody looks."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec

from core.errors import InvalidRequest, ShuttingDown
from engine.service import Turn, View
from routes.admin.wire import Bye
from routes.exchange import Exchange
from routes.sse import EVENT_STREAM, StreamWriter, frame, reads_chunks, tell

RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a browser connects again that has lost the stream."""

_EXPIRED = Bye("session_expired", "The session is over. Sign in again.")
_STOPPING = Bye("shutting_down", "The gateway is stopping.")


class EventStream:
    """The stream's type, its sign of life, and how it ends that fails."""

    media_type = EVENT_STREAM
    keepalive = b": keep-alive\n\n"

    def error(self, data: bytes) -> bytes:
        return b"event: failure\n" + frame(data)


def endless(tell: Callable[[], None]) -> AbstractContextManager[None]:
    """For a caller whose session nobody can end."""
    return nullcontext()


async def live(
    exchange: Exchange,
    turns: AsyncGenerator[View | Turn, None],
    left: float | None,
    ended: Callable[[Callable[[], None]], AbstractContextManager[None]] = endless,
) -> None:
    """Answer the exchange with `turns` until they end, or until `left` seconds are over, those of the caller's session, or until
    that is ended: `ended` calls back then. Fails as `sse.tell` does."""
    exchange.watches = True
    if not reads_chunks(exchange):
        raise InvalidRequest(
            "Events need HTTP/1.1, and this request came as HTTP/1.0. Use HTTP/1.1, or GET /admin/api/view."
        )

    async def told(writer: StreamWriter) -> bytes:
        begin = RETRY
        try:
            async with asyncio.timeout(left) as limit:

                def cut() -> None:
                    if not limit.expired():
                        limit.reschedule(asyncio.get_running_loop().time())

                with ended(cut):
                    async for turn in turns:
                        await writer.write(
                            begin + _event(b"view" if isinstance(turn, View) else b"turn", turn)
                        )
                        begin = b""
        except TimeoutError:
            if not limit.expired():
                raise
            return begin + _event(b"bye", _EXPIRED)
        except ShuttingDown:
            pass
        return begin + _event(b"bye", _STOPPING)

    await tell(exchange, EventStream(), turns, told)


def _event(name: bytes, value: Any) -> bytes:
    return b"event: " + name + b"\n" + frame(msgspec.json.encode(value))
