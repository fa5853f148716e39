"""A text for a regular expression. Pure, the same every time, and bounded in time and length."""

import re
import warnings
from re import _constants as sre  # type: ignore[attr-defined]  # the parsed form of a pattern has no public names
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from core.errors import InvalidRequest
from core.schemas import Validator

_LONGEST_PATTERN = 1000
_TRIES = 33
_BUILT = 100_000
"""Characters put together at most, over all tries."""


def matching(pattern: str, least: int, most: float, longest: int) -> str | None:
    """A text of that length that the pattern is found in, None where none was found. One that is too large to be looked
    for with it is taken as it is, and is cut at `longest`."""
    if len(pattern) > _LONGEST_PATTERN:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            parsed = list(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError):
        return None
    try:
        # Python's own search may take for ever.
        validator = Validator({"pattern": pattern})
    except InvalidRequest:
        validator = None
    shortest = before = _spelled(parsed, 0, longest)
    built = 0
    for extra in (*range(_TRIES), max(0, least - len(shortest))):
        text = _spelled(parsed, extra, longest)
        if not _can_be_sent(text) or (extra and text == before):
            break
        built, before = built + len(text), text
        if least <= len(text) <= most and (validator is None or validator.fault(text) is None):
            return text
        if built > _BUILT:
            break
    return shortest[: int(min(most, longest))] if validator is None and _can_be_sent(shortest) else None


def _can_be_sent(text: str) -> bool:
    """A pattern may name what no text of UTF-8 holds."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _spelled(pieces: Any, extra: int, longest: int) -> str:
    text = ""
    for piece in pieces:
        text += _spell(piece, extra, longest)
        if len(text) >= longest:
            return text[:longest]
    return text


def _spell(piece: tuple[Any, Any], extra: int, longest: int) -> str:
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
        count = int(least) + extra
        if most is not sre.MAXREPEAT:
            count = min(count, int(most))
        unit = _spelled(inner, 0, longest)
        return unit * min(count, longest // max(len(unit), 1) + 1)
    if kind is sre.SUBPATTERN:
        return _spelled(told[-1], extra, longest)
    if kind is sre.BRANCH:
        return _spelled(told[1][0], extra, longest)
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
