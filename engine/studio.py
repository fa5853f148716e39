"""What is done with a downloaded picture: the logo off, its origin declared, its form as wished, a stored copy.

The work on pixels runs on threads of its own, of which there are few: what it decodes is large, and a text stream
beside it is to notice nothing. No picture is lost to a fault in here; it goes out as it came.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import cv2
import numpy as np
import structlog
from msgspec import Struct
from msgspec.structs import replace

from core.chat import Picture, PictureWish
from core.metrics import Metrics
from core.pictures import measure
from storage import Shelf, StorageError
from watermark import MAX_PIXELS, Stars, clean_bytes, clean_pixels, declare, reformat

log = structlog.get_logger("gempool.studio")

PLACES = 8
"""Answers whose pictures may be in here at once. Others keep their account until there is a place, so that accounts
which are faster than the machine do not fill its memory."""
_VERDICTS = frozenset(
    {"removed", "no_logo", "not_sure", "too_small", "unsupported", "broken", "too_many_pixels", "animated", "transparent"}
)  # fmt: skip
_KEPT = "kept"
_FAILED = "failed"


class StudioSettings(Struct, frozen=True):
    """enabled: the visible logo is removed. workers: pictures that are worked on at once. max_pixels: pictures with
    more are not decoded."""

    enabled: bool = True
    workers: int = 1
    max_pixels: int = MAX_PIXELS


class _Worked(Struct):
    """A picture on its way: what became of the logo, and its size before it was enlarged."""

    data: bytes
    verdict: str
    upscaled_from: tuple[int, int] | None = None


class Studio:
    """stars: calibrated marks; the formula's where None. `close` once nobody calls any more."""

    def __init__(
        self, shelf: Shelf, settings: StudioSettings, metrics: Metrics, stars: Stars | None = None
    ) -> None:
        self._shelf = shelf
        self._settings = settings
        self._metrics = metrics
        self._stars = stars
        self._places = asyncio.Semaphore(PLACES)
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="studio")
        # Parallel pictures are this class's to count: OpenCV would take every core for each.
        cv2.setNumThreads(1)

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
        worked = await loop.run_in_executor(self._threads, self._work, picture, wish)
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
        """Make what the first picture would wait for, about a second of work."""
        if self._settings.enabled:
            loop = asyncio.get_running_loop()
            blank = np.full((512, 512, 3), 90, np.uint8)
            await loop.run_in_executor(self._threads, clean_pixels, blank, self._stars)

    async def close(self) -> None:
        """Wait for the picture that is being worked on."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def _work(self, picture: Picture, wish: PictureWish) -> _Worked:
        worked = self._cleaned(picture, wish)
        self._metrics.watermark.labels(worked.verdict).inc()
        side = max(picture.width, picture.height)
        if wish.upscale and 0 < side < wish.pixels:
            self._step(worked, "enlarging", lambda data: self._reformatted(data, picture, wish, wish.pixels))
            found = measure(worked.data)
            if found is not None and max(found.width, found.height) > side:
                worked.upscaled_from = (picture.width, picture.height)
        elif side >= 2 * wish.pixels:
            # The original of a larger class than was asked for: the logo is found for sure in originals only.
            self._step(worked, "reducing", lambda data: self._reformatted(data, picture, wish, wish.pixels))
        elif wish.format:
            self._step(worked, "converting", lambda data: self._reformatted(data, picture, wish, 0))
        self._step(worked, "declaring", declare)
        return worked

    def _cleaned(self, picture: Picture, wish: PictureWish) -> _Worked:
        if wish.keep_watermark or not self._settings.enabled:
            return _Worked(picture.data, _KEPT)
        worked = _Worked(picture.data, _FAILED)
        started = time.perf_counter()

        def clean(data: bytes) -> bytes:
            cleaned = clean_bytes(data, self._stars, self._settings.max_pixels)
            reason = cleaned.verdict.reason
            if picture.preview and reason == "no_logo":
                reason = "not_sure"  # a logo that was scaled with its picture is rarely found
            worked.verdict = reason if reason in _VERDICTS else "other"
            return cleaned.data

        self._step(worked, "cleaning", clean)
        self._metrics.watermark_seconds.observe(time.perf_counter() - started)
        return worked

    def _reformatted(self, data: bytes, picture: Picture, wish: PictureWish, long_side: int) -> bytes:
        mime = wish.format or picture.mime
        return reformat(data, mime, wish.quality, long_side, self._settings.max_pixels)

    def _step(self, worked: _Worked, what: str, step: Callable[[bytes], bytes]) -> None:
        try:
            worked.data = step(worked.data)
        except ValueError as error:
            log.warning("a picture stays as it is", step=what, why=str(error))
        except Exception:
            log.exception("a picture stays as it is", step=what)
