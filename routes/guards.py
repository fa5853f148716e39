"""Who may in: API keys, and without any configured key only this machine."""

import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Final

from litestar.types import HTTPScope

from access import Caller, Keys, Proxies, address_of, entries, site
from core.errors import Forbidden, Unauthenticated
from routes.exchange import Exchange

OPEN_PATHS: Final = frozenset({"/", "/health", "/ready", "/openapi.json"})
"""GET routes that need no key."""
OPEN_BELOW: Final = "/files/"
"""Stored pictures need none either: an <img> sends no key, and their names cannot be guessed."""

_HOST = re.compile(r"(?:([A-Za-z0-9._-]+)|\[([0-9A-Fa-f:.]+)\])(?::\d{0,5})?", re.ASCII)
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s,/?#]*)/?", re.ASCII)
_WEB = frozenset({"http", "https", "ws", "wss", "ftp"})
_FORWARDED_FOR = re.compile(r'for\s*=\s*("[^"]*"|[^;,\s]*)', re.IGNORECASE)


def presented_keys(exchange: Exchange) -> list[bytes]:
    """Every key that the request carries, in whatever way clients send one."""
    found = _keys_in(exchange.headers)
    if in_query := exchange.query.get("key"):
        found.append(in_query.encode())
    return found


def _keys_in(headers: Mapping[bytes, bytes]) -> list[bytes]:
    found = []
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and token.strip():
        found.append(token.strip())
    found += [key for name in (b"x-api-key", b"x-goog-api-key", b"x-admin-key") if (key := headers.get(name))]
    return found


def brought_secrets(scope: HTTPScope) -> list[str]:
    """What the request brought as a key, known or not, and must not come back to anybody."""
    headers = dict(scope["headers"])
    found = {key.decode("utf-8", "replace") for key in _keys_in(headers)}
    # In any other scheme, or in none.
    found.update(headers.get(b"authorization", b"").decode("utf-8", "replace").split()[-1:])
    if query := scope["query_string"]:
        found.update(urllib.parse.parse_qs(query.decode("latin-1")).get("key", ()))
    return list(found)


def admit(
    exchange: Exchange, keys: Keys, *, proxies: Proxies, metrics_open: bool, allow_anonymous: bool
) -> Caller | None:
    """Who calls; None on an open route for a caller who would not be let in elsewhere.

    proxies: whose word about the caller's address is taken. Raises `Unauthenticated` or `Forbidden`.
    """
    path = exchange.path.rstrip("/") or "/"
    is_open = exchange.method == "GET" and (
        path in OPEN_PATHS or path.startswith(OPEN_BELOW) or (metrics_open and path == "/metrics")
    )
    try:
        return identify(exchange, keys, proxies=proxies, allow_anonymous=allow_anonymous)
    except (Unauthenticated, Forbidden):
        if is_open:
            return None
        raise


def identify(exchange: Exchange, keys: Keys, *, proxies: Proxies, allow_anonymous: bool) -> Caller:
    """Raises `Unauthenticated` or `Forbidden`."""
    presented = presented_keys(exchange)
    if caller := keys.identify(presented):
        return caller
    if keys.required:
        if presented:
            raise Unauthenticated(
                "The API key is not valid. Send one that the gateway's operator has given out."
            )
        raise Unauthenticated(
            "An API key is required. Send it as 'Authorization: Bearer KEY', 'x-api-key', 'x-goog-api-key' or '?key='."
        )
    peer = _peer(exchange)
    address = proxies.origin(peer, _lines(exchange, b"x-forwarded-for"))
    if not allow_anonymous:
        _refuse_strangers(exchange, (peer, address))
    return Caller(name=f"ip:{address}", role="anonymous", site=f"ip:{site(address)}")


def _peer(exchange: Exchange) -> str:
    client = exchange.scope.get("client")
    return str(client[0]) if client else "unknown"


def _lines(exchange: Exchange, name: bytes) -> list[str]:
    """The header's values, in their order."""
    return [value.decode("latin-1") for key, value in exchange.scope["headers"] if key == name]


def _said_to_come_from(exchange: Exchange) -> list[str]:
    """Whom a proxy says that it forwards for, whoever it is: enough to refuse somebody, not to let anybody in."""
    said = [entry for name in (b"x-forwarded-for", b"x-real-ip") for entry in entries(_lines(exchange, name))]
    for line in _lines(exchange, b"forwarded"):
        said += [found.strip('"') for found in _FORWARDED_FOR.findall(line)]
    return said


def _refuse_strangers(exchange: Exchange, addresses: Iterable[str]) -> None:
    """Without a key, only this machine may call. A web page that a browser on this machine shows must not
    reach in either, neither directly (its Origin tells) nor under a name of its own that resolves to
    loopback (the Host tells); and nobody through a proxy on this machine, trusted or not."""
    remedy = "Set API_KEY and send the key, or set GEMPOOL_ALLOW_ANONYMOUS=true."
    if not all(is_loopback_address(address) for address in (*addresses, *_said_to_come_from(exchange))):
        raise Forbidden(f"No API key is configured, so only callers on this machine are served. {remedy}")
    host = exchange.headers.get(b"host", b"").decode("latin-1")
    # Only HTTP/1.0 may leave the Host out.
    hostless = b"host" not in exchange.headers and exchange.scope["http_version"] == "1.0"
    if not hostless and not is_loopback_host(host):
        raise Forbidden(
            "No API key is configured, so only requests addressed to localhost are served, and this one's Host"
            f" header names another. {remedy}"
        )
    if not all(is_trusted_origin(origin) for origin in _lines(exchange, b"origin") if origin):
        raise Forbidden(
            "No API key is configured, so web pages from elsewhere and browser extensions may not call, and this"
            f" one's Origin is none of this machine's. {remedy}"
        )


def heed_proxy(scope: HTTPScope, proxies: Proxies) -> None:
    """Take the scheme that the caller used from X-Forwarded-Proto, where a trusted proxy says it."""
    client = scope.get("client")
    address = address_of(str(client[0])) if client else None
    if address is not None and proxies.trusts(address):
        said = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        # Of several proxies the first was asked by the caller.
        scheme = said[0].partition(b",")[0].strip().lower().decode("latin-1") if said else ""
        if scheme in ("http", "https"):
            scope["scheme"] = scheme


def is_loopback_address(text: str) -> bool:
    """Whether it is an address of this machine, perhaps with a port."""
    address = address_of(text)
    return address is not None and address.is_loopback


def is_loopback_host(host: str) -> bool:
    """`host` is a Host header's value: a name or address, perhaps with a port."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found[1] or found[2]).rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost") or is_loopback_address(name)


def is_trusted_origin(origin: str) -> bool:
    """True for pages of this machine and for programs that are no web page (`file://`, `app://`, `vscode-webview://`).
    Not for browser extensions, which are anybody's, nor for what has no scheme; and any web page can make itself
    `null`."""
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        return False
    scheme, host = found[1].lower(), found[2]
    if scheme in _WEB:
        return is_loopback_host(host)
    return scheme != "extension" and not scheme.endswith("-extension")
