"""Who in this process wants to know of a batch: one listener for all of them."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress

from batches.books import Books
from core.clock import Clock
from core.errors import StoreUnavailable
from core.tasks import Tasks

_RECONNECT = 1.0


class News:
    """Rings the bells of those who wait for a change. A message may be lost with the connection, so whoever waits also looks
    now and then without one."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._tasks = Tasks("batches")
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._lost = asyncio.Event()
        self.losses = 0
        """How often the store was lost."""

    def start(self) -> None:
        self._tasks.spawn(self._listen(), "news")

    async def close(self) -> None:
        await self._tasks.close()

    @contextmanager
    def ringing(self, bell: asyncio.Event, batch: str = "") -> Iterator[None]:
        """Set the bell whenever this batch has changed, or any where none is named, and when changes may have been missed."""
        self._bells.setdefault(batch, set()).add(bell)
        try:
            yield
        finally:
            self._bells[batch].discard(bell)
            if not self._bells[batch]:
                del self._bells[batch]

    async def lost(self, losses: int) -> int:
        """Wait until the store was lost more often than so; how often then."""
        while self.losses == losses:
            self._lost.clear()
            await self._lost.wait()
        return self.losses

    async def _listen(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                async with aclosing(self._books.news()) as changed:
                    async for batch in changed:
                        self.ring(batch)
            self.losses += 1
            self._lost.set()
            await self._clock.sleep(_RECONNECT)

    def ring(self, batch: str = "") -> None:
        """Tell those who wait for this batch that it has changed, or everybody where none is named."""
        for name in (batch, "") if batch else tuple(self._bells):
            for bell in self._bells.get(name, ()):
                bell.set()


async def rung(bell: asyncio.Event, seconds: float) -> None:
    """Wait for the bell, but not longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await bell.wait()
