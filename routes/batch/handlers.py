"""Handlers of batches: taken in, told of, listed, cancelled."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from core.chat import ModelInfo
from core.errors import InvalidRequest
from engine.service import Batch, BatchOrder, BatchService
from routes import asking, body
from routes.batch import events, foreign, orders, shown, wire
from routes.batch.telling import PIECE, Teller
from routes.drawing import sized
from routes.exchange import JSON_TYPE, Exchange, Headers
from routes.models import KnownModels
from routes.presence import Presence
from routes.sse import EVENT_STREAM, reads_chunks

HELD = 8 * 1024 * 1024
"""The longest status, in bytes, for a caller who must be told its length beforehand."""
NO_STORE = (b"cache-control", b"no-store")

R = TypeVar("R")


class BatchHandlers:
    """Callers see their own batches alone, the admin key's holder everybody's; another's is as if it were not there."""

    def __init__(self, batches: BatchService, models: KnownModels) -> None:
        self._batches = batches
        self._models = models

    async def images(self, exchange: Exchange) -> None:
        order = await _ordered(exchange, wire.ImagesRequest, orders.of_images, foreign.OF_IMAGES)
        await self._take(
            exchange, order, await asking.wanted(exchange, self._models, order.model, local="batch")
        )

    async def chat(self, exchange: Exchange) -> None:
        order = await _ordered(exchange, wire.ChatRequest, orders.of_chat, foreign.OF_CHAT)
        model = await asking.wanted(exchange, self._models, order.model, local="batch")
        if model.category == "image":
            raise InvalidRequest(
                f"The model '{model.id}' makes pictures. Name a model for text, or use POST /v1/batch/images.",
                param="model",
            )
        await self._take(exchange, order, model)

    async def _take(self, exchange: Exchange, order: BatchOrder, model: ModelInfo) -> None:
        """What takes no batch in is not counted: a repeat, another request under its key, one unfinished batch too many."""
        wish = sized(order.wish, model) if order.wish is not None else None
        order = replace(order, model=model.id, wish=wish)
        batch, new = await self._batches.known(order), False
        if batch is None:
            await asking.admitted(exchange, self._models, exchange.model, local="batch")
            batch, new = await self._batches.create(order)
        headers: Headers = [(b"location", f"/v1/batch/{batch.id}/status".encode())]
        if not new:
            headers.append((b"idempotent-replayed", b"true"))
        data = msgspec.json.encode(shown.accepted(batch, new=new))
        await exchange.reply(data, status=202 if new else 200, headers=headers)

    async def status(self, exchange: Exchange) -> None:
        batch = await self._found(exchange)
        part = orders.part_of(exchange, batch.form)
        await _reply_as_it_comes(exchange, Teller(exchange, self._batches).status(batch, part))

    async def events(self, exchange: Exchange) -> None:
        after = orders.after_of(exchange)
        if exchange.head_only:
            await self._found(exchange)
            await exchange.start(200, [(b"content-type", EVENT_STREAM), (b"cache-control", b"no-cache")])
            await exchange.send(b"", more=False)
            return
        exchange.watches = True
        changes = self._batches.watch(orders.id_of(exchange), orders.owner_of(exchange), after)
        await events.watch(exchange, changes, Teller(exchange, self._batches))

    async def listed(self, exchange: Exchange) -> None:
        page = orders.page_of(exchange)
        found = await self._batches.listed(
            orders.owner_of(exchange), limit=page.limit, after=page.after, state=page.state
        )
        listed = wire.BatchList(
            batches=[shown.summary(batch) for batch in found.batches],
            has_more=found.more,
            next=found.batches[-1].id if found.more and found.batches else None,
            total=found.total if page.state is None else UNSET,
        )
        await exchange.reply(msgspec.json.encode(listed), headers=[NO_STORE])

    async def cancel(self, exchange: Exchange) -> None:
        batch, now = await self._batches.cancel(orders.id_of(exchange), orders.owner_of(exchange))
        await exchange.reply(msgspec.json.encode(shown.cancelled(batch, now=now)))

    async def _found(self, exchange: Exchange) -> Batch:
        return await self._batches.find(orders.id_of(exchange), orders.owner_of(exchange))


async def _ordered(
    exchange: Exchange,
    request: type[R],
    order: Callable[[R, Exchange], BatchOrder],
    remedies: Mapping[str, str],
) -> BatchOrder:
    def understood(value: dict[str, Any]) -> BatchOrder:
        foreign.refuse(value, remedies)
        return order(body.convert(value, request), exchange)

    return await exchange.json(understood)


async def _reply_as_it_comes(exchange: Exchange, pieces: AsyncGenerator[bytes, None]) -> None:
    """Send a JSON body whose length nobody knows before it has been sent; a short one is sent whole.

    Raises `CallerLeft` where the caller hangs up meanwhile. What fails after the head cuts the connection.
    """
    begun = False
    held = bytearray()
    chunks = reads_chunks(exchange)
    async with Presence(exchange.receive), aclosing(pieces):
        async for piece in pieces:
            if begun:
                await exchange.send_in_turns([piece])
                continue
            held += piece
            if exchange.head_only and len(held) > PIECE:
                break
            if chunks and len(held) > PIECE:
                begun = True
                await exchange.start(200, [(b"content-type", JSON_TYPE), NO_STORE])
                await exchange.send_in_turns([bytes(held)])
                held.clear()
            elif len(held) > HELD:
                raise InvalidRequest(
                    f"This status is longer than the {HELD} bytes that are sent over HTTP/1.0. Use HTTP/1.1, or ask for"
                    " a part with ?offset= and ?limit=."
                )
    if begun:
        await exchange.send(b"", more=False)
    elif len(held) > PIECE and exchange.head_only:
        await exchange.start(200, [(b"content-type", JSON_TYPE), NO_STORE])
        await exchange.send(b"", more=False)
    else:
        await exchange.reply(bytes(held), headers=[NO_STORE])
