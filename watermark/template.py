"""What a mark predicts of the picture that carries it, and how well a picture agrees."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.star import Floats, Mark

PAD = 4


@dataclass(frozen=True)
class Evidence:
    """strength: 1 for the logo, 0 without it. score: strength over its error in the texture at hand.

    sectors, weights: the same for the pairs of each direction in each quadrant; the error of a sector is weight**-0.5.
    weight: what the score would be at strength 1. before, residue: log variance of the steps at the star's edge, as it
    stands and after removal; around: the variances of the other pairs after removal. trust: of each pair, the
    inverse of its variance.
    """

    strength: float
    score: float
    weight: float
    sectors: NDArray[np.float64]
    weights: NDArray[np.float64]
    before: float
    residue: float
    around: Floats = field(repr=False)
    trust: Floats = field(repr=False)

    def outline(self) -> tuple[float, float]:
        """By how much the steps at the edge exceed the others after removal: their mean, and all but a quarter of them.
        Logarithms of variances; about 0 where nothing is left of a mark."""
        around = np.log(self.around)
        return self.residue - float(around.mean()), self.residue - float(np.quantile(around, 0.75))


class Template:
    """A mark's prediction. Arrays (2, n, n) are of pairs to the right and below."""

    def __init__(self, mark: Mark, scout: "Template | None" = None) -> None:
        self.mark = mark
        side = mark.size + 2 * PAD
        self._half = side // 2
        mean, step = pairs(np.pad(mark.alpha, PAD))
        self._gain = 1 / (1 - mean)
        self._step = step
        self._told = step * self._gain**2
        self._noise = self._gain**2
        self._edge = np.nonzero((np.abs(step) > 0.02).any(0))
        self._plain = np.nonzero((np.abs(step) <= 0.004).all(0))
        half_mean, half_step = pairs(halved(np.pad(mark.alpha, PAD)))
        self._half_gain = 1 / (1 - half_mean)
        self._half_told = half_step * self._half_gain**2
        inner = (slice(None), slice(PAD, PAD + mark.size), slice(PAD, PAD + mark.size))
        self.inner = np.ascontiguousarray((step * self._gain)[inner])
        self.inner_square = self.inner**2
        self.energy = float(self.inner_square.sum())
        self.white = mark.alpha * 255
        # What the scout's strength is where this mark lies on flat ground.
        flat = np.pad(100 + mark.alpha * 155, PAD, constant_values=100).astype(np.float32)
        self.scouted = 1.0 if scout is None else scout.weigh(flat, 0.4).strength

    def weigh(self, grey: Floats, floor: float) -> Evidence:
        """grey: the mark's box with PAD pixels around it. floor: variance that coding alone makes."""
        mean, step = pairs(grey)
        seen = step * self._gain
        told = (255 - mean) * self._told
        least = floor * self._noise
        before, after = local(seen), local(seen - told)
        trust = 1 / (np.minimum(before, after) + least)
        weighted = told * trust
        told *= weighted
        seen *= weighted
        with_seen, with_told = _sectors(seen, self._half), _sectors(told, self._half)
        norm = float(with_told.sum()) + 1e-9
        strength = float(with_seen.sum()) / norm
        ground = least[0][self._edge]
        return Evidence(
            strength=strength,
            score=strength * norm**0.5,
            weight=norm**0.5,
            sectors=with_seen / np.maximum(with_told, 1e-9),
            weights=with_told,
            before=float(np.log(before[self._edge] + ground).mean()),
            residue=float(np.log(after[self._edge] + ground).mean()),
            around=after[self._plain] + least[0][self._plain],
            trust=trust,
        )

    def strength(self, values: Floats, trust: Floats) -> tuple[float, float]:
        """Strength and weight of one channel, its pairs trusted as those of the whole."""
        mean, step = pairs(values)
        told = (255 - mean) * self._told
        weighted = told * trust
        norm = dot(weighted, told) + 1e-9
        return dot(weighted, step * self._gain) / norm, norm**0.5

    def fading(self, grey: Floats, trust: Floats, on_ground: bool) -> tuple[float, float]:
        """By how much the star's step shrinks where the ground is brighter, 1 as for white, and that figure's weight.

        A star of another grey and another peak may be as bright as the logo on average, but not on every ground.
        on_ground: by the ground as it is without the star, so that an outline that is a little off does not tell.
        """
        mean, step = pairs(grey)
        room, raised = 255 - mean, self._told
        if on_ground:
            room, raised = room * self._gain, self._step * self._gain
        square = raised**2 * trust
        middle = dot(square, room) / (float(square.sum()) + 1e-9)
        level, slope = raised * middle, raised * (room - middle)
        seen = step * self._gain
        with_slope, with_level = slope * trust, level * trust
        both = dot(with_level, slope)
        left = np.array([[dot(with_level, level), both], [both, dot(with_slope, slope)]])
        right = np.array([dot(with_level, seen), dot(with_slope, seen)])
        fit = np.linalg.solve(left + np.eye(2) * 1e-6, right)
        return float(fit[1]), float(left[1, 1]) ** 0.5

    def half_strength(self, plane: Floats, white: int, floor: float) -> tuple[float, float]:
        """The same at half the resolution, of a plane in which white is `white`."""
        mean, step = pairs(halved(plane))
        seen = step * self._half_gain
        told = (white - mean) * self._half_told
        weighted = told / (np.minimum(local(seen), local(seen - told)) + floor)
        norm = dot(weighted, told) + 1e-9
        return dot(weighted, seen) / norm, norm**0.5


def dot(a: Floats, b: Floats) -> float:
    """The sum of products. Not numpy's algebra: it spreads long sums over threads, which on a busy machine wait for cores."""
    return float(np.einsum("i,i->", a.ravel(), b.ravel()))


def halved(values: Floats) -> Floats:
    return np.asarray(cv2.resize(values, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def pairs(values: Floats) -> tuple[Floats, Floats]:
    """Mean and difference of each value with its right and its lower neighbour; 0 difference at the rim."""
    mean = np.empty((2, *values.shape), np.float32)
    step = np.empty((2, *values.shape), np.float32)
    mean[:] = values
    np.subtract(values[:, 1:], values[:, :-1], out=step[0, :, :-1])
    np.subtract(values[1:], values[:-1], out=step[1, :-1])
    step[0, :, -1] = 0
    step[1, -1] = 0
    mean += step * np.float32(0.5)
    return mean, step


def local(steps: Floats) -> Floats:
    """The mean square of the steps around each place."""
    return np.asarray(cv2.blur((steps[0] ** 2 + steps[1] ** 2) * np.float32(0.5), (5, 5)))


def _sectors(values: Floats, half: int) -> NDArray[np.float64]:
    return np.asarray(values.reshape(2, 2, half, 2, half).sum((2, 4)).ravel(), np.float64)
