"""What is seen of a picture's corner, and how strictly findings in it are judged."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.star import Floats
from watermark.template import PAD, Template, dot, local, pairs

Bytes = NDArray[np.uint8]

REACH = 304
"""Pixels from the right and from the bottom in which the logo is looked for."""
FIELD = 160
"""Side of the field in which places are searched: full resolution for small logos, half for the large one."""
_PEAKS = 2


@dataclass(frozen=True)
class Rigour:
    """What a finding must reach.

    floor: variance of a pair's difference that coding alone makes. screen, score, searched: scores that a place must
    reach to be examined, to be taken, and to be taken where the app never stamps. tolerance: of the strength.
    explained: by how much the log variance must fall where a V2 star stands out strongly.
    below: levels by which a pixel may lie under the white that the mark put on it. luma: shares of B, G, R in what is
    looked at. subsampled: colour is kept at half the resolution.
    """

    floor: float
    screen: float
    score: float
    searched: float
    tolerance: float
    below: float
    explained: float
    luma: tuple[float, float, float]
    subsampled: bool


LOSSLESS = Rigour(
    floor=0.4, screen=4.5, score=10.0, searched=16.0, tolerance=0.06, below=1.0,
    explained=1.8,
    luma=(1 / 3, 1 / 3, 1 / 3), subsampled=False,
)  # fmt: skip
LOSSY = Rigour(
    floor=4.0, screen=4.5, score=10.0, searched=16.0, tolerance=0.05, below=24.0,
    explained=2.5,
    luma=(0.114, 0.587, 0.299), subsampled=True,
)  # fmt: skip


def light_of(colours: Bytes, rigour: Rigour) -> Floats:
    """What places are looked at by, of (height, width, BGR)."""
    return np.asarray(cv2.transform(colours.astype(np.float32), np.array([rigour.luma], np.float32)))


def padded(values: NDArray[Any], top: int, left: int, size: int) -> NDArray[Any]:
    """The box with PAD pixels around it; beyond the picture's edge the last pixel is repeated."""
    box = values[max(top - PAD, 0) : top + size + PAD, max(left - PAD, 0) : left + size + PAD]
    before = (max(PAD - top, 0), max(PAD - left, 0))
    side = size + 2 * PAD
    if box.shape[:2] == (side, side):
        return box
    after = (side - box.shape[0] - before[0], side - box.shape[1] - before[1])
    around = ((before[0], after[0]), (before[1], after[1]), (0, 0))
    return np.pad(box, around[: box.ndim], mode="edge")


class View:
    """A corner and what is computed of it once.

    corner: (h, w, 3), the picture's last rows and columns, BGR. grey: its light, where that is known better than from
    the colours, which decoding has clipped.
    """

    def __init__(self, corner: Bytes, rigour: Rigour, grey: Bytes | None = None) -> None:
        self.corner = corner
        self.rigour = rigour
        self.grey = light_of(corner, rigour) if grey is None else np.asarray(grey, np.float32)

    def score(self, scout: Template, top: int, left: int) -> float:
        return self._around(top, left, scout.mark.size)[0].score(scout, min(top, PAD), min(left, PAD))

    def refined(self, scout: Template, top: int, left: int) -> tuple[float, int, int, int]:
        """The best place around one: score, size, top, left."""
        size = scout.mark.size
        field, first, second = self._around(top - 1, left - 1, size + 2)
        around = (-1, 0, 1)
        best = max(
            (field.score(scout, top + y - first, left + x - second), top + y, left + x)
            for y in around
            for x in around
        )
        return best[0], size, best[1], best[2]

    def _around(self, top: int, left: int, size: int) -> "tuple[Field, int, int]":
        """The field of a box and PAD around it, and its place."""
        first, second = max(top - PAD, 0), max(left - PAD, 0)
        part = self.grey[first : top + size + PAD, second : left + size + PAD]
        return Field(part, self.rigour), first, second


class Field:
    """What a scout is compared with, for every place at once."""

    def __init__(self, grey: Floats, rigour: Rigour) -> None:
        mean, step = pairs(grey)
        room = 255 - mean
        weight = 1 / (local(step) + rigour.floor)
        # Each step in units of the texture around it: what places are searched by.
        self._even = step * np.sqrt(weight)
        self._seen = weight * step * room
        self._norm = weight * room * room

    def score(self, scout: Template, top: int, left: int) -> float:
        side = scout.mark.size
        if top < 0 or left < 0 or top + side > self._norm.shape[1] or left + side > self._norm.shape[2]:
            return 0.0
        rows, columns = slice(top, top + side), slice(left, left + side)
        seen = dot(self._seen[:, rows, columns], scout.inner)
        norm = dot(self._norm[:, rows, columns], scout.inner_square)
        return float(seen / np.sqrt(max(norm, 1e-9)))

    @cached_property
    def _spectrum(self) -> Floats:
        """Of the last rows and columns, as numbers right + i below."""
        height, width = self._seen.shape[1:]
        top, left = max(height - FIELD, 0), max(width - FIELD, 0)
        seen = np.zeros((FIELD, FIELD, 2), np.float32)
        seen[: height - top, : width - left, 0] = self._even[0, top:, left:]
        seen[: height - top, : width - left, 1] = self._even[1, top:, left:]
        return np.asarray(cv2.dft(seen))

    def peaks(self, spectrum: Floats, side: int, energy: float) -> list[tuple[float, int, int]]:
        """The best places in the last rows and columns: score, top, left."""
        height, width = self._seen.shape[1:]
        top, left = max(height - FIELD, 0), max(width - FIELD, 0)
        if height - top < side or width - left < side:
            return []
        product = cv2.mulSpectrums(self._spectrum, spectrum, 0, conjB=True)
        sums = cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[..., 0]
        rows, columns = height - top - side + 1, width - left - side + 1
        scores = np.ascontiguousarray(sums[:rows, :columns]) / np.float32(energy**0.5)
        found = []
        for _ in range(_PEAKS):
            _, best, _, (x, y) = cv2.minMaxLoc(scores)
            found.append((best, y + top, x + left))
            scores[max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7] = 0
        return found
