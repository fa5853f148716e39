"""The work on a picture's pixels, on whatever thread calls. See `engine.studio`, which brings this module in when it is
needed first."""

import time
from collections.abc import Callable

import cv2
import numpy as np
import structlog
from msgspec import Struct

from core.chat import Picture, PictureWish
from core.metrics import Metrics
from core.pictures import measure
from watermark import Stars, clean_bytes, clean_pixels, declare, reformat

log = structlog.get_logger("gempool.studio")

_VERDICTS = frozenset(
    {"removed", "no_logo", "not_sure", "too_small", "unsupported", "broken", "too_many_pixels", "animated", "transparent"}
)  # fmt: skip
_KEPT = "kept"
_FAILED = "failed"


class Worked(Struct):
    """A picture on its way: what became of the logo, and its size before it was enlarged."""

    data: bytes
    verdict: str
    upscaled_from: tuple[int, int] | None = None


class Darkroom:
    """enabled: the logo is removed. max_pixels: pictures with more are not decoded. stars: calibrated marks."""

    def __init__(self, enabled: bool, max_pixels: int, metrics: Metrics, stars: Stars | None) -> None:
        self._enabled = enabled
        self._max_pixels = max_pixels
        self._metrics = metrics
        self._stars = stars
        # Parallel pictures are the studio's to count: OpenCV would take every core for each.
        cv2.setNumThreads(1)

    def prepare(self) -> None:
        """Make what is made once and kept."""
        clean_pixels(np.full((512, 512, 3), 90, np.uint8), self._stars)

    def finish(self, picture: Picture, wish: PictureWish) -> Worked:
        """The picture without the logo, as it is wished and declared. Never raises."""
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

    def _cleaned(self, picture: Picture, wish: PictureWish) -> Worked:
        if wish.keep_watermark or not self._enabled:
            return Worked(picture.data, _KEPT)
        worked = Worked(picture.data, _FAILED)
        started = time.perf_counter()

        def clean(data: bytes) -> bytes:
            cleaned = clean_bytes(data, self._stars, self._max_pixels)
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
        return reformat(data, mime, wish.quality, long_side, self._max_pixels)

    def _step(self, worked: Worked, what: str, step: Callable[[bytes], bytes]) -> None:
        try:
            worked.data = step(worked.data)
        except ValueError as error:
            log.warning("a picture stays as it is", step=what, why=str(error))
        except Exception:
            log.exception("a picture stays as it is", step=what)
