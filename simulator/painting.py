"""What a picture looks like: a field of colours with a texture, the star in its corner, and the file of it."""

import threading
import zlib
from collections import OrderedDict
from struct import pack

import cv2
import numpy as np
from isal import isal_zlib
from msgspec import Struct
from numpy.typing import NDArray

from simulator.config import Logo, PictureFormat

MIME: dict[PictureFormat, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
KEPT_BYTES = 96 * 1024 * 1024
_TILE = 256
_LOSSY = 95

_SAMPLES = ((-0.0658, 0.1852), (0.3131, -0.0604), (-0.4358, 0.3181), (-0.4283, -0.195))
_SHARP = (61.4023, 61.6016, 2.2179, 47.9992)
_SOFT = (62.1, 62.04, 2.13, 48.4)
_SOFT_PEAK = 76.1 / 255


class Look(Struct, frozen=True):
    """All that a picture's pixels depend on. width, height: of the original."""

    seed: int
    width: int
    height: int
    logo: Logo
    format: PictureFormat


class Painter:
    """Files of pictures, made once and kept while there is room. Safe to call from threads; one picture is
    painted at a time, so that the memory for raw pixels is that of one."""

    def __init__(self, room: int = KEPT_BYTES) -> None:
        self._room = room
        self._files: OrderedDict[tuple[Look, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def kept(self) -> int:
        """Bytes of the files that are kept."""
        return sum(map(len, self._files.values()))

    def file(self, look: Look, side: int) -> bytes:
        """The picture with a long side of at most `side` pixels; 0: the original."""
        side = 0 if side >= max(look.width, look.height) else side
        with self._lock:
            if (file := self._files.get((look, side))) is None:
                file = _encoded(scaled(paint(look), side) if side else paint(look), look.format)
                self._files[look, side] = file
                while self.kept > self._room and len(self._files) > 1:
                    self._files.popitem(last=False)
            else:
                self._files.move_to_end((look, side))
        return file


def paint(look: Look) -> NDArray[np.uint8]:
    """The original's pixels, (height, width, RGB): a few colours that run into one another, waves and noise over
    them, and the star."""
    rng = np.random.default_rng(look.seed)
    colours = rng.integers(40, 190, (3, 4, 3), dtype=np.uint8)
    field = cv2.resize(colours, (look.width, look.height), interpolation=cv2.INTER_LINEAR)
    down, right = np.mgrid[0:_TILE, 0:_TILE] * (2 * np.pi / _TILE)
    waves = 6 * np.sin(right * rng.integers(2, 6)) * np.sin(down * rng.integers(2, 6))
    tile = (10 + waves[..., None] + rng.integers(-3, 4, (_TILE, _TILE, 3))).astype(np.uint8)
    times = (-(-look.height // _TILE), -(-look.width // _TILE), 1)
    picture = np.asarray(cv2.add(field, np.tile(tile, times)[: look.height, : look.width]), np.uint8)
    if look.logo != "none":
        _stamp(picture, look.logo)
    return picture


def scaled(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A preview of the original with its star, so the star is scaled as well."""
    height, width = picture.shape[:2]
    part = side / max(width, height)
    size = (max(1, round(width * part)), max(1, round(height * part)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def slot(width: int, height: int, logo: Logo) -> tuple[int, int]:
    """Side of the star and its distance from the right and from the bottom, as seen on real pictures."""
    if logo == "v2":
        # Reported for these two as well, though they are of 2K.
        small = max(width, height) < 2048 or (width, height) in ((2048, 2048), (2400, 1792))
        return (48, 96) if small else (96, 192)
    large = min(width, height) > 1024 or height > width
    return (96, 64) if large else (48, 32)


def _stamp(picture: NDArray[np.uint8], logo: Logo) -> None:
    height, width = picture.shape[:2]
    size, margin = slot(width, height, logo)
    box = picture[height - margin - size : height - margin, width - margin - size : width - margin]
    alpha = _alpha(size, logo)[..., None]
    box[:] = np.rint((1 - alpha) * box + alpha * 255).astype(np.uint8)


def _alpha(size: int, logo: Logo) -> NDArray[np.float64]:
    """The part of white in each pixel. The large star of V2 looks enlarged and sharpened, so that its rim carries more
    white than its middle."""
    if logo == "v1" or size < 96:
        return _star(size, 0, _SHARP) * (0.5 if logo == "v1" else 0.3)
    blurred = cv2.GaussianBlur(_star(size, 8, _SOFT), (0, 0), 1.16)
    sharpened = blurred + 0.51 * (blurred - cv2.GaussianBlur(blurred, (0, 0), 2.24))
    return np.asarray(np.maximum(sharpened[8:-8, 8:-8], 0) * _SOFT_PEAK, np.float64)


def _star(size: int, pad: int, outline: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """The star's share of each pixel, in sixteenths: points outside four circles, with rounded tips."""
    radius, centre, tip, reach = outline
    unit, side = 96 / size, size + 2 * pad
    at = (np.arange(side) - (side - 1) / 2) * unit
    share = np.zeros((side, side))
    for x, y in _SAMPLES:
        for right, down in ((x, y), (-y, x), (-x, -y), (y, -x)):
            one, other = np.abs(at[None, :] + right * unit), np.abs(at[:, None] + down * unit)
            along, across = np.maximum(one, other), np.minimum(one, other)
            outside = (along - centre) ** 2 + (across - centre) ** 2 > radius**2
            root = reach - tip
            share += np.where(along <= root, outside, (along - root) ** 2 + across**2 <= tip**2)
    return share / 16


def _encoded(picture: NDArray[np.uint8], format: PictureFormat) -> bytes:
    if format == "png":
        return _png(picture)
    quality = cv2.IMWRITE_JPEG_QUALITY if format == "jpeg" else cv2.IMWRITE_WEBP_QUALITY
    _, file = cv2.imencode(f".{format}", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [quality, _LOSSY])
    return file.tobytes()


def _png(picture: NDArray[np.uint8]) -> bytes:
    """An 8-bit RGB file; every row is filtered by its left neighbours."""
    height, width = picture.shape[:2]
    rows = picture.reshape(height, width * 3)
    filtered = np.empty((height, width * 3 + 1), np.uint8)
    filtered[:, 0] = 1
    filtered[:, 1:4] = rows[:, :3]
    np.subtract(rows[:, 3:], rows[:, :-3], out=filtered[:, 4:])
    header = pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", isal_zlib.compress(filtered, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(data, zlib.crc32(kind)))
        for kind, data in chunks
    )
