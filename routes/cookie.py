"""The cookie that the operator's page is signed in with, and whether a request with it is the page's own."""

import re
from typing import Final

from litestar.types import HTTPScope

from access import Proxies, address_of
from core.secret import Secret
from routes.exchange import Exchange, Headers

NAME: Final = "gempool_session"
SECURE_NAME: Final = "__Host-gempool_session"
"""Browsers take it over https alone, and from this very host."""
PAGE: Final = b"x-gempool-page"
"""A header of the page's own: another origin's page could send it only if a preflight allowed cookies, and none does."""

_ORIGIN = re.compile(r"(https?)://([^\s,/?#@]+)", re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def tokens_in(scope: HTTPScope) -> list[str]:
    """What the request's cookies of these names hold."""
    found = []
    for name, value in scope["headers"]:
        if name == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, token = pair.strip().partition("=")
                if key in (NAME, SECURE_NAME) and (token := token.strip('" ')):
                    found.append(token)
    return found


def kept(scope: HTTPScope, token: Secret, seconds: float) -> tuple[bytes, bytes]:
    """The header that gives the browser the cookie for so long."""
    secure = scope.get("scheme") == "https"
    return _set_cookie(SECURE_NAME if secure else NAME, token.reveal(), max(0, int(seconds)), secure=secure)


def forgotten(scope: HTTPScope) -> Headers:
    """Headers that take the cookie from the browser."""
    found = [_set_cookie(NAME, "", 0, secure=False)]
    if scope.get("scheme") == "https":
        found.append(_set_cookie(SECURE_NAME, "", 0, secure=True))
    return found


def _set_cookie(name: str, value: str, seconds: int, *, secure: bool) -> tuple[bytes, bytes]:
    text = f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    return b"set-cookie", (text + "; Secure" if secure else text).encode()


def is_the_pages(exchange: Exchange, proxies: Proxies) -> bool:
    """Whether the cookie counts: the request comes from no other origin as far as the browser tells, and where it may change
    something it carries the page's own header."""
    site = exchange.headers.get(b"sec-fetch-site", b"same-origin").strip().lower()
    if site not in (b"same-origin", b"none") or not is_from_here(exchange, proxies):
        return False
    return exchange.method == "GET" or exchange.headers.get(PAGE, b"").strip() == b"1"


def is_from_here(exchange: Exchange, proxies: Proxies) -> bool:
    """Whether the Origin, if there is any, is the host that the request was sent to."""
    said = [value.decode("latin-1") for name, value in exchange.scope["headers"] if name == b"origin"]
    return all(_is_own(origin, exchange, proxies) for origin in said)


def _is_own(origin: str, exchange: Exchange, proxies: Proxies) -> bool:
    found = _ORIGIN.fullmatch(origin.strip().lower())
    if found is None:
        return False
    scheme, host = found.groups()
    public = _ORIGIN.match(exchange.settings.public_url.lower())
    if public is not None and (scheme, _bare(host, scheme)) == (public[1], _bare(public[2], public[1])):
        return True
    # A proxy that nobody listed may end TLS and not say so; what is known to be https has no page over http.
    if exchange.scope.get("scheme") == "https" and scheme != "https":
        return False
    return _bare(host, scheme) in {_bare(own, scheme) for own in _hosts(exchange, proxies)}


def _hosts(exchange: Exchange, proxies: Proxies) -> list[str]:
    """The host that the caller asked for, in lower case."""
    found = [exchange.headers.get(b"host", b"")]
    client = exchange.scope.get("client")
    address = address_of(str(client[0])) if client else None
    if address is not None and proxies.trusts(address):
        # Of several proxies the first was asked by the caller.
        found.append(exchange.headers.get(b"x-forwarded-host", b"").partition(b",")[0])
    return [host.decode("latin-1").strip().lower() for host in found if host.strip()]


def _bare(host: str, scheme: str) -> str:
    """Without the port that the scheme has anyway."""
    return host.removesuffix(_DEFAULT_PORTS[scheme])
