"""Finds what looks like a cookie, a key or a password in a text. The second net: code wraps secrets in
`core.secret.Secret` and never writes them into a text in the first place."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

MASK = "***"
SHORTEST = 8
"""Characters; what is shorter is too likely a part of something else."""
_TELLING = 12
"""Characters of a hidden word's beginning that are hidden also where the rest was cut off."""
_hidden: ContextVar[tuple[str, ...]] = ContextVar("hidden", default=())

_Patterns: TypeAlias = tuple[tuple[re.Pattern[str], str], ...]

# What tells by itself what it is.
_VALUES: _Patterns = (
    # Google's cookie values wherever they stand
    (re.compile(r"g\.a000[\w.-]+"), MASK),
    (re.compile(r"sidts-[\w-]+"), MASK),
    (re.compile(r"\bAIza[\w-]{10,}"), MASK),
    # keys that `gempool keys new` makes
    (re.compile(r"\bgp-[\w-]{43}(?![\w-])"), MASK),
    # sessions of the operator's page
    (re.compile(r"\bv1\.\d{1,12}\.[\w-]{22}\.[\w-]{43}"), MASK),
    # passwords in URLs: proxies and stores
    (re.compile(r"://[^\s/@:]*:[^\s/@]+@"), f"://{MASK}@"),
)
# What is known by what stands before it.
_PLACES: _Patterns = (
    # name=value and "name": "value" of Google's session cookies. Names end somewhere: where each of thousands of beginnings
    # was followed to the end of a caller's text, the search took seconds.
    (
        re.compile(
            r"\b((?:__Secure-|__Host-)[\w-]{1,80}|SAPISID|APISID|HSID|SSID|SIDCC|SID|NID|AEC)"
            r"(\"?'?\s*[=:]\s*\"?'?)[^\s;,\"']+"
        ),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"\b((?:Bearer|Basic)\s+)[\w.~+/=-]+", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(r"((?:[?&]|\b(?:api_|admin_|x-api-|x-goog-api-))key=)[^&\s\"']+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
)
# For most strings a few cheap searches decide that there is nothing to mask: every line of the log goes through here, and
# looking for plain words is ten times as fast as any pattern.
_VALUE_HINTS = ("g.a000", "sidts-", "AIza", "gp-", "v1.", "://")
_PLACE_HINTS = ("__secure-", "__host-", "sid", "nid", "aec", "bearer", "basic", "key=")


@contextmanager
def hiding(words: Iterable[str]) -> Iterator[None]:
    """Until it ends `mask` and `mask_values` hide these words as well, here and in tasks that begin meanwhile: what
    this very request brought and must not come back. Words of fewer than `SHORTEST` characters are not hidden."""
    token = _hidden.set(tuple(word for word in words if len(word) >= SHORTEST))
    try:
        yield
    finally:
        _hidden.reset(token)


def hide(words: Iterable[str]) -> None:
    """Hide these words as well until the `hiding` around it ends: what the request turned out to have brought in its body."""
    _hidden.set((*_hidden.get(), *(word for word in words if len(word) >= SHORTEST)))


def mask(text: str) -> str:
    """The text with everything masked that looks like a cookie, a key or a password in a URL."""
    text = mask_values(text)
    # Where it is not ASCII, more letters than these have the same lower case.
    if not text.isascii() or _any_in(_PLACE_HINTS, text.lower()):
        for pattern, replacement in _PLACES:
            text = pattern.sub(replacement, text)
    return text


def mask_values(text: str) -> str:
    """The same for a sentence that may tell somebody where to write a key: `Bearer KEY` stays."""
    for word in _hidden.get():
        text = _without(text, word)
    if _any_in(_VALUE_HINTS, text):
        for pattern, replacement in _VALUES:
            text = pattern.sub(replacement, text)
    return text


def _any_in(words: tuple[str, ...], text: str) -> bool:
    for word in words:  # noqa: SIM110  a generator would take longer than the search
        if word in text:
            return True
    return False


def _without(text: str, word: str) -> str:
    """In any case, as some messages spell what they quote; and since they cut it, a telling beginning of the word is
    taken out like the whole."""
    word, low = _lower(word), _lower(text)
    head = word[:_TELLING]
    kept, done = [], 0
    while (at := low.find(head, done)) >= 0:
        kept.append(text[done:at])
        pairs = enumerate(zip(word, low[at : at + len(word)], strict=False))
        done = at + next((n for n, (a, b) in pairs if a != b), min(len(word), len(text) - at))
    return MASK.join((*kept, text[done:]))


def _lower(text: str) -> str:
    """In lower case, each character in its place."""
    low = text.lower()
    return low if len(low) == len(text) else text
