"""Batches in memory whose tasks end as a test says: the other side of the routes of batches."""

import asyncio
import hashlib
import itertools
import threading
from collections.abc import AsyncGenerator, Callable

from msgspec.structs import replace

from core.errors import Conflict, IdempotencyKeyReused, TooManyBatches, UnknownBatch
from engine.service import (
    Batch,
    BatchForm,
    BatchKind,
    BatchOrder,
    BatchPage,
    BatchState,
    Numbered,
    Outcome,
)

CREATED = 1_763_800_000.0
LIST = 50
"""Outcomes that are handed out at a time."""


def owner(caller: str) -> str:
    """Whose batches are those of a caller of that name."""
    return hashlib.sha256(caller.encode()).hexdigest()[:32]


HERE = owner("ip:127.0.0.1")
"""The owner of what this machine orders without a key."""


def well(index: int, **facts: object) -> Outcome:
    """A task of a batch of pictures that went well."""
    link = f"/files/20261121T000000Z_{index}_00.png"
    made = Outcome(
        index, 1, CREATED + index, link=link, mime="image/png", width=4, height=3, watermark="removed"
    )
    return replace(made, **facts)


def said(index: int, text: str) -> Outcome:
    """A task of a batch of texts that went well."""
    return Outcome(index, 1, CREATED + index, text=text)


def failed(index: int, message: str = "No account answered.", code: str = "upstream_failed") -> Outcome:
    return Outcome(index, 6, CREATED + index, code=code, message=message)


class FakeBatches:
    """Implements `engine.service.BatchService`; a test speaks to it from its own thread.

    orders: what was ordered. pictures: by link, what `picture` reads. renewed: links that have changed. error: every call
    raises it. full: no caller may have one more. watching: watches that are open. taken: outcomes that were handed out. unreadable:
    indexes of tasks whose outcomes were sealed with another key. A batch that callers find from the start, cancelled after one result and one error, is `batch_1`, everybody's.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._batches: dict[str, Batch] = {}
        self._owners: dict[str, str] = {}
        self._ended: dict[str, list[Outcome]] = {}
        self._keys: dict[tuple[str, str], tuple[BatchOrder, str]] = {}
        self._wakers: list[Callable[[], None]] = []
        self._numbers = itertools.count(1)
        self.orders: list[BatchOrder] = []
        self.pictures: dict[str, bytes] = {}
        self.renewed: dict[str, str] = {}
        self.error: Exception | None = None
        self.full = False
        self.unreadable: set[int] = set()
        self.watching = 0
        self.taken = 0
        id = self.add(3, owner="")
        self.end(id, well(0))
        self.end(id, failed(2))
        self.change(id, state="cancelled", cancelled=1, ended_at=CREATED + 9, expires_at=CREATED + 99)

    def add(
        self,
        total: int,
        *,
        owner: str,
        kind: BatchKind = "images",
        form: BatchForm = "url",
        outcomes: list[Outcome] | None = None,
        model: str = "gemini-3-pro-image-preview",
        concurrency: int = 2,
    ) -> str:
        """A new batch, `outcomes` of it ended already; its id. owner '': everybody's."""
        with self._lock:
            number = next(self._numbers)
            id = f"batch_{number}"
            self._batches[id] = Batch(
                id, kind, model, form, "queued", total, 0, 0, 0, 0, concurrency, CREATED + number
            )
            self._owners[id] = owner
            ended = self._ended[id] = list(outcomes or ())
        if ended:
            ok = sum(outcome.ok for outcome in ended)
            self.change(id, completed=ok, failed=len(ended) - ok)
        return id

    def end(self, id: str, outcome: Outcome) -> None:
        """One task has ended; the last one ends the batch."""
        with self._lock:
            batch = self._batches[id]
            self._ended[id].append(outcome)
            batch = replace(
                batch,
                completed=batch.completed + outcome.ok,
                failed=batch.failed + (not outcome.ok),
                started_at=batch.started_at or CREATED,
                state="running",
            )
            if not batch.pending:
                state: BatchState = "completed" if batch.completed else "failed"
                batch = replace(batch, state=state, ended_at=CREATED + 9, expires_at=CREATED + 99)
            self._batches[id] = batch
        self.wake()

    def change(self, id: str, **facts: object) -> None:
        """The batch stands otherwise now."""
        with self._lock:
            self._batches[id] = replace(self._batches[id], **facts)
        self.wake()

    def wake(self) -> None:
        for waker in list(self._wakers):
            waker()

    async def create(self, order: BatchOrder) -> tuple[Batch, bool]:
        if (batch := await self.known(order)) is not None:
            return batch, False
        self.orders.append(order)
        id = self.add(
            len(order.prompts),
            owner=order.owner,
            kind=order.kind,
            form=order.form,
            model=order.model,
            concurrency=order.concurrency,
        )
        self._keys[order.owner, order.key] = order, id
        return self._batches[id], True

    async def known(self, order: BatchOrder) -> Batch | None:
        self._check()
        if order.key and (order.owner, order.key) in self._keys:
            before, id = self._keys[order.owner, order.key]
            if before != order:
                raise IdempotencyKeyReused(
                    "This Idempotency-Key stands for another request. Use a new one.", param="Idempotency-Key"
                )
            return self._batches[id]
        if self.full:
            raise TooManyBatches(
                "You have 20 unfinished batches. Wait for one, or cancel it.", retry_after=30
            )
        return None

    async def find(self, id: str, owner: str | None) -> Batch:
        self._check()
        batch = self._batches.get(id)
        if batch is None or (owner is not None and self._owners[id] not in ("", owner)):
            raise UnknownBatch(id)
        return batch

    async def outcomes(
        self, batch: Batch, *, ok: bool, offset: int = 0, limit: int | None = None
    ) -> AsyncGenerator[list[Outcome], None]:
        counted = sorted(self._ended[batch.id][: batch.outcomes], key=lambda outcome: outcome.index)
        wanted = [outcome for outcome in counted if outcome.ok is ok][offset:]
        wanted = wanted if limit is None else wanted[:limit]
        for at in range(0, len(wanted), LIST):
            self._check()
            self.taken += LIST
            yield [self._read(outcome) for outcome in wanted[at : at + LIST]]

    async def watch(
        self, id: str, owner: str | None, after: int = 0
    ) -> AsyncGenerator[Batch | Numbered, None]:
        news = asyncio.Event()
        loop = asyncio.get_running_loop()

        def waker() -> None:
            loop.call_soon_threadsafe(news.set)

        self._wakers.append(waker)
        self.watching += 1
        told: Batch | None = None
        try:
            while True:
                news.clear()
                batch = await self.find(id, owner)
                if told is None:
                    yield batch
                    told = batch
                with self._lock:
                    fresh = self._ended[id][after : batch.outcomes]
                for outcome in fresh:
                    after += 1
                    yield Numbered(after, self._read(outcome))
                if batch.ended or batch != told:
                    yield batch
                    told = batch
                if batch.ended:
                    return
                await news.wait()
        finally:
            self.watching -= 1
            self._wakers.remove(waker)

    async def listed(
        self, owner: str | None, *, limit: int, after: str = "", state: BatchState | None = None
    ) -> BatchPage:
        self._check()
        seen = [batch for id, batch in reversed(self._batches.items()) if owner in (None, self._owners[id])]
        ids = [batch.id for batch in seen]
        if after and after not in ids:
            raise UnknownBatch(after, "after")
        later = seen[ids.index(after) + 1 :] if after else seen
        later = [batch for batch in later if state in (None, batch.state)]
        return BatchPage(tuple(later[:limit]), len(seen), len(later) > limit)

    async def cancel(self, id: str, owner: str | None) -> tuple[Batch, bool]:
        batch = await self.find(id, owner)
        if batch.state in ("cancelling", "cancelled"):
            return batch, False
        if batch.ended:
            raise Conflict(f"The batch has ended: {batch.state}.")
        waiting = batch.pending - batch.running
        self.change(id, state="cancelling" if batch.running else "cancelled", cancelled=waiting)
        if not batch.running:
            self.change(id, ended_at=CREATED + 9, expires_at=CREATED + 99)
        return self._batches[id], True

    async def picture(self, outcome: Outcome) -> bytes | None:
        self._check()
        return self.pictures.get(outcome.link)

    async def link(self, outcome: Outcome) -> str:
        self._check()
        return self.renewed.get(outcome.link, outcome.link)

    def _read(self, outcome: Outcome) -> Outcome:
        if outcome.index not in self.unreadable:
            return outcome
        return Outcome(outcome.index, 0, 0.0, code="unreadable", message="It cannot be read any more.")

    def _check(self) -> None:
        if self.error is not None:
            raise self.error
