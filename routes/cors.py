"""Cross-origin headers. They are on every response, errors included, or a browser hides the error."""

from collections.abc import Sequence

from routes.exchange import Headers

EXPOSED = (
    b"x-request-id, retry-after, x-should-retry, x-gempool-attempts, x-gempool-overhead-ms, x-gempool-picture-sizes, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, location, idempotent-replayed"
)
MAX_AGE = b"600"


def response_headers(origins: Sequence[str], origin: bytes | None) -> Headers:
    """Headers for a response to a page of `origin`; none where it may not read it."""
    if "*" in origins:
        return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED)]
    vary = (b"vary", b"Origin")
    if origin is None or origin.decode("latin-1") not in origins:
        return [vary]
    return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED), vary]


def preflight_headers(headers: dict[bytes, bytes], methods: bytes) -> Headers:
    """Headers that a preflight's answer carries besides. The headers that were asked for are echoed, since `*`
    does not cover `Authorization`; `methods` are the route's own."""
    names = headers.get(b"access-control-request-headers")
    answer: Headers = [
        (b"access-control-allow-methods", methods),
        (b"access-control-max-age", MAX_AGE),
        (b"allow", methods),
        (b"content-length", b"0"),
        (b"vary", b"Access-Control-Request-Headers"),
    ]
    if names:
        answer.append((b"access-control-allow-headers", names))
    return answer
