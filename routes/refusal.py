"""Errors for requests that reach no route, because the server cannot read them to their end."""

import urllib.parse
from collections.abc import Sequence

from core.errors import GatewayError
from routes import gemini, openai
from routes.dialect import dialect_of
from routes.errors import headers_of

__all__ = ["headers_of", "render"]


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
