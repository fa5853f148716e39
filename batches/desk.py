"""Where batches are ordered and asked after. Implements `engine.service.BatchService`; any replica's tells the same."""

import asyncio
from collections.abc import AsyncGenerator

import structlog

from batches.books import Books
from batches.news import News, rung
from core.clock import Clock
from core.errors import ShuttingDown, StoreUnavailable
from core.metrics import Metrics
from engine.service import Batch, BatchOrder, BatchPage, BatchState, Numbered, Outcome
from storage import Shelf

log = structlog.get_logger("gempool.batches")

PATIENCE = 30.0
"""Seconds for which who watches a batch waits for a store that does not answer."""
_AWAY = 0.5
_LEAST = 0.1
"""Seconds between two looks at a batch that changes all the time."""
_LOOK = 5.0
"""Seconds after which a watched batch is looked at though nothing told of a change."""
_PAGE = 200


class Desk:
    """shelf: where the pictures are that results name."""

    def __init__(self, books: Books, news: News, shelf: Shelf, metrics: Metrics, clock: Clock) -> None:
        self._books = books
        self._news = news
        self._shelf = shelf
        self._metrics = metrics
        self._clock = clock
        self._stopped = False

    def interrupt(self) -> None:
        """End all watching with ShuttingDown: who watches goes on at another replica, or at this one's successor, from the
        last outcome that was told."""
        self._stopped = True
        self._news.ring()

    async def create(self, order: BatchOrder) -> tuple[Batch, bool]:
        batch, new = await self._books.create(order)
        if new:
            self._metrics.batches_created.labels(batch.kind).inc()
            log.info(
                "batch taken in",
                batch=batch.id,
                kind=batch.kind,
                model=batch.model,
                tasks=batch.total,
                caller=order.caller,
            )
        return batch, new

    async def known(self, order: BatchOrder) -> Batch | None:
        return await self._books.known(order)

    async def find(self, id: str, owner: str | None) -> Batch:
        return await self._books.find(id, owner)

    def outcomes(
        self, batch: Batch, *, ok: bool, offset: int = 0, limit: int | None = None
    ) -> AsyncGenerator[list[Outcome], None]:
        return self._books.outcomes(batch, ok=ok, offset=offset, limit=limit)

    async def watch(
        self, id: str, owner: str | None, after: int = 0
    ) -> AsyncGenerator[Batch | Numbered, None]:
        bell = asyncio.Event()
        with self._news.ringing(bell, id):
            told = await self._books.find(id, owner)
            yield told
            heard = self._clock.monotonic()
            while True:
                if self._stopped:
                    raise ShuttingDown("The gateway is shutting down.", retry_after=1.0)
                bell.clear()
                try:
                    batch = await self._books.find(id, owner)
                    numbered = await self._books.since(id, after, _PAGE) if after < batch.outcomes else []
                except StoreUnavailable:
                    if self._clock.monotonic() - heard > PATIENCE:
                        raise
                    await rung(bell, _AWAY)
                    continue
                heard = self._clock.monotonic()
                for one in numbered:
                    yield one
                    after = one.number
                if numbered and after < batch.outcomes:
                    continue
                if batch.ended or batch != told:
                    yield batch
                    told = batch
                if batch.ended:
                    return
                await self._clock.sleep(_LEAST)
                await rung(bell, _LOOK)

    async def listed(
        self, owner: str | None, *, limit: int, after: str = "", state: BatchState | None = None
    ) -> BatchPage:
        return await self._books.listed(owner, limit=limit, after=after, state=state)

    async def cancel(self, id: str, owner: str | None) -> tuple[Batch, bool]:
        batch, now = await self._books.cancel(id, owner)
        if now:
            log.info("batch cancelled", batch=id, never_run=batch.cancelled)
        return batch, now

    async def picture(self, outcome: Outcome) -> bytes | None:
        return await self._shelf.read(outcome.link) if outcome.link else None

    async def link(self, outcome: Outcome) -> str:
        return await self._shelf.renewed(outcome.link)
