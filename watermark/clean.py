"""From pixels to pixels: find the logo, take it off, and believe it only if the result is better."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from watermark.find import LOSSLESS, LOSSY, REACH, Candidate, Finder
from watermark.remove import Remover
from watermark.star import Mark, Stars
from watermark.template import Template

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Verdict:
    """What was decided about a picture.

    found: a logo was found and removed. reason: "removed", or why the picture was left as it is: "no_logo",
    "not_sure" (something looked like it), "too_small", or for files "unsupported", "broken", "too_many_pixels",
    "animated", "transparent". kind: "v1", "v2", "strong" (one heavy stamp) or "double"; size: the logo's side in
    pixels; right, bottom: its margins in pixels. score: by how many deviations of the texture the logo stood out.
    confidence: 0 to 1, how near its strength was to that of a logo. detail: more about the reason, for people.
    """

    found: bool
    reason: str
    kind: str = ""
    size: int = 0
    right: int = 0
    bottom: int = 0
    score: float = 0.0
    confidence: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class CleanedPixels:
    """pixels: the very array that was given where nothing was found."""

    pixels: Bytes
    verdict: Verdict


@dataclass(frozen=True)
class Patch:
    """New pixels of one box. top, left: in the picture."""

    top: int
    left: int
    box: Bytes
    mark: Mark


class Cleaner:
    """Finds and removes marks; made once per set of stars, since its tables cost more than a picture."""

    def __init__(self, stars: Stars | None = None) -> None:
        scouts: dict[int, Template] = {}
        templates = []
        for mark in (stars or Stars()).marks:
            template = Template(mark, scouts.get(mark.size))
            scouts.setdefault(mark.size, template)
            templates.append(template)
        self.finder = Finder(tuple(templates))
        self._removers = {id(template): Remover(template.mark) for template in templates}

    def pixels(self, bgr: Bytes, lossy: bool = False) -> CleanedPixels:
        """bgr: (height, width, 3) uint8, never written to. Raises TypeError and ValueError for other arrays."""
        if bgr.dtype != np.uint8:
            raise TypeError(f"pixels: must be uint8, not {bgr.dtype}. Convert the picture to 8 bits.")
        if bgr.ndim != 3 or bgr.shape[2] != 3:
            raise ValueError(
                f"pixels: must be (height, width, 3), not {bgr.shape}. Convert the picture to BGR."
            )
        patch, verdict = self.patch(bgr, lossy)
        if patch is None:
            return CleanedPixels(bgr, verdict)
        cleaned = bgr.copy()
        rows, columns = patch.box.shape[:2]
        cleaned[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.box
        return CleanedPixels(cleaned, verdict)

    def patch(self, bgr: Bytes, lossy: bool = False) -> tuple[Patch | None, Verdict]:
        """What is to be changed, without copying the picture. bgr: the picture, or its last rows and columns."""
        corner = bgr[-REACH:, -REACH:]
        if min(corner.shape[:2]) < 36:
            return None, Verdict(False, "too_small")
        rigour = LOSSY if lossy else LOSSLESS
        found, near = self.finder.find(corner, rigour)
        if found is None:
            return None, Verdict(False, "not_sure" if near else "no_logo")
        mark = found.template.mark
        rows, columns = slice(found.top, found.top + mark.size), slice(found.left, found.left + mark.size)
        remover = self._removers[id(found.template)]
        box = remover.roughly(corner[rows, columns]) if lossy else remover.exactly(corner[rows, columns])
        verdict = _verdict(found, corner.shape, True, "removed")
        if self.finder.remains(corner, found, box, rigour):
            return None, _verdict(found, corner.shape, False, "not_sure")
        top, left = bgr.shape[0] - corner.shape[0] + found.top, bgr.shape[1] - corner.shape[1] + found.left
        return Patch(top, left, box, mark), verdict


def _verdict(found: Candidate, shape: tuple[int, ...], removed: bool, reason: str) -> Verdict:
    mark, evidence = found.template.mark, found.evidence
    return Verdict(
        found=removed,
        reason=reason,
        kind=mark.kind,
        size=mark.size,
        right=shape[1] - found.left - mark.size,
        bottom=shape[0] - found.top - mark.size,
        score=round(evidence.score, 1),
        confidence=round(max(0.0, 1 - abs(evidence.strength - 1)), 3),
    )


@lru_cache(maxsize=1)
def formula_cleaner() -> Cleaner:
    """The cleaner that knows the formula's stars."""
    return Cleaner()


def clean_pixels(bgr: Bytes, stars: Stars | None = None, lossy: bool = False) -> CleanedPixels:
    """Take the visible logo off a picture (uint8, height x width x 3, BGR), if it is there with confidence.

    stars: calibrated marks; the formula's by default. lossy: the picture was coded with loss since it was marked.
    The input is never changed; where nothing was found, the very same array comes back.
    """
    return (formula_cleaner() if stars is None else Cleaner(stars)).pixels(bgr, lossy)
