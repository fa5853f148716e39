"""What both dialects share when they render an error."""

import math
import re

from core.errors import FAR, GatewayError, MethodNotAllowed
from core.masking import mask_values

DEFAULT_WAIT = {429: 1, 503: 5}
"""Seconds, for errors that must name a wait and know none."""

_ADVICE = re.compile(r" Please (?:try again|retry|ask again)(?: in [^.]*(?:\.\d+[^.]*)?)?\.$")


def wait_of(error: GatewayError) -> int | None:
    """Whole seconds until a repeat may help, rounded up; None where no wait is told."""
    if error.retry_after is not None:
        return max(1, math.ceil(error.retry_after))
    return DEFAULT_WAIT.get(error.status)


def message_of(error: GatewayError, advice: str = "try again") -> str:
    """The sentence for the caller. A wait is part of it, once and in the words of `advice`: some clients read
    it there."""
    wait = wait_of(error)
    # Some messages repeat what the caller wrote, and people paste cookies into the wrong field.
    message = mask_values(error.message)
    if wait is None or error.retryable is False:
        return message
    return f"{_ADVICE.sub('', message)} Please {advice} in {wait}s."


def param_of(error: GatewayError) -> str | None:
    """The field at fault, whose name the caller may have made up."""
    return None if error.param is None else mask_values(error.param)


def repeat_helps(error: GatewayError) -> bool | None:
    """What `x-should-retry` says, None for nothing. A wait beyond `FAR` is not for a program to sit out."""
    wait = wait_of(error)
    if error.retryable is None and error.status in (429, 503) and wait is not None and wait > FAR:
        return False
    return error.retryable


def headers_of(error: GatewayError) -> list[tuple[bytes, bytes]]:
    """Headers that an error's response carries in every dialect."""
    headers: list[tuple[bytes, bytes]] = []
    if (wait := wait_of(error)) is not None:
        headers.append((b"retry-after", b"%d" % wait))
    if (helps := repeat_helps(error)) is not None:
        headers.append((b"x-should-retry", b"true" if helps else b"false"))
    if isinstance(error, MethodNotAllowed) and error.allow:
        headers.append((b"allow", error.allow.encode("latin-1")))
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="gempool"'))
    return headers
