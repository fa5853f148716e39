"""From file to file: PNG, JPEG and WebP. Whatever else comes, comes back as the same bytes with the reason."""

import io
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from core.pictures import measure
from watermark.clean import LEAST_SIDE, MOST_LOGOS, Cleaner, Patch, Verdict, cleaner_of
from watermark.coding import Coding, of_jpeg, of_webp
from watermark.jpeg import HALVED, WHOLE, fill, half_planes, light_and_colour, with_size, with_whole_blocks
from watermark.png import Png, Unreadable
from watermark.star import Stars
from watermark.view import REACH

_SMALL = 1_000_000
_UNTRUE = "the first header does not tell its true size"
MAX_PIXELS = 64_000_000


@dataclass(frozen=True)
class CleanedBytes:
    """data: the very bytes that were given where nothing was found."""

    data: bytes
    verdict: Verdict


def clean_bytes(data: bytes, stars: Stars | None = None, max_pixels: int = MAX_PIXELS) -> CleanedBytes:
    """Take the visible logo off a picture file, if it is there with confidence; never raises for what is in the file.

    The format and its metadata stay. PNG: only the logo's pixels change. JPEG: coded again with the file's own tables.
    WebP: written lossless, so that nothing outside the logo changes. max_pixels: more, by the header, are not decoded.
    """
    cleaner = cleaner_of(stars)
    picture = measure(data)
    if picture is None or picture.format not in ("image/png", "image/jpeg", "image/webp"):
        return CleanedBytes(data, Verdict(False, "unsupported", detail="not a PNG, JPEG or WebP picture"))
    if picture.width * picture.height > max_pixels:
        detail = f"{picture.width} x {picture.height}, and at most {max_pixels} pixels are decoded"
        return CleanedBytes(data, Verdict(False, "too_many_pixels", detail=detail))
    work = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp}[picture.format]
    try:
        return work(data, cleaner, max_pixels)
    except Unreadable as problem:
        return CleanedBytes(data, Verdict(False, problem.reason, detail=problem.detail))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return CleanedBytes(data, Verdict(False, "too_many_pixels", detail=_UNTRUE))
    except (OSError, ValueError, IndexError, SyntaxError, EOFError, struct.error, cv2.error) as problem:
        # What the decoders raise for damaged files.
        return CleanedBytes(data, Verdict(False, "broken", detail=type(problem).__name__))


def _bounded(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise Unreadable("too_many_pixels", _UNTRUE)


def _png(data: bytes, cleaner: Cleaner, max_pixels: int) -> CleanedBytes:
    png = Png(data)
    if png.width * png.height > max_pixels:
        raise Unreadable("too_many_pixels", _UNTRUE)
    if min(png.width, png.height) < LEAST_SIDE:
        return CleanedBytes(data, Verdict(False, "too_small"))
    rows = png.last_rows(REACH)
    verdict, patches = _cleared(rows, cleaner, None)
    if not patches:
        return CleanedBytes(data, verdict)
    first = min(patch.top for patch in patches)
    # The row below the last is told as a difference from it.
    end = min(max(patch.top + len(patch.box) for patch in patches) + 1, len(rows))
    return CleanedBytes(png.with_rows(png.height - len(rows) + first, rows[first:end]), verdict)


def _cleared(rows: NDArray[np.uint8], cleaner: Cleaner, coding: Coding | None) -> tuple[Verdict, list[Patch]]:
    """Take off, in place, what is found: seldom more than one logo. The verdict is that of the first."""
    patches: list[Patch] = []
    verdicts = []
    while len(patches) < MOST_LOGOS:
        patch, verdict = cleaner.patch(_colours(rows), coding)
        verdicts.append(verdict)
        if patch is None:
            break
        _laid(rows, patch)
        patches.append(patch)
    return verdicts[0], patches


def _colours(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Three channels of one, three or four. Raises Unreadable where the corner is transparent."""
    if rows.shape[2] == 1:
        return np.broadcast_to(rows, (*rows.shape[:2], 3))
    if rows.shape[2] == 4 and np.any(rows[-REACH:, -REACH:, 3] != 255):
        raise Unreadable("transparent", "the corner is not opaque")
    return rows[..., :3]


def _laid(rows: NDArray[np.uint8], patch: Patch) -> None:
    height, width = patch.box.shape[:2]
    channels = min(rows.shape[2], 3)
    rows[patch.top : patch.top + height, patch.left : patch.left + width, :channels] = patch.box[
        ..., :channels
    ]


def _jpeg(data: bytes, cleaner: Cleaner, max_pixels: int) -> CleanedBytes:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        _bounded(image, max_pixels)
        if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.format != "JPEG":
            raise Unreadable("unsupported", f"{image.format}, several pictures in one file")
        sampling = JpegImagePlugin.get_sampling(image) if image.mode == "RGB" else WHOLE
        if image.mode not in ("RGB", "L") or image.info.get("adobe_transform") == 0:
            raise Unreadable("unsupported", f"JPEG in {image.mode}, not coded as light and colour")
        if sampling not in (WHOLE, HALVED):
            raise Unreadable("unsupported", "JPEG that keeps colour at another size than whole or half")
        # Light and colour as they were coded, and the unseen rest of the last blocks, so that what does not change is
        # coded again as it was.
        width, height = image.size
        whole = data if image.info.get("progressive") else with_whole_blocks(data, sampling)
        pixels = light_and_colour(whole)
        true = pixels[:height, :width]
        coding = of_jpeg(image.quantization, sampling == HALVED)
        halves: list[NDArray[np.uint8]] = []

        def colours() -> list[NDArray[np.uint8]]:
            if pixels.ndim == 2:
                return []
            if sampling == WHOLE:
                return [true[..., 1], true[..., 2]]
            if not halves:
                halves.extend(half_planes(whole))
            return [half[: -(-height // 2), : -(-width // 2)] for half in halves]

        verdicts: list[Verdict] = []
        while len(verdicts) < MOST_LOGOS:
            light = true if true.ndim == 2 else true[..., 0]
            new, verdict = cleaner.planes(light, _seen(true), coding, colours)
            verdicts.append(verdict)
            if new is None:
                break
            for half, plane in zip(halves, new[1:], strict=False):
                half[: plane.shape[0], : plane.shape[1]] = plane
            # Only light where colour is kept apart: `halves` then holds the colour.
            fill(true, new[:1] if halves else new)
            fill(pixels, [pixels[..., 0], *halves] if halves else [])
        if not verdicts[0].found:
            return CleanedBytes(data, verdicts[0])
        options: dict[str, Any] = {
            "qtables": image.quantization,
            "progressive": bool(image.info.get("progressive")),
            # To optimize, Pillow codes the whole file in one call that holds the interpreter.
            "optimize": pixels.size < _SMALL,
        }
        if pixels.ndim == 3:
            options["subsampling"] = sampling
        # draft() made this image YCbCr, or left it L.
        written = Image.fromarray(pixels, "L" if pixels.ndim == 2 else "YCbCr")
        result = _saved(written, image, "JPEG", options)
        return CleanedBytes(with_size(result, width, height), verdicts[0])


def _seen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The corner as BGR."""
    corner = pixels[-REACH:, -REACH:]
    if corner.ndim == 2:
        return np.repeat(corner[..., None], 3, 2)
    return np.asarray(
        cv2.cvtColor(np.ascontiguousarray(corner[..., [0, 2, 1]]), cv2.COLOR_YCrCb2BGR), np.uint8
    )


def _webp(data: bytes, cleaner: Cleaner, max_pixels: int) -> CleanedBytes:
    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        _bounded(image, max_pixels)
        if getattr(image, "n_frames", 1) > 1:
            raise Unreadable("animated", "it is an animation")
        if image.mode not in ("RGB", "RGBA"):
            raise Unreadable("unsupported", f"WebP in {image.mode}")
        pixels = np.array(image)
        pixels[..., :3] = pixels[..., 2::-1]
        coding = None if b"VP8L" in data[:64] else of_webp(data)
        verdict, patches = _cleared(pixels, cleaner, coding)
        if not patches:
            return CleanedBytes(data, verdict)
        pixels[..., :3] = pixels[..., 2::-1].copy()
        options = {"lossless": True, "exact": True, "method": 2}
        return CleanedBytes(_saved(Image.fromarray(pixels), image, "WEBP", options), verdict)


def _saved(new: Image.Image, image: Image.Image, format: str, options: dict[str, Any]) -> bytes:
    """Written anew with the metadata of the file that it came from."""
    kept = {
        name: image.info[name]
        for name in ("icc_profile", "exif", "xmp", "dpi", "comment")
        if image.info.get(name)
    }
    if format == "WEBP":
        kept = {name: value for name, value in kept.items() if name in ("icc_profile", "exif", "xmp")}
    out = io.BytesIO()
    new.save(out, format, **kept, **options)
    return out.getvalue()
