"""Pixels in, pixels out: what is found, how well it is undone, and what is never touched."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from benchmarks import watermark_samples as samples
from watermark import clean_pixels
from watermark.star import Stars, coverage

GOAL = {("v1", 48): 53.5, ("v1", 96): 53.5, ("strong", 48): 49, ("strong", 96): 49}


@pytest.mark.parametrize("slot", samples.SLOTS, ids=str)
@pytest.mark.parametrize("texture", samples.TEXTURES)
@pytest.mark.parametrize("half_up", [True, False])
def test_every_stamp_is_found_and_undone(slot: samples.Slot, texture: str, half_up: bool) -> None:
    """Each kind at each of its places on each ground: found as what it is, undone, nothing else touched, once."""
    clean = samples.texture(texture, 11, 420, 440)
    margin = (slot.margin, slot.margin)
    marked = samples.stamp(clean, slot.kind, slot.size, margin, half_up)
    before = marked.copy()
    result = clean_pixels(marked)
    assert (result.verdict.kind, result.verdict.size) == (slot.kind, slot.size)
    assert (result.verdict.right, result.verdict.bottom) == margin
    assert np.array_equal(marked, before)
    outside = np.ones(marked.shape[:2], bool)
    top = 420 - slot.margin - slot.size
    left = 440 - slot.margin - slot.size
    outside[top : top + slot.size, left : left + slot.size] = samples.alpha(slot.kind, slot.size) <= 0
    assert np.array_equal(result.pixels[outside], marked[outside])
    assert clean_pixels(result.pixels).pixels is result.pixels
    error = np.abs(result.pixels.astype(int) - clean).max()
    assert error <= {"v1": 1, "v2": 1, "strong": 2, "double": 6}[slot.kind]


def shape(kind: str, size: int) -> NDArray[np.float64]:
    """Coverage of a white shape that is not the logo, 0 to 1."""
    grid = (np.arange(size * 4) - (size * 4 - 1) / 2) / (size * 2)
    x, y = np.abs(grid[None, :]), np.abs(grid[:, None])
    inside = {
        "diamond": x + y <= 1,
        "astroid": x ** (2 / 3) + y ** (2 / 3) <= 1,
        "circle": x * x + y * y <= 1,
    }[kind]
    return inside.reshape(size, 4, size, 4).mean((1, 3))


@pytest.mark.parametrize("texture", samples.TEXTURES)
@pytest.mark.parametrize(("size", "margin"), [(36, 70), (48, 32), (48, 96), (96, 64)])
@pytest.mark.parametrize("kind", ["diamond", "astroid", "circle"])
@pytest.mark.parametrize("opacity", [0.7, 1.0])
def test_other_white_shapes_in_the_logo_s_place_stay(
    texture: str, size: int, margin: int, kind: str, opacity: float
) -> None:
    """An opaque one hides what is under it, another leaves an outline of its own: not one pixel is changed."""
    picture = samples.texture(texture, 12, 300, 310)
    box = picture[300 - margin - size : 300 - margin, 310 - margin - size : 310 - margin]
    cover = opacity * shape(kind, size)[..., None]
    box[:] = np.floor((1 - cover) * box + cover * 255 + 0.5)
    result = clean_pixels(picture)
    assert result.pixels is picture, result.verdict


@pytest.mark.parametrize(("kind", "goal"), [("v1", 55.0), ("strong", 51.0), ("double", 48.0), ("v2", 56.0)])
def test_the_goals_of_quality_are_met(kind: str, goal: float) -> None:
    """The median over all grounds and places reaches the goal of its kind."""
    reached = []
    for slot in samples.SLOTS:
        for texture in samples.TEXTURES if slot.kind == kind else ():
            clean = samples.texture(texture, 12, 420, 440)
            margin = (slot.margin, slot.margin)
            pixels = clean_pixels(samples.stamp(clean, kind, slot.size, margin)).pixels
            reached.append(samples.box_psnr(clean, pixels, slot.size, margin))
    assert float(np.median(reached)) >= goal


@pytest.mark.parametrize("name", samples.renditions())
def test_renditions_of_v2_that_nobody_has_seen_are_undone(name: str) -> None:
    """Crisp or soft, enlarged or reduced, a little stronger or fainter: found, undone at 44 dB and more, once."""
    slot, star = samples.renditions()[name]
    margin = (slot.margin, slot.margin)
    for texture in ("fractal", "smooth", "dark", "edges"):
        clean = samples.texture(texture, 16, 420, 440)
        result = clean_pixels(samples.stamp(clean, "v2", slot.size, margin, star=star))
        assert (result.verdict.kind, result.verdict.size) == ("v2", slot.size), texture
        assert samples.box_psnr(clean, result.pixels, slot.size, margin) >= 44, texture
        assert clean_pixels(result.pixels).pixels is result.pixels


@pytest.mark.parametrize("size", [48, 96])
@pytest.mark.parametrize("cut", [(1, 0), (0, 13), (29, 31), (17, 5)])
def test_a_cropped_picture_is_searched(size: int, cut: tuple[int, int]) -> None:
    """A crop moves the logo; it is found where it is."""
    slot = {48: 32, 96: 64}[size]
    clean = samples.texture("fractal", 13, 420, 440)
    marked = samples.stamp(clean, "v1", size, (slot, slot))[: 420 - cut[1], : 440 - cut[0]]
    margin = (slot - cut[0], slot - cut[1])
    result = clean_pixels(marked)
    assert (result.verdict.right, result.verdict.bottom) == margin
    assert samples.box_psnr(clean[: 420 - cut[1], : 440 - cut[0]], result.pixels, size, margin) >= 53


def test_a_step_of_four_levels_is_enough() -> None:
    """On ground so bright that the star is four levels brighter, at least 99 of 100 are found."""
    found = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        clean = np.clip(np.rint(247 + rng.normal(0, 0.8, (200, 210, 3))), 0, 255).astype(np.uint8)
        for size, margin in ((48, 32), (96, 64)):
            found += clean_pixels(samples.stamp(clean, "v1", size, (margin, margin))).verdict.found
    assert found >= 99


def test_nothing_is_touched_where_there_is_no_logo() -> None:
    """Clean pictures, white corners and stars that are not the logo come back as the very same array."""
    damaged = [
        (name, result.verdict)
        for name, picture in samples.negatives(range(20, 22))
        if (result := clean_pixels(picture)).pixels is not picture
    ]
    assert damaged == []


def test_coded_pictures_without_logo_are_left_alone() -> None:
    """What JPEG's blocks look like is no logo either."""
    for name, picture in samples.negatives(range(23, 24)):
        coded = samples.decode(samples.encode(picture, "JPEG", quality=80))
        for lossy in (False, True):
            assert clean_pixels(coded, lossy=lossy).pixels is coded, (name, lossy)


def test_scaled_pictures_are_left_alone_or_bettered() -> None:
    """A scaled logo is not the logo that is known: the picture comes back as it is, or at 30 dB and more."""
    import cv2

    clean = samples.texture("fractal", 14, 600, 640)
    marked = samples.stamp(clean, "v1", 96, (64, 64))
    for factor in (0.5, 0.75, 0.9, 1.1):
        small = np.asarray(cv2.resize(marked, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        truth = np.asarray(cv2.resize(clean, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        result = clean_pixels(small)
        box = samples.box_psnr(truth, result.pixels, round(96 * factor), (round(64 * factor),) * 2)
        assert result.pixels is small or box >= 30


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60), st.just(3))))
def test_any_small_array_comes_back(pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    """Any size down to 1x1, any values: an answer, and no change."""
    assert clean_pixels(pixels).pixels is pixels


def test_other_arrays_are_refused_by_name() -> None:
    """The message says what is wrong with the array and what to do."""
    with pytest.raises(TypeError, match="8 bits"):
        clean_pixels(np.zeros((60, 60, 3), np.uint16))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="BGR"):
        clean_pixels(np.zeros((60, 60, 4), np.uint8))


def test_the_star_is_symmetric_and_in_sixteenths() -> None:
    """The formula's map has the symmetry and the steps of the true one."""
    for size in (48, 96):
        star = coverage(size)
        assert np.array_equal(star, np.rot90(star))
        assert np.array_equal(star * 16, np.rint(star * 16))
        assert 0.34 < star.mean() < 0.37


def test_calibrated_stars_replace_the_formula() -> None:
    """A map that was given is the one that is undone."""
    other = np.asarray(np.clip(coverage(48) + (coverage(48) > 0) / 16, 0, 1), np.float32)
    clean = samples.texture("smooth", 15, 300, 300)
    box = clean[220:268, 220:268]
    marked = clean.copy()
    marked[220:268, 220:268] = np.floor((1 - other[..., None] / 2) * box + other[..., None] * 127.5 + 0.5)
    result = clean_pixels(marked, Stars({48: other}))
    assert result.verdict.found
    assert np.abs(result.pixels.astype(int) - clean).max() <= 1
