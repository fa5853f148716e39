"""Where the logo is, decided by the picture's content.

A mark predicts, from the marked values alone, by how much each pair of neighbours differs because of it. What is seen is
compared with that: `strength` is 1 for the logo and about 0 where there is none, `score` says by how many deviations of the
texture around it stands out. The places where the app stamps are screened first; then, for cropped pictures, every place
of the corner. What remains must pass all tests of `_proved`, or nothing was found.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.star import Floats
from watermark.template import PAD, Evidence, Template, dot, halved, local, pairs

Bytes = NDArray[np.uint8]

REACH = 304
"""Pixels from the right and from the bottom in which the logo is looked for."""
_FIELD = 160
"""Side of the field in which places are searched: full resolution for small logos, half for the large one."""
_SLOTS = {48: (32, 96), 96: (64, 192)}
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


@dataclass(frozen=True)
class Candidate:
    """A mark at (top, left) of the corner, and why it was not taken ('' where it was)."""

    template: Template
    top: int
    left: int
    evidence: Evidence
    searched: bool
    objection: str = ""


class Finder:
    """Looks for marks; made once, since the templates cost more than a search."""

    def __init__(self, templates: tuple[Template, ...]) -> None:
        self._by_size = {
            size: tuple(t for t in templates if t.mark.size == size)
            for size in sorted({t.mark.size for t in templates})
        }
        self._scouts = {size: group[0] for size, group in self._by_size.items()}
        self._spectra = {size: _spectrum(t) for size, t in self._scouts.items()}

    def candidates(self, view: "View") -> Iterator[Candidate]:
        """Examined hypotheses."""
        yield from self._at_slots(view)
        yield from self._anywhere(view)

    def find(self, view: "View") -> tuple[Candidate | None, bool]:
        """The mark that passed every test, and whether something came near to one."""
        near = False
        for candidates in (self._at_slots(view), self._anywhere(view)):
            best: Candidate | None = None
            for candidate in candidates:
                near = near or abs(candidate.evidence.strength - 1) < 0.5
                if not candidate.objection and (
                    best is None or candidate.evidence.residue < best.evidence.residue
                ):
                    best = candidate
            if best is not None:
                return best, near
        return None, near

    def remains(self, view: "View", found: Candidate, light: Floats) -> bool:
        """Whether the candidate's place, with this light in it, still looks marked or has turned dark."""
        after = _padded(view.grey, found.top, found.left, found.template.mark.size).copy()
        after[PAD:-PAD, PAD:-PAD] = light
        evidence = found.template.weigh(after, view.rigour.floor)
        most = 0.4 if view.rigour.subsampled else 0.1 + view.rigour.tolerance
        return abs(evidence.strength) > most and abs(evidence.score) > view.rigour.score / 2

    def _at_slots(self, view: "View") -> Iterator[Candidate]:
        """Where the app stamps."""
        height, width = view.grey.shape
        slots = []
        for size, margins in _SLOTS.items():
            for margin in margins if size in self._scouts else ():
                top, left = height - margin - size, width - margin - size
                if top < 0 or left < 0:
                    continue
                score = view.score(self._scouts[size], top, left)
                if score >= view.rigour.screen:
                    slots.append((score, size, top, left))
        for _, size, top, left in sorted(slots, reverse=True)[:3]:
            yield from self._examine(view, size, top, left, searched=False)

    def _anywhere(self, view: "View") -> Iterator[Candidate]:
        """Where a crop may have moved it."""
        for size, top, left in self._search(view):
            yield from self._examine(view, size, top, left, searched=True)

    def _examine(self, view: "View", size: int, top: int, left: int, searched: bool) -> Iterator[Candidate]:
        group = self._by_size[size]
        box = _padded(view.grey, top, left, size)
        first = group[0].weigh(box, view.rigour.floor)
        for template in group:
            if not 0.6 < first.strength / template.scouted < 1.67:
                continue
            evidence = first if template is group[0] else template.weigh(box, view.rigour.floor)
            found = Candidate(template, top, left, evidence, searched)
            yield replace(found, objection=_objection(found, view))

    def _search(self, view: "View") -> list[tuple[int, int, int]]:
        """(size, top, left) of the places that look most like a logo, best first."""
        places = []
        height, width = view.grey.shape
        for size, spectrum in self._spectra.items():
            scale = 2 if size == 96 else 1
            if min(height, width) // scale < size // scale:
                continue
            if scale == 2:
                # From the last pixel on, so that pairs of pixels are counted from the corner.
                at = (height % 2, width % 2)
                field = _Field(halved(view.grey[at[0] :, at[1] :]), view.rigour)
            else:
                at = (max(height - _FIELD - PAD, 0), max(width - _FIELD - PAD, 0))
                field = _Field(view.grey[at[0] :, at[1] :], view.rigour)
            for score, top, left in field.peaks(spectrum, size // scale, self._scouts[size].energy):
                if score >= view.rigour.screen:
                    places.append((score, size, top * scale + at[0], left * scale + at[1]))
        best = [
            view.refined(self._scouts[size], top, left)
            for _, size, top, left in sorted(places, reverse=True)[:3]
        ]
        return [
            (size, top, left)
            for score, size, top, left in sorted(best, reverse=True)[:2]
            if score >= view.rigour.screen
        ]


def light_of(colours: Bytes, rigour: Rigour) -> Floats:
    """What places are looked at by, of (height, width, BGR)."""
    return np.asarray(cv2.transform(colours.astype(np.float32), np.array([rigour.luma], np.float32)))


def _padded(values: NDArray[Any], top: int, left: int, size: int) -> NDArray[Any]:
    """The box with PAD pixels around it; beyond the picture's edge the last pixel is repeated."""
    box = values[max(top - PAD, 0) : top + size + PAD, max(left - PAD, 0) : left + size + PAD]
    before = (max(PAD - top, 0), max(PAD - left, 0))
    side = size + 2 * PAD
    if box.shape[:2] == (side, side):
        return box
    after = (side - box.shape[0] - before[0], side - box.shape[1] - before[1])
    around = ((before[0], after[0]), (before[1], after[1]), (0, 0))
    return np.pad(box, around[: box.ndim], mode="edge")


def _objection(found: Candidate, view: "View") -> str:
    """Why this is not the logo, '' where nothing speaks against it."""
    corner, rigour = view.corner, view.rigour
    evidence, mark = found.evidence, found.template.mark
    if evidence.score < (rigour.searched if found.searched else rigour.score):
        return "faint"
    strength, weight = evidence.strength, evidence.weight
    if rigour.subsampled:
        # Coding with loss takes from the finest steps first, and leaves those of half the resolution as they are.
        grey = _padded(view.grey, found.top, found.left, mark.size)
        strength, weight = found.template.half_strength(grey, 255, rigour.floor / 4)
    if abs(strength - 1) > rigour.tolerance + 3 / weight:
        return "strength"
    # Each direction of each quadrant speaks for itself: a logo is whole and symmetric.
    errors = np.sqrt(np.maximum(evidence.weights, 1e-9))
    if np.any(np.abs(evidence.sectors - 1) > 0.12 + rigour.tolerance + 6 / errors):
        return "sectors"
    box = corner[found.top : found.top + mark.size, found.left : found.left + mark.size]
    under = found.template.white - box.min(2)
    allowed = rigour.below if mark.exact else rigour.below + 3
    if float((under > allowed).mean()) > (0 if rigour is LOSSLESS and mark.exact else 0.02):
        return "too dark"
    right = corner.shape[1] - found.left - mark.size
    stamped = not rigour.subsampled and right == {48: 96, 96: 192}.get(mark.size, right)
    explained = evidence.before - evidence.residue
    if mark.kind == "v2" and not stamped and evidence.score > 60 and explained < rigour.explained:
        # A strong step that is only half explained: a star of another white and another peak.
        return "half explained"
    if mark.kind == "v2":
        grey = _padded(view.grey, found.top, found.left, mark.size)
        fading, weight = found.template.fading(grey, evidence.trust)
        if fading > 1.2 and (fading - 1) * weight > 5:
            return "another white"
    if not _channels_agree(found, view):
        return "colour"
    if evidence.residue > evidence.before - 0.1:
        return "no better"
    return ""


def _channels_agree(found: Candidate, view: "View") -> bool:
    """White lies on every channel alike; on colour it lies by making it paler."""
    rigour = view.rigour
    box = _padded(view.corner, found.top, found.left, found.template.mark.size).astype(np.float32)
    if rigour.subsampled:
        luma = _padded(view.grey, found.top, found.left, found.template.mark.size)
        strengths = [
            found.template.half_strength(box[..., channel] - luma, 0, rigour.floor) for channel in (0, 2)
        ]
        # Coding takes contrast from colour, and never adds any: more than told is another colour or another mark.
        least, most = 0.25, 1.3
    else:
        strengths = [found.template.strength(box[..., channel], found.evidence.trust) for channel in range(3)]
        least, most = 1 - 2 * rigour.tolerance, 1 + 2 * rigour.tolerance
    return all(least - 5 / weight <= strength <= most + 5 / weight for strength, weight in strengths)


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

    def _around(self, top: int, left: int, size: int) -> "tuple[_Field, int, int]":
        """The field of a box and PAD around it, and its place."""
        first, second = max(top - PAD, 0), max(left - PAD, 0)
        part = self.grey[first : top + size + PAD, second : left + size + PAD]
        return _Field(part, self.rigour), first, second


class _Field:
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

    def peaks(self, spectrum: Floats, side: int, energy: float) -> list[tuple[float, int, int]]:
        """The best places in the last rows and columns: score, top, left."""
        height, width = self._seen.shape[1:]
        top, left = max(height - _FIELD, 0), max(width - _FIELD, 0)
        if height - top < side or width - left < side:
            return []
        seen = np.zeros((_FIELD, _FIELD, 2), np.float32)
        seen[: height - top, : width - left, 0] = self._even[0, top:, left:]
        seen[: height - top, : width - left, 1] = self._even[1, top:, left:]
        product = cv2.mulSpectrums(cv2.dft(seen), spectrum, 0, conjB=True)
        sums = cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[..., 0]
        rows, columns = height - top - side + 1, width - left - side + 1
        scores = np.ascontiguousarray(sums[:rows, :columns]) / np.float32(energy**0.5)
        found = []
        for _ in range(_PEAKS):
            _, best, _, (x, y) = cv2.minMaxLoc(scores)
            found.append((best, y + top, x + left))
            scores[max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7] = 0
        return found


def _spectrum(scout: Template) -> Floats:
    """Of the scout's steps as complex numbers (right + i below), at the field's resolution."""
    steps = scout.inner
    if scout.mark.size == 96:
        small = cv2.resize(scout.mark.alpha, (48, 48), interpolation=cv2.INTER_AREA)
        mean, step = pairs(np.asarray(small, np.float32))
        steps = step / (1 - mean)
    field = np.zeros((_FIELD, _FIELD, 2), np.float32)
    side = steps.shape[1]
    field[:side, :side, 0], field[:side, :side, 1] = steps[0], steps[1]
    return np.asarray(cv2.dft(field))
