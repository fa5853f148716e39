"""A store that fails costs neither pictures nor their callers' time."""

from pathlib import Path

from core.metrics import Metrics
from storage import Local, Shelf, StorageError

PNG = b"\x89PNG\r\n\x1a\n"


class HandClock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Away:
    """A store that refuses after `seconds`."""

    kind = "s3"

    def __init__(self, clock: HandClock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.asked = 0

    async def put(self, name: str, data: bytes, content_type: str) -> str:
        self.asked += 1
        await self.clock.sleep(self.seconds)
        raise StorageError("it is away")

    async def check(self) -> None:
        raise StorageError("it is away")


async def links(store: Away, clock: HandClock, folder: Path, pictures: int) -> list[str]:
    metrics = Metrics()
    shelf = Shelf(store, Local(folder, clock), metrics, clock)
    kept = [await shelf.keep(PNG, "image/png", "a fox") for _ in range(pictures)]
    count = metrics.registry.get_sample_value
    assert count("gempool_pictures_stored_total", {"store": "local", "outcome": "fallback"}) == pictures
    return [stored.link for stored in kept]


async def test_a_store_that_fails_slowly_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """The first picture has waited for it; the next ones go to the folder at once, and later it is tried anew."""
    clock = HandClock()
    store = Away(clock, seconds=30)
    assert all(link.startswith("/files/") for link in await links(store, clock, tmp_path, 10))
    assert store.asked == 1
    shelf = Shelf(store, Local(tmp_path, clock), Metrics(), clock)
    await shelf.keep(PNG, "image/png", "a fox")
    await clock.sleep(31)
    await shelf.keep(PNG, "image/png", "a fox")
    assert store.asked == 3


async def test_a_store_that_fails_at_once_is_tried_each_time(tmp_path: Path) -> None:
    """Links to the folder are the second choice, and asking costs nothing."""
    clock = HandClock()
    store = Away(clock, seconds=0)
    await links(store, clock, tmp_path, 5)
    assert store.asked == 5
