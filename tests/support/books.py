"""Books of batches on a real store, whose time a test moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from batches.books import Books, Idle, Task
from core.chat import PictureWish
from engine.service import Batch, BatchOrder, Outcome

PREFIX = "{gempool-batches}:"
CLOCK = "local NOW = tonumber(redis.call('GET', KEYS[1] .. 'test-clock'))"
TTL = 5.0


class Plain:
    """Seals nothing."""

    def close(self, name: str, text: str) -> str:
        return text

    def open(self, name: str, stored: str) -> str:
        return stored


class Kept:
    """Books, and the clock that they go by, in seconds."""

    def __init__(self, books: Books, store: "redis.asyncio.Redis") -> None:
        self.books = books
        self.store = store
        self.now = 1_000_000.0

    async def pass_(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds
        await self.store.set(f"{PREFIX}test-clock", round(self.now * 1000))

    async def batch(
        self, total: int = 1, *, owner: str = "ann", concurrency: int = 100, key: str = ""
    ) -> Batch:
        """A new batch of so many prompts."""
        batch, new = await self.books.create(order(total, owner=owner, concurrency=concurrency, key=key))
        assert new
        return batch

    async def claim(self, worker: str = "w", limit: int = 1000) -> Task:
        """The next task; there must be one."""
        task = await self.books.claim(worker, TTL, limit)
        assert isinstance(task, Task), task
        return task

    async def idle(self, worker: str = "w", limit: int = 1000) -> Idle:
        """There must be no task."""
        idle = await self.books.claim(worker, TTL, limit)
        assert isinstance(idle, Idle), idle
        return idle

    async def finish(self, task: Task, worker: str = "w", *, ok: bool = True) -> bool:
        return await self.books.finish(worker, task, result(task) if ok else fault(task))

    async def results(self, batch: Batch) -> list[Outcome]:
        return [outcome async for some in self.books.outcomes(batch, ok=True) for outcome in some]

    async def errors(self, batch: Batch) -> list[Outcome]:
        return [outcome async for some in self.books.outcomes(batch, ok=False) for outcome in some]

    async def keys(self) -> set[str]:
        """What the store holds for batches."""
        found = await self.store.keys(f"{PREFIX}*")
        return {key.decode().removeprefix(PREFIX) for key in found} - {"test-clock"}


@asynccontextmanager
async def kept(url: str, *, keep: float = 3600.0, max_open: int = 1000) -> AsyncIterator[Kept]:
    store = redis.asyncio.Redis.from_url(url)
    books = Books(url, Plain(), keep=keep, max_open=max_open, clock=CLOCK)
    found = Kept(books, store)
    await found.pass_(0)
    try:
        yield found
    finally:
        await books.close()
        await store.aclose()


def order(
    total: int = 1,
    *,
    owner: str = "ann",
    concurrency: int = 100,
    key: str = "",
    wish: PictureWish | None = None,
    words: str = "prompt",
) -> BatchOrder:
    return BatchOrder(
        kind="chat" if wish is None else "images",
        model="m",
        prompts=tuple(f"{words} {index}" for index in range(total)),
        form="text" if wish is None else "url",
        concurrency=concurrency,
        owner=owner,
        caller=f"{owner}'s key",
        wish=wish,
        key=key,
    )


def result(task: Task) -> Outcome:
    return Outcome(task.index, task.tries + 1, 1.0, text=f"answer to {task.prompt}")


def fault(task: Task) -> Outcome:
    return Outcome(task.index, task.tries + 1, 1.0, code="content_filter", message="No.")


class Backup:
    """What the store held at one moment. To go back there, with all connections of listeners lost, is what a kill of the store
    comes to that had not written down its last words."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self._values = values

    @classmethod
    async def made(cls, store: "redis.asyncio.Redis") -> "Backup":
        return cls({key: await store.dump(key) for key in await store.keys(f"{PREFIX}*")})

    async def restore(self, store: "redis.asyncio.Redis") -> None:
        async with store.pipeline(transaction=True) as pipe:
            for key in await store.keys(f"{PREFIX}*"):
                pipe.delete(key)
            for key, value in self._values.items():
                pipe.restore(key, 0, value)
            await pipe.execute()
        await store.client_kill_filter(_type="pubsub")
