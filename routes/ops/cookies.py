"""The accounts' cookies: how they stand, and new ones handed in."""

from typing import Any

import msgspec
from msgspec import Struct

from core.errors import InvalidRequest
from core.secret import Secret
from engine.service import CookieService, HandedIn
from routes import body
from routes.exchange import Exchange
from routes.guards import Guard

NO_STORE = (b"cache-control", b"no-store")


class NewCookies(Struct):
    """`cookies`: what an exporter wrote, as text or as the JSON that it is."""

    account: str
    secure_1psid: str = ""
    secure_1psidts: str = ""
    cookies: Any = None


class CookieHandlers:
    """No answer ever holds a cookie's value. Replacing cookies is the operator's alone."""

    def __init__(self, service: CookieService, guard: Guard) -> None:
        self._service = service
        self._guard = guard

    async def status(self, exchange: Exchange) -> None:
        accounts = await self._service.cookies_status()
        await exchange.reply(msgspec.json.encode({"accounts": accounts}), headers=[NO_STORE])

    async def replace(self, exchange: Exchange) -> None:
        self._guard.require_operator(exchange)
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
