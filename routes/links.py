"""Links that callers can follow from anywhere."""

import re

from routes.exchange import Exchange

_HOST = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)


def absolute(exchange: Exchange, link: str) -> str:
    """`link` as it is where it is a whole address. A path of our own goes behind the configured public address, or
    else behind the address that this very request was sent to."""
    if not link.startswith("/"):
        return link
    return (exchange.settings.public_url.rstrip("/") or _origin(exchange)) + link


def _origin(exchange: Exchange) -> str:
    """Scheme and host as the caller wrote them. The edge has already put X-Forwarded-Proto in the scheme's place where
    a trusted proxy sent it; the host that a proxy was asked for is not more of a secret than Host itself."""
    host = exchange.headers.get(b"host", b"")
    if exchange.settings.trusted_proxies and (forwarded := exchange.headers.get(b"x-forwarded-host")):
        # With several proxies each adds the host that it was asked for; the caller's is the first.
        host = forwarded.partition(b",")[0].strip()
    name = host.decode("latin-1")
    if not _HOST.fullmatch(name):
        # A unix socket has a path and no port.
        address, port = exchange.scope.get("server") or ("", None)
        name = f"[{address}]" if ":" in address else address
        name = f"{name}:{port}" if port else "localhost"
    return f"{exchange.scope.get('scheme', 'http')}://{name}"
