"""Pictures with and without the logo, made from seeds: what the goals of the logo's removal are measured on.

The stamping here is the plain model `round((1-a)*original + a*255)`, written apart from the package that undoes it;
only the star's outline is shared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from watermark.star import Outline, Stars, coverage

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
TEXTURES = ("fractal", "smooth", "edges", "flat", "bright", "dark", "grainy", "text", "colour")


@dataclass(frozen=True)
class Slot:
    kind: str
    size: int
    margin: int


def texture(kind: str, seed: int, height: int, width: int) -> Bytes:
    """A picture (BGR) that has no logo."""
    rng = np.random.default_rng([seed, TEXTURES.index(kind)])
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    if kind == "flat":
        return np.full((height, width, 3), rng.integers(0, 243, 3), np.uint8)
    if kind == "text":
        page = np.full((height, width, 3), rng.integers(190, 240, 3), np.uint8)
        for top in range(12, height + 12, 19):
            words = "".join(rng.choice(list("abcdefgh ijklm nop XYZ"), width // 7))
            cv2.putText(
                page,
                words,
                (3, top),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.5,
                rng.integers(0, 90, 3).tolist(),
                1,
                cv2.LINE_AA,
            )
        return page
    slope = rng.normal(0, 0.12, (2, 3))
    base = rng.uniform(60, 190, 3) + x[..., None] * slope[0] + y[..., None] * slope[1]
    if kind == "smooth":
        return _bytes(base)
    if kind == "bright":
        return _bytes(np.clip(np.full(3, 238.0) + _noise(rng, height, width, 1.6)[..., None] * 5, 0, 246))
    if kind == "dark":
        return _bytes(
            12 + _noise(rng, height, width, 1.4)[..., None] * 9 + rng.normal(0, 1, (height, width, 3))
        )
    if kind == "edges":
        picture = _bytes(base)
        for _ in range(40):
            points = rng.integers(-40, [width + 40, height + 40], (4, 2)).astype(np.int32)
            cv2.fillPoly(picture, [points], rng.integers(0, 250, 3).tolist(), cv2.LINE_AA)
        return picture
    shade = _noise(rng, height, width, 1.5)[..., None] * rng.uniform(15, 40)
    if kind == "grainy":
        return _bytes(base + shade + rng.normal(0, 6, (height, width, 3)))
    if kind == "colour":
        tint = np.stack([_noise(rng, height, width, 1.8) for _ in range(3)], -1) * 45
        return _bytes(base + tint)
    return _bytes(base + shade + rng.normal(0, 1.2, (height, width, 3)))


def _noise(rng: np.random.Generator, height: int, width: int, power: float) -> Floats:
    """Noise with a 1/f**power amplitude, of mean 0 and deviation 1."""
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    radius = np.maximum(np.hypot(fy, fx), 1 / max(height, width))
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / radius**power, (height, width))
    return np.asarray((field - field.mean()) / field.std())


def _bytes(values: Floats) -> Bytes:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def soft(size: int) -> Floats:
    """The soft V2 star."""
    star = next(m for m in Stars().marks if m.size == 96 and not m.exact).alpha.astype(np.float64)
    return star if size == 96 else np.asarray(cv2.resize(star, (size, size), interpolation=cv2.INTER_AREA))


def renditions() -> dict[str, tuple[Slot, Floats]]:
    """Maps of V2 that may be the true ones, since no file of it was at hand; the shapes were not used in the making of
    the family that is fitted, but for the crisp ones."""
    outline = Outline(62.1, 62.04, 2.13, 48.4)

    def enlarged(peak: float, blur: float, amount: float, most: float = 9) -> Floats:
        soft = cv2.GaussianBlur(coverage(96, outline, pad=8).astype(np.float64), (0, 0), blur)
        star = soft + amount * (soft - cv2.GaussianBlur(soft, (0, 0), 2.24))
        return np.asarray(np.clip(star, 0, most)[8:-8, 8:-8] * peak)

    def resized(star: Floats, size: int, filter: int) -> Floats:
        around = np.pad(star, 8)
        side = len(around) * size // len(star)
        edge = (side - size) // 2
        whole = cv2.resize(around, (side, side), interpolation=filter)
        return np.asarray(np.maximum(whole, 0)[edge : edge + size, edge : edge + size])

    small, large = coverage(48).astype(np.float64), coverage(96).astype(np.float64)
    clipped = enlarged(76.1 / 255, 1.16, 0.51, 1)
    maps = {
        "96, clipped": clipped,
        "96, crisp, peak 0.3": large * 0.3,
        "96, crisp, peak 77/255": large * 77 / 255,
        "96, enlarged (cubic)": resized(small * 0.3, 96, cv2.INTER_CUBIC),
        "96, enlarged (Lanczos)": resized(small * 0.3, 96, cv2.INTER_LANCZOS4),
        "96, peak 0.285, blur 1.4": enlarged(0.285, 1.4, 0.51),
        "96, peak 0.325, blur 0.8": enlarged(0.325, 0.8, 0.51),
        "48, peak 77/255": small * 77 / 255,
        "48, reduced": resized(large * 0.3, 48, cv2.INTER_AREA),
        "48, clipped, reduced": resized(clipped, 48, cv2.INTER_AREA),
        "48, peak 0.285": small * 0.285,
        "36, crisp, peak 0.3": coverage(36) * 0.3,
        "36, clipped, reduced": resized(clipped, 36, cv2.INTER_AREA),
        "36, reduced (cubic)": resized(small * 0.3, 36, cv2.INTER_CUBIC),
        "36, peak 0.325, blur 1.4": resized(enlarged(0.325, 1.4, 0.51), 36, cv2.INTER_AREA),
    }
    margins = {96: 192, 48: 96, 36: 70}
    return {name: (Slot("v2", len(a), margins[len(a)]), a.astype(np.float64)) for name, a in maps.items()}


def alpha(kind: str, size: int) -> Floats:
    """kind: v1, strong, double (one of its two stamps), v2 (sharp at 48 px, soft else)."""
    if kind == "v2" and size != 48:
        return soft(size)
    return coverage(size).astype(np.float64) * {"v1": 0.5, "double": 0.5, "strong": 0.7, "v2": 0.3}[kind]


def stamp(
    picture: Bytes,
    kind: str,
    size: int,
    margin: tuple[int, int],
    half_up: bool = True,
    star: Floats | None = None,
) -> Bytes:
    """margin: from the right, from the bottom. half_up: how halves are rounded; else to even. star: another map."""
    a = (alpha(kind, size) if star is None else star)[..., None]
    marked = picture.copy()
    top, left = picture.shape[0] - margin[1] - size, picture.shape[1] - margin[0] - size
    for _ in range(2 if kind == "double" else 1):
        box = marked[top : top + size, left : left + size]
        value = (1 - a) * box + a * 255
        box[:] = np.floor(value + 0.5) if half_up else np.rint(value)
    return marked


def encode(picture: Bytes, format: str, **options: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(picture[..., ::-1]).save(out, format, **options)
    return out.getvalue()


def decode(data: bytes) -> Bytes:
    return np.ascontiguousarray(np.asarray(Image.open(BytesIO(data)).convert("RGB"))[..., ::-1])


def box_psnr(original: Bytes, cleaned: Bytes, size: int, margin: tuple[int, int]) -> float:
    """dB in the logo's box; 99 where they are equal."""
    rows = slice(original.shape[0] - margin[1] - size, original.shape[0] - margin[1])
    columns = slice(original.shape[1] - margin[0] - size, original.shape[1] - margin[0])
    error = np.mean((original[rows, columns].astype(float) - cleaned[rows, columns]) ** 2)
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


SLOTS = (
    *(
        Slot(kind, size, margin)
        for kind in ("v1", "strong", "double")
        for size, margin in ((48, 32), (96, 64))
    ),
    Slot("v2", 48, 96),
    Slot("v2", 36, 70),
    Slot("v2", 96, 192),
)


def negatives(seeds: range, height: int = 400, width: int = 420) -> Iterator[tuple[str, Bytes]]:
    """Pictures that must come back as they are: nothing in them, or stars that are not the logo."""
    for seed in seeds:
        rng = np.random.default_rng([seed, 77])
        for kind in TEXTURES:
            yield kind, texture(kind, seed, height, width)
        for name, value in (("white", 255), ("black", 0), ("near white", 254)):
            yield name, np.full((height, width, 3), value, np.uint8)
        for kind in ("fractal", "smooth", "flat", "dark"):
            clean = texture(kind, seed, height, width)
            corner = clean.copy()
            corner[-200:, -200:] = 255
            yield f"white corner on {kind}", corner
            for size, margin in ((48, 32), (96, 64), (48, 96)):
                for name, star in strangers(clean, size, margin, rng):
                    yield f"{name} {size} on {kind}", star


def strangers(clean: Bytes, size: int, margin: int, rng: np.random.Generator) -> Iterator[tuple[str, Bytes]]:
    shape = coverage(size)[..., None].astype(np.float64)
    rows = slice(clean.shape[0] - margin - size, clean.shape[0] - margin)
    columns = slice(clean.shape[1] - margin - size, clean.shape[1] - margin)

    def laid(a: Floats, colour: object) -> Bytes:
        out = clean.copy()
        out[rows, columns] = np.rint((1 - a) * out[rows, columns] + a * np.asarray(colour, float))
        return out

    yield "opaque white star", laid(shape, 255)
    yield "black star", laid(shape * 0.5, 0)
    yield "yellow star", laid(shape * 0.5, (0, 230, 255))
    ground = float(np.median(clean[rows, columns]))
    for name, grey in (("grey star", 200), ("dim star", 140)):
        # Where its step is about that of the V2 logo, it is the logo to all who look.
        if abs(0.5 * (grey - ground) / (0.3 * (255 - ground)) - 1) > 0.25:
            yield name, laid(shape * 0.5, grey)
    yield "faint star", laid(shape * 0.12, 255)
    diamond = np.abs(np.linspace(-1, 1, size))
    yield "diamond", laid((diamond[:, None] + diamond < 1)[..., None] * 0.5, 255)
    yield "disc", laid((np.hypot(diamond[:, None], diamond) < 0.8)[..., None] * 0.5, 255)
    turned = cv2.warpAffine(
        shape[..., 0], cv2.getRotationMatrix2D((size / 2 - 0.5,) * 2, 45, 1.0), (size, size)
    )
    yield "turned star", laid(turned[..., None] * 0.5, 255)
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2, 0.2, 0.48) * size
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None] + size / 2
    five = cv2.fillPoly(np.zeros((size, size)), [points.astype(np.int32)], 1.0)
    yield "five points", laid(five[..., None] * 0.5, 255)
    wrong = clean.copy()
    wrong[rows, columns] = np.clip((wrong[rows, columns] - shape * 0.7 * 255) / (1 - shape * 0.7), 0, 255)
    yield "dark star of a bad removal", wrong
