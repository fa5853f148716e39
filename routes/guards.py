"""Who may in: API keys, and without any configured key only this machine."""

import ipaddress
import urllib.parse
from typing import Final

from access import Caller, Keys
from core.errors import Forbidden, Unauthenticated
from routes.exchange import Exchange

OPEN_PATHS: Final = frozenset({"/", "/health", "/ready"})
"""GET routes that need no key."""
OPEN_BELOW: Final = "/files/"
"""Stored pictures need none either: an <img> sends no key, and their names cannot be guessed."""


def presented_keys(exchange: Exchange) -> list[bytes]:
    """Every key that the request carries, in whatever way clients send one."""
    found = []
    header = exchange.headers.get
    scheme, _, token = header(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and token.strip():
        found.append(token.strip())
    found += [key for name in (b"x-api-key", b"x-goog-api-key", b"x-admin-key") if (key := header(name))]
    if in_query := exchange.query.get("key"):
        found.append(in_query.encode())
    return found


def admit(exchange: Exchange, keys: Keys, *, metrics_open: bool, allow_anonymous: bool) -> Caller | None:
    """Who calls; None on an open route for a caller who would not be let in elsewhere.

    Raises `Unauthenticated` or `Forbidden`.
    """
    path = exchange.path.rstrip("/") or "/"
    is_open = exchange.method == "GET" and (
        path in OPEN_PATHS or path.startswith(OPEN_BELOW) or (metrics_open and path == "/metrics")
    )
    try:
        return identify(exchange, keys, allow_anonymous=allow_anonymous)
    except (Unauthenticated, Forbidden):
        if is_open:
            return None
        raise


def identify(exchange: Exchange, keys: Keys, *, allow_anonymous: bool) -> Caller:
    presented = presented_keys(exchange)
    if caller := keys.identify(presented):
        return caller
    if keys.required:
        if presented:
            raise Unauthenticated("The API key is not valid. Send one that the gateway's API_KEY lists.")
        raise Unauthenticated(
            "An API key is required. Send it as 'Authorization: Bearer KEY', 'x-api-key', 'x-goog-api-key' or '?key='."
        )
    address = _peer(exchange)
    if not allow_anonymous:
        _refuse_strangers(exchange, address)
    return Caller(name=f"ip:{address}", role="anonymous")


def _peer(exchange: Exchange) -> str:
    client = exchange.scope.get("client")
    return str(client[0]) if client else "unknown"


def _refuse_strangers(exchange: Exchange, address: str) -> None:
    """Without a key, only this machine may call. A web page that a browser on this machine shows must not
    reach in either, neither directly (its Origin tells) nor under a name of its own that resolves to
    loopback (the Host tells)."""
    remedy = "Set API_KEY and send the key, or set GEMPOOL_ALLOW_ANONYMOUS=true."
    if not is_loopback_address(address):
        raise Forbidden(f"No API key is configured, so only callers on this machine are served. {remedy}")
    host = exchange.headers.get(b"host", b"").decode("latin-1")
    # Only HTTP/1.0 may leave the Host out.
    hostless = b"host" not in exchange.headers and exchange.scope["http_version"] == "1.0"
    if not hostless and not is_loopback_host(host):
        raise Forbidden(
            "No API key is configured, so only requests addressed to localhost are served, and this one's Host"
            f" header names another. {remedy}"
        )
    origin = exchange.headers.get(b"origin", b"").decode("latin-1")
    if origin and not is_trusted_origin(origin):
        raise Forbidden(
            f"No API key is configured, so web pages from elsewhere may not call, and this one's Origin is one. {remedy}"
        )


def is_loopback_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or bool(mapped and mapped.is_loopback)


def is_loopback_host(host: str) -> bool:
    """`host` is a Host header's value: a name or address, perhaps with a port."""
    try:
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    name = name.rstrip(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback_address(name)


def is_trusted_origin(origin: str) -> bool:
    """True for pages of this machine and for programs that are no web page (`file://`, `app://`). Any web
    page can make itself `null`."""
    if origin.lower() == "null":
        return False
    try:
        parts = urllib.parse.urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme not in ("http", "https") or is_loopback_host(parts.netloc)
