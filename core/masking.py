"""Finds what looks like a cookie, a key or a password in a text. The second net: code wraps secrets in
`core.secret.Secret` and never writes them into a text in the first place."""

import re
from typing import TypeAlias

MASK = "***"

_Patterns: TypeAlias = tuple[tuple[re.Pattern[str], str], ...]

# What tells by itself what it is.
_VALUES: _Patterns = (
    # Google's cookie values wherever they stand
    (re.compile(r"g\.a000[\w.-]+"), MASK),
    (re.compile(r"sidts-[\w-]+"), MASK),
    (re.compile(r"\bAIza[\w-]{10,}"), MASK),
    # keys that `gempool keys new` makes
    (re.compile(r"\bgp-[\w-]{43}(?![\w-])"), MASK),
    # passwords in URLs: proxies and stores
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]+@", re.IGNORECASE), rf"\1{MASK}@"),
)
# What is known by what stands before it.
_PLACES: _Patterns = (
    # name=value and "name": "value" of Google's session cookies
    (
        re.compile(
            r"\b((?:__Secure-|__Host-)[\w-]+|SAPISID|APISID|HSID|SSID|SIDCC|SID|NID|AEC)"
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
# One cheap search decides for most strings that there is nothing to mask.
_VALUE_HINT = re.compile(r"g\.a000|sidts-|AIza|gp-|://[^\s/@]*@")
_PLACE_HINT = re.compile(r"__Secure-|__Host-|SID|NID|AEC|bearer\s|basic\s|key=", re.IGNORECASE)


def mask(text: str) -> str:
    """The text with everything masked that looks like a cookie, a key or a password in a URL."""
    text = mask_values(text)
    if _PLACE_HINT.search(text) is not None:
        for pattern, replacement in _PLACES:
            text = pattern.sub(replacement, text)
    return text


def mask_values(text: str) -> str:
    """The same for a sentence that may tell somebody where to write a key: `Bearer KEY` stays."""
    if _VALUE_HINT.search(text) is not None:
        for pattern, replacement in _VALUES:
            text = pattern.sub(replacement, text)
    return text
