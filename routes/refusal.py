"""Errors for requests that reach no route, because the server cannot read them to their end."""

import re
import urllib.parse
from collections.abc import Sequence

import structlog

from core.errors import GatewayError
from core.masking import MASK, mask
from routes import gemini, openai
from routes.dialect import dialect_of
from routes.errors import headers_of

__all__ = ["headers_of", "render", "tell"]

access_log = structlog.get_logger("gempool.access")

_METHOD = re.compile(r"[A-Za-z-]{1,20}")
"""What stands in a method's place may be anything, a key too; methods are a word."""


def render(
    error: GatewayError, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> bytes:
    """The error's body in the dialect that the request would have been answered in.

    target: the request line's, empty where it never came; headers: as far as they came, names in lower case.
    """
    path, _, query = target.decode("latin-1").partition("?")
    google_key = any(name == b"x-goog-api-key" for name, _ in headers) or "key" in urllib.parse.parse_qs(
        query
    )
    dialect = dialect_of(method.decode("latin-1"), urllib.parse.unquote(path), google_key)
    return gemini.render(error) if dialect == "google" else openai.render(error)


def tell(
    error: GatewayError, *, request_id: str, address: str, method: bytes, sent: int, seconds: float
) -> None:
    """The request's one log line. address: whose the connection is; method: as it was sent, empty where none came; sent:
    bytes of the body that was answered; seconds: from the request's first byte."""
    word, ms = method.decode("latin-1"), round(seconds * 1000, 2)
    facts = {
        "request_id": request_id,
        "caller": f"ip:{address}",
        "method": mask(word) if not word or _METHOD.fullmatch(word) else MASK,
        "route": "unrouted",
        "status": error.status,
        "outcome": error.code,
        "bytes": sent,
        "ms": ms,
        "ms_read": ms,
        "ms_own": 0.0,
    }
    access_log.info("request", **facts)
