"""A text for a regular expression. Pure, and the same every time."""

import re
from re import _constants as sre  # type: ignore[attr-defined]  # the parsed form of a pattern has no public names
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any


def matching(pattern: str, least: int, most: float) -> str | None:
    """A text of that length that the pattern is found in, None where none was found."""
    for extra in range(33):
        try:
            text = "".join(_spell(piece, extra) for piece in parser.parse(pattern))
        except (re.error, RecursionError, OverflowError):
            break
        if least <= len(text) <= most and re.search(pattern, text):
            return text
    return None


def _spell(piece: tuple[Any, Any], extra: int) -> str:
    kind, told = piece
    if kind is sre.LITERAL:
        return chr(int(told))
    if kind is sre.NOT_LITERAL:
        return "a" if told != ord("a") else "b"
    if kind is sre.ANY:
        return "a"
    if kind is sre.IN:
        return _one_of(told)
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, most, inner = told
        count = min(int(least) + extra, int(least) + extra if most is sre.MAXREPEAT else int(most), 1000)
        return "".join(_spell(sub, 0) for sub in inner) * count
    if kind is sre.SUBPATTERN:
        return "".join(_spell(sub, extra) for sub in told[-1])
    if kind is sre.BRANCH:
        return "".join(_spell(sub, extra) for sub in told[1][0])
    return ""


_CATEGORIES: dict[Any, str] = {sre.CATEGORY_DIGIT: "1", sre.CATEGORY_WORD: "a", sre.CATEGORY_SPACE: " "}


def _one_of(told: list[tuple[Any, Any]]) -> str:
    if told[0][0] is sre.NEGATE:
        inside = re.compile("[" + "".join(map(_class, told[1:])) + "]") if told[1:] else None
        return next((c for c in "a1 _-AZ" if inside is None or not inside.match(c)), "~")
    kind, what = told[0]
    if kind is sre.RANGE:
        return chr(what[0])
    if kind is sre.CATEGORY:
        return _CATEGORIES.get(what, "-")
    return chr(what)


def _class(part: tuple[Any, Any]) -> str:
    kind, what = part
    if kind is sre.RANGE:
        return f"{re.escape(chr(what[0]))}-{re.escape(chr(what[1]))}"
    if kind is sre.LITERAL:
        return re.escape(chr(what))
    return {sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_WORD: r"\w", sre.CATEGORY_SPACE: r"\s"}.get(what, "")
