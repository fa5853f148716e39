"""Batches as the settings want them."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from batches import Able, BatchSettings, Books, Desk, News, Worker
from core.clock import Clock
from core.errors import GatewayError
from core.metrics import Metrics
from core.tasks import Tasks
from engine import ChatService, Sealing
from gateway.sections import BatchesSettings
from storage import Shelf

_LOOK_EVERY = 1.0
_LOOK_SOON = 0.25
"""Seconds between two looks while this replica cannot serve."""


class Batches:
    """The parts of batches in this replica.

    desk: for callers. worker: runs tasks, or, where the settings want none here, knows only how many there are. `books` are
    closed last.
    """

    def __init__(
        self, books: Books, news: News, desk: Desk, worker: Worker, able: "Ability", clock: Clock
    ) -> None:
        self.books = books
        self.desk = desk
        self._worker = worker
        self._news = news
        self._able = able
        self._clock = clock
        self._tasks = Tasks("batches")

    def start(self, predecessors: Iterable[str] = ()) -> None:
        """Begin to run tasks. predecessors: replicas that are known to be dead."""
        self._tasks.spawn(self._able.keep_looking(self._clock), "ability")
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
        await self._tasks.close()

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


class Ability:
    """What the accounts can do. Of itself the pool learns of changes only every few seconds, and for so long a replica that
    has just started would run one task at a time."""

    def __init__(self, chat: ChatService) -> None:
        self._chat = chat
        self.now = Able()

    async def keep_looking(self, clock: Clock) -> None:
        while True:
            with suppress(GatewayError):
                status = await self._chat.status()
                self.now = Able(status.capacity if status.ready else 0, status.demand)
            await clock.sleep(_LOOK_EVERY if self.now.capacity else _LOOK_SOON)


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
    able = Ability(chat)
    wanted = BatchSettings(
        concurrency=settings.concurrency,
        share=settings.share,
        tries=settings.tries,
        backoff=settings.backoff,
        worker=settings.worker,
        worker_ttl=settings.worker_ttl,
    )
    worker = Worker(books, news, chat, lambda: able.now, wanted, metrics, clock, replica, shelf.discard)
    return Batches(books, news, Desk(books, news, shelf, metrics, clock), worker, able, clock)
