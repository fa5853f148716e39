"""What a picture is, by its first bytes: nothing is decoded, and no length is believed beyond the data."""

from dataclasses import dataclass

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
_SEGMENTS = 10_000
"""Segments of a JPEG before its size; real ones have dozens, and a made-up one shall not cost seconds."""


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
    """Width and height in pixels that a picture's header claims, or None where it cannot be read."""
    big = int.from_bytes
    if data.startswith(b"\x89PNG"):
        return (big(data[16:20]), big(data[20:24])) if len(data) >= 24 and data[12:16] == b"IHDR" else None
    if data.startswith(b"GIF8"):
        return (_little(data[6:8]), _little(data[8:10])) if len(data) >= 10 else None
    if data[8:12] == b"WEBP" and len(data) >= 30:
        if data[12:16] == b"VP8X":
            return _little(data[24:27]) + 1, _little(data[27:30]) + 1
        if data[12:16] == b"VP8L":
            bits = _little(data[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
    return _jpeg_dimensions(data) if data.startswith(b"\xff\xd8") else None


def _jpeg_dimensions(data: bytes) -> tuple[int, int] | None:
    at = 2
    for _ in range(_SEGMENTS):
        if at + 9 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1  # any number of them may fill the space before a marker
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


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
    """Format and size of a PNG, JPEG, WebP or GIF from its header alone; None where it cannot be read."""
    format, size = sniff(data), dimensions(data)
    return None if format is None or size is None else Picture(format, *size)


def label(width: int, height: int) -> str:
    """`4K`, `2K` or `1K` by the long side's true pixels, '' below that. Never more than there is."""
    side = max(width, height)
    return next((name for least, name in ((4096, "4K"), (2048, "2K"), (1024, "1K")) if side >= least), "")
