"""Workers and a desk on one store, as several replicas have them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from batches import BatchSettings, Books, Desk, News, Worker
from core.chat import PictureWish
from core.clock import SystemClock
from core.metrics import Metrics
from core.secret import Secret
from engine.service import Batch, BatchOrder, Outcome
from storage import Local, Shelf
from supervisor.jars import Seal
from tests.fakes.decided import DecidedChat

QUICK = BatchSettings(concurrency=100, share=100, backoff=0.01, worker_ttl=5.0)


class Hand:
    """One replica's worker and desk. `discarded` are the pictures that it let go of."""

    def __init__(
        self,
        url: str,
        name: str,
        directory: Path,
        settings: BatchSettings,
        key: str,
        kind: type[Books],
        **books: Any,
    ) -> None:
        clock = SystemClock()
        self.chat = DecidedChat()
        self.metrics = Metrics()
        self.capacity = 100
        self.discarded: list[str] = []
        self.books = kind(url, Seal(Secret(key)), **({"keep": 3600.0, "max_open": 1000} | books))
        self.news = News(self.books, clock)
        self.local = Local(directory, clock)
        shelf = Shelf(self.local, self.local, self.metrics, clock)
        self.desk = Desk(self.books, self.news, shelf, self.metrics, clock)
        self.worker = Worker(
            self.books,
            self.news,
            self.chat,
            settings,
            self.metrics,
            clock,
            name,
            self._discard,
            jitter=lambda: 0.5,
        )
        self.news.start()

    @property
    def capacity(self) -> int:
        """What the accounts of this replica can do at once; 0 where it cannot serve."""
        return self.chat.state.capacity

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        self.chat.state = replace(self.chat.state, capacity=capacity, ready=capacity > 0)

    @property
    def demand(self) -> int:
        """How many live requests it has had at once."""
        return self.chat.state.demand

    @demand.setter
    def demand(self, demand: int) -> None:
        self.chat.state = replace(self.chat.state, demand=demand)

    async def _discard(self, link: str) -> None:
        self.discarded.append(link)

    async def close(self) -> None:
        await self.worker.close()
        await self.news.close()
        await self.books.close()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def runs(self, outcome: str, kind: str = "chat") -> float:
        return self.value("gempool_batch_tasks_total", kind=kind, outcome=outcome)


class Crew:
    """Starts hands on one store and ends them."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self._directory = directory
        self._hands: list[Hand] = []

    def hand(
        self,
        name: str = "",
        *,
        start: bool = True,
        key: str = "",
        kind: type[Books] = Books,
        books: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Hand:
        """start: its worker runs. key: what the store is sealed with. kind, books: the books, and changes to them."""
        name = name or f"replica-{len(self._hands)}"
        hand = Hand(self.url, name, self._directory, replace(QUICK, **settings), key, kind, **(books or {}))
        self._hands.append(hand)
        if start:
            hand.worker.start()
        return hand

    async def close(self) -> None:
        for hand in self._hands:
            await hand.close()


async def new(hand: Hand, total: int = 1, **changes: Any) -> Batch:
    """A batch of that many prompts, `prompt 0` and so on."""
    order = BatchOrder(
        kind="chat",
        model="gemini-3-flash-preview",
        prompts=tuple(f"prompt {index}" for index in range(total)),
        form="text",
        concurrency=100,
        owner="ann",
        caller="ann's key",
    )
    batch, _ = await hand.desk.create(replace(order, **changes))
    return batch


async def pictures_wanted(hand: Hand, total: int = 1) -> Batch:
    return await new(hand, total, kind="images", form="url", wish=PictureWish(pixels=2048))


async def ended(hand: Hand, batch: Batch) -> Batch:
    """The batch once it has ended."""
    found: Batch = await until(lambda: _ended(hand, batch))
    return found


async def _ended(hand: Hand, batch: Batch) -> Batch | None:
    found = await hand.desk.find(batch.id, None)
    return found if found.ended else None


async def outcomes(hand: Hand, batch: Batch, *, ok: bool = True) -> list[Outcome]:
    return [one async for some in hand.desk.outcomes(batch, ok=ok) for one in some]


async def until(condition: Callable[[], Any], seconds: float = 8.0) -> Any:
    """What a background task brings about; awaits the condition where it is a coroutine's."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.005)  # the store tells nobody here
