"""Keeps a picture where it belongs, and where that fails, here: no picture is lost."""

import structlog
from msgspec import Struct

from core.clock import Clock
from core.metrics import Metrics
from storage.local import Local
from storage.names import name_of
from storage.objects import Objects, StorageError

log = structlog.get_logger("gempool.storage")


class Stored(Struct, frozen=True):
    """A picture that was kept: its name, its link (a path of the gateway's own where it begins with a slash), and the
    kind of store that has it."""

    name: str
    link: str
    kind: str


class Shelf:
    """The store that was asked for, with the local folder behind it."""

    def __init__(self, store: Objects, fallback: Local, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._fallback = fallback
        self._metrics = metrics
        self._clock = clock

    async def keep(self, data: bytes, content_type: str, prompt: str) -> Stored:
        """Store one picture. Raises StorageError where even the local folder has not taken it."""
        name = name_of(prompt, content_type, self._clock.now())
        for store in dict.fromkeys((self._store, self._fallback)):
            try:
                link = await store.put(name, data, content_type)
            except StorageError as error:
                self._metrics.pictures_stored.labels(store.kind, "failed").inc()
                log.error("a picture was not stored", store=store.kind, picture=name, why=str(error))
                if store is self._fallback:
                    raise
                continue
            fell_back = store is not self._store
            self._metrics.pictures_stored.labels(store.kind, "fallback" if fell_back else "ok").inc()
            if fell_back:
                log.warning("a picture is kept in the local folder instead", picture=name, link=link)
            return Stored(name, link, store.kind)
        raise AssertionError  # the fallback returns or raises
