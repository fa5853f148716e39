"""The operator's desk over HTTP."""

import functools
from collections.abc import Awaitable, Callable

import msgspec

from core.errors import NotFound
from engine.service import Checked, OperatorService
from routes.admin import events
from routes.admin.session import NO_STORE
from routes.admin.wire import AccountDetail
from routes.exchange import Exchange
from routes.guards import PAGE, Guard
from routes.services import RouteServices
from routes.sse import EVENT_STREAM

_ACCOUNTS = "/admin/api/accounts/"


class DeskHandlers:
    """All of it is the operator's alone."""

    def __init__(self, services: RouteServices, operator: OperatorService, guard: Guard) -> None:
        self._clock = services.clock
        self._operator = operator
        self._sessions = services.sessions
        self._guard = guard

    async def view(self, exchange: Exchange) -> None:
        self._guard.require_operator(exchange)
        await _tell(exchange, msgspec.json.encode(await self._operator.view()))

    async def live(self, exchange: Exchange) -> None:
        self._guard.require_operator(exchange)
        if exchange.head_only:
            await exchange.start(200, [(b"content-type", EVENT_STREAM), NO_STORE])
            await exchange.send(b"", more=False)
            return
        session = self._guard.visit(exchange).session if exchange.caller is PAGE else None
        if session is None or self._sessions is None:
            await events.live(exchange, self._operator.turns(), None)
            return
        left = max(0.0, session.expires_at - self._clock.now())
        ended = functools.partial(self._sessions.ended.telling, session.id)
        await events.live(exchange, self._operator.turns(), left, ended)

    async def account(self, exchange: Exchange) -> None:
        """How one account stands, and what befell it."""
        self._guard.require_operator(exchange)
        id = _id(exchange)
        view = await self._operator.view()
        standing = next((account for account in view.accounts if account.id == id), None)
        if standing is None:
            raise NotFound(f"There is no account '{id[:80]}' (any more).", param="id")
        detail = AccountDetail(standing, await self._operator.history(id))
        await _tell(exchange, msgspec.json.encode(detail))

    async def probe(self, exchange: Exchange) -> None:
        await self._do(exchange, self._operator.probe)

    async def enable(self, exchange: Exchange) -> None:
        await self._do(exchange, self._operator.enable)

    async def disable(self, exchange: Exchange) -> None:
        await self._do(exchange, self._operator.disable)

    async def clear(self, exchange: Exchange) -> None:
        await self._do(exchange, self._operator.clear)

    async def _do(self, exchange: Exchange, action: Callable[[str, str], Awaitable[Checked]]) -> None:
        self._guard.require_operator(exchange)
        checked = await action(_id(exchange), exchange.caller_name)
        await _tell(exchange, msgspec.json.encode(checked))


def _id(exchange: Exchange) -> str:
    return exchange.path.partition(_ACCOUNTS)[2].partition("/")[0]


async def _tell(exchange: Exchange, data: bytes) -> None:
    await exchange.reply(data, headers=[NO_STORE])
