"""Keeps a picture where it belongs, and where that fails, here: no picture is lost."""

import structlog
from msgspec import Struct

from core.clock import Clock
from core.metrics import Metrics
from storage.local import Local
from storage.names import for_the_log, name_of
from storage.objects import Objects, StorageError

log = structlog.get_logger("gempool.storage")

SLOW = 2.0
"""Seconds. A store that has failed after longer than this is left alone for a while: each picture would wait as long."""
LEFT_ALONE = 30.0


class Stored(Struct, frozen=True):
    """A picture that was kept: its name, its link (a path of the gateway's own where it begins with a slash), and the
    kind of store that has it."""

    name: str
    link: str
    kind: str


class Shelf:
    """The store that was asked for, with the local folder behind it.

    A store that fails slowly is not tried again for LEFT_ALONE seconds; the folder takes what comes meanwhile.
    """

    def __init__(self, store: Objects, fallback: Local, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._fallback = fallback
        self._metrics = metrics
        self._clock = clock
        self._alone_until = 0.0

    async def keep(self, data: bytes, content_type: str, prompt: str) -> Stored:
        """Store one picture. Raises StorageError where even the local folder has not taken it."""
        name = name_of(prompt, content_type, self._clock.now())
        now = self._clock.monotonic
        for store in dict.fromkeys((self._store, self._fallback)):
            started = now()
            if store is not self._fallback and started < self._alone_until:
                continue
            try:
                link = await store.put(name, data, content_type)
            except StorageError as error:
                self._metrics.pictures_stored.labels(store.kind, "failed").inc()
                log.error(
                    "a picture was not stored", store=store.kind, picture=for_the_log(name), why=str(error)
                )
                if store is self._fallback:
                    raise
                if now() - started > SLOW:
                    self._alone_until = now() + LEFT_ALONE
                continue
            fell_back = store is not self._store
            self._metrics.pictures_stored.labels(store.kind, "fallback" if fell_back else "ok").inc()
            if fell_back:
                log.warning("a picture is kept in the local folder instead", picture=for_the_log(name))
            return Stored(name, link, store.kind)
        raise AssertionError  # the fallback returns or raises

    async def read(self, link: str) -> bytes | None:
        """The picture to which a link of `keep` leads, signed ones also when their time is over. None where it is not to be
        had: it is gone, the store has not given it (which the log tells), or the link is not of ours."""
        store, name = self._place(link)
        if store is None:
            return None
        try:
            return await store.read(name)
        except StorageError as error:
            log.error(
                "a stored picture was not read", store=store.kind, picture=for_the_log(name), why=str(error)
            )
            return None

    async def renewed(self, link: str) -> str:
        """A link to the same picture that works from now on for as long as a new one; links not of ours stay as they are.
        Whether the picture is there still is not looked at."""
        store, name = self._place(link)
        return link if store is None else store.link(name)

    async def discard(self, link: str) -> None:
        """Forget the picture to which the link leads. What fails is told in the log; a link not of ours changes nothing."""
        store, name = self._place(link)
        if store is None:
            return
        try:
            await store.remove(name)
        except StorageError as error:
            log.warning(
                "a picture that nobody wants was not removed",
                store=store.kind,
                picture=for_the_log(name),
                why=str(error),
            )

    def _place(self, link: str) -> tuple[Objects | None, str]:
        for store in dict.fromkeys((self._store, self._fallback)):
            if name := store.name_in(link):
                return store, name
        return None, ""
