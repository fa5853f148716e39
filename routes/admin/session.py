"""Signing in to the page and out."""

import msgspec

from access import Rate, Tries, site
from core.clock import Clock
from core.errors import Forbidden, InvalidRequest, RateLimited, Unauthenticated
from core.masking import hide
from core.secret import Secret
from routes import body
from routes.admin.wire import SessionState, SignedOut, SignIn
from routes.cookie import forgotten, is_from_here
from routes.exchange import Exchange
from routes.guards import PAGE, Guard
from routes.services import RouteServices

NO_STORE = (b"cache-control", b"no-store")
WRONG_KEYS = Rate(10, 60.0)
"""Of one address, in one replica."""
LONGEST = 16 * 1024
"""Bytes of a body with a key, which is read of anybody."""

UNTOLD = (
    "You are signed out of this browser and this replica. The store does not answer, so that other replicas could not be told: until"
    " it does, and this replica tells them, they let a copy of the cookie in. Another ADMIN_KEY ends all sessions."
)


class SessionHandlers:
    """The only routes of the page that need no session."""

    def __init__(self, services: RouteServices, guard: Guard) -> None:
        self._services = services
        self._guard = guard
        self._clock: Clock = services.clock
        self._tries = Tries(WRONG_KEYS)

    async def state(self, exchange: Exchange) -> None:
        """Whether somebody is signed in. One that is half over is renewed."""
        await self._tell(exchange, self._state(exchange))

    async def sign_in(self, exchange: Exchange) -> None:
        """The cookie for the admin key."""
        guard, sessions = self._guard, self._services.sessions
        self._refuse_other_pages(exchange)
        self._pace(exchange)
        request = await exchange.json(lambda found: body.convert(found, SignIn), at_most=LONGEST)
        key = Secret(request.key.strip())
        hide([key.reveal()])
        if sessions is None:
            raise Forbidden(
                guard.nobody_can or "No key is configured: whoever is on this machine needs none."
            )
        if not key:
            raise InvalidRequest("'key' is empty. Send the admin key.", param="key")
        self._check(exchange, key)
        session = guard.sign_in(exchange, sessions)
        await self._tell(exchange, SessionState(True, True, session.expires_at, self._services.version, ""))

    async def sign_out(self, exchange: Exchange) -> None:
        """Take the cookie back, whatever it holds, and end the session that it names: here at once, in other replicas as soon as
        the store answers."""
        self._refuse_other_pages(exchange)
        ended = self._guard.end_sessions(exchange)
        taken = [NO_STORE, *forgotten(exchange.scope)]
        others = self._services.sign_outs
        if not ended or others is None or await others.tell(ended):
            await exchange.start(204, taken)
            await exchange.send(b"", more=False)
            return
        await exchange.reply(msgspec.json.encode(SignedOut(False, UNTOLD)), headers=taken)

    def _check(self, exchange: Exchange, key: Secret) -> None:
        """Raise where it is not the admin key, or where too many were not: others may have come while this one was read."""
        self._pace(exchange)
        caller = self._services.keys.identify([key.reveal().encode("utf-8", "replace")])
        if caller is not None and caller.role == "admin":
            return
        self._tries.failed(self._site(exchange), self._clock.monotonic())
        known = "This is an API key, and the page takes" if caller is not None else "The key is not"
        raise Unauthenticated(
            f"{known} the admin key. Sign in with the key that the gateway was given as ADMIN_KEY.",
            param="key",
        )

    def _pace(self, exchange: Exchange) -> None:
        if wait := self._tries.wait(self._site(exchange), self._clock.monotonic()):
            raise RateLimited("Too many wrong keys came from your address.", retry_after=wait)

    def _site(self, exchange: Exchange) -> str:
        return site(self._guard.address(exchange))

    def _refuse_other_pages(self, exchange: Exchange) -> None:
        if not is_from_here(exchange, self._guard.proxies):
            raise Forbidden(
                "Only the gateway's own page signs in and out, and this request's Origin is another. Behind a proxy, let it"
                " pass Host on, or set server.public_url."
            )

    def _state(self, exchange: Exchange) -> SessionState:
        guard, caller = self._guard, exchange.caller
        version = self._services.version
        if caller is not None and not guard.locked:
            return SessionState(False, True, None, version, "")
        signed_in = caller is not None and caller.role == "admin"
        session = None
        if caller is PAGE:
            session = guard.renew(exchange, guard.visit(exchange).session)
        why = "" if signed_in else guard.nobody_can or self._stranger(exchange)
        return SessionState(True, signed_in, session.expires_at if session else None, version, why)

    def _stranger(self, exchange: Exchange) -> str:
        if self._guard.locked:
            return ""
        return (
            "No key is configured, so only callers on this machine are served. Set ADMIN_KEY and API_KEY"
            " (`gempool keys new` makes one) and restart the gateway."
        )

    async def _tell(self, exchange: Exchange, state: SessionState) -> None:
        await exchange.reply(msgspec.json.encode(state), headers=[NO_STORE])
