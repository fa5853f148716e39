"""The goals of the logo's removal beside what is reached: `python -m benchmarks.watermark_goals --seeds 6`.

Made pictures of every kind of content, from seeds that nothing was tuned on, and real ones where some are at hand: those
that installed packages bring, and folders named with `--photos`. What is compared with is the picture before it was
marked and before it was coded. Prints a table; the exit code is 1 where a goal is not met.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks import watermark_samples as samples
from benchmarks.watermark_samples import Bytes, Slot
from watermark import clean_bytes, clean_pixels

HEIGHT, WIDTH = 420, 440
FIRST_SEED = 1000
_ONE_STEP = 4
_SOURCES = {"skimage": "data", "sklearn": "datasets/images", "matplotlib": "mpl-data/sample_data"}
_TIMED = (
    Slot("v1", 96, 64),
    Slot("v1", 48, 32),
    Slot("v2", 96, 192),
    Slot("v2", 36, 70),
    Slot("double", 96, 64),
)
_EXACT = [slot for slot in samples.SLOTS if slot.kind == "v1"]


@dataclass(frozen=True)
class Content:
    """A picture without a logo, of HEIGHT x WIDTH."""

    name: str
    picture: Bytes


@dataclass
class Row:
    """A line of the table. met: None where it is told and not judged."""

    case: str
    goal: str
    measured: str
    n: int
    met: bool | None = None


@dataclass
class Tally:
    """What became of the marked pictures of one case."""

    psnr: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    beyond: list[float] = field(default_factory=list)
    unmarked: list[float] = field(default_factory=list)
    largest: int = 0
    outside: int = 0
    again: int = 0


def contents(seeds: Sequence[int], photos: Sequence[Path] = ()) -> list[Content]:
    made = [
        Content(kind, samples.texture(kind, seed, HEIGHT, WIDTH))
        for kind in samples.TEXTURES
        for seed in seeds
    ]
    return made + [
        Content(path.name, crop) for path in photos for crop in _crops(path, len(seeds), HEIGHT, WIDTH)
    ]


def photographs(folders: Sequence[Path]) -> list[Path]:
    """Picture files of the folders and of installed packages; none are brought along."""
    places = list(folders)
    for package, inside in _SOURCES.items():
        found = importlib.util.find_spec(package)
        if found is not None and found.submodule_search_locations:
            places.append(Path(found.submodule_search_locations[0]) / inside)
    kinds = {".png", ".jpg", ".jpeg"}
    return sorted(path for place in places for path in place.glob("*") if path.suffix in kinds)


def _crops(path: Path, count: int, height: int, width: int) -> Iterator[Bytes]:
    with Image.open(path) as image:
        picture = np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
    scale = max(height / picture.shape[0], width / picture.shape[1])
    if scale > 1:
        size = (round(picture.shape[1] * scale) + 1, round(picture.shape[0] * scale) + 1)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    rng = np.random.default_rng([FIRST_SEED, *path.name.encode()])
    for _ in range(count):
        top = int(rng.integers(0, picture.shape[0] - height + 1))
        left = int(rng.integers(0, picture.shape[1] - width + 1))
        yield picture[top : top + height, left : left + width].copy()


def _box(picture: Bytes, slot: Slot) -> Bytes:
    bottom, right = picture.shape[0] - slot.margin, picture.shape[1] - slot.margin
    return picture[bottom - slot.size : bottom, right - slot.size : right]


def _step(picture: Bytes, slot: Slot) -> float:
    """By how many levels the star's middle is brighter than the ground."""
    peak = {"v1": 0.5, "v2": 0.3, "strong": 0.7, "double": 0.75}[slot.kind]
    return peak * (255 - float(np.median(_box(picture, slot))))


def _bound(clean: Bytes, marked: Bytes, slot: Slot) -> float:
    """dB in the box of whoever knows the star exactly and takes the middle of what each value may have been."""
    a = samples.alpha(slot.kind, slot.size)[..., None]
    box = _box(marked, slot).astype(int)
    count, total, square = (np.zeros(box.shape) for _ in range(3))
    for original in range(256):
        same = np.floor((1 - a) * original + a * 255 + 0.5).astype(int) == box
        count += same
        total += same * original
        square += same * original**2
    guess = np.floor(total / count)
    error = float(np.mean(square / count - 2 * guess * total / count + guess**2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def _lossless(of: Sequence[Content], slots: Sequence[Slot], star: samples.Floats | None = None) -> Tally:
    tally = Tally()
    for number, content in enumerate(of):
        for slot in slots:
            margin = (slot.margin, slot.margin)
            marked = samples.stamp(content.picture, slot.kind, slot.size, margin, number % 2 == 0, star)
            result = clean_pixels(marked)
            if _step(content.picture, slot) < _ONE_STEP:
                continue
            tally.found.append(result.verdict.found)
            if not result.verdict.found:
                continue
            tally.psnr.append(samples.box_psnr(content.picture, result.pixels, slot.size, margin))
            if slot.kind == "v1":
                tally.beyond.append(tally.psnr[-1] - _bound(content.picture, marked, slot))
            error = np.abs(_box(result.pixels, slot).astype(int) - _box(content.picture, slot))
            tally.largest = max(tally.largest, int(error.max()))
            changed = result.pixels != marked
            _box(changed.view(np.uint8), slot)[:] = 0
            tally.outside += int(changed.sum())
            tally.again += clean_pixels(result.pixels).pixels is not result.pixels
    return tally


def _lossy(of: Sequence[Content], format: str, **options: Any) -> Tally:
    tally = Tally()
    for content in of:
        coded = samples.decode(samples.encode(content.picture, format, **options))
        for slot in _EXACT:
            if _step(content.picture, slot) < _ONE_STEP:
                continue
            margin = (slot.margin, slot.margin)
            data = samples.encode(
                samples.stamp(content.picture, slot.kind, slot.size, margin), format, **options
            )
            result = clean_bytes(data)
            tally.found.append(result.verdict.found)
            if result.verdict.found:
                pixels = samples.decode(result.data)
                tally.psnr.append(samples.box_psnr(content.picture, pixels, slot.size, margin))
                tally.unmarked.append(samples.box_psnr(content.picture, coded, slot.size, margin))
                tally.again += clean_bytes(result.data).data is not result.data
                shift = np.abs(pixels.astype(int) - samples.decode(data))
                # The box and the blocks that it touches.
                shift[-slot.margin - slot.size - 16 :, -slot.margin - slot.size - 16 :] = 0
                tally.beyond.append(float((shift > 2).mean()))
                tally.largest = max(tally.largest, int(shift.max()))
    return tally


def _share(found: Sequence[bool]) -> float:
    return sum(found) / max(len(found), 1)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else 0.0


def table(of: Sequence[Content], negatives: Sequence[tuple[str, Bytes]]) -> list[Row]:
    """Every goal but those of time."""
    rows = []
    outside = again = 0
    tally = _lossless(of, _EXACT)
    outside, again = outside + tally.outside, again + tally.again
    share, gap, decibels = _share(tally.found), _median(tally.beyond), _median(tally.psnr)
    rows.append(
        Row(
            "lossless V1",
            "within 0.3 dB of the bound, error 1, found 99 %",
            f"{decibels:.1f} dB, {gap:+.1f} of the bound, error {tally.largest}, found {share:.1%}",
            len(tally.found),
            gap >= -0.3 and tally.largest <= 1 and share >= 0.99,
        )
    )
    for name, goal, chosen in (
        ("strong", 51, [slot for slot in samples.SLOTS if slot.kind == "strong"]),
        ("double", 48, [slot for slot in samples.SLOTS if slot.kind == "double"]),
        ("V2 48 px", 56, [Slot("v2", 48, 96)]),
        ("V2 36 px", 50, [Slot("v2", 36, 70)]),
        ("V2 96 px", 48, [Slot("v2", 96, 192)]),
    ):
        tally = _lossless(of, chosen)
        outside, again = outside + tally.outside, again + tally.again
        reached, share = _median(tally.psnr), _share(tally.found)
        rows.append(
            Row(name, f"{goal} dB", f"{reached:.1f} dB, found {share:.1%}", len(tally.found), reached >= goal)
        )
    for name, (slot, star) in samples.renditions().items():
        tally = _lossless(of, [slot], star)
        outside, again = outside + tally.outside, again + tally.again
        reached, share = _median(tally.psnr), _share(tally.found)
        rows.append(
            Row(
                f"V2 rendition: {name}",
                "48 dB, found 90 %",
                f"{reached:.1f} dB, found {share:.1%}",
                len(tally.found),
                reached >= 48 and share >= 0.9,
            )
        )
    for format, quality, goal in (("JPEG", 95, 38), ("JPEG", 85, 36), ("WEBP", 90, 36)):
        tally = _lossy(of, format, quality=quality)
        again += tally.again
        reached, share = _median(tally.psnr), _share(tally.found)
        rows.append(
            Row(
                f"{format} {quality}",
                f"{goal} dB, found 95 %",
                f"{reached:.1f} dB (coded without a logo: {_median(tally.unmarked):.1f}), found {share:.1%}",
                len(tally.found),
                reached >= goal and share >= 0.95,
            )
        )
        rows.append(
            Row(
                f"{format} {quality}, outside",
                "as it was",
                f"{np.mean(tally.beyond):.3%} of values moved by more than 2 levels, the farthest by {tally.largest}",
                len(tally.beyond),
            )
        )
    rows += [_cropped(of), _scaled(of), _negatives(negatives)]
    rows.append(
        Row("outside the box, lossless", "nothing", f"{outside} values changed", len(of), outside == 0)
    )
    rows.append(Row("a second run", "changes nothing", f"{again} changed", len(of), again == 0))
    return rows


def _cropped(of: Sequence[Content]) -> Row:
    reached, found = [], []
    for number, content in enumerate(of):
        for slot in _EXACT:
            if _step(content.picture, slot) < _ONE_STEP:
                continue
            rng = np.random.default_rng([number, slot.size])
            right, below = (int(value) for value in rng.integers(0, slot.margin, 2))
            kept = (slice(0, HEIGHT - below), slice(0, WIDTH - right))
            marked = samples.stamp(content.picture, slot.kind, slot.size, (slot.margin,) * 2)[kept]
            margin = (slot.margin - right, slot.margin - below)
            result = clean_pixels(marked)
            found.append(result.verdict.found)
            if found[-1]:
                reached.append(samples.box_psnr(content.picture[kept], result.pixels, slot.size, margin))
    measured = f"{_median(reached):.1f} dB, found {_share(found):.1%}"
    return Row("cropped", "53 dB", measured, len(found), _median(reached) >= 53)


def _scaled(of: Sequence[Content]) -> Row:
    changed, worst, n = 0, 99.0, 0
    for number, content in enumerate(of):
        slot = _EXACT[number % 2]
        marked = samples.stamp(content.picture, slot.kind, slot.size, (slot.margin,) * 2)
        for factor in (0.5, 0.75, 1.25):
            small, truth = (
                np.asarray(cv2.resize(p, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
                for p in (marked, content.picture)
            )
            result = clean_pixels(small)
            n += 1
            if result.pixels is not small:
                changed += 1
                margin = round(slot.margin * factor)
                worst = min(
                    worst, samples.box_psnr(truth, result.pixels, round(slot.size * factor), (margin,) * 2)
                )
    measured = f"{changed} changed" + (f", the worst {worst:.1f} dB" if changed else "")
    return Row("scaled", "unchanged or 30 dB", measured, n, worst >= 30)


def _negatives(pictures: Sequence[tuple[str, Bytes]]) -> Row:
    damaged = []
    for name, picture in pictures:
        if clean_pixels(picture).pixels is not picture:
            damaged.append(f"{name}, pixels")
        for format, options in (
            ("JPEG", {"quality": 95}),
            ("JPEG", {"quality": 80}),
            ("WEBP", {"quality": 85}),
        ):
            data = samples.encode(picture, format, **options)
            if clean_bytes(data).data is not data:
                damaged.append(f"{name}, {format} {options['quality']}")
    measured = f"{len(damaged)} changed" + "".join(f"; {name}" for name in damaged[:5])
    return Row("negatives", "not one changed", measured, 4 * len(pictures), not damaged)


def strangers(photos: Sequence[Path], count: int) -> Iterator[tuple[str, Bytes]]:
    """Real pictures as they are, and one of each with every star that is not the logo."""
    for path in photos:
        for number, crop in enumerate(_crops(path, count, HEIGHT, WIDTH)):
            yield path.name, crop
            if number == 0:
                yield from samples.strangers(crop, 96, 64, np.random.default_rng(number))


def times() -> Iterator[Row]:
    """The work alone on marked and on plain pictures of three sizes, and a large file from bytes to bytes."""
    from watermark.clean import formula_cleaner  # noqa: PLC0415
    from watermark.coding import even  # noqa: PLC0415

    patch = formula_cleaner().patch
    for side in (1024, 2048, 4096):
        plain = samples.texture("fractal", FIRST_SEED, side, side)
        marked = {slot: samples.stamp(plain, slot.kind, slot.size, (slot.margin,) * 2) for slot in _TIMED}
        for slot, picture in marked.items():
            spent = _least(lambda picture=picture: patch(picture), 30)  # type: ignore[misc]
            name = f"find and invert, {side} px, {slot.kind} {slot.size} px"
            yield Row(name, "5 ms", f"{spent * 1000:.1f} ms", 30, spent <= 0.005)
        spent = _least(lambda plain=plain: patch(plain), 30)  # type: ignore[misc]
        yield Row(f"find nothing, {side} px", "5 ms", f"{spent * 1000:.1f} ms", 30, spent <= 0.005)
    coded = samples.decode(samples.encode(marked[_TIMED[0]], "JPEG", quality=90))
    spent = _least(lambda: patch(coded, even()), 30)
    yield Row("the same with loss, with smoothing", "", f"{spent * 1000:.1f} ms", 30)
    for format, options in (("PNG", {"compress_level": 6}), ("JPEG", {"quality": 90})):
        data = samples.encode(marked[_TIMED[0]], format, **options)
        spent = _least(lambda data=data: clean_bytes(data), 3)  # type: ignore[misc]
        goal = "1.0 s" if format == "PNG" else ""
        yield Row(
            f"4096 px {format}, bytes to bytes", goal, f"{spent:.2f} s", 3, spent <= 1 if goal else None
        )


def _least(work: Callable[[], object], times: int) -> float:
    """Seconds of the processor's time (all threads), the least of several runs: others may be at work on the machine."""
    best = float("inf")
    for _ in range(times):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4, help="how many seeds for each kind of content")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="the first seed")
    parser.add_argument("--photos", type=Path, action="append", default=[], help="a folder of real pictures")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    seeds = range(given.first, given.first + given.seeds)
    photos = photographs(given.photos)
    negatives = [*samples.negatives(seeds), *strangers(photos, given.seeds)]
    rows = [*table(contents(seeds, photos), negatives), *times()]
    print(f"{len(seeds)} seeds from {given.first}, {len(photos)} real pictures\n")
    print("| case | goal | measured | n | met |\n|---|---|---|---|---|")
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row.met]
        print(f"| {row.case} | {row.goal} | {row.measured} | {row.n} | {met} |")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
