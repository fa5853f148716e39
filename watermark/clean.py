"""From pixels to pixels: find the logo, take it off, and believe it only if the result is better."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from watermark.coding import Coding, even
from watermark.family import families
from watermark.find import Candidate, Finder
from watermark.planes import lift, lifted_box
from watermark.remove import Remover, by_formula
from watermark.star import Mark, Stars
from watermark.template import Template
from watermark.view import LOSSLESS, LOSSY, REACH, View, light_of

Bytes = NDArray[np.uint8]

LEAST_SIDE = 36
"""The smallest logo's."""
MOST_LOGOS = 4
"""Times that a picture is looked at; again after each that was taken off."""


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
        stars = stars or Stars()
        for mark in stars.marks:
            template = Template(mark, scouts.get(mark.size))
            scouts.setdefault(mark.size, template)
            templates.append(template)
        self.finder = Finder(tuple(templates), families(stars))
        self._removers = {id(template): Remover(template.mark) for template in templates}

    def pixels(self, bgr: Bytes, lossy: bool = False) -> CleanedPixels:
        """bgr: (height, width, 3) uint8, never written to. Raises TypeError and ValueError for other arrays."""
        if bgr.dtype != np.uint8:
            raise TypeError(f"pixels: must be uint8, not {bgr.dtype}. Convert the picture to 8 bits.")
        if bgr.ndim != 3 or bgr.shape[2] != 3:
            raise ValueError(
                f"pixels: must be (height, width, 3), not {bgr.shape}. Convert the picture to BGR."
            )
        coding = even() if lossy else None
        cleaned, first = bgr, None
        for _ in range(MOST_LOGOS):
            patch, verdict = self.patch(cleaned, coding)
            first = first or verdict
            if patch is None:
                break
            if cleaned is bgr:
                cleaned = bgr.copy()
            rows, columns = patch.box.shape[:2]
            cleaned[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.box
        return CleanedPixels(cleaned, first or verdict)

    def patch(self, bgr: Bytes, coding: Coding | None = None) -> tuple[Patch | None, Verdict]:
        """What is to be changed, without copying the picture.

        bgr: the picture, or (where it was coded without loss) its last rows and columns. coding: how, with loss.
        """
        corner = bgr[-REACH:, -REACH:]
        if min(corner.shape[:2]) < LEAST_SIDE:
            return None, Verdict(False, "too_small")
        view = View(corner, LOSSLESS if coding is None else LOSSY)
        found, verdict = self._found(view)
        if found is None:
            return None, verdict
        mark = found.template.mark
        top, left = bgr.shape[0] - corner.shape[0] + found.top, bgr.shape[1] - corner.shape[1] + found.left
        if coding is None:
            rows, columns = slice(found.top, found.top + mark.size), slice(found.left, found.left + mark.size)
            box = self._exactly(found, corner[rows, columns])
        else:
            box = lifted_box(bgr, mark, top, left, coding)
        if self.finder.remains(view, found, light_of(box, view.rigour)):
            return None, replace(verdict, found=False, reason="not_sure")
        return Patch(top, left, box, mark), verdict

    def _exactly(self, found: Candidate, box: Bytes) -> Bytes:
        if found.fitted:
            return by_formula(found.template.mark, box)
        return self._removers[id(found.template)].exactly(box)

    def planes(
        self, light: Bytes, corner: Bytes, coding: Coding, colours: Callable[[], list[Bytes]]
    ) -> tuple[list[Bytes] | None, Verdict]:
        """The same for planes as they were coded: new ones (Y, or Y, Cb, Cr), None where they stay as they are.

        light: Y. corner: the last REACH rows and columns as BGR. colours: called for Cb and Cr where a logo was found.
        """
        if min(corner.shape[:2]) < LEAST_SIDE:
            return None, Verdict(False, "too_small")
        view = View(corner, LOSSY, light[-REACH:, -REACH:])
        found, verdict = self._found(view)
        if found is None:
            return None, verdict
        height, width = light.shape
        top, left = height - corner.shape[0] + found.top, width - corner.shape[1] + found.left
        new = [plane.copy() for plane in (light, *colours())]
        lift(new, found.template.mark, top, left, coding)
        side = found.template.mark.size
        if self.finder.remains(
            view, found, np.asarray(new[0][top : top + side, left : left + side], np.float32)
        ):
            return None, replace(verdict, found=False, reason="not_sure")
        return new, verdict

    def _found(self, view: View) -> tuple[Candidate | None, Verdict]:
        found, near = self.finder.find(view)
        if found is None:
            return None, Verdict(False, "not_sure" if near else "no_logo")
        return found, _verdict(found, view.grey.shape)


def _verdict(found: Candidate, shape: tuple[int, ...]) -> Verdict:
    mark, evidence = found.template.mark, found.evidence
    return Verdict(
        found=True,
        reason="removed",
        kind=mark.kind,
        size=mark.size,
        right=shape[1] - found.left - mark.size,
        bottom=shape[0] - found.top - mark.size,
        score=round(evidence.score, 1),
        confidence=round(max(0.0, 1 - abs(evidence.strength - 1)), 3),
    )


@lru_cache(maxsize=4)
def cleaner_of(stars: Stars | None) -> Cleaner:
    """The cleaner that knows these stars, the formula's where None: the same one for the same stars."""
    return Cleaner(stars)


def formula_cleaner() -> Cleaner:
    """The cleaner that knows the formula's stars."""
    return cleaner_of(None)


def clean_pixels(bgr: Bytes, stars: Stars | None = None, lossy: bool = False) -> CleanedPixels:
    """Take the visible logo off a picture (uint8, height x width x 3, BGR), if it is there with confidence.

    stars: calibrated marks; the formula's by default. lossy: the picture was coded with loss since it was marked.
    The input is never changed; where nothing was found, the very same array comes back.
    """
    return cleaner_of(stars).pixels(bgr, lossy)
