"""Who may in: API keys, the operator's page, and without any configured key only this machine."""

import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from litestar.types import HTTPScope
from msgspec import Struct

from access import Caller, Proxies, Session, Sessions, address_of, entries, site
from core.errors import CallerError, Forbidden, SignedOut, Unauthenticated
from routes.cookie import is_the_pages, kept, tokens_in
from routes.dialect import is_under
from routes.exchange import Exchange
from routes.services import RouteServices

OPEN_PATHS: Final = frozenset({"/", "/health", "/ready", "/openapi.json"})
"""GET routes that need no key."""
OPEN_BELOW: Final = "/files/"
"""Stored pictures need none either: an <img> sends no key, and their names cannot be guessed. Nor do the files of
the pages at `/admin` and `/docs`, which hold no secret."""
SESSION: Final = "/admin/api/session"
"""Where the operator signs in: open, or nobody could."""
LIVE: Final = "/admin/api/live"
"""A browser reads it for as long as the page is open, so reading it is no sign that somebody is there."""
PAGE: Final = Caller("admin:page", "admin")
"""Who is signed in to the page."""

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
    found.update(tokens_in(scope))
    return list(found)


class Visit(Struct, frozen=True):
    """What the page's cookie says of a request without a key. session: the one that it is signed in with. own: whether the
    page itself sent the request. over: the cookie names a session that is none (any more)."""

    session: Session | None = None
    own: bool = False
    over: bool = False


class Guard:
    """Who may do what."""

    def __init__(self, services: RouteServices) -> None:
        settings = services.settings
        self.proxies = Proxies(settings.trusted_proxies)
        """Whose word about the caller's address is taken."""
        self._keys = services.keys
        self._sessions = services.sessions
        self._clock = services.clock
        self._metrics_open = settings.metrics_open
        self._allow_anonymous = settings.allow_anonymous
        self.locked: bool = services.keys.required or services.keys.has_admin or settings.allow_anonymous
        """Whether the operator has to show who they are. Otherwise only this machine is served, and all of it is theirs."""

    def admit(self, exchange: Exchange) -> Caller | None:
        """Who calls; None on an open route for a caller who would not be let in elsewhere.

        Raises `Unauthenticated` or `Forbidden`.
        """
        is_open = self._is_open(exchange)
        try:
            caller = self.identify(exchange)
        except (Unauthenticated, Forbidden):
            if is_open:
                return None
            raise
        if caller is PAGE and not is_open and exchange.path.rstrip("/") != LIVE:
            self.renew(exchange, self.visit(exchange).session)
        return caller

    def identify(self, exchange: Exchange) -> Caller:
        """Raises `Unauthenticated` or `Forbidden`."""
        presented = presented_keys(exchange)
        self._refuse_admin_in_query(exchange)
        if caller := self._keys.identify(presented):
            return caller
        visit = Visit() if presented else self.visit(exchange)
        if visit.session is not None and visit.own:
            return PAGE
        try:
            return self._nobody(exchange, presented)
        except (Unauthenticated, Forbidden) as error:
            raise _better(visit) or error from None

    def _refuse_admin_in_query(self, exchange: Exchange) -> None:
        """Addresses end up in proxies' logs and in browsers' histories, and one with the admin key would be a link that changes
        something."""
        caller = self._keys.identify([key.encode()]) if (key := exchange.query.get("key")) else None
        if caller is not None and caller.role == "admin":
            raise Unauthenticated(
                "The admin key is not taken from the address, which proxies write into their logs. Send it as 'x-admin-key' or"
                " 'Authorization: Bearer', and think of changing it.",
                param="key",
            )

    def require_operator(self, exchange: Exchange) -> None:
        """Raise `Unauthenticated` or `Forbidden` where the caller may not do what is the operator's alone."""
        caller = exchange.caller
        if caller is not None and (not self.locked or caller.role == "admin"):
            return
        if (error := _better(self.visit(exchange))) and not presented_keys(exchange):
            raise error
        if why := self.nobody_can:
            raise Forbidden(why)
        if caller is None or caller.role == "anonymous":
            raise Unauthenticated(
                "The admin key is required. Sign in at /admin, or send the key as 'x-admin-key'."
            )
        raise Forbidden("This is for the admin key alone. Send it as 'x-admin-key', or sign in at /admin.")

    @property
    def nobody_can(self) -> str:
        """Why nobody can be the operator as things are; '' where somebody can."""
        if self._keys.has_admin or not self.locked:
            return ""
        return "No admin key is configured. Set ADMIN_KEY (`gempool keys new` makes one) and restart the gateway."

    def visit(self, exchange: Exchange) -> Visit:
        tokens = tokens_in(exchange.scope) if self._sessions is not None else ()
        if self._sessions is None or not tokens:
            return Visit()
        now = self._clock.now()
        found = [session for token in tokens if (session := self._sessions.read(token, now))]
        if not found:
            return Visit(over=True)
        return Visit(max(found, key=lambda session: session.expires_at), is_the_pages(exchange, self.proxies))

    def renew(self, exchange: Exchange, session: Session | None) -> Session | None:
        """The session that goes on: longer, by a cookie that the answer sets, where it is half over."""
        now = self._clock.now()
        if self._sessions is None or session is None or not self._sessions.wears_off(session, now):
            return session
        return self.sign_in(exchange, self._sessions, session.id)

    def sign_in(self, exchange: Exchange, sessions: Sessions, id: str = "") -> Session:
        """A new session, or the one of that id, which goes on. The answer sets the cookie."""
        now = self._clock.now()
        token, session = sessions.issue(now, id)
        exchange.extra_headers.append(kept(exchange.scope, token, session.expires_at - now))
        return session

    def end_sessions(self, exchange: Exchange) -> dict[str, float]:
        """End in this process what the request's cookies are signed in with: ids, and until when to remember them in wall clock
        seconds."""
        if (sessions := self._sessions) is None:
            return {}
        now = self._clock.now()
        found = [session for token in tokens_in(exchange.scope) if (session := sessions.read(token, now))]
        return {session.id: sessions.end(session, now) for session in found}

    def address(self, exchange: Exchange) -> str:
        """The caller's."""
        return self.proxies.origin(_peer(exchange), _lines(exchange, b"x-forwarded-for"))

    def _is_open(self, exchange: Exchange) -> bool:
        path = exchange.path.rstrip("/") or "/"
        if path == SESSION:
            return True
        return exchange.method == "GET" and (
            path in OPEN_PATHS
            or path.startswith(OPEN_BELOW)
            or (is_under(path, "/admin") and not is_under(path, "/admin/api"))
            or is_under(path, "/docs")
            or (self._metrics_open and path == "/metrics" and not _is_forwarded(exchange))
        )

    def _nobody(self, exchange: Exchange, presented: Sequence[bytes]) -> Caller:
        """The caller without a known key."""
        if self._keys.required:
            if presented:
                raise Unauthenticated(
                    "The API key is not valid. Send one that the gateway's operator has given out."
                )
            raise Unauthenticated(
                "An API key is required. Send it as 'Authorization: Bearer KEY', 'x-api-key', 'x-goog-api-key' or '?key='."
            )
        address = self.address(exchange)
        if not self._allow_anonymous:
            _refuse_strangers(exchange, (_peer(exchange), address))
        return Caller(name=f"ip:{address}", role="anonymous", site=f"ip:{site(address)}")


def _better(visit: Visit) -> CallerError | None:
    """What tells somebody with the page's cookie more than that they have shown no key."""
    if visit.over:
        return SignedOut("The session is over. Sign in again at /admin.")
    if visit.session is not None and not visit.own:
        return Forbidden(
            "The session of the operator's page is for that page alone: this request comes from another origin, or lacks the"
            " header 'x-gempool-page: 1'. Behind a proxy, let it pass Host on, or set server.public_url."
        )
    return None


def _peer(exchange: Exchange) -> str:
    client = exchange.scope.get("client")
    return str(client[0]) if client else "unknown"


def _lines(exchange: Exchange, name: bytes) -> list[str]:
    """The header's values, in their order."""
    return [value.decode("latin-1") for key, value in exchange.scope["headers"] if key == name]


def _is_forwarded(exchange: Exchange) -> bool:
    """Whether a proxy, whoever it is, says that it hands the request on."""
    return not exchange.headers.keys().isdisjoint((b"x-forwarded-for", b"x-real-ip", b"forwarded"))


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
