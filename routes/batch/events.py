"""A batch as server-sent events: how it stands, each task as it ends, and the end."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from core.errors import InvalidRequest
from engine.service import Batch, Numbered
from routes.batch import shown
from routes.batch.telling import Teller
from routes.exchange import Exchange
from routes.sse import EVENT_STREAM, StreamWriter, frame, reads_chunks, tell

RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a browser connects again that has lost the stream; then it says what it has seen."""


class EventStream:
    """The stream's type, its sign of life, and how it ends that fails."""

    media_type = EVENT_STREAM
    keepalive = b": keep-alive\n\n"

    def error(self, data: bytes) -> bytes:
        return b"event: failure\n" + frame(data)


async def watch(exchange: Exchange, changes: AsyncGenerator[Batch | Numbered, None], teller: Teller) -> None:
    """Answer the exchange with what `changes` tell, until the batch has ended. Fails as `sse.tell` does.

    `progress` and `done` hold the status without results, `result` and `problem` one task and its number as the event's id.
    """
    if not reads_chunks(exchange):
        raise InvalidRequest(
            "Events need HTTP/1.1, and this request came as HTTP/1.0. Use HTTP/1.1, or GET /v1/batch/{id}/status."
        )

    async def told(writer: StreamWriter) -> bytes:
        return _event(b"done", shown.summary(await _told(changes, writer, teller)))

    await tell(exchange, EventStream(), changes, told)


async def _told(
    changes: AsyncGenerator[Batch | Numbered, None], writer: StreamWriter, teller: Teller
) -> Batch:
    """The ended batch, once everything before it has been told."""
    begin = RETRY
    batch: Batch | None = None
    end: Batch | None = None
    async for change in changes:
        data = begin
        begin = b""
        if end is not None:
            # It had ended before all of its tasks were told.
            data += _event(b"progress", shown.summary(end))
            end = None
        if isinstance(change, Batch):
            batch = change
            if batch.ended:
                end = batch
            else:
                data += _event(b"progress", shown.summary(batch))
        elif batch is not None:
            task = await teller.task(batch, change.outcome)
            # Not `error`: `EventSource` calls a lost connection so.
            data += _event(b"result" if change.outcome.ok else b"problem", task, change.number)
        if data:
            await writer.write(data)
    if end is None:
        raise RuntimeError("the changes of a batch ended before the batch did")
    return end


def _event(name: bytes, value: Any, number: int | None = None) -> bytes:
    id = b"" if number is None else b"id: %d\n" % number
    return b"event: " + name + b"\n" + id + frame(msgspec.json.encode(value))
