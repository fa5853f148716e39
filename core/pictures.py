"""What a picture is, by its first bytes: nothing is decoded, and no length is believed beyond the data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
)
_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"hevc": "image/heic",
    b"mif1": "image/heif", b"msf1": "image/heif",
}  # fmt: skip
EXTENSIONS = {
    "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "image/avif": "avif",
    "image/heic": "heic", "image/heif": "heif", "image/bmp": "bmp", "image/tiff": "tiff",
}  # fmt: skip
"""How the files of each type's pictures end."""
_SEGMENTS = 10_000
"""Segments of a JPEG, boxes or tags before a picture's size; real files have dozens, and a made-up one shall not cost
seconds."""
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0}
"""Boxes that hold the boxes of sizes, and how many bytes of their own they begin with."""


def sniff(data: bytes) -> str | None:
    """The media type that the first bytes prove, or None."""
    for magic, mime in _MAGIC:
        if data.startswith(magic):
            return mime if magic != b"BM" or _is_bitmap(data) else None
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    return None


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels that a picture's header claims, or None where it cannot be read or claims none.

    Of a TIFF the first page's, of the HEIF family the largest that any of its pictures has.
    """
    size = _claimed(data)
    return size if size is not None and min(size) > 0 else None


def _claimed(data: bytes) -> tuple[int, int] | None:
    big = int.from_bytes
    if data.startswith(b"\x89PNG"):
        return (big(data[16:20]), big(data[20:24])) if len(data) >= 24 and data[12:16] == b"IHDR" else None
    if data.startswith(b"GIF8"):
        return (_little(data[6:8]), _little(data[8:10])) if len(data) >= 10 else None
    if data[8:12] == b"WEBP":
        return _webp_dimensions(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_dimensions(data)
    if data.startswith(b"BM"):
        return _bitmap_dimensions(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        tags = tiff_tags(data) or {}
        width, height = tags.get(256), tags.get(257)
        return None if width is None or height is None else (width.value, height.value)
    return _box_dimensions(data) if data[4:8] == b"ftyp" else None


def _webp_dimensions(data: bytes) -> tuple[int, int] | None:
    if len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            return _little(data[24:27]) + 1, _little(data[27:30]) + 1
        case b"VP8L":
            bits = _little(data[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
    return None


def _jpeg_dimensions(data: bytes) -> tuple[int, int] | None:
    at = 2
    for _ in range(_SEGMENTS):
        # Readers skip what stands between two segments, and any number of FF may fill the space before a marker.
        at = data.find(b"\xff", at)
        if at < 0 or at + 9 > len(data):
            break
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        elif marker in (0xD9, 0xDA):
            break
        elif marker <= 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2  # no marker, or one without a segment
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def _bitmap_dimensions(data: bytes) -> tuple[int, int] | None:
    if _little(data[14:18]) == 12:
        return (_little(data[18:20]), _little(data[20:22])) if len(data) >= 26 else None
    if len(data) < 34:
        return None
    # Rows from top to bottom are told by a height below nought.
    height = int.from_bytes(data[22:26], "little", signed=True)
    return int.from_bytes(data[18:22], "little", signed=True), abs(height)


@dataclass(frozen=True)
class Tag:
    """A field of a TIFF: `count` whole numbers of `width` bytes at `start`, of which `value` is the first."""

    start: int
    width: int
    count: int
    value: int


def tiff_tags(data: bytes) -> dict[int, Tag] | None:
    """The whole numbers in a TIFF's first directory, by tag; None where the directory does not lie within the data."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    at = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[at : at + 2], order)
    if at < 8 or at + 2 + 12 * count + 4 > len(data):
        return None
    found: dict[int, Tag] = {}
    for entry in range(at + 2, at + 2 + 12 * min(count, _SEGMENTS), 12):
        width = {1: 1, 3: 2, 4: 4}.get(int.from_bytes(data[entry + 2 : entry + 4], order), 0)
        values = int.from_bytes(data[entry + 4 : entry + 8], order)
        if not width or not values:
            continue
        # What takes more than four bytes stands elsewhere.
        start = entry + 8 if width * values <= 4 else int.from_bytes(data[entry + 8 : entry + 12], order)
        first = int.from_bytes(data[start : start + width], order)
        found.setdefault(int.from_bytes(data[entry : entry + 2], order), Tag(start, width, values, first))
    return found


@dataclass(frozen=True)
class Box:
    """A box of the HEIF family's files: its type, and where its content begins and the box ends as it claims."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    """The boxes side by side between `at` and `end`. The last one may claim to end beyond that."""
    while at + 8 <= end:
        size, kind, start = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16]), at + 16
        elif size == 0:
            size = end - at
        if size < start - at:
            return
        yield Box(kind, start, at + size)
        at += size


def _box_dimensions(data: bytes) -> tuple[int, int] | None:
    found: list[tuple[int, int]] = []
    left = _SEGMENTS
    waiting = [(0, len(data))]
    while waiting:
        at, end = waiting.pop()
        for box in boxes(data, at, end):
            left -= 1
            if left < 0:
                return None
            if box.kind in _CONTAINERS:
                waiting.append((box.start + _CONTAINERS[box.kind], min(box.end, end)))
                continue
            if box.kind == b"ispe":
                size = data[box.start + 4 : box.start + 12]
            elif box.kind == b"tkhd":
                later = 88 if data[box.start : box.start + 1] == b"\1" else 76
                size = data[box.start + later : box.start + later + 8]
                size = b"\0\0" + size[:2] + b"\0\0" + size[4:6]  # in 65536ths of a pixel
            else:
                continue
            found.append((int.from_bytes(size[:4]), int.from_bytes(size[4:8])))
    return max(found, key=lambda sides: sides[0] * sides[1], default=None)


def _is_bitmap(data: bytes) -> bool:
    # Two letters prove little; a bitmap also tells its own header's size.
    return len(data) >= 18 and int.from_bytes(data[14:18], "little") in (12, 40, 52, 56, 64, 108, 124)


@dataclass(frozen=True)
class Picture:
    """format: the media type. width, height: pixels, as the header claims."""

    format: str
    width: int
    height: int


def measure(data: bytes) -> Picture | None:
    """Format and size of a picture from its header alone; None where it cannot be read."""
    format, size = sniff(data), dimensions(data)
    return None if format is None or size is None else Picture(format, *size)


def label(width: int, height: int) -> str:
    """`4K`, `2K` or `1K` by the long side's true pixels, '' below that. Never more than there is."""
    side = max(width, height)
    return next((name for least, name in ((4096, "4K"), (2048, "2K"), (1024, "1K")) if side >= least), "")
