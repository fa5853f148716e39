"""A store that fails costs neither pictures nor their callers' time."""

from pathlib import Path

import pytest
import structlog.testing

from core.metrics import Metrics
from storage import Local, Shelf, StorageError, name_of

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

    async def read(self, name: str) -> bytes | None:
        raise StorageError("it is away")

    async def remove(self, name: str) -> None:
        raise StorageError("it is away")

    def link(self, name: str) -> str:
        return f"https://away.example/{name}"

    def name_in(self, link: str) -> str:
        return link.removeprefix("https://away.example/") if link.startswith("https://away.example/") else ""

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


async def test_a_kept_picture_is_read_and_discarded_by_its_link(tmp_path: Path) -> None:
    """The link of `keep` reads the bytes and stays what it is; once discarded it reads nothing, and a second time is no
    error."""
    clock = HandClock()
    local = Local(tmp_path, clock)
    shelf = Shelf(local, local, Metrics(), clock)
    kept, other = [await shelf.keep(PNG + word.encode(), "image/png", word) for word in ("狐狸", "hare")]
    assert await shelf.read(kept.link) == PNG + "狐狸".encode()
    assert await shelf.renewed(kept.link) == kept.link
    await shelf.discard(kept.link)
    await shelf.discard(kept.link)
    assert await shelf.read(kept.link) is None
    assert await shelf.read(other.link) == PNG + b"hare"


async def test_what_fell_back_is_found_where_it_is(tmp_path: Path) -> None:
    """A picture that the folder took in the store's place is read from the folder while the store is still away."""
    clock = HandClock()
    shelf = Shelf(Away(clock, seconds=0), Local(tmp_path, clock), Metrics(), clock)
    kept = await shelf.keep(PNG, "image/png", "a fox")
    assert await shelf.read(kept.link) == PNG


async def test_the_log_tells_no_picture(tmp_path: Path) -> None:
    """Neither what was asked for nor the name that nobody is to guess, whatever fails; but enough to find the file."""
    clock = HandClock()
    shelf = Shelf(Away(clock, seconds=0), Local(tmp_path, clock), Metrics(), clock)
    with structlog.testing.capture_logs() as lines:
        kept = await shelf.keep(PNG, "image/png", "moonlit harbour")
        link = f"https://away.example/{kept.name}"
        assert await shelf.read(link) is None
        await shelf.discard(link)
    assert len(lines) == 4
    assert kept.name not in str(lines)
    assert "moonlit" not in str(lines)
    assert all(line["picture"].endswith(kept.name[-10:]) for line in lines)


async def test_a_store_that_is_away_is_no_error(tmp_path: Path) -> None:
    """Its pictures cannot be had for now, discarding one changes nothing, and neither raises."""
    clock = HandClock()
    shelf = Shelf(Away(clock, seconds=0), Local(tmp_path, clock), Metrics(), clock)
    link = f"https://away.example/{name_of('fox', 'image/png', 1.0)}"
    assert await shelf.read(link) is None
    await shelf.discard(link)
    assert await shelf.renewed(link) == link


@pytest.mark.parametrize(
    "link",
    ["", "/", "/files/", "/files/../secret.png", "/files/%2e%2e%2fsecret.png", "/files/secret.png",
     "https://elsewhere.example/a.png", "https://elsewhere.example/files/{name}", "/other/{name}", "/files/{name}/"],
)  # fmt: skip
async def test_other_links_are_left_alone(tmp_path: Path, link: str) -> None:
    """What is no link of ours reads nothing, removes nothing and stays as it is."""
    clock = HandClock()
    local = Local(tmp_path / "files", clock)
    shelf = Shelf(local, local, Metrics(), clock)
    kept = await shelf.keep(PNG, "image/png", "fox")
    (tmp_path / "files" / "secret.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    link = link.format(name=kept.name)
    assert await shelf.read(link) is None
    await shelf.discard(link)
    assert await shelf.renewed(link) == link
    assert (tmp_path / "secret.png").exists()
    assert (tmp_path / "files" / "secret.png").exists()
    assert await shelf.read(kept.link) == PNG
