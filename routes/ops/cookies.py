"""The accounts' cookies: how they stand, and new ones handed in."""

from typing import Any

import msgspec
from msgspec import Struct

from core.errors import Forbidden, InvalidRequest
from core.secret import Secret
from engine.service import CookieService, HandedIn
from routes import body
from routes.exchange import Exchange

ENDPOINTS = ("GET /api/cookies/status", "POST /api/cookies")
NO_STORE = (b"cache-control", b"no-store")


class NewCookies(Struct):
    """`cookies`: what an exporter wrote, as text or as the JSON that it is."""

    account: str
    secure_1psid: str = ""
    secure_1psidts: str = ""
    cookies: Any = None


class CookieHandlers:
    """No answer ever holds a cookie's value. guarded: who replaces cookies must show the admin key."""

    def __init__(self, service: CookieService, *, guarded: bool) -> None:
        self._service = service
        self._guarded = guarded

    async def status(self, exchange: Exchange) -> None:
        accounts = await self._service.cookies_status()
        await exchange.reply(msgspec.json.encode({"accounts": accounts}), headers=[NO_STORE])

    async def replace(self, exchange: Exchange) -> None:
        self._admit(exchange)
        request = await exchange.json(lambda found: body.convert(found, NewCookies))
        export = request.cookies
        if export is not None and (request.secure_1psid or request.secure_1psidts):
            raise InvalidRequest(
                "'cookies' and 'secure_1psid' exclude each other. Send what the exporter wrote, or the values.",
                param="cookies",
            )
        if export is not None and not isinstance(export, str | list | dict):
            raise InvalidRequest(
                "'cookies' must be what a cookie exporter wrote: text, a list or an object.", param="cookies"
            )
        text = (
            export
            if isinstance(export, str)
            else ""
            if export is None
            else msgspec.json.encode(export).decode()
        )
        if export is not None and not text.strip():
            raise InvalidRequest("'cookies' is empty. Send what the exporter wrote.", param="cookies")
        given = HandedIn(
            Secret(request.secure_1psid.strip()), Secret(request.secure_1psidts.strip()), Secret(text)
        )
        replaced = await self._service.replace_cookies(request.account, given)
        await exchange.reply(msgspec.json.encode(replaced), headers=[NO_STORE])

    def _admit(self, exchange: Exchange) -> None:
        """The admin key; not needed where no key is configured and only this machine is served."""
        caller = exchange.caller
        if not self._guarded or (caller is not None and caller.role == "admin"):
            return
        raise Forbidden(
            "Cookies are replaced with the admin key alone. Set ADMIN_KEY and send it as 'x-admin-key'."
        )
