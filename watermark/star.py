"""The logo's shape: how much white each pixel of the star carries.

The shape is a formula, so that no picture of anybody's is shipped: points outside four circles, with rounded tips,
sampled 16 times a pixel. Units are pixels of the 96 px logo. Figures were fitted to real marked pictures (V1) and to a
public estimate (the soft V2 star).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]

V1_PEAK = 0.5
V2_PEAK = 0.3
STRONG_PEAK = 0.7
_SOFT_PEAK = 76.1 / 255
_SAMPLES = ((-0.0658, 0.1852), (0.3131, -0.0604), (-0.4358, 0.3181), (-0.4283, -0.195))


@dataclass(frozen=True)
class Outline:
    """Four circles of `radius` around (+-centre, +-centre); tips are discs of `tip` that end at `reach`."""

    radius: float
    centre: float
    tip: float
    reach: float


SHARP = Outline(61.4023, 61.6016, 2.2179, 47.9992)
_SOFT = Outline(62.1, 62.04, 2.13, 48.4)


def coverage(size: int, outline: Outline = SHARP, pad: int = 0) -> Floats:
    """The covered part of each pixel, in sixteenths from 0 to 1, shape (size + 2*pad,) * 2."""
    unit = 96 / size
    at = (np.arange(size + 2 * pad) - (size + 2 * pad - 1) / 2) * unit
    total = np.zeros((len(at), len(at)), np.float32)
    for x, y in _SAMPLES:
        for right, down in ((x, y), (-y, x), (-x, -y), (y, -x)):
            total += _inside(at[None, :] + right * unit, at[:, None] + down * unit, outline)
    return total / np.float32(16)


def _inside(x: Floats, y: Floats, o: Outline) -> NDArray[np.bool_]:
    along, across = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    outside = (along - o.centre) ** 2 + (across - o.centre) ** 2 > o.radius**2
    root = o.reach - o.tip
    return np.where(along <= root, outside, (along - root) ** 2 + across**2 <= o.tip**2)


def sharpened(blur: float = 1.16, amount: float = 0.51) -> Floats:
    """The large V2 star as it was published: blurred, and sharpened so that its rim overshoots 1."""
    blurred = cv2.GaussianBlur(coverage(96, _SOFT, pad=8), (0, 0), blur)
    sharper = blurred + amount * (blurred - cv2.GaussianBlur(blurred, (0, 0), 2.24))
    return np.asarray(np.maximum(sharper[8:-8, 8:-8], 0), np.float32)


@dataclass(frozen=True)
class Mark:
    """One way the logo is stamped: `alpha` (size x size) the part of white in each pixel, over all stamps.

    kind: "v1", "v2", "strong" or "double". stamps: how often `alpha_once` was laid over the picture.
    exact: the map is known to the last digit, so that pixels below its white cannot be.
    """

    kind: str
    size: int
    alpha_once: NDArray[np.floating]
    stamps: int
    exact: bool

    @cached_property
    def alpha(self) -> Floats:
        return np.asarray(1 - (1 - self.alpha_once) ** self.stamps, np.float32)


class Stars:
    """Every mark that is looked for.

    maps: coverage maps (values 0 to 1) by size, 48 or 96, that replace the formula's, from `calibrate_star`.
    """

    def __init__(self, maps: Mapping[int, Floats] | None = None) -> None:
        sharp = {size: (maps or {}).get(size, coverage(size)) for size in (48, 96)}
        self.sharp: Mapping[int, Floats] = sharp
        marks: list[Mark] = []
        for size in (48, 96):
            once = sharp[size].astype(np.float64) * V1_PEAK
            marks += [
                Mark("v1", size, once, 1, True),
                Mark("strong", size, sharp[size].astype(np.float64) * STRONG_PEAK, 1, True),
                Mark("double", size, once, 2, True),
            ]
        soft = sharpened() * np.float32(_SOFT_PEAK)
        marks += [
            Mark("v2", 48, sharp[48].astype(np.float64) * V2_PEAK, 1, True),
            Mark("v2", 96, sharp[96].astype(np.float64) * V2_PEAK, 1, True),
            Mark("v2", 96, soft, 1, False),
            Mark("v2", 36, np.asarray(cv2.resize(soft, (36, 36), interpolation=cv2.INTER_AREA)), 1, False),
        ]
        self.marks: tuple[Mark, ...] = tuple(marks)
