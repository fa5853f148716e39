"""The V2 star as no file of it has told exactly: between crisp and soft, a little stronger or fainter.

White over a picture multiplies the distance to white by 1 - alpha, so that in logarithms it is added. The plausible
renditions span a small space of such maps; which of them a picture carries is a weighted least squares problem with as
many unknowns as the space has directions, and what the renditions are like is its prior.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from watermark.star import Floats, Mark, Stars, coverage, sharpened
from watermark.template import PAD, dot, local, pairs

_DIRECTIONS = 8
_ROUNDS = 2
# Texture is no independent noise: a pair tells this much of what its variance says.
_TELLING = 0.25
# Deviation of a known star's strength, and what a number that is fitted must explain.
_STRENGTH, _ONE_NUMBER = 0.05, 4.0
_FARTHEST = 5.0
_LEAST = 0.4 / 255
_TELLS = 0.002
_PEAKS = (0.275, 0.337)


class Family:
    """The space of the renditions (maps of alpha, size x size) of one size. known: the likeliest, taken unless a
    picture speaks against them."""

    def __init__(self, renditions: Sequence[Floats], known: Sequence[Floats]) -> None:
        logs = np.stack([_added(alpha) for alpha in renditions])
        middle = logs.mean(0)
        flat = (logs - middle).reshape(len(logs), -1)
        self.size = renditions[0].shape[0]
        self._middle = middle
        count = min(_DIRECTIONS, len(logs) - 1)
        # The largest singular directions, by the way of the few renditions: a tenth of the time of decomposing `flat`.
        # Each is in units of the renditions' own deviation, so that the prior is that of a unit normal.
        _, mixtures = np.linalg.eigh(np.einsum("in,jn->ij", flat, flat))
        largest = mixtures[:, : -count - 1 : -1]
        self._maps = np.einsum("ik,in->kn", largest, flat).reshape(count, *middle.shape) / len(logs) ** 0.5
        steps = np.stack([pairs(each.astype(np.float32))[1] for each in (middle, *self._maps)])
        # Elsewhere nothing tells one rendition from another.
        self._at = np.flatnonzero(np.abs(steps).max(0) > _TELLS)
        self._steps = np.ascontiguousarray(steps.reshape(count + 1, -1)[:, self._at])
        self._known = [_added(alpha) for alpha in known]
        self._known_steps = [pairs(each.astype(np.float32))[1].ravel()[self._at] for each in self._known]

    def fit(self, grey: Floats, floor: float) -> Mark | None:
        """The rendition that explains the box (with PAD pixels around it) best; None where it is none of the family,
        or where one that is known explains it as well.

        floor: variance that coding alone makes.
        """
        room = np.maximum(np.float32(255) - grey, np.float32(0.5))
        mean, step = pairs(room)
        # Of logarithms, the sign turned: what the star adds is positive.
        seen = -pairs(np.log(room))[1]
        plain = local(step)
        middle, directions = self._steps[0], self._steps[1:]
        at, even = self._at, np.eye(len(directions))
        near, square, told = seen.ravel()[at], (mean**2).ravel()[at], middle
        for _ in range(_ROUNDS):
            whole = np.zeros(seen.size, np.float32)
            whole[at] = told
            variance = np.minimum(plain, local((seen - whole.reshape(seen.shape)) * mean)) + np.float32(floor)
            weight = square * np.float32(_TELLING) / np.broadcast_to(variance, seen.shape).ravel()[at]
            weighted = directions * weight
            left = np.einsum("in,jn->ij", weighted, directions) + even
            place = np.linalg.solve(left, np.einsum("in,n->i", weighted, near - middle))
            told = middle + np.einsum("i,in->n", place.astype(np.float32), directions)
        if float(np.abs(place).max()) > _FARTHEST:
            return None
        # Twice the logarithm of how probable the picture is by each account, free numbers held against it.
        best = _misfit(near, told, weight) + float(place @ place) + len(place)
        stronger = None
        for known, steps in zip(self._known, self._known_steps, strict=True):
            by_strength = dot(steps * weight, steps) + _STRENGTH**-2
            more = dot(steps * weight, near - steps) / by_strength
            misfit = _misfit(near, steps, weight)
            if misfit <= min(best, misfit - more**2 * by_strength + _ONE_NUMBER):
                return None
            if misfit - more**2 * by_strength + _ONE_NUMBER < best:
                best = misfit - more**2 * by_strength + _ONE_NUMBER
                stronger = known * (1 + more)
        if stronger is not None:
            return self._mark(stronger)
        return self._mark(self._middle + np.tensordot(place, self._maps, 1))

    def _mark(self, added: Floats) -> Mark | None:
        alpha = -np.expm1(-added[PAD:-PAD, PAD:-PAD])
        half = self.size // 2
        if not _PEAKS[0] <= float(alpha[half - 2 : half + 2, half - 2 : half + 2].mean()) <= _PEAKS[1]:
            return None
        return Mark("v2", self.size, np.where(alpha < _LEAST, 0, alpha), 1, False)


def _added(alpha: Floats) -> Floats:
    return np.asarray(-np.log1p(-np.pad(alpha, PAD).astype(np.float64)))


def _misfit(seen: Floats, told: Floats, weight: Floats) -> float:
    off = seen - told
    return dot(off * weight, off)


def families(stars: Stars) -> dict[int, Family]:
    """By size."""
    return {
        size: Family(
            [shape * peak for shape in _shapes(size, stars.sharp) for peak in (0.28, 0.295, 0.31, 0.33)],
            [mark.alpha for mark in stars.marks if mark.kind == "v2" and mark.size == size],
        )
        for size in (36, 48, 96)
    }


def _shapes(size: int, sharp: Mapping[int, Floats]) -> list[Floats]:
    """Crisp, enlarged or reduced by the usual filters, or blurred and sharpened."""
    large, small = sharp[96].astype(np.float32), sharp[48].astype(np.float32)
    filters = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    whole = [large, large, *(_resized(small, 96, filter) for filter in filters)]
    for blur in (0.6, 0.9, 1.2, 1.6):
        for amount in (0, 0.3, 0.6):
            soft = sharpened(blur, amount)
            whole += [soft, np.minimum(soft, 1)]
    if size == 96:
        return whole
    reduced = [_resized(each, size, cv2.INTER_AREA) for each in whole]
    reduced += [_resized(large, size, filter) for filter in filters[1:]]
    if size == 48:
        return [*reduced, small, small, np.asarray(cv2.GaussianBlur(small, (0, 0), 0.5), np.float32)]
    crisp = coverage(size)
    return (
        reduced
        + [np.asarray(crisp)] * 2
        + [_resized(small, size, each) for each in (*filters, cv2.INTER_AREA)]
    )


def _resized(star: Floats, size: int, filter: int) -> Floats:
    """With nothing around it, as it was before it was laid over a picture."""
    pad = 8 * 96 // len(star)
    side = (len(star) + 2 * pad) * size // len(star)
    whole = cv2.resize(np.pad(star, pad), (side, side), interpolation=filter)
    edge = (side - size) // 2
    return np.asarray(np.maximum(whole[edge : edge + size, edge : edge + size], 0), np.float32)
