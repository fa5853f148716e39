"""What is done with a downloaded picture: the logo off, its origin declared, its form as wished, a stored copy.

The work on pixels runs on threads of its own, of which there are few: what it decodes is large, and a text stream
beside it is to notice nothing. No picture is lost to a fault in here; it goes out as it came.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from core.chat import Picture, PictureWish
from core.metrics import Metrics
from core.pictures import measure
from storage import Shelf, StorageError

if TYPE_CHECKING:
    from engine.darkroom import Darkroom
    from watermark import Stars

PLACES = 8
"""Answers whose pictures may be in here at once. Others keep their account until there is a place, so that accounts
which are faster than the machine do not fill its memory."""


class StudioSettings(Struct, frozen=True):
    """enabled: the visible logo is removed. workers: pictures that are worked on at once. max_pixels: pictures with
    more are not decoded."""

    enabled: bool = True
    workers: int = 1
    max_pixels: int = 64_000_000


class Studio:
    """stars: calibrated marks; the formula's where None. `close` once nobody calls any more."""

    def __init__(
        self, shelf: Shelf, settings: StudioSettings, metrics: Metrics, stars: "Stars | None" = None
    ) -> None:
        self._shelf = shelf
        self._settings = settings
        self._metrics = metrics
        self._stars = stars
        self._places = asyncio.Semaphore(PLACES)
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="studio")
        self._darkroom: Darkroom | None = None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, which one answer's pictures share."""
        async with self._places:
            yield

    async def finish(self, picture: Picture, wish: PictureWish, prompt: str) -> Picture:
        """The picture as it is handed out, measured anew. Never raises but for a cancellation.

        prompt: what was asked for, from which a stored copy gets its name.
        """
        loop = asyncio.get_running_loop()
        worked = await loop.run_in_executor(self._threads, lambda: self._work().finish(picture, wish))
        found = measure(worked.data)
        finished = replace(
            picture,
            data=worked.data,
            mime=picture.mime if found is None else found.format,
            width=picture.width if found is None else found.width,
            height=picture.height if found is None else found.height,
            upscaled_from=worked.upscaled_from,
            watermark=worked.verdict,
        )
        if not wish.link:
            return finished
        try:
            stored = await self._shelf.keep(finished.data, finished.mime, prompt)
        except StorageError:
            # It has been logged and counted. The picture itself is here, and goes out without a link.
            return finished
        return replace(finished, link=stored.link)

    async def prepare(self) -> None:
        """Make what the first picture would wait for, more than a second of work."""
        if self._settings.enabled:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, lambda: self._work().prepare())

    async def close(self) -> None:
        """Wait for the picture that is being worked on."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def _work(self) -> "Darkroom":
        """On a thread."""
        if self._darkroom is None:
            # It brings in what works on pixels, a sixth of a start's imports: no start waits for that.
            from engine.darkroom import Darkroom  # noqa: PLC0415

            settings = self._settings
            self._darkroom = Darkroom(settings.enabled, settings.max_pixels, self._metrics, self._stars)
        return self._darkroom
