"""Batches as the settings want them."""

from collections.abc import Iterable, Mapping

from batches import BatchSettings, Books, Desk, News, Worker
from core.clock import Clock
from core.metrics import Metrics
from engine import ChatService, Sealing
from gateway.sections import BatchesSettings
from storage import Shelf


class Batches:
    """The parts of batches in this replica.

    desk: for callers. worker: runs tasks, or, where the settings want none here, knows only how many there are. `books` are
    closed last.
    """

    def __init__(self, books: Books, news: News, desk: Desk, worker: Worker) -> None:
        self.books = books
        self.desk = desk
        self._worker = worker
        self._news = news

    def start(self, predecessors: Iterable[str] = ()) -> None:
        """Begin to run tasks. predecessors: replicas that are known to be dead."""
        self._news.start()
        self._worker.start(predecessors)

    async def drain(self, grace: float) -> None:
        """Begin nothing more, let nobody watch, and wait until no task runs here, `grace` seconds at most."""
        self.desk.interrupt()
        await self._worker.drain(grace)

    async def stop(self) -> None:
        """Give back what runs. The engine and the pool must still be open."""
        await self._worker.close()
        await self._news.close()

    def facts(self) -> Mapping[str, int]:
        """What `/health` says: unfinished batches and their tasks, over all replicas; tasks that ended in this one."""
        worker = self._worker
        tally = worker.tally
        return {
            "open": tally.open,
            "waiting": tally.waiting,
            "running": tally.running,
            "completed": worker.completed,
            "failed": worker.failed,
        }


def batches_of(
    settings: BatchesSettings,
    url: str,
    seal: Sealing,
    chat: ChatService,
    shelf: Shelf,
    metrics: Metrics,
    clock: Clock,
    replica: str,
) -> Batches:
    """url: the store's. replica: this process's name, unique among the living."""
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
    worker = Worker(books, news, chat, wanted, metrics, clock, replica, shelf.discard)
    return Batches(books, news, Desk(books, news, shelf, metrics, clock), worker)
