"""What a request says about the pictures that it wants, in the fields that several routes share. Pure."""

import math
import re
from typing import TypeVar

from core.chat import PictureWish
from core.errors import InvalidRequest
from routes.exchange import Exchange

ASPECTS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
STEPS = (1024, 2048, 4096)
"""Lengths of the long side that the upstream has."""
FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "jpg": "image/jpeg", "webp": "image/webp"}
MAX_PICTURES = 10

_LABELS = {"1k": 1024, "2k": 2048, "4k": 4096}
_PIXELS = re.compile(r"(\d{1,6})\s*[xX*\u00d7]\s*(\d{1,6})", re.ASCII)
_RATIO = re.compile(r"(\d{1,4}):(\d{1,4})", re.ASCII)
_LONGEST = 8192
"""The upstream's largest pictures are longer than 4096 pixels where they are wide (5504x3072)."""
_STEEPEST = 3.0

T = TypeVar("T")


def size_of(text: str | None, field: str = "size") -> tuple[str, int]:
    """The aspect ratio and the long side that a size asks for, '' and 0 where it leaves them open.

    Sizes are `auto`, pixels (`1536x1024`), a step (`1K`, `2K`, `4K`) or a ratio (`16:9`). Raises `InvalidRequest`.
    """
    wanted = (text or "auto").strip()
    if wanted.lower() in ("", "auto"):
        return "", 0
    if pixels := _LABELS.get(wanted.lower()):
        return "", pixels
    if match := _PIXELS.fullmatch(wanted):
        width, height = int(match[1]), int(match[2])
        if not 1 <= min(width, height) <= max(width, height) <= _LONGEST:
            raise InvalidRequest(
                f"'{field}' is {wanted[:40]}: its sides must be from 1 to {_LONGEST} pixels long. Ask for less,"
                " or leave it out.",
                param=field,
            )
        if max(width, height) > _STEEPEST * min(width, height):
            raise InvalidRequest(
                f"'{field}' is {wanted[:40]}: the long side may be at most {_STEEPEST:g} times the short one. Ask"
                f" for one of {', '.join(ASPECTS)}.",
                param=field,
            )
        return nearest_aspect(width, height), step_of(max(width, height))
    if _RATIO.fullmatch(wanted):
        return aspect_of(wanted, field), 0
    raise InvalidRequest(
        f"'{field}' is '{wanted[:40]}'. Use auto, pixels such as 1536x1024, 1K, 2K, 4K, or a ratio such as 16:9.",
        param=field,
    )


def step_of(side: int) -> int:
    """The smallest step that has as many pixels, or the largest."""
    return next((step for step in STEPS if side <= step), STEPS[-1])


def nearest_aspect(width: int, height: int) -> str:
    """The ratio that the model knows and that is most like this one."""

    def distance(aspect: str) -> float:
        across, down = aspect.split(":")
        return abs(math.log(width / height) - math.log(int(across) / int(down)))

    return min(ASPECTS, key=distance)


def aspect_of(text: str | None, field: str = "aspect_ratio") -> str:
    """The aspect ratio, '' for none. Raises `InvalidRequest` for one that the model does not know."""
    wanted = (text or "auto").strip().lower()
    if wanted in ("", "auto"):
        return ""
    if match := _RATIO.fullmatch(wanted):
        across, down = int(match[1]), int(match[2])
        for aspect in ASPECTS:
            known_across, known_down = map(int, aspect.split(":"))
            if across and across * known_down == down * known_across:
                return aspect
    raise InvalidRequest(f"'{field}' is '{wanted[:40]}'. Use one of {', '.join(ASPECTS)}.", param=field)


def pixels_of(text: str | None, field: str) -> int:
    """The long side that `1K`, `2K` or `4K` asks for, 0 for none. Raises `InvalidRequest`."""
    wanted = (text or "auto").strip().lower()
    if wanted in ("", "auto"):
        return 0
    if pixels := _LABELS.get(wanted):
        return pixels
    raise InvalidRequest(f"'{field}' is '{wanted[:40]}'. Use 1K, 2K or 4K.", param=field)


def format_of(text: str | None, field: str = "output_format") -> str:
    """The media type that an output format names, '' for none. Raises `InvalidRequest`."""
    if text is None or not text.strip():
        return ""
    return _one_of(FORMATS, text, field)


def quality_of(compression: int | None, field: str = "output_compression") -> int:
    """The quality of lossy formats, 1 to 100. OpenAI calls it compression, and 100 is the best."""
    if compression is None:
        return PictureWish().quality
    if not 0 <= compression <= 100:
        raise InvalidRequest(f"'{field}' must be from 0 to 100, not {compression}.", param=field)
    return max(1, compression)


def wants_link(text: str | None, field: str, words: dict[str, bool]) -> bool:
    """Whether a link is wanted, by the words of a family; False where nothing is said. Raises `InvalidRequest`."""
    return False if text is None or not text.strip() else _one_of(words, text, field)


def keeps_watermark(exchange: Exchange, text: str | None) -> bool:
    """Whether the visible logo is to stay: said in the body, or else as `?watermark=keep`. Raises `InvalidRequest`."""
    said = text if text is not None else exchange.query.get("watermark")
    if said is None or not said.strip():
        return False
    return _one_of({"keep": True, "remove": False}, said, "watermark")


def count_of(n: int | None, field: str) -> int:
    """How many pictures are wanted. Raises `InvalidRequest`."""
    wanted = 1 if n is None else n
    if not 1 <= wanted <= MAX_PICTURES:
        raise InvalidRequest(f"'{field}' must be from 1 to {MAX_PICTURES}, not {wanted}.", param=field)
    return wanted


def _one_of(words: dict[str, T], text: str, field: str) -> T:
    found = words.get(text.strip().lower())
    if found is None:
        raise InvalidRequest(f"'{field}' is '{text[:40]}'. Use {' or '.join(words)}.", param=field)
    return found
