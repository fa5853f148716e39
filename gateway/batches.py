"""Batches as the settings want them."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from batches import BatchSettings, Books, Desk, News, Worker
from core.clock import Clock
from core.metrics import Metrics
from engine import ChatService, Sealing
from gateway.sections import BatchesSettings
from storage import Shelf


class Batches(Struct, frozen=True):
    """desk: for callers. worker: runs the tasks, or, where the settings want none here, knows only how many there are."""

    desk: Desk
    worker: Worker
    news: News
    books: Books

    def start(self, predecessors: Iterable[str] = ()) -> None:
        """Begin to run tasks. predecessors: replicas that are known to be dead."""
        self.news.start()
        self.worker.start(predecessors)

    async def stop(self) -> None:
        """Give back what runs. The engine and the pool must still be open."""
        await self.worker.close()
        await self.news.close()

    def facts(self) -> Mapping[str, int]:
        """What `/health` says: unfinished batches and their tasks, over all replicas."""
        tally = self.worker.tally
        return {"open": tally.open, "waiting": tally.waiting, "running": tally.running}


def batches_of(
    settings: BatchesSettings,
    url: str,
    seal: Sealing,
    chat: ChatService,
    capacity: Callable[[], int],
    shelf: Shelf,
    metrics: Metrics,
    clock: Clock,
    replica: str,
) -> Batches:
    """url: the store's. capacity: what all accounts that can serve do at once. replica: this process's name, unique among
    the living. `books` are closed last, by whoever opened them."""
    books = Books(url, seal, keep=settings.keep, max_open=settings.max_open)
    news = News(books, clock)
    wanted = BatchSettings(
        concurrency=settings.concurrency,
        share=settings.share,
        tries=settings.tries,
        backoff=settings.backoff,
        worker=settings.worker,
        worker_ttl=settings.worker_ttl,
    )
    worker = Worker(books, news, chat, capacity, wanted, metrics, clock, replica, shelf.discard)
    return Batches(Desk(books, news, shelf, metrics, clock), worker, news, books)
