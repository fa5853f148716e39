"""Names of stored pictures: `{timestamp}_{keyword}_{hash}.{ext}`. Pure but for the chance in the hash."""

import re
import secrets
import unicodedata
from datetime import UTC, datetime

from core.pictures import EXTENSIONS

CONTENT_TYPES = {extension: mime for mime, extension in EXTENSIONS.items()}

_WORDS = 6
_KEYWORD_BYTES = 60
_NAME = re.compile(
    r"\d{8}T\d{6}Z_[^\x00-\x20/\\<>:\"|?*_.]{1,60}_[0-9a-f]{32}\.(?:" + "|".join(CONTENT_TYPES) + ")"
)


def name_of(prompt: str, content_type: str, now: float) -> str:
    """A name for a picture that cannot be guessed, and that is found by the prompt's first words.

    now: wall clock seconds. content_type: one of EXTENSIONS; raises KeyError otherwise.
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}_{keyword_of(prompt)}_{secrets.token_hex(16)}.{EXTENSIONS[content_type]}"


def for_the_log(name: str) -> str:
    """Enough of a name to find the picture, and too little to guess it or to tell what was asked for."""
    stamp, _, rest = name.partition("_")
    return f"{stamp}_*{rest[-10:]}"


def keyword_of(prompt: str) -> str:
    """The prompt's first words in their own script: letters, digits and the marks on them, joined by hyphens, at
    most 60 bytes. `picture` where there are none."""
    text = unicodedata.normalize("NFC", prompt[:1000]).casefold()
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in text)
    words = unicodedata.normalize("NFC", "-".join(kept.split()[:_WORDS]))
    short = words.encode()[:_KEYWORD_BYTES].decode(errors="ignore").strip("-")
    return short or "picture"


def valid(name: str) -> bool:
    """Whether `name_of` may have made it. Such a name stays within its folder, whatever it is joined to."""
    return _NAME.fullmatch(name) is not None
