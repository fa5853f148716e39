"""Where the logo is, decided by the picture's content.

A mark predicts, from the marked values alone, by how much each pair of neighbours differs because of it. What is seen is
compared with that: `strength` is 1 for the logo and about 0 where there is none, `score` says by how many deviations of the
texture around it stands out. The places where the app stamps are screened first; then, for cropped pictures, every place
of the corner. What remains must pass all tests of `_objection`, or nothing was found.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.family import Family
from watermark.star import Floats
from watermark.template import PAD, Evidence, Template, halved, pairs
from watermark.view import FIELD, LOSSLESS, Field, View, padded

Bytes = NDArray[np.uint8]

_SEEN = FIELD + PAD
_SLOTS = {48: (32, 96), 96: (64, 192)}
_FITTED = 0.1
# So much must stand out that its very shape can be told.
_FITTED_SCORE = 20.0
# Share of the star's pixels that may be pure white.
_WHITE = 0.9
# By how much the steps at the star's edge may exceed those around it after removal, as logarithms of variances: no made or
# real picture with a logo reached 2.0 (36 px: 2.5).
_OUTLINE, _OUTLINE_SMALL = 2.1, 2.6
# Of previews, 192 pixels scaled with the picture: known only about.
_PREVIEW_MARGINS = range(60, 81)


@dataclass(frozen=True)
class Candidate:
    """A mark at (top, left) of the corner, and why it was not taken ('' where it was)."""

    template: Template
    top: int
    left: int
    evidence: Evidence
    searched: bool
    objection: str = ""
    fitted: bool = False

    @property
    def rank(self) -> float:
        """The least is taken; what was fitted was, since nothing that is known explains the picture as well."""
        return self.evidence.residue - (_FITTED if self.fitted else 0)


class Finder:
    """Looks for marks; made once, since the templates cost more than a search."""

    def __init__(self, templates: tuple[Template, ...], families: Mapping[int, Family]) -> None:
        self._families = families
        self._by_size = {
            size: tuple(t for t in templates if t.mark.size == size)
            for size in sorted({t.mark.size for t in templates})
        }
        self._scouts = {size: group[0] for size, group in self._by_size.items()}
        self._spectra = {size: _spectrum(t) for size, t in self._scouts.items()}

    def candidates(self, view: View) -> Iterator[Candidate]:
        """Examined hypotheses."""
        yield from self._at_slots(view)
        yield from self._anywhere(view)

    def find(self, view: View) -> tuple[Candidate | None, bool]:
        """The mark that passed every test, and whether something came near to one."""
        near = False
        for candidates in (self._at_slots(view), self._anywhere(view)):
            best: Candidate | None = None
            for candidate in candidates:
                near = near or abs(candidate.evidence.strength - 1) < 0.5
                if not candidate.objection and (best is None or candidate.rank < best.rank):
                    best = candidate
            if best is not None:
                return best, near
        return None, near

    def remains(self, view: View, found: Candidate, light: Floats) -> bool:
        """Whether the candidate's place, with this light in it, still looks marked or has turned dark."""
        after = padded(view.grey, found.top, found.left, found.template.mark.size).copy()
        after[PAD:-PAD, PAD:-PAD] = light
        evidence = found.template.weigh(after, view.rigour.floor)
        most = 0.4 if view.rigour.subsampled else 0.1 + view.rigour.tolerance
        return abs(evidence.strength) > most and abs(evidence.score) > view.rigour.score / 2

    def _at_slots(self, view: View) -> Iterator[Candidate]:
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

    def _anywhere(self, view: View) -> Iterator[Candidate]:
        """Where a crop may have moved it."""
        height, width = view.grey.shape
        for size, top, left in self._search(view):
            margin = height - top - size
            expected = size == 36 and margin == width - left - size and margin in _PREVIEW_MARGINS
            yield from self._examine(view, size, top, left, searched=not expected)

    def _examine(self, view: View, size: int, top: int, left: int, searched: bool) -> Iterator[Candidate]:
        group = self._by_size[size]
        box = padded(view.grey, top, left, size)
        first = group[0].weigh(box, view.rigour.floor)
        near_v2 = False
        for template in group:
            if not 0.6 < first.strength / template.scouted < 1.67:
                continue
            evidence = first if template is group[0] else template.weigh(box, view.rigour.floor)
            found = Candidate(template, top, left, evidence, searched)
            yield replace(found, objection=_objection(found, view))
            near_v2 = near_v2 or (template.mark.kind == "v2" and evidence.score >= view.rigour.score)
        # Coding with loss softens steps: what would be fitted there is the coding.
        fits = near_v2 and not view.rigour.subsampled
        mark = self._families[size].fit(box, view.rigour.floor) if fits else None
        if mark is not None:
            template = Template(mark)
            found = Candidate(
                template, top, left, template.weigh(box, view.rigour.floor), searched, fitted=True
            )
            yield replace(found, objection=_objection(found, view))

    def _search(self, view: View) -> list[tuple[int, int, int]]:
        """(size, top, left) of the places that look most like a logo, best first."""
        places = []
        height, width = view.grey.shape
        fields: dict[int, Field] = {}
        for size, spectrum in self._spectra.items():
            scale = 2 if size == 96 else 1
            # At half the resolution pairs are counted from the last pixel on, so that they are those of the corner.
            at = (height % 2, width % 2) if scale == 2 else (max(height - _SEEN, 0), max(width - _SEEN, 0))
            if min(height, width) // scale < size // scale:
                continue
            if scale not in fields:
                part = view.grey[at[0] :, at[1] :]
                fields[scale] = Field(halved(part) if scale == 2 else part, view.rigour)
            field = fields[scale]
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


def _objection(found: Candidate, view: View) -> str:
    """Why this is not the logo, '' where nothing speaks against it."""
    corner, rigour = view.corner, view.rigour
    evidence, mark = found.evidence, found.template.mark
    least = _FITTED_SCORE if found.fitted else rigour.searched if found.searched else rigour.score
    if evidence.score < least:
        return "faint"
    strength, weight = evidence.strength, evidence.weight
    if rigour.subsampled:
        # Coding with loss takes from the finest steps first, and leaves those of half the resolution as they are.
        grey = padded(view.grey, found.top, found.left, mark.size)
        strength, weight = found.template.half_strength(grey, 255, rigour.floor / 4)
    # What was fitted to the picture has its strength; another shows that it is no star of this kind.
    tolerance, doubt = (rigour.tolerance / 2, 1) if found.fitted else (rigour.tolerance, 3)
    if abs(strength - 1) > tolerance + doubt / weight:
        return "strength"
    # Each direction of each quadrant speaks for itself: a logo is whole and symmetric.
    errors = np.sqrt(np.maximum(evidence.weights, 1e-9))
    if np.any(np.abs(evidence.sectors - 1) > 0.12 + tolerance + 6 / errors):
        return "sectors"
    box = corner[found.top : found.top + mark.size, found.left : found.left + mark.size]
    if (
        float((box.min(2) >= (254 if rigour is LOSSLESS else 248))[mark.alpha > mark.alpha.max() / 2].mean())
        > _WHITE
    ):
        # On white there is no logo to see: this is a shape of pure white.
        return "white"
    if found.fitted and found.searched:
        # Without a place of the app's and without a star that is known nothing is left to go by.
        return "unknown star"
    under = found.template.white - box.min(2)
    allowed = rigour.below if mark.exact else rigour.below + 3
    if float((under > allowed).mean()) > (0 if rigour is LOSSLESS and mark.exact else 0.02):
        return "too dark"
    right = corner.shape[1] - found.left - mark.size
    stamped = right == {48: 96, 96: 192}.get(mark.size, right)
    if rigour.subsampled:
        stamped = stamped and mark.size != 36 and abs(strength - 1) <= 0.03 + 1 / weight
    explained = evidence.before - evidence.residue
    if mark.kind == "v2" and not stamped and evidence.score > 60 and explained < rigour.explained:
        # A strong step that is only half explained: a star of another white and another peak.
        return "half explained"
    if mark.kind == "v2":
        grey = padded(view.grey, found.top, found.left, mark.size)
        fading, weight = found.template.fading(grey, evidence.trust, found.fitted)
        if fading > 1.2 and (fading - 1) * weight > 5:
            return "another white"
    left, rough = evidence.outline()
    most = _OUTLINE_SMALL if mark.size == 36 else _OUTLINE
    # Coding with loss leaves an outline of its own.
    if not rigour.subsampled and (left > most or (evidence.score < 30 and rough > 0.5)):
        # The place must look like what is around it once the logo is off; here an outline of another shape is left.
        return "another outline"
    if not _channels_agree(found, view):
        return "colour"
    if evidence.residue > evidence.before - 0.1:
        return "no better"
    return ""


def _channels_agree(found: Candidate, view: View) -> bool:
    """White lies on every channel alike; on colour it lies by making it paler."""
    rigour = view.rigour
    box = padded(view.corner, found.top, found.left, found.template.mark.size).astype(np.float32)
    if rigour.subsampled:
        luma = padded(view.grey, found.top, found.left, found.template.mark.size)
        strengths = [
            found.template.half_strength(box[..., channel] - luma, 0, rigour.floor) for channel in (0, 2)
        ]
        # Coding takes contrast from colour, and never adds any: more than told is another colour or another mark.
        least, most = 0.25, 1.3
    else:
        strengths = [found.template.strength(box[..., channel], found.evidence.trust) for channel in range(3)]
        least, most = 1 - 2 * rigour.tolerance, 1 + 2 * rigour.tolerance
    return all(least - 5 / weight <= strength <= most + 5 / weight for strength, weight in strengths)


def _spectrum(scout: Template) -> Floats:
    """Of the scout's steps as complex numbers (right + i below), at the field's resolution."""
    steps = scout.inner
    if scout.mark.size == 96:
        small = cv2.resize(scout.mark.alpha, (48, 48), interpolation=cv2.INTER_AREA)
        mean, step = pairs(np.asarray(small, np.float32))
        steps = step / (1 - mean)
    field = np.zeros((FIELD, FIELD, 2), np.float32)
    side = steps.shape[1]
    field[:side, :side, 0], field[:side, :side, 1] = steps[0], steps[1]
    return np.asarray(cv2.dft(field))
